package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"

	"satchel/hook"
	"satchel/workdir"
)

// WatchOptions say how a watch begins and ends.
type WatchOptions struct {
	// Start is set where a server has just started: the first pass has the
	// rights of a start, and a start pass follows once.
	Start bool
	// Answer waits for what a login is answered, for the first pass; that may
	// be nil. nil: it asks.
	Answer func() *hook.Answer
	// Since is when a login found nothing new, a while before this watch: only
	// the start pass is left to do. Zero: it did not.
	Since time.Time
	// Begun is called when the first pass is over, or another watch was found.
	Begun func()
	// ServerPID ends the watch with that process; 0: it ends with its context.
	ServerPID int
}

// poll is how often is asked where no event comes; jittered by half.
const poll = time.Minute

// calm is within what a start pass begins, after the login: it reads every
// file's times, and a whole class may be logging in on this machine. It is at
// random, so that not all begin at once.
const calm = 10 * time.Second

// watcher is one running watch.
type watcher struct {
	a      *Agent
	o      WatchOptions
	since  time.Time
	hints  chan time.Duration // how long to wait before looking
	now    chan time.Time     // when to look, where the command line asked
	mu     sync.Mutex         // of what follows
	nowAt  time.Time          // of the last look that the command line asked for; may be to come
	stream bool
	last   Outcome
	asked  time.Time
}

// Watch keeps the folder fresh until ctx ends or the server does: one event
// stream, a question each minute as the net below it, and a ticket that is
// renewed in time. A second one for the same root asks the first to look, and
// ends; one that belongs to a server (a named one beside the default, in one
// home) stays and takes over when the first one ends.
func (a *Agent) Watch(ctx context.Context, o WatchOptions) {
	if o.Begun == nil {
		o.Begun = func() {}
	}
	o.Begun = sync.OnceFunc(o.Begun)
	if o.Answer == nil {
		o.Answer = func() *hook.Answer { return nil }
	}
	defer o.Begun()
	lock, err := only(a.s.runtimeFile(".lock"))
	if errors.Is(err, errRunning) {
		a.beside(ctx, o)
		o.Begun()
		if lock, err = a.succeed(ctx, o.ServerPID); errors.Is(err, errRunning) {
			return
		}
		o = WatchOptions{Begun: o.Begun, ServerPID: o.ServerPID, Answer: func() *hook.Answer { return nil }} // the rest is done
	}
	if err != nil { // two watches do no harm, for workdir has a lock of its own
		a.lg.Warn("no lock for this watch", "error", err)
	} else {
		defer lock.Close()
	}
	path := a.s.runtimeFile(".sock")
	l, err := listen(path)
	if err != nil { // the command line then finds no watch, no more
		a.lg.Warn("no socket for the command line", "error", err)
	} else {
		defer os.Remove(path)
	}
	since := a.now()
	if !o.Since.IsZero() && o.Since.Before(since) { // a clock may have been set
		since = o.Since
	}
	w := &watcher{a: a, o: o, since: since, hints: make(chan time.Duration, 1), now: make(chan time.Time, 1)}
	w.run(ctx, l)
}

// beside is for where another watch runs: a start does its pass all the same,
// else the other one is asked to look.
func (a *Agent) beside(ctx context.Context, o WatchOptions) {
	a.lg.Info("another watch runs here")
	if o.Start { // which uses and closes the answer
		a.Sync(ctx, SyncOptions{Mode: workdir.Start, Within: a.s.Budget * 3 / 4, Since: o.Since, Answer: o.Answer()})
		return
	}
	if _, err := askWatch(ctx, a.s, askNow); err != nil {
		a.lg.Warn("the other watch does not answer", "error", err)
	}
}

// succeed waits until the other watch has ended, and gives its lock; errRunning
// where this watch ended first, or has no server to stay for.
func (a *Agent) succeed(ctx context.Context, server int) (lock *os.File, err error) {
	if server <= 1 {
		return nil, errRunning
	}
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { follow(ctx, server); stop() })
	for ctx.Err() == nil {
		a.outlive(ctx)
		if ctx.Err() != nil {
			break
		}
		if lock, err = only(a.s.runtimeFile(".lock")); !errors.Is(err, errRunning) {
			a.lg.Info("the other watch has ended; this one takes over")
			return lock, err
		}
	}
	return nil, errRunning
}

// outlive returns when the other watch has ended, or after a while: its number
// may be another process's by now. It takes over the other's ticket each time that
// one lives longer, for nobody renews the own one meanwhile.
func (a *Agent) outlive(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, a.patrol)
	defer cancel()
	if r, err := askWatch(ctx, a.s, askTicket); err == nil && r.PID > 1 {
		a.ticket.takeLonger(r.Ticket)
		follow(ctx, r.PID)
		return
	}
	<-ctx.Done() // it begins, ends, or is ill
}

// run starts what a watch does at once, and ends when all of it has ended.
func (w *watcher) run(ctx context.Context, l net.Listener) {
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	if l != nil {
		context.AfterFunc(ctx, func() { l.Close() })
		wg.Go(func() { serve(l, w.answer) })
	}
	if w.o.ServerPID > 1 {
		wg.Go(func() {
			follow(ctx, w.o.ServerPID)
			if ctx.Err() == nil {
				w.a.lg.Info("the server has ended; so does watch", "pid", w.o.ServerPID)
			}
			stop()
		})
	}
	ready := make(chan struct{})
	wg.Go(func() { w.renew(ctx, ready) })
	wg.Go(func() { w.listen(ctx, ready) })
	w.loop(ctx, ready)
}

