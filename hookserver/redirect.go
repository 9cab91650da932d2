package hookserver

import (
	"context"
	"iter"
	"sync"
	"time"

	"satchel/bundle"
	"satchel/store"
)

// With delivery: redirect, frames of some stored bundles are not sent: the
// answer names signed URLs of those bundles in S3, and agents read the ranges
// there. A signed URL gives the whole object, its index and history too, to
// whoever has it. So the one question is whether this student may read every
// byte of the bundle (mayOpen); of any other bundle, frames are chosen and sent
// by this service as ever.

const (
	// urlLife is how long a signed URL is good for the beginning of a request:
	// an agent that waits behind a slow answer has time, and who leaves a
	// course keeps no door open for long.
	urlLife = 15 * time.Minute
	// urlFresh is how long one is given out again: signing costs a quarter of a
	// millisecond, and at nine o'clock all ask for the same.
	urlFresh = time.Minute
	// minRedirected is from how many bytes of one bundle on a request of its
	// own is worth it. Below, to send them costs this service no more than to
	// answer at all (measured: 1 ms either way), and the asker waits longer for
	// two answers than for one.
	minRedirected = 250_000
	maxLinks      = 10_000 // URLs in memory
	signTime      = time.Second
)

// mayOpen says whether a student may have all of a stored bundle: it is one of
// a channel in view, every frame in it is one that may be sent (all that it
// holds is named by the newest manifests in view), and there is nothing between
// or behind its frames. Its index and history name former paths of that channel
// alone, which GET …/history tells the same student.
func (v *view) mayOpen(d bundle.Digest) bool {
	for _, ch := range v.channels {
		for _, ref := range ch.Bundles {
			if ref.Digest == d {
				return v.mayReadAll(ch.indexes[d], ref)
			}
		}
	}
	return false
}

func (v *view) mayReadAll(x *bundle.Index, ref store.BundleRef) bool {
	if x == nil || len(x.Frames) == 0 {
		return false
	}
	at := x.Frames[0].Offset
	for i := range x.Frames {
		f := &x.Frames[i]
		if f.Offset != at || !v.maySend(f) {
			return false
		}
		at += f.Length
	}
	return at == ref.Size
}

// open are the bundles of an answer whose URL is worth signing and may be.
func (v *view) open(pieces []piece) (out []bundle.Digest) {
	lying := map[bundle.Digest]int64{}
	for _, f := range pieces {
		if f.made == nil {
			lying[f.stored.bundle] += f.offered.Length
		}
	}
	for d, n := range lying {
		if n >= minRedirected && v.mayOpen(d) {
			out = append(out, d)
		}
	}
	return out
}

// signed is p with URLs, for one answer. Where the store cannot sign, the
// bytes follow as without.
func (s *Server) signed(ctx context.Context, p *prepared) *prepared {
	if !s.o.Redirect || len(p.open) == 0 {
		return p
	}
	out := *p
	out.urls = make(map[bundle.Digest]string, len(p.open))
	for _, d := range p.open {
		link, err := s.links.get(ctx, store.BundleKey(p.course, d))
		if err != nil {
			s.unsigned.Do(func() {
				s.lg.Warn("no URL is signed; the bytes are sent by this service", "course", p.course, "err", err)
			})
			continue
		}
		out.urls[d] = link
	}
	return &out
}

// links are signed URLs of the last minute, by the keys of their objects.
type links struct {
	store store.Store
	now   func() time.Time
	mu    sync.Mutex
	made  time.Time
	at    map[string]string
}

// get gives a URL that was signed within urlFresh. All of a minute go together,
// so that none is held for longer than it is of use.
func (l *links) get(ctx context.Context, key string) (string, error) {
	if link := l.known(key); link != "" {
		return link, nil
	}
	// Credentials may have to be fetched; then this service is the faster way.
	ctx, cancel := context.WithTimeout(ctx, signTime)
	defer cancel()
	began := l.now()
	link, err := l.store.SignedURL(ctx, key, urlLife)
	if err == nil {
		l.keep(key, link, began)
	}
	return link, err
}

func (l *links) known(key string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if age := l.now().Sub(l.made); age < 0 || age >= urlFresh {
		return ""
	}
	return l.at[key]
}

// keep begins a new minute where the last one is over.
func (l *links) keep(key, link string, began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if age := began.Sub(l.made); age < 0 || age >= urlFresh || len(l.at) >= maxLinks {
		l.made, l.at = began, map[string]string{}
	}
	l.at[key] = link
}

// elsewhere says that a piece lies behind a URL of this answer.
func (p *prepared) elsewhere(f piece) bool {
	return f.made == nil && p.urls[f.stored.bundle] != ""
}

// inside are the pieces whose bytes follow in the answer.
func (p *prepared) inside() iter.Seq[piece] {
	return func(yield func(piece) bool) {
		for _, f := range p.pieces {
			if !p.elsewhere(f) && !yield(f) {
				return
			}
		}
	}
}

// outside is how many bytes lie behind the answer's URLs.
func (p *prepared) outside() (n int64) {
	for _, f := range p.pieces {
		if p.elsewhere(f) {
			n += f.offered.Length
		}
	}
	return n
}
