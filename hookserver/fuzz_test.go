package hookserver

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/course"
	"satchel/hook"
	"satchel/internal/hub"
	"satchel/internal/students"
)

// fuzzed is a service with one course, for bodies of any bytes.
func fuzzed(f *testing.F) *world {
	w := newWorld(f, func(o *Options) { o.Limits.Logins = 1 << 30 })
	w.course("scala101", course.Audience{Everyone: true})
	w.publish("scala101", everyone(map[string]string{"a.txt": "1"}))
	w.publish("scala101", everyone(map[string]string{"b.txt": "2"}))
	w.withHub(&fakeHub{owners: map[string]hub.Person{"of-ana": {User: "ana"}}, groups: map[string][]string{"ana": {"g"}}})
	return w
}

// postBytes sends a body of any bytes to a route, and fails on what no body may
// cause.
func (w *world) postBytes(t *testing.T, to http.Handler, path, token string, body []byte) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, bytes.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	out := httptest.NewRecorder()
	to.ServeHTTP(out, r)
	switch out.Code {
	case http.StatusOK, http.StatusNoContent, http.StatusBadRequest, http.StatusNotFound, http.StatusRequestEntityTooLarge:
	default:
		t.Fatalf("%s: %d %s for %q", path, out.Code, out.Body, body)
	}
	if p := out.Body.String(); out.Code >= 400 && (!json.Valid(out.Body.Bytes()) || strings.ContainsAny(strings.TrimSpace(p), "\n\x00\x1b")) {
		t.Errorf("%s: %q", path, p)
	}
	return out
}

// FuzzReceipt: of a receipt only the course's own paths and printable words are
// kept.
func FuzzReceipt(f *testing.F) {
	w := fuzzed(f)
	for _, r := range []hook.Receipt{
		{Format: 1, Course: "scala101", Version: 2, Agent: "1.0", Image: "img", Added: 1, Code: "in_part"},
		{Format: 1, Course: "scala101", Version: 9, Merged: []string{"a.txt"}, Kept: []string{"b.txt", "thesis.txt"}, Failed: []string{"../x"}},
		{Format: 2, Course: "algo", Version: -1},
	} {
		data, _ := json.Marshal(r)
		f.Add(data)
	}
	ticket := w.student("ana", "g").ticket
	f.Fuzz(func(t *testing.T, body []byte) {
		w.lines.mu.Lock()
		w.lines.list = nil
		w.lines.mu.Unlock()
		w.pass(time.Hour) // receipts are paced
		w.pass(-time.Hour)
		if w.postBytes(t, w.srv.Student(), "/v1/receipts", ticket, body).Code != http.StatusNoContent {
			return
		}
		for _, l := range w.lines.of(students.KindReceipt) {
			paths := slices.Concat(l.Merged, l.Kept, l.Failed)
			if slices.ContainsFunc(paths, func(p string) bool { return p != "a.txt" && p != "b.txt" }) {
				t.Errorf("kept %q of %q", paths, body)
			}
			if words := l.Course + l.Agent + l.Image + l.Code; strings.ContainsFunc(words, unprintable) || l.User != "ana" || l.Version > 2 {
				t.Errorf("kept %+v of %q", l, body)
			}
		}
	})
}

// FuzzLogin: whatever the hub's hook says, a ticket is for the user it names.
func FuzzLogin(f *testing.F) {
	w := fuzzed(f)
	for _, l := range []hook.Login{{User: "ana", Groups: []string{"g"}}, {Format: 1, User: "b\x00b", Server: "s", Image: "i"}, {User: strings.Repeat("u", 300)}} {
		data, _ := json.Marshal(l)
		f.Add(data)
	}
	f.Add([]byte(`{"user":"ana","user":"root","USER":"x"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		out := w.postBytes(t, w.srv.Hub(), "/v1/logins", hookSecret, body)
		if out.Code != http.StatusOK {
			return
		}
		var l hook.Login
		var a hook.Admission
		if json.Unmarshal(body, &l) != nil || json.Unmarshal(out.Body.Bytes(), &a) != nil {
			t.Fatalf("%q brought %s", body, out.Body)
		}
		tk, err := w.tickets.Verify("satchel", a.Ticket, w.clock())
		if err != nil || tk.User != l.User || tk.Server != l.Server || tk.User == "" {
			t.Errorf("%q brought a ticket %+v, %v", body, tk, err)
		}
	})
}

// FuzzExchange: the ticket is for whom the hub names, whatever the body says.
func FuzzExchange(f *testing.F) {
	w := fuzzed(f)
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"user":"root","format":1}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, body []byte) {
		out := w.postBytes(t, w.srv.Student(), "/v1/exchange", "of-ana", body)
		if out.Code != http.StatusOK {
			return
		}
		var a hook.Admission
		if err := json.Unmarshal(out.Body.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		if tk, err := w.tickets.Verify("satchel", a.Ticket, w.clock()); err != nil || tk.User != "ana" || len(tk.Groups) > 0 {
			t.Errorf("%q brought a ticket %+v, %v", body, tk, err)
		}
	})
}

// FuzzBodies: the other bodies that an agent posts.
func FuzzBodies(f *testing.F) {
	w := fuzzed(f)
	paths := []string{"/v1/courses/scala101/files", "/v1/heads", "/v1/renew", "/v1/sync"}
	ask, _ := json.Marshal(hook.Ask{Digests: []bundle.Digest{bundle.Sum([]byte("2"))}, URLs: true})
	proof, _ := json.Marshal(hook.Proof{Format: 1, Course: "scala101", Head: w.state["scala101"].record.Head})
	for i, body := range [][]byte{ask, proof, []byte("{}"), []byte("have=scala101:1:00ff:all&keys=x&urls=1")} {
		f.Add(byte(i), body)
	}
	f.Add(byte(1), []byte(`{"format":1,"course":"scala101","head":{"payload":"e30=","signatures":[{}]}}`))
	ticket := w.student("ana", "g").ticket
	f.Fuzz(func(t *testing.T, route byte, body []byte) {
		w.postBytes(t, w.srv.Student(), paths[int(route)%len(paths)], ticket, body)
	})
}
