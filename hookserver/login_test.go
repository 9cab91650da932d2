package hookserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/course"
	"satchel/hook"
	"satchel/internal/students"
)

// post sends a login to the hub's routes.
func (w *world) post(secret, body string) *httptest.ResponseRecorder {
	w.t.Helper()
	req := httptest.NewRequestWithContext(w.t.Context(), "POST", "/v1/logins", strings.NewReader(body))
	if secret != "none" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	rec := httptest.NewRecorder()
	w.srv.Hub().ServeHTTP(rec, req)
	return rec
}

func (w *world) login(user string, groups ...string) hook.Admission {
	w.t.Helper()
	body, _ := json.Marshal(hook.Login{User: user, Groups: groups})
	rec := w.post(hookSecret, string(body))
	var a hook.Admission
	if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil || rec.Code != 200 {
		w.t.Fatalf("%d %s %v", rec.Code, rec.Body, err)
	}
	return a
}

func TestLogin(t *testing.T) {
	w := school(t)
	a := w.login("gus", "g", "g", "x")
	if a.URL != "http://satchel.example/services/satchel" || a.Keys != w.key.Public().String() || !a.Expires.Equal(w.now.Add(hook.TicketLife)) {
		t.Errorf("%+v", a)
	}
	tk, err := w.tickets.Verify("satchel", a.Ticket, w.now)
	if err != nil || tk.User != "gus" || fmt.Sprint(tk.Groups) != "[g x]" || tk.Login != w.now.Unix() {
		t.Errorf("%+v, %v", tk, err)
	}
	s := w.student("gus")
	s.ticket = a.Ticket
	s.sync()
	s.sync()
	if err := s.client.Receipt(t.Context(), hook.Receipt{Course: "grouped", Version: 1, Agent: "1.0", Added: 1, Kept: []string{"f"}}); err != nil {
		t.Fatal(err)
	}
	// The join: one login, one first request, one receipt, all of (gus, "").
	for _, k := range []students.Kind{students.KindLogin, students.KindRequest, students.KindReceipt} {
		got := w.lines.of(k)
		if len(got) != 1 || got[0].User != "gus" || got[0].Server != "" || !got[0].Time.Equal(w.now) {
			t.Errorf("%s: %+v", k, got)
		}
	}
	if r := w.lines.of(students.KindRequest)[0]; r.Login != tk.Login {
		t.Errorf("%+v", r)
	}
}

func TestLoginRefused(t *testing.T) {
	w := school(t)
	good := `{"user":"ana","server":"","groups":[]}`
	long := strings.Repeat("x", 256)
	for name, c := range map[string]struct {
		secret, body string
		want         int
	}{
		"no secret":        {"none", good, 401},
		"empty secret":     {"", good, 401},
		"wrong secret":     {hookSecret + "x", good, 401},
		"part of secret":   {hookSecret[:10], good, 401},
		"a ticket":         {w.student("ana").ticket, good, 401},
		"no body":          {hookSecret, ``, 400},
		"a later field":    {hookSecret, `{"user":"ana","of_a_later_hook":true}`, 200},
		"no user":          {hookSecret, `{"server":"x"}`, 400},
		"a newer format":   {hookSecret, `{"format":2,"user":"ana"}`, 400},
		"format and image": {hookSecret, `{"format":1,"user":"ana","image":"scala:2026"}`, 200},
		"two values":       {hookSecret, good + good, 400},
		"a long name":      {hookSecret, `{"user":"` + long + `"}`, 400},
		"a long group":     {hookSecret, `{"user":"ana","groups":["` + long + `"]}`, 400},
		"NUL":              {hookSecret, `{"user":"a\u0000na"}`, 400},
		"too large":        {hookSecret, `{"user":"` + strings.Repeat("x", maxLogin) + `"}`, 413},
		"deep":             {hookSecret, strings.Repeat("[", 20_000), 400},
		"good":             {hookSecret, good, 200},
		"strange but good": {hookSecret, `{"user":"a/b ../ä\n","server":"-2db","groups":null}`, 200},
	} {
		rec := w.post(c.secret, c.body)
		if rec.Code != c.want {
			t.Errorf("%s: %d %s, want %d", name, rec.Code, rec.Body, c.want)
		}
		var p hook.Problem
		if rec.Code != 200 && (json.Unmarshal(rec.Body.Bytes(), &p) != nil || p.Sentence == "" || p.Code == "") {
			t.Errorf("%s: no sentence: %s", name, rec.Body)
		}
	}
}

