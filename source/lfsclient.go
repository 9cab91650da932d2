package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"satchel/internal/translated"
)

// The client for Git LFS (docs/api in github.com/git-lfs/git-lfs): where an
// SSH host gives its address and a login (git-lfs-authenticate), one question
// for where a content lies (batch), and its download. Addresses come from the
// host, which is trusted to name them and for no more: https only, none that
// is private but the host's own, no login shown to any other, few redirects.

const (
	lfsMedia     = "application/vnd.git-lfs+json"
	maxLFSAnswer = 1 << 20
	lfsRedirects = 3
	lfsLogin     = 4 * time.Minute // for which a host's answer is used; they say 5 to 30
)

// lfsServer is where a repository's LFS answers, and what it is shown.
type lfsServer struct {
	base   *url.URL
	header map[string]string
	till   time.Time
}

// lfsAction is where one content is to be had.
type lfsAction struct {
	Href   string            `json:"href"`
	Header map[string]string `json:"header"`
}

// download writes one content to w: at most p.size bytes, and not checked.
func (m *Mirror) download(ctx context.Context, p lfsPointer, w io.Writer) error {
	client, err := m.client()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	server, err := m.lfsServer(ctx, client)
	if err != nil {
		return err
	}
	caller := m.lfsCaller(client, server)
	defer caller.CloseIdleConnections()
	action, err := m.batch(ctx, caller, server, p)
	if err != nil {
		return err
	}
	return m.getContent(ctx, caller, server, action, p, w)
}

// lfsServer finds the server: below the repository's own address, or where an
// SSH host says.
func (m *Mirror) lfsServer(ctx context.Context, client *http.Client) (*lfsServer, error) {
	if m.at.https {
		logins, err := m.logins(ctx, client)
		if err != nil {
			return nil, err
		}
		s := &lfsServer{header: map[string]string{}}
		if s.base, err = url.Parse(strings.TrimSuffix(m.at.url(), ".git") + ".git/info/lfs"); err != nil {
			return nil, fault(LFS, err, "%s has no address for Git LFS", m.at)
		}
		if l := logins[0]; l.password != "" {
			req := &http.Request{Header: http.Header{}}
			req.SetBasicAuth(l.user, l.password)
			s.header["Authorization"] = req.Header.Get("Authorization")
		}
		return s, nil
	}
	m.mu.Lock()
	known := m.lfsAt
	m.mu.Unlock()
	if known != nil && time.Now().Before(known.till) {
		return known, nil
	}
	s, err := m.authenticateLFS(ctx)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	m.lfsAt = s
	m.mu.Unlock()
	return s, nil
}

// authenticateLFS asks an SSH host where its LFS is, and for a login there.
func (m *Mirror) authenticateLFS(ctx context.Context) (*lfsServer, error) {
	var first error
	pins, by, keys, err := m.sshWay()
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		l, err := m.logIn(ctx, by, pins, key)
		if err == nil {
			var s *lfsServer
			s, err = m.askLFS(ctx, l)
			l.Close()
			if err == nil {
				return s, nil
			}
		}
		if first == nil || is(err, LFS) {
			first = err
		}
		if !is(err, DeployKey, LFS) {
			return nil, err
		}
	}
	return nil, first
}

func (m *Mirror) askLFS(ctx context.Context, l *link) (*lfsServer, error) {
	words := &firstWords{}
	out := &capture{limit: maxLFSAnswer}
	err := l.wait(func() error {
		s, err := l.client.NewSession()
		if err != nil {
			return err
		}
		defer s.Close()
		s.Stdout, s.Stderr = out, words
		return s.Run("git-lfs-authenticate " + quote(m.at.path) + " download")
	})
	if ctx.Err() != nil || l.quiet() {
		return nil, l.explain(ctx, "it was asked for Git LFS", io.EOF)
	}
	if err != nil {
		return nil, fault(LFS, err, "%s does not say where its Git LFS is (it says: %s); see whether LFS is switched on there", m.at.hostName(), said(words.String()))
	}
	var a lfsAction
	if err := json.Unmarshal(out.data, &a); err != nil {
		return nil, fault(LFS, err, "%s says something else than where its Git LFS is (%s)", m.at.hostName(), said(string(out.data)))
	}
	base, err := url.Parse(a.Href)
	if err != nil || base.Scheme != "https" || base.Host == "" {
		return nil, fault(LFS, nil, "%s names no https:// address for its Git LFS; nothing is asked over another", m.at.hostName())
	}
	return &lfsServer{base: base, header: a.Header, till: time.Now().Add(lfsLogin)}, nil
}

