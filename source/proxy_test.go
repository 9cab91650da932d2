package source

import (
	"bufio"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"satchel/internal/sshgit"
	"satchel/internal/webgit"
)

// forwarder is a small HTTP proxy that knows CONNECT, and some names. (Real
// ones are tried in e2e.)
type forwarder struct {
	l     net.Listener
	login string // USER:PASSWORD, "" for none
	names map[string]string
	wg    sync.WaitGroup

	mu sync.Mutex
	n  int
}

func connectProxy(t testing.TB, login string, names map[string]string) *forwarder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &forwarder{l: l, login: login, names: names}
	f.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.wg.Go(func() { f.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); f.wg.Wait() })
	return f
}

func (f *forwarder) addr() string { return f.l.Addr().String() }

func (f *forwarder) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

func (f *forwarder) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	req, err := http.ReadRequest(r)
	if err != nil || req.Method != http.MethodConnect {
		return
	}
	if want := "Basic " + base64.StdEncoding.EncodeToString([]byte(f.login)); f.login != "" && req.Header.Get("Proxy-Authorization") != want {
		io.WriteString(c, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
		return
	}
	to := req.Host
	if host, _, err := net.SplitHostPort(to); err == nil && f.names[host] != "" {
		to = f.names[host]
	}
	out, err := net.Dial("tcp", to)
	if err != nil {
		io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
		return
	}
	defer out.Close()
	f.mu.Lock()
	f.n++
	f.mu.Unlock()
	io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
	done := make(chan struct{}, 2)
	go func() { io.Copy(out, r); out.(*net.TCPConn).CloseWrite(); done <- struct{}{} }()
	go func() { io.Copy(c, out); c.(*net.TCPConn).CloseWrite(); done <- struct{}{} }()
	<-done
	<-done
}

func TestSSHThroughAProxy(t *testing.T) {
	r := newRepo(t)
	r.write("a.txt", "a\n")
	r.commit()
	h := serve(t, r, sshgit.Options{})
	p := connectProxy(t, "", nil)
	remote := h.remote
	remote.Proxy = "http://" + p.addr()
	newest(t, newMirror(t, remote))
	if n := p.count(); n < 2 {
		t.Errorf("%d connections through the proxy", n)
	}
	host, keys, err := ScanHostKeys(t.Context(), remote.URL, remote.Proxy)
	if err != nil || len(keys) == 0 {
		t.Errorf("%s: %v, %v", host, keys, err)
	}
	remote.Proxy = "http://127.0.0.1:1"
	_, err = newMirror(t, remote).Tip(t.Context())
	fails(t, err, Proxy, "through the proxy 127.0.0.1:1")
	login := connectProxy(t, "ana:secret", nil)
	remote.Proxy = "http://" + login.addr()
	_, err = newMirror(t, remote).Tip(t.Context())
	fails(t, err, Proxy, "proxy_file")
	remote.Proxy, remote.ProxyFile = "", tokenFile(t, "http://ana:secret@"+login.addr())
	newest(t, newMirror(t, remote))
	remote.ProxyFile = absent
	_, err = newMirror(t, remote).Tip(t.Context())
	fails(t, err, Proxy, absent)
}

// A proxy that answers anything else, or for ever, or not at all.
func TestProxiesThatAreNone(t *testing.T) {
	r := newRepo(t)
	r.commit()
	h := serve(t, r, sshgit.Options{})
	_, web := webHost(t, r, webgit.Options{})
	for name, says := range map[string]string{
		"refuses":       "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
		"no HTTP":       "SSH-2.0-nonsense\r\n",
		"endless":       "HTTP/1.1 200 OK\r\nX: " + string(make([]byte, 0)),
		"says nothing":  "",
		"hangs up half": "HTTP/1.1 200",
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					io.WriteString(c, says)
					if name == "endless" {
						for {
							if _, err := c.Write(make([]byte, 1<<10)); err != nil {
								break
							}
						}
					}
					if name == "says nothing" {
						io.Copy(io.Discard, c)
					}
					c.Close()
				}
			})
			t.Cleanup(func() { l.Close(); wg.Wait() })
			for _, remote := range []Remote{h.remote, web} {
				remote.Proxy = "http://" + l.Addr().String()
				m, err := NewMirror(logger(t), t.TempDir(), remote, Options{Idle: time.Second})
				if err != nil {
					t.Fatal(err)
				}
				_, err = m.Tip(t.Context())
				fails(t, err, Proxy, "through", l.Addr().String())
			}
		})
	}
}

