package bundle

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
)

// How a content is compared with a former one. The former is divided into
// blocks of at least minBlock bytes, more where there would be more than
// maxBlocks of them, and the hash of each is noted; then the hash of every
// block-sized part of the new content is looked for, and where the bytes are
// the same, the run is made as long as they are.
const (
	minBlock  = 32
	maxBlocks = 1 << 18
	maxLit    = 256 << 10 // bytes of one instruction
	extendBy  = 32 << 10  // bytes that are compared at once
	maxMisses = 1 << 16   // blocks of equal hash and other bytes, before it is given up
)

// ErrNoGain means: the instructions get longer than they are worth.
var ErrNoGain = errors.New("no gain")

// WriteDelta writes zstd of the instructions that make content of base, as a
// Delta frame has them, and gives up (ErrNoGain) once they have more than most
// bytes.
func WriteDelta(w io.Writer, content, base Base, most int64) error {
	bounded := &boundedWriter{w: w, left: most}
	return compressFrom(encoders, bounded, func(z io.Writer) error {
		out := bufio.NewWriterSize(z, 64<<10)
		d := &differ{base: newView(base), content: newView(content), out: out}
		if err := d.run(); err != nil {
			return err
		}
		return out.Flush()
	})
}

// boundedWriter gives ErrNoGain once more than left bytes come.
type boundedWriter struct {
	w    io.Writer
	left int64
}

func (b *boundedWriter) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, ErrNoGain
	}
	return b.w.Write(p)
}

// differ makes instructions.
type differ struct {
	base, content *view
	block         int
	index         blockIndex
	out           *bufio.Writer
	end           int64 // of the last run, in base
	misses        int
}

func (d *differ) run() error {
	d.block = minBlock
	for d.base.size/int64(d.block) > maxBlocks {
		d.block *= 2
	}
	if err := d.note(); err != nil {
		return err
	}
	lit, at := int64(0), int64(0) // the bytes between them are in no run
	var h rolling
	for at+int64(d.block) <= d.content.size {
		p, err := d.content.bytes(at, d.block+1)
		if err != nil {
			return err
		}
		if !h.on {
			h = newRolling(p[:d.block])
		}
		if b, ok := d.index.find(h.sum); ok {
			from, n, back, err := d.extend(b*int64(d.block), at, at-lit, p[:d.block])
			if err != nil {
				return err
			}
			if n > 0 {
				if err := d.write(lit, at-back, from, n); err != nil {
					return err
				}
				at += n - back
				lit, h.on = at, false
				continue
			}
		}
		if len(p) > d.block {
			h.roll(p[0], p[d.block])
		}
		if at++; at-lit == maxLit {
			if err := d.write(lit, at, 0, 0); err != nil {
				return err
			}
			lit = at
		}
	}
	return d.rest(lit)
}

// note fills the index with the base's blocks.
func (d *differ) note() error {
	blocks := d.base.size / int64(d.block)
	d.index = newBlockIndex(int(blocks))
	for b := range blocks {
		p, err := d.base.bytes(b*int64(d.block), d.block)
		if err != nil {
			return err
		}
		d.index.add(newRolling(p).sum, b)
	}
	return nil
}

// extend makes the longest run around a block of base that should be what
// content has at at; n is 0 where it is not. It goes back over at most most
// bytes.
func (d *differ) extend(b, at, most int64, p []byte) (from, n, back int64, err error) {
	q, err := d.base.bytes(b, d.block)
	if err != nil || !bytes.Equal(q, p) {
		if d.misses++; d.misses > maxMisses && err == nil {
			err = ErrNoGain
		}
		return 0, 0, 0, err
	}
	if most = min(most, int64(d.block), b); most > 0 {
		q, err := d.base.bytes(b-most, int(most))
		if err != nil {
			return 0, 0, 0, err
		}
		p, err := d.content.bytes(at-most, int(most))
		if err != nil {
			return 0, 0, 0, err
		}
		for back < most && q[most-1-back] == p[most-1-back] {
			back++
		}
	}
	n = int64(d.block)
	for {
		more := min(extendBy, d.base.size-b-n, d.content.size-at-n)
		if more == 0 {
			break
		}
		q, err := d.base.bytes(b+n, int(more))
		if err != nil {
			return 0, 0, 0, err
		}
		p, err := d.content.bytes(at+n, int(more))
		if err != nil {
			return 0, 0, 0, err
		}
		same := int64(0)
		for same < more && q[same] == p[same] {
			same++
		}
		if n += same; same < more {
			break
		}
	}
	return b - back, n + back, back, nil
}

