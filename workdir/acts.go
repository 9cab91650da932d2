package workdir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"satchel/bundle"
)

// do does one action whose bytes are at hand. When it returns without an
// error, its lines are ready to be recorded.
func (a *applier) do(ctx context.Context, act *Action) error {
	switch act.Verb {
	case Record:
		a.record(act)
		return nil
	case Forget:
		a.forget(act)
		return nil
	}
	folder, name := split(act.Path)
	if act.Verb == Beside && act.Mine.blocked(act.Path) && !a.stillBlocked(act) {
		act.Verb, act.Event, act.Status = Add, "", Delivered // what was in the way went
	}
	if act.Verb == Beside && (a.outside != "" || act.Mine.blocked(act.Path)) {
		return a.beside(ctx, act, nil, a.layOutside)
	}
	if act.Verb == Aside {
		if err := a.makeWay(act); err != nil || act.File.Path == "" {
			return err
		}
	}
	d, err := a.folder(folder, act.theirs() || act.Verb == Move)
	if err != nil {
		return err
	}
	defer d.close()
	at := &spot{d: d, folder: folder, name: name}
	switch act.Verb {
	case Add, Aside:
		return a.add(act, at)
	case Replace:
		return a.replace(ctx, act, at)
	case Save:
		return a.save(ctx, act, at)
	case Remove:
		return a.remove(ctx, act, at)
	case Move:
		return a.move(ctx, act, at)
	case Chmod:
		return a.chmod(act, at)
	case Beside:
		return a.beside(ctx, act, at, a.layBeside)
	case Merge:
		return a.merge(ctx, act, at)
	}
	return fmt.Errorf("unknown verb %q", act.Verb)
}

// stillBlocked says whether something that is no folder stands above a path.
func (a *applier) stillBlocked(act *Action) bool {
	folder, name := split(act.Mine.At)
	d, err := a.tree.descend(folder, nil)
	if err != nil {
		return true
	}
	defer d.close()
	s, err := d.stat(name)
	return err != nil || s.Kind != Nothing && s.Kind != Folder
}

// spot is one name in an open folder of the course.
type spot struct {
	d            *dir
	folder, name string
}

// folder opens a folder of the course, making it where it may be made.
func (a *applier) folder(path string, make bool) (*dir, error) {
	if !make {
		return a.tree.descend(path, nil)
	}
	return a.tree.descend(path, func(made string) {
		up, _ := split(made)
		a.dirty[up] = true
		a.lines = append(a.lines, line{Folder: &folderLine{Path: made}})
	})
}

// entry is what is to be remembered of a path after act.
func (a *applier) entry(act *Action, seen *Seen) *Entry {
	e := &Entry{
		Path: act.Path, Digest: act.File.Digest, Size: act.File.Size, Mode: act.File.Mode, Policy: act.File.Policy,
		Channel: act.Channel, Status: act.Status, Returned: act.Return, Seen: seen,
	}
	if w := act.Was; w != nil {
		e.Returned = act.Return || w.Returned && !act.Mine.Gone
		e.Copies, e.Saved, e.Merges = w.Copies, w.Saved, w.Merges
		e.Since, e.Past = w.Since, w.Past
	}
	e.follows(act.Was, a.p.version)
	return e
}

// done notes an action for the record, and tells its event.
func (a *applier) done(act *Action, e *Entry, ev Event) {
	folder, _ := split(act.Path)
	a.dirty[folder] = true
	switch {
	case act.Loose:
		return
	case act.Put == nil && a.p.undo: // as before: nothing is known of it
		a.lines = append(a.lines, line{Forget: act.Path})
		return
	case act.Put != nil:
		put := *act.Put
		put.Seen, e = e.Seen, &put
	}
	a.lines = append(a.lines, line{File: e})
	if e.Status == Delivered && act.Verb != Record {
		a.placed = append(a.placed, e)
	}
	if act.Event != "" {
		ev.Kind, ev.Path = act.Event, act.Path
		a.tell(ev)
	}
}

// look gives what is remembered of the file at a spot, whose bytes are known.
func (a *applier) look(at *spot, sum bundle.Digest) *Seen {
	s, err := at.d.stat(at.name)
	if err != nil || s.Kind != Regular {
		return nil
	}
	return a.c.home.seen(Fact{Stat: s, Digest: sum})
}

func (a *applier) record(act *Action) {
	if act.Sleep {
		e := *act.Was
		e.Asleep = a.c.home.now
		a.channels[e.Channel]++
		a.lines = append(a.lines, line{File: &e})
		return
	}
	var seen *Seen
	if act.Mine.Kind == Regular {
		seen = a.c.home.seen(act.Mine)
	}
	a.done(act, a.entry(act, seen), Event{})
	if a.p.undo {
		a.undoable(act, act.before(act.Mine.Digest))
	}
	if act.Was == nil && act.Status == Delivered {
		a.adoptFolders(act.Path)
		a.placed = append(a.placed, a.entry(act, seen))
	}
}

