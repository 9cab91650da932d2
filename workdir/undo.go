package workdir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"satchel/bundle"
)

// Pass is the last sync that changed something here, which Undo takes back.
type Pass struct {
	ID      string         `json:"id"` // of the Home, so that all courses of one sync share it
	Version bundle.Version `json:"version"`
	Time    time.Time      `json:"time"`
	Undone  bool           `json:"undone,omitempty"` // it was itself an undo: taking it back does all again
}

// change is what the last pass did at one path.
type change struct {
	Path  string        `json:"path"`
	Had   bundle.Digest `json:"had,omitzero"` // what lay there before; zero: nothing
	Size  int64         `json:"size,omitempty"`
	Mode  uint32        `json:"mode,omitempty"`
	Has   bundle.Digest `json:"has,omitzero"`    // what lies there since; zero: nothing
	Entry *Entry        `json:"entry,omitempty"` // what was recorded before; nil: nothing
	Loose bool          `json:"loose,omitempty"` // a copy beside: nothing is recorded of it
}

func (c *change) valid() bool {
	return bundle.CheckPath(c.Path) == nil && c.Size >= 0 && c.Mode&^0o777 == 0 && (c.Entry == nil || c.Entry.Path == c.Path && c.Entry.valid())
}

// ErrNothingToUndo means: no sync changed anything here that could be taken
// back.
var ErrNothingToUndo = errors.New("there is nothing to undo")

// LastPass gives the last sync that changed something here; its ID is "" where
// there is none.
func (c *Course) LastPass() Pass {
	if len(c.rec.changes) == 0 {
		return Pass{}
	}
	return c.rec.pass
}

// undoable notes what act does, so that it can be taken back. The first
// delivery of a course cannot: that is what deleting the folder is for.
func (a *applier) undoable(act *Action, c change) {
	if act.Erase || a.first || a.c.name == notesName {
		return
	}
	c.Loose = c.Loose || act.Loose
	if act.Was != nil && act.Was.Path == c.Path && !c.Loose {
		c.Entry = act.Was
	}
	a.lines = append(a.lines, line{Change: &c})
}

// before is a change of what lies at act's path.
func (act *Action) before(has bundle.Digest) change {
	c := change{Path: act.Path, Has: has}
	if f := act.Mine; f.Kind == Regular && f.At == act.Path {
		c.Had, c.Size, c.Mode = f.Digest, f.Stat.Size, f.Stat.perm&0o777
	}
	return c
}

// movedOver notes the two changes of a file that was moved, or merged, to a
// new path.
func (a *applier) movedOver(act *Action, has bundle.Digest) {
	old := change{Path: act.From, Had: act.Mine.Digest, Size: act.Mine.Stat.Size, Mode: act.Mine.Stat.perm & 0o777}
	a.undoable(act, old)
	a.undoable(act, change{Path: act.Path, Has: has})
}

// passLine begins a new last pass, once in each Home.
func (a *applier) passLine() []line {
	for i := range a.p.actions {
		switch act := &a.p.actions[i]; {
		case act.Waits, act.Verb == Record && !a.p.undo, act.Verb == Forget, act.Verb == Skip:
		case a.first || a.c.name == notesName || a.c.rec.pass.ID == a.c.home.id:
			return nil
		default:
			return []line{{Pass: &Pass{ID: a.c.home.id, Version: a.p.version, Time: a.c.home.now, Undone: a.p.undone}}}
		}
	}
	return nil
}

