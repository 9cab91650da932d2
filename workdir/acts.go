package workdir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"satchel/bundle"
)

func cmpString(a, b string) int { return cmp.Compare(a, b) }

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
		return a.besideOutside(ctx, act)
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
		return a.beside(ctx, act, at)
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
		e.Copies, e.Saved = w.Copies, w.Saved
	}
	return e
}

// done notes an action for the record, and tells its event.
func (a *applier) done(act *Action, e *Entry, ev Event) {
	folder, _ := split(act.Path)
	a.dirty[folder] = true
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
	a.res.Added++
	ev := Event{Other: a.renamed[act.File.Digest]}
	if act.Event == MovedAside {
		act.Event = "" // told when it made way
	}
	if act.Return && act.Was != nil && ev.Other == "" {
		ev.Other = a.renamed[act.Was.Digest]
	}
	a.done(act, a.entry(act, a.look(at, act.File.Digest)), ev)
	return nil
}

// replace exchanges an untouched file for theirs.
func (a *applier) replace(ctx context.Context, act *Action, at *spot) error {
	id := a.ids[act.Path]
	out, err := a.swap(ctx, act, at, id)
	if err != nil {
		return err
	}
	a.res.Changed++
	a.done(act, a.entry(act, a.look(at, act.File.Digest)), Event{})
	if act.Was == nil {
		a.adoptFolders(act.Path)
	}
	h := *a.c.rec.holds[id]
	if h.Done = true; act.Erase {
		h.Gone = a.hold.remove(out) == nil
	}
	a.lines = append(a.lines, line{Hold: &h})
	return nil
}

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
	out := outName(randomName())
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
	a.dirty[at.folder] = true
	a.res.Removed++
	if act.Event != "" {
		a.tell(Event{Kind: act.Event, Path: act.Path})
	}
	return nil
}

// eraseCopies takes the withdrawn bytes away where Satchel laid them beside.
func (a *applier) eraseCopies(ctx context.Context, was *Entry) {
	for _, c := range was.Copies {
		if a.p.withdrawn[bundle.Pair{Path: was.Path, Digest: c.Digest}] {
			_ = a.takeAway(ctx, c, false)
		}
	}
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
	a.dirty[folder] = true
	a.lines = append(a.lines, line{Forget: act.From})
	a.done(act, a.entry(act, a.look(to, sum)), Event{Other: act.From})
	return nil
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
		id = randomName()
	}
	if err := move(d, name, a.hold, outName(id)); err != nil {
		return err
	}
	if err := moveNew(a.hold, outName(id), to.d, to.name); err != nil {
		return errors.Join(err, putBack(a.hold, outName(id), d, name))
	}
	return nil
}

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
	to, err := a.carryAside(d, name, s.Kind == Folder, a.ids[act.Path])
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
	a.tell(Event{Kind: MovedAside, Path: act.Mine.At, Other: join(folder, to)})
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
// "NAME (my copy)".
func (a *applier) carryAside(d *dir, name string, folder bool, id string) (string, error) {
	for n := 1; n <= maxCopies; n++ {
		to := copyName(name, mySuffix, n, folder)
		err := a.carry(d, name, &spot{d: d, name: to}, id)
		if err == nil || !errors.Is(err, fs.ErrExist) {
			return to, err
		}
	}
	return "", fmt.Errorf("%q: too many copies lie beside it", name)
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
	a.done(act, a.entry(act, a.look(at, act.Mine.Digest)), Event{})
	return nil
}
