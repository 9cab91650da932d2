package bundle

import (
	"encoding/json"
	"fmt"
)

// IndexFormat is the format number of Index.
const IndexFormat = 1

// Index is what a bundle says of itself. From 0 makes it a full bundle. All of
// it, and the history beside it, may be read by the channel's audience: a
// signed URL gives the whole object.
type Index struct {
	Format   int     `json:"format"`
	Course   string  `json:"course"`
	Channel  string  `json:"channel"`
	From     Version `json:"from"`
	To       Version `json:"to"`
	Base     Digest  `json:"base,omitzero"` // digest of the manifest at From
	Manifest Digest  `json:"manifest"`      // digest of the manifest at To
	Changes  Changes `json:"changes"`
	Former   History `json:"-"` // what To adds to the history; all of it in a full bundle
	Frames   []Frame `json:"frames,omitempty"`
}

// Kind says how a frame's bytes make content.
type Kind string

// The kinds of frame. A reader that meets another kind takes the file whole
// from elsewhere (ErrKind).
const (
	// Whole is zstd of the items, one after the other.
	Whole Kind = "whole"
	// Delta is zstd of instructions that make one item of the content Base
	// (delta.go).
	Delta Kind = "delta"
	// Patch is zstd of one item, with the content Base as raw dictionary. It
	// is read and never written: Delta is smaller (ARCHITECTURE.md).
	Patch Kind = "patch"
)

// Frame is a run of bytes that gives one or more contents. Offset (in the
// object; in the stored index from the first frame) and Length are bytes; Size
// is the sum of the items' sizes.
type Frame struct {
	Kind   Kind   `json:"kind"`
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
	Size   int64  `json:"size"`
	Base   Digest `json:"base,omitzero"` // the former content that a Delta or Patch needs
	Items  []Item `json:"items"`
}

// Item is one content in a frame.
type Item struct {
	Digest Digest `json:"digest"`
	Size   int64  `json:"size"`
}

// OnBase says that a former content is needed to read the frame.
func (f *Frame) OnBase() bool { return f.Kind == Delta || f.Kind == Patch }

// Check refuses a frame that claims more than the limits allow or less than
// its items need. Of an unknown kind only the place is checked.
func (f *Frame) Check() error {
	if f.Offset < 0 || f.Length < 0 || f.Size < 0 || f.Offset > MaxBundleSize || f.Length > MaxBundleSize-f.Offset {
		return fmt.Errorf("%w: frame at %d of %d bytes", ErrCorrupt, f.Offset, f.Length)
	}
	if f.Kind != Whole && !f.OnBase() {
		return nil // a later Satchel's: only where it lies must be right
	}
	if len(f.Items) == 0 || len(f.Items) > MaxFiles {
		return fmt.Errorf("%w: frame with %d items", ErrCorrupt, len(f.Items))
	}
	if f.OnBase() && (len(f.Items) != 1 || f.Base.IsZero()) {
		return fmt.Errorf("%w: a %s frame has one item and one base", ErrCorrupt, f.Kind)
	}
	sum := int64(0)
	for _, it := range f.Items {
		if it.Size < 0 || it.Size > MaxFileSize || it.Digest.IsZero() {
			return fmt.Errorf("%w: item of %d bytes", ErrCorrupt, it.Size)
		}
		sum += it.Size
	}
	if sum != f.Size {
		return fmt.Errorf("%w: frame of %d bytes with items of %d", ErrCorrupt, f.Size, sum)
	}
	return nil
}

// decodeIndex reads and checks an index's JSON.
func decodeIndex(data []byte) (*Index, error) {
	if FormatOf(data) > IndexFormat {
		return nil, fmt.Errorf("bundle: %w", ErrFormat)
	}
	x := &Index{}
	if err := DecodeLenient(data, MaxIndexSize, x); err != nil {
		return nil, fmt.Errorf("bundle index: %w", err)
	}
	if x.Format != IndexFormat || x.From < 0 || x.To <= x.From || x.To > MaxVersion || x.Manifest.IsZero() {
		return nil, fmt.Errorf("%w: bundle index: format %d, version %d to %d", ErrCorrupt, x.Format, x.From, x.To)
	}
	for i := range x.Frames {
		if err := x.Frames[i].Check(); err != nil {
			return nil, fmt.Errorf("bundle index: %w", err)
		}
	}
	return x, nil
}

func (x *Index) encode() ([]byte, error) {
	data, err := json.Marshal(x)
	if err == nil && len(data) > MaxIndexSize {
		err = fmt.Errorf("bundle index of %d bytes; the limit is %d", len(data), MaxIndexSize)
	}
	return data, err
}

// Compose applies steps to m (nil for the first being a full bundle), in
// order, checking after each that the result is the manifest it promises.
func Compose(m *Manifest, steps ...*Index) (*Manifest, error) {
	for _, x := range steps {
		base := m
		if x.From == 0 {
			base = nil
		} else if m == nil || m.Digest() != x.Base {
			return nil, fmt.Errorf("%w: step %d to %d does not fit the manifest before it", ErrCorrupt, x.From, x.To)
		}
		next, err := base.Apply(x.Changes)
		if err != nil {
			return nil, err
		}
		if next.Digest() != x.Manifest {
			return nil, fmt.Errorf("%w: step %d to %d gives another manifest than it names", ErrCorrupt, x.From, x.To)
		}
		m = next
	}
	return m, nil
}