// PlanUndo plans to take back what the last pass changed, or where that was
// itself taken back, to do it again. A path at which the student did
// something since is left, and told of. What is not at hand any more is
// Wanted: only contents of the newest version can be had from the service.
func (c *Course) PlanUndo(ctx context.Context) (*Plan, error) {
	if c.home.look {
		return nil, errors.New("undo: opened for reading only")
	}
	if c.LastPass().ID == "" {
		return nil, ErrNothingToUndo
	}
	latest := Newest{Manifests: c.State().Latest.Manifests}
	newest, err := latest.union()
	if err != nil {
		newest = nil
	}
	p := &Plan{
		c: c, version: c.rec.highest.Version, withdrawn: latest.withdrawn(), folder: c.rec.named.Folder,
		partial: true, undo: true, undone: !c.rec.pass.Undone,
	}
	tree, err := c.tree(p.folder)
	if err != nil || tree == nil {
		return nil, errors.Join(ErrNothingToUndo, err)
	}
	defer tree.close()
	if err := c.openArea(tree); err != nil {
		return nil, fmt.Errorf("open %s: %w", ownFolder, writable(err))
	}
	if p.events, err = c.settle(ctx, tree, p.version, nil, nil, nil); err != nil {
		return nil, err
	}
	paths := sortedKeys(c.rec.changes)
	if p.facts, err = c.look(ctx, tree, paths); err != nil {
		return nil, err
	}
	for _, path := range paths {
		p.takeBack(c.rec.changes[path], p.facts[path], newest[path].Digest)
	}
	if err := p.supply(ctx, true); err != nil {
		return nil, err
	}
	p.wanted = c.fromOwn(tree, p.wanted)
	return p, nil
}

// undoes says whether undo may want a content back.
func (r *record) undoes(sum bundle.Digest) bool {
	for _, c := range r.changes {
		if c.Had == sum {
			return true
		}
	}
	return false
}

// takeBack plans one path, of which newest is the course's.
func (p *Plan) takeBack(ch *change, f Fact, newest bundle.Digest) {
	a := Action{
		Path: ch.Path, Was: p.c.rec.files[ch.Path], Mine: f, Status: Mine, Loose: ch.Loose,
		File: bundle.File{Path: ch.Path, Mode: ch.Mode, Size: ch.Size, Digest: ch.Had, Policy: bundle.Merge},
	}
	if !ch.Loose {
		a.Put = putBackEntry(ch, a.Was, p.undone)
		if p.undone && a.Was != nil && !newest.IsZero() && newest != a.Was.Digest {
			a.Put.Held = Held{Digest: newest} // under the policy once another than was delivered
		}
		a.Loose = a.Put == nil && a.Was == nil // nothing was known of it, and nothing is
	}
	a.Shelf = a.Was == nil || a.Was.Digest != ch.Has // not the course's own bytes
	switch {
	case p.withdrawn[bundle.Pair{Path: ch.Path, Digest: ch.Had}]:
		p.events = append(p.events, Event{Kind: NotUndone, Path: ch.Path})
		return
	case ch.Had.IsZero() && ch.Has.IsZero() && f.Err == nil && f.Kind != Regular: // the course's went beside something else
		a.Verb = Record
	case f.Err != nil || f.blocked(ch.Path) || f.Kind > Regular || f.Kind == Regular && f.Digest != ch.Has || f.Kind == Nothing && !ch.Has.IsZero():
		p.events = append(p.events, Event{Kind: NotUndone, Path: ch.Path})
		return
	case ch.Had == ch.Has && ch.Mode == f.Stat.perm&0o777:
		a.Verb = Record
	case ch.Had == ch.Has:
		a.Verb = Chmod
	case ch.Had.IsZero():
		a.Verb, a.File = Remove, bundle.File{}
	case ch.Has.IsZero():
		a.Verb = Add
	default:
		a.Verb = Replace
	}
	p.actions = append(p.actions, a)
}

// putBackEntry is what is to be recorded of a path whose update is taken
// back: what was before, held until the course changes it again. Doing it
// again records exactly what was.
func putBackEntry(ch *change, now *Entry, undo bool) *Entry {
	if !undo {
		return ch.Entry
	}
	var e Entry
	switch {
	case ch.Entry != nil:
		e = *ch.Entry
	case now != nil:
		e = *now
		e.Status, e.Returned = Own, false // as one that the student never got
	default:
		return nil
	}
	e.Seen, e.Merges = nil, nil
	e.Held = Held{Gone: now == nil}
	if now != nil {
		e.Held.Digest, e.Held.Since = now.Digest, now.Since
	}
	return &e
}

