package hookserver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"satchel/bundle"
	"satchel/hook"
)

func TestRequestLimits(t *testing.T) {
	w := school(t)
	s := w.student("ana")
	long := strings.Repeat("x", 9000)
	for name, c := range map[string]struct {
		method, path string
		header       http.Header
		body         io.Reader
		want         int
	}{
		"header":               {"GET", "/v1/sync", http.Header{"X": {strings.Repeat("x", 17<<10)}}, nil, 413},
		"many headers":         {"GET", "/v1/sync", http.Header{"X": strings.Split(strings.Repeat("x ", 9000), " ")}, nil, 431},
		"query":                {"GET", "/v1/sync?have=" + long, nil, nil, 413},
		"sync body":            {"POST", "/v1/sync", nil, strings.NewReader(strings.Repeat("x", maxSyncBody+1)), 413},
		"sync body, no length": {"POST", "/v1/sync", nil, io.MultiReader(strings.NewReader(strings.Repeat("x", maxSyncBody+1))), 413},
		"ask body":             {"POST", "/v1/courses/open/files", nil, strings.NewReader(strings.Repeat("x", maxAskBody+1)), 413},
		"asks":                 {"POST", "/v1/courses/open/files", nil, strings.NewReader(`{"digests":["` + strings.Repeat(`","`, hook.MaxAsked) + `"]}`), 400},
		"head body":            {"POST", "/v1/heads", nil, strings.NewReader(strings.Repeat(" ", maxHeadBody+1)), 413},
		"renew body":           {"POST", "/v1/renew", nil, strings.NewReader(strings.Repeat(" ", 2000)), 413},
		"haves":                {"GET", "/v1/sync?" + strings.Repeat("have=a:1::&", maxHaves+1), nil, nil, 400},
		"channels":             {"GET", "/v1/sync?have=a:1::" + strings.Repeat("c,", maxChannels) + "c", nil, nil, 400},
		"a long key":           {"GET", "/v1/sync?keys=" + long[:65], nil, nil, 400},
		"keys":                 {"GET", "/v1/sync?" + strings.Repeat("keys=a&", maxKeys+1), nil, nil, 400},
		"twice the course":     {"GET", "/v1/sync?have=open:1:x:&have=open:2:x:", nil, nil, 400},
		"no have":              {"GET", "/v1/sync?have=open", nil, nil, 400},
		"bad escape":           {"GET", "/v1/sync?have=%zz", nil, nil, 400},
		"version beyond":       {"GET", "/v1/sync?have=open:9007199254740993:x:", nil, nil, 400},
		"no proof":             {"POST", "/v1/heads", nil, strings.NewReader(`{"format":1,"course":"open"}`), 400},
		"nothing wrong":        {"GET", "/v1/sync?have=open:0::", nil, nil, 200},
		"method":               {"DELETE", "/v1/sync", nil, nil, 404},
		"trace":                {"TRACE", "/v1/sync", nil, nil, 404},
	} {
		resp := s.do(c.method, c.path, c.header, c.body)
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", name, resp.StatusCode, c.want)
		}
	}
}

// hangingWorld is a service whose bundles do not come before release.
func hangingWorld(t *testing.T, change func(*Options)) (*world, *faulty, func()) {
	w, f, _ := cachedWorld(t, change)
	w.publish("scala", everyone(map[string]string{"big": noise(300_000, 1)}))
	f.holdMu.Lock()
	defer f.holdMu.Unlock()
	f.hold = make(chan struct{})
	return w, f, sync.OnceFunc(func() {
		f.holdMu.Lock()
		defer f.holdMu.Unlock()
		close(f.hold)
		f.hold = nil
	})
}

