package hub

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a fake hub: what a real one answers is held by the end-to-end tests.
type fake struct {
	*httptest.Server
	asked atomic.Int32
	reply func(w http.ResponseWriter, r *http.Request)
	last  sync.Map // path to Authorization
}

func newFake(t *testing.T) (*fake, *Hub) {
	t.Helper()
	f := &fake{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.asked.Add(1)
		f.last.Store(r.URL.EscapedPath(), r.Header.Get("Authorization"))
		f.reply(w, r)
	}))
	h, err := New(f.URL+"/hub/api/", func() string { return "ours" }, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(); f.Close() })
	return f, h
}

func (f *fake) says(status int, body string) {
	f.reply = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// anas is what JupyterHub 6.1.1 answered to a server's own token.
func anas(change ...string) string {
	return strings.NewReplacer(change...).Replace(`{"kind":"user","name":"ana","admin":false,"groups":["lab-a"],"last_activity":"2026-11-22T10:00:00Z",
"user_info":null,"token_id":"a8","session_id":null,"scopes":["access:servers!server=ana/","read:users:activity!user=ana",
"read:users:groups!user=ana","read:users:name!user=ana","users:activity!user=ana"]}`)
}

func TestOwnerOfAServersToken(t *testing.T) {
	f, h := newFake(t)
	f.says(200, anas())
	p, err := h.Owner(t.Context(), "token-of-ana")
	if err != nil || p.User != "ana" || p.Server != "" || len(p.Groups) != 1 || p.Groups[0] != "lab-a" {
		t.Errorf("%+v, %v", p, err)
	}
	if v, _ := f.last.Load("/hub/api/user"); v != "token token-of-ana" {
		t.Errorf("shown as %v", v)
	}
	f.says(200, anas("server=ana/", "server=ana/second"))
	if p, err := h.Owner(t.Context(), "token-of-second"); err != nil || p.Server != "second" {
		t.Errorf("named: %+v, %v", p, err)
	}
}

// Each of these tokens is right at the hub, and none is a server's own.
func TestTokensThatAreNotAServersOwn(t *testing.T) {
	f, h := newFake(t)
	add := func(scope string) string {
		return anas(`"users:activity!user=ana"`, `"users:activity!user=ana","`+scope+`"`)
	}
	for name, body := range map[string]string{
		"a service's":        anas(`"kind":"user"`, `"kind":"service"`),
		"nobody's":           anas(`"name":"ana"`, `"name":""`),
		"a browser's":        anas(`"session_id":null`, `"session_id":"abc"`),
		"no server":          anas(`"access:servers!server=ana/",`, ``),
		"another's server":   anas("server=ana/", "server=bob/"),
		"prefix of a name":   anas("server=ana/", "server=anabel/"),
		"two servers":        add("access:servers!server=ana/two"),
		"all her servers":    add("access:servers!user=ana"),
		"all servers":        add("access:servers"),
		"an admin's":         add("admin:users"),
		"groups of an admin": add("admin:groups!group=x"),
		"inherit":            add("inherit"),
		"self":               add("self"),
		"tokens":             add("tokens!user=ana"),
		"starts servers":     add("servers!user=ana"),
		"the proxy":          add("proxy"),
		"no scopes":          `{"kind":"user","name":"ana"}`,
	} {
		f.says(200, body)
		var wide *TooWide
		if p, err := h.Owner(t.Context(), "t-"+strings.ReplaceAll(name, " ", "-")); !errors.As(err, &wide) || p.User != "" {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	f.says(200, add("access:services!service=satchel"))
	if _, err := h.Owner(t.Context(), "with-a-service"); err != nil {
		t.Errorf("a site's own scope to enter services: %v", err)
	}
}

func TestAnswersThatAreNoAnswer(t *testing.T) {
	f, h := newFake(t)
	for i, c := range []struct {
		status int
		body   string
		want   error
	}{
		{403, `{"message":"Forbidden"}`, ErrUnknown},
		{401, ``, ErrUnknown},
		{404, `not here`, ErrAway},
		{500, ``, ErrAway},
		{302, ``, ErrAway},
		{200, `<html>`, ErrAway},
		{200, `{"kind":"user"` + strings.Repeat(" ", maxAnswer) + `}`, ErrAway},
	} {
		f.says(c.status, c.body)
		if _, err := h.Owner(t.Context(), fmt.Sprint("t", i)); !errors.Is(err, c.want) {
			t.Errorf("%d %.20q: %v", c.status, c.body, err)
		}
	}
	before := f.asked.Load()
	for _, bad := range []string{"", strings.Repeat("x", MaxToken+1), "a b", "a\nb", "ä"} {
		if _, err := h.Owner(t.Context(), bad); !errors.Is(err, ErrUnknown) {
			t.Errorf("%.10q: %v", bad, err)
		}
	}
	if f.asked.Load() != before {
		t.Error("the hub was asked about what can be no token")
	}
}

func TestGroupsOfAUser(t *testing.T) {
	f, h := newFake(t)
	f.says(200, `{"kind":"user","name":"a/../b ä","groups":["x"]}`)
	g, err := h.Groups(t.Context(), "a/../b ä")
	if err != nil || fmt.Sprint(g) != "[x]" {
		t.Errorf("%v, %v", g, err)
	}
	if v, _ := f.last.Load("/hub/api/users/a%2F..%2Fb%20%C3%A4"); v != "token ours" {
		t.Errorf("asked as %v", v)
	}
	f.says(404, ``)
	if _, err := h.Groups(t.Context(), "gone"); !errors.Is(err, ErrUnknown) {
		t.Errorf("a user that is gone: %v", err)
	}
	f.says(200, `{"kind":"user","name":"bob"}`) // a token without read:users:groups
	if _, err := h.Groups(t.Context(), "bob"); !errors.Is(err, ErrAway) || !strings.Contains(err.Error(), "read:users:groups") {
		t.Errorf("without the scope: %v", err)
	}
	f.says(403, ``) // our own token is wrong, not the user
	if _, err := h.Groups(t.Context(), "carol"); !errors.Is(err, ErrAway) || strings.Contains(err.Error(), "carol") {
		t.Errorf("with a wrong token: %v", err)
	}
}

func TestAnswersAreKeptForAMinute(t *testing.T) {
	f, h := newFake(t)
	now := time.Now()
	h.now = func() time.Time { return now }
	f.says(200, anas())
	ask := func(token string) error {
		_, err := h.Owner(t.Context(), token)
		return err
	}
	for range 5 {
		if err := ask("one"); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	now = now.Add(keep)
	f.says(403, ``) // the server was stopped
	if err := ask("one"); !errors.Is(err, ErrUnknown) {
		t.Errorf("a stopped server's token a minute later: %v", err)
	}
	f.says(500, ``) // that the hub is away is not kept
	now = now.Add(keep)
	_ = ask("one")
	f.says(200, anas())
	if err := ask("one"); err != nil {
		t.Errorf("after the hub came back: %v", err)
	}
	for i := range maxKept + 10 {
		h.learn(fmt.Sprint(i), Person{}, nil)
	}
	if len(h.kept) > maxKept {
		t.Errorf("%d answers kept", len(h.kept))
	}
}

// Many who ask the same ask once, and one that leaves takes nothing from the
// others.
func TestOneQuestionForAll(t *testing.T) {
	f, h := newFake(t)
	arrived, goOn := make(chan struct{}, 1), make(chan struct{})
	f.reply = func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-goOn
		io.WriteString(w, anas())
	}
	first, leave := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if _, err := h.Owner(first, "one"); !errors.Is(err, ErrAway) {
			t.Errorf("who left: %v", err)
		}
	})
	<-arrived
	for range 20 {
		all.Go(func() {
			if _, err := h.Owner(t.Context(), "one"); err != nil {
				t.Errorf("who stayed: %v", err)
			}
		})
	}
	leave()
	close(goOn)
	all.Wait()
	if n := f.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// A hub that says nothing costs no more than the patience.
func TestSilentHub(t *testing.T) {
	f, h := newFake(t)
	f.reply = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	began := time.Now()
	if _, err := h.Owner(t.Context(), "one"); !errors.Is(err, ErrAway) {
		t.Error(err)
	}
	if took := time.Since(began); took > 3*patience {
		t.Errorf("took %s", took)
	}
}

func TestAddressOfTheHub(t *testing.T) {
	for _, bad := range []string{"", "hub:8081", "ftp://hub/hub/api", "http://"} {
		if _, err := New(bad, nil, ""); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzOwner(f *testing.F) {
	f.Add(`ana`, `access:servers!server=ana/`)
	f.Add(`a/b`, `access:servers!server=a/b/c`)
	f.Fuzz(func(t *testing.T, name, scope string) {
		m := model{Kind: "user", Name: name, Scopes: []string{scope}}
		p, err := m.owner()
		if err == nil && scope != "access:servers!server="+p.User+"/"+p.Server {
			t.Errorf("%q, %q became %+v", name, scope, p)
		}
	})
}

// A hub behind a certificate of the institution's own is asked where that is
// trusted, and no other.
func TestAuthorities(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"name":"ana","groups":["a"]}`)
	}))
	defer s.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(file, authority, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, trusted := range []string{file, ""} {
		h, err := New(s.URL, func() string { return "ours" }, trusted)
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.Groups(t.Context(), "ana")
		if (err == nil) != (trusted != "") {
			t.Errorf("trusted %v: %v", trusted != "", err)
		}
		h.Close()
	}
}

// canned answers each request with the same.
type canned struct {
	code int
	body []byte
}

func (c canned) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: c.code, Body: io.NopCloser(bytes.NewReader(c.body))}, nil
}

// FuzzAnswer: whatever a hub answers, a token is of nobody, or of one server of
// one user; and groups are those of the user who was asked for.
func FuzzAnswer(f *testing.F) {
	f.Add(200, []byte(`{"kind":"user","name":"ana","groups":["a"],"scopes":["access:servers!server=ana/"]}`))
	f.Add(200, []byte(`{"kind":"user","name":"ana","scopes":["admin:users"],"session_id":"x"}`))
	f.Add(403, []byte(`{}`))
	f.Add(200, []byte(`[]`))
	f.Fuzz(func(t *testing.T, code int, body []byte) {
		h, err := New("http://hub:8081/hub/api", func() string { return "ours" }, "")
		if err != nil {
			t.Fatal(err)
		}
		h.http.Transport = canned{code, body}
		p, err := h.Owner(t.Context(), "a-token")
		var wide *TooWide
		switch {
		case err != nil && !errors.Is(err, ErrAway) && !errors.Is(err, ErrUnknown) && !errors.As(err, &wide):
			t.Errorf("%v", err)
		case err == nil && (p.User == "" || code != http.StatusOK || !strings.Contains(string(body), "access:servers")):
			t.Errorf("%d %q is of %+v", code, body, p)
		}
		if groups, err := h.Groups(t.Context(), "ana"); err == nil && (groups == nil || !strings.Contains(strings.ToLower(string(body)), "groups")) {
			t.Errorf("%d %q: groups %q", code, body, groups)
		}
	})
}
