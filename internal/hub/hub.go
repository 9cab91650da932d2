// Package hub asks a JupyterHub's API who somebody is: whose a server's token
// is, and which groups a user is in today. It keeps answers for a minute,
// never a token, and changes nothing at the hub.
//
// The protocol was tried against JupyterHub 5.5.4 and 6.1.1 (e2e).
package hub

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"satchel/internal/roots"
)

// MaxToken bounds what can be a token, in bytes; JupyterHub's own have 32.
const MaxToken = 512

// Limits of one question.
const (
	patience  = 3 * time.Second
	maxAnswer = 64 << 10 // bytes
	maxName   = 255      // bytes, of a user or a server
	atOnce    = 8        // questions about tokens, and as many about users
	keep      = time.Minute
	maxKept   = 20_000 // answers
)

var (
	// ErrAway: the hub did not answer, or with nothing that can be used. Ask
	// again later.
	ErrAway = errors.New("the hub does not answer")
	// ErrUnknown: the hub knows no such token or user.
	ErrUnknown = errors.New("the hub does not know this server or its user any more")
)

// TooWide is a token that is not just a server's own.
type TooWide struct{ Why string }

func (e *TooWide) Error() string { return "the token is not just this server's own: " + e.Why }

// Person is whom a server's token belongs to.
type Person struct {
	User, Server string // Server is "" for the default one
	Groups       []string
}

// Hub asks one hub. Its methods may be called from many goroutines.
type Hub struct {
	base  string
	token func() string
	http  *http.Client
	now   func() time.Time
	// Strangers ask about tokens, this service about users: neither waits for the other.
	tokens, users chan struct{}
	group         singleflight.Group

	mu   sync.Mutex
	kept map[string]answer
}

// answer is what was learned at a time. Only ErrUnknown and TooWide are errors
// that are kept.
type answer struct {
	p   Person
	err error
	at  time.Time
}

// New makes a Hub for an API's address, such as http://hub:8081/hub/api. token
// is this service's own, asked each time; it needs the scopes
// read:users:name and read:users:groups. caFile holds authorities that are
// trusted beside the system's, read again when it changes; "": none.
func New(api string, token func() string, caFile string) (*Hub, error) {
	u, err := url.Parse(api)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("hub.api_url: %q is no address such as http://hub:8081/hub/api", api)
	}
	t := &http.Transport{
		Proxy:               tunnel,
		MaxIdleConnsPerHost: 2 * atOnce, MaxConnsPerHost: 2 * atOnce, IdleConnTimeout: 30 * time.Second,
		MaxResponseHeaderBytes: maxAnswer, DisableCompression: true, TLSHandshakeTimeout: patience,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	var rt http.RoundTripper = t
	if caFile != "" {
		if rt, err = roots.Follow(caFile, roots.Read, t); err != nil {
			return nil, err
		}
	}
	return &Hub{
		base: strings.TrimRight(api, "/"), token: token, now: time.Now,
		http: &http.Client{Transport: rt, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		kept: map[string]answer{}, tokens: make(chan struct{}, atOnce), users: make(chan struct{}, atOnce),
	}, nil
}

// tunnel is the environment's proxy (HTTPS_PROXY, NO_PROXY) for a hub that is
// reached by https, and none for one in plain http: that proxy would read
// students' tokens.
func tunnel(r *http.Request) (*url.URL, error) {
	if r.URL.Scheme != "https" {
		return nil, nil
	}
	return http.ProxyFromEnvironment(r)
}

// Close lets idle connections go.
func (h *Hub) Close() { h.http.CloseIdleConnections() }

// Owner says whose server shows this token. Errors are ErrUnknown, *TooWide,
// or wrap ErrAway.
func (h *Hub) Owner(ctx context.Context, token string) (Person, error) {
	if token == "" || len(token) > MaxToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return Person{}, ErrUnknown
	}
	sum := sha256.Sum256([]byte(token))
	return h.once(ctx, "token "+string(sum[:]), func(ctx context.Context) (Person, error) {
		m, err := h.get(ctx, "/user", token)
		if err != nil {
			return Person{}, err
		}
		return m.owner()
	})
}