// batch asks where a content is.
func (m *Mirror) batch(ctx context.Context, client *http.Client, s *lfsServer, p lfsPointer) (lfsAction, error) {
	ask, err := json.Marshal(map[string]any{
		"operation": "download", "transfers": []string{"basic"}, "hash_algo": "sha256",
		"objects": []map[string]any{{"oid": p.oid, "size": p.size}},
	})
	if err != nil {
		return lfsAction{}, err
	}
	timed, cancel := context.WithTimeout(ctx, m.idle)
	defer cancel()
	req, err := http.NewRequestWithContext(timed, http.MethodPost, strings.TrimRight(s.base.String(), "/")+"/objects/batch", bytes.NewReader(ask))
	if err != nil {
		return lfsAction{}, err
	}
	s.show(req)
	req.Header.Set("Accept", lfsMedia)
	req.Header.Set("Content-Type", lfsMedia)
	resp, err := client.Do(req)
	if err != nil {
		return lfsAction{}, m.lfsUnreachable(ctx, s.base.Host, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxLFSAnswer+1))
	if err != nil {
		return lfsAction{}, m.lfsUnreachable(ctx, s.base.Host, err)
	}
	if resp.StatusCode != http.StatusOK {
		return lfsAction{}, lfsRefusal(s.base.Host, resp, data)
	}
	return readBatch(data, p, s.base.Host)
}

// readBatch reads the answer for one content.
func readBatch(data []byte, p lfsPointer, host string) (lfsAction, error) {
	var got struct {
		Transfer string `json:"transfer"`
		Objects  []struct {
			OID     string               `json:"oid"`
			Size    int64                `json:"size"`
			Actions map[string]lfsAction `json:"actions"`
			Error   *struct {
				Code    int    `json:"code"`
				Message string `json:"message"`
			} `json:"error"`
		} `json:"objects"`
	}
	if len(data) > maxLFSAnswer {
		return lfsAction{}, fault(LFS, nil, "the answer of %s to a question for Git LFS is larger than %d bytes", host, maxLFSAnswer)
	}
	if err := json.Unmarshal(data, &got); err != nil || len(got.Objects) != 1 || got.Objects[0].OID != p.oid || got.Transfer != "" && got.Transfer != "basic" {
		return lfsAction{}, fault(LFS, err, "%s answers a question for Git LFS with something else; see whether LFS is switched on there", host)
	}
	o := got.Objects[0]
	switch a, ok := o.Actions["download"]; {
	case o.Error != nil && o.Error.Code == http.StatusNotFound:
		return lfsAction{}, fault(LFS, nil, "its content lies in Git LFS, and %s does not have it (sha256:%.12s…); push it with `git lfs push --all origin`", host, p.oid)
	case o.Error != nil:
		return lfsAction{}, fault(LFS, nil, "%s does not give its content out of Git LFS (%d, %s)", host, o.Error.Code, said(o.Error.Message))
	case o.Size != p.size:
		return lfsAction{}, fault(LFS, nil, "%s has another content for it in Git LFS: %d bytes, where the repository says %d", host, o.Size, p.size)
	case !ok || a.Href == "":
		return lfsAction{}, fault(LFS, nil, "%s does not say where its content is in Git LFS", host)
	default:
		return a, nil
	}
}

// getContent follows an action. What is shown to one host is shown to no
// other.
func (m *Mirror) getContent(ctx context.Context, client *http.Client, s *lfsServer, a lfsAction, p lfsPointer, w io.Writer) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	at, header := a.Href, a.Header
	for range lfsRedirects + 1 {
		u, err := url.Parse(at)
		if err != nil || u.Scheme != "https" || u.Host == "" {
			return fault(LFS, nil, "%s says that its content is at no https:// address; nothing is fetched from there", s.base.Host)
		}
		req, err := http.NewRequestWithContext(inner, http.MethodGet, at, nil)
		if err != nil {
			return fault(LFS, nil, "%s says that its content is at an address that is none", s.base.Host)
		}
		(&lfsServer{header: header}).show(req)
		resp, err := m.timed(cancel, func() (*http.Response, error) { return client.Do(req) })
		if err != nil {
			return m.lfsUnreachable(ctx, u.Host, err)
		}
		if resp.StatusCode/100 == 3 {
			resp.Body.Close()
			next, err := resp.Location()
			if err != nil {
				return fault(LFS, nil, "%s sends from one place to another, and does not say where", u.Host)
			}
			if next.Host != u.Host {
				header = nil
			}
			at = next.String()
			continue
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return lfsRefusal(u.Host, resp, nil)
		}
		return m.copyContent(ctx, cancel, resp.Body, p, u.Host, w)
	}
	return fault(LFS, nil, "%s sends from one place to another more than %d times", s.base.Host, lfsRedirects)
}

