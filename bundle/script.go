package bundle

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sort"
)

// Script is what one delta says, in memory, to be joined with others: of a
// chain of deltas, each on the content of the one before it, the first one's
// base gives the last one's content. Of the contents between, only bytes that
// the last one has are left.
type Script struct {
	parts []scriptPart
	size  int64 // of the content
	cost  int64 // bytes of memory
}

// scriptPart is a part of the content that ends there: lit, or a run.
type scriptPart struct {
	part
	ends int64
	lit  []byte
}

const (
	// maxScript bounds the memory of one script, bytes.
	maxScript = 32 << 20
	partCost  = 64
)

// ReadScript reads a Delta frame's bytes from r. ErrNoGain means that it is
// too large to be joined.
func ReadScript(f Frame, r io.Reader) (*Script, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	if f.Kind != Delta {
		return nil, fmt.Errorf("%w %q", ErrKind, f.Kind)
	}
	s := &Script{}
	err := decompress(&wire{r: r, left: f.Length}, maxInstructions(f.Size), func(r io.Reader) error {
		in := partReader{in: bufio.NewReader(r), size: f.Size, left: f.Size}
		for {
			p, err := in.next()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			var lit []byte
			if !p.run {
				if s.cost+p.n > maxScript {
					return ErrNoGain
				}
				lit = make([]byte, p.n)
				if _, err := io.ReadFull(in.in, lit); err != nil {
					return tooShort(err)
				}
				s.cost += p.n
			}
			if err := s.add(p, lit); err != nil {
				return err
			}
		}
	})
	return s, err
}

// add appends a part, to the one before where a run goes on.
func (s *Script) add(p part, lit []byte) error {
	s.size += p.n
	if n := len(s.parts); n > 0 && p.run && s.parts[n-1].run && s.parts[n-1].at+s.parts[n-1].n == p.at {
		s.parts[n-1].n += p.n
		s.parts[n-1].ends = s.size
		return nil
	}
	if s.cost += partCost; s.cost > maxScript {
		return ErrNoGain
	}
	s.parts = append(s.parts, scriptPart{p, s.size, lit})
	return nil
}

// On gives the script that makes s's content of before's base, where before
// makes s's base. ErrNoGain means that it would be too large, ErrCorrupt that
// s asks for bytes which before does not make.
func (s *Script) On(before *Script) (*Script, error) {
	out := &Script{}
	for _, p := range s.parts {
		if !p.run {
			if out.cost += p.n; out.cost > maxScript {
				return nil, ErrNoGain
			}
			if err := out.add(p.part, p.lit); err != nil {
				return nil, err
			}
			continue
		}
		if err := out.addFrom(before, p.at, p.n); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// addFrom appends what makes n bytes of before's content, from at on.
func (s *Script) addFrom(before *Script, at, n int64) error {
	if at > before.size-n {
		return fmt.Errorf("%w: a run of %d bytes at %d of %d", ErrCorrupt, n, at, before.size)
	}
	i := sort.Search(len(before.parts), func(i int) bool { return before.parts[i].ends > at })
	for ; n > 0; i++ {
		p := before.parts[i]
		skip := at - (p.ends - p.n)
		more := min(n, p.n-skip)
		lit := p.lit
		if p.run {
			p.at += skip
		} else {
			lit = lit[skip : skip+more]
		}
		if err := s.add(part{more, p.run, p.at}, lit); err != nil {
			return err
		}
		at, n = at+more, n-more
	}
	return nil
}

// Write writes s as a Delta frame's bytes, and gives up (ErrNoGain) once they
// have more than most bytes, or where it has more runs than a reader takes.
func (s *Script) Write(w io.Writer, most int64) error {
	return compressFrom(encoders, &boundedWriter{w: w, left: most}, func(z io.Writer) error {
		out := bufio.NewWriterSize(z, 64<<10)
		if err := s.write(out); err != nil {
			return err
		}
		return out.Flush()
	})
}

func (s *Script) write(out *bufio.Writer) error {
	end, runs := int64(0), int64(0)
	for rest := s.parts; len(rest) > 0; {
		lits := slices.IndexFunc(rest, func(p scriptPart) bool { return p.run })
		if lits < 0 {
			lits = len(rest)
		}
		if err := writeLits(out, rest[:lits]); err != nil {
			return err
		}
		if rest = rest[lits:]; len(rest) == 0 {
			return nil
		}
		p := rest[0]
		if tooManyRuns(runs, p.ends-p.n) {
			return ErrNoGain
		}
		b := binary.AppendUvarint(nil, uint64(p.n))
		b = binary.AppendVarint(b, p.at-end)
		if _, err := out.Write(b); err != nil {
			return err
		}
		end, runs, rest = p.at+p.n, runs+1, rest[1:]
	}
	return nil
}

// writeLits writes one instruction for all of them.
func writeLits(out *bufio.Writer, lits []scriptPart) error {
	n := int64(0)
	for _, p := range lits {
		n += p.n
	}
	if _, err := out.Write(binary.AppendUvarint(nil, uint64(n))); err != nil {
		return err
	}
	for _, p := range lits {
		if _, err := out.Write(p.lit); err != nil {
			return err
		}
	}
	return nil
}