func TestHookSecretRotates(t *testing.T) {
	w := school(t)
	w.secrets = append([][]byte{[]byte("the-new-hook-secret-0123456789abcdef")}, w.secrets...)
	for _, s := range w.secrets {
		if rec := w.post(string(s), `{"user":"ana"}`); rec.Code != 200 {
			t.Errorf("%d", rec.Code)
		}
	}
	w.secrets = w.secrets[:1]
	if rec := w.post(hookSecret, `{"user":"ana"}`); rec.Code != 401 {
		t.Errorf("the former secret: %d", rec.Code)
	}
	w.secrets = [][]byte{{}}
	if rec := w.post("", `{"user":"ana"}`); rec.Code != 401 {
		t.Errorf("an empty secret let in: %d", rec.Code)
	}
}

func TestGuessesAreSlowed(t *testing.T) {
	w := school(t)
	codes := map[int]int{}
	for range 40 {
		codes[w.post("guess", `{"user":"ana"}`).Code]++
	}
	if codes[401] > 25 || codes[429] < 15 {
		t.Errorf("%v", codes)
	}
	if rec := w.post(hookSecret, `{"user":"ana"}`); rec.Code != 200 {
		t.Errorf("the hub is kept out by guesses of others: %d", rec.Code)
	}
}

func TestGroupsAreCutToThoseOfCourses(t *testing.T) {
	w := school(t)
	var groups []string
	for i := range 300 {
		groups = append(groups, fmt.Sprintf("lunch-group-%d", i))
	}
	a := w.login("gus", append(groups, "g", "tutors")...)
	tk, err := w.tickets.Verify("satchel", a.Ticket, w.now)
	if err != nil || fmt.Sprint(tk.Groups) != "[g tutors]" {
		t.Errorf("%v %v", tk.Groups, err)
	}
	var named []string
	for i := range 300 {
		named = append(named, fmt.Sprintf("section-%d", i))
	}
	w.course("sections", course.Audience{Groups: named})
	a = w.login("gus", named...)
	if tk, err = w.tickets.Verify("satchel", a.Ticket, w.now); err != nil || len(tk.Groups) < 20 {
		t.Errorf("%d groups, %v", len(tk.Groups), err)
	}
}

func TestRenew(t *testing.T) {
	w := school(t)
	s := w.student("gus", "g")
	began := w.now
	for range 40 { // every 11 hours, as watch does
		w.pass(11 * time.Hour)
		a, err := s.client.Renew(t.Context())
		if w.now.Sub(began) >= hook.LoginLife {
			wantError(t, err, http.StatusUnauthorized, hook.CodeExpired)
			return
		}
		if err != nil {
			t.Fatalf("after %s: %v", w.now.Sub(began), err)
		}
		if end := began.Add(hook.LoginLife); a.Expires.After(end) {
			t.Fatalf("expires %s, after %s", a.Expires, end)
		}
		s.ticket = a.Ticket
		s.sync()
	}
	t.Error("a ticket was renewed for ever")
}

