package store

import (
	"bytes"
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

// Entry is one object of the log.
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
	body, o, err := s.Get(ctx, RecordKey(course))
	if err != nil {
		return nil, "", fmt.Errorf("record of %s: %w", course, err)
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, MaxRecord+1))
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

// DecodeRecord reads and checks a record's JSON.
func DecodeRecord(data []byte) (*Record, error) {
	if bundle.FormatOf(data) > RecordFormat {
		return nil, bundle.ErrFormat
	}
	r := &Record{}
	if err := bundle.DecodeStrict(data, MaxRecord, r); err != nil {
		return nil, err
	}
	if r.Format != RecordFormat || r.Course == "" || r.Version < 0 || r.Version > bundle.MaxVersion {
		return nil, fmt.Errorf("%w: format %d, version %d", bundle.ErrCorrupt, r.Format, r.Version)
	}
	return r, nil
}

// SwapRecord writes r over the record that had etag. ErrChanged when another
// syncer was first. A swap whose answer was lost is settled by reading the
// publish id.
func SwapRecord(ctx context.Context, s Store, r *Record, etag string) (string, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	if len(data) > MaxRecord {
		return "", fmt.Errorf("record of %s: %d bytes; the limit is %d", r.Course, len(data), MaxRecord)
	}
	tag, err := s.CompareAndSwap(ctx, RecordKey(r.Course), etag, data)
	if err == nil {
		return tag, nil
	}
	// Also after ErrChanged: the SDK may have tried again after a lost answer
	// and met our own write.
	now, tag, rerr := ReadRecord(context.WithoutCancel(ctx), s, r.Course)
	switch {
	case rerr == nil && now.Publish == r.Publish:
		return tag, nil
	case errors.Is(err, ErrChanged), rerr == nil:
		return "", fmt.Errorf("record of %s: %w", r.Course, ErrChanged)
	}
	return "", fmt.Errorf("record of %s: %w", r.Course, err)
}

// WriteEntry appends to a course's log.
func WriteEntry(ctx context.Context, s Store, course, id string, e Entry) error {
	e.Format = RecordFormat
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	key := LogPrefix(course) + e.Time.UTC().Format("20060102T150405.000Z") + "-" + id
	if err := s.Put(ctx, key, bytes.NewReader(data)); err != nil {
		return fmt.Errorf("log of %s: %w", course, err)
	}
	return nil
}
