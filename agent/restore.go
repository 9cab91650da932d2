package agent

import (
	"context"
	"errors"
	"sync"

	"satchel/bundle"
	"satchel/hook"
	"satchel/workdir"
)

// Restore puts the newest course version of one file in its place again, or,
// with a version above 0, what that file was at it. file is as a student
// types it: see locate.
func (a *Agent) Restore(ctx context.Context, wd, file string, version bundle.Version) Outcome {
	p := a.newPass(SyncOptions{Mode: workdir.Start})
	if err := p.open(ctx); err != nil {
		p.cannotOpen(err)
		return p.out
	}
	defer p.close()
	command := "restore"
	if version > 0 {
		command += " --version " + number(version)
	}
	l, path := p.locate(wd, file, command)
	switch {
	case l == nil:
		return p.out
	case version > 0:
		p.restoreVersion(ctx, l, path, version)
	default:
		p.restore(ctx, l, path)
	}
	p.finish(ctx)
	return p.out
}

// RestoreAll puts the newest version of every file of every course in its
// place again.
func (a *Agent) RestoreAll(ctx context.Context) Outcome {
	p := a.newPass(SyncOptions{Mode: workdir.Start})
	if err := p.open(ctx); err != nil {
		p.cannotOpen(err)
		return p.out
	}
	defer p.close()
	any := false
	for _, l := range p.inOrder() {
		if l.dir.State().Latest.Version > 0 {
			any = true
			p.restoreAll(ctx, l)
		}
	}
	if !any {
		p.say("", a.words.NothingHere(a.s.Root))
		p.out.Code = CodeNothing
	}
	p.finish(ctx)
	return p.out
}

func (p *pass) restoreAll(ctx context.Context, l *local) {
	r, err := p.placeAgain(ctx, l)
	if err != nil {
		p.notRestored(l, l.dir.State().Folder, err)
		return
	}
	w, n := p.words(l.name), r.Added+r.Changed
	p.say(l.name, w.RestoredAll(n, r.Version))
	for _, e := range r.Events {
		switch {
		case e.Kind == workdir.Restored && e.Other != "":
			p.say(l.name, w.Restored(e.Path, r.Version, beside(e)))
		case e.Kind == workdir.Failed:
			p.say(l.name, w.NotRestored(e.Path, e.Reason, plainError(e.Err)))
		case e.Kind != workdir.Restored:
			p.say(l.name, sentenceOf(w, e))
		}
	}
	if len(pathsOf(r, workdir.Failed, workdir.NoSpace)) > 0 {
		p.out.Code = CodeInPart
	}
}

func (p *pass) restoreVersion(ctx context.Context, l *local, path string, v bundle.Version) {
	w := p.words(l.name)
	if p.fromState(l); l.newest == nil {
		p.notRestored(l, path, errNoService)
		return
	}
	plan, was, err := l.dir.PlanRestoreVersion(ctx, *l.newest, path, v)
	if v > l.newest.Head.Version || errors.Is(err, workdir.ErrNoVersion) || errors.Is(err, workdir.ErrUnknownPath) {
		p.say(l.name, w.NoVersion(path, v))
		p.out.Code = CodeFolder
		return
	}
	var r *workdir.Result
	if err == nil {
		r, err = p.fetchAndApply(ctx, l, plan)
	}
	if err != nil {
		p.notRestored(l, path, err)
		return
	}
	copy := ""
	for _, e := range r.Events {
		if e.Kind == workdir.Restored && e.Other != "" {
			copy = beside(e)
		}
	}
	p.say(l.name, w.RestoredVersion(path, was, copy))
}

// restore fetches the file's bytes where they are not here, and places it.
func (p *pass) restore(ctx context.Context, l *local, path string) {
	r, err := p.placeAgain(ctx, l, path)
	if err != nil {
		p.notRestored(l, path, err)
		return
	}
	p.restored(p.words(l.name), l, r, path)
}

// notRestored says why a file's bytes could not be had.
func (p *pass) notRestored(l *local, path string, err error) {
	w := p.words(l.name)
	var e *hook.Error
	switch {
	case errors.Is(err, errAnew) && p.known(l).Paused:
		p.lg.Info("not restored", "course", l.name, "path", path, "error", err)
		p.out.Code = CodeInPart
		p.say(l.name, w.PausedHere(l.name, l.dir.State().Latest.Version))
	case errors.As(err, &e), errors.Is(err, errNoTicket), errors.Is(err, errNoService), isBroken(err), errors.Is(err, errAnew):
		p.lg.Warn("not restored", "course", l.name, "path", path, "error", err)
		p.out.Code = CodeOffline
		p.say(l.name, w.NeedsNetwork(path))
	default:
		p.failed(l, err)
	}
}

// placeAgain restores paths, or all.
func (p *pass) placeAgain(ctx context.Context, l *local, paths ...string) (*workdir.Result, error) {
	if p.fromState(l); l.newest == nil {
		return nil, errNoService
	}
	plan, err := l.dir.PlanRestore(ctx, *l.newest, paths...)
	if err != nil {
		return nil, err
	}
	return p.fetchAndApply(ctx, l, plan)
}

func (p *pass) fetchAndApply(ctx context.Context, l *local, plan *workdir.Plan) (*workdir.Result, error) {
	if wanted := plan.Wanted(); len(wanted) > 0 {
		if err := p.fetchSome(ctx, l, wanted); err != nil {
			return nil, err
		}
	}
	r, err := l.dir.Apply(ctx, plan)
	l.told = err == nil // whoever asked for it is told
	return r, err
}

// restored says what came of it.
func (p *pass) restored(w Words, l *local, r *workdir.Result, path string) {
	for _, e := range r.Events {
		switch s := sentenceOf(w, e); {
		case e.Path != path:
		case e.Kind == workdir.Failed:
			p.out.Code = CodeInPart
			p.say(l.name, w.NotRestored(path, e.Reason, plainError(e.Err)))
			return
		case e.Kind == workdir.NoSpace:
			p.out.Code = CodeInPart
			p.say(l.name, s)
			return
		case e.Other != "":
			p.say(l.name, w.Restored(path, r.Version, beside(e)))
			return
		}
	}
	p.say(l.name, w.Restored(path, r.Version, ""))
}

// fetchSome stages contents, where the service is to be had.
func (p *pass) fetchSome(ctx context.Context, l *local, items []bundle.Item) error {
	if p.a.client == nil {
		return errNoService
	}
	if err := p.a.borrow(ctx); err != nil {
		return err
	}
	h := newHaul(&sync.Mutex{}, l.name, l.dir, items, l.dir.State().Latest.Manifests)
	return p.a.rest(ctx, h, func(*haul) {})
}
