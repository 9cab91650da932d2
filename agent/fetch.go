package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"satchel/bundle"
	"satchel/hook"
	"satchel/workdir"
)

// haul is what one course's folder still needs from the network. What has
// arrived is staged by workdir at once, so that nothing is fetched twice,
// whatever ends the pass.
type haul struct {
	course string
	dir    *workdir.Course
	want   map[bundle.Digest]bundle.Item
	order  []bundle.Digest          // in which to ask
	where  map[bundle.Digest]string // a path at which each goes
	here   map[bundle.Digest]error  // arrived and could not be kept
	files  int                      // all that was wanted
	bytes  int64
	got    int64 // bytes that arrived and were kept, or are on their way
	shown  time.Time
	mu     *sync.Mutex // of all hauls of a pass: guards want, here, got and shown while a crew works
	quiet  func()      // waits for the crew
	paused bool        // of a paused course: what is not given out now is no news, and not asked for anew
}

// newHaul makes one of the contents that plan wants.
func newHaul(mu *sync.Mutex, name string, dir *workdir.Course, wanted []bundle.Item, manifests map[string]*bundle.Manifest) *haul {
	h := &haul{
		course: name, dir: dir, want: map[bundle.Digest]bundle.Item{},
		where: map[bundle.Digest]string{}, here: map[bundle.Digest]error{}, mu: mu, quiet: func() {},
	}
	for _, it := range wanted {
		if _, twice := h.want[it.Digest]; !twice {
			h.want[it.Digest] = it
			h.order = append(h.order, it.Digest)
			h.bytes += it.Size
		}
	}
	h.files = len(h.want)
	for _, m := range manifests {
		for _, f := range m.Files {
			if _, ok := h.want[f.Digest]; ok && h.where[f.Digest] == "" {
				h.where[f.Digest] = f.Path
			}
		}
	}
	slices.SortStableFunc(h.order, func(a, b bundle.Digest) int { return h.rank(a) - h.rank(b) })
	return h
}

// rank puts notebooks first.
func (h *haul) rank(d bundle.Digest) int {
	if isNotebook(h.where[d]) {
		return 0
	}
	return 1
}

// bring fetches what the hauls want: what first brings, then the rest by
// digest, as long as each round brings something. first may be nil. What
// could not be had stays in want.
func (a *Agent) bring(ctx context.Context, hauls map[string]*haul, first *hook.Answer, staged func(*haul)) error {
	var err error
	if first != nil {
		err = a.takeAll(ctx, hauls, first, staged)
		if errors.Is(err, errAnew) || ctx.Err() != nil {
			return err
		}
	}
	for _, h := range hauls {
		rest := a.rest(ctx, h, staged)
		switch {
		case h.paused && errors.Is(rest, errAnew): // it comes when the pause ends
		case rest != nil:
			err = rest
		case len(h.want) == 0:
			err = nil
		}
	}
	return err
}

// takeAll brings what an answer offers: by itself, as far as that is worth
// reading, and behind its URLs.
func (a *Agent) takeAll(ctx context.Context, hauls map[string]*haul, ans *hook.Answer, staged func(*haul)) error {
	var err error
	if worthReading(ans.Offer, hauls) {
		err = a.take(ctx, hauls, ans, staged)
	}
	if errors.Is(err, errAnew) || ctx.Err() != nil {
		return err
	}
	return errors.Join(err, a.takeElsewhere(ctx, hauls, ans.Offer, staged))
}

// maxSkip is how many bytes that nobody wants are always read past in one
// answer: about what is under way anyhow before the service learns of the end.
const maxSkip = 4 << 20

// worthReading says whether an answer's frames are had best by reading on. An
// answer of which most is here already (a download that goes on) is not.
func worthReading(o *hook.Offer, hauls map[string]*haul) bool {
	var useful, other int64
	for _, c := range o.Courses {
		for _, f := range c.Frames {
			if c.Elsewhere(&f) {
				continue
			}
			if h := hauls[c.Course]; h != nil && wantsFrame(f.Frame, h.want) {
				useful += f.Length
			} else {
				other += f.Length
			}
		}
	}
	return other <= maxSkip || other < useful/2
}

