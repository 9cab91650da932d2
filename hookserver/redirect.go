package hookserver

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"satchel/bundle"
	"satchel/hook"
	"satchel/store"
)

// With delivery: redirect, many stored frames of an answer are not sent: the
// answer names signed URLs of sections of their bundles in S3, and agents read
// these there. A URL is good for the bytes of its section alone, so it needs no
// rule of its own: they are frames of this answer (choose), and nothing beside.

const (
	// urlLife is how long a signed URL is good for the beginning of a request:
	// an agent that waits behind a slow answer has time, and who leaves a
	// course keeps no door open for long.
	urlLife = 15 * time.Minute
	// urlFresh is how long one is given out again: signing costs a quarter of a
	// millisecond, and at nine o'clock all ask for the same.
	urlFresh = time.Minute
	// minRedirected is from how many bytes in a row on a request of its own is
	// worth it. Below, to send them costs this service no more than to answer
	// at all (measured: 1 ms either way), and the asker waits for one answer
	// more.
	minRedirected = 250_000
	// maxSection is about the longest section: of one that breaks off the rest
	// comes from this service, for its URL is good for all of it or nothing.
	maxSection = 16 << 20
	// maxRuns is how many runs of one course's answer are redirected, the
	// longest. The sections of all of them are at most twice as many.
	maxRuns  = 50
	maxLinks = 10_000 // URLs in memory
	// signTime is for all URLs of one course's answer, and signPause how long
	// after a fault none is signed: this service is the other way.
	signTime  = time.Second
	signPause = 10 * time.Second
)

// run is neighbouring frames of a stored bundle, all of them of one answer.
type run struct {
	bundle   bundle.Digest
	from, to int64
}

func (r run) length() int64 { return r.to - r.from }

// runs are those of an answer that are worth redirecting, the longest first.
func runs(pieces []piece) (out []run) {
	var lying []*hook.Offered
	for i := range pieces {
		if pieces[i].made == nil {
			lying = append(lying, &pieces[i].offered)
		}
	}
	slices.SortFunc(lying, func(a, b *hook.Offered) int {
		return cmp.Or(bytes.Compare(a.Bundle[:], b.Bundle[:]), cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Length, b.Length))
	})
	for _, f := range lying {
		last := len(out) - 1
		switch {
		case last < 0 || out[last].bundle != f.Bundle || out[last].to < f.Offset:
			out = append(out, run{f.Bundle, f.Offset, f.Offset + f.Length})
		case out[last].to == f.Offset:
			out[last].to += f.Length
		} // else one lies over another, which is no index of ours: it is sent
	}
	out = slices.DeleteFunc(out, func(r run) bool { return r.length() < minRedirected })
	slices.SortStableFunc(out, func(a, b run) int { return cmp.Compare(b.length(), a.length()) })
	return slices.Clip(out[:min(len(out), maxRuns)])
}

// cut gives the even sections of runs: none is longer than maxSection, unless
// that would make too many.
func cut(list []run) (out [][]run) {
	total := int64(0)
	for _, r := range list {
		total += r.length()
	}
	longest := max(maxSection, (total+maxRuns-1)/maxRuns)
	for _, r := range list {
		n := (r.length() + longest - 1) / longest
		var parts []run
		for i := range n {
			parts = append(parts, run{r.bundle, r.from + r.length()*i/n, r.from + r.length()*(i+1)/n})
		}
		out = append(out, parts)
	}
	return out
}

// signed is p with URLs, for one answer. Where the store cannot sign, the
// bytes follow as without: a run has all of its URLs, or none.
func (s *Server) signed(ctx context.Context, p *prepared) *prepared {
	if !s.o.Redirect || len(p.runs) == 0 {
		return p
	}
	// S3 may be away, or credentials have to be fetched.
	ctx, cancel := context.WithTimeout(ctx, signTime)
	defer cancel()
	out := *p
	out.urls = nil
	for _, parts := range cut(p.runs) {
		list, err := s.links.sections(ctx, p.course, parts)
		if err != nil {
			s.unsigned.Do(func() {
				s.lg.Warn("no URL is signed; the bytes are sent by this service", "course", p.course, "err", err)
			})
			break
		}
		out.urls = append(out.urls, list...)
	}
	hook.SortSections(out.urls)
	return &out
}

// link is what a URL is of: the same bundle may be another course's too.
type link struct {
	course string
	run
}

func (l link) key() string { return store.BundleKey(l.course, l.bundle) }

// links are signed URLs of the last minute, and the ETags of their objects.
type links struct {
	store store.Store
	now   func() time.Time
	heads *flights[string] // by key of the object
	mu    sync.Mutex
	made  time.Time
	at    map[link]hook.Section
	tags  map[string]string // by key
	fault error             // the last one
	since time.Time

	proven  bool  // that the server holds URLs to their sections
	refused error // it does not: nothing is ever signed
}

