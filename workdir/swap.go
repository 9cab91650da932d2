package workdir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"satchel/bundle"
)

// incoming is a content in the stage that is to take a place.
type incoming struct {
	name string // in the stage
	sum  bundle.Digest
	size int64
}

// swap puts theirs in the place of a regular file in one step, and gives the
// name in the hold under which what was there lies now.
func (a *applier) swap(ctx context.Context, act *Action, at *spot, id string) (out string, err error) {
	if err := a.stillThere(ctx, act, at); err != nil {
		return "", err
	}
	name, err := a.ready(act, perm(act.File))
	if err != nil {
		return "", err
	}
	out, err = a.exchangeIn(ctx, act, at, id, incoming{name, act.File.Digest, act.File.Size})
	if err == nil {
		a.left[act.File.Digest]--
	}
	return out, err
}

// exchangeIn puts a content in the place of mine in one step, once more
// looking before, and at what came out: if that is not what the plan saw, it
// is put back (errChanged). For Save any bytes may come out.
func (a *applier) exchangeIn(ctx context.Context, act *Action, at *spot, id string, new incoming) (out string, err error) {
	in := inName(id)
	if err := a.stillThere(ctx, act, at); err != nil {
		a.unused(new.name)
		return "", err
	}
	if err := move(a.c.stage.d, new.name, a.hold, in); err != nil {
		a.unused(new.name)
		return "", err
	}
	a.c.stage.gone(new.name)
	err = exchange(a.hold, in, at.d, at.name)
	switch {
	case err == nil:
		out, err = in, a.inspect(ctx, act, at, in, new.sum)
	case err == errNoExchange:
		out, err = outName(id), a.swapSlowly(ctx, act, at, id)
	case errors.Is(err, fs.ErrNotExist):
		err = errChanged
	}
	if err != nil {
		return "", errors.Join(err, a.restage(ctx, in, new))
	}
	return out, nil
}

// stillThere looks at mine once more.
func (a *applier) stillThere(ctx context.Context, act *Action, at *spot) error {
	s, err := at.d.stat(at.name)
	switch {
	case err != nil:
		return err
	case s.Kind != Regular:
		return errChanged
	case s.same(act.Mine.Stat):
		return nil
	}
	sum, _, err := hashName(ctx, at.d, at.name)
	if err == nil && sum != act.Mine.Digest {
		err = errChanged
	}
	return err
}

// expected says whether what lies in the hold is what the plan saw.
func (a *applier) expected(ctx context.Context, act *Action, name string) bool {
	s, err := a.hold.stat(name)
	if err != nil || s.Kind != Regular {
		return false
	}
	if act.Verb == Save {
		return true // whatever it is now, it will lie beside
	}
	sum, _, err := hashName(ctx, a.hold, name)
	return err == nil && sum == act.Mine.Digest
}

// inspect looks at what an exchange brought out. What the plan did not see is
// exchanged back, and if in that moment something else came to lie there,
// that is kept beside.
func (a *applier) inspect(ctx context.Context, act *Action, at *spot, in string, new bundle.Digest) error {
	if a.expected(ctx, act, in) {
		return nil
	}
	if err := exchange(a.hold, in, at.d, at.name); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return putBack(a.hold, in, at.d, at.name)
		}
		return err
	}
	if sum, _, err := hashName(ctx, a.hold, in); err != nil || sum != new {
		if _, err := placeBeside(a.hold, in, at.d, at.name, mySuffix, false); err != nil {
			return err
		}
	}
	return errChanged
}

// swapSlowly is for filesystems without EXCHANGE: mine is moved out, looked
// at, and theirs moved in without replacing anything. If the name came back
// meanwhile, that stays, and the next pass decides.
func (a *applier) swapSlowly(ctx context.Context, act *Action, at *spot, id string) error {
	if err := a.takeOut(ctx, act, at, outName(id)); err != nil {
		return err
	}
	err := moveNew(a.hold, inName(id), at.d, at.name)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist) && act.Verb == Save:
		_, err = placeBeside(a.hold, outName(id), at.d, at.name, mySuffix, false)
		return errors.Join(errChanged, err)
	case errors.Is(err, fs.ErrExist):
		return errChanged // what came out waits in the hold
	}
	return errors.Join(err, putBack(a.hold, outName(id), at.d, at.name))
}

// takeOut moves a file into the hold and looks at it: what is not expected
// goes back.
func (a *applier) takeOut(ctx context.Context, act *Action, at *spot, out string) error {
	if err := a.stillThere(ctx, act, at); err != nil {
		return err
	}
	if err := move(at.d, at.name, a.hold, out); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return errChanged
		}
		return err
	}
	if !a.expected(ctx, act, out) {
		return putBack(a.hold, out, at.d, at.name)
	}
	return nil
}

