package syncer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"satchel/course"
	"satchel/store"
)

// passes is a stand-in for Sync that notes when it was called.
type passes struct {
	mu    sync.Mutex
	began time.Time
	at    map[course.Name][]time.Duration
	do    func(ctx context.Context, c *course.Course) error

	compacted  []time.Duration
	compactErr error
	due        bool
}

func (p *passes) sync(ctx context.Context, c *course.Course, _ Request) (Outcome, error) {
	p.mu.Lock()
	p.at[c.Name] = append(p.at[c.Name], time.Since(p.began))
	do, due := p.do, p.due
	p.mu.Unlock()
	if do == nil {
		return Outcome{fullIsDue: due}, nil
	}
	return Outcome{fullIsDue: due}, do(ctx, c)
}

func (p *passes) compact(context.Context, *course.Course) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.compacted = append(p.compacted, time.Since(p.began))
	return p.compactErr == nil, p.compactErr
}

func (p *passes) of(name course.Name) []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.at[name])
}

// runLoop runs a loop over courses; stop ends it and waits.
func runLoop(t *testing.T, p *passes, courses func() []course.Course) (l *loop, changed chan struct{}, stop func()) {
	t.Helper()
	p.began, p.at = time.Now(), map[course.Name][]time.Duration{}
	l = &loop{
		lg: slog.New(slog.DiscardHandler), sync: p.sync, compact: p.compact,
		watch:   func(ctx context.Context, _ *course.Course, _ func()) { <-ctx.Done() },
		planned: func(course.Name, time.Time) {}, removed: func(course.Name) {}, workers: map[course.Name]*worker{},
	}
	ctx, cancel := context.WithCancel(t.Context())
	changed = make(chan struct{})
	done := make(chan struct{})
	go func() { defer close(done); l.run(ctx, courses, changed) }()
	return l, changed, func() { cancel(); <-done }
}

func these(cs ...course.Course) func() []course.Course {
	return func() []course.Course { return cs }
}

func TestLoopPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &passes{}
		_, _, stop := runLoop(t, p, these(course.Course{Name: "a"}, course.Course{Name: "b", Poll: 10 * time.Second}))
		time.Sleep(10*time.Minute + 30*time.Second)
		stop()
		if n := len(p.of("a")); n < 9 || n > 13 {
			t.Errorf("%d passes in ten minutes at one a minute", n)
		}
		if n := len(p.of("b")); n < 55 || n > 72 {
			t.Errorf("%d passes in ten minutes at six a minute", n)
		}
		if at := p.of("a")[0]; at != 0 {
			t.Errorf("the first pass came after %v", at)
		}
	})
}

func TestLoopBacksOffAfterErrorsAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &passes{do: func(context.Context, *course.Course) error { return errors.New("git host down") }}
		_, _, stop := runLoop(t, p, these(course.Course{Name: "a", Poll: 5 * time.Second}))
		time.Sleep(2 * time.Hour)
		at := p.of("a")
		for i, want := range []time.Duration{1, 2, 4, 8, 15, 15} {
			want *= time.Minute
			if got := at[i+1] - at[i]; got < want*9/10 || got > want*11/10 {
				t.Errorf("pause %d is %v; want about %v", i+1, got, want)
			}
		}
		p.mu.Lock()
		p.do = nil
		p.mu.Unlock()
		time.Sleep(17 * time.Minute)
		n := len(p.of("a"))
		time.Sleep(time.Minute)
		stop()
		if got := len(p.of("a")) - n; got < 10 {
			t.Errorf("%d passes in the minute after it was well again; want the poll interval back", got)
		}
	})
}

// What mends a refusal is a push: so it is looked for as often as ever.
func TestLoopDoesNotBackOffAfterARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &passes{do: func(context.Context, *course.Course) error {
			return fmt.Errorf("publish a: %w", refuse(Content, "broken"))
		}}
		_, _, stop := runLoop(t, p, these(course.Course{Name: "a"}))
		time.Sleep(time.Hour)
		stop()
		if n := len(p.of("a")); n < 54 {
			t.Errorf("%d passes in an hour", n)
		}
	})
}

func TestOneBrokenCourseDoesNotStopAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &passes{do: func(ctx context.Context, c *course.Course) error {
			switch c.Name {
			case "panics":
				panic("a fault")
			case "hangs":
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}}
		_, _, stop := runLoop(t, p, these(course.Course{Name: "panics"}, course.Course{Name: "hangs"}, course.Course{Name: "well"}))
		time.Sleep(time.Hour)
		stop()
		if n := len(p.of("well")); n < 54 {
			t.Errorf("the healthy course had %d passes in an hour", n)
		}
		if n := len(p.of("panics")); n < 5 {
			t.Errorf("the course that panics had %d passes; want it tried again", n)
		}
	})
}

func TestHintsAreGatheredAndSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		under, most := 0, 0
		var mu sync.Mutex
		p := &passes{do: func(context.Context, *course.Course) error {
			mu.Lock()
			under++
			most = max(most, under)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			under--
			mu.Unlock()
			return nil
		}}
		l, _, stop := runLoop(t, p, these(course.Course{Name: "a", Poll: time.Hour}))
		time.Sleep(2 * time.Second)
		for range 100 { // a push touches many files
			l.hint("a")
			time.Sleep(2 * time.Millisecond)
		}
		l.hint("unknown")
		time.Sleep(10 * time.Second)
		if n := len(p.of("a")); n != 2 {
			t.Errorf("%d passes; want the first, and one for all hints", n)
		}
		l.hint("a")
		time.Sleep(800 * time.Millisecond) // this pass is under way
		l.hint("a")
		time.Sleep(10 * time.Second)
		stop()
		if n := len(p.of("a")); n != 4 {
			t.Errorf("%d passes; want one more for a hint during a pass", n)
		}
		if most != 1 {
			t.Errorf("%d passes at once", most)
		}
	})
}

func TestHintEndsABackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &passes{do: func(context.Context, *course.Course) error { return errors.New("down") }}
		l, _, stop := runLoop(t, p, these(course.Course{Name: "a"}))
		time.Sleep(3 * time.Hour)
		n := len(p.of("a"))
		l.hint("a")
		time.Sleep(time.Second)
		stop()
		if len(p.of("a")) != n+1 {
			t.Error("a hint waits for the end of the pause")
		}
	})
}

func TestCoursesAreAddedChangedAndRemovedWithoutRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now := []course.Course{{Name: "stays", Poll: time.Hour}, {Name: "goes", Poll: time.Hour}, {Name: "moves", Repository: "/one", Poll: time.Hour}}
		var repositories []string
		p := &passes{do: func(_ context.Context, c *course.Course) error {
			mu.Lock()
			defer mu.Unlock()
			if c.Name == "moves" {
				repositories = append(repositories, c.Repository)
			}
			return nil
		}}
		l, changed, stop := runLoop(t, p, func() []course.Course {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(now)
		})
		time.Sleep(time.Minute)
		mu.Lock()
		now = []course.Course{{Name: "stays", Poll: time.Hour}, {Name: "moves", Repository: "/two", Poll: time.Hour}, {Name: "comes", Poll: time.Hour}}
		mu.Unlock()
		changed <- struct{}{}
		time.Sleep(time.Minute)
		if len(p.of("comes")) != 1 || len(p.of("goes")) != 1 {
			t.Errorf("comes %v, goes %v", p.of("comes"), p.of("goes"))
		}
		if n := len(p.of("stays")); n != 2 {
			t.Errorf("the course that stays had %d passes; want one more, for a key may have changed", n)
		}
		mu.Lock()
		if !slices.Equal(repositories, []string{"/one", "/two"}) {
			t.Errorf("repositories %q", repositories)
		}
		now = nil
		mu.Unlock()
		changed <- struct{}{}
		synctest.Wait()
		if len(l.workers) != 0 {
			t.Errorf("%d workers are left", len(l.workers))
		}
		stop()
	})
}

// A pass that hangs in a course that is removed is broken off.
func TestRemovedCourseIsBrokenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &passes{do: func(ctx context.Context, _ *course.Course) error { <-ctx.Done(); return ctx.Err() }}
		var mu sync.Mutex
		now := []course.Course{{Name: "hangs"}}
		_, changed, stop := runLoop(t, p, func() []course.Course {
			mu.Lock()
			defer mu.Unlock()
			return now
		})
		time.Sleep(time.Minute)
		mu.Lock()
		now = nil
		mu.Unlock()
		changed <- struct{}{}
		changed <- struct{}{} // taken only when the first was done
		stop()
	})
}

func TestHousekeepingFoldsAndSurvivesPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folds := 0
		s := New(slog.New(slog.DiscardHandler), nil, Options{StateDir: t.TempDir(), Fold: func(context.Context) error {
			folds++
			if folds%2 == 0 {
				panic("a fault")
			}
			return errors.New("the store is away")
		}})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.housekeep(ctx, these()) }()
		time.Sleep(20 * time.Minute)
		stop()
		<-done
		if folds < 15 {
			t.Errorf("folded %d times in 20 minutes", folds)
		}
	})
}

// A hookserver that has not spoken for a day is forgotten.
func TestHousekeepingForgetsHookserversThatAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		st, err := store.NewDir(root)
		must(t, err)
		for id, ago := range map[string]time.Duration{"gone": 25 * time.Hour, "here": time.Hour} {
			must(t, store.WritePresence(t.Context(), st, store.Presence{ID: id}))
			then := time.Now().Add(-ago)
			must(t, os.Chtimes(filepath.Join(root, "receipts", "servers", id), then, then))
		}
		s := New(slog.New(slog.DiscardHandler), st, Options{StateDir: t.TempDir(), Now: time.Now})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.housekeep(ctx, these()) }()
		time.Sleep(20 * time.Minute)
		stop()
		<-done
		for id, want := range map[string]bool{"gone": false, "here": true} {
			if _, err := os.Stat(filepath.Join(root, "receipts", "servers", id)); (err == nil) != want {
				t.Errorf("%s: %v", id, err)
			}
		}
	})
}

// A full bundle is written beside the passes, and after an error not before an
// hour has gone.
func TestLoopCompactsBesidePasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &passes{due: true, compactErr: errors.New("the store is away")}
		_, _, stop := runLoop(t, p, these(course.Course{Name: "a"}))
		time.Sleep(150 * time.Minute)
		stop()
		if n := len(p.compacted); n != 3 || len(p.of("a")) < 100 {
			t.Errorf("%d times in two and a half hours of errors, with %d passes", n, len(p.of("a")))
		}
		p = &passes{due: true}
		_, _, stop = runLoop(t, p, these(course.Course{Name: "a"}))
		time.Sleep(10 * time.Minute)
		p.mu.Lock()
		p.due = false
		n := len(p.compacted)
		p.mu.Unlock()
		time.Sleep(10 * time.Minute)
		stop()
		if n < 8 || len(p.compacted) > n+1 {
			t.Errorf("%d times while it was due, then %d more", n, len(p.compacted)-n)
		}
	})
}
