package workdir

import (
	"bytes"
	"io"
	"sync"

	"satchel/bundle"
)

// mayMerge says which contents may be merged one day.
type mayMerge int

const (
	textBytes     mayMerge = iota + 1 // if it is text
	notebookBytes                     // whatever it is
)

func mergesAs(path string) mayMerge {
	if isNotebook(path) {
		return notebookBytes
	}
	return textBytes
}

// buffers are what bytes pass through.
var buffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// fill writes a content, and notes what cannot be merged.
func (s *stage) fill(f io.Writer, v *bundle.Verifier) error {
	b := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(b)
	left := v.Item().Size
	for {
		n, err := io.ReadFull(v, b[:min(left+1, int64(len(b)))]) // one more: it may be too long
		if err == io.ErrUnexpectedEOF {
			err = io.EOF
		}
		if left -= int64(n); left < 0 {
			return v.Check()
		}
		if bytes.IndexByte(b[:n], 0) >= 0 {
			s.noText(v.Item().Digest)
		}
		if _, werr := f.Write(b[:n]); werr != nil {
			return werr
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *stage) noText(d bundle.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.merging[d] == textBytes {
		delete(s.merging, d)
	}
}

// worthKeeping says whether most of a frame may be merged one day.
func (s *stage) worthKeeping(f bundle.Frame) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full {
		return false
	}
	useful := int64(0)
	for _, it := range f.Items {
		if s.merging[it.Digest] != 0 {
			useful += it.Size
		}
	}
	return useful*2 > f.Size
}