// write gives the bytes from lit to at, then a run of n bytes of base.
func (d *differ) write(lit, at, from, n int64) error {
	if err := d.literal(lit, at); err != nil {
		return err
	}
	var b []byte
	b = binary.AppendUvarint(b, uint64(n))
	if n > 0 {
		b = binary.AppendVarint(b, from-d.end)
		d.end = from + n
	}
	_, err := d.out.Write(b)
	return err
}

func (d *differ) literal(lit, at int64) error {
	if _, err := d.out.Write(binary.AppendUvarint(nil, uint64(at-lit))); err != nil {
		return err
	}
	for lit < at {
		p, err := d.content.bytes(lit, int(min(at-lit, extendBy)))
		if err != nil {
			return err
		}
		if _, err := d.out.Write(p); err != nil {
			return err
		}
		lit += int64(len(p))
	}
	return nil
}

// rest gives what is in no run at the end.
func (d *differ) rest(lit int64) error {
	for d.content.size-lit > maxLit {
		if err := d.write(lit, lit+maxLit, 0, 0); err != nil {
			return err
		}
		lit += maxLit
	}
	if lit == d.content.size {
		return nil
	}
	return d.literal(lit, d.content.size)
}

// rolling is the hash of a block that moves on by a byte: a polynomial modulo
// 2^32.
type rolling struct {
	sum, out uint32 // out: what the first byte counts, and one more
	on       bool
}

const rollBy = 0x9E3779B1

func newRolling(p []byte) rolling {
	r := rolling{out: 1, on: true}
	for _, c := range p {
		r.sum = r.sum*rollBy + uint32(c) + 1
		r.out *= rollBy
	}
	return r
}

func (r *rolling) roll(first, next byte) {
	r.sum = r.sum*rollBy + uint32(next) + 1 - r.out*(uint32(first)+1)
}

// blockIndex finds blocks by their hash. Of blocks with the same hash it
// keeps the first.
type blockIndex struct {
	slots []slot
	shift int
}

type slot struct{ hash, block uint32 } // block: counted from 1; 0: free

const probes = 8

func newBlockIndex(blocks int) blockIndex {
	n := max(4, bits.Len(uint(2*blocks)))
	return blockIndex{make([]slot, 1<<n), 32 - n}
}

func (x *blockIndex) start(hash uint32) int { return int((hash * 0x85EBCA6B) >> x.shift) }

func (x *blockIndex) add(hash uint32, block int64) {
	for i := range probes {
		s := &x.slots[(x.start(hash)+i)%len(x.slots)]
		if s.block == 0 {
			*s = slot{hash, uint32(block) + 1}
			return
		}
		if s.hash == hash {
			return
		}
	}
}

func (x *blockIndex) find(hash uint32) (block int64, ok bool) {
	for i := range probes {
		switch s := x.slots[(x.start(hash)+i)%len(x.slots)]; {
		case s.block == 0:
			return 0, false
		case s.hash == hash:
			return int64(s.block) - 1, true
		}
	}
	return 0, false
}

// view is a part of a content in memory, moved to where it is looked at.
type view struct {
	r    io.ReaderAt
	size int64
	buf  []byte
	at   int64
}

const viewSize = maxLit + 128<<10

func newView(f Base) *view { return &view{r: f, size: f.Size()} }

// bytes gives at most n bytes from at, fewer only at the end; they are good
// until the next call.
func (v *view) bytes(at int64, n int) ([]byte, error) {
	end := min(at+int64(n), v.size)
	if at < v.at || end > v.at+int64(len(v.buf)) {
		if v.buf == nil {
			v.buf = make([]byte, min(viewSize, v.size))
		}
		// A little before it may be wanted next.
		v.at = max(0, at-64<<10)
		v.buf = v.buf[:min(int64(cap(v.buf)), v.size-v.at)]
		if n, err := v.r.ReadAt(v.buf, v.at); n < len(v.buf) {
			return nil, unexpected(err)
		}
	}
	return v.buf[at-v.at : end-v.at], nil
}

func unexpected(err error) error {
	if err == nil || err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
