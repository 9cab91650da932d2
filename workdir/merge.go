package workdir

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"satchel/bundle"
	"satchel/internal/lines"
	"satchel/notebook"
)

// blend is what the three versions of one file make.
type blend struct {
	data   []byte // to take mine's place; nil: mine stays as it is
	beside bool   // theirs is to be laid beside
	event  Event
}

// combine merges one file: a notebook by its cells, a text by its lines.
// Where that cannot be, mine stays and theirs goes beside. base is nil where
// it is not known.
func combine(path string, base, mine, theirs []byte) blend {
	switch {
	case base == nil:
	case isNotebook(path):
		if m, err := notebook.Merge(path, base, mine, theirs); err == nil {
			return ofCells(m, mine)
		}
	case isText(base) && isText(mine) && isText(theirs) && max(len(base), len(mine), len(theirs)) <= maxMergeText:
		m := lines.Merge(base, mine, theirs)
		if lines.Kept(base, mine, m.Text) {
			return ofLines(m, mine)
		}
	}
	return blend{beside: true, event: Event{Kind: Kept}}
}

func ofCells(m notebook.Merged, mine []byte) blend {
	ev := Event{Kind: Merged, Cells: m.Taken, Run: m.Run, Clash: m.Clash, Gone: m.Removed}
	return result(m.Data, mine, len(m.Clash), ev)
}

func ofLines(m lines.Merged, mine []byte) blend {
	return result(m.Text, mine, m.Clash, Event{Kind: Merged})
}

func result(data, mine []byte, clash int, ev Event) blend {
	b := blend{data: data, beside: clash > 0, event: ev}
	if clash > 0 {
		b.event.Kind = SameLines
	}
	if bytes.Equal(data, mine) {
		if b.data = nil; clash == 0 {
			b.event = Event{}
		}
	}
	return b
}

// merge merges what both changed. Mine before it goes to the student's shelf.
func (a *applier) merge(ctx context.Context, act *Action, at *spot) error {
	if act.From != "" {
		return a.mergeAcross(ctx, act, at)
	}
	mine, theirs, b, err := a.blend(ctx, act, at)
	if err != nil {
		return err
	}
	e := a.entry(act, a.seenMine(act))
	if act.Again {
		e.Merges = nil // another time it is taken as it is
	}
	if b.beside {
		if b.event.Other, b.event.Outside, err = a.besideMerged(ctx, act, at, e); err != nil {
			return err
		}
	} else {
		a.left[act.File.Digest]--
	}
	if b.data != nil {
		if err := a.putMerged(ctx, act, at, b, e); err != nil {
			return err
		}
		a.c.remember(mine, b.data)
		a.res.Changed++
	}
	has := act.Mine.Digest
	if b.data != nil {
		has = bundle.Sum(b.data)
	}
	a.undoable(act, act.before(has))
	a.c.remember(theirs)
	act.Event = b.event.Kind
	a.done(act, e, b.event)
	return nil
}

// blend reads what is to be merged, and merges it. Nothing is kept in memory
// of the files before.
func (a *applier) blend(ctx context.Context, act *Action, at *spot) (mine, theirs []byte, b blend, err error) {
	if tooLargeToMerge(act) {
		return nil, nil, blend{beside: true, event: Event{Kind: Kept}}, a.stillThere(ctx, act, at)
	}
	if mine, err = at.d.read(at.name, maxMergeNotebook); err != nil {
		return nil, nil, b, err
	}
	if bundle.Sum(mine) != act.Mine.Digest {
		return nil, nil, b, errChanged
	}
	if theirs, err = a.c.stage.read(act.File.Digest, act.File.Size); err != nil {
		return nil, nil, b, err
	}
	base, err := a.baseOf(act, mine)
	if err != nil {
		a.c.home.lg.Info("merged without a base", "course", a.c.name, "path", act.Path, "error", err)
		base = nil
	}
	return mine, theirs, combine(act.Path, base, mine, theirs), nil
}

// baseOf gives what both began with. A notebook that was run only is its own
// base, before it was run.
func (a *applier) baseOf(act *Action, mine []byte) ([]byte, error) {
	switch {
	case act.Self:
		return notebook.Clear(mine)
	case act.Again:
		return a.c.baseBytes(act.Base)
	}
	return a.c.baseBytes(act.Was.Digest)
}

// willClash says whether a merge will lay theirs beside.
func (a *applier) willClash(ctx context.Context, act *Action) bool {
	folder, name := split(act.Path)
	d, err := a.tree.descend(folder, nil)
	if err != nil {
		return false
	}
	defer d.close()
	_, _, b, err := a.blend(ctx, act, &spot{d: d, folder: folder, name: name})
	return err == nil && b.beside
}

func tooLargeToMerge(act *Action) bool {
	return !mergeable(act.Path, act.File.Size) || !mergeable(act.Path, act.Mine.Stat.Size)
}

// besideMerged lays theirs beside what both changed in the same place.
func (a *applier) besideMerged(ctx context.Context, act *Action, at *spot, e *Entry) (as string, outside bool, err error) {
	lay := a.layBeside
	if a.outside != "" {
		lay = a.layOutside
	}
	c, fresh, err := lay(ctx, act, at)
	if err != nil {
		return "", false, err
	}
	a.copied(ctx, act, e, c, fresh)
	return c.Path, c.Outside, nil
}

