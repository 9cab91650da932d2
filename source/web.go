package source

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"satchel/internal/roots"
)

// web is a conversation over HTTPS (gitprotocol-http(5), the smart protocol in
// version 0): one request for the branches, one for a pack. No redirect is
// followed, so what it logs in with goes to the one host that is configured.
type web struct {
	at     address
	login  login
	client *http.Client
	idle   time.Duration
	hangUp context.CancelFunc
	do     func(method, path, kind string, body io.Reader) (*http.Request, error)
	body   io.Closer
	status int // of the last answer
	silent atomic.Bool
}

// agentName begins as git's own: by that some hosts know that no browser asks.
const agentName = "git/2 (satchel)"

const maxHeader = 64 << 10

// connectWeb opens a conversation with the first login that is let in.
func (m *Mirror) connectWeb(ctx context.Context) (*talk, error) {
	client, err := m.client()
	if err != nil {
		return nil, err
	}
	logins, err := m.logins(ctx, client)
	if err != nil {
		client.CloseIdleConnections()
		return nil, err
	}
	var refused error
	for i, l := range logins {
		t, err := m.connectAs(ctx, client, l)
		if is(err, Token) && m.app != nil { // revoked before its time
			m.app.drop()
			if l, err = m.app.login(ctx, client, m.at); err == nil {
				t, err = m.connectAs(ctx, client, l)
			}
		}
		if err == nil {
			m.sayLogin(i, l)
			return t, nil
		}
		if refused == nil || is(err, Repository) {
			refused = err
		}
		if !is(err, Token, Repository) {
			refused = err
			break
		}
		m.lg.Debug("token not let in", "token", l.name, "error", err)
	}
	client.CloseIdleConnections()
	return nil, refused
}

// client calls this repository's host. It is made for each conversation, for
// the file with the authorities may be another one by now.
func (m *Mirror) client() (*http.Client, error) {
	pool, err := roots.Read(m.remote.CAFile)
	if err != nil {
		return nil, fault(Certificate, err, "%v", err)
	}
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: m.idle}).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    m.idle,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
		IdleConnTimeout:        m.idle,
		// HTTP/1.1 alone: CloseIdleConnections leaves a connection of HTTP/2
		// open for ever whose last stream is just ending.
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
	by, err := m.remote.proxy()
	if err != nil {
		return nil, err
	}
	if by != nil {
		t.Proxy = http.ProxyURL(by)
	}
	t.OnProxyConnectResponse = func(_ context.Context, by *url.URL, _ *http.Request, resp *http.Response) error {
		switch resp.StatusCode {
		case http.StatusOK:
			return nil
		case http.StatusProxyAuthRequired:
			return fault(Proxy, nil, "the proxy %s wants a login, or does not accept this one; put its URL with user and password into the file that `proxy_file` names", by.Host)
		}
		return fault(Proxy, nil, "the proxy %s does not let us through to %s (%s)", by.Host, m.at.hostName(), said(resp.Status))
	}
	return &http.Client{Transport: newByProxy(t), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

// webOf makes requests for this repository with one login.
func (m *Mirror) webOf(ctx context.Context, client *http.Client, l login) *web {
	inner, cancel := context.WithCancel(ctx)
	w := &web{at: m.at, login: l, client: client, idle: m.idle, hangUp: cancel}
	w.do = func(method, path, kind string, body io.Reader) (*http.Request, error) {
		req, err := http.NewRequestWithContext(inner, method, m.at.url()+path, body)
		if err != nil {
			return nil, err
		}
		req.Header.Set("User-Agent", agentName)
		req.Header.Set("Accept", "*/*")
		if kind != "" {
			req.Header.Set("Content-Type", kind)
		}
		if l.password != "" {
			req.SetBasicAuth(l.user, l.password)
		}
		return req, nil
	}
	return w
}

// connectAs asks for the branches.
func (m *Mirror) connectAs(ctx context.Context, client *http.Client, l login) (*talk, error) {
	w := m.webOf(ctx, client, l)
	const doing = "the branches were being listed"
	body, err := w.request(http.MethodGet, "/info/refs?service=git-upload-pack", "", nil, "application/x-git-upload-pack-advertisement")
	if err != nil {
		w.hangUp()
		return nil, w.explain(ctx, doing, err)
	}
	t := newTalk(w, &firstWords{}, body)
	if t.refs, err = readRefs(t.out); err != nil {
		err = t.noRefs(ctx, m.at, err)
		t.Close()
		return nil, err
	}
	return t, nil
}

// request makes one request and gives the body of a good answer. An answer
// that is none is an *Error.
func (w *web) request(method, path, kind string, body io.Reader, want string) (io.Reader, error) {
	req, err := w.do(method, path, kind, body)
	if err != nil {
		return nil, err
	}
	var resp *http.Response
	err = w.wait(func() error {
		resp, err = w.client.Do(req)
		return err
	})
	if err != nil {
		return nil, err
	}
	if w.body != nil {
		w.body.Close()
	}
	w.body, w.status = resp.Body, resp.StatusCode
	if resp.StatusCode != http.StatusOK {
		return nil, w.refusal(resp)
	}
	if got, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); got != want {
		return nil, fault(Repository, nil, "%s answers with something that is not git's (%q); see whether `repository` is right: the address with which `git clone` works", w.at, said(resp.Header.Get("Content-Type")))
	}
	return resp.Body, nil
}

