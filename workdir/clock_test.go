package workdir

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
)

// onDisk says where a text lies below the root, as a whole file.
func (w *world) onDisk(text string) (at string) {
	w.t.Helper()
	err := filepath.WalkDir(w.root, func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(p)
		if string(data) == text {
			at = p
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return at
}

// shelveOne brings "my first work" to the shelf, and leaves three copies
// beside.
func shelveOne(w *world) {
	w.t.Helper()
	w.policies["a.txt"] = bundle.Replace
	w.publish("a.txt", "course")
	w.sync()
	for _, mine := range []string{"my first work", "my second", "my third", "my fourth"} {
		w.write("a.txt", mine)
		w.publish("a.txt", w.files["a.txt"]+"+")
		w.sync()
	}
	if at := w.onDisk("my first work"); !strings.Contains(at, "/shelf/") {
		w.t.Fatalf("it lies at %q", at)
	}
}

// Each is one clock that was wrong for a while; the other one is right. true
// time goes on by a day a pass.
func TestTheShelfKeepsThirtyDaysWhateverAClockSays(t *testing.T) {
	type clocks func(pass int, true time.Time) (local, signed time.Time)
	wrong := func(true time.Time, years int) time.Time { return true.AddDate(years, 0, 0) }
	for name, at := range map[string]clocks{
		"right": func(_ int, now time.Time) (time.Time, time.Time) { return now, now },
		"the machine's was behind": func(n int, now time.Time) (time.Time, time.Time) {
			if n == 0 {
				return wrong(now, -1), now
			}
			return now, now
		},
		"the machine's was behind, and the head old": func(n int, now time.Time) (time.Time, time.Time) {
			if n == 0 {
				return wrong(now, -1), wrong(now, -1)
			}
			return now, now
		},
		"the machine's leaps ahead": func(n int, now time.Time) (time.Time, time.Time) {
			if n > 2 {
				return wrong(now, 1), now
			}
			return now, now
		},
		"the machine's comes and goes": func(n int, now time.Time) (time.Time, time.Time) { return wrong(now, n%2), now },
		"the service's leaps ahead": func(n int, now time.Time) (time.Time, time.Time) {
			if n > 2 {
				return now, wrong(now, 1)
			}
			return now, now
		},
		"the service stood still": func(n int, now time.Time) (time.Time, time.Time) {
			if n < 10 {
				return now, day
			}
			return now, now
		},
		"the machine's leaps ten years, either way": func(n int, now time.Time) (time.Time, time.Time) {
			return wrong(now, []int{0, 10, -10}[n%3]), now
		},
		"both leap ahead once": func(n int, now time.Time) (time.Time, time.Time) {
			if n == 3 {
				return wrong(now, 1), wrong(now, 1)
			}
			return now, now
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorldAt(silent{t}, quickDir(t))
			w.now, w.checked = at(0, day)
			shelveOne(w)
			for n := 1; n <= 30; n++ {
				w.now, w.checked = at(n, day.AddDate(0, 0, n))
				w.sync()
				if w.onDisk("my first work") == "" {
					t.Fatalf("gone after %d days", n)
				}
			}
		})
	}
}

// Over random histories in which one clock is right, nothing goes within
// thirty days, and with both right again it goes some day.
func TestTheShelfsClock(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := newWorldAt(silent{t}, quickDir(t))
		now, localIsRight := day, seed%2 == 0
		pass := func() {
			leap := time.Duration(r.Int64N(int64(400*24*time.Hour))) - 200*24*time.Hour
			w.now, w.checked = now, now
			if localIsRight {
				w.checked = now.Add(leap)
			} else {
				w.now = now.Add(leap)
			}
		}
		pass()
		shelveOne(w)
		for {
			now = now.Add(time.Duration(r.Int64N(int64(6 * 24 * time.Hour))))
			if now.Sub(day) > shelfFor {
				break
			}
			pass()
			if w.sync(); w.onDisk("my first work") == "" {
				t.Fatalf("seed %d: gone after %v", seed, now.Sub(day))
			}
		}
		for range 9 {
			now = now.AddDate(0, 0, 7)
			w.now, w.checked = now, now
			w.sync()
		}
		if at := w.onDisk("my first work"); at != "" {
			t.Fatalf("seed %d: kept for ever, at %s", seed, at)
		}
	}
}