// copyContent reads no more than the pointer says, and waits no longer than
// the host may be silent.
func (m *Mirror) copyContent(ctx context.Context, hangUp context.CancelFunc, from io.Reader, p lfsPointer, host string, w io.Writer) error {
	in := io.LimitReader(from, p.size+1)
	buf := make([]byte, 128<<10)
	for {
		var n int
		var err error
		_, _ = m.timed(hangUp, func() (*http.Response, error) { n, err = in.Read(buf); return nil, nil })
		if n > 0 {
			if _, werr := w.Write(buf[:n]); werr != nil {
				return werr
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return m.lfsUnreachable(ctx, host, err)
		}
	}
}

// timed hangs up where f takes longer than the host may be silent.
func (m *Mirror) timed(hangUp context.CancelFunc, f func() (*http.Response, error)) (*http.Response, error) {
	t := time.AfterFunc(m.idle, hangUp)
	defer t.Stop()
	return f()
}

// show adds the headers that a server asked for. Those that would change what
// is asked are left out.
func (s *lfsServer) show(req *http.Request) {
	for k, v := range s.header {
		switch k := http.CanonicalHeaderKey(k); {
		case k == "Host", k == "Content-Length", k == "Transfer-Encoding", k == "Connection", len(v) > maxToken:
		default:
			req.Header.Set(k, v)
		}
	}
	req.Header.Set("User-Agent", "git-lfs/3 (satchel)")
}

// lfsCaller calls addresses that come from a host: the repository's own and
// LFS's wherever they are, any other only where it is public.
func (m *Mirror) lfsCaller(client *http.Client, s *lfsServer) *http.Client {
	t := client.Transport.(*byProxy).Clone()
	own := map[string]bool{m.at.host: true}
	if !m.at.https { // by SSH the host named it itself, to whom we logged in
		own[s.base.Hostname()] = true
	}
	inner := &net.Dialer{Timeout: m.idle}
	public := &net.Dialer{Timeout: m.idle, ControlContext: onlyPublic}
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, _ := net.SplitHostPort(address)
		if own[host] || t.Proxy != nil && viaProxy(t, address) {
			return inner.DialContext(ctx, network, address)
		}
		return public.DialContext(ctx, network, address)
	}
	return &http.Client{Transport: &byProxy{t}, CheckRedirect: client.CheckRedirect}
}

// viaProxy says whether an address that is dialled is the proxy's own, which
// HTTPS_PROXY may name without a port.
func viaProxy(t *http.Transport, address string) bool {
	u, err := t.Proxy(&http.Request{URL: &url.URL{Scheme: "https", Host: "elsewhere.invalid"}})
	if err != nil || u == nil {
		return false
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return address == net.JoinHostPort(u.Hostname(), port)
}

var errPrivate = errors.New("the address is a private one, which only the repository's own host may have")

// onlyPublic is a net.Dialer's ControlContext.
func onlyPublic(_ context.Context, _, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return errPrivate
	}
	a := translated.To(at.Addr())
	if !a.IsGlobalUnicast() || a.IsPrivate() || netip.MustParsePrefix("100.64.0.0/10").Contains(a) {
		return errPrivate
	}
	return nil
}

func (m *Mirror) lfsUnreachable(ctx context.Context, host string, err error) error {
	if errors.Is(err, errPrivate) {
		return fault(LFS, err, "Git LFS says that its content is at %s, which is a private address; nothing is fetched from there", host)
	}
	if e := certificateFault(address{https: true, host: host, port: 443}, err); e != nil {
		return e
	}
	var known *Error
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &known) && known.Kind == Proxy:
		return known
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded): // by us
		return silentFault(host, m.idle, "Git LFS was being asked")
	}
	return fault(Unreachable, err, "Git LFS at %s cannot be reached (%s); it will be tried again", host, said(plain(err).Error()))
}

// lfsRefusal says what an answer means that is none.
func lfsRefusal(host string, resp *http.Response, data []byte) error {
	var its struct {
		Message string `json:"message"`
	}
	_ = json.Unmarshal(data, &its)
	words := said(resp.Status)
	if its.Message != "" {
		words += ": " + said(its.Message)
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fault(LFS, nil, "Git LFS at %s does not accept our login (%s); see that the key or token may read LFS too", host, words)
	case http.StatusNotFound:
		return fault(LFS, nil, "%s has no Git LFS for this repository, or not this content (%s); push it with `git lfs push --all origin`, and see whether LFS is switched on there", host, words)
	}
	return fault(Unreachable, nil, "Git LFS at %s answers %s; it will be tried again", host, words)
}

// capture keeps what is written to it, up to a limit.
type capture struct {
	data  []byte
	limit int
}

func (c *capture) Write(p []byte) (int, error) {
	if len(c.data)+len(p) > c.limit {
		return 0, fmt.Errorf("more than %d bytes", c.limit)
	}
	c.data = append(c.data, p...)
	return len(p), nil
}
