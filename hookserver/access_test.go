package hookserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/course"
	"satchel/hook"
)

// school is a service with courses of every kind of audience.
func school(t *testing.T) *world {
	w := newWorld(t, nil)
	w.course("open", all)
	w.course("grouped", course.Audience{Groups: []string{"g"}, Except: []string{"exc"}})
	w.course("named", course.Audience{Users: []string{"ana"}})
	w.course("unborn", all) // configured, nothing published
	for _, name := range []string{"open", "grouped", "named", "gone"} {
		w.publish(name, map[string]audienceOf{
			"all" + name: {files: map[string]string{"f": "text of " + name}},
			"tut" + name: {groups: []string{"tutors"}, files: map[string]string{"t": "tutors of " + name}},
		})
	}
	return w
}

// TestMatrix asks every route of every course as every user, in several
// spellings: only what a user may see is there, and what is foreign and what
// is absent give the very same answer.
func TestMatrix(t *testing.T) {
	w := school(t)
	sees := map[string][]string{
		"ana": {"open", "named"}, "gus g": {"open", "grouped"}, "exc g": {"open"}, "tom tutors g": {"open", "grouped"}, "nobody": {"open"},
	}
	spellings := []func(string) string{
		func(s string) string { return s },
		strings.ToUpper,
		func(s string) string { return "%" + fmt.Sprintf("%x", s[0]) + s[1:] },
		func(s string) string { return "./" + s },
		func(s string) string { return "open/../" + s },
		func(s string) string { return s + "%2f" },
		func(s string) string { return s + "%00" },
		func(s string) string { return "open%2f..%2f" + s },
	}
	for user, courses := range sees {
		words := strings.Fields(user)
		s := w.student(words[0], words[1:]...)
		for _, name := range []string{"open", "grouped", "named", "gone", "unborn", "neverwas"} {
			for i, spell := range spellings {
				allowed := (i == 0 || i == 2) && strings.Contains(" "+strings.Join(courses, " ")+" ", " "+name+" ")
				for route, status := range s.knock(spell(name), name) {
					want := http.StatusNotFound
					if allowed {
						want = 200
						if strings.HasPrefix(route, "tutors") && !strings.Contains(user, "tutors") {
							want = http.StatusNotFound
						}
					}
					if route == "receipt" && i == 0 && name == "unborn" {
						want = 200 // enrolled, though nothing was published
					}
					if route == "receipt" && i == 2 {
						continue // a JSON field has no such spelling
					}
					if status != want {
						t.Errorf("%s, course %s as %s, %s: %d, want %d", user, name, spell(name), route, status, want)
					}
				}
			}
		}
	}
}

// knock asks each route of a course; 2xx counts as 200.
func (s *student) knock(spelt, name string) map[string]int {
	s.w.t.Helper()
	digest := func(text string) string { return bundle.Sum([]byte(text)).String() }
	bundleOf := func(channel string) (string, http.Header) {
		if p := s.w.state[name]; p != nil {
			for _, c := range p.record.Channels {
				if c.ID == channel {
					f := indexOf(s.w.t, s.w, name, c.Bundles[0].Digest).Frames[0]
					return c.Bundles[0].Digest.String(), http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", f.Offset, f.Offset+f.Length-1)}}
				}
			}
		}
		return digest("no bundle"), http.Header{"Range": {"bytes=100-110"}}
	}
	base := "/v1/courses/" + spelt
	open, openRange := bundleOf("all" + name)
	tut, tutRange := bundleOf("tut" + name)
	receipt, _ := json.Marshal(hook.Receipt{Format: 1, Course: spelt, Version: 1})
	body := func(s string) io.Reader { return strings.NewReader(s) }
	out := map[string]int{
		"bundle":         s.status("GET", base+"/bundles/"+open, openRange, nil),
		"tutors bundle":  s.status("GET", base+"/bundles/"+tut, tutRange, nil),
		"files":          s.status("POST", base+"/files", nil, body(`{"digests":["`+digest("text of "+name)+`"]}`)),
		"tutors files":   s.status("POST", base+"/files", nil, body(`{"digests":["`+digest("tutors of "+name)+`"]}`)),
		"history":        s.status("GET", base+"/history?channel=all"+name, nil, nil),
		"tutors history": s.status("GET", base+"/history?channel=tut"+name, nil, nil),
		"receipt":        s.status("POST", "/v1/receipts", nil, bytes.NewReader(receipt)),
	}
	for k, status := range out {
		if status >= 200 && status < 300 {
			out[k] = 200
		}
	}
	return out
}