func TestRenewKeepsTheLogin(t *testing.T) {
	w := school(t)
	s := w.student("gus", "g")
	s.sync()
	w.pass(time.Hour)
	a, err := s.client.Renew(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.ticket = a.Ticket
	s.sync()
	if n := len(w.lines.of(students.KindRequest)); n != 1 {
		t.Errorf("%d first requests for one login", n)
	}
	tk, err := w.tickets.Verify("satchel", a.Ticket, w.now)
	if err != nil || tk.Login != w.now.Add(-time.Hour).Unix() || fmt.Sprint(tk.Groups) != "[g]" {
		t.Errorf("%+v %v", tk, err)
	}
}

// The keys that an agent trusts are told with its first request, and again
// when they change.
func TestKeysAreTold(t *testing.T) {
	w := school(t)
	s := w.student("ana")
	s.status("GET", "/v1/courses/none/history", nil, nil) // not a sync: no keys yet
	for _, keys := range [][]string{{"0123456789abcdef"}, {"0123456789abcdef"}, nil, {"0123456789abcdef", "1123456789abcdef"}} {
		a, err := s.client.Sync(t.Context(), nil, keys, "")
		if err != nil {
			t.Fatal(err)
		}
		a.Close()
	}
	var told []string
	for _, l := range w.lines.of(students.KindRequest) {
		told = append(told, fmt.Sprint(l.Keys))
	}
	if got := fmt.Sprint(told); got != "[[] [0123456789abcdef] [0123456789abcdef 1123456789abcdef]]" {
		t.Error(got)
	}
	rec := httptest.NewRecorder()
	w.srv.Hub().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	if !strings.Contains(rec.Body.String(), "satchel_agents_without_key_total 3") {
		t.Error("agents that trust no key of a course are not counted")
	}
}

func TestReceiptRefused(t *testing.T) {
	w := school(t)
	s := w.student("ana")
	paths := `["` + strings.Repeat(`p","`, maxReceiptPaths) + `p"]`
	for name, c := range map[string]struct {
		body string
		want int
	}{
		"good":           {`{"format":1,"course":"open","version":1,"agent":"x","added":1,"changed":0,"removed":0,"waiting":0}`, 204},
		"newer format":   {`{"format":2,"course":"open","version":1}`, 400},
		"no format":      {`{"course":"open","version":1}`, 400},
		"a later field":  {`{"format":1,"course":"open","mine":["diary.ipynb"]}`, 204},
		"negative":       {`{"format":1,"course":"open","added":-1}`, 400},
		"absurd count":   {`{"format":1,"course":"open","added":50001}`, 400},
		"absurd version": {`{"format":1,"course":"open","version":9007199254740993}`, 400},
		"path outside":   {`{"format":1,"course":"open","kept":["../.ssh/id"]}`, 400},
		"many paths":     {`{"format":1,"course":"open","kept":` + paths + `}`, 400},
		"long word":      {`{"format":1,"course":"open","image":"` + strings.Repeat("x", 300) + `"}`, 400},
		"word in colour": {`{"format":1,"course":"open","agent":"\u001b[31m"}`, 400},
		"word in German": {`{"format":1,"course":"open","image":"prüfung"}`, 400},
		"code of lines":  {`{"format":1,"course":"open","code":"in_part\nana: all is well"}`, 400},
		"long code":      {`{"format":1,"course":"open","code":"` + strings.Repeat("x", 33) + `"}`, 400},
		"too large":      {`{"format":1,"course":"` + strings.Repeat("x", hook.MaxReceipt) + `"}`, 413},
		"foreign":        {`{"format":1,"course":"grouped"}`, 404},
		"absent":         {`{"format":1,"course":"neverwas"}`, 404},
	} {
		if got := s.status("POST", "/v1/receipts", nil, strings.NewReader(c.body)); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	written := w.lines.of(students.KindReceipt)
	if len(written) != 2 {
		t.Errorf("%d receipts were written", len(written))
	}
	if strings.Contains(fmt.Sprintf("%+v", written), "diary") {
		t.Error("a field that no receipt has was kept")
	}
}

// Neither a ticket nor a secret is ever logged, at any level; no name at info.
func TestLogsHoldNoSecrets(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo} {
		w := newWorld(t, nil)
		var out lockedBuffer
		w.srv.lg = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: level}))
		w.srv.lib.lg = w.srv.lg
		w.course("scala", all)
		w.publish("scala", everyone(map[string]string{"a": "a"}))
		a := w.login("zoë\nxx", "secretgroup")
		s := w.student("zoë\nxx", "secretgroup")
		s.ticket = a.Ticket
		s.sync()
		s.status("GET", "/v1/courses/none/history", nil, nil)
		s.status("GET", "/v1/sync?ticket="+a.Ticket, http.Header{"X": {a.Ticket}}, nil)
		w.post("a wrong secret", `{}`)
		log := out.String()
		for _, s := range append(strings.Split(a.Ticket, ".")[2:], hookSecret, "a wrong secret", "\nxx") {
			if strings.Contains(log, s) {
				t.Errorf("logged %q:\n%s", s, log)
			}
		}
		if level == slog.LevelInfo && strings.Contains(log, "zo") {
			t.Errorf("a name at level info:\n%s", log)
		}
		if level == slog.LevelDebug && !strings.Contains(log, `zo\\u00eb\\nxx`) {
			t.Errorf("no quoted name:\n%s", log)
		}
	}
}

