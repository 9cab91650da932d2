package hookserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"satchel/bundle"
	"satchel/hook"
	"satchel/store"
)

// errOlder means: an agent showed what the record lacks.
var errOlder = errors.New("the store went backwards: bring its newest backup back, or run satchel check --repair, which publishes above; until then these students keep what they have")

// postHead answers POST /v1/heads: an agent shows the head it holds, which is
// newer than the record. Only a valid signature counts.
func (s *Server) postHead(c *gin.Context, t hook.Ticket) error {
	var p hook.Proof
	if err := readJSON(c, maxHeadBody, &p); err != nil {
		return err
	}
	if !s.enrolled(t, p.Course) {
		return errNotFound
	}
	if p.Head == nil || p.Format != hook.Format {
		return bad("a proof has format %d and a head", hook.Format)
	}
	h, err := p.Head.Open(s.o.PublicKeys())
	switch {
	case errors.Is(err, bundle.ErrSignature):
		s.lib.foreign(p.Course)
		return bad("the head is not signed by a key of this service")
	case err != nil, h.Course != p.Course:
		return bad("it is no head of this course")
	}
	if err := s.weigh(c.Request.Context(), p.Head, h); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return nil
}

// weigh decides what a signed head proves. That the store went backwards is
// said only after a look that began when the head was there already: before,
// this replica may just not have seen what was published a moment ago.
func (s *Server) weigh(ctx context.Context, e *bundle.Envelope, h *bundle.Head) error {
	sh := s.lib.peek(h.Course)
	if !sh.lacks(h) || h.Version <= sh.proven {
		return nil
	}
	if !s.lib.lookAnew(ctx, h.Course) {
		return fmt.Errorf("course %s: no look at its record: %w", h.Course, store.ErrUnavailable)
	}
	if sh = s.lib.peek(h.Course); sh.lacks(h) && s.lib.prove(h, e) {
		s.lib.tellProven(ctx, h.Course)
	}
	return nil
}

// lacks says that a head is newer than what is here, or another of its version.
func (s *shelf) lacks(h *bundle.Head) bool {
	if s.edition == nil {
		return true
	}
	return store.Behind(s.edition.head, h)
}

// prove writes down that a version above the record's was signed once. e is its
// head, nil where the store knows it.
func (l *library) prove(h *bundle.Head, e *bundle.Envelope) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.shelf(h.Course)
	if h.Version <= s.proven {
		return false
	}
	s.proven, s.untold = h.Version, e
	l.lg.Error("the store went backwards: a student's server holds a newer signed version; run satchel check --repair",
		"course", h.Course, "version", s.version(), "proven", h.Version)
	return true
}

// foreignFor is how long it is told that a head was shown which none of today's
// keys signed. Each student's server that holds one shows it again at its next
// start; whoever made one up is not believed for longer.
const foreignFor = 24 * time.Hour

// ForeignSentence says so; that it is true nobody proved, for any student can
// show a head of a key of their own.
const ForeignSentence = "students hold a head that none of today's keys signed: one of a key that was dropped, or of no key of this service. If that key was stolen, start students' servers anew: agents that trust the new key alone leave that head"

// foreign writes down that a head was shown which none of today's keys signed,
// and logs it once.
func (l *library) foreign(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.shelf(name)
	if !s.isForeign(l.now()) {
		l.lg.Warn(ForeignSentence, "course", name, "code", CodeForeignHead)
	}
	s.foreign = l.now()
}

func (s *shelf) isForeign(now time.Time) bool {
	return !s.foreign.IsZero() && now.Sub(s.foreign) < foreignFor
}

// otherKeys forgets what was proven with keys that sign no more: what still
// holds is shown again, or lies in the store.
func (l *library) otherKeys(ctx context.Context, name string) {
	var ids []string
	for _, k := range l.keys() {
		ids = append(ids, k.ID())
	}
	l.mu.Lock()
	s := l.shelf(name)
	changed := s.keys != nil && !slices.Equal(s.keys, ids)
	s.keys = ids
	if changed {
		s.proven, s.untold = 0, nil
	}
	ed := s.edition
	l.mu.Unlock()
	if changed && ed != nil {
		l.recall(ctx, name, ed)
	}
}

// tellTime is for the store, while a student's server waits.
const tellTime = 2 * time.Second

// tellAllProven tells the store what it did not take before.
func (l *library) tellAllProven(ctx context.Context) {
	for _, c := range l.courses() {
		l.tellProven(ctx, string(c.Name))
	}
}

// tellProven puts into the store what was proven, for whoever checks and
// repairs it.
func (l *library) tellProven(ctx context.Context, name string) {
	e := l.peek(name).untold
	if e == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTime)
	defer cancel()
	p := store.Proven{Course: name, Time: l.now().UTC(), Head: e}
	if err := store.WriteProven(ctx, l.store, p, l.keys()); err != nil {
		l.lg.Warn("the store was not told which version it lacks; it will be tried again", "course", name, "err", err)
		return
	}
	l.told(name, e)
}

func (l *library) told(name string, e *bundle.Envelope) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.shelf(name); s.untold == e {
		s.untold = nil
	}
}

// recall takes over what was proven before this process began.
func (l *library) recall(ctx context.Context, name string, ed *edition) {
	h, err := store.ReadProven(ctx, l.store, name, l.keys())
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		l.lg.Warn("it cannot be read whether students hold a newer version", "course", name, "err", err)
	case store.Behind(ed.head, h):
		l.prove(h, nil)
	}
}
