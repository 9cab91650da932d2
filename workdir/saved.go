package workdir

import (
	"context"
	"errors"

	"satchel/bundle"
)

// save lays the student's file beside, and puts theirs in its place. Only the
// newest few stay beside; older ones go to the shelf.
func (a *applier) save(ctx context.Context, act *Action, at *spot) error {
	id := a.ids[act.Path]
	out, err := a.swap(ctx, act, at, id)
	if err != nil {
		return err
	}
	as, err := placeBeside(a.hold, out, at.d, at.name, mySuffix, false)
	if err != nil {
		return err
	}
	a.res.Changed++
	a.undoable(act, act.before(act.File.Digest))
	e := a.entry(act, a.look(at, act.File.Digest))
	e.Saved = a.shelveOld(ctx, append(append([]Copy(nil), e.Saved...), Copy{Path: join(at.folder, as), Digest: act.Mine.Digest}))
	a.done(act, e, Event{Other: join(at.folder, as)})
	a.lines = append(a.lines, line{Hold: &hold{ID: id, Gone: true}})
	return nil
}

// shelveOld keeps the newest saved copies and shelves the others, if they are
// as they were saved.
func (a *applier) shelveOld(ctx context.Context, saved []Copy) []Copy {
	for len(saved) > savedKept {
		if err := a.takeAway(ctx, saved[0], true); err != nil {
			a.c.home.lg.Info("an old copy stays", "course", a.c.name, "path", saved[0].Path, "error", err)
		}
		saved = saved[1:]
	}
	return saved
}

// takeAway removes a copy that is still as it was laid, to the shelf if it is
// the student's.
func (a *applier) takeAway(ctx context.Context, c Copy, shelf bool) error {
	root := a.tree
	if c.Outside {
		root = a.c.home.top
	}
	folder, name := split(c.Path)
	d, err := root.descend(folder, nil)
	if err != nil {
		return err
	}
	defer d.close()
	if sum, _, err := hashName(ctx, d, name); err != nil || sum != c.Digest {
		return err
	}
	out := outName(a.c.home.do.newName())
	if err := move(d, name, a.hold, out); err != nil {
		return err
	}
	if sum, _, err := hashName(ctx, a.hold, out); err != nil || sum != c.Digest {
		return errors.Join(err, putBack(a.hold, out, d, name))
	}
	if shelf {
		return a.c.shelve(a.hold, out, c.Path)
	}
	return a.hold.remove(out)
}

// eraseCopies takes the withdrawn bytes away where Satchel laid them beside.
func (a *applier) eraseCopies(ctx context.Context, was *Entry) {
	for _, c := range was.Copies {
		if a.p.withdrawn[bundle.Pair{Path: was.Path, Digest: c.Digest}] {
			_ = a.takeAway(ctx, c, false)
		}
	}
}
