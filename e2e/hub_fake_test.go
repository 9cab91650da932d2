//go:build e2e

package e2e

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// badService stands where the service should be, and is ill in one of many
// ways.
type badService struct {
	t      testing.TB
	l      net.Listener
	over   chan struct{}
	mu     sync.Mutex
	answer string // what it says to a request; see illnesses
	asked  int
}

// illnesses are the answers, by what is wrong; silent hangs until the test
// ends, half ends in the middle and keeps the connection.
var illnesses = map[string]string{
	"silent":     "",
	"500":        "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\n{}",
	"garbage":    "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n<html></html",
	"no HTTP":    "SSH-2.0-OpenSSH_9.2\r\n",
	"half":       "HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n{\"format\": 1, \"ticket\": \"st1.",
	"hangs up":   "HTTP/1.1 200 OK\r\nContent-Le",
	"wrong type": "HTTP/1.1 200 OK\r\nContent-Length: 51\r\n\r\n{\"url\": \"http://x\", \"ticket\": \"a\\u0000b\", \"keys\": []}",
	"elsewhere":  "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
	"endless":    "HTTP/1.1 200 OK\r\n\r\n{\"ticket\": \"" + strings.Repeat("t", 3<<20),
}

func newBadService(t testing.TB) *badService {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	b := &badService{t: t, l: l, over: make(chan struct{})}
	t.Cleanup(func() { l.Close(); close(b.over) })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go b.serve(c)
		}
	}()
	return b
}

func (b *badService) serve(c net.Conn) {
	defer c.Close()
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	b.mu.Lock()
	b.asked++
	answer := b.answer
	b.mu.Unlock()
	_, _ = io.WriteString(c, answer)
	if answer == illnesses["silent"] || answer == illnesses["half"] {
		<-b.over
	}
}

func (b *badService) be(illness string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = illnesses[illness]
}

func (b *badService) requests() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked
}

func (b *badService) hook(args string) string {
	return "import satchel_hub\nsatchel_hub.install(c, url=\"http://" + b.l.Addr().String() + "\", secret_file=here + \"/hook-secret\"" + args + ")\n"
}