// rest asks for what is missing by digest.
func (a *Agent) rest(ctx context.Context, h *haul, staged func(*haul)) error {
	var last error
	for idle := 0; len(h.want) > 0; {
		if idle > maxIdleTries {
			return last
		}
		if idle > 1 {
			sleep(ctx, a.wait.after(idle-1))
		}
		if ctx.Err() != nil {
			return &broken{ctx.Err()}
		}
		before, bytes := len(h.want), h.got
		last = a.round(ctx, h, staged)
		var e *hook.Error
		switch {
		case errors.Is(last, errAnew), errors.As(last, &e) && e.Status < 500:
			return last
		case len(h.want) < before, h.got > bytes:
			idle = 0
		default:
			idle++
			if last == nil {
				last = fmt.Errorf("%w: %d contents are not given out", errAnew, len(h.want))
			}
		}
	}
	return nil
}

// round is one request by digest.
func (a *Agent) round(ctx context.Context, h *haul, staged func(*haul)) error {
	var ask []bundle.Digest
	for _, d := range h.order {
		if _, ok := h.want[d]; ok && len(ask) < hook.MaxAsked {
			ask = append(ask, d)
		}
	}
	ans, err := a.client.Files(ctx, h.course, ask)
	switch {
	case gone(err):
		return fmt.Errorf("%w: %w", errAnew, err)
	case err != nil:
		return err
	}
	defer ans.Close()
	one := map[string]*haul{h.course: h}
	if !worthReading(ans.Offer, one) {
		return fmt.Errorf("%w: the answer is mostly what nobody asked for", bundle.ErrCorrupt)
	}
	return a.takeAll(ctx, one, ans, staged)
}

// take reads an answer's frames. An error says why the rest was not read;
// frames that were bad alone are passed over. The frames are read one after
// the other; what is in small ones is unpacked and staged by a crew beside.
func (a *Agent) take(ctx context.Context, hauls map[string]*haul, ans *hook.Answer, staged func(*haul)) error {
	c := newCrew()
	defer c.wait()
	for {
		name, f, r, err := ans.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return &broken{err}
		}
		h := hauls[name]
		if h == nil || !h.wants(f.Frame) {
			continue
		}
		h.quiet = c.wait
		if err := a.takeFrame(ctx, c, h, f, r); err != nil {
			return err
		}
		staged(h)
		if wantNothing(hauls) {
			break
		}
	}
	c.wait()
	return c.bad
}

func (h *haul) wants(f bundle.Frame) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return wantsFrame(f, h.want)
}

func wantNothing(hauls map[string]*haul) bool {
	for _, h := range hauls {
		if !h.complete() {
			return false
		}
	}
	return true
}

func (h *haul) complete() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.want) == 0
}

// between is how often progress is told at most.
const between = 200 * time.Millisecond

// progress tells how far a haul is; h.mu is held.
func (a *Agent) progress(h *haul, at bundle.Digest, end bool) {
	if now := time.Now(); end || now.Sub(h.shown) >= between {
		h.shown = now
		a.show(h.event(at))
	}
}

func (h *haul) event(at bundle.Digest) Event {
	return Event{
		Kind: Progress, Course: h.course, Done: h.files - len(h.want), Files: h.files,
		Bytes: min(h.got, h.bytes), Total: h.bytes, Folder: top(h.where[at]), NB: h.notebooks(),
	}
}

// notebooks says whether none is missing.
func (h *haul) notebooks() bool {
	for d := range h.want {
		if isNotebook(h.where[d]) {
			return false
		}
	}
	return true
}

func isNotebook(p string) bool { return strings.HasSuffix(p, ".ipynb") }

// top is the first folder of a path, or the path.
func top(p string) string {
	if dir, _, ok := strings.Cut(p, "/"); ok {
		return dir + "/"
	}
	return path.Clean(p)
}
