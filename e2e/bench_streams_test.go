//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"satchel/hook"
)

// streamsResult is one release to many event streams.
type streamsResult struct {
	Streams   int     `json:"streams"`
	All       float64 `json:"all"`    // seconds until the last had it
	Half      float64 `json:"half"`   // until half of them had it
	Before    float64 `json:"before"` // p99 of logins, seconds
	During    float64 `json:"during"`
	Samples   int     `json:"samples"`
	PerStream int64   `json:"per_stream"` // bytes of the service's memory
	Files     int     `json:"files"`      // descriptors that the service had open at most
	CPU       float64 `json:"cpu"`        // seconds of the service, from the release to the last
}

// listener is one student's server that listens, as satchel-agent watch does.
type listener struct {
	client *hook.Client
	http   *http.Transport
	ticket string
}

// TestBenchStormStreams: 2,000 event streams, one release; and how long logins
// take meanwhile. STREAMS=200 measures less.
func TestBenchStormStreams(t *testing.T) {
	n := fromEnv("STREAMS", 2000)
	var files syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files))
	if want := uint64(2*n + 200); files.Max < want {
		t.Fatalf("this needs %d open files, and ulimit -Hn is %d", want, files.Max)
	}
	w := newWeather(t, materials()[1])
	pid := w.front.cmd.Process.Pid
	first, etag := w.held(t)
	idle := memoryOf(t, pid, "VmRSS")

	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	hello := make(chan struct{}, n)
	had := make(chan time.Time, n)
	for i := range n {
		l := w.listener(fmt.Sprintf("stream%d", i), i)
		all.Go(func() { l.listen(ctx, t, first, etag, hello, had) })
	}
	for range n {
		<-hello
	}
	out := &streamsResult{Streams: n, PerStream: (memoryOf(t, pid, "VmRSS") - idle) / int64(n)}

	window := 20 * time.Second
	before := w.trickle(t, window, nil)
	w.push(pushCell, nil)
	cpu := cpuTime(t, pid)
	released := time.Now()
	over := make(chan struct{})
	var took []float64
	all.Go(func() {
		defer close(over)
		for range n {
			took = append(took, (<-had).Sub(released).Seconds())
		}
	})
	w.v.publish()
	// From here on the release is the service's to find and the streams' to hear
	// of: what a publish itself takes of this machine is not theirs.
	during := w.trickle(t, window, over)
	<-over
	out.CPU = (cpuTime(t, pid) - cpu).Seconds()
	out.Files = openFiles(t, pid)
	slices.Sort(took)
	out.All, out.Half = took[n-1], took[n/2]
	out.Before, out.During, out.Samples = p99(before), p99(during), len(during)
	stormReport.Streams = out
	fmt.Printf("\n%d event streams, one release of one cell, course M\n\n| all have it, s | half, s | logins' p99 before, ms | during, ms | ratio | memory of a stream, kB | open files | service's CPU, s |\n|---|---|---|---|---|---|---|---|\n| %s | %s | %s | %s | %s × | %s | %d | %s |\n",
		n, short(out.All), short(out.Half), short(out.Before*1e3), short(out.During*1e3), short(out.During/out.Before), short(float64(out.PerStream)/1e3), out.Files, short(out.CPU))
	reportStorm(t)
}

// held is what an agent says after a first login: what it has, and the ETag.
func (w *weather) held(t *testing.T) (hook.Have, string) {
	t.Helper()
	l := w.listener("first", 0)
	defer l.http.CloseIdleConnections()
	a, err := l.client.Sync(t.Context(), nil, nil, "")
	must(t, err)
	defer a.Close()
	must(t, drain(a))
	head, err := a.Offer.Courses[0].Head.Peek()
	must(t, err)
	h := hook.Have{Course: head.Course, Version: head.Version, Fingerprint: head.Fingerprint()}
	for _, c := range head.Channels {
		h.Channels = append(h.Channels, c.ID)
	}
	return h, a.ETag
}

