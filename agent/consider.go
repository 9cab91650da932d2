package agent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"satchel/bundle"
	"satchel/hook"
	"satchel/workdir"
)

// consider verifies what was offered of each course.
func (p *pass) consider(ctx context.Context, o *hook.Offer) error {
	for _, l := range p.courses { // of an answer before this one nothing counts
		l.newest, l.plan, l.haul, l.bad = nil, nil, nil, nil
	}
	if len(o.Courses) > maxCourses {
		p.refuse("", fmt.Errorf("%w: %d", errMany, len(o.Courses)))
		return nil
	}
	p.offered = len(o.Courses)
	if p.offered == 0 {
		p.worse(CodeNothing)
		p.say("", p.a.words.NoCourse(o.Groups))
	}
	for _, co := range o.Courses {
		if err := p.considerOne(ctx, co); err != nil {
			return err
		}
	}
	if p.out.Code != CodeUnverified { // else whoever made the answer may have left out what they like
		p.named(o)
	}
	p.countAway(o)
	return nil
}

// named remembers which of the courses here are still given out to this
// student, and which are paused.
func (p *pass) named(o *hook.Offer) {
	given, paused := map[string]bool{}, map[string]bool{}
	for _, co := range o.Courses {
		given[co.Course], paused[co.Course] = co.State != hook.StateEmpty, co.State == hook.StatePaused
	}
	for name, l := range p.courses {
		m := p.known(l)
		if m.Version == 0 || m.Over == !given[name] && m.Paused == paused[name] {
			continue
		}
		m.Over, m.Paused = !given[name], paused[name]
		p.mem.ETag = "" // it stands for what was before; this answer's own is kept if all goes well
	}
}

// known is what is remembered of a course that is here, also where the memory
// was lost.
func (p *pass) known(l *local) *known {
	m := p.mem.of(l.name)
	if m.Version == 0 {
		m.Version = l.dir.State().Highest
	}
	return m
}

func (p *pass) considerOne(ctx context.Context, co hook.CourseOffer) error {
	if err := bundle.CheckFolder(co.Course); err != nil {
		p.refuse("", fmt.Errorf("course %.64q: %w", co.Course, err))
		return nil
	}
	var st workdir.State
	if l := p.courses[co.Course]; l != nil {
		st = l.dir.State()
	}
	if co.Prove && st.Envelope != nil {
		if err := p.a.client.Prove(ctx, co.Course, *st.Envelope); err != nil {
			p.lg.Info("head not shown to the service", "course", co.Course, "error", err)
		}
	}
	if p.disowned(co) {
		p.anew[co.Course] = true
		return fmt.Errorf("%w: none of the keys known here signed version %d", errUnkept, st.Version)
	}
	if co.Head == nil {
		p.withoutHead(co, st)
		return nil
	}
	err := p.withHead(co)
	if errors.Is(err, errAnew) {
		return err
	}
	if errors.Is(err, errUnkept) {
		if !p.anew[co.Course] {
			p.anew[co.Course] = true
			return err
		}
		err = fmt.Errorf("%w: %w", bundle.ErrCorrupt, err)
	}
	switch {
	case errors.Is(err, bundle.ErrSignature) && foreign(co.Head, p.a.s.Keys):
		p.refuse(co.Course, fmt.Errorf("%w: %w", errForeign, err))
	case err != nil:
		p.refuse(co.Course, err)
	}
	return nil
}

// withHead verifies one course's offer, and opens the course only once its
// head is known to be signed.
func (p *pass) withHead(co hook.CourseOffer) error {
	head, err := signed(co, p.a.s.Keys)
	if err != nil {
		return err
	}
	l, err := p.local(co.Course)
	if err != nil {
		p.unopened(co.Course, err)
		return nil
	}
	st := l.dir.State()
	var seen floor
	seen.version, seen.print = l.dir.Floor(p.a.s.Keys)
	newest, err := verify(co, head, st, seen)
	if p.handed && errors.Is(err, errLower) {
		return fmt.Errorf("%w: %w", errAnew, err) // another server of the student's may have had a newer one meanwhile
	}
	if err != nil {
		return err
	}
	newest.Keys = p.a.s.Keys
	if v := overtaken(head, st); v > 0 {
		p.lg.Warn("a version that only a dropped key signed counts no more", "course", co.Course, "seen", v, "version", head.Version)
		l.overtaken = v
	}
	m := p.mem.of(co.Course)
	m.Version, m.Folder, m.Language = head.Version, head.Settings.Folder, head.Settings.Language
	m.Published = head.Published
	p.vouched(l, m, co.Head, head)
	p.take(l, &newest)
	return nil
}

