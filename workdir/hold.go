package workdir

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"satchel/bundle"
)

// What came out of a student's folder is held this long at least, twice: an
// editor that had it open may still write into it.
const heldFor = 10 * time.Minute

// The two names a hold may have in the folder hold.
func inName(id string) string  { return id + "-in" }
func outName(id string) string { return id + "-out" }

// Holding says whether anything is held that Settle has to look at again.
func (c *Course) Holding() bool { return len(c.rec.holds) > 0 }

// Settle looks again at what was exchanged out, ten minutes after an Apply
// for instance; Plan does the same. It needs no newest version.
func (c *Course) Settle(ctx context.Context) ([]Event, error) {
	if c.home.look {
		return nil, errors.New("settle: opened for reading only")
	}
	if c.state == nil {
		return nil, nil
	}
	tree, err := c.tree(c.rec.named.Folder)
	var blocked *blockedError
	if err != nil && !errors.As(err, &blocked) {
		return nil, err
	}
	if tree != nil {
		defer tree.close()
	}
	if err := c.openArea(tree); err != nil {
		return nil, err
	}
	v := c.rec.highest.Version
	return c.settle(ctx, tree, v, nil, nil, nil)
}

// settle deals with everything that lies in the hold: what a run that died
// left half done is finished or undone, what an editor wrote late is put back
// as the student's, what is surely nobody's any more is let go. Where only
// some paths are asked for, what came out elsewhere, and is recorded, waits.
func (c *Course) settle(ctx context.Context, tree *dir, v bundle.Version, newest map[string]Delivery, only map[string]bool, withdrawn map[bundle.Pair]bool) ([]Event, error) {
	d, err := c.area.private(holdName)
	if err != nil {
		return nil, writable(err)
	}
	defer d.close()
	names, err := d.names()
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	s := &settling{c: c, tree: tree, d: d, version: v, here: map[string]bool{}, known: map[bundle.Digest]int64{}, planned: newest != nil, only: only, withdrawn: withdrawn}
	for _, n := range newest {
		s.known[n.Digest] = n.Size
	}
	for _, e := range c.rec.files {
		s.known[e.Digest] = e.Size
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := s.one(ctx, name); err != nil {
			c.home.lg.Warn("what was held stays held", "course", c.name, "name", name, "error", err)
		}
	}
	for _, id := range sortedKeys(c.rec.holds) {
		if h := c.rec.holds[id]; !s.here[id] && s.movedAlready(h) {
			s.complete(h)
		} else if !s.here[id] {
			if h.Then == thenAside && s.wentAside(h) {
				s.events = append(s.events, *h.Tell)
			}
			s.lines = append(s.lines, line{Hold: &hold{ID: id, Gone: true}})
		}
	}
	if c.name != notesName {
		s.lines = append(s.lines, remembered(s.events...)...)
	}
	if s.touched && tree != nil {
		if err := tree.sync(); err != nil {
			return nil, err
		}
	}
	return s.events, c.save(s.lines...)
}

type settling struct {
	c       *Course
	tree    *dir
	d       *dir
	version bundle.Version
	here    map[string]bool         // holds of which something stays
	known   map[bundle.Digest]int64 // contents of the course, with their sizes
	lines   []line
	events  []Event
	touched bool
	planned bool // a plan follows
	only    map[string]bool

	withdrawn map[bundle.Pair]bool
}

// takenBack says that what came out is the course's, and was withdrawn then or
// since: it does not wait.
func (s *settling) takenBack(h *hold) bool {
	return h.Then == thenErase || h.Then == thenDrop && s.withdrawn[bundle.Pair{Path: h.Path, Digest: h.Was}]
}

