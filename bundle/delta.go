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
// the last such run. There are at most freeRuns runs, and one more for each
// minRun bytes that came before: so who follows them reads Base not more often.

const (
	minRun   = 16 // bytes; what WriteDelta makes is never shorter
	freeRuns = 64
)

// tooManyRuns is for one run more after so many, and after done bytes.
func tooManyRuns(runs, done int64) bool { return runs >= freeRuns+done/minRun }

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
func maxInstructions(size int64) int64 { return 2*size + 1<<10 }

// part is what one instruction gives: n bytes that come next among the
// instructions, or those of a base from at on.
type part struct {
	n   int64
	run bool
	at  int64
}

// partReader reads the instructions for size bytes of content.
type partReader struct {
	in         *bufio.Reader
	size, left int64 // bytes of the content; those that no part gave yet
	end        int64 // of the last run
	runs       int64
	run        bool // a run's instruction comes next
	none       bool // the instruction before it gave no byte
}

// next gives the next part that has a byte; io.EOF when the content has its
// size. The bytes of one that is no run are to be read from in before the
// next call.
func (p *partReader) next() (part, error) {
	for p.left > 0 {
		got, err := p.one()
		if err != nil {
			return part{}, tooShort(err)
		}
		if p.left -= got.n; got.n > 0 {
			return got, nil
		}
	}
	return part{}, io.EOF
}

// one reads one instruction.
func (p *partReader) one() (part, error) {
	n, err := number(p.in, binary.Uvarint)
	got := part{n: int64(n), run: p.run}
	switch {
	case err != nil:
		return got, err
	case n > uint64(p.left):
		return got, fmt.Errorf("%w: more bytes than were announced", ErrCorrupt)
	case !p.run:
		p.none = n == 0
	case n == 0 && p.none:
		return got, fmt.Errorf("%w: instructions for nothing", ErrCorrupt)
	case n > 0:
		d, err := number(p.in, binary.Varint)
		if err != nil {
			return got, err
		}
		if got.at = p.end + d; got.at < 0 || got.at > MaxFileSize-got.n || tooManyRuns(p.runs, p.size-p.left) {
			return got, fmt.Errorf("%w: run %d, of %d bytes at %d", ErrCorrupt, p.runs, got.n, got.at)
		}
		p.end = got.at + got.n
		p.runs++
	}
	p.run = !p.run
	return got, nil
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
	return n, err
}

// tooShort is for a stream of instructions that ends before the content does.
func tooShort(err error) error {
	if err == io.EOF {
		return fmt.Errorf("%w: the instructions end too early", ErrCorrupt)
	}
	return err
}

// deltaReader gives the content that instructions make.
type deltaReader struct {
	parts partReader
	base  Base
	part  part // what is left of it
}

func newDeltaReader(in io.Reader, base Base, size int64) *deltaReader {
	return &deltaReader{parts: partReader{in: bufio.NewReader(in), size: size, left: size}, base: base}
}

func (c *deltaReader) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.part.n == 0 {
		if c.part, err = c.parts.next(); err != nil {
			return 0, err
		}
		if c.part.run && c.part.at > c.base.Size()-c.part.n {
			return 0, fmt.Errorf("%w: a run of %d bytes at %d of %d", ErrCorrupt, c.part.n, c.part.at, c.base.Size())
		}
	}
	p = p[:min(int64(len(p)), c.part.n)]
	if c.part.run {
		n, err = c.base.ReadAt(p, c.part.at)
	} else {
		n, err = c.parts.in.Read(p)
	}
	c.part.n, c.part.at = c.part.n-int64(n), c.part.at+int64(n)
	if n > 0 {
		err = nil // it may be io.EOF, with the last bytes of base
	}
	return n, tooShort(err)
}
