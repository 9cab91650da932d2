package agent

import (
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
	var at time.Time
	if m != nil {
		at = m.Checked
	}
	if l.newest != nil {
		return later(at, l.newest.Head.Checked)
	}
	if at.IsZero() { // the memory is lost, the head at hand is not
		if head := p.heldHead(l); head != nil {
			at = head.Checked
		}
	}
	return at
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
