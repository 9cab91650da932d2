package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"satchel/bundle"
	"satchel/hook"
	"satchel/workdir"
)

// settle brings every considered course to its newest version.
func (p *pass) settle(ctx context.Context, ans *hook.Answer) error {
	hauls, mu := map[string]*haul{}, &sync.Mutex{}
	for _, l := range p.inOrder() {
		if l.newest == nil {
			continue
		}
		if err := p.planOne(ctx, l); err != nil {
			p.failed(l, err)
			continue
		}
		if wanted := l.plan.Wanted(); len(wanted) > 0 {
			l.haul = newHaul(mu, l.name, l.dir, wanted, l.newest.Manifests)
			l.haul.paused = p.known(l).Paused
			hauls[l.name] = l.haul
		}
	}
	var err error
	if len(hauls) > 0 {
		err = p.a.bring(ctx, hauls, ans, func(h *haul) { p.placeEarly(ctx, h) })
		var e *hook.Error
		switch {
		case errors.Is(err, errAnew):
			return err
		case errors.As(err, &e):
			p.out.RetryAfter = e.RetryAfter
		}
		p.again(ctx)
	}
	for _, l := range p.inOrder() {
		if l.plan != nil && l.bad == nil {
			p.placeOne(ctx, l, err)
		}
	}
	return nil
}

// planOne decides what is to be done for one course.
func (p *pass) planOne(ctx context.Context, l *local) (err error) {
	if l.plan == nil {
		p.late(ctx, l)
	}
	l.plan, err = l.dir.Plan(ctx, *l.newest, func(channel string) (bundle.History, error) {
		return p.history(ctx, l, channel)
	}, p.how(ctx, l))
	return err
}

// history fetches a channel's history and checks it against the manifest that
// names it.
func (p *pass) history(ctx context.Context, l *local, channel string) (bundle.History, error) {
	m := l.newest.Manifests[channel]
	if m == nil || p.a.client == nil || p.a.ticket.get() == "" {
		return nil, fmt.Errorf("history of channel %.64q: not to be had here", channel)
	}
	h, err := p.a.client.History(ctx, l.name, channel)
	if err != nil {
		return nil, err
	}
	if h.Digest() != m.History {
		return nil, fmt.Errorf("%w: another history than the manifest names", bundle.ErrCorrupt)
	}
	return h, nil
}

// placeEarly places once what has arrived, when a download takes long.
func (p *pass) placeEarly(ctx context.Context, h *haul) {
	l := p.courses[h.course]
	if l.placed || time.Since(p.started) < p.a.early {
		return
	}
	if h.quiet(); len(h.want) == 0 || !h.notebooks() {
		return
	}
	l.placed = true
	r, err := l.dir.Apply(ctx, l.plan)
	if err != nil {
		p.lg.Warn("not placed early", "course", l.name, "error", err)
		return
	}
	l.early = r
	if err := p.planOne(ctx, l); err != nil {
		p.failed(l, err)
	}
}

// placeOne places what one course's plan says, as far as its bytes are here.
// why is what ended the download, nil when all came.
func (p *pass) placeOne(ctx context.Context, l *local, why error) {
	if l.haul != nil && len(l.haul.want) > 0 && errors.Is(why, bundle.ErrCorrupt) {
		p.refuse(l.name, why)
		return
	}
	// A context that has ended (a budget, a signal) still leaves time to put
	// in place what is here: that needs no network.
	place, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWork)
	defer cancel()
	if ctx.Err() == nil {
		place = ctx
	}
	was := l.dir.State().Version
	r, err := l.dir.Apply(place, l.plan)
	if err != nil {
		p.failed(l, err)
		return
	}
	if l.early != nil {
		r = together(l.early, r)
	}
	p.result(l, r, was, why)
}

// lastWork is how long placing may take after the end was asked for.
const lastWork = 2 * time.Second

