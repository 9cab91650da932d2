package syncer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"satchel/course"
)

const (
	defaultPoll = time.Minute
	firstWait   = time.Minute            // after one error, doubled for each more
	longestWait = 15 * time.Minute       // after many
	gather      = 300 * time.Millisecond // hints that come together make one pass
	retryFull   = time.Hour              // when a full bundle that could not be made is tried again
)

// loop repeats passes: one worker for each course, so that none waits for
// another's.
type loop struct {
	lg      *slog.Logger
	sync    func(context.Context, *course.Course, Request) (Outcome, error)
	compact func(context.Context, *course.Course) (bool, error)
	watch   func(context.Context, *course.Course, func()) // calls back when the repository may have moved
	planned func(name course.Name, next time.Time)
	removed func(name course.Name)

	said sync.Map // course name to the last error's text

	mu      sync.Mutex
	workers map[course.Name]*worker
}

// worker looks after one course.
type worker struct {
	course atomic.Pointer[course.Course]
	hints  chan struct{} // holds one: more say the same
	due    chan struct{} // holds one: a full bundle is due
	stop   context.CancelFunc
	done   chan struct{}
}

// Run keeps all courses up to date until ctx ends: a pass at the start, then
// one each course.Poll, after an error less and less often, and at once when a
// local repository moves or somebody calls Hint. courses is asked at the start
// and whenever changed speaks; then a course that was added, changed or removed
// is taken up, and all others look at once (a key may have changed). A pass
// that panics is an error of that course.
func (s *Syncer) Run(ctx context.Context, courses func() []course.Course, changed <-chan struct{}) error {
	l := &loop{lg: s.lg, sync: s.Sync, compact: s.compactInTurn, watch: s.watch, planned: s.board.plan, removed: s.claims.drop, workers: map[course.Name]*worker{}}
	s.attach(l, courses)
	var tidy sync.WaitGroup
	tidy.Go(func() { s.housekeep(ctx, courses) })
	l.run(ctx, func() []course.Course {
		cs := courses()
		s.board.keep(cs)
		return cs
	}, changed)
	tidy.Wait()
	return nil
}

// attach makes the loop known to Hint and Control.
func (s *Syncer) attach(l *loop, courses func() []course.Course) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loop, s.courses = l, courses
}

// Hint says that there may be something new in a course's repository. It never
// blocks; hints that come together make one pass.
func (s *Syncer) Hint(name course.Name) {
	if l := s.running(); l != nil {
		l.hint(name)
	}
}

// running is the loop of Run, nil before it.
func (s *Syncer) running() *loop {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loop
}

func (l *loop) hint(name course.Name) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w := l.workers[name]; w != nil {
		w.hint()
	}
}

func (w *worker) hint() { tell(w.hints) }

// tell never blocks: who has not heard the last yet hears it once.
func tell(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// tidy compacts a course after its passes, beside them. After an error it
// leaves the course alone for an hour: the version stays what it is.
func (l *loop) tidy(ctx context.Context, w *worker) {
	var next time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.due:
		}
		c := w.course.Load()
		if time.Now().Before(next) {
			continue
		}
		err := careful(l.lg, func() error {
			did, err := l.compact(ctx, c)
			if did {
				l.lg.Info("full bundle written", "course", c.Name)
			}
			return err
		})
		if err != nil && ctx.Err() == nil {
			next = time.Now().Add(retryFull)
			l.lg.Warn("no full bundle was written; it is tried again in an hour", "course", c.Name, "error", err)
		}
	}
}

// run returns when ctx has ended and all workers have.
func (l *loop) run(ctx context.Context, courses func() []course.Course, changed <-chan struct{}) {
	l.take(ctx, courses())
	for {
		select {
		case <-changed:
			l.take(ctx, courses())
		case <-ctx.Done():
			l.take(ctx, nil)
			return
		}
	}
}

// take brings the workers in line with the courses.
func (l *loop) take(ctx context.Context, courses []course.Course) {
	want := map[course.Name]*course.Course{}
	for i := range courses {
		want[courses[i].Name] = &courses[i]
	}
	var ended []*worker
	l.mu.Lock()
	for name, w := range l.workers {
		switch c := want[name]; {
		case c == nil, !sameRepository(w.course.Load(), c), w.course.Load().Poll != c.Poll:
			w.stop()
			ended = append(ended, w)
			delete(l.workers, name)
		default:
			w.course.Store(c)
			w.hint()
		}
	}
	l.mu.Unlock()
	for _, w := range ended {
		<-w.done // its pass is broken off, which harms nothing
		if name := w.course.Load().Name; want[name] == nil {
			l.removed(name)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, c := range want {
		if l.workers[name] == nil && ctx.Err() == nil {
			l.workers[name] = l.start(ctx, c)
		}
	}
}

func (l *loop) start(ctx context.Context, c *course.Course) *worker {
	ctx, stop := context.WithCancel(ctx)
	w := &worker{hints: make(chan struct{}, 1), due: make(chan struct{}, 1), stop: stop, done: make(chan struct{})}
	w.course.Store(c)
	go func() {
		defer close(w.done)
		var beside sync.WaitGroup
		beside.Go(func() { l.watch(ctx, c, w.hint) })
		beside.Go(func() { l.tidy(ctx, w) })
		l.work(ctx, w)
		beside.Wait()
	}()
	return w
}

func (l *loop) work(ctx context.Context, w *worker) {
	failed := 0
	for {
		c := w.course.Load()
		out, err := l.pass(ctx, c)
		if err == nil {
			failed = 0
		} else {
			failed++
		}
		if out.fullIsDue {
			tell(w.due)
		}
		wait := delay(c.Poll, failed)
		l.planned(c.Name, time.Now().Add(wait))
		if !w.sleep(ctx, wait) {
			return
		}
	}
}

// pass makes one pass. A refusal is no error here: the repository was reached,
// and what mends it will be a push.
func (l *loop) pass(ctx context.Context, c *course.Course) (out Outcome, err error) {
	err = careful(l.lg, func() (err error) {
		out, err = l.sync(ctx, c, Request{Course: string(c.Name)})
		return err
	})
	var refused *Refusal
	switch {
	case ctx.Err() != nil:
		return out, nil
	case errors.As(err, &refused):
		l.say(ctx, c.Name, "refused", err)
		return out, nil
	case err != nil:
		l.say(ctx, c.Name, "not published", err)
	default:
		l.said.Delete(c.Name)
	}
	return out, err
}

// say warns of what went wrong, once: the same again at each poll is for
// whoever wants all. Passes that people ask for count, too.
func (l *loop) say(ctx context.Context, name course.Name, what string, err error, more ...any) {
	level := slog.LevelWarn
	if last, _ := l.said.Swap(name, err.Error()); last == err.Error() {
		level = slog.LevelDebug
	}
	l.lg.Log(ctx, level, what, append([]any{"course", name, "error", err}, more...)...)
}

// delay is when to look next: after the poll interval, and after errors in a
// row after one minute, two, four, up to fifteen; never all courses and
// syncers at the same moment.
func delay(poll time.Duration, failed int) time.Duration {
	if poll <= 0 {
		poll = defaultPoll
	}
	if failed > 0 {
		poll = max(poll, min(firstWait<<min(failed-1, 10), longestWait))
	}
	return jittered(poll)
}

// sleep waits for the time, or for a hint; false means that ctx ended. After a
// hint it waits a moment more, so that a push, which touches many files, is
// one.
func (w *worker) sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	case <-w.hints:
	}
	t.Reset(gather)
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
	}
	select {
	case <-w.hints:
	default:
	}
	return true
}
