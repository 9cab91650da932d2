package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"satchel/bundle"
)

// RecordFormat is the format number of Record and Entry.
const RecordFormat = 1

// MaxRecord is the largest record that is read, in bytes.
const MaxRecord = 16 << 20

// Record is the one mutable object of a course, moved by compare-and-swap.
type Record struct {
	Format     int              `json:"format"`
	Course     string           `json:"course"`
	Version    bundle.Version   `json:"version"`
	Head       *bundle.Envelope `json:"head"`
	Commit     string           `json:"commit"`  // for the service only: what the version was made of
	Publish    string           `json:"publish"` // random: settles a swap that timed out
	Channels   []Channel        `json:"channels"`
	Pinned     *Pin             `json:"pinned,omitempty"`
	Paused     *Decision        `json:"paused,omitempty"`
	Confirmed  *Confirmation    `json:"confirmed,omitempty"`
	Withdrawn  []bundle.Pair    `json:"withdrawn,omitempty"`
	Config     bundle.Digest    `json:"config"`               // of the configuration it was made with
	Superseded []bundle.Digest  `json:"superseded,omitempty"` // of former ones, newest last
}

// Channel is an audience of the course. No group and no user means everybody
// whom the course's audience admits.
type Channel struct {
	ID      string         `json:"id"`
	Groups  []string       `json:"groups,omitempty"`
	Users   []string       `json:"users,omitempty"`
	Since   bundle.Version `json:"since"`   // version at which its manifest last changed
	Bundles []BundleRef    `json:"bundles"` // sorted by From, then To
}

// BundleRef names one bundle and where it leads. From 0 is a full one.
type BundleRef struct {
	From   bundle.Version `json:"from"`
	To     bundle.Version `json:"to"`
	Digest bundle.Digest  `json:"digest"`
	Size   int64          `json:"size"`
}

// Decision is who decided something, when and why.
type Decision struct {
	Time time.Time `json:"time"`
	Who  string    `json:"who"`
	Why  string    `json:"why,omitempty"`
}

// Pin holds a course at the content of one version.
type Pin struct {
	Decision
	Version bundle.Version `json:"version"`
	Tip     string         `json:"tip"` // the branch's commit at that moment
}

// Confirmation lets one shrinking commit through.
type Confirmation struct {
	Decision
	Commit string `json:"commit"`
}

// Entry is one object of the log. See WriteEntry.
type Entry struct {
	Format  int             `json:"format"`
	Time    time.Time       `json:"time"`
	Action  string          `json:"action"` // publish, refuse, or the command's name
	Who     string          `json:"who"`    // "syncer" or the person
	Why     string          `json:"why,omitempty"`
	Commit  string          `json:"commit,omitempty"`
	Version bundle.Version  `json:"version,omitempty"`
	Size    int64           `json:"size,omitempty"`    // bytes of the bundles written
	Notes   []string        `json:"notes,omitempty"`   // what was held back, withheld or warned of
	Bundles []bundle.Digest `json:"bundles,omitempty"` // all that the record named then
	// Withdrawn is what a withdrawal takes back.
	Withdrawn []bundle.Pair `json:"withdrawn,omitempty"`
}

// Keys of the objects.
func RecordKey(course string) string { return "courses/" + course + "/record" }
func BundleKey(course string, d bundle.Digest) string {
	return "courses/" + course + "/bundles/" + d.String()
}
func BundlePrefix(course string) string { return "courses/" + course + "/bundles/" }
func LogPrefix(course string) string    { return "courses/" + course + "/log/" }

// ReadRecord gives a course's record and its etag. ErrNotFound before the
// first publish; bundle.ErrFormat for one made by a newer Satchel.
func ReadRecord(ctx context.Context, s Store, course string) (*Record, string, error) {
	data, o, err := getSmall(ctx, s, RecordKey(course), MaxRecord)
	if err != nil {
		return nil, "", fmt.Errorf("record of %s: %w", course, err)
	}
	r, err := DecodeRecord(data)
	if err == nil && r.Course != course {
		err = fmt.Errorf("%w: it is the record of %s", bundle.ErrCorrupt, r.Course)
	}
	if err != nil {
		return nil, "", fmt.Errorf("record of %s: %w", course, err)
	}
	return r, o.ETag, nil
}