func newLinks(o Options) *links {
	return &links{store: o.Store, now: o.Now, heads: newFlights[string]()}
}

// sections gives URLs that were signed within urlFresh. All of a minute go
// together, so that none is held for longer than it is of use.
func (l *links) sections(ctx context.Context, course string, parts []run) (out []hook.Section, err error) {
	if err := l.faulty(); err != nil {
		return nil, err
	}
	for _, r := range parts {
		at := link{course, r}
		s, ok := l.known(at)
		if !ok {
			if s, err = l.sign(ctx, at); err != nil {
				l.failed(ctx, err)
				return nil, err
			}
		}
		out = append(out, s)
	}
	return out, nil
}

func (l *links) sign(ctx context.Context, at link) (hook.Section, error) {
	began := l.now()
	tag, err := l.tag(ctx, at.key())
	if err != nil {
		return hook.Section{}, fmt.Errorf("look at the bundle: %w", err)
	}
	sec := store.Section{ETag: tag, Offset: at.from, Length: at.length()}
	if err := l.prove(ctx, at.key(), sec); err != nil {
		return hook.Section{}, err
	}
	url, err := l.store.SignedURL(ctx, at.key(), sec, urlLife)
	if err != nil {
		return hook.Section{}, err
	}
	s := hook.Section{Bundle: at.bundle, Offset: at.from, Length: at.length(), ETag: tag, URL: url}
	l.keep(began, func() { l.at[at] = s })
	return s, nil
}

// prove sees once, before the first URL goes out, that the server holds URLs to
// their sections: all that keeps the rest of a bundle shut.
func (l *links) prove(ctx context.Context, key string, sec store.Section) error {
	server, ok := l.store.(interface {
		CheckSection(context.Context, string, store.Section) error
	})
	if l.mu.Lock(); l.proven || !ok {
		l.mu.Unlock()
		return nil
	}
	l.mu.Unlock()
	_, err := l.heads.do(ctx, "prove", func(ctx context.Context) (string, error) { return "", server.CheckSection(ctx, key, sec) })
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.proven = err == nil; errors.Is(err, store.ErrSections) {
		l.refused = err
	}
	return err
}

// tag is an object's ETag, asked once a minute.
func (l *links) tag(ctx context.Context, key string) (string, error) {
	if tag := l.knownTag(key); tag != "" {
		return tag, nil
	}
	began := l.now()
	tag, err := l.heads.do(ctx, key, func(ctx context.Context) (string, error) {
		o, err := l.store.Head(ctx, key)
		return o.ETag, err
	})
	if err == nil {
		l.keep(began, func() { l.tags[key] = tag })
	}
	return tag, err
}

func within(age, d time.Duration) bool { return age >= 0 && age < d }

func (l *links) known(at link) (hook.Section, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.at[at]
	return s, ok && within(l.now().Sub(l.made), urlFresh)
}

func (l *links) knownTag(key string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !within(l.now().Sub(l.made), urlFresh) {
		return ""
	}
	return l.tags[key]
}

// keep begins a new minute where the last one is over.
func (l *links) keep(began time.Time, put func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !within(began.Sub(l.made), urlFresh) || max(len(l.at), len(l.tags)) >= maxLinks {
		l.made, l.at, l.tags = began, map[link]hook.Section{}, map[string]string{}
	}
	put()
}

func (l *links) faulty() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refused != nil {
		return l.refused
	}
	if within(l.now().Sub(l.since), signPause) {
		return l.fault
	}
	return nil
}

// failed notes a fault, unless it is of one asker, who went away, or of one
// bundle.
func (l *links) failed(ctx context.Context, err error) {
	if errors.Is(ctx.Err(), context.Canceled) || errors.Is(err, store.ErrNotFound) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault, l.since = err, l.now()
}

// elsewhere says that a piece lies behind URLs of this answer.
func (p *prepared) elsewhere(f *piece) bool {
	c := hook.CourseOffer{URLs: p.urls}
	return f.made == nil && c.Elsewhere(&f.offered)
}

// inside are the pieces whose bytes follow in the answer.
func (p *prepared) inside() iter.Seq[piece] {
	return func(yield func(piece) bool) {
		for i := range p.pieces {
			if !p.elsewhere(&p.pieces[i]) && !yield(p.pieces[i]) {
				return
			}
		}
	}
}

// outside is how many bytes lie behind the answer's URLs.
func (p *prepared) outside() (n int64) {
	for i := range p.pieces {
		if p.elsewhere(&p.pieces[i]) {
			n += p.pieces[i].offered.Length
		}
	}
	return n
}
