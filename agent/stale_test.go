package agent

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/hook"
	"satchel/store"
	"satchel/workdir"
)

// loginIn is a login so many days from now, by the own clock.
func (h *home) loginIn(days int) Outcome {
	h.t.Helper()
	a := h.agent()
	a.now = func() time.Time { return time.Now().AddDate(0, 0, days) }
	return a.Sync(h.t.Context(), SyncOptions{Mode: workdir.Start})
}

// frozenAt is a service that answers as it did then.
func frozenAt(then time.Time, answer http.HandlerFunc) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if !then.IsZero() {
				rw.Header().Set("Date", then.UTC().Format(http.TimeFormat))
			}
			if answer != nil {
				answer(rw, r)
				return
			}
			r.Header.Del("If-None-Match")
			next.ServeHTTP(rw, r)
		})
	}
}

// TestServiceThatStandsStillIsSaid: whatever it answers, after a week without
// a newer signed head the student reads so.
func TestServiceThatStandsStillIsSaid(t *testing.T) {
	var then time.Time // no date of its own: the test server's clock goes on
	for name, c := range map[string]struct {
		wall  func(http.Handler) http.Handler
		first string // what is said of the answer itself
	}{
		"304 to everything": {frozenAt(then, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(304) }), "The course server cannot be reached; you have version 1 of "},
		"an old answer":     {frozenAt(time.Now(), nil), "Course material is up to date (version 1)."},
		"busy for ever": {frozenAt(then, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Retry-After", "60")
			rw.WriteHeader(503)
		}), Words{}.Busy()},
		"paused": {tamper(t, "/v1/sync", func(o *hook.Offer, _ []byte) (*hook.Offer, []byte) {
			o.Courses = []hook.CourseOffer{{Course: "scala101", State: hook.StatePaused}}
			return o, nil
		}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.course("scala101")
			w.publish("scala101", lesson)
			h := w.home("ana")
			h.sync()
			h.said()
			w.behind(c.wall)
			stale := Words{}.Stale("scala101", time.Now())
			h.loginIn(6)
			if said := h.said(); slices.Contains(said, stale) {
				t.Errorf("after six days: %q", said)
			}
			for _, days := range []int{8, 30, 300} {
				h.loginIn(days)
				said := h.said()
				if !slices.Contains(said, stale) {
					t.Errorf("after %d days: %q", days, said)
				}
				if !slices.ContainsFunc(said, func(s string) bool { return strings.HasPrefix(s, c.first) }) {
					t.Errorf("after %d days: %q without %q", days, said, c.first)
				}
			}
			page, err := os.ReadFile(filepath.Join(h.root, newsFile))
			if n := strings.Count(string(page), "has not confirmed scala101 since"); err != nil || n != 1 {
				t.Errorf("the page says it %d times, %v", n, err)
			}
			a := h.agent()
			a.now = func() time.Time { return time.Now().AddDate(0, 0, 8) }
			st, err := a.Status(t.Context())
			if err != nil || len(st.Courses) != 1 || !st.Courses[0].Stale {
				t.Errorf("status %+v, %v", st, err)
			}
		})
	}
}

// TestFrozenServiceIsSaidWhereTheOwnClockStandsToo: then the service's date is
// the later one, also where it says that nothing is new.
func TestFrozenServiceIsSaidWhereTheOwnClockStandsToo(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	h.said()
	w.behind(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") == "" {
				t.Error("no ETag")
			}
			rw.Header().Set("Date", time.Now().AddDate(0, 0, 30).UTC().Format(http.TimeFormat))
			rw.WriteHeader(304)
		})
	})
	if out := h.sync(); out.Code != "" {
		t.Errorf("%+v", out)
	}
	h.wantSaid(Words{}.ClocksDiffer(), "Course material is up to date (version 1).", Words{}.Stale("scala101", time.Now()))
}

// TestOwnClockBehindStillAsksForFreshHeads: else a server whose clock stands
// would go on naming its ETag, and its course would look old for no reason.
func TestOwnClockBehindStillAsksForFreshHeads(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson, func(h *bundle.Head, _ *store.Record) { h.Checked = time.Now().AddDate(0, 0, -2) })
	h := w.home("ana")
	h.loginIn(-2)
	w.mu.Lock()
	w.received = nil
	w.mu.Unlock()
	h.loginIn(-2)
	w.mu.Lock()
	defer w.mu.Unlock()
	if strings.Contains(string(w.received), "If-None-Match") {
		t.Error("an ETag was sent for a head of two days ago")
	}
}

// TestCourseThatIsOver: it is said for some weeks, and does not make every
// login ask for everything.
func TestCourseThatIsOver(t *testing.T) {
	w := newWorld(t)
	w.course("old101")
	w.publish("old101", lesson)
	h := w.home("ana")
	h.sync()
	w.mu.Lock()
	w.courses = nil
	w.mu.Unlock()
	w.course("scala101")
	w.publish("scala101", lesson)
	h.said()
	h.sync()
	over := "old101: " + Words{}.Over("old101")
	if said := h.said(); !slices.Contains(said, over) {
		t.Errorf("said %q", said)
	}
	for _, days := range []int{10, 40} {
		w.publish("scala101", lesson, func(h *bundle.Head, _ *store.Record) { h.Checked = time.Now().AddDate(0, 0, days) })
		w.behind(func(next http.Handler) http.Handler { // the service's clock is as late
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Date", time.Now().AddDate(0, 0, days).UTC().Format(http.TimeFormat))
				next.ServeHTTP(rw, r)
			})
		})
		h.loginIn(days)
		said := h.said()
		if slices.Contains(said, over) != (days < 28) || strings.Contains(strings.Join(said, " "), "not confirmed old101") {
			t.Errorf("after %d days: %q", days, said)
		}
		w.mu.Lock()
		w.received = nil
		w.mu.Unlock()
		h.loginIn(days)
		w.mu.Lock()
		if !strings.Contains(string(w.received), "If-None-Match") {
			t.Error("no ETag is sent any more")
		}
		w.mu.Unlock()
	}
	h.wantTree("old101", lesson)
}

func TestDoctorSeesACourseThatNobodyConfirms(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson, staleHead)
	h := w.home("ana")
	for _, c := range h.agent().Doctor(t.Context()) {
		if c.Name == "course" && (c.OK || !strings.Contains(c.Note, "not confirmed since")) {
			t.Errorf("%+v", c)
		}
	}
}
