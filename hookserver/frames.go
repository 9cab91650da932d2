package hookserver

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"satchel/bundle"
	"satchel/hook"
)

// groupBytes is about how much content a put-together frame holds.
const groupBytes = 1 << 20

// piece is one frame of an answer: a part of a stored bundle, or one put
// together for it.
type piece struct {
	offered hook.Offered
	stored  place   // where it lies, when made is nil
	made    *recipe // how it is put together
	rank    int
}

// choose gives frames with all wanted contents, the small ones first. Where
// deltas lead there from what the student has they are joined. A stored frame
// is sent as it is when this student may have all of it and needs at least
// half; what remains is put together.
func (s *Server) choose(ctx context.Context, v view, want map[bundle.Digest]content, held map[string]*bundle.Manifest) ([]piece, error) {
	left := make(map[bundle.Digest]content, len(want))
	for d, c := range want {
		left[d] = c
	}
	has := heldContents(held)
	out, err := s.joined(ctx, v, left, has)
	if err != nil {
		return nil, err
	}
	for _, at := range s.candidates(v, want, has) {
		if p, ok := takeStored(at, left); ok {
			out = append(out, p)
		}
	}
	made, err := s.putTogether(ctx, v, left)
	if err != nil {
		return nil, err
	}
	out = append(out, made...)
	slices.SortStableFunc(out, compareSending)
	return out, nil
}

// compareSending puts small things first, and large ones by their size.
func compareSending(a, b piece) int {
	if c := cmp.Compare(a.rank, b.rank); c != 0 || a.rank < 2 {
		return c
	}
	return cmp.Compare(a.offered.Size, b.offered.Size)
}

// candidates are the stored frames that may be sent whole and hold something
// wanted: those on what the agent has first, then by what they waste.
func (s *Server) candidates(v view, want map[bundle.Digest]content, has map[bundle.Digest]bool) []place {
	type at struct {
		bundle bundle.Digest
		offset int64
	}
	seen := map[at]bool{}
	var out []place
	waste := map[*bundle.Frame]int64{}
	for d := range want {
		for _, ch := range v.channels {
			for _, p := range ch.places[d] {
				key := at{p.bundle, p.frame.Offset}
				if seen[key] {
					continue
				}
				seen[key] = true
				if p.frame.OnBase() && !has[p.frame.Base] || !v.maySend(p.frame) {
					continue
				}
				waste[p.frame] = p.frame.Size - wantedBytes(p.frame, want)
				out = append(out, p)
			}
		}
	}
	slices.SortFunc(out, func(a, b place) int {
		return cmp.Or(
			cmp.Compare(kindOrder(a.frame), kindOrder(b.frame)),
			cmp.Compare(waste[a.frame], waste[b.frame]),
			cmp.Compare(a.frame.Length, b.frame.Length),
			bytes.Compare(a.bundle[:], b.bundle[:]),
			cmp.Compare(a.frame.Offset, b.frame.Offset))
	})
	return out
}

func kindOrder(f *bundle.Frame) int {
	if f.OnBase() {
		return 0
	}
	return 1
}

func wantedBytes(f *bundle.Frame, want map[bundle.Digest]content) (n int64) {
	for _, it := range f.Items {
		if _, ok := want[it.Digest]; ok {
			n += it.Size
		}
	}
	return n
}

// takeStored takes a stored frame for what is left, when at least half of it
// is.
func takeStored(at place, left map[bundle.Digest]content) (piece, bool) {
	useful, rank, any := wantedBytes(at.frame, left), 2, false
	for _, it := range at.frame.Items {
		if c, ok := left[it.Digest]; ok {
			any = true
			rank = min(rank, c.rank)
		}
	}
	if !any || 2*useful < at.frame.Size {
		return piece{}, false
	}
	for _, it := range at.frame.Items {
		delete(left, it.Digest)
	}
	return piece{offered: hook.Offered{Frame: *at.frame, Bundle: at.bundle}, stored: at, rank: rank}, true
}

// putTogether makes frames of the contents that are left.
func (s *Server) putTogether(ctx context.Context, v view, left map[bundle.Digest]content) ([]piece, error) {
	out := v.recipes(left)
	for i := range out {
		r := out[i].made
		n, err := s.mix.length(ctx, v.who, r)
		if err != nil {
			return nil, err
		}
		out[i].offered = hook.Offered{Frame: bundle.Frame{Kind: bundle.Whole, Length: n, Size: r.size(), Items: r.items}}
	}
	return out, nil
}

// lying is a content, and where it lies.
type lying struct {
	content
	at place
}

// compareLying puts contents in the order in which they are stored. So what
// one frame holds is together, and each is decoded for one put-together frame,
// at most for the end of one and the beginning of the next; in any other order
// each of these could need every stored frame.
func compareLying(a, b lying) int {
	return cmp.Or(
		cmp.Compare(a.rank, b.rank),
		bytes.Compare(a.at.bundle[:], b.at.bundle[:]),
		cmp.Compare(a.at.frame.Offset, b.at.frame.Offset),
		cmp.Compare(a.Size, b.Size),
		bytes.Compare(a.Digest[:], b.Digest[:]))
}

// recipes groups contents into frames to be put together.
func (v *view) recipes(left map[bundle.Digest]content) (out []piece) {
	order := make([]lying, 0, len(left))
	for _, c := range left {
		order = append(order, lying{c, v.source(c.Digest)})
	}
	slices.SortFunc(order, compareLying)
	size := int64(0)
	for i, c := range order {
		if i == 0 || apart(order[i-1], c, size) {
			out = append(out, piece{rank: c.rank, made: &recipe{course: v.course}})
			size = 0
		}
		r := out[len(out)-1].made
		r.items = append(r.items, c.Item)
		r.from = append(r.from, c.at)
		size += c.Size
	}
	return out
}

// apart says whether b begins a new frame after a, where that has size bytes:
// past half, already where another stored frame begins.
func apart(a, b lying, size int64) bool {
	return a.rank != b.rank || b.Size > largeFile || size+b.Size > groupBytes ||
		size > groupBytes/2 && a.at.frame != b.at.frame
}

// source is the smallest whole frame that holds a content.
func (v *view) source(d bundle.Digest) (best place) {
	for _, ch := range v.channels {
		for _, p := range ch.places[d] {
			if p.frame.Kind == bundle.Whole && (best.frame == nil || p.frame.Length < best.frame.Length) {
				best = p
			}
		}
	}
	return best
}