func TestFourStreamsForOneTicket(t *testing.T) {
	w, _, release := hangingWorld(t, nil)
	defer release()
	ana := w.student("ana")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			a, err := ana.client.Sync(t.Context(), nil, nil, "")
			if err != nil {
				t.Error(err)
				return
			}
			a.Close()
		})
	}
	w.waitFor(func() bool { return w.srv.guests.streamsOf("ana") == 4 })
	_, err := ana.client.Sync(t.Context(), nil, nil, "")
	wantError(t, err, http.StatusTooManyRequests, hook.CodeBusy)
	var e *hook.Error
	if errors.As(err, &e) && e.RetryAfter == 0 {
		t.Error("no Retry-After")
	}
	_, err = ana.client.Files(t.Context(), "scala", []bundle.Digest{bundle.Sum([]byte(noise(300_000, 1)))})
	wantError(t, err, http.StatusTooManyRequests, hook.CodeBusy)
	if err := ana.client.Receipt(t.Context(), hook.Receipt{Course: "scala", Version: 1}); err != nil {
		t.Errorf("small requests go on: %v", err)
	}
	release()
	wg.Wait()
	w.waitFor(func() bool { return w.srv.guests.streamsOf("ana") == 0 })
	ana.sync()
}

func (w *world) waitFor(cond func() bool) {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatal("it did not come to be")
		}
	}
}

func (g *guests) streamsOf(user string) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for who, s := range g.at {
		if who.user == user {
			n += s.streams + s.events
		}
	}
	return n
}

func TestRequestsOfOneTicketAreLimited(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Limits.Requests = 2 })
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"a": "a"}))
	ana, bob := w.student("ana"), w.student("bob")
	codes := map[int]int{}
	for range 30 { // the clock stands still
		codes[ana.status("GET", "/v1/sync", nil, nil)]++
	}
	if codes[200] != 20 || codes[429] != 10 {
		t.Errorf("%v", codes)
	}
	bob.sync()
	w.pass(5 * time.Second)
	ana.sync()
}

func TestBytesPerHour(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Limits.BytesPerHour = 500_000 })
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"big": noise(300_000, 1)}))
	ana := w.student("ana")
	for i := range 3 {
		status := ana.status("GET", "/v1/sync", nil, nil)
		if want := map[bool]int{true: 200, false: 429}[i < 2]; status != want {
			t.Errorf("download %d: %d", i, status)
		}
		w.waitFor(func() bool { return w.srv.guests.streamsOf("ana") == 0 })
	}
	w.pass(time.Hour)
	ana.sync()
}

// Tickets of different (user, server) never share a count, whatever the names.
func TestGuestsAreTuples(t *testing.T) {
	g := newGuests(Limits{Streams: 1, EventStreams: 1, Requests: 1, BytesPerHour: 1}, time.Now)
	name := rapid.SampledFrom([]string{"", "a", "b", "a-2db", "a-b", "a/b", "A", "ä", "a\u0308", "a b", "-", "/"})
	rapid.Check(t, func(rt *rapid.T) {
		a := hook.Ticket{User: name.Draw(rt, "user"), Server: name.Draw(rt, "server")}
		b := hook.Ticket{User: name.Draw(rt, "user2"), Server: name.Draw(rt, "server2")}
		for _, tk := range []hook.Ticket{a, b} {
			if err := g.enter(tk); err != nil && !errors.As(err, new(busy)) {
				rt.Fatal(err)
			}
		}
		back, err := g.stream(a, false)
		if err != nil {
			rt.Fatal(err)
		}
		defer back()
		back2, err := g.stream(b, false)
		same := a.User == b.User && a.Server == b.Server
		if same != (err != nil) {
			rt.Fatalf("%+v %+v: %v", a, b, err)
		}
		if err == nil {
			back2()
		}
	})
}

// served runs the whole service on a loopback listener.
func (w *world) served() (addr string, stop func() error) {
	w.t.Helper()
	var lc net.ListenConfig
	front, err := lc.Listen(w.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	back, err := lc.Listen(w.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.srv.Serve(ctx, front, back, nil) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	w.t.Cleanup(func() { _ = stop() })
	return front.Addr().String(), stop
}

// Slowloris: a header that never ends is cut off after ReadHeaderTimeout.
func TestSlowHeader(t *testing.T) {
	t.Parallel()
	w := school(t)
	addr, _ := w.served()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	began := time.Now()
	fmt.Fprintf(conn, "GET /v1/sync HTTP/1.1\r\nHost: x\r\n")
	go func() {
		for range 100 { // a byte now and then
			time.Sleep(200 * time.Millisecond)
			if _, err := io.WriteString(conn, "X"); err != nil {
				return
			}
		}
	}()
	conn.SetReadDeadline(time.Now().Add(15 * time.Second))
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("still open")
	}
	if d := time.Since(began); d > 9*time.Second {
		t.Errorf("cut off after %s", d)
	}
}

// A body that never comes is cut off, also where no route reads one.
func TestSlowBody(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Limits.Body = 300 * time.Millisecond })
	addr, _ := w.served()
	for _, line := range []string{"POST /v1/receipts", "GET /v1/sync", "POST /nowhere"} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 100\r\n\r\n{", line, w.student("ana").ticket)
		conn.SetReadDeadline(time.Now().Add(8 * time.Second))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: still open: %v", line, err)
		}
	}
}

