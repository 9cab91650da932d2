package hookserver

import (
	"context"
	"time"

	"satchel/bundle"
	"satchel/store"
)

// tellAgain is how soon a word that was not heard is said again: whoever took
// something back waits ten seconds for it.
const tellAgain = time.Second

// presence tells, in the store, that this hookserver is there and what it gives
// out: at once when something was taken back, for whoever did that waits for
// it, else once a minute.
func (s *Server) presence(ctx context.Context) {
	if s.o.ID == "" {
		return
	}
	tick := time.NewTicker(store.PresenceEvery)
	defer tick.Stop()
	again := time.NewTimer(time.Hour)
	defer again.Stop()
	for {
		again.Stop()
		if err := s.tellPresence(ctx); err != nil && ctx.Err() == nil {
			s.lg.Warn("not told that this replica is there; it is tried again at once", "err", err)
			again.Reset(tellAgain)
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			// Not deleted: it may only put here. Else it counts as there for three minutes more, and is named for a day.
			_ = store.WritePresence(last, s.o.Store, store.Presence{ID: s.o.ID, Time: s.o.Now().UTC(), Stopped: true})
			return
		case <-tick.C:
		case <-again.C:
		case <-s.lib.takenBack:
		}
	}
}

func (s *Server) tellPresence(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	p := store.Presence{ID: s.o.ID, Time: s.o.Now().UTC(), Courses: map[string]bundle.Version{}}
	for _, c := range s.o.Courses() {
		if sh := s.lib.peek(string(c.Name)); sh.version() > 0 {
			p.Courses[string(c.Name)] = sh.version()
		}
	}
	return store.WritePresence(ctx, s.o.Store, p)
}
