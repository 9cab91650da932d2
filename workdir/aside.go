package workdir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// makeWay renames what stands where a file or folder of the course is to be.
// An empty folder that Satchel made simply goes.
func (a *applier) makeWay(act *Action) error {
	folder, name := split(act.Mine.At)
	d, err := a.tree.descend(folder, nil)
	if err != nil {
		return err
	}
	defer d.close()
	s, err := d.stat(name)
	above := act.Mine.At != act.Path // it must be a folder
	switch {
	case err != nil:
		return err
	case s.Kind == Nothing || above && s.Kind == Folder:
		return nil
	case s.Kind == Folder && a.undoneBelow(act.Mine.At):
		return errChanged // its files first
	case s.Kind == Folder && a.c.rec.folders[act.Mine.At] && d.rmdir(name) == nil:
		return nil
	}
	aside := &hold{ID: a.c.home.do.newName(), Path: act.Mine.At, Time: a.c.home.now, Then: thenAside}
	_, err = a.carryAside(d, name, s.Kind == Folder, a.ids[act.Path], func(to string) error {
		aside.To = join(folder, to)
		aside.Tell = &Event{Kind: MovedAside, Path: act.Mine.At, Other: aside.To}
		return a.c.save(line{Hold: aside})
	})
	a.lines = append(a.lines, line{Hold: &hold{ID: aside.ID, Gone: true}})
	if err != nil {
		return err
	}
	a.dirty[folder] = true
	a.lines = append(a.lines, line{Forget: act.Mine.At})
	for p := range a.c.rec.files {
		if strings.HasPrefix(p, act.Mine.At+"/") {
			a.lines = append(a.lines, line{Forget: p}) // it went along
		}
	}
	a.tell(*aside.Tell)
	return nil
}

func (a *applier) undoneBelow(folder string) bool {
	for p := range a.undone {
		if strings.HasPrefix(p, folder+"/") {
			return true
		}
	}
	return false
}

// carryAside renames something of the student's to its first free
// "NAME (my copy)". note is told that one before.
func (a *applier) carryAside(d *dir, name string, folder bool, id string, note func(to string) error) (string, error) {
	for n := 1; n <= maxCopies; n++ {
		to := copyName(name, mySuffix, n, folder)
		if s, err := d.stat(to); err != nil || s.Kind != Nothing {
			continue
		}
		if err := note(to); err != nil {
			return "", err
		}
		err := a.carry(d, name, &spot{d: d, name: to}, id)
		if err == nil || !errors.Is(err, fs.ErrExist) {
			return to, err
		}
	}
	return "", fmt.Errorf("%q: too many copies lie beside it", name)
}

// carry renames something of the student's to a free name, in one step, or by
// way of the hold.
func (a *applier) carry(d *dir, name string, to *spot, id string) error {
	err := rename(d, name, to.d, to.name)
	if err != errNoReplace {
		if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %w", errChanged, err)
		}
		return err
	}
	s, err := d.stat(name)
	if err != nil {
		return err
	}
	if s.Kind == Folder {
		return moveFolder(d, name, to.d, to.name)
	}
	if id == "" {
		id = a.c.home.do.newName()
	}
	if err := move(d, name, a.hold, outName(id)); err != nil {
		return err
	}
	if err := moveNew(a.hold, outName(id), to.d, to.name); err != nil {
		return errors.Join(err, putBack(a.hold, outName(id), d, name))
	}
	return nil
}

// move renames a file as the course did, with whatever bytes it has.
func (a *applier) move(ctx context.Context, act *Action, to *spot) error {
	folder, name := split(act.From)
	d, err := a.tree.descend(folder, nil)
	if err != nil {
		return err
	}
	defer d.close()
	if err := a.carry(d, name, to, a.ids[act.Path]); err != nil {
		return err
	}
	sum, stat, err := hashName(ctx, to.d, to.name)
	if err != nil {
		return err
	}
	if sum != act.File.Digest {
		act.Status = Mine
	} else if stat.perm != perm(act.File) {
		_ = to.d.chmod(to.name, perm(act.File))
	}
	a.res.Changed++
	a.movedOver(act, sum)
	a.dirty[folder] = true
	a.lines = append(a.lines, line{Forget: act.From}, line{Hold: &hold{ID: a.ids[act.Path], Gone: true}})
	a.done(act, a.entry(act, a.look(to, sum)), Event{Other: act.From})
	return nil
}
