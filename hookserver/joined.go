package hookserver

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"satchel/bundle"
	"satchel/hook"
)

// A student who was away for some versions holds a content from which several
// deltas lead on, one for each change. They are joined to one, which has only
// bytes of the newest content, and takes no content between to make.

// maxJoined is how many deltas are read for one answer, so that one whose making
// would take long has whole frames instead.
const maxJoined = 1000

// way is deltas, each on the content of the one before it.
type way struct {
	base   bundle.Digest // what the first is on
	deltas []place
	bytes  int64
}

// wayTo gives the deltas with the fewest bytes, less than most, that lead to a
// content from one that the student has.
func (v *view) wayTo(d bundle.Digest, has map[bundle.Digest]bool, most int64) (way, bool) {
	ways := []way{{base: d}}
	seen := map[bundle.Digest]bool{}
	for len(ways) > 0 {
		i := shortest(ways)
		w := ways[i]
		ways = slices.Delete(ways, i, i+1)
		if has[w.base] {
			slices.Reverse(w.deltas)
			return w, len(w.deltas) > 0
		}
		if seen[w.base] {
			continue
		}
		seen[w.base] = true
		for _, ch := range v.channels {
			for _, p := range ch.deltas[w.base] {
				if n := w.bytes + p.frame.Length; n < most && !seen[p.frame.Base] {
					ways = append(ways, way{p.frame.Base, append(slices.Clip(w.deltas), p), n})
				}
			}
		}
	}
	return way{}, false
}

func shortest(ways []way) (best int) {
	for i := range ways {
		if ways[i].bytes < ways[best].bytes {
			best = i
		}
	}
	return best
}

// gainful is up to how many bytes a delta is better than its content's share
// of the whole frame that holds it.
func (v *view) gainful(c content) int64 {
	p := v.source(c.Digest)
	if p.frame == nil || p.frame.Size == 0 {
		return 0
	}
	return p.frame.Length * c.Size / p.frame.Size * 4 / 5
}

// joined gives what several deltas lead to, of what is left, and takes it
// away there.
func (s *Server) joined(ctx context.Context, v view, left map[bundle.Digest]content, has map[bundle.Digest]bool) (out []piece, err error) {
	if len(has) == 0 {
		return nil, nil
	}
	read := 0
	for d, c := range left {
		most := v.gainful(c)
		w, ok := v.wayTo(d, has, 4*most) // joined they have fewer bytes
		if !ok || len(w.deltas) < 2 || read+len(w.deltas) > maxJoined {
			continue
		}
		read += len(w.deltas)
		r := &recipe{course: v.course, items: []bundle.Item{c.Item}, from: w.deltas, base: w.base}
		n, err := s.mix.length(ctx, v.who, r)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil || n > most {
			s.explain(v.course, d, err)
			continue // it is only a saving
		}
		frame := bundle.Frame{Kind: bundle.Delta, Length: n, Size: c.Size, Base: w.base, Items: r.items}
		out = append(out, piece{rank: c.rank, made: r, offered: hook.Offered{Frame: frame}})
		delete(left, d)
	}
	slices.SortFunc(out, func(a, b piece) int {
		return bytes.Compare(a.offered.Items[0].Digest[:], b.offered.Items[0].Digest[:])
	})
	return out, nil
}

func (s *Server) explain(course string, d bundle.Digest, err error) {
	if err != nil && !errors.Is(err, bundle.ErrNoGain) {
		s.lg.Warn("deltas could not be joined; the file is sent whole", "course", course, "content", d, "err", err)
	}
}

// join makes one delta of a recipe's.
func (a *assembler) join(ctx context.Context, r *recipe) ([]byte, error) {
	var all *bundle.Script
	for _, at := range r.from {
		next, err := a.script(ctx, r.course, at)
		if err != nil {
			return nil, err
		}
		if all != nil {
			next, err = next.On(all)
		}
		if err != nil {
			return nil, err
		}
		all = next
	}
	var out bytes.Buffer
	err := all.Write(&out, largeRecipe)
	return out.Bytes(), err
}

func (a *assembler) script(ctx context.Context, course string, at place) (s *bundle.Script, err error) {
	err = a.again(at, func() error {
		r, err := a.blobs.section(ctx, course, at, at.frame.Offset, at.frame.Length)
		if err != nil {
			return err
		}
		defer r.Close()
		s, err = bundle.ReadScript(*at.frame, untilDone{ctx, r})
		return err
	})
	return s, err
}
