package hook

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// maxURL is the longest signed URL that is followed: those signed with a
	// role's credentials carry its session's token.
	maxURL  = 8 << 10
	maxETag = 200
	// signedIdle is, where nothing else is said, the longest silence behind a signed URL, from before the
	// connection is made: the service can be asked for the same bytes, and a
	// login's budget is eight seconds.
	signedIdle = 2 * time.Second
)

// newAway is how signed URLs are asked: on connections of their own, to no
// link-local address. The service's word, which nobody signed, says where.
func newAway(o ClientOptions) (http.RoundTripper, error) {
	if o.HTTP != nil {
		if o.HTTP.Transport == nil {
			return http.DefaultTransport, nil
		}
		return o.HTTP.Transport, nil
	}
	o.Reach = Routed
	client, err := newHTTP(o)
	if err != nil {
		return nil, err
	}
	return client.Transport, nil
}

// Signed opens a section behind its URL. Of ours it sends what the URL was
// signed with: no ticket, no cookie, no name of a program. No redirect is
// followed. The reader is as Range's. No error names the URL, which is good
// for whoever reads it.
func (c *Client) Signed(ctx context.Context, s Section) (io.ReadCloser, error) {
	if c.bad != nil {
		return nil, c.bad
	}
	if err := checkSections([]Section{s}); err != nil {
		return nil, err
	}
	u, err := parseSigned(s.URL)
	if err != nil {
		return nil, err
	}
	if err := checkETag(s.ETag); err != nil {
		return nil, err
	}
	ctx, w := watchIdle(ctx, min(c.o.Idle, c.o.Away))
	req := (&http.Request{
		Method: http.MethodGet, URL: u, Host: u.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: s.header(),
	}).WithContext(ctx)
	req.Header.Set("User-Agent", "")   // none is sent
	resp, err := c.away.RoundTrip(req) // below http.Client: no redirects, no cookies, no URL in errors
	if err != nil {
		w.stop()
		return nil, cutOff(w.explain(err))
	}
	w.heard()
	resp.Body = &idleBody{ReadCloser: resp.Body, watch: w}
	return section("the store", resp, s.Offset, s.Length)
}

// checkETag accepts what can stand in a header.
func checkETag(tag string) error {
	if len(tag) > maxETag || strings.ContainsFunc(tag, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("the service gave something that is no ETag")
	}
	return nil
}

// parseSigned accepts absolute http and https URLs.
func parseSigned(link string) (*url.URL, error) {
	u, err := url.Parse(link)
	if err != nil || len(link) > maxURL || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return nil, errors.New("the service gave something that is no URL of a store")
	}
	return u, nil
}