// Foreign and absent courses give the same bytes.
func TestForeignIsAbsent(t *testing.T) {
	w := school(t)
	s := w.student("nobody")
	read := func(name string) string {
		resp := s.do("GET", "/v1/courses/"+name+"/history?channel=all"+name, nil, nil)
		defer resp.Body.Close()
		resp.Header.Del("Date")
		data, _ := io.ReadAll(resp.Body)
		return fmt.Sprint(resp.StatusCode, resp.Header, string(data))
	}
	absent := read("neverwas")
	for _, name := range []string{"grouped", "named", "gone", "unborn"} {
		if got := read(name); got != absent {
			t.Errorf("%s: %s\nabsent: %s", name, got, absent)
		}
	}
}

// The sync lists only the student's courses, by today's configuration and not
// by the day of the ticket.
func TestTodaysConfiguration(t *testing.T) {
	w := school(t)
	names := func(s *student) (out []string) {
		for _, c := range s.sync().Courses {
			out = append(out, c.Course)
		}
		return out
	}
	ana, gus := w.student("ana"), w.student("gus", "g")
	if got := fmt.Sprint(names(ana), names(gus)); got != "[named open unborn] [grouped open unborn]" {
		t.Fatal(got)
	}
	etag := gus.etag
	w.course("grouped", course.Audience{Groups: []string{"g"}, Except: []string{"gus"}})
	if got := fmt.Sprint(names(gus)); got != "[open unborn]" {
		t.Error(got)
	}
	if a, err := gus.client.Sync(t.Context(), gus.haves(), nil, etag); err != nil || a.NotModified {
		t.Errorf("a course that is no longer theirs is no news: %v", err)
	} else {
		a.Close()
	}
	_, err := gus.client.History(t.Context(), "grouped", "allgrouped")
	wantError(t, err, http.StatusNotFound, hook.CodeNotFound)
}

func TestNobodyGetsInWithout(t *testing.T) {
	w := school(t)
	expired := w.student("ana")
	w.pass(hook.TicketLife + hook.Leeway + time.Second)
	good := w.student("ana").ticket
	for name, header := range map[string]http.Header{
		"no ticket":    nil,
		"empty":        {"Authorization": {"Bearer "}},
		"basic":        {"Authorization": {"Basic " + good}},
		"two tickets":  {"Authorization": {"Bearer " + good, "Bearer " + good}},
		"hook secret":  {"Authorization": {"Bearer " + hookSecret}},
		"in the query": {"X-Original-URL": {"/v1/sync?ticket=" + good}},
		"trusted name": {"X-Forwarded-User": {"ana"}, "X-Forwarded-For": {"127.0.0.1"}},
	} {
		s := &student{w: w}
		if status := s.status("GET", "/v1/sync", header, nil); status != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, status)
		}
	}
	_, err := expired.client.Sync(t.Context(), nil, nil, "")
	wantError(t, err, http.StatusUnauthorized, hook.CodeExpired)
}

// The routes are at the root and below the configured prefix; a prefix that a
// request claims counts for nothing, and no path is rewritten.
func TestPrefix(t *testing.T) {
	w := school(t)
	s := w.student("ana")
	for path, want := range map[string]int{
		"/v1/sync":                    200,
		"/services/satchel/v1/sync":   200,
		"/services/satchel//v1/sync":  404,
		"/services/other/v1/sync":     404,
		"/v1/sync/":                   404,
		"/V1/sync":                    404,
		"//v1/sync":                   404,
		"/v1/logins":                  404,
		"/metrics":                    404,
		"/readyz":                     404,
		"/services/satchel/v1/logins": 404,
	} {
		if got := s.status("GET", path, http.Header{"X-Forwarded-Prefix": {"/services/other"}}, nil); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	s.client = hook.NewClient(hook.ClientOptions{URL: w.web.URL + "/services/satchel/", Ticket: func() string { return s.ticket }, HTTP: w.web.Client()})
	s.sync()
	s.wantTree("open", map[string]string{"f": "text of open"})
}