// disowned says that this home claimed a version that none of today's keys
// signed, and the service, which has none so high, gave nothing for that: it is
// asked anew as if nothing was held.
func (p *pass) disowned(co hook.CourseOffer) bool {
	l := p.courses[co.Course]
	return l != nil && co.Head == nil && co.Prove && !p.anew[co.Course] && l.dir.Disowned(p.a.s.Keys)
}

// withoutHead is a course that gives nothing out to this student now.
func (p *pass) withoutHead(co hook.CourseOffer, st workdir.State) {
	w := p.words(co.Course)
	switch {
	case co.State == hook.StateAway:
		p.say(co.Course, w.Unreachable(st.Version, p.since(co.Course)))
	case st.Version > 0 && co.Prove:
		p.say(co.Course, w.Older(co.Course, st.Version))
	case st.Version > 0 && co.State == hook.StatePaused:
		p.say(co.Course, w.PausedHere(co.Course, st.Version))
		if l := p.courses[co.Course]; p.looks(l, st) {
			p.fromState(l)
		}
	case st.Version > 0:
	case co.State == hook.StatePaused:
		p.worse(CodeNothing)
		p.say(co.Course, w.Paused(co.Course))
	default:
		p.worse(CodeNothing)
		p.say(co.Course, w.Empty(co.Course))
	}
}

// countAway is for courses that the service itself cannot read now: they are
// to be asked for again soon, and no ETag is kept of such an answer.
func (p *pass) countAway(o *hook.Offer) {
	var names []string
	for _, co := range o.Courses {
		if co.Head == nil && co.State == hook.StateAway {
			names = append(names, co.Course)
		}
	}
	if len(names) == 0 {
		return
	}
	p.lg.Warn("the service cannot read some courses now", "courses", names)
	p.worse(CodeInPart)
	if len(names) == len(o.Courses) {
		p.out.Code, p.out.Offline = CodeOffline, true
	}
	p.mem.Code, p.mem.Error = p.out.Code, Plain("the service cannot read now: "+strings.Join(names, ", "))
}

// refuse says that nothing of a course was taken, and why.
func (p *pass) refuse(course string, err error) {
	p.lg.Error("refused", "course", course, "error", err)
	w := p.words(course)
	switch {
	case errors.Is(err, bundle.ErrFormat):
		p.out.Code = CodeNewer
		p.say(course, w.Newer())
	case errors.Is(err, errForeign):
		p.out.Code = CodeUnverified
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

// unopened says that what this home remembers of a course cannot be read.
func (p *pass) unopened(course string, err error) {
	p.lg.Error("not opened", "course", course, "error", err)
	w, root := p.words(course), p.a.s.Root
	switch {
	case errors.Is(err, bundle.ErrFormat):
		p.out.Code = CodeNewer
		p.say(course, w.StateNewer(root))
	case errors.Is(err, workdir.ErrReadOnly):
		p.out.Code = CodeInPart
		p.say(course, w.RootReadOnly(filepath.Join(root, ".satchel", course)))
	default:
		p.out.Code = CodeInPart
		p.say(course, w.RootBroken(filepath.Join(root, ".satchel", course), err.Error()))
	}
	p.mem.Code, p.mem.Error = p.out.Code, Plain(err.Error())
}

// words are in the course's language.
func (p *pass) words(course string) Words { return p.a.wordsOf(p.mem, course) }

func (a *Agent) wordsOf(mem *memory, course string) Words {
	if m := mem.Courses[course]; m != nil {
		return WordsFor(m.Language, a.s.Language)
	}
	return a.words
}
