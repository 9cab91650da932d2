//go:build e2e

package e2e

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"satchel/internal/listen"
)

// proxy stands between agent and service. It records every byte both ways,
// may be slow, and may cut each connection after a while.
type proxy struct {
	addr  string
	limit *rate.Limiter // bytes a second to the agent; nil: as fast as it goes
	cut   time.Duration // 0: never

	mu       sync.Mutex
	recorded bytes.Buffer
	cuts     int
	away     bool
}

// refuse makes it hang up at once, or serve again.
func (p *proxy) refuse(away bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = away
}

func (p *proxy) refuses() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.away
}

func startProxy(t testing.TB, to string) *proxy {
	t.Helper()
	l, err := listen.Here()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &proxy{addr: l.Addr().String()}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c, to)
		}
	}()
	return p
}

func (p *proxy) serve(client net.Conn, to string) {
	defer client.Close()
	if p.refuses() {
		return
	}
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	if p.cut > 0 {
		timer := time.AfterFunc(p.cut, func() {
			p.mu.Lock()
			p.cuts++
			p.mu.Unlock()
			client.Close()
			server.Close()
		})
		defer timer.Stop()
	}
	go func() { _, _ = io.Copy(io.MultiWriter(server, p), client) }()
	buf := make([]byte, 32<<10)
	for {
		n, err := server.Read(buf)
		if n > 0 {
			p.wait(n)
			_, _ = p.Write(buf[:n])
			if _, werr := client.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *proxy) wait(n int) {
	if p.limit != nil {
		time.Sleep(p.limit.ReserveN(time.Now(), n).Delay())
	}
}

// Write records.
func (p *proxy) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.recorded.Write(b)
}

func (p *proxy) bytes() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.recorded.Bytes())
}