// A reader that takes nothing is cut off after Limits.Stall, and its stream
// is free again.
func TestSlowReader(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Limits.Stall = 300 * time.Millisecond })
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"big": noise(30_000_000, 1)}))
	addr, _ := w.served()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /v1/sync HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", w.student("ana").ticket)
	if _, err := bufio.NewReaderSize(conn, 16).ReadByte(); err != nil {
		t.Fatal(err)
	}
	w.waitFor(func() bool { return w.srv.guests.streamsOf("ana") == 0 })
}

func TestConnectionCap(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Limits.Connections = 3 })
	addr, _ := w.served()
	var open []net.Conn
	ticket := w.student("ana").ticket
	for range 3 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /v1/sync HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", ticket)
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	fourth, err := net.Dial("tcp", addr) // waits in the kernel's queue
	if err != nil {
		t.Fatal(err)
	}
	defer fourth.Close()
	fmt.Fprintf(fourth, "GET /v1/sync HTTP/1.1\r\nHost: x\r\n\r\n")
	fourth.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := fourth.Read(make([]byte, 1)); err == nil {
		t.Error("a fourth connection is served")
	}
	open[0].Close()
	fourth.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := fourth.Read(make([]byte, 1)); err != nil {
		t.Errorf("a place is free: %v", err)
	}
}

// Readiness goes off, event streams end, a running download ends whole.
func TestGracefulShutdown(t *testing.T) {
	w, _, release := hangingWorld(t, nil)
	addr, stop := w.served()
	ana := w.student("ana")
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	ana.client = hook.NewClient(hook.ClientOptions{URL: "http://" + addr, Ticket: func() string { return ana.ticket }, HTTP: client})
	download := make(chan error, 1)
	go func() {
		a, err := ana.client.Sync(t.Context(), nil, nil, "")
		if err == nil {
			defer a.Close()
			ana.take(a)
		}
		download <- err
	}()
	events := make(chan error, 1)
	hello := make(chan struct{})
	go func() {
		events <- ana.client.Events(t.Context(), func(hook.Event) error { close(hello); return nil })
	}()
	<-hello
	w.waitFor(func() bool { return w.srv.guests.streamsOf("ana") == 2 })
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	if err := <-events; !errors.Is(err, io.EOF) {
		t.Errorf("events: %v", err)
	}
	if !w.srv.draining.Load() {
		t.Error("still ready")
	}
	select {
	case err := <-stopped:
		t.Fatalf("stopped before the download: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	release()
	if err := <-download; err != nil || len(ana.disk) != 1 {
		t.Errorf("download: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("still listening")
	}
}

// An answer that does not end is cut off after Limits.Drain.
func TestShutdownDoesNotWaitForever(t *testing.T) {
	w, _, release := hangingWorld(t, func(o *Options) { o.Limits.Drain = 100 * time.Millisecond })
	defer release()
	addr, stop := w.served()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /v1/sync HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", w.student("ana").ticket)
	w.waitFor(func() bool { return w.srv.guests.streamsOf("ana") == 1 })
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestPanicIsOneAnswer(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"a": "a"}))
	ana := w.student("ana")
	was := w.srv.o.Courses
	w.srv.o.Courses = nil // a fault
	resp := ana.do("GET", "/v1/sync", nil, nil)
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 500 || !bytes.Contains(body, []byte(hook.CodeInternal)) || bytes.Contains(body, []byte("nil")) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	w.srv.o.Courses = was
	ana.sync()
}
