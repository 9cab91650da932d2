//go:build e2e

package e2e

import (
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// mood is what a wire does with the bytes on it.
type mood string

const (
	calm      mood = "calm"
	refusing  mood = "refusing"   // hangs up at once
	silent    mood = "silent"     // takes what comes, and passes nothing on
	slow      mood = "slow"       // some 20 kB/s
	garbling  mood = "garbling"   // changes a bit now and then
	s3Failing mood = "failing"    // S3 alone: an error, nothing stored
	s3Stored  mood = "yet stored" // S3 alone: an error, and yet stored
	s3Ahead   mood = "ahead"      // S3 alone: its clock is some minutes ahead
)

// unruly stands between two parts. What it does can change at any moment,
// also for what is on its way.
type unruly struct {
	addr, to string
	garbled  atomic.Int64 // bits

	mu      sync.Mutex
	now     mood
	changed chan struct{} // closed when the mood changes
	conns   map[net.Conn]bool
	dice    *rand.Rand
}

func startUnruly(t testing.TB, to string, seed uint64) *unruly {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w := &unruly{
		addr: l.Addr().String(), to: to, now: calm,
		changed: make(chan struct{}), conns: map[net.Conn]bool{}, dice: rand.New(rand.NewPCG(seed, 1)),
	}
	t.Cleanup(func() { l.Close(); w.cut() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.serve(c)
		}
	}()
	return w
}

func (w *unruly) turn(to mood) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = to
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *unruly) mood() (mood, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now, w.changed
}

// cut ends all connections that there are.
func (w *unruly) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		c.Close()
	}
}

func (w *unruly) keep(c net.Conn, yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if yes {
		w.conns[c] = true
	} else {
		delete(w.conns, c)
	}
}

func (w *unruly) serve(client net.Conn) {
	defer client.Close()
	w.keep(client, true)
	defer w.keep(client, false)
	if now, _ := w.mood(); now == refusing {
		return
	}
	server, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer server.Close()
	w.keep(server, true)
	defer w.keep(server, false)
	over := make(chan struct{}, 2)
	pass := func(to, from net.Conn) {
		w.pass(to, from)
		if half, ok := to.(*net.TCPConn); ok {
			_ = half.CloseWrite()
		}
		over <- struct{}{}
	}
	go pass(server, client)
	go pass(client, server)
	<-over
	<-over
}

func (w *unruly) pass(to io.Writer, from io.Reader) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !w.through(to, buf[:n]) || err != nil {
			return
		}
	}
}

// through passes bytes on as the mood is; false when the connection is over.
func (w *unruly) through(to io.Writer, b []byte) bool {
	for {
		switch now, changed := w.mood(); now {
		case refusing:
			return false
		case silent:
			select {
			case <-changed:
			case <-time.After(time.Minute): // nobody waits that long for anything
				return false
			}
			continue
		case slow:
			for len(b) > 1<<10 {
				if _, err := to.Write(b[:1<<10]); err != nil {
					return false
				}
				b = b[1<<10:]
				select {
				case <-changed:
				case <-time.After(50 * time.Millisecond):
				}
			}
		case garbling:
			w.mu.Lock()
			if w.dice.IntN(8) == 0 {
				b[w.dice.IntN(len(b))] ^= 1 << w.dice.IntN(8)
				w.garbled.Add(1)
			}
			w.mu.Unlock()
		}
		_, err := to.Write(b)
		return err == nil
	}
}

// faultyS3 stands before a real S3 server and answers some of what changes or
// reads the store with an error: before it was done, or after. Signatures
// cover the Host, which is passed on as it came.
type faultyS3 struct {
	addr           string
	failed, stored atomic.Int64 // errors of both kinds

	mu   sync.Mutex
	now  mood
	dice *rand.Rand
}

func startFaultyS3(t testing.TB, endpoint string, seed uint64) *faultyS3 {
	t.Helper()
	to, err := url.Parse(endpoint)
	must(t, err)
	f := &faultyS3{now: calm, dice: rand.New(rand.NewPCG(seed, 2))}
	through := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
		},
		Transport:    &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 32},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) { w.WriteHeader(http.StatusBadGateway) },
		ErrorLog:     log.New(io.Discard, "", 0),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	f.addr = l.Addr().String()
	server := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(through, w, r) })}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	return f
}

func (f *faultyS3) turn(to mood) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = to
}

func (f *faultyS3) serve(through http.Handler, w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	now := f.now
	if now != s3Ahead && f.dice.IntN(2) == 0 {
		now = calm // half of them go well
	}
	f.mu.Unlock()
	switch now {
	case s3Failing:
		f.failed.Add(1)
		http.Error(w, "<Error><Code>SlowDown</Code></Error>", http.StatusServiceUnavailable)
	case s3Stored:
		f.stored.Add(1)
		through.ServeHTTP(&unheard{header: http.Header{}}, r)
		http.Error(w, "<Error><Code>InternalError</Code></Error>", http.StatusInternalServerError)
	case s3Ahead:
		through.ServeHTTP(ahead{w}, r)
	default:
		through.ServeHTTP(w, r)
	}
}

// ahead is an answer by a clock that is ahead: more than a syncer takes, less
// than signatures of requests bear.
type ahead struct{ http.ResponseWriter }

func (a ahead) WriteHeader(status int) {
	a.Header().Set("Date", time.Now().UTC().Add(7*time.Minute).Format(http.TimeFormat))
	a.ResponseWriter.WriteHeader(status)
}

// unheard takes an answer that nobody hears.
type unheard struct{ header http.Header }

func (u *unheard) Header() http.Header         { return u.header }
func (u *unheard) WriteHeader(int)             {}
func (u *unheard) Write(b []byte) (int, error) { return len(b), nil }
