package source

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/proxy"

	"satchel/internal/secret"
)

// maxGreeting is how much a proxy may say before it lets us through.
const maxGreeting = 64 << 10

// parseProxy reads Remote.Proxy; nil for none.
func parseProxy(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		// Not what was given: it may hold a password.
		return nil, fault(Proxy, nil, "the proxy cannot be read as a URL; write `proxy` as in http://proxy.school.org:3128 or socks5://proxy.school.org:1080")
	}
	port := map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	if port == "" {
		return nil, fault(Proxy, nil, "%s:// is no kind of proxy that is known here; there are http://, https:// (by CONNECT) and socks5://", u.Scheme)
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	return u, nil
}

// proxy is the one on the way, as it is configured now; nil for none.
func (r *Remote) proxy() (*url.URL, error) {
	if r.ProxyFile == "" {
		return parseProxy(r.Proxy)
	}
	data, err := secret.ReadFile(r.ProxyFile)
	if err != nil {
		return nil, fault(Proxy, err, "the file %s that `proxy_file` names cannot be read: %v", r.ProxyFile, err)
	}
	return parseProxy(strings.TrimSpace(string(data)))
}

// dial connects to an SSH host, through a proxy unless by is nil.
func dial(ctx context.Context, by *url.URL, at address, idle time.Duration) (net.Conn, error) {
	timed, cancel := context.WithTimeout(ctx, idle)
	defer cancel()
	d := &net.Dialer{}
	if by == nil {
		conn, err := d.DialContext(timed, "tcp", at.dial())
		if err != nil && ctx.Err() == nil {
			err = unreachable(at, err)
		}
		return conn, causeOf(ctx, err)
	}
	conn, err := dialProxy(timed, d, by, at.dial())
	if err != nil && ctx.Err() == nil {
		err = fault(Proxy, err, "%s cannot be reached through the proxy %s (%s); see whether the proxy is well, and whether it lets connections to port %d through", at.host, by.Host, said(err.Error()), at.port)
	}
	return conn, causeOf(ctx, err)
}

// causeOf is the context's own cause where that ended.
func causeOf(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func dialProxy(ctx context.Context, d *net.Dialer, by *url.URL, to string) (net.Conn, error) {
	if strings.HasPrefix(by.Scheme, "socks5") {
		var auth *proxy.Auth
		if by.User != nil {
			password, _ := by.User.Password()
			auth = &proxy.Auth{User: by.User.Username(), Password: password}
		}
		socks, err := proxy.SOCKS5("tcp", by.Host, auth, d)
		if err != nil {
			return nil, err
		}
		return socks.(proxy.ContextDialer).DialContext(ctx, "tcp", to)
	}
	conn, err := dialHTTPProxy(ctx, d, by)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	through, err := connectThrough(conn, by, to)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return through, nil
}

// connectThrough asks an HTTP proxy for a connection (RFC 9110, 9.3.6).
func connectThrough(conn net.Conn, by *url.URL, to string) (net.Conn, error) {
	req := "CONNECT " + to + " HTTP/1.1\r\nHost: " + to + "\r\nUser-Agent: satchel\r\n"
	if by.User != nil {
		password, _ := by.User.Password()
		req += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(by.User.Username()+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(conn, req+"\r\n"); err != nil {
		return nil, err
	}
	greeting := &io.LimitedReader{R: conn, N: maxGreeting}
	r := bufio.NewReader(greeting)
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return nil, err
	}
	switch {
	case resp.StatusCode == http.StatusProxyAuthRequired:
		return nil, fmt.Errorf("it wants a login, or does not accept this one: put the URL with user and password into the file that `proxy_file` names")
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("it answers %s", said(resp.Status))
	}
	greeting.N = math.MaxInt64
	return &bufferedConn{conn, r}, nil
}

// bufferedConn is a connection of which the first bytes were read already.
type bufferedConn struct {
	net.Conn
	r *bufio.Reader
}

func (c *bufferedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

func dialHTTPProxy(ctx context.Context, d *net.Dialer, by *url.URL) (net.Conn, error) {
	if by.Scheme != "https" {
		return d.DialContext(ctx, "tcp", by.Host)
	}
	return (&tls.Dialer{NetDialer: d, Config: &tls.Config{MinVersion: tls.VersionTLS12}}).DialContext(ctx, "tcp", by.Host)
}
