package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"satchel/bundle"
	"satchel/hook"
)

const (
	// shutFor is how long signed URLs are let be after one could not be used:
	// where students' servers cannot reach S3, or its credentials are not as
	// they should be, each try costs time, and the service sends the same.
	shutFor = 10 * time.Minute
	// maxGap is how many bytes between two wanted frames are rather read past
	// than passed over by a request more.
	maxGap = 64 << 10
)

var errNothing = errors.New("it began an answer, and nothing of it came")

// takesURLs says whether the service is told that signed URLs are taken.
func (a *Agent) takesURLs() bool { return a.now().Unix() >= a.shut.Load() }

// span is a run of a stored bundle that one ranged request brings, with the
// wanted frames in it.
type span struct {
	bundle   bundle.Digest
	url      string // signed; "" once it could not be used
	from, to int64  // bytes of the bundle
	tried    int64  // where the URL was opened last; before from: nowhere yet
	frames   []hook.Offered
}

// spans are what is wanted behind the URLs of an offer: bundles in the order
// in which the offer needs them first, neighbours together.
func spans(co *hook.CourseOffer, wants func(bundle.Frame) bool) (out []*span) {
	var order []bundle.Digest
	in := map[bundle.Digest][]hook.Offered{}
	for _, f := range co.Frames {
		if !co.Elsewhere(&f) || f.Length == 0 || !wants(f.Frame) {
			continue
		}
		if in[f.Bundle] == nil {
			order = append(order, f.Bundle)
		}
		in[f.Bundle] = append(in[f.Bundle], f)
	}
	for _, d := range order {
		frames := in[d]
		slices.SortStableFunc(frames, func(a, b hook.Offered) int { return cmp.Compare(a.Offset, b.Offset) })
		var last *span
		for _, f := range frames {
			if last == nil || f.Offset < last.to || f.Offset-last.to > maxGap {
				last = &span{bundle: d, url: co.URLs[d], from: f.Offset, tried: -1}
				out = append(out, last)
			}
			last.frames, last.to = append(last.frames, f), f.Offset+f.Length
		}
	}
	return out
}

// takeElsewhere brings the wanted frames that lie behind an offer's URLs. An
// error is take's.
func (a *Agent) takeElsewhere(ctx context.Context, hauls map[string]*haul, o *hook.Offer, staged func(*haul)) error {
	c := newCrew()
	defer c.wait()
	for i := range o.Courses {
		h := hauls[o.Courses[i].Course]
		if h == nil {
			continue
		}
		for _, s := range spans(&o.Courses[i], h.wants) {
			if err := a.takeSpan(ctx, c, h, s, staged); err != nil {
				return err
			}
		}
	}
	if c.wait(); c.bad != nil {
		a.shutURLs() // what is asked for by digest now is to come from the service
	}
	return c.bad
}

// shutURLs lets signed URLs be for a while.
func (a *Agent) shutURLs() { a.shut.Store(a.now().Add(shutFor).Unix()) }

// takeSpan reads a span's frames one after the other.
func (a *Agent) takeSpan(ctx context.Context, c *crew, h *haul, s *span, staged func(*haul)) error {
	h.quiet = c.wait
	open := func(ctx context.Context, off int64) (io.ReadCloser, error) { return a.openSpan(ctx, h.course, s, off) }
	body, err := open(ctx, 0)
	switch {
	case gone(err):
		return fmt.Errorf("%w: %w", errAnew, err)
	case err != nil:
		return &broken{err}
	}
	all := &frameBytes{ctx: ctx, open: open, r: body, body: body, end: s.to - s.from, wait: a.wait}
	defer all.Close()
	for _, f := range s.frames {
		if err := skip(all, f.Offset-s.from-all.at); err != nil {
			return err
		}
		if h.complete() {
			return nil
		}
		if !h.wants(f.Frame) {
			continue
		}
		part := &frameBytes{ctx: ctx, r: io.LimitReader(all, f.Length), end: f.Length, wait: a.wait} // all resumes itself
		if err := a.takeBytes(c, h, f, part); err != nil {
			return err
		}
		staged(h)
	}
	return nil
}

// skip reads past n bytes.
func skip(r io.Reader, n int64) error {
	_, err := io.CopyN(io.Discard, r, n)
	return err
}

// openSpan opens a span from off on: behind its URL, or of the service where
// that is of no use. No log names the URL.
func (a *Agent) openSpan(ctx context.Context, course string, s *span, off int64) (io.ReadCloser, error) {
	from, n := s.from+off, s.to-s.from-off
	if s.url != "" && a.takesURLs() {
		r, err := io.ReadCloser(nil), errNothing
		if s.tried != from {
			s.tried = from
			r, err = a.client.Signed(ctx, s.url, from, n)
		}
		if err == nil || ctx.Err() != nil {
			return r, err
		}
		a.lg.Warn("a bundle could not be read from the store itself; the service is asked for it", "course", course, "error", err)
		s.url = ""
		a.shutURLs()
	}
	return a.client.Range(ctx, course, s.bundle, from, n)
}