// drain reads an answer to its end.
func drain(a *hook.Answer) error {
	for {
		_, _, r, err := a.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if err != nil {
			return err
		}
	}
}

// listener is a student with a ticket and an address of their own, as in a
// container: the service bounds the connections of one address.
func (w *weather) listener(user string, i int) *listener {
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+i/200), byte(1+i%200))}}
	l := &listener{http: &http.Transport{DialContext: from.DialContext, IdleConnTimeout: 50 * time.Second}}
	adm := w.v.login(user)
	l.ticket = adm.Ticket
	l.client = hook.NewClient(hook.ClientOptions{URL: adm.URL, Ticket: func() string { return adm.Ticket }, HTTP: &http.Client{Transport: l.http}})
	return l
}

// listen holds the stream and, told of a change, waits as agents do and asks.
func (l *listener) listen(ctx context.Context, t *testing.T, first hook.Have, etag string, hello chan<- struct{}, had chan<- time.Time) {
	defer l.http.CloseIdleConnections()
	begun := sync.OnceFunc(func() { hello <- struct{}{} })
	hints := make(chan time.Duration, 1)
	var asking sync.WaitGroup
	defer asking.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	asking.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case wait := <-hints:
				if !pause(ctx, wait) {
					return
				}
			}
			if l.newer(ctx, t, first, etag) {
				had <- time.Now()
				return
			}
		}
	})
	err := l.client.Events(ctx, func(e hook.Event) error {
		switch e.Kind {
		case hook.EventHello:
			begun()
		case hook.EventChanged:
			select {
			case hints <- rand.N(hook.Spread(e.Listeners)):
			default:
			}
		}
		return nil
	})
	if ctx.Err() == nil {
		t.Errorf("an event stream ended: %v", err)
		begun()
		had <- time.Now()
	}
}

// pause waits; false: it is over.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// newer asks, and says whether the answer brought a newer version.
func (l *listener) newer(ctx context.Context, t *testing.T, first hook.Have, etag string) bool {
	a, err := l.client.Sync(ctx, []hook.Have{first}, nil, etag)
	if err == nil {
		defer a.Close()
		if a.NotModified {
			return false
		}
		err = drain(a)
	}
	if err != nil {
		if ctx.Err() == nil {
			t.Errorf("sync after an event: %v", err)
		}
		return true
	}
	head, err := a.Offer.Courses[0].Head.Peek()
	if err != nil || head.Version <= first.Version {
		t.Errorf("an answer without the newer version: %v", err)
	}
	return true
}

// trickle is forty logins a second, for so long and until over is closed: what
// the hub posts, and the first question, each on a new connection. It gives
// how long each took.
func (w *weather) trickle(t *testing.T, least time.Duration, over <-chan struct{}) (took []float64) {
	t.Helper()
	first, etag := w.held(t)
	end := time.Now().Add(least)
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	var mu sync.Mutex
	var all sync.WaitGroup
	for n := 0; time.Now().Before(end) || over != nil && !closed(over); n++ {
		clicked := <-tick.C
		all.Go(func() {
			l := w.listener(fmt.Sprintf("login%d-%d", clicked.UnixNano(), n), n)
			defer l.http.CloseIdleConnections()
			a, err := l.client.Sync(t.Context(), []hook.Have{first}, nil, etag)
			if err == nil {
				err = errors.Join(drain(a), a.Close())
			}
			if err != nil {
				t.Errorf("a login: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(clicked).Seconds())
		})
	}
	all.Wait()
	return took
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func p99(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)*99/100]
}

// memoryOf is a line of /proc/PID/status, in bytes.
func memoryOf(t testing.TB, pid int, line string) int64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	_, rest, _ := strings.Cut(string(data), line+":")
	var kB int64
	_, err = fmt.Sscanf(rest, "%d kB", &kB)
	must(t, err)
	return kB << 10
}

func openFiles(t testing.TB, pid int) int {
	t.Helper()
	names, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	must(t, err)
	return len(names)
}