// Groups are those that a user is in now.
func (h *Hub) Groups(ctx context.Context, user string) ([]string, error) {
	p, err := h.once(ctx, "user "+user, func(ctx context.Context) (Person, error) {
		m, err := h.get(ctx, "/users/"+url.PathEscape(user), h.token())
		if err == nil && (m.Name != user || m.Groups == nil) {
			err = fmt.Errorf("%w: it does not tell the groups of a user: give this service's token the scopes read:users:name and read:users:groups", ErrAway)
		}
		return Person{User: user, Groups: m.Groups}, err
	})
	return p.Groups, err
}

// Own is what the hub says of this service's own token.
type Own struct {
	Name string    // of the service, or of the user, whose token it is
	Wide []string  // scopes beyond reading: this service needs none of them
	Date time.Time // the hub's clock; zero where it is not said
}

// Itself asks the hub about this service's own token. Nothing of it is kept.
func (h *Hub) Itself(ctx context.Context) (Own, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	m, err := h.get(ctx, "/user", h.token())
	if err != nil {
		return Own{}, err
	}
	o := Own{Name: strings.ToValidUTF8(m.Name[:min(len(m.Name), maxName)], ""), Date: m.date}
	for _, s := range m.Scopes {
		if !harmless(s) {
			o.Wide = append(o.Wide, strings.ToValidUTF8(s[:min(len(s), maxName)], ""))
		}
	}
	return o, nil
}

// once gives what is known for a minute, and asks once for all who wait. The
// question goes on when one of them leaves.
func (h *Hub) once(ctx context.Context, key string, ask func(context.Context) (Person, error)) (Person, error) {
	if a, ok := h.known(key); ok {
		return a.p, a.err
	}
	c := h.group.DoChan(key, func() (any, error) {
		if a, ok := h.known(key); ok {
			return a.p, a.err
		}
		inner, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		p, err := ask(inner)
		h.learn(key, p, err)
		return p, err
	})
	select {
	case r := <-c:
		p, _ := r.Val.(Person)
		return p, r.Err
	case <-ctx.Done():
		return Person{}, fmt.Errorf("%w: %w", ErrAway, ctx.Err())
	}
}

func (h *Hub) known(key string) (answer, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a, ok := h.kept[key]
	return a, ok && h.now().Sub(a.at).Abs() < keep
}

func (h *Hub) learn(key string, p Person, err error) {
	if errors.Is(err, ErrAway) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.kept) >= maxKept {
		maps.DeleteFunc(h.kept, func(_ string, a answer) bool { return h.now().Sub(a.at).Abs() >= keep })
	}
	if len(h.kept) >= maxKept {
		clear(h.kept)
	}
	h.kept[key] = answer{p, err, h.now()}
}

// get asks the API with a token.
func (h *Hub) get(ctx context.Context, path, token string) (m model, err error) {
	turns := h.users
	if path == "/user" {
		turns = h.tokens
	}
	select {
	case turns <- struct{}{}:
		defer func() { <-turns }()
	case <-ctx.Done():
		return m, fmt.Errorf("%w: too many questions at once", ErrAway)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.base+path, nil)
	if err != nil {
		return m, fmt.Errorf("%w: bad address", ErrAway)
	}
	req.Header.Set("Authorization", "token "+token)
	resp, err := h.http.Do(req)
	if err != nil {
		return m, fmt.Errorf("%w: %s", ErrAway, reason(err))
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return m, fmt.Errorf("%w: %s", ErrAway, reason(err))
	case refused(resp.StatusCode, path):
		return m, ErrUnknown
	case resp.StatusCode != http.StatusOK:
		return m, fmt.Errorf("%w: it answers %d to GET %s (is hub.api_url right, and hub.token_file the token of a service with the scopes read:users:name and read:users:groups?)", ErrAway, resp.StatusCode, route(path))
	case len(data) > maxAnswer || json.Unmarshal(data, &m) != nil:
		return m, fmt.Errorf("%w: its answer to GET %s is not a hub's", ErrAway, route(path))
	}
	m.date, _ = http.ParseTime(resp.Header.Get("Date"))
	return m, nil
}

// refused says whether a status means that there is no such token or user. A
// 403 about a user is this service's own token's.
func refused(status int, path string) bool {
	if path == "/user" {
		return status == http.StatusForbidden || status == http.StatusUnauthorized
	}
	return status == http.StatusNotFound
}

// route is a path without a name in it, for logs.
func route(path string) string {
	if path == "/user" {
		return path
	}
	return "/users/NAME"
}

// reason is an error of the network without the address, which holds a name.
func reason(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err.Error()
}
