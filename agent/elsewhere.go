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
	// maxBreaks is how many sections may break off before the rest of them is
	// let be too.
	maxBreaks = 3
)

// takesURLs says whether the service is told that signed URLs are taken.
func (a *Agent) takesURLs() bool { return a.now().Unix() >= a.shut.Load() }

// shutURLs lets signed URLs be for a while.
func (a *Agent) shutURLs() { a.shut.Store(a.now().Add(shutFor).Unix()) }

// span is a part of a stored bundle, with the wanted frames in it. All of it
// lies in sections, each the next one's neighbour.
type span struct {
	bundle   bundle.Digest
	from, to int64 // bytes of the bundle
	sections []hook.Section
	frames   []hook.Offered
}

// spans are what is wanted behind the URLs of an offer: bundles in the order
// in which the offer needs them first, neighbours together.
func spans(co *hook.CourseOffer, wants func(bundle.Frame) bool) (out []*span) {
	var order []bundle.Digest
	in := map[bundle.Digest][]hook.Offered{}
	for _, f := range co.Frames {
		if !co.Elsewhere(&f) || !wants(f.Frame) {
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
			covering := co.Covering(&f)
			if last == nil || !last.goesOn(f, covering) {
				last = &span{bundle: d, from: f.Offset}
				out = append(out, last)
			}
			for _, s := range covering {
				if n := len(last.sections); n == 0 || last.sections[n-1].Offset < s.Offset {
					last.sections = append(last.sections, s)
				}
			}
			last.frames, last.to = append(last.frames, f), f.Offset+f.Length
		}
	}
	return out
}

// goesOn says whether a frame is rather read in the same go: it is near, and
// what lies between is of sections too.
func (s *span) goesOn(f hook.Offered, covering []hook.Section) bool {
	last := &s.sections[len(s.sections)-1]
	return f.Offset >= s.to && f.Offset-s.to <= maxGap && covering[0].Offset <= last.End()
}

// away is how it goes with the URLs of one offer. Each is opened once: it is
// good for all of its section or nothing, so of one that breaks off the rest is
// asked of the service, and no byte comes twice.
type away struct {
	a      *Agent
	course string
	used   map[string]bool // by URL
	breaks int
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
		w := &away{a: a, course: h.course, used: map[string]bool{}}
		for _, s := range spans(&o.Courses[i], h.wants) {
			if err := a.takeSpan(ctx, c, h, w, s, staged); err != nil {
				return err
			}
		}
	}
	if c.wait(); c.bad != nil {
		a.shutURLs() // what is asked for by digest now is to come from the service
	}
	return c.bad
}

// takeSpan reads a span's frames one after the other.
func (a *Agent) takeSpan(ctx context.Context, c *crew, h *haul, w *away, s *span, staged func(*haul)) error {
	h.quiet = c.wait
	open := func(ctx context.Context, off int64) (io.ReadCloser, error) { return w.open(ctx, s, s.from+off) }
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

// spanReader reads a span from some byte on, section after section.
type spanReader struct {
	ctx  context.Context // of one pass; this reader lives within one call of it
	w    *away
	s    *span
	at   int64 // of the bundle
	end  int64 // of what body gives
	body io.ReadCloser
	came bool // something did, of a body behind a URL
	away bool // body is behind a URL
	err  error
}

// open opens a span from byte at of its bundle on.
func (w *away) open(ctx context.Context, s *span, at int64) (io.ReadCloser, error) {
	r := &spanReader{ctx: ctx, w: w, s: s, at: at}
	if err := r.next(); err != nil {
		return nil, err
	}
	return r, nil
}

// next opens what follows: behind the section's URL, or of the service where
// that is of no use. No log names the URL.
func (r *spanReader) next() (err error) {
	i := slices.IndexFunc(r.s.sections, func(s hook.Section) bool { return s.Offset <= r.at && r.at < s.End() })
	sec := r.s.sections[i] // they cover the span
	r.end, r.away, r.came = min(sec.End(), r.s.to), false, false
	if r.w.worth(sec, r.at, r.end) {
		r.w.used[sec.URL] = true
		if r.body, err = r.w.a.client.Signed(r.ctx, sec); err == nil {
			r.away = true
			err = r.pass(r.at - sec.Offset)
		}
		if err == nil || r.ctx.Err() != nil {
			return err
		}
		r.w.failed(r, err)
		r.away = false
	}
	r.body, err = r.w.a.client.Range(r.ctx, r.w.course, r.s.bundle, r.at, r.end-r.at)
	return err
}

// worth says whether a section is read behind its URL, which begins with its
// first byte: where no more than half of that is for nothing.
func (w *away) worth(s hook.Section, at, end int64) bool {
	return !w.used[s.URL] && w.a.takesURLs() && at-s.Offset <= end-at
}

// pass reads past the beginning of a section.
func (r *spanReader) pass(n int64) error {
	passed, err := io.CopyN(io.Discard, r.body, n)
	if r.came = passed > 0; err != nil {
		r.body.Close()
	}
	return err
}

// failed judges what is behind URLs by one that could not be opened or broke
// off. Of a store that is silent, or gave nothing, nothing more is asked.
func (w *away) failed(r *spanReader, err error) {
	w.breaks++
	if r.came && w.breaks < maxBreaks && !errors.Is(err, hook.ErrSilent) {
		return
	}
	w.a.lg.Warn("a bundle could not be read from the store itself; the service is asked for it", "course", w.course, "error", err)
	w.a.shutURLs()
}

func (r *spanReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.at == r.s.to {
		return 0, io.EOF
	}
	if r.at == r.end {
		r.body.Close()
		if r.err = r.next(); r.err != nil {
			r.body = nil
			return 0, r.err
		}
	}
	n, err := r.body.Read(p[:min(int64(len(p)), r.end-r.at)])
	r.at += int64(n)
	r.came = r.came || n > 0
	if err == nil || r.at == r.end {
		return n, nil
	}
	if r.err = err; err == io.EOF {
		r.err = io.ErrUnexpectedEOF
	}
	if r.away && r.ctx.Err() == nil {
		r.w.failed(r, r.err)
	}
	return n, r.err
}

func (r *spanReader) Close() error {
	if r.body == nil {
		return nil
	}
	return r.body.Close()
}