func (s *settling) one(ctx context.Context, name string) error {
	id, side, _ := strings.Cut(name, "-")
	h := s.c.rec.holds[id]
	if h != nil && h.Done && s.only != nil && !s.only[h.Path] && !s.takenBack(h) {
		s.here[id] = true
		return nil
	}
	stat, err := s.d.stat(name)
	if err != nil || stat.Kind == Nothing {
		return err
	}
	if h == nil || (side != "in" && side != "out") {
		return s.unknown(ctx, name, stat)
	}
	if stat.links > 1 && s.placedAlready(ctx, h, name, stat) {
		return s.d.remove(name)
	}
	s.here[id] = true
	if stat.Kind != Regular {
		return s.giveBack(ctx, h, name)
	}
	sum, err := s.sum(ctx, h, name, stat)
	switch {
	case err != nil:
		return err
	case side == "in" && sum == h.New && !h.Done:
		return s.toStage(h, name) // never came to be placed
	case !h.Done && h.Next != nil && s.lies(ctx, h.Next.Path, h.New):
		s.complete(h) // died between putting in and recording
		return nil
	case !h.Done && s.missing(h.Path):
		return s.giveBack(ctx, h, name) // died between taking out and putting in
	case h.Then == thenBeside:
		return s.giveBack(ctx, h, name)
	case sum == h.Was:
		over := *h // that its path is free one day means nothing any more
		if over.Done = true; !h.Done {
			s.lines = append(s.lines, line{Hold: &over})
		}
		return s.letGo(&over, name, stat.Size)
	}
	return s.giveBack(ctx, h, name) // written to after it came out
}

// sum is the digest of what is held. Before its ten minutes are over a look may
// say that nobody wrote to it since it was read; when it is let go, never.
func (s *settling) sum(ctx context.Context, h *hold, name string, stat Stat) (bundle.Digest, error) {
	waits := h.Done && s.c.home.now.Sub(h.Time).Abs() < heldFor
	if waits && h.Seen != nil && h.Seen.Sure && h.Seen.same(stat) {
		return h.Seen.Digest, nil
	}
	if last, ok := s.c.held[name]; ok && waits && last.same(stat) {
		return last.Digest, nil
	}
	sum, stat, err := hashName(ctx, s.d, name)
	if err != nil {
		return sum, err
	}
	seen := s.c.home.seen(Fact{Stat: stat, Digest: sum})
	if s.c.held == nil {
		s.c.held = map[string]Seen{}
	}
	s.c.held[name] = *seen
	if waits && seen.Sure {
		again := *h
		again.Seen = seen
		s.lines = append(s.lines, line{Hold: &again})
	}
	return sum, nil
}

// placedAlready says that a file of the hold has its name in the student's
// folder too: linked there by a run that died before it let go of ours.
// Where a filesystem gives each name an inode of its own, the content tells.
func (s *settling) placedAlready(ctx context.Context, h *hold, held string, stat Stat) bool {
	for _, path := range []string{h.Path, h.To} {
		folder, _ := split(path)
		if there := s.look(path); path != "" && there.Kind == Regular && there.Stat.links > 1 && there.Stat.Size == stat.Size && there.Stat.Mtime == stat.Mtime {
			if sum, _, err := hashName(ctx, s.d, held); err == nil && s.lies(ctx, path, sum) {
				return true
			}
		}
		d, err := descendIn(s.tree, folder)
		if err != nil {
			continue
		}
		names, _ := d.names()
		for _, name := range names {
			if st, err := d.stat(name); err == nil && st.Inode == stat.Inode && st.dev == stat.dev {
				d.close()
				return true
			}
		}
		d.close()
	}
	return false
}

// unknown is something in the hold of which no line tells: a lost journal.
// The course's bytes go, all else is the student's and goes to the shelf.
func (s *settling) unknown(ctx context.Context, name string, stat Stat) error {
	if stat.Kind == Regular && s.knownSize(stat.Size) { // others may be of any size
		sum, _, err := hashName(ctx, s.d, name)
		if err != nil {
			return err
		}
		if _, known := s.known[sum]; known {
			return s.d.remove(name)
		}
	}
	return s.c.shelve(s.d, name, "unknown/"+name)
}

func (s *settling) knownSize(size int64) bool {
	for _, n := range s.known {
		if n == size {
			return true
		}
	}
	return false
}

func (s *settling) missing(path string) bool {
	f := s.look(path)
	return f.Kind == Nothing && f.Err == nil && !f.Gone
}

