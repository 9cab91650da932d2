package hookserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"satchel/hook"
	"satchel/internal/hub"
	"satchel/internal/students"
)

// fakeHub stands for the hub: package hub has its own tests, the end-to-end
// tests the real one.
type fakeHub struct {
	mu     sync.Mutex
	owners map[string]hub.Person // by token
	groups map[string][]string   // by user
	away   bool
	asked  int
}

func (f *fakeHub) Owner(_ context.Context, token string) (hub.Person, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	p, ok := f.owners[token]
	switch {
	case f.away:
		return p, fmt.Errorf("%w: dial 10.0.0.1: refused", hub.ErrAway)
	case token == "wide":
		return p, &hub.TooWide{Why: "scope admin:users"}
	case !ok:
		return p, hub.ErrUnknown
	}
	return p, nil
}

func (f *fakeHub) Groups(_ context.Context, user string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	g, ok := f.groups[user]
	switch {
	case f.away:
		return nil, hub.ErrAway
	case !ok:
		return nil, hub.ErrUnknown
	}
	return g, nil
}

func (w *world) withHub(f *fakeHub) {
	w.srv.o.Hub = f
}

// show posts a token of the hub, from an address.
func (w *world) show(token, from string) (*httptest.ResponseRecorder, hook.Admission) {
	w.t.Helper()
	req := httptest.NewRequestWithContext(w.t.Context(), "POST", "/services/satchel/v1/exchange", strings.NewReader("{}"))
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.RemoteAddr = from + ":1234"
	rec := httptest.NewRecorder()
	w.srv.Student().ServeHTTP(rec, req)
	var a hook.Admission
	if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil {
		w.t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	return rec, a
}

func TestExchange(t *testing.T) {
	w := school(t)
	f := &fakeHub{owners: map[string]hub.Person{"of-gus": {User: "gus", Server: "two", Groups: []string{"g"}}}}
	w.withHub(f)
	rec, a := w.show("of-gus", "10.1.1.1")
	tk, err := w.tickets.Verify("satchel", a.Ticket, w.now)
	if err != nil || tk.User != "gus" || tk.Server != "two" || fmt.Sprint(tk.Groups) != "[g]" || tk.Login != w.now.Unix() {
		t.Fatalf("%d %s: %+v, %v", rec.Code, rec.Body, tk, err)
	}
	if a.URL == "" || a.Keys == "" || a.Courses != nil || a.Exchange {
		t.Errorf("%+v", a)
	}
	// The image that the login named stays known, so no login is told.
	if got := w.lines.of(students.KindLogin); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	s := w.student("gus")
	s.ticket = a.Ticket
	s.sync()
	if len(s.got) == 0 {
		t.Error("the ticket opens nothing")
	}
}

func TestExchangeRefused(t *testing.T) {
	w := school(t)
	f := &fakeHub{owners: map[string]hub.Person{
		"nul": {User: "a\x00b"}, "long": {User: strings.Repeat("x", 300)}}}
	w.withHub(f)
	for token, want := range map[string]int{
		"": 401, "unknown": 401, "wide": 401, strings.Repeat("x", hub.MaxToken+1): 401, "nul": 400, "long": 400,
	} {
		rec, a := w.show(token, "10.1.1.2")
		var p hook.Problem
		if rec.Code != want || a.Ticket != "" || json.Unmarshal(rec.Body.Bytes(), &p) != nil || p.Code == "" {
			t.Errorf("%.10q: %d %s", token, rec.Code, rec.Body)
		}
	}
	f.away = true
	rec, _ := w.show("of-gus", "10.1.1.2")
	if rec.Code != 503 || rec.Header().Get("Retry-After") == "" || strings.Contains(rec.Body.String(), "10.0.0.1") {
		t.Errorf("the hub away: %d %s", rec.Code, rec.Body)
	}
	w.srv.o.Hub = nil
	if rec, _ := w.show("of-gus", "10.1.1.2"); rec.Code != 404 || !strings.Contains(rec.Body.String(), hook.CodeNoExchange) {
		t.Errorf("without a hub: %d %s", rec.Code, rec.Body)
	}
}

// Each wrong token is a question to the hub, which has other things to do.
func TestWrongTokensAreFew(t *testing.T) {
	w := school(t)
	f := &fakeHub{owners: map[string]hub.Person{"of-ana": {User: "ana"}}}
	w.withHub(f)
	var busy atomic.Int32
	var all sync.WaitGroup
	for i := range 100 { // at once: each is paid before it is asked
		all.Go(func() {
			if rec, _ := w.show(fmt.Sprint("guess-", i), "10.1.1.3"); rec.Code == 429 {
				busy.Add(1)
			}
		})
	}
	all.Wait()
	if f.asked > wrongAtOnce || busy.Load() < 80 {
		t.Errorf("the hub was asked %d times, %d were told to wait", f.asked, busy.Load())
	}
	if rec, _ := w.show("of-ana", "10.1.1.4"); rec.Code != 200 {
		t.Errorf("a student elsewhere: %d", rec.Code)
	}
	for i := range 60 { // right ones are no guesses
		if rec, _ := w.show("of-ana", "10.1.1.5"); rec.Code != 200 {
			t.Fatalf("the %dth right token: %d", i, rec.Code)
		}
	}
	w.srv.strange = newStrangers(Limits{PerAddress: -1}) // behind a proxy: all together
	f.asked = 0
	for i := range 1000 {
		w.show(fmt.Sprint("more-", i), fmt.Sprintf("10.2.0.%d", i%250))
	}
	if f.asked > allWrongAtOnce {
		t.Errorf("behind a proxy the hub was asked %d times", f.asked)
	}
}

// Who hangs up has paid all the same: the question goes on.
func TestWhoHangsUpHasPaid(t *testing.T) {
	w := school(t)
	w.withHub(&fakeHub{away: true})
	gone, leave := context.WithCancel(t.Context())
	leave()
	for range wrongAtOnce {
		req := httptest.NewRequestWithContext(gone, "POST", "/v1/exchange", nil)
		req.RemoteAddr = "10.1.1.6:1"
		if _, err := w.srv.owner(req, "junk"); !errors.Is(err, hub.ErrAway) {
			t.Fatal(err)
		}
	}
	if rec, _ := w.show("junk", "10.1.1.6"); rec.Code != 429 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	for range 2 * wrongAtOnce { // who waits for a hub that is away has not
		if rec, _ := w.show("junk", "10.1.1.7"); rec.Code != 503 {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
	}
}

// A hub gives its users tokens for servers that do not exist: each would be
// another guest, with limits of its own.
func TestServersOfOneUserAreFew(t *testing.T) {
	w := school(t)
	f := &fakeHub{owners: map[string]hub.Person{}}
	w.withHub(f)
	for i := range maxServers + 1 {
		f.owners[fmt.Sprint("t", i)] = hub.Person{User: "mallory", Server: fmt.Sprint("x", i)}
	}
	for i := range maxServers + 1 {
		if rec, _ := w.show(fmt.Sprint("t", i), "10.1.1.8"); (rec.Code == 200) != (i < maxServers) {
			t.Errorf("server %d: %d", i, rec.Code)
		}
	}
	w.now = w.now.Add(guestLife + time.Hour)
	w.srv.guests.forget()
	if rec, _ := w.show(fmt.Sprint("t", maxServers), "10.1.1.8"); rec.Code != 200 {
		t.Errorf("a day later: %d", rec.Code)
	}
	for range 50 { // each is a login of its own; they are not all written down
		_, a := w.show("t0", "10.1.1.9")
		w.now = w.now.Add(time.Second)
		s := w.student("mallory")
		s.ticket = a.Ticket
		s.sync()
	}
	if n := len(w.lines.of(students.KindRequest)); n > 10 {
		t.Errorf("%d lines of one student", n)
	}
}

// A name that fits into no ticket is refused, and is no fault of the service:
// else one student could make the hub's hook stop asking for all.
func TestNameThatFitsIntoNoTicket(t *testing.T) {
	w := school(t)
	if rec := w.post(hookSecret, `{"user":"mallory","server":"`+strings.Repeat("<", 250)+`"}`); rec.Code != 400 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestRenewalAsksForTodaysGroups(t *testing.T) {
	w := school(t)
	f := &fakeHub{groups: map[string][]string{"gus": {"other"}}}
	w.withHub(f)
	s := w.student("gus")
	s.ticket = w.login("gus", "g").Ticket
	a, err := s.client.Renew(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if tk, err := w.tickets.Verify("satchel", a.Ticket, w.now); err != nil || fmt.Sprint(tk.Groups) != "[other]" {
		t.Errorf("%+v, %v", tk, err)
	}
	var e *hook.Error
	f.away = true
	if _, err := s.client.Renew(t.Context()); !errors.As(err, &e) || e.Status != http.StatusServiceUnavailable {
		t.Errorf("the hub away: %v", err)
	}
	f.away = false
	delete(f.groups, "gus")
	if _, err := s.client.Renew(t.Context()); !errors.As(err, &e) || e.Status != http.StatusUnauthorized {
		t.Errorf("a user who is gone: %v", err)
	}
}

// The hub puts what a student will get on the spawn page.
func TestLoginNamesTheCourses(t *testing.T) {
	w := school(t)
	a := w.login("gus", "g")
	want := map[string]bool{}
	for _, v := range w.srv.views(t.Context(), hook.Ticket{User: "gus", Groups: []string{"g"}}) {
		want[fmt.Sprint(v.course, v.version())] = true
	}
	if len(a.Courses) != len(want) || len(want) == 0 || a.Exchange {
		t.Errorf("%+v, want %v", a, want)
	}
	for _, r := range a.Courses {
		if !want[fmt.Sprint(r.Course, r.Version)] {
			t.Errorf("%+v", r)
		}
	}
	w.withHub(&fakeHub{})
	if a := w.login("gus", "g"); !a.Exchange {
		t.Error("it is not said that tokens are exchanged")
	}
}
