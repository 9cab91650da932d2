package hookserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"satchel/hook"
)

// broadcast wakes the event streams. What changed for whom each finds itself.
type broadcast struct {
	mu        sync.Mutex
	listeners map[chan struct{}]bool
}

func newBroadcast() *broadcast { return &broadcast{listeners: map[chan struct{}]bool{}} }

func (b *broadcast) join(limit int) (wake chan struct{}, leave func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.listeners) >= limit {
		return nil, nil, busy{"too many event streams; polling goes on", time.Minute}
	}
	wake = make(chan struct{}, 1)
	b.listeners[wake] = true
	return wake, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.listeners, wake)
	}, nil
}

func (b *broadcast) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.listeners)
}

func (b *broadcast) wakeAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for wake := range b.listeners {
		select {
		case wake <- struct{}{}:
		default: // woken already
		}
	}
}

// getEvents answers GET /v1/events: hello, then changed for each course that
// changed for this student, with a heartbeat between. It ends with the ticket.
func (s *Server) getEvents(c *gin.Context, t hook.Ticket) error {
	back, err := s.guests.stream(t, true)
	if err != nil {
		return err
	}
	defer back()
	wake, leave, err := s.events.join(s.o.Limits.Listeners)
	if err != nil {
		return err
	}
	defer leave()
	c.Header("Content-Type", hook.EventsType)
	c.Header("X-Accel-Buffering", "no") // a proxy in front must not hold events back
	c.Status(http.StatusOK)
	e := &eventStream{s: s, t: t, w: s.newBody(c, t)}
	defer e.w.close()
	return e.run(c.Request.Context(), wake)
}

// wakeEach is the time in which one stream of all that are woken looks what
// changed for its student, on average: a fifth of a processor's.
const wakeEach = 250 * time.Microsecond

// eventStream is one student's stream.
type eventStream struct {
	s    *Server
	t    hook.Ticket
	w    *body
	told map[string]string // tag of each course, as last told
}

func (e *eventStream) run(ctx context.Context, wake <-chan struct{}) error {
	e.told = map[string]string{}
	views := e.s.views(ctx, e.t)
	for _, v := range views {
		e.told[v.course] = v.tag()
	}
	if err := e.send(hook.Event{Kind: hook.EventHello, ETag: etag(views)}); err != nil {
		return err
	}
	beat := time.NewTicker(hook.Heartbeat)
	defer beat.Stop()
	// As long as it would be let in: one that ended earlier would come again at once.
	end := time.NewTimer(time.Unix(e.t.Expires, 0).Add(hook.Leeway).Sub(e.s.o.Now()))
	defer end.Stop()
	soon := time.NewTimer(time.Hour)
	soon.Stop()
	defer soon.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-e.s.drained:
			return nil
		case <-end.C:
			return nil
		case <-beat.C: // the configuration may have changed
			err = errors.Join(e.changed(ctx), e.write(": beat\n\n"))
		case <-wake: // with thousands of others, and logins go on meanwhile
			soon.Reset(rand.N(time.Duration(e.s.events.count()) * wakeEach))
		case <-soon.C:
			err = e.changed(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// changed tells of each course whose tag moved, and of each that came or
// went.
func (e *eventStream) changed(ctx context.Context) error {
	now := map[string]string{}
	for _, v := range e.s.views(ctx, e.t) {
		now[v.course] = v.tag()
		if e.told[v.course] != now[v.course] {
			if err := e.send(hook.Event{Kind: hook.EventChanged, Course: v.course, Version: v.version()}); err != nil {
				return err
			}
		}
	}
	for name := range e.told {
		if _, ok := now[name]; !ok {
			if err := e.send(hook.Event{Kind: hook.EventChanged, Course: name}); err != nil {
				return err
			}
		}
	}
	e.told = now
	return nil
}

func (e *eventStream) send(ev hook.Event) error {
	ev.Listeners = e.s.events.count()
	data, err := json.Marshal(ev)
	if err != nil {
		return err
	}
	return e.write(fmt.Sprintf("event: %s\ndata: %s\n\n", ev.Kind, data))
}

func (e *eventStream) write(text string) error {
	if err := e.w.bytes("event", []byte(text)); err != nil {
		return err
	}
	return e.w.control.Flush()
}
