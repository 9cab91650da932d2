package agent

import (
	"context"
	"errors"
	"fmt"

	"satchel/bundle"
	"satchel/hook"
	"satchel/workdir"
)

// consider verifies what was offered of each course.
func (p *pass) consider(ctx context.Context, o *hook.Offer) error {
	if len(o.Courses) == 0 {
		p.out.Code = CodeNothing
		p.say("", p.a.words.NoCourse(o.Groups))
	}
	for _, l := range p.courses { // of an answer before this one nothing counts
		l.newest, l.plan, l.haul, l.bad = nil, nil, nil, nil
	}
	for _, co := range o.Courses {
		if err := p.considerOne(ctx, co); err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) considerOne(ctx context.Context, co hook.CourseOffer) error {
	l, err := p.local(co.Course)
	if err != nil {
		p.refuse(co.Course, err)
		return nil
	}
	st := l.dir.State()
	if co.Prove && st.Envelope != nil {
		if err := p.a.client.Prove(ctx, co.Course, *st.Envelope); err != nil {
			p.lg.Info("head not shown to the service", "course", co.Course, "error", err)
		}
	}
	if co.Head == nil {
		p.withoutHead(co, st)
		return nil
	}
	m := p.mem.of(co.Course)
	newest, err := verify(co, st, p.a.s.Keys)
	if errors.Is(err, errUnkept) {
		if p.anew[co.Course] {
			err = fmt.Errorf("%w: %w", bundle.ErrCorrupt, err)
		} else {
			p.anew[co.Course] = true
			return err
		}
	}
	if err != nil {
		p.refuse(co.Course, err)
		return nil
	}
	head := newest.Head
	m.Version, m.Language = head.Version, head.Settings.Language
	m.Checked, m.Published = head.Checked, head.Published
	l.newest = &newest
	return nil
}

// withoutHead is a course that gives nothing out to this student now.
func (p *pass) withoutHead(co hook.CourseOffer, st workdir.State) {
	switch {
	case st.Version > 0:
	case co.State == hook.StatePaused:
		p.out.Code = CodeNothing
		p.say(co.Course, p.a.words.Paused(co.Course))
	default:
		p.out.Code = CodeNothing
		p.say(co.Course, p.a.words.Empty(co.Course))
	}
}

// refuse says that nothing of a course was taken, and why.
func (p *pass) refuse(course string, err error) {
	p.lg.Error("refused", "course", course, "error", err)
	w := p.words(course)
	switch {
	case errors.Is(err, bundle.ErrFormat):
		p.out.Code = CodeNewer
		p.say(course, w.Newer())
	case errors.Is(err, bundle.ErrSignature):
		p.out.Code = CodeUnverified
		p.say(course, w.Unverified())
		p.say(course, w.KeyChanged())
	default:
		p.out.Code = CodeUnverified
		p.say(course, w.Unverified())
	}
	p.mem.Code, p.mem.Error = p.out.Code, Plain(err.Error())
	if l := p.courses[course]; l != nil {
		l.newest, l.bad = nil, err
	}
}

// words are in the course's language.
func (p *pass) words(course string) Words {
	if m := p.mem.Courses[course]; m != nil {
		return WordsFor(m.Language, p.a.s.Language)
	}
	return p.a.words
}
