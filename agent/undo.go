package agent

import (
	"context"
	"errors"

	"satchel/workdir"
)

// Undo takes back what the last sync changed in this home, in all courses of
// it; the paths stay so until the course changes them again. Undo again does
// it again.
func (a *Agent) Undo(ctx context.Context) Outcome {
	p := a.newPass(SyncOptions{Mode: workdir.Start})
	if err := p.open(ctx); err != nil {
		p.cannotOpen(err)
		return p.out
	}
	defer p.close()
	last := p.lastPass()
	if last.ID == "" {
		p.say("", a.words.NothingToUndo())
		p.out.Code = CodeNothing
		return p.out
	}
	for _, l := range p.inOrder() {
		if l.dir.LastPass().ID == last.ID {
			p.undo(ctx, l, last)
		}
	}
	p.finish(ctx)
	return p.out
}

// lastPass is the newest of all courses.
func (p *pass) lastPass() (last workdir.Pass) {
	for _, l := range p.inOrder() {
		if at := l.dir.LastPass(); at.ID != "" && (last.ID == "" || at.Time.After(last.Time)) {
			last = at
		}
	}
	return last
}

func (p *pass) undo(ctx context.Context, l *local, last workdir.Pass) {
	r, err := p.takeBack(ctx, l)
	w := p.words(l.name)
	switch {
	case errors.Is(err, workdir.ErrNothingToUndo):
		p.say(l.name, w.NothingToUndo())
		p.out.Code = CodeNothing
		return
	case err != nil:
		p.failed(l, err)
		return
	}
	l.told = true
	n := r.Added + r.Changed + r.Removed
	if last.Undone {
		p.say(l.name, w.Redone(last.Version, n))
	} else {
		p.say(l.name, w.Undone(last.Version, n))
	}
	for _, e := range r.Events {
		if s := sentenceOf(w, e); s != "" {
			p.say(l.name, s)
		}
	}
	for _, path := range r.MissingPaths {
		p.say(l.name, w.NotUndone(path))
	}
	if len(r.MissingPaths)+len(pathsOf(r, workdir.NotUndone, workdir.Failed, workdir.NoSpace)) > 0 {
		p.out.Code = CodeInPart
	}
}

// takeBack does it, with what the service still has where that is needed.
func (p *pass) takeBack(ctx context.Context, l *local) (*workdir.Result, error) {
	plan, err := l.dir.PlanUndo(ctx)
	if err != nil {
		return nil, err
	}
	if wanted := plan.Wanted(); len(wanted) > 0 {
		if err := p.fetchSome(ctx, l, wanted); err != nil {
			p.lg.Info("not at hand any more", "course", l.name, "error", err)
		}
	}
	return l.dir.Apply(ctx, plan)
}
