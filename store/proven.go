package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"satchel/bundle"
)

// ProvenFormat is the format number of Proven.
const ProvenFormat = 1

const (
	provenPrefix = "receipts/proven/" // below what a hookserver may write
	maxProven    = 2 << 20
)

// Proven is a head that a student's server showed: signed by this service, and
// newer than the record, or another of its version. So the store is older than
// what students hold, and whoever repairs it publishes above this version.
// There is at most one for a course. One that the record has passed says
// nothing any more.
type Proven struct {
	Format int              `json:"format"`
	Course string           `json:"course"`
	Time   time.Time        `json:"time"` // when it was shown
	Head   *bundle.Envelope `json:"head"`
}

// ProvenKey is where a course's Proven lies.
func ProvenKey(course string) string { return provenPrefix + course }

// Open gives the head, if one of the keys signed it for this course: whoever
// may write receipts could leave anything there.
func (p *Proven) Open(keys []bundle.PublicKey) (*bundle.Head, error) {
	h, err := p.Head.Open(keys)
	if err == nil && h.Course != p.Course {
		err = fmt.Errorf("%w: a head of %s, kept for %s", bundle.ErrCorrupt, h.Course, p.Course)
	}
	return h, err
}

// ReadProven gives the head that lies there for a course, and its version, if
// one of the keys signed it. ErrNotFound; bundle.ErrSignature, ErrCorrupt or
// ErrFormat where something else lies there.
func ReadProven(ctx context.Context, s Store, course string, keys []bundle.PublicKey) (*bundle.Head, error) {
	h, _, err := readProven(ctx, s, course, keys)
	return h, err
}

func readProven(ctx context.Context, s Store, course string, keys []bundle.PublicKey) (*bundle.Head, string, error) {
	data, o, err := getSmall(ctx, s, ProvenKey(course), maxProven)
	if err != nil {
		return nil, "", fmt.Errorf("proven head of %s: %w", course, err)
	}
	p, err := DecodeProven(data)
	if err == nil && p.Course != course {
		err = fmt.Errorf("%w: it is of %s", bundle.ErrCorrupt, p.Course)
	}
	var h *bundle.Head
	if err == nil {
		h, err = p.Open(keys)
	}
	if err != nil {
		return nil, o.ETag, fmt.Errorf("proven head of %s: %w", course, err)
	}
	return h, o.ETag, nil
}

// WriteProven keeps p, unless a head as new is there already; what is there and
// cannot be read makes way. Of several writers the one with the newest head
// wins.
func WriteProven(ctx context.Context, s Store, p Proven, keys []bundle.PublicKey) error {
	p.Format = ProvenFormat
	shown, err := p.Open(keys)
	if err != nil {
		return fmt.Errorf("proven head of %s: %w", p.Course, err)
	}
	data, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("proven head of %s: %w", p.Course, err)
	}
	for range 4 {
		there, etag, err := readProven(ctx, s, p.Course, keys)
		switch {
		case err == nil && !newer(shown, there):
			return nil
		case errors.Is(err, ErrNotFound):
			etag = ""
		case err != nil && etag == "", errors.Is(err, bundle.ErrFormat):
			return err // it is not known what is there, or a newer Satchel's
		}
		if _, err = s.CompareAndSwap(ctx, ProvenKey(p.Course), etag, data); !errors.Is(err, ErrChanged) {
			return err
		}
	}
	return fmt.Errorf("proven head of %s: %w", p.Course, ErrChanged)
}

// newer says whether a says more than b: a higher version, or another head of
// the same.
func newer(a, b *bundle.Head) bool {
	return a.Version > b.Version || a.Version == b.Version && a.Fingerprint() != b.Fingerprint()
}

// DecodeProven reads a Proven's JSON. Its head is not opened.
func DecodeProven(data []byte) (*Proven, error) {
	if bundle.FormatOf(data) > ProvenFormat {
		return nil, bundle.ErrFormat
	}
	p := &Proven{}
	if err := bundle.DecodeLenient(data, maxProven, p); err != nil {
		return nil, err
	}
	if p.Format != ProvenFormat || p.Course == "" || p.Head == nil {
		return nil, fmt.Errorf("%w: a proven head without format, course or head", bundle.ErrCorrupt)
	}
	return p, nil
}

// Behind says whether a record is behind this head, which was signed once: it
// has a lower version, or another head of this one. head is the record's; nil
// where it has none.
func Behind(head, proven *bundle.Head) bool {
	return head == nil || newer(proven, head)
}