// The clock stands, so that two passes would take the same name; or the
// student threw the first one's folder away.
func TestWhatIsShelvedLaterGrowsOldOnItsOwn(t *testing.T) {
	for _, thrownAway := range []bool{false, true} {
		w := newWorldAt(silent{t}, quickDir(t))
		shelveOne(w)
		for n := 1; n < 29; n++ {
			w.now, w.checked = day.AddDate(0, 0, n), time.Time{}
			w.sync()
		}
		if thrownAway {
			os.RemoveAll(w.own("shelf"))
		}
		w.checked, w.now = day, day // back to the second of the first
		w.write("a.txt", "my fifth")
		w.publish("a.txt", "another")
		w.sync()
		if at := w.onDisk("my second"); !strings.Contains(at, "/shelf/") {
			t.Fatalf("it lies at %q", at)
		}
		for n := 29; n < 50; n++ {
			w.now, w.checked = day.AddDate(0, 0, n), time.Time{}
			w.sync()
		}
		if w.onDisk("my first work") != "" || w.onDisk("my second") == "" {
			t.Fatalf("first at %q, second at %q", w.onDisk("my first work"), w.onDisk("my second"))
		}
	}
}

func TestTheShelfOfALostJournalIsCountedAnew(t *testing.T) {
	w := newWorldAt(silent{t}, quickDir(t))
	shelveOne(w)
	for n := 1; n < 70; n++ {
		if w.now = day.AddDate(0, 0, n); n == 25 {
			os.Remove(filepath.Join(w.root, ".satchel/scala101/journal"))
		}
		if w.sync(); n <= 55 && w.onDisk("my first work") == "" {
			t.Fatalf("gone after %d days", n)
		}
	}
	if at := w.onDisk("my first work"); at != "" {
		t.Fatalf("kept for ever, at %s", at)
	}
}

// Notes have no heads of their own: their shelf goes by those of the pass.
func TestTheShelfOfTheNotesHasTheCoursesClock(t *testing.T) {
	w := newWorldAt(silent{t}, quickDir(t))
	w.publish("a.txt", "one")
	note := func(text string) {
		t.Helper()
		h := w.open()
		defer h.Close()
		c, err := h.Course("scala101")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Plan(t.Context(), w.newest(), w.ask, w.how); err != nil {
			t.Fatal(err)
		}
		if _, err := h.PlaceNote(t.Context(), "What is new.md", []byte(text), isNote); err != nil {
			t.Fatal(err)
		}
	}
	note("0")
	for _, mine := range []string{"my note 1", "my note 2", "my note 3", "my note 4"} {
		os.WriteFile(filepath.Join(w.root, "What is new.md"), []byte(mine), 0o644)
		note(mine + ", read")
	}
	w.now, w.checked = day.AddDate(1, 0, 0), day.AddDate(0, 0, 1)
	note("a clock leaps")
	w.now, w.checked = day.AddDate(1, 0, 1), day.AddDate(0, 0, 2)
	note("and goes on")
	if at := w.onDisk("my note 1"); !strings.Contains(at, "/.notes/shelf/") {
		t.Fatalf("it lies at %q", at)
	}
	for n := 1; n <= 8; n++ {
		w.now, w.checked = day.AddDate(0, 0, 7*n), time.Time{}
		note(w.now.String())
	}
	if at := w.onDisk("my note 1"); at != "" {
		t.Fatalf("kept for ever, at %s", at)
	}
}

// An editor has the file open while the machine's clock leaps.
func TestWhatIsHeldOutlivesALeapOfTheClock(t *testing.T) {
	for name, leap := range map[string][]time.Duration{
		"was behind":       {-365 * 24 * time.Hour, 0, time.Minute},
		"leaps ahead":      {0, time.Minute, 365 * 24 * time.Hour},
		"was ahead":        {365 * 24 * time.Hour, 0, 365 * 24 * time.Hour, 365*24*time.Hour + time.Minute},
		"ten years behind": {-3652 * 24 * time.Hour, 0, time.Minute},
		"ten years ahead":  {3652 * 24 * time.Hour, 0, time.Minute},
		"leaps ten years":  {0, 3652 * 24 * time.Hour, 3652*24*time.Hour + time.Minute},
		"leaps at once":    {0, 365 * 24 * time.Hour, 365*24*time.Hour + 9*time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.publish("a.txt", "one")
			w.sync()
			editor, err := os.OpenFile(w.path("a.txt"), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer editor.Close()
			w.publish("a.txt", "two")
			for _, d := range leap {
				w.now = day.Add(d)
				w.sync()
			}
			editor.WriteString("late")
			w.sync()
			if w.onDisk("late") == "" {
				t.Fatal("what the editor wrote late is lost")
			}
		})
	}
}

func TestWhatIsHeldEndsThoughTheClockWasAhead(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one")
	w.sync()
	w.publish("a.txt", "two")
	w.now = day.AddDate(1, 0, 0)
	w.sync()
	for n := range 3 {
		w.now = day.Add(time.Duration(n) * heldFor)
		if held, _ := os.ReadDir(w.own("hold")); len(held) != 1 {
			t.Fatalf("%d are held before look %d", len(held), n+1)
		}
		w.sync()
	}
	if held, _ := os.ReadDir(w.own("hold")); len(held) != 0 {
		t.Fatalf("%d are held for ever", len(held))
	}
}
