package agent

import (
	"context"
	"slices"
	"time"

	"satchel/workdir"
)

// lookAgain is how often what came out of a course's folder is looked at
// where nothing else calls for it. workdir lets go of it after two such looks.
const lookAgain = 10 * time.Minute

// lateInAll looks again in the courses for which this pass made no plan. It
// needs no service.
func (p *pass) lateInAll(ctx context.Context) {
	for _, l := range p.inOrder() {
		age := p.began.Sub(p.a.looked[l.name])
		if ctx.Err() == nil && l.plan == nil && (age < 0 || age >= lookAgain) {
			p.late(ctx, l)
		}
	}
}

// late has put back what an editor wrote into a file after that was replaced
// under it, and tells it. A plan puts it back too, but what a plan tells is
// lost where another one takes its place.
func (p *pass) late(ctx context.Context, l *local) {
	p.a.looked[l.name] = p.began
	if !l.dir.Holding() {
		return
	}
	events, err := l.dir.Settle(ctx)
	if err != nil {
		p.lg.Warn("not looked at what was replaced", "course", l.name, "error", err)
	}
	if p.o.Mode == workdir.Start { // the plan that follows merges these, and tells
		events = slices.DeleteFunc(events, func(e workdir.Event) bool { return e.Kind == workdir.Recovered && e.Other == "" })
	}
	text := p.told(l.name, &workdir.Result{Events: events}, false)
	if len(text) == 0 {
		return
	}
	for _, t := range text {
		p.say(l.name, t)
	}
	p.news = true
	head := p.headAtHand(l)
	p.mem.remember(newsItem{Time: p.began, Course: l.name, Lines: text, Hidden: head == nil || !head.Settings.WhatIsNew})
}
