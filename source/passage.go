package source

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
)

// byProxy is a transport whose errors tell when it was the proxy on the way
// that did not let a request through: net/http has no type for one that
// answers CONNECT with nonsense, or not at all.
type byProxy struct {
	*http.Transport
}

// passage is how far one request came.
type passage struct {
	by      atomic.Pointer[url.URL] // the proxy that was chosen; nil: none was
	through atomic.Bool             // it answered, or there was a connection already
}

type passageKey struct{}

func passageOf(ctx context.Context) *passage {
	if p, ok := ctx.Value(passageKey{}).(*passage); ok {
		return p
	}
	return &passage{} // nobody asks for it
}

// newByProxy makes t tell of each request's passage. What t did with a proxy
// and with its answer it does as before.
func newByProxy(t *http.Transport) *byProxy {
	choose, answer := t.Proxy, t.OnProxyConnectResponse
	t.Proxy = func(req *http.Request) (*url.URL, error) {
		u, err := choose(req)
		passageOf(req.Context()).by.Store(u)
		return u, err
	}
	t.OnProxyConnectResponse = func(ctx context.Context, u *url.URL, req *http.Request, resp *http.Response) error {
		passageOf(ctx).through.Store(true)
		return answer(ctx, u, req, resp)
	}
	return &byProxy{t}
}

func (b *byProxy) RoundTrip(req *http.Request) (*http.Response, error) {
	p := &passage{}
	ctx := context.WithValue(req.Context(), passageKey{}, p)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { p.through.Store(true) },
		TLSHandshakeStart: func() { // with an https:// proxy it may be the proxy's own
			if by := p.by.Load(); by != nil && strings.HasPrefix(by.Scheme, "socks5") {
				p.through.Store(true)
			}
		},
	})
	resp, err := b.Transport.RoundTrip(req.WithContext(ctx))
	by := p.by.Load()
	if err == nil || by == nil || p.through.Load() {
		return resp, err
	}
	words := said(err.Error())
	if ctx.Err() != nil { // whoever ended it themselves looks at that first
		words = "it says nothing"
	}
	return nil, fault(Proxy, err, "%s cannot be reached through the proxy %s (%s); see whether that is a proxy, and is well: `proxy`, or HTTPS_PROXY and NO_PROXY in the service's environment", req.URL.Hostname(), by.Host, words)
}