// together adds up the two results of one pass.
func together(a, b *workdir.Result) *workdir.Result {
	out := *b
	out.Added, out.Changed, out.Removed = a.Added+b.Added, a.Changed+b.Changed, a.Removed+b.Removed
	said := map[string]bool{}
	for _, e := range b.Events {
		said[string(e.Kind)+"\x00"+e.Path] = true
	}
	for _, e := range a.Events {
		if !said[string(e.Kind)+"\x00"+e.Path] && e.Kind != workdir.Waiting {
			out.Events = append(out.Events, e)
		}
	}
	return &out
}

// result says and remembers what a course came to.
func (p *pass) result(l *local, r *workdir.Result, was bundle.Version, why error) {
	w, m := p.words(l.name), p.mem.of(l.name)
	changed := r.Added+r.Changed+r.Removed > 0 || r.Complete && (r.Version != was || m.unsaid(r.Version))
	text := p.told(l.name, r, changed)
	if l.overtaken > 0 {
		text = append([]string{w.Overtaken(l.name, l.overtaken, r.Version)}, text...)
	}
	if len(r.Missing) > 0 {
		text = append(text, p.arriving(w, l, r))
	}
	msg := l.newest.Head.Message
	if msg != "" && msg != m.Message {
		text = append(text, w.Teacher(msg))
	}
	if len(text) == 0 {
		p.say(l.name, m.standing(w, l.name, r.Version))
	}
	for _, t := range text {
		p.say(l.name, t)
	}
	code := p.code(r, why)
	p.worse(code)
	// What was told before (an update that goes on waiting) is no news.
	sum := bundle.Sum([]byte(steady(w, text, r)))
	if news := changed || sum != m.Told; news && len(text) > 0 {
		p.news = true
		p.mem.remember(newsItem{Time: p.began, Course: l.name, Lines: text, Hidden: !l.newest.Head.Settings.WhatIsNew})
		p.receipts = append(p.receipts, p.a.receipt(l.name, r, code))
	}
	if changed {
		m.Updated = p.began
	}
	if len(text) > 0 { // what is said again after a pass that said nothing is none either
		m.Told = sum
	}
	m.Message, l.told = msg, true
	if r.Complete {
		m.Said = r.Version
	}
	m.Failed = named(append(pathsOf(r, workdir.Failed, workdir.NoSpace), r.MissingPaths...))
}

// arriving says how far a course is that is not complete.
func (p *pass) arriving(w Words, l *local, r *workdir.Result) string {
	first, notebooks := "", true
	if len(r.MissingPaths) > 0 {
		first = top(r.MissingPaths[0])
	}
	for _, m := range r.MissingPaths {
		notebooks = notebooks && !isNotebook(m)
	}
	return w.Arriving(r.Paths-len(r.MissingPaths), r.Paths, first, notebooks)
}

// code is one word for what is not as it should be.
func (p *pass) code(r *workdir.Result, why error) string {
	switch {
	case len(r.Missing) > 0 && why != nil:
		p.out.Offline = true
		return CodeInPart
	case len(r.Missing) > 0, len(pathsOf(r, workdir.Failed, workdir.NoSpace)) > 0:
		return CodeInPart
	case r.Waiting > 0:
		return CodeWaiting
	}
	return ""
}

// worse keeps the code that matters most.
func (p *pass) worse(code string) {
	rank := map[string]int{"": 0, CodeNothing: 1, CodeWaiting: 2, CodeInPart: 3}
	was, known := rank[p.out.Code]
	if known && rank[code] > was {
		p.out.Code = code
	}
}

// failed is a course in which nothing could be done.
func (p *pass) failed(l *local, err error) {
	if refusal(err) {
		p.refuse(l.name, err)
		return
	}
	l.bad = err
	p.lg.Error("course not updated", "course", l.name, "error", err)
	p.mem.Error = Plain(err.Error())
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		p.out.Code = CodeStopped
	default:
		p.out.Code = CodeInPart
		p.say(l.name, p.words(l.name).NotWritten(l.name, "", plainError(err)))
	}
	p.receipts = append(p.receipts, hook.Receipt{
		Format: hook.Format, Course: l.name, Version: l.dir.State().Version, Agent: agentVersion, Image: p.a.s.Image, Code: p.out.Code,
	})
}

