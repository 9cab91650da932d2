package hookserver

import (
	"time"

	"golang.org/x/time/rate"

	"satchel/hook"
	"satchel/internal/students"
)

// How many lines are written about one student's server: of each course, and
// apart from those of its keys. A few at once, for a login and the first
// updates may fall into one minute.
const (
	linesAtOnce  = 3
	linesEach    = time.Minute
	linesEachDay = 200
)

// pace lets through what a student may cause to be written.
type pace struct {
	minute *rate.Limiter
	day    int64 // Unix day in which n were let through
	n      int
}

func (p *pace) allows(now time.Time) bool {
	if p.minute == nil {
		p.minute = rate.NewLimiter(rate.Every(linesEach), linesAtOnce)
	}
	if day := now.Unix() / 86400; p.day != day {
		p.day, p.n = day, 0
	}
	if p.n >= linesEachDay || !p.minute.AllowN(now, 1) {
		return false
	}
	p.n++
	return true
}

// receipts are those of one guest about one course: the latest is held back
// while there are too many, so that what is known of them is right in the end.
type receipts struct {
	pace pace
	held students.Line
}

// mayTell says whether a receipt may be written now. Else it is held back, in
// place of an older one.
func (g *guests) mayTell(t hook.Ticket, l students.Line) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.at[guest{t.User, t.Server}]
	r := s.receipts[l.Course]
	if r == nil {
		r = &receipts{}
		s.receipts[l.Course] = r
	}
	if r.pace.allows(g.now()) {
		delete(g.held, r)
		r.held = students.Line{}
		return true
	}
	r.held = l
	g.held[r] = true
	return false
}

// due gives the receipts that were held back and may be written now, or all.
func (g *guests) due(all bool) (out []students.Line) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for r := range g.held {
		if all || r.pace.allows(g.now()) {
			out = append(out, r.held)
			delete(g.held, r)
			r.held = students.Line{}
		}
	}
	return out
}

// tellHeld writes receipts that were held back; all of them at the end.
func (s *Server) tellHeld(all bool) {
	for _, l := range s.guests.due(all) {
		s.o.Students.Add(l)
	}
}