// getSmall gets an object whole. Of one that is larger than limit it reads one
// byte more, for the decoder to refuse.
func getSmall(ctx context.Context, s Store, key string, limit int64) ([]byte, Object, error) {
	body, o, err := s.Get(ctx, key)
	if err != nil {
		return nil, o, err
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	return data, o, err
}

// DecodeRecord reads and checks a record's JSON.
func DecodeRecord(data []byte) (*Record, error) {
	if bundle.FormatOf(data) > RecordFormat {
		return nil, bundle.ErrFormat
	}
	r := &Record{}
	if err := bundle.DecodeStrict(data, MaxRecord, r); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", bundle.ErrCorrupt, err)
	}
	return r, nil
}

func (r *Record) check() error {
	if r.Format != RecordFormat || r.Course == "" || r.Version < 0 || r.Version > bundle.MaxVersion {
		return fmt.Errorf("format %d, version %d", r.Format, r.Version)
	}
	seen := map[string]bool{}
	for _, c := range r.Channels {
		if c.ID == "" || seen[c.ID] {
			return fmt.Errorf("channel %.80q is doubled or has no name", c.ID)
		}
		seen[c.ID] = true
		for _, b := range c.Bundles {
			if b.From < 0 || b.To <= b.From || b.To > bundle.MaxVersion || b.Size < 0 || b.Size > bundle.MaxBundleSize || b.Digest.IsZero() {
				return fmt.Errorf("channel %.80q: bundle %s from %d to %d of %d bytes", c.ID, b.Digest, b.From, b.To, b.Size)
			}
		}
	}
	return nil
}

// Named gives the digests of all bundles that the record names.
func (r *Record) Named() []bundle.Digest {
	var out []bundle.Digest
	for _, c := range r.Channels {
		for _, b := range c.Bundles {
			out = append(out, b.Digest)
		}
	}
	return out
}

// settleTime bounds the look at a record whose swap was not answered.
const settleTime = 30 * time.Second

// SwapRecord writes r over the record that had etag. ErrChanged when another
// syncer was first: its caller begins again at the read. A swap whose answer
// was lost is settled by reading the publish id; where that shows the record
// as it was, or cannot be read either, the error is the swap's, and the write
// may still arrive (a later swap with the same etag loses then, harmlessly).
func SwapRecord(ctx context.Context, s Store, r *Record, etag string) (string, error) {
	out := *r
	out.Format = RecordFormat
	data, err := json.Marshal(out)
	if err == nil {
		err = out.check()
	}
	if err == nil && len(data) > MaxRecord {
		err = fmt.Errorf("%d bytes; the limit is %d", len(data), MaxRecord)
	}
	if err == nil && r.Publish == "" {
		err = errors.New("no publish id")
	}
	if err != nil {
		return "", fmt.Errorf("record of %s: %w", r.Course, err)
	}
	tag, err := s.CompareAndSwap(ctx, RecordKey(r.Course), etag, data)
	if err == nil {
		return tag, nil
	}
	return settle(ctx, s, r, etag, err)
}

// settle finds out what became of a swap that gave an error. Also after
// ErrChanged: something between may have sent it twice, and the second met
// the first.
func settle(ctx context.Context, s Store, r *Record, etag string, err error) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	now, tag, rerr := ReadRecord(ctx, s, r.Course)
	switch {
	case rerr == nil && now.Publish == r.Publish:
		return tag, nil
	case rerr == nil && tag != etag:
		return "", fmt.Errorf("record of %s: %w", r.Course, ErrChanged)
	}
	return "", fmt.Errorf("record of %s: %w", r.Course, err)
}
