package bundle

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// A Delta frame is zstd of instructions that make its one item of the content
// Base. Until the item has its size they say, again and again: a uvarint and
// so many bytes, which come next; then a uvarint n and, unless n is 0, a
// varint d: n bytes of Base come next, which begin d bytes after the end of
// the last such run.

// minRun is the shortest run of Base, so that who follows instructions has at
// most one read of Base for so many bytes.
const minRun = 16

// Base is a content that another is made from. It may be large, so it is
// read where it lies.
type Base interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// BaseBytes is one in memory.
func BaseBytes(data []byte) Base { return memory{bytes.NewReader(data)} }

type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

// maxInstructions is how many bytes of instructions a content may need.
func maxInstructions(size int64) int64 { return 2*size + 64 }

// deltaReader gives the content that instructions make.
type deltaReader struct {
	in   *bufio.Reader
	base Base
	left int64 // of the content
	lit  int64 // bytes that come next from in
	run  int64 // bytes that come next from base
	at   int64 // where in base
	runs bool  // a run's instruction comes next
	none bool  // the instruction before it gave no byte
}

func newDeltaReader(in io.Reader, base Base, size int64) *deltaReader {
	return &deltaReader{in: bufio.NewReader(in), base: base, left: size}
}

func (c *deltaReader) Read(p []byte) (n int, err error) {
	for c.lit == 0 && c.run == 0 && c.left > 0 && len(p) > 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	switch {
	case len(p) == 0:
		return 0, nil
	case c.left == 0:
		return 0, io.EOF
	case c.lit > 0:
		n, err = c.in.Read(p[:min(int64(len(p)), c.lit)])
		c.lit -= int64(n)
	default:
		n, err = c.base.ReadAt(p[:min(int64(len(p)), c.run)], c.at)
		c.run, c.at = c.run-int64(n), c.at+int64(n)
		if n > 0 {
			err = nil // it may be io.EOF, with the last bytes of base
		}
	}
	c.left -= int64(n)
	return n, tooShort(err)
}

// next reads one instruction.
func (c *deltaReader) next() error {
	n, err := number(c.in, binary.Uvarint)
	switch {
	case err != nil:
		return err
	case n > uint64(c.left):
		return fmt.Errorf("%w: more bytes than were announced", ErrCorrupt)
	case !c.runs:
		c.lit, c.none = int64(n), n == 0
	case n == 0 && c.none:
		return fmt.Errorf("%w: instructions for nothing", ErrCorrupt)
	case n > 0:
		d, err := number(c.in, binary.Varint)
		if err != nil {
			return err
		}
		if c.run, c.at = int64(n), c.at+d; c.run < minRun || c.at < 0 || c.at > c.base.Size()-c.run {
			return fmt.Errorf("%w: a run of %d bytes at %d of %d", ErrCorrupt, c.run, c.at, c.base.Size())
		}
	}
	c.runs = !c.runs
	return nil
}

// number reads one as decode does.
func number[N any](in *bufio.Reader, decode func([]byte) (N, int)) (n N, err error) {
	p, err := in.Peek(binary.MaxVarintLen64)
	n, used := decode(p)
	switch {
	case used > 0:
		_, err = in.Discard(used)
		return n, err
	case used < 0:
		return n, fmt.Errorf("%w: a number that is none", ErrCorrupt)
	}
	return n, tooShort(err)
}

// tooShort is for a stream of instructions that ends before the content does.
func tooShort(err error) error {
	if err == io.EOF {
		return fmt.Errorf("%w: the instructions end too early", ErrCorrupt)
	}
	return err
}