// loop makes one pass after another.
func (w *watcher) loop(ctx context.Context, ready chan struct{}) {
	o := SyncOptions{Mode: workdir.Session}
	if w.o.Start {
		o.Mode, o.Step, o.Within = workdir.Start, true, w.a.s.Budget*3/4
	}
	var out Outcome
	calm := rand.N(w.a.calm)
	if w.o.Since.IsZero() {
		o.Answer = w.o.Answer()
		out = w.pass(ctx, o)
	} else { // only a walk can find what there is to do
		calm -= w.a.now().Sub(w.since)
	}
	first := out.Pass
	w.o.Begun()
	close(ready)
	failures := 0
	for walk := w.o.Start; ctx.Err() == nil; {
		if out.Offline || out.Code == CodeInPart {
			failures++
		} else {
			failures = 0
		}
		if walk && !out.Offline && w.quiet(ctx, calm) {
			out = w.pass(ctx, SyncOptions{Mode: workdir.Start, Walk: true, Since: w.since, Continues: first})
			walk, calm = out.Offline || out.Code == CodeLocked, rand.N(w.a.calm)
			continue
		}
		if !w.await(ctx, w.pause(out, failures)) {
			return
		}
		out = w.pass(ctx, SyncOptions{Mode: workdir.Session})
	}
}

// pause is how long to wait for a hint before asking unasked.
func (w *watcher) pause(out Outcome, failures int) time.Duration {
	d := poll*3/4 + rand.N(poll/2)
	switch {
	case out.RetryAfter > 0:
		d = min(out.RetryAfter, w.a.wait.most) + rand.N(10*time.Second)
	case failures > 0:
		d = w.a.wait.after(failures)
	}
	return d
}

// await waits so long, or for a hint and what that asks for; the command line
// need not wait for either. False: it is over.
func (w *watcher) await(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	for hints := w.hints; ; {
		select {
		case <-ctx.Done():
			return false
		case <-t.C:
			return true
		case wait := <-hints:
			hints = nil // the next is for the look after this one
			t.Reset(wait)
		case at := <-w.now:
			return w.quiet(ctx, time.Until(at))
		}
	}
}

// quiet waits; false: it is over.
func (w *watcher) quiet(ctx context.Context, d time.Duration) bool {
	sleep(ctx, d)
	return ctx.Err() == nil
}

func (w *watcher) pass(ctx context.Context, o SyncOptions) Outcome {
	out := w.a.Sync(ctx, o)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last, w.asked = out, w.a.now()
	return out
}

// hint asks for a look after a wait. One that waits already is enough.
func (w *watcher) hint(after time.Duration) {
	select {
	case w.hints <- after:
	default:
	}
}

// lookNow asks for a look, at most one in nowEvery; what is asked until then
// is answered by that one look. The caller holds mu.
func (w *watcher) lookNow() {
	now := time.Now()
	if w.nowAt.After(now) {
		return
	}
	at := later(now, w.nowAt.Add(nowEvery))
	select {
	case w.now <- at:
		w.nowAt = at
	default:
	}
}

// listen keeps one event stream, from the first pass on. What was pushed before
// it began told nobody here: it begins with what the service gives out.
func (w *watcher) listen(ctx context.Context, ready <-chan struct{}) {
	select {
	case <-ctx.Done():
		return
	case <-ready:
	}
	for failures := 0; ctx.Err() == nil; {
		begun := time.Now()
		err := w.a.client.Events(ctx, func(e hook.Event) error {
			w.setStream(true)
			if e.Kind == hook.EventChanged || e.Kind == hook.EventHello && !w.a.holds(e.ETag) {
				w.hint(rand.N(hook.Spread(e.Listeners)))
			}
			return nil
		})
		w.setStream(false)
		if time.Since(begun) > hook.Heartbeat { // not one that something cuts off each time
			failures = 0
		}
		failures++
		w.a.lg.Debug("event stream ended", "error", err)
		sleep(ctx, w.a.wait.after(failures))
	}
}

func (w *watcher) setStream(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stream = on
}

// renew keeps a fresh ticket in memory, from the first pass on.
func (w *watcher) renew(ctx context.Context, ready <-chan struct{}) {
	select {
	case <-ctx.Done():
		return
	case <-ready:
	}
	w.mu.Lock()
	server := w.last.Date
	w.mu.Unlock()
	next := renewIn(w.a.ticket.get(), server, w.a.now())
	for failures := 0; ; {
		sleep(ctx, next)
		if ctx.Err() != nil {
			return
		}
		adm, err := w.a.client.Renew(ctx)
		if err != nil || !w.a.ticket.take(adm.Ticket) {
			failures++
			next = max(w.a.wait.after(failures), w.a.wait.most/5)
			w.a.lg.Info("ticket not renewed", "error", err)
			continue
		}
		failures = 0
		issued, _, _ := life(adm.Ticket)
		next = max(renewIn(adm.Ticket, issued, w.a.now()), w.a.wait.first)
	}
}

// answer is what the command line gets.
func (w *watcher) answer(q question) (reply, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := reply{PID: os.Getpid(), Since: w.since, Asked: w.asked, Stream: w.stream, Code: w.last.Code}
	switch q {
	case askTicket:
		r.Ticket = w.a.ticket.get()
	case askNow:
		w.lookNow()
	case askHow:
	default:
		return reply{}, false
	}
	return r, true
}