// restage puts a content back to the stage after a swap that did not happen.
// Whatever else lies under that name is left for settle.
func (a *applier) restage(ctx context.Context, in string, new incoming) error {
	sum, _, err := hashName(ctx, a.hold, in)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || sum != new.sum {
		return err
	}
	if err := move(a.hold, in, a.c.stage.d, new.name); err != nil {
		return err
	}
	a.c.stage.back(new.name, new.size)
	return nil
}

// beside lays theirs beside mine, or into the folder for many copies.
func (a *applier) beside(ctx context.Context, act *Action, at *spot, lay layer) error {
	c, fresh, err := lay(ctx, act, at)
	if err != nil {
		return err
	}
	e := a.entry(act, a.seenMine(act))
	a.copied(ctx, act, e, c, fresh)
	a.undoable(act, act.before(act.Mine.Digest))
	a.done(act, e, Event{Other: c.Path, Outside: c.Outside})
	return nil
}

// layer lays theirs somewhere near mine, unless a copy with the same bytes is
// there already.
type layer func(ctx context.Context, act *Action, at *spot) (c Copy, fresh bool, err error)

func (a *applier) layBeside(ctx context.Context, act *Action, at *spot) (c Copy, fresh bool, err error) {
	as, ok := sameCopy(ctx, at.d, at.name, act.item())
	if !ok {
		if as, err = a.layNew(act, at.d, at.name, false); err != nil {
			return c, false, err
		}
		a.dirty[at.folder] = true
		a.undoable(act, change{Path: join(at.folder, as), Has: act.File.Digest, Loose: true})
	}
	return Copy{Path: join(at.folder, as), Digest: act.File.Digest}, !ok, nil
}

func (a *applier) layNew(act *Action, d *dir, base string, bare bool) (as string, err error) {
	name, err := a.ready(act, act.File.Mode)
	if err != nil {
		return "", err
	}
	if as, err = placeBeside(a.c.stage.d, name, d, base, courseSuffix(a.p.version), bare); err != nil {
		a.unused(name)
		return "", err
	}
	a.used(act, name)
	return as, nil
}

// layOutside lays theirs into the folder for many copies, beside the course's.
func (a *applier) layOutside(ctx context.Context, act *Action, _ *spot) (c Copy, fresh bool, err error) {
	top, err := a.outsideFolder()
	if err != nil {
		return c, false, err
	}
	folder, base := split(act.Path)
	d, err := a.c.home.top.descend(join(top, folder), func(string) {})
	if err != nil {
		return c, false, err
	}
	defer d.close()
	as, ok := sameCopy(ctx, d, base, act.item())
	if !ok {
		if as, err = a.layNew(act, d, base, true); err == nil {
			err = d.sync()
		}
		if err != nil {
			return c, false, err
		}
	}
	return Copy{Path: join(join(top, folder), as), Digest: act.File.Digest, Outside: true}, !ok, nil
}

// outsideFolder is the first name for the folder of many copies under which
// there is a folder or nothing.
func (a *applier) outsideFolder() (string, error) {
	name := a.p.folder + " (" + courseSuffix(a.p.version) + ")"
	for n := 1; n <= maxCopies; n++ {
		as := name
		if n > 1 {
			as = fmt.Sprintf("%s %d", name, n)
		}
		s, err := a.c.home.top.stat(as)
		if err != nil || s.Kind == Nothing || s.Kind == Folder {
			return as, err
		}
	}
	return "", fmt.Errorf("%q: too many copies lie beside it", name)
}

// copied makes e name a copy, and takes away older ones of the same path that
// the student never touched.
func (a *applier) copied(ctx context.Context, act *Action, e *Entry, c Copy, fresh bool) {
	var keep []Copy
	for _, old := range e.Copies {
		if fresh && (old.Path != c.Path || old.Outside != c.Outside) {
			if err := a.takeAway(ctx, old, false); err != nil && !errors.Is(err, fs.ErrNotExist) {
				a.c.home.lg.Info("an older copy stays", "course", a.c.name, "path", old.Path, "error", err)
			}
		} else if old != c {
			keep = append(keep, old)
		}
	}
	e.Copies = keep
	if fresh || slices.Contains(act.oldCopies(), c) {
		e.Copies = append(e.Copies, c)
	}
	if !c.Outside {
		a.placed = append(a.placed, &Entry{Path: c.Path, Digest: c.Digest, Size: act.File.Size})
	}
}

func (a *applier) seenMine(act *Action) *Seen {
	if act.Mine.Kind != Regular || act.Mine.blocked(act.Path) {
		return nil
	}
	return a.c.home.seen(act.Mine)
}