// adoptFolders takes the folders of an adopted file for ours: they were made
// for it by whoever lost the record of it.
func (a *applier) adoptFolders(path string) {
	for f, _ := split(path); f != "" && !a.c.rec.folders[f]; f, _ = split(f) {
		a.lines = append(a.lines, line{Folder: &folderLine{Path: f}})
	}
}

func (a *applier) forget(act *Action) {
	a.lines = append(a.lines, line{Forget: act.Path})
	if act.Event != "" {
		a.tell(Event{Kind: act.Event, Path: act.Path})
	}
}

// ready makes theirs ready in the stage, and gives its name there.
func (a *applier) ready(act *Action, perm uint32) (string, error) {
	a.keepBase(act.File)
	last := a.left[act.File.Digest] <= 1
	name, err := a.c.stage.ready(act.File.Digest, perm, last)
	return name, err
}

// used says that what ready gave has left the stage.
func (a *applier) used(act *Action, name string) {
	a.left[act.File.Digest]--
	a.c.stage.gone(name)
}

// unused throws away what ready gave, unless it is the staged content itself.
func (a *applier) unused(name string) {
	if _, err := bundle.ParseDigest(name); err != nil {
		_ = a.c.stage.d.remove(name)
	}
}

// add gives a free name its file.
func (a *applier) add(act *Action, at *spot) error {
	name, err := a.ready(act, perm(act.File))
	if err != nil {
		return err
	}
	if err := moveNew(a.c.stage.d, name, at.d, at.name); err != nil {
		a.unused(name)
		if errors.Is(err, fs.ErrExist) {
			return errChanged
		}
		return err
	}
	a.used(act, name)
	a.added(act, a.look(at, act.File.Digest))
	return nil
}

// added notes a file that has its place.
func (a *applier) added(act *Action, seen *Seen) {
	a.res.Added++
	a.undoable(act, act.before(act.File.Digest))
	ev := Event{Other: a.renamed[act.File.Digest]}
	if act.Event == MovedAside {
		act.Event = "" // told when it made way
	}
	if act.Return && act.Was != nil && ev.Other == "" {
		ev.Other = a.renamed[act.Was.Digest]
	}
	a.done(act, a.entry(act, seen), ev)
}

// replace exchanges an untouched file for theirs.
func (a *applier) replace(ctx context.Context, act *Action, at *spot) error {
	id := a.ids[act.Path]
	out, err := a.swap(ctx, act, at, id)
	if err != nil {
		return err
	}
	a.res.Changed++
	a.undoable(act, act.before(act.File.Digest))
	e := a.entry(act, a.look(at, act.File.Digest))
	if act.Was != nil && act.untouched() && mergeable(act.Path, act.File.Size) {
		e.merged(Merging{Base: act.Was.Digest, Mine: act.Was.Digest, Result: act.File.Digest, Time: a.c.home.now})
	}
	a.done(act, e, Event{})
	if act.Was == nil {
		a.adoptFolders(act.Path)
	}
	h := *a.c.rec.holds[id]
	if h.Done, h.Next = true, nil; act.Erase {
		h.Gone = a.hold.remove(out) == nil
	}
	a.lines = append(a.lines, line{Hold: &h})
	return nil
}

// remove takes an untouched file away.
func (a *applier) remove(ctx context.Context, act *Action, at *spot) error {
	out := outName(a.ids[act.Path])
	if err := a.takeOut(ctx, act, at, out); err != nil {
		return err
	}
	h := *a.c.rec.holds[a.ids[act.Path]]
	if h.Done = true; act.Erase {
		h.Gone = a.hold.remove(out) == nil
		a.eraseCopies(ctx, act.Was)
	}
	a.lines = append(a.lines, line{Hold: &h}, line{Forget: act.Path})
	if act.Put != nil {
		a.lines = append(a.lines, line{File: act.Put})
	}
	a.undoable(act, act.before(bundle.Digest{}))
	a.dirty[at.folder] = true
	a.res.Removed++
	if act.Event != "" {
		a.tell(Event{Kind: act.Event, Path: act.Path})
	}
	return nil
}

// chmod changes permissions only: all of an untouched file's, the x bit of an
// edited one.
func (a *applier) chmod(act *Action, at *spot) error {
	to := perm(act.File)
	if act.Status != Delivered {
		to = act.Mine.Stat.perm &^ 0o111
		if act.File.Mode&0o111 != 0 {
			to |= to & 0o444 >> 2
		}
	}
	if err := at.d.chmod(at.name, to); err != nil {
		return err
	}
	a.res.Changed++
	a.undoable(act, act.before(act.Mine.Digest))
	a.done(act, a.entry(act, a.look(at, act.Mine.Digest)), Event{})
	if act.Was == nil {
		a.adoptFolders(act.Path)
	}
	return nil
}