func (w *web) ask(request []byte) (io.Reader, error) {
	return w.request(http.MethodPost, "/git-upload-pack", "application/x-git-upload-pack-request", bytes.NewReader(request), "application/x-git-upload-pack-result")
}

// refusal says what an answer means that is no answer.
func (w *web) refusal(resp *http.Response) *Error {
	host := w.at.hostName()
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized && w.login.password == "":
		return fault(Token, nil, "%s wants a login for %s: the repository is private, or not there. Name a file with a token in `token_file`, or use its SSH address with a deploy key", host, w.at)
	case code == http.StatusUnauthorized:
		return fault(Token, nil, "%s does not accept %s: it may have expired, or been revoked. Make a new one that may read the repository's contents", host, w.login.name)
	case code == http.StatusForbidden:
		return fault(Token, nil, "%s does not let %s read %s; give it the right to read the repository's contents (and, where the organisation wants that, let the organisation approve it)", host, w.login.name, w.at)
	case code == http.StatusNotFound, code == http.StatusGone:
		return fault(Repository, nil, "%s does not show the repository %s to %s; see whether `repository` is right, and whether that may read it", host, w.at, w.login.name)
	case code >= 300 && code < 400:
		return fault(Repository, nil, "the repository %s moved (%s); correct `repository`: nothing is followed there, for it would be given the login", w.at, movedTo(resp))
	case code == http.StatusProxyAuthRequired:
		return fault(Proxy, nil, "the proxy on the way to %s wants a login; put its URL with user and password into the file that `proxy_file` names", host)
	case code == http.StatusTooManyRequests:
		return fault(Unreachable, nil, "%s says that it is asked too often; it will be tried again, less often", host)
	}
	return fault(Unreachable, nil, "%s answers %s; it will be tried again", host, said(resp.Status))
}

// movedTo shows where a redirect leads, without what may be a secret in it.
func movedTo(resp *http.Response) string {
	u, err := resp.Location()
	if err != nil {
		return said(resp.Status)
	}
	path, _, _ := strings.Cut(u.Path, "/info/refs")
	return "to " + said((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: path}).String())
}

// wait hangs up on a server that is silent.
func (w *web) wait(f func() error) error {
	timer := time.AfterFunc(w.idle, func() {
		w.silent.Store(true)
		w.hangUp()
	})
	defer timer.Stop()
	return f()
}

func (w *web) quiet() bool { return w.silent.Load() }

func (w *web) last() (cut bool) { return true }

func (w *web) Close() error {
	w.hangUp()
	if w.body != nil {
		w.body.Close()
	}
	w.client.CloseIdleConnections()
	return nil
}

// explain makes a sentence of what the network said.
func (w *web) explain(ctx context.Context, doing string, err error) error {
	var known *Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &known) && known.Kind == Proxy: // a silent one too
		return known
	case w.silent.Load():
		return silentFault(w.at.hostName(), w.idle, doing)
	case errors.As(err, &known):
		return known
	}
	if e := certificateFault(w.at, err); e != nil {
		return e
	}
	err = plain(err)
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return unreachable(w.at, err)
	}
	words := said(err.Error())
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		words = "it hung up"
	}
	return fault(Unreachable, err, "the connection to %s broke while %s (%s); it will be tried again", w.at.hostName(), doing, words)
}

// plain leaves out the address, which stands in the sentence already.
func plain(err error) error {
	var asked *url.Error
	if errors.As(err, &asked) {
		return asked.Err
	}
	return err
}

// certificateFault is for a host that does not prove who it is; nil for all
// else.
func certificateFault(at address, err error) *Error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var failed *tls.CertificateVerificationError
	switch {
	case roots.Missing(err):
		return fault(Certificate, err, "the certificate of %s cannot be judged: this machine has no certificates of authorities, and those of `ca_file` (where it is set) do not include this one's; nothing was sent to it. Install ca-certificates, or name the authority's certificate (PEM) in `ca_file`", at.hostName())
	case errors.As(err, &unknown):
		return fault(Certificate, err, "the certificate of %s is by an authority that is not trusted here; nothing was sent to it. If it is your institution's own, put its certificate (PEM) into a file and name that in `ca_file`", at.hostName())
	case errors.As(err, &name):
		return fault(Certificate, err, "the certificate of %s is for another host (%s); nothing was sent to it. See whether `repository` is right", at.hostName(), said(name.Error()))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fault(Certificate, err, "the certificate of %s is not valid now (%s); nothing was sent to it. See whether this machine's clock is right, else ask who runs the host", at.hostName(), said(invalid.Error()))
	case errors.As(err, &invalid), errors.As(err, &failed):
		return fault(Certificate, err, "the certificate of %s is not accepted (%s); nothing was sent to it. Ask who runs the host", at.hostName(), said(err.Error()))
	}
	return nil
}
