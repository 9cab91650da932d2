package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"satchel/bundle"
)

// Limits of what the client reads.
const (
	maxReply   = 1 << 20  // bytes of a JSON answer
	maxHistory = 64 << 20 // bytes of a packed history
)

// ClientOptions say where the service is and how to speak to it.
type ClientOptions struct {
	URL    string        // SATCHEL_URL; may hold a path prefix
	Ticket func() string // asked for each request: it is renewed meanwhile
	Agent  string        // User-Agent, such as "satchel-agent/1.0"
	Proxy  string        // SATCHEL_PROXY; "" means no proxy, whatever the environment says
	CAFile string        // SATCHEL_CA_FILE, PEM; "" means the system's roots
	Idle   time.Duration // longest silence of the service; 0 is 30s
	Away   time.Duration // longest silence behind a signed URL, where shorter; 0 is 2s
	Reach  Reach         // to which addresses it connects (see near.go)
	URLs   func() bool   // asked for each request: whether signed URLs are taken (Signed); nil: never
	HTTP   *http.Client  // replaces the transport; Proxy and CAFile then say nothing
	// Holds is asked for each request for a course's bytes: the version that they
	// are for, for while the course is paused those of no other come. nil: none is named.
	Holds func(course string) Have
}

// Client asks the service. It never follows a redirect, uses no proxy that it
// was not given, and reads no more than the written limits. Every error is an
// *Error where the service answered, else what the network said.
type Client struct {
	o    ClientOptions
	base *url.URL
	http *http.Client
	away http.RoundTripper // for Signed
	bad  error             // of the options; each request gives it
}

// NewClient makes a client. A fault in the options shows at the first request.
func NewClient(o ClientOptions) *Client {
	if o.Idle == 0 {
		o.Idle = 30 * time.Second
	}
	if o.Away == 0 {
		o.Away = signedIdle
	}
	c := &Client{o: o}
	c.base, c.bad = parseBase(o.URL)
	if c.bad != nil {
		return c
	}
	client := o.HTTP
	if client == nil {
		client, c.bad = newHTTP(o)
	}
	if c.bad == nil {
		c.away, c.bad = newAway(o)
	}
	if c.bad == nil {
		plain := *client
		plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		plain.Jar = nil
		c.http = &plain
	}
	return c
}

