package agent

import (
	"slices"
	"time"

	"satchel/bundle"
)

// staleAfter is how old a head's last check may be before it is said. The
// syncer signs anew each day.
const staleAfter = 7 * 24 * time.Hour

// former is when a course that is no longer given out is left in peace: it is
// one of a former term.
const former = 28 * 24 * time.Hour

// skewed is how far two clocks may differ before a student is told.
const skewed = 24 * time.Hour

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// clock is the later of both clocks: a service that stands still, or somebody
// who repeats an old answer, has an old date too.
func (p *pass) clock() time.Time { return later(p.began, p.out.Date) }

// clocks says where the two clocks contradict each other, for then nothing
// about age can be relied on.
func (p *pass) clocks() {
	if !p.out.Date.IsZero() && p.began.Sub(p.out.Date).Abs() > skewed {
		p.say("", p.a.words.ClocksDiffer())
	}
}

// unconfirmed says, whatever the service answered or did not, of which courses
// nobody vouched lately. Only a signed head counts.
func (p *pass) unconfirmed() {
	for _, l := range p.inOrder() {
		m := p.mem.Courses[l.name]
		checked := p.checked(l, m)
		age := p.clock().Sub(checked)
		switch {
		case checked.IsZero():
		case m != nil && m.Over:
			if p.offered > 0 && age < former {
				p.say(l.name, p.words(l.name).Over(l.name))
			}
		case age > staleAfter:
			p.warn(l, checked)
		}
	}
}

// checked is when a course was last vouched for; zero where it never was.
func (p *pass) checked(l *local, m *known) time.Time {
	at := p.vouchedAt(l, m)
	if l.newest != nil && !p.ahead(l.newest.Head.Checked) {
		return later(at, l.newest.Head.Checked)
	}
	if at.IsZero() { // the memory is lost, the head at hand is not
		if head := p.heldHead(l); head != nil && !p.ahead(head.Checked) {
			at = head.Checked
		}
	}
	return at
}

// ahead says that a head's time is no proof that it is fresh: it lies further
// ahead of the service's clock than clocks may differ. A day is more than any
// two clocks of a service that works are apart, also where one has another time
// zone's, and all that somebody gains who writes a time into a head is a day;
// a time of next year would keep everybody silent until then.
func (p *pass) ahead(checked time.Time) bool { return checked.Sub(p.service()) > skewed }

// service is its clock, as it was at its last answer: no head here came after.
func (p *pass) service() time.Time {
	if p.mem.Asked.IsZero() {
		return p.began
	}
	return p.mem.Asked
}

// vouched remembers when a head that came was checked, and which of the keys
// say so. One that is ahead of the clock proves nothing; where nothing else ever
// did, a week counts from the day on which it came.
func (p *pass) vouched(l *local, m *known, e *bundle.Envelope, head *bundle.Head) {
	at := head.Checked
	if p.ahead(at) {
		p.lg.Warn("a head that is ahead of the service's clock proves nothing", "course", l.name, "checked", at, "date", p.service())
		if !p.vouchedAt(l, m).IsZero() {
			return
		}
		at = p.service()
	}
	m.Checked, m.By = at, signers(e, p.a.s.Keys)
}

// vouchedAt is what is remembered of that, as far as it counts with today's
// keys. An older agent did not write down whose word it was: then it is that of
// the head at hand.
func (p *pass) vouchedAt(l *local, m *known) time.Time {
	switch {
	case m == nil, p.ahead(m.Checked):
		return time.Time{}
	case len(m.By) == 0 && l.dir.Disowned(p.a.s.Keys):
		return time.Time{}
	case len(m.By) > 0 && !slices.ContainsFunc(p.a.keyIDs(), func(id string) bool { return slices.Contains(m.By, id) }):
		return time.Time{}
	}
	return m.Checked
}

// signers gives the ids of the keys that signed e.
func signers(e *bundle.Envelope, keys []bundle.PublicKey) (ids []string) {
	for _, k := range keys {
		if _, err := e.Open([]bundle.PublicKey{k}); err == nil {
			ids = append(ids, k.ID())
		}
	}
	return ids
}

// heldHead is the head that stands in the state, verified again; nil where
// there is none.
func (p *pass) heldHead(l *local) *bundle.Head {
	e := l.dir.State().Envelope
	if e == nil {
		return nil
	}
	head, err := e.Open(p.a.s.Keys)
	if err != nil || head.Course != l.name {
		return nil
	}
	return head
}

// warn says that a course is stale, and puts it on the page once: what a
// start says often ends where no student looks.
func (p *pass) warn(l *local, checked time.Time) {
	text := p.words(l.name).Stale(l.name, checked.Local())
	p.say(l.name, text)
	m := p.known(l)
	if m.Warned.Equal(checked) {
		return
	}
	m.Warned = checked
	p.news = true
	p.mem.remember(newsItem{Time: p.began, Course: l.name, Lines: []string{text}, Hidden: !p.wantsPage(l)})
}

func (p *pass) wantsPage(l *local) bool {
	head := p.heldHead(l)
	if l.newest != nil {
		head = l.newest.Head
	}
	return head != nil && head.Settings.WhatIsNew
}
