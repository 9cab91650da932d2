package agent

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// off is an own clock that is wrong by so many years.
func off(years int) func() time.Time {
	return func() time.Time { return time.Now().AddDate(years, 0, 0) }
}

// A server whose clock is ten years off lives through a day: the start brings
// the course, its ticket is renewed once, a push comes during class. Nothing of
// it is left when the clock is put right, and nothing when it goes wrong the
// other way. (No clock of one process can be moved without moving the
// machine's, so the program itself is not tried.)
func TestADayWithAClockThatIsTenYearsOff(t *testing.T) {
	for _, years := range []int{-10, 10} {
		w := newWorld(t)
		w.course("scala101")
		w.publish("scala101", lesson)
		h := w.home("ana")
		h.now = off(years)
		h.s.Ticket = Secret(w.ticket("ana", 2*time.Second))
		fresh := w.ticket("ana", time.Hour)
		var renewed atomic.Int32
		w.behind(renewal(fresh, &renewed))
		stop := h.watching(WatchOptions{Start: true})
		eventually(t, "the start", h.has("scala101/README.md", lesson["README.md"]))
		eventually(t, "a fresh ticket", func() bool {
			r, err := askWatch(t.Context(), h.s, askTicket)
			return err == nil && r.Ticket == fresh && r.Stream
		})
		two := with(lesson, "new.md", "pushed\n")
		w.publish("scala101", two)
		eventually(t, "the push", h.has("scala101/new.md", "pushed\n"))
		stop()
		if n := renewed.Load(); n != 1 {
			t.Errorf("%d years: renewed %d times", years, n)
		}

		h.said()
		h.now, h.s.Ticket = nil, Secret(fresh)
		three := with(two, "new.md", "again\n")
		w.publish("scala101", three)
		h.sync()
		h.wantTree("scala101", three)
		h.wantSaid("Updated to version 3: 1 changed.")
		st, err := h.agent().Status(t.Context())
		if err != nil || len(st.Courses) != 1 || st.Courses[0].Stale {
			t.Errorf("%d years, then right: %+v, %v", years, st, err)
		}

		h.now = off(-years)
		four := with(three, "new.md", "and again\n")
		w.publish("scala101", four)
		h.sync()
		h.wantTree("scala101", four)
		if said := h.said(); !slices.Contains(said, Words{}.ClocksDiffer()) {
			t.Errorf("%d years, then %d: %q", years, -years, said)
		}
	}
}

// renewal is a service that renews any ticket by this one, and counts.
func renewal(fresh string, renewed *atomic.Int32) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/v1/renew") {
				renewed.Add(1)
				rw.Header().Set("Content-Type", "application/json")
				rw.Write([]byte(`{"ticket":"` + fresh + `","expires":"2030-01-01T00:00:00Z"}`))
				return
			}
			next.ServeHTTP(rw, r)
		})
	}
}