// Close lets idle connections go. The client can be used afterwards.
func (c *Client) Close() {
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
	if t, ok := c.away.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// takesURLs says whether signed URLs are asked for.
func (c *Client) takesURLs() bool { return c.o.URLs != nil && c.o.URLs() }

// Sync asks what is new. etag is sent only when not empty.
func (c *Client) Sync(ctx context.Context, have []Have, keys []string, etag string) (*Answer, error) {
	q := url.Values{}
	for _, h := range have {
		q.Add("have", h.String())
	}
	for _, k := range keys {
		q.Add("keys", k)
	}
	if c.takesURLs() {
		q.Set("urls", "1")
	}
	header := http.Header{"Accept": {OfferType}}
	if etag != "" {
		header.Set("If-None-Match", etag)
	}
	query := q.Encode()
	if len(query) <= MaxHave {
		return c.answer(c.do(ctx, call{method: http.MethodGet, path: "/v1/sync", query: query, header: header}))
	}
	header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.answer(c.do(ctx, call{method: http.MethodPost, path: "/v1/sync", body: []byte(query), header: header}))
}

// claim names the version that bytes are asked for. One that is too long is left
// out: it counts only while the course is paused.
func (c *Client) claim(course string) url.Values {
	q := url.Values{}
	if c.o.Holds == nil {
		return q
	}
	if h := c.o.Holds(course); h.Version > 0 {
		if text := h.String(); len(text) <= MaxHave/2 {
			q.Set("have", text)
		}
	}
	return q
}

// Files asks for contents by digest: at most MaxAsked. What the newest
// manifests of this student do not name does not come.
func (c *Client) Files(ctx context.Context, course string, digests []bundle.Digest) (*Answer, error) {
	if len(digests) > MaxAsked {
		return nil, fmt.Errorf("ask for %d contents; the limit is %d", len(digests), MaxAsked)
	}
	body, err := json.Marshal(Ask{Digests: digests, URLs: c.takesURLs()})
	if err != nil {
		return nil, err
	}
	return c.answer(c.do(ctx, call{method: http.MethodPost, path: coursePath(course, "files"), query: c.claim(course).Encode(), body: body,
		header: http.Header{"Accept": {OfferType}, "Content-Type": {"application/json"}}}))
}

// answer reads the offer of a response.
func (c *Client) answer(resp *http.Response, err error) (*Answer, error) {
	if err != nil {
		return nil, err
	}
	a := &Answer{ETag: resp.Header.Get("ETag"), body: resp.Body}
	a.Date, _ = http.ParseTime(resp.Header.Get("Date"))
	if resp.StatusCode == http.StatusNotModified {
		a.NotModified = true
		return a, nil
	}
	if err = wantType(resp, OfferType); err == nil {
		a.Offer, err = ReadOffer(io.TeeReader(resp.Body, &a.raw))
	}
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	return a, nil
}

// Range opens n bytes of a bundle, from offset off. The reader gives
// io.ErrUnexpectedEOF when fewer come.
func (c *Client) Range(ctx context.Context, course string, d bundle.Digest, off, n int64) (io.ReadCloser, error) {
	if off < 0 || n <= 0 {
		return nil, fmt.Errorf("range of %d bytes at %d", n, off)
	}
	resp, err := c.do(ctx, call{method: http.MethodGet, path: coursePath(course, "bundles", d.String()),
		query: c.claim(course).Encode(), header: http.Header{"Range": {rangeOf(off, n)}}})
	if err != nil {
		return nil, err
	}
	return section("the service", resp, off, n)
}

func rangeOf(off, n int64) string { return fmt.Sprintf("bytes=%d-%d", off, off+n-1) }

// section is the body of an answer to rangeOf(off, n).
func section(who string, resp *http.Response, off, n int64) (io.ReadCloser, error) {
	want := fmt.Sprintf("bytes %d-%d/", off, off+n-1)
	if resp.StatusCode != http.StatusPartialContent || !strings.HasPrefix(resp.Header.Get("Content-Range"), want) {
		resp.Body.Close()
		return nil, fmt.Errorf("%w: %s answered %d with another range", bundle.ErrCorrupt, who, resp.StatusCode)
	}
	return struct {
		io.Reader
		io.Closer
	}{frameReader{&io.LimitedReader{R: resp.Body, N: n}}, resp.Body}, nil
}

// History gives one channel's history. It is not checked here: its digest
// stands in the channel's manifest.
func (c *Client) History(ctx context.Context, course, channel string) (bundle.History, error) {
	q := c.claim(course)
	q.Set("channel", channel)
	resp, err := c.do(ctx, call{method: http.MethodGet, path: coursePath(course, "history"), query: q.Encode()})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var text []byte
	err = bundle.Decompress(io.LimitReader(resp.Body, maxHistory), bundle.MaxHistorySize, func(r io.Reader) (err error) {
		text, err = io.ReadAll(r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("history of %s: %w", course, err)
	}
	return bundle.DecodeHistory(text)
}

// Receipt tells what a sync did.
func (c *Client) Receipt(ctx context.Context, r Receipt) error {
	r.Format = Format
	return c.post(ctx, "/v1/receipts", r, nil)
}

// Renew asks for a fresh ticket with the present one.
func (c *Client) Renew(ctx context.Context) (Admission, error) {
	var a Admission
	err := c.post(ctx, "/v1/renew", struct{}{}, &a)
	return a, err
}

// Exchange asks for a ticket with what Ticket gives, which is here the token
// that the hub gave this server. Use it with Reach, or https.
func (c *Client) Exchange(ctx context.Context) (Admission, error) {
	var a Admission
	err := c.post(ctx, "/v1/exchange", struct{}{}, &a)
	return a, err
}

// Prove shows the signed head that this agent holds: the service knows only
// an older one.
func (c *Client) Prove(ctx context.Context, course string, head bundle.Envelope) error {
	return c.post(ctx, "/v1/heads", Proof{Format: Format, Course: course, Head: &head}, nil)
}

// post sends JSON and reads JSON.
func (c *Client) post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	resp, err := c.do(ctx, call{method: http.MethodPost, path: path, body: body,
		header: http.Header{"Content-Type": {"application/json"}}})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	if err := wantType(resp, "application/json"); err != nil {
		return err
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("%w: answer to %s: %w", bundle.ErrCorrupt, path, err)
	}
	return nil
}

// call is one request.
type call struct {
	method, path, query string
	body                []byte
	header              http.Header
}

// do sends one request and gives a response of status 200, 204 or 206, or 304
// where the request named an ETag, whose body is cut off after a silence; else
// an error. Who named nothing cannot be told that it did not change.
func (c *Client) do(ctx context.Context, r call) (*http.Response, error) {
	return c.doIdle(ctx, r, c.o.Idle)
}

func (c *Client) doIdle(ctx context.Context, r call, idle time.Duration) (*http.Response, error) {
	if c.bad != nil {
		return nil, c.bad
	}
	ctx, w := watchIdle(ctx, idle)
	req, err := http.NewRequestWithContext(ctx, r.method, "", bytes.NewReader(r.body))
	if err != nil {
		w.stop()
		return nil, err
	}
	u := *c.base
	u.Path, u.RawPath, u.RawQuery = c.base.Path+r.path, "", r.query
	req.URL, req.Host = &u, u.Host
	if r.header != nil {
		req.Header = r.header
	}
	if c.o.Agent != "" {
		req.Header.Set("User-Agent", c.o.Agent)
	}
	if c.o.Ticket != nil {
		req.Header.Set("Authorization", "Bearer "+c.o.Ticket())
	}
	resp, err := c.http.Do(req)
	if err != nil {
		w.stop()
		return nil, cutOff(w.explain(withoutURL(err)))
	}
	w.heard()
	resp.Body = &idleBody{ReadCloser: resp.Body, watch: w}
	if good(resp.StatusCode, req.Header) {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, readError(resp)
}

func good(status int, asked http.Header) bool {
	switch status {
	case http.StatusOK, http.StatusNoContent, http.StatusPartialContent:
		return true
	case http.StatusNotModified:
		return asked.Get("If-None-Match") != ""
	}
	return false
}

func coursePath(course string, more ...string) string {
	return "/v1/courses/" + course + "/" + strings.Join(more, "/")
}
