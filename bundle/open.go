package bundle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

const headerSize = int64(len(magic)) + 4

// ReadIndex reads the index of the bundle that r begins with. Its frames'
// offsets are bytes in the whole object.
func ReadIndex(r io.Reader) (*Index, error) {
	head := make([]byte, headerSize)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, fmt.Errorf("%w: bundle shorter than its header", ErrCorrupt)
	}
	name, format := head[:len(magic)-1], head[len(magic)-1]
	switch {
	case string(name) != magic[:len(magic)-1]:
		return nil, fmt.Errorf("%w: not a bundle", ErrCorrupt)
	case format > magic[len(magic)-1]:
		return nil, fmt.Errorf("bundle: %w", ErrFormat)
	case format != magic[len(magic)-1]:
		return nil, fmt.Errorf("%w: bundle of format %d", ErrCorrupt, format)
	}
	size := int64(binary.BigEndian.Uint32(head[len(magic):]))
	if size > MaxIndexSize {
		return nil, fmt.Errorf("%w: bundle index of %d bytes", ErrCorrupt, size)
	}
	packed := make([]byte, 0, min(size, 1<<20))
	buf := bytes.NewBuffer(packed)
	if n, err := io.Copy(buf, io.LimitReader(r, size)); err != nil || n != size {
		return nil, fmt.Errorf("%w: bundle index cut off", ErrCorrupt)
	}
	var data []byte
	err := Decompress(buf, MaxIndexSize, func(r io.Reader) (err error) {
		data, err = io.ReadAll(r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: bundle index: %w", ErrCorrupt, err)
	}
	x, err := decodeIndex(data)
	if err != nil {
		return nil, err
	}
	x.shift(headerSize + size)
	return x, nil
}

// shift makes frame offsets, which are written relative to the first frame,
// relative to the object.
func (x *Index) shift(by int64) {
	for i := range x.Frames {
		x.Frames[i].Offset += by
	}
}
