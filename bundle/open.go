package bundle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const headerSize = int64(len(magic)) + 8

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
	former := int64(binary.BigEndian.Uint32(head[len(magic)+4:]))
	data, err := section(r, size, MaxIndexSize)
	if err != nil {
		return nil, fmt.Errorf("bundle index: %w", err)
	}
	x, err := decodeIndex(data)
	if err != nil {
		return nil, err
	}
	if data, err = section(r, former, MaxHistorySize); err != nil {
		return nil, fmt.Errorf("bundle history: %w", err)
	}
	if x.Former, err = DecodeHistory(data); err != nil {
		return nil, err
	}
	x.shift(headerSize + size + former)
	return x, nil
}

// section reads size packed bytes of at most limit unpacked ones.
func section(r io.Reader, size, limit int64) (data []byte, err error) {
	if size > limit {
		return nil, fmt.Errorf("%w: %d bytes", ErrCorrupt, size)
	}
	err = decompress(&wire{r: r, left: size}, limit, func(r io.Reader) (err error) {
		data, err = io.ReadAll(r)
		return err
	})
	if err != nil && !errors.Is(err, ErrCorrupt) {
		err = fmt.Errorf("%w: cut off: %w", ErrCorrupt, err)
	}
	return data, err
}

// shift makes frame offsets, which are written relative to the first frame,
// relative to the object.
func (x *Index) shift(by int64) {
	for i := range x.Frames {
		x.Frames[i].Offset += by
	}
}