func (s *settling) look(path string) Fact {
	facts := map[string]Fact{}
	folder, name := split(path)
	s.c.lookIn(s.tree, folder, []string{name}, facts)
	return facts[path]
}

// movedAlready says that a file was renamed as the course did, by a run that
// died before it recorded that.
func (s *settling) movedAlready(h *hold) bool {
	return !h.Done && h.Next != nil && h.To == h.Next.Path && s.missing(h.Path) && s.look(h.To).Kind == Regular
}

// lies says whether a path of the course's folder holds a content.
func (s *settling) lies(ctx context.Context, path string, sum bundle.Digest) bool {
	if s.tree == nil {
		return false
	}
	got, _, err := hashPath(ctx, s.tree, path)
	return err == nil && got == sum
}

// complete records a merge whose result is in place.
func (s *settling) complete(h *hold) {
	if h.Tell != nil {
		s.events = append(s.events, *h.Tell)
	}
	if h.Next.Path != h.Path {
		s.lines = append(s.lines, line{Forget: h.Path})
	}
	s.lines = append(s.lines, line{File: h.Next}, line{Hold: h.over()})
	s.touched = true
}

// wentAside says that something was renamed out of the way, by a run that
// died before it could tell: the new name was free when that began.
func (s *settling) wentAside(h *hold) bool { return h.Tell != nil && !s.missing(h.To) }

// toStage keeps verified content that was not placed.
func (s *settling) toStage(h *hold, name string) error {
	d, err := s.c.area.private(stageName)
	if err != nil {
		return err
	}
	defer d.close()
	if err := moveOver(s.d, name, d, h.New.String()); err != nil {
		return err
	}
	s.ended(h, name)
	return nil
}

// ended drops the hold, unless its other half is still there.
func (s *settling) ended(h *hold, name string) {
	other := inName(h.ID)
	if name == other {
		other = outName(h.ID)
	}
	if st, err := s.d.stat(other); err == nil && st.Kind == Nothing {
		delete(s.here, h.ID)
	}
}

// letGo ends a hold whose bytes came out as expected and stayed so.
func (s *settling) letGo(h *hold, name string, size int64) error {
	back := s.takenBack(h)
	if !back && !s.rested(h) {
		return nil
	}
	var err error
	switch {
	case h.Then == thenShelf:
		err = s.c.shelve(s.d, name, h.Path)
	case !back && h.Then == thenDrop && s.c.rec.undoes(h.Was):
		err = s.c.keep(s.d, name, h.Was, size)
	default:
		err = s.d.remove(name)
	}
	if err == nil {
		s.ended(h, name)
	}
	return err
}

// rested says that a hold was looked at after ten minutes, and again after
// ten more: a clock that leaps once does so in one of the two only. One that
// went back begins anew.
func (s *settling) rested(h *hold) bool {
	now, again := s.c.home.now, *h
	since := later(h.Time, h.Look)
	switch age := now.Sub(since); {
	case age < 0:
		again.Time, again.Look = now, time.Time{}
	case age < heldFor:
		return false
	case !h.Look.IsZero():
		return true
	default:
		again.Look = now
	}
	s.lines = append(s.lines, line{Hold: &again})
	return false
}

// giveBack puts bytes of the student's where they belong: into their place
// where it is free or holds only what was delivered (that goes beside), else
// beside.
func (s *settling) giveBack(ctx context.Context, h *hold, name string) error {
	folder, base := split(h.Path)
	if s.tree == nil {
		return s.c.shelve(s.d, name, h.Path)
	}
	d, err := s.tree.descend(folder, nil)
	if err != nil {
		err = s.c.shelve(s.d, name, h.Path) // its folder is gone
		s.ended(h, name)
		return err
	}
	defer d.close()
	s.touched = true
	ev := Event{Kind: Recovered, Path: h.Path}
	f := s.look(h.Path)
	switch {
	case f.Kind == Nothing && f.Err == nil && (h.Then != thenBeside || !h.Done):
		if err = moveNew(s.d, name, d, base); err == nil && !h.Done {
			ev.Kind = "" // as it was before; nothing to be told
		}
	case f.Kind == Regular && h.Done && s.mergedThere(ctx, h) != nil:
		if ev.Other, err = s.mergeAgain(ctx, h, name, d, base); ev.Other == "" && s.planned {
			ev.Kind = "" // the plan merges it, and tells
		}
	case f.Kind == Regular && h.Done && h.Then != thenBeside && s.delivered(ctx, h, d, base):
		ev.Other, err = s.swapBack(ctx, h, name, d, base)
	default:
		ev.Other, err = s.beside(name, d, base)
	}
	if err != nil {
		return err
	}
	s.ended(h, name)
	if ev.Kind != "" {
		s.events = append(s.events, ev)
	}
	return d.sync()
}

