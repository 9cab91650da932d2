package hookserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"satchel/course"
	"satchel/hook"
)

// listen opens an event stream and gives its events.
func (s *student) listen(ctx context.Context) <-chan hook.Event {
	s.w.t.Helper()
	out := make(chan hook.Event, 100)
	before := s.w.srv.events.count()
	go func() {
		defer close(out)
		err := s.client.Events(ctx, func(e hook.Event) error { out <- e; return nil })
		if err != nil && ctx.Err() == nil && !errors.Is(err, io.EOF) {
			s.w.t.Error(err)
		}
	}()
	e := next(s.w.t, out)
	if e.Kind != hook.EventHello || e.Listeners < before+1 {
		s.w.t.Fatalf("%+v", e)
	}
	ans, err := s.client.Sync(ctx, nil, nil, e.ETag)
	if err != nil {
		s.w.t.Fatal(err)
	}
	defer ans.Close()
	if e.ETag == "" || !ans.NotModified {
		s.w.t.Errorf("the stream begins with %q, the answer is %q", e.ETag, ans.ETag)
	}
	return out
}

func next(t testing.TB, events <-chan hook.Event) hook.Event {
	t.Helper()
	select {
	case e, ok := <-events:
		if !ok {
			t.Fatal("the stream ended")
		}
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("no event")
	}
	return hook.Event{}
}

func TestEvents(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.course("closed", course.Audience{Groups: []string{"g"}})
	channels := func(a, b string) map[string]audienceOf {
		return map[string]audienceOf{"all": {files: map[string]string{"a": a}}, "tut": {groups: []string{"tutors"}, files: map[string]string{"t": b}}}
	}
	w.publish("scala", channels("1", "1"))
	ctx, cancel := context.WithCancel(t.Context())
	ana, tim := w.student("ana").listen(ctx), w.student("tim", "tutors").listen(ctx)

	v := w.publish("scala", channels("2", "1"))
	for _, s := range []<-chan hook.Event{ana, tim} {
		if e := next(t, s); e.Kind != hook.EventChanged || e.Course != "scala" || e.Version != v || e.Listeners != 2 {
			t.Errorf("%+v", e)
		}
	}
	// What is not hers says nothing: the next event that she hears is hers.
	w.publish("closed", everyone(map[string]string{"x": "x"}))
	w.publish("scala", channels("2", "2"))
	if e := next(t, tim); e.Course != "scala" {
		t.Errorf("%+v", e)
	}
	v = w.publish("scala", channels("3", "2"))
	if e := next(t, ana); e.Course != "scala" || e.Version != v {
		t.Errorf("%+v", e)
	}
	// A course that is no longer hers.
	w.course("scala", course.Audience{Groups: []string{"tutors"}})
	w.srv.events.wakeAll()
	if e := next(t, ana); e.Course != "scala" || e.Version != 0 {
		t.Errorf("%+v", e)
	}
	cancel()
	for range ana {
	}
	for range tim {
	}
	w.waitFor(func() bool { return w.srv.events.count() == 0 })
}

func TestEventStreamLimits(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Limits.Listeners = 3 })
	w.course("scala", all)
	ctx, cancel := context.WithCancel(t.Context())
	ana := w.student("ana")
	streams := []<-chan hook.Event{ana.listen(ctx), ana.listen(ctx)}
	err := ana.client.Events(ctx, func(hook.Event) error { return nil })
	wantError(t, err, http.StatusTooManyRequests, hook.CodeBusy)
	ana.sync() // event streams are counted apart
	bob := w.student("bob")
	streams = append(streams, bob.listen(ctx))
	err = bob.client.Events(ctx, func(hook.Event) error { return nil })
	wantError(t, err, http.StatusTooManyRequests, hook.CodeBusy)
	cancel()
	for _, s := range streams {
		for range s {
		}
	}
	w.waitFor(func() bool { return w.srv.events.count() == 0 })
}

func TestEventsEndWithTheTicket(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	ana := w.student("ana")
	w.pass(hook.TicketLife + time.Second) // let in, as long as clocks may differ
	ctx, cancel := context.WithCancel(t.Context())
	events := ana.listen(ctx)
	w.publish("scala", everyone(map[string]string{"a": "1"}))
	if e := next(t, events); e.Kind != hook.EventChanged {
		t.Errorf("%+v", e)
	}
	cancel()
	w.waitFor(func() bool { return w.srv.events.count() == 0 })
	w.pass(hook.Leeway - 1500*time.Millisecond)
	for range ana.listen(t.Context()) {
	}
}

func TestDrainEndsEvents(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	events := w.student("ana").listen(t.Context())
	w.srv.Drain()
	w.srv.Drain()
	for range events {
	}
}