// putMerged exchanges mine for what was merged, and makes e say so.
func (a *applier) putMerged(ctx context.Context, act *Action, at *spot, b blend, e *Entry) error {
	in, err := a.c.stage.write(b.data, mergedPerm(act))
	if err != nil {
		return err
	}
	a.mergedInto(act, e, in)
	tell := b.event
	tell.Path = act.Path
	h := hold{ID: a.c.home.do.newName(), Path: act.Path, Time: a.c.home.now, Was: act.Mine.Digest, New: in.sum, Then: thenShelf, Next: e, Tell: &tell}
	if err := a.c.save(line{Hold: &h}); err != nil {
		a.unused(in.name)
		return err
	}
	if _, err := a.exchangeIn(ctx, act, at, h.ID, in); err != nil {
		return err
	}
	a.lines = append(a.lines, line{Hold: h.over()})
	e.Seen = a.look(at, in.sum)
	return nil
}

// mergedInto makes e say that in is what was merged.
func (a *applier) mergedInto(act *Action, e *Entry, in incoming) {
	e.Seen = nil
	if in.sum == act.File.Digest {
		e.Status = Delivered
	}
	if act.Again {
		e.Merges = nil
		return
	}
	m := Merging{Base: act.Mine.Digest, Mine: act.Mine.Digest, Result: in.sum, Time: a.c.home.now}
	if !act.Self {
		m.Base = act.Was.Digest
	}
	e.merged(m)
}

// mergesKept is how many merges are remembered of a path, mergesFor how long.
const (
	mergesKept = 4
	mergesFor  = 7 * 24 * time.Hour
)

func (e *Entry) merged(m Merging) {
	e.Merges = slices.DeleteFunc(slices.Clone(e.Merges), func(old Merging) bool { return m.Time.Sub(old.Time).Abs() > mergesFor })
	if e.Merges = append(e.Merges, m); len(e.Merges) > mergesKept {
		e.Merges = e.Merges[1:]
	}
}

// mergedPerm is mine's, but that the x bit is the course's.
func mergedPerm(act *Action) uint32 {
	to := act.Mine.Stat.perm & 0o666
	if act.File.Mode&0o111 != 0 {
		to |= to & 0o444 >> 2
	}
	return to
}

// mergeAcross merges a file that the course renamed and changed into its new
// place, where that goes without a clash. Else mine stays where it is, and is
// the student's.
func (a *applier) mergeAcross(ctx context.Context, act *Action, to *spot) error {
	folder, name := split(act.From)
	d, err := a.tree.descend(folder, nil)
	if err != nil {
		return err
	}
	defer d.close()
	from := &spot{d: d, folder: folder, name: name}
	mine, theirs, b, err := a.blend(ctx, act, from)
	switch {
	case err != nil:
		return err
	case b.beside || !a.resembles(act, theirs):
		return a.arrive(act, to)
	case b.data == nil:
		b.data = mine
	}
	in, err := a.c.stage.write(b.data, mergedPerm(act))
	if err != nil {
		return err
	}
	e := a.entry(act, nil)
	a.mergedInto(act, e, in)
	tell := Event{Kind: Moved, Path: act.Path, Other: act.From}
	h := hold{ID: a.c.home.do.newName(), Path: act.From, To: act.Path, Time: a.c.home.now, Was: act.Mine.Digest, New: in.sum, Then: thenShelf, Next: e, Tell: &tell}
	if err := a.c.save(line{Hold: &h}); err != nil {
		a.unused(in.name)
		return err
	}
	if err := a.across(ctx, act, from, to, outName(h.ID), in); err != nil {
		return err
	}
	e.Seen = a.look(to, in.sum)
	a.left[act.File.Digest]--
	a.c.remember(mine, theirs, b.data)
	a.movedOver(act, in.sum)
	a.res.Changed++
	a.dirty[folder] = true
	a.lines = append(a.lines, line{Hold: h.over()}, line{Forget: act.From})
	act.Event = Moved
	b.event.Other = act.From
	a.done(act, e, b.event)
	return nil
}

// resembles says whether theirs may be what became of the file that the hint
// names: half of its lines are of the version before. A hint may be anything.
func (a *applier) resembles(act *Action, theirs []byte) bool {
	if act.Was.Digest == act.File.Digest {
		return true
	}
	base, err := a.c.baseBytes(act.Was.Digest)
	if err != nil {
		return false
	}
	was, is := count(written(act.From, base)), written(act.Path, theirs)
	same := 0
	for _, line := range is {
		if line = strings.TrimSuffix(line, "\r"); was[line] > 0 {
			was[line]--
			same++
		}
	}
	return 2*same >= min(len(is), len(written(act.From, base)))
}

// across takes mine out of its old place and puts what was merged into the
// new one.
func (a *applier) across(ctx context.Context, act *Action, from, to *spot, out string, in incoming) error {
	if err := a.takeOut(ctx, act, from, out); err != nil {
		a.unused(in.name)
		return err
	}
	err := moveNew(a.c.stage.d, in.name, to.d, to.name)
	if err == nil {
		return nil
	}
	a.unused(in.name)
	if errors.Is(err, fs.ErrExist) {
		err = errChanged
	}
	return errors.Join(err, putBack(a.hold, out, from.d, from.name))
}

// arrive gives theirs its new place, where mine could not be merged into it.
func (a *applier) arrive(act *Action, to *spot) error {
	from := act.From
	act.Verb, act.From, act.Was, act.Status = Add, "", nil, Delivered
	if err := a.add(act, to); err != nil {
		return err
	}
	a.lines = append(a.lines, line{Forget: from})
	a.tell(Event{Kind: Stays, Path: from})
	return nil
}