// delivered says that what lies at h.Path is what was put there.
func (s *settling) delivered(ctx context.Context, h *hold, d *dir, name string) bool {
	sum, _, err := hashName(ctx, d, name)
	e := s.c.rec.files[h.Path]
	return err == nil && e != nil && sum == e.Digest && e.Status == Delivered
}

// mergedThere gives the entry of a merge whose result lies untouched where h
// came out, nil if it does not.
func (s *settling) mergedThere(ctx context.Context, h *hold) *Entry {
	if e := s.c.rec.files[h.Path]; e != nil && e.mergeTo(h.New) != nil && s.lies(ctx, h.Path, h.New) {
		return e
	}
	return nil
}

func (e *Entry) mergeTo(sum bundle.Digest) *Merging {
	for i := range e.Merges {
		if e.Merges[i].Result == sum {
			return &e.Merges[i]
		}
	}
	return nil
}

// mergeAgain gives the student's late bytes their place, and has the next
// plan merge them from what they began with.
func (s *settling) mergeAgain(ctx context.Context, h *hold, name string, d *dir, base string) (beside string, err error) {
	err = exchange(s.d, name, d, base)
	if err == errNoExchange {
		return s.beside(name, d, base)
	}
	if err != nil {
		return "", err
	}
	if sum, _, err := hashName(ctx, s.d, name); err != nil || sum != h.New { // saved in this very moment
		return s.beside(name, d, base)
	}
	e := *s.c.rec.files[h.Path]
	e.backTo(e.mergeTo(h.New).Base)
	e.Status, e.Seen, e.Merges = Mine, nil, nil
	s.lines = append(s.lines, line{File: &e})
	return "", s.c.shelve(s.d, name, h.Path)
}

// swapBack gives the student's late bytes their place, and lays the course's
// beside.
func (s *settling) swapBack(ctx context.Context, h *hold, name string, d *dir, base string) (string, error) {
	err := exchange(s.d, name, d, base)
	if err == errNoExchange {
		return s.beside(name, d, base)
	}
	if err != nil {
		return "", err
	}
	e := *s.c.rec.files[h.Path]
	suffix := courseSuffix(s.version)
	if sum, _, err := hashName(ctx, s.d, name); err != nil || sum != e.Digest {
		suffix = mySuffix // saved in this very moment
	}
	as, err := placeBeside(s.d, name, d, base, suffix, false)
	if err != nil {
		return "", err
	}
	e.Status, e.Seen = Mine, nil
	if suffix != mySuffix {
		folder, _ := split(h.Path)
		e.Copies = append(slices.Clone(e.Copies), Copy{Path: join(folder, as), Digest: e.Digest})
	}
	s.lines = append(s.lines, line{File: &e})
	return as, nil
}

func (s *settling) beside(name string, d *dir, base string) (string, error) {
	return placeBeside(s.d, name, d, base, mySuffix, false)
}

// errChanged means: what lies there is not what it was a moment ago. Nothing
// was lost, and the next pass decides anew.
var errChanged = errors.New("it changed in this moment")

// putBack undoes the taking out of something that was not as expected.
func putBack(from *dir, name string, d *dir, base string) error {
	err := moveNew(from, name, d, base)
	if errors.Is(err, fs.ErrExist) {
		_, err = placeBeside(from, name, d, base, mySuffix, false)
	}
	if err != nil {
		return err // it stays in the hold, and settle gives it back
	}
	return errChanged
}
