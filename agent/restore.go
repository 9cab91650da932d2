package agent

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"satchel/bundle"
	"satchel/hook"
	"satchel/workdir"
)

// Restore puts the newest course version of one file in its place again. file
// is as a student types it: relative to wd, or to a course's folder.
func (a *Agent) Restore(ctx context.Context, wd, file string) Outcome {
	p := a.newPass(SyncOptions{Mode: workdir.Start})
	if err := p.open(ctx); err != nil {
		p.cannotOpen(err)
		return p.out
	}
	defer p.close()
	l, path := p.locate(wd, file)
	if l == nil {
		p.say("", a.words.NotInCourse(file))
		p.out.Code = CodeFolder
		return p.out
	}
	p.restore(ctx, l, path)
	p.finish(ctx)
	return p.out
}

// locate finds the course and the path that a typed name means.
func (p *pass) locate(wd, file string) (*local, string) {
	full := file
	if !filepath.IsAbs(full) {
		full = filepath.Join(wd, file)
	}
	full = filepath.Clean(full)
	for _, l := range p.courses {
		st := l.dir.State()
		if st.Folder == "" {
			continue
		}
		inside := []string{filepath.Clean(file)}
		if rel, err := filepath.Rel(filepath.Join(p.a.s.Root, st.Folder), full); err == nil && !strings.HasPrefix(rel, "..") {
			inside = []string{rel}
		}
		for _, path := range inside {
			for _, m := range st.Manifests {
				if _, ok := m.Find(path); ok {
					return l, path
				}
			}
		}
	}
	return nil, ""
}

// restore fetches the file's bytes where they are not here, and places it.
func (p *pass) restore(ctx context.Context, l *local, path string) {
	r, err := p.placeAgain(ctx, l, path)
	w := p.words(l.name)
	var e *hook.Error
	switch {
	case err == nil:
		p.restored(w, l, r, path)
	case errors.As(err, &e), errors.Is(err, errNoTicket), errors.Is(err, errNoService), isBroken(err), errors.Is(err, errAnew):
		p.lg.Warn("not restored", "course", l.name, "path", path, "error", err)
		p.out.Code = CodeOffline
		p.say(l.name, w.NeedsNetwork(path))
	default:
		p.failed(l, err)
	}
}

func (p *pass) placeAgain(ctx context.Context, l *local, path string) (*workdir.Result, error) {
	if p.fromState(l); l.newest == nil {
		return nil, errNoService
	}
	plan, err := l.dir.PlanRestore(ctx, *l.newest, path)
	if err != nil {
		return nil, err
	}
	if wanted := plan.Wanted(); len(wanted) > 0 {
		if err := p.fetchSome(ctx, l, wanted); err != nil {
			return nil, err
		}
	}
	return l.dir.Apply(ctx, plan)
}

// restored says what came of it.
func (p *pass) restored(w Words, l *local, r *workdir.Result, path string) {
	for _, e := range r.Events {
		switch s := sentenceOf(w, e); {
		case e.Path != path:
		case e.Kind == workdir.Failed, e.Kind == workdir.NoSpace:
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
	p.a.borrow(ctx)
	switch {
	case p.a.client == nil:
		return errNoService
	case p.a.ticket.get() == "":
		return errNoTicket
	}
	h := newHaul(l.name, l.dir, items, l.dir.State().Manifests)
	return p.a.rest(ctx, h, func(*haul) {})
}