// fromOwn stages what lies among Satchel's own, and gives what does not.
func (c *Course) fromOwn(tree *dir, wanted []bundle.Item) (missing []bundle.Item) {
	for _, item := range wanted {
		f := c.findOwn(tree, item)
		if f == nil {
			missing = append(missing, item)
			continue
		}
		if err := c.Stage(bundle.NewVerifier(f, item)); err != nil {
			missing = append(missing, item)
		}
		f.Close()
	}
	c.stage.wait()
	return missing
}

// findOwn looks for a content in the hold, on the shelf, among what is kept
// for undo, and in copies beside. Stage checks what it reads.
func (c *Course) findOwn(tree *dir, item bundle.Item) *os.File {
	open := func(d *dir, path string) *os.File {
		folder, name := split(path)
		at, err := descendIn(d, folder)
		if err != nil {
			return nil
		}
		defer at.close()
		f, s, err := at.open(name)
		if err == nil && s.Size != item.Size {
			f.Close()
			return nil
		}
		return f
	}
	for _, h := range c.rec.holds {
		if h.Was != item.Digest {
			continue
		}
		for _, name := range []string{inName(h.ID), outName(h.ID)} {
			if f := open(c.area, join(holdName, name)); f != nil {
				return f
			}
		}
	}
	for _, e := range c.rec.files {
		for _, x := range append(e.Saved, e.Copies...) {
			if x.Digest == item.Digest && !x.Outside {
				if f := open(tree, x.Path); f != nil {
					return f
				}
			}
		}
	}
	if f := open(c.area, join(keptName, item.Digest.String())); f != nil {
		return f
	}
	return c.findShelved(item)
}

// findShelved looks on the shelf for a content that one of the last pass's
// changes took away, under that change's path.
func (c *Course) findShelved(item bundle.Item) *os.File {
	for _, ch := range c.rec.changes {
		if ch.Had != item.Digest {
			continue
		}
		folder, name := split(ch.Path)
		for _, stamp := range sortedKeys(c.rec.shelf) {
			d, err := descendIn(c.area, join(shelfName, join(stamp, folder)))
			if err != nil {
				continue
			}
			f, s, err := d.open(name)
			d.close()
			if err == nil && s.Size == item.Size {
				return f
			}
			if err == nil {
				f.Close()
			}
		}
	}
	return nil
}

// Bounds of what is kept of replaced course files that are never merged, so
// that undo and restore can bring them back.
const (
	keptFor  = 7 * 24 * time.Hour
	keptMost = 256 << 20 // bytes in all
)

// keep keeps a replaced content of the course's for undo, where its bytes are
// not among the base bytes.
func (c *Course) keep(from *dir, name string, sum bundle.Digest, size int64) error {
	kept, err := c.area.private(keptName)
	if err != nil || size > keptMost {
		return from.remove(name)
	}
	defer kept.close()
	base := c.openBase()
	if base != nil {
		defer base.close()
	}
	if base.has(sum) {
		return from.remove(name)
	}
	return moveOver(from, name, kept, sum.String())
}

// tidyKept lets go of what was kept for long enough, and of the oldest where
// it is too much.
func (c *Course) tidyKept(withdrawn map[bundle.Pair]bool) {
	kept, err := c.area.sub(keptName)
	if err != nil {
		return
	}
	defer kept.close()
	erase := map[string]bool{}
	for p := range withdrawn {
		erase[p.Digest.String()] = true
	}
	names, _ := kept.names()
	left := int64(keptMost)
	for _, name := range kept.newestFirst(names) {
		s, err := kept.stat(name)
		left -= s.Size
		if err == nil && (erase[name] || left < 0 || c.home.now.Sub(time.Unix(0, s.Ctime)).Abs() > keptFor) {
			_ = kept.remove(name)
		}
	}
}

// dropKept gives all of it up; false where there is none.
func (c *Course) dropKept() (dropped bool) {
	kept, err := c.area.sub(keptName)
	if errors.Is(err, fs.ErrNotExist) || err != nil {
		return false
	}
	defer kept.close()
	names, _ := kept.names()
	for _, name := range names {
		dropped = kept.remove(name) == nil || dropped
	}
	return dropped
}