func TestHubRoutes(t *testing.T) {
	w := school(t)
	get := func(path string) (int, string) {
		rec := httptest.NewRecorder()
		w.srv.Hub().ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
		return rec.Code, rec.Body.String()
	}
	if code, _ := get("/healthz"); code != 200 {
		t.Errorf("health: %d", code)
	}
	if code, body := get("/readyz"); code != 200 || !strings.Contains(body, `"course":"open"`) {
		t.Errorf("ready: %d %s", code, body)
	}
	for _, path := range []string{"/v1/sync", "/v1/renew", "/", "/debug/pprof/", "/v1/logins"} {
		if code, _ := get(path); code != 404 {
			t.Errorf("%s: %d", path, code)
		}
	}
	w.login("ana")
	w.student("ana").sync()
	_, body := get("/metrics")
	for _, line := range []string{
		`satchel_logins_total{result="admitted"} 1`, `satchel_requests_total{route="sync",status="200"} 1`, `satchel_course_version{course="open"} 1`,
		`satchel_course_unreadable{course="open"} 0`, `satchel_course_head_age_seconds{course="open"} 0`, `satchel_listeners 0`,
		`satchel_sent_bytes_total{kind="stored"}`,
	} {
		if !strings.Contains(body, line) {
			t.Errorf("metrics lack %s", line)
		}
	}
	if strings.Contains(body, "ana") {
		t.Error("metrics name a student")
	}
	w.srv.Drain()
	if code, _ := get("/readyz"); code != 503 {
		t.Errorf("ready while draining: %d", code)
	}
	if code, _ := get("/healthz"); code != 200 {
		t.Error("draining is not ill")
	}
}

// What is answered and taken, as bytes.
func TestGolden(t *testing.T) {
	w := school(t)
	a := w.login("ana", "g")
	s := w.student("ana")
	s.ticket = a.Ticket
	renewed, err := s.client.Renew(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]hook.Admission{"admission-courses.json": a, "admission.json": renewed} {
		a.Ticket, a.Keys = "st1.KID.PAYLOAD.MAC", "ed25519:KEY"
		golden(t, name, indented(t, a))
	}
	login, err := os.ReadFile("../hook/testdata/golden/v1/login.json")
	if rec := w.post(hookSecret, string(login)); err != nil || rec.Code != 200 {
		t.Errorf("the golden login: %d, %v", rec.Code, err)
	}
	if l := w.lines.of(students.KindLogin)[1]; l.User != "ana" || l.Server != "two" || l.Image != "scala:2026" {
		t.Errorf("%+v", l)
	}

	s = w.student("ana")
	resp := s.do("GET", "/v1/courses/grouped/history", nil, nil)
	defer resp.Body.Close()
	problem, _ := io.ReadAll(resp.Body)
	golden(t, "problem.json", problem)

	w.publish("open", everyone(map[string]string{"f": "text of open", "n.ipynb": "{}"}))
	offer := w.student("nobody").sync()
	for i := range offer.Courses {
		c := &offer.Courses[i]
		if c.Head != nil {
			c.Head.Signatures = nil // a random key
		}
		for j := range c.Frames { // what the zstd library makes of it may change
			f := &c.Frames[j]
			f.Bundle, f.Offset, f.Length = bundle.Sum(nil), 400, 30
		}
	}
	golden(t, "offer.json", indented(t, offer))

	w.publish("open", everyone(map[string]string{"m": "m", "k": "k", "f": "f"})) // what the receipt names
	receipt := []byte(`{"format":1,"course":"open","version":3,"agent":"1.0","image":"img:1","added":1,"changed":2,"removed":3,"waiting":4,"merged":["m"],"kept":["k"],"failed":["f"],"code":"full"}` + "\n")
	golden(t, "receipt.json", receipt)
	if got := s.status("POST", "/v1/receipts", nil, bytes.NewReader(receipt)); got != 204 {
		t.Errorf("the golden receipt: %d", got)
	}
	line := w.lines.of(students.KindReceipt)[0]
	line.Time = time.Time{}
	if got := fmt.Sprint(line); !strings.Contains(got, "img:1") || line.Removed != 3 || line.Waiting != 4 || line.Code != "full" || len(line.Failed) != 1 {
		t.Errorf("%s", got)
	}
}
