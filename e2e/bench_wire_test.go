//go:build e2e

package e2e

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// wire passes connections on to a server and counts what goes over them.
type wire struct {
	net.Listener
	to       string
	bytes    atomic.Int64 // both ways
	requests atomic.Int64 // of HTTP
	open     sync.WaitGroup
}

func newWire(t testing.TB, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	w := &wire{Listener: l, to: to}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.open.Go(func() { w.pass(c) })
		}
	}()
	return w
}

func (w *wire) addr() string { return w.Listener.Addr().String() }

func (w *wire) pass(c net.Conn) {
	defer c.Close()
	s, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer s.Close()
	asked, tee := io.Pipe()
	var both sync.WaitGroup
	both.Go(func() { w.count(asked) })
	both.Go(func() {
		n, _ := io.Copy(io.MultiWriter(s, tee), c)
		w.bytes.Add(n)
		tee.Close()
		_ = s.(*net.TCPConn).CloseWrite()
	})
	n, _ := io.Copy(c, s)
	w.bytes.Add(n)
	_ = c.(*net.TCPConn).CloseWrite()
	both.Wait()
}

// count counts requests as long as they are HTTP.
func (w *wire) count(asked io.Reader) {
	r := bufio.NewReader(asked)
	for {
		q, err := http.ReadRequest(r)
		if err != nil {
			_, _ = io.Copy(io.Discard, r)
			return
		}
		w.requests.Add(1)
		_, _ = io.Copy(io.Discard, q.Body)
	}
}

// counted gives bytes and requests, once all connections are over.
func (w *wire) counted() (bytes, requests int64) {
	w.open.Wait()
	return w.bytes.Load(), w.requests.Load()
}