// A host that is not what it should be is not the proxy's fault, whatever kind
// of proxy is on the way.
func TestWhatAProxyIsNotToBlameFor(t *testing.T) {
	r := newRepo(t)
	r.commit()
	s, remote := webHost(t, r, webgit.Options{})
	through := connectProxy(t, "", nil)
	remote.CAFile = ""
	remote.Proxy = "http://" + through.addr()
	_, err := newMirror(t, remote).Tip(t.Context())
	fails(t, err, Certificate)
	remote.Proxy = "socks5://" + socksTo(t, s.Addr())
	_, err = newMirror(t, remote).Tip(t.Context())
	fails(t, err, Certificate)
	remote.Proxy = "socks5://" + connectProxy(t, "", nil).addr() // it waits for a request
	m, err := NewMirror(logger(t), t.TempDir(), remote, Options{Idle: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Tip(t.Context())
	fails(t, err, Proxy, "through the proxy")
}

// socksTo is a small SOCKS5 proxy without login that leads to one address.
// (A real one is tried in e2e.)
func socksTo(t testing.TB, to string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { socks(c, to) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

func socks(c net.Conn, to string) {
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, 3)); err != nil { // version, one method, none
		return
	}
	c.Write([]byte{5, 0})
	if _, err := io.ReadFull(c, make([]byte, 10)); err != nil { // connect to an IPv4 address
		return
	}
	out, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer out.Close()
	c.Write([]byte{5, 0, 0, 1, 127, 0, 0, 1, 0, 0})
	go func() { io.Copy(out, c); out.(*net.TCPConn).CloseWrite() }()
	io.Copy(c, out)
}

func TestProxyAddresses(t *testing.T) {
	for raw, want := range map[string]string{"http://proxy": "proxy:80", "socks5://[::1]": "[::1]:1080", "https://proxy:3129/": "proxy:3129"} {
		if u, err := parseProxy(raw); err != nil || u.Host != want {
			t.Errorf("%s: %v, %v", raw, u, err)
		}
	}
	for raw, says := range map[string]string{"proxy:3128": "http://proxy.school.org:3128", "ftp://proxy": "no kind of proxy", "http://ana:secret@": "cannot be read", "http://proxy/x": "cannot be read"} {
		_, err := parseProxy(raw)
		fails(t, err, Proxy, says)
	}
}

// What LFS names may be at a private address where the proxy asks for it, not
// we; the proxy is known also where its URL has no port.
func TestWhichAddressIsTheProxys(t *testing.T) {
	for by, at := range map[string]string{
		"http://proxy.school.org:3128": "proxy.school.org:3128", "http://proxy.school.org": "proxy.school.org:80", "https://proxy.school.org": "proxy.school.org:443",
		"socks5://10.0.0.1": "10.0.0.1:1080", "http://[fd00::1]": "[fd00::1]:80", "http://[fd00::1]:3128": "[fd00::1]:3128",
	} {
		u, err := url.Parse(by)
		if err != nil {
			t.Fatal(err)
		}
		tr := &http.Transport{Proxy: http.ProxyURL(u)}
		if !viaProxy(tr, at) || viaProxy(tr, "proxy.school.org:8080") {
			t.Errorf("%s is not %s alone", by, at)
		}
	}
	if viaProxy(&http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }}, "proxy.school.org:80") {
		t.Error("no proxy is one")
	}
}