// nothingNew is the usual login: one look whether each folder is there, and,
// where a pass is to look at every file, that.
func (p *pass) nothingNew(ctx context.Context) error {
	for _, l := range p.inOrder() {
		st := l.dir.State()
		if st.Version > 0 && p.known(l).Paused {
			p.say(l.name, p.words(l.name).PausedHere(l.name, st.Version))
		}
		if st.Version > 0 && p.looks(l, st) {
			p.fromState(l)
		}
	}
	if err := p.settle(ctx, nil); err != nil {
		return err
	}
	for _, l := range p.inOrder() {
		if st := l.dir.State(); st.Version > 0 && l.newest == nil {
			p.say(l.name, p.known(l).standing(p.words(l.name), l.name, st.Version))
		}
	}
	return nil
}

// looks says whether a pass looks at a course of which nothing new came.
func (p *pass) looks(l *local, st workdir.State) bool {
	return p.o.Walk || p.pending(l, st) || p.starts() && p.renames(l) || !l.dir.Present()
}

// pending says that a course has more to do or to say, also where nothing is
// new. What was not to be had, or could not be written, is tried again: a watch
// waits between such passes as it does where the service is away.
func (p *pass) pending(l *local, st workdir.State) bool {
	m := p.known(l)
	lacks := len(m.Failed) > 0 && !m.Over // what is not given out any more is not to be had
	return lacks || len(st.Waiting) > 0 || l.dir.Untold() || m.unsaid(st.Version)
}

// renames says that the course's folder waits for another name.
func (p *pass) renames(l *local) bool {
	want := p.known(l).Folder
	return want != "" && l.dir.RenameWaits(want)
}

// starts says that this pass is the start of a server.
func (p *pass) starts() bool { return p.o.Mode == workdir.Start && p.o.Since.IsZero() }

// withoutService applies what waits, as far as its bytes are here.
func (p *pass) withoutService(ctx context.Context) error {
	if ctx.Err() != nil {
		return nil
	}
	for _, l := range p.inOrder() {
		if st := l.dir.State(); st.Version > 0 && len(st.Waiting) > 0 {
			p.fromState(l)
		}
	}
	for _, l := range p.inOrder() {
		if l.newest == nil {
			continue
		}
		if err := p.planOne(ctx, l); err != nil {
			p.lg.Warn("not placed", "course", l.name, "error", err)
			continue
		}
		r, err := l.dir.Apply(ctx, l.plan)
		if err != nil {
			p.lg.Warn("not placed", "course", l.name, "error", err)
			continue
		}
		if r.Added+r.Changed+r.Removed+len(r.Events) > 0 {
			p.result(l, r, l.dir.State().Version, nil)
		}
	}
	return nil
}

// fromState takes what this home holds itself for the newest: it was verified
// when it came, and its head is verified again.
func (p *pass) fromState(l *local) {
	st, head := l.dir.State().Latest, p.headAtHand(l)
	if head == nil {
		return
	}
	for id, m := range st.Manifests {
		if want, ok := head.Channel(id); !ok || m == nil || m.Digest() != want {
			return
		}
	}
	p.take(l, &workdir.Newest{Head: head, Envelope: st.Envelope, Manifests: st.Manifests, Keys: p.a.s.Keys})
}

// headAtHand is the one that this home holds, verified; nil where there is
// none to trust.
func (p *pass) headAtHand(l *local) *bundle.Head {
	st := l.dir.State().Latest
	if st.Envelope == nil {
		return nil
	}
	head, err := st.Envelope.Open(p.a.s.Keys)
	if err != nil || head.Course != l.name || head.Version != st.Version {
		p.lg.Warn("the head at hand is not usable", "course", l.name, "error", err)
		return nil
	}
	return head
}
