package workdir

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"satchel/bundle"
)

// tidyFolders removes folders that Satchel made, that are empty, and that no
// path of the course is or will be in; also those that a run before could not
// remove.
func (a *applier) tidyFolders() {
	used := map[string]bool{}
	use := func(p string) {
		for f, _ := split(p); f != "" && !used[f]; f, _ = split(f) {
			used[f] = true
		}
	}
	for p, e := range a.c.rec.files {
		if !e.Held.held() { // that one may not be there
			use(p)
		}
	}
	for i := range a.p.actions {
		if act := &a.p.actions[i]; !a.p.undo || !a.undone[act.Path] { // what an undo could not bring back does not come
			use(act.File.Path)
		}
	}
	for _, f := range slices.Backward(sortedKeys(a.c.rec.folders)) {
		if used[f] {
			continue
		}
		up, name := split(f)
		d, err := descendIn(a.tree, up)
		if err == nil {
			err = d.rmdir(name)
			d.close()
		}
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			a.dirty[up] = true
			a.lines = append(a.lines, line{Folder: &folderLine{Path: f, Gone: true}})
		}
	}
}

// finish records the version if every path is in place or waits with its
// bytes at hand, and tidies up.
func (a *applier) finish() error {
	for _, ch := range sortedKeys(a.channels) {
		a.tell(Event{Kind: LeftChannel, Count: a.channels[ch]})
	}
	a.refresh()
	if err := a.flush(a.c.note); err != nil {
		return err
	}
	defer a.c.bring()
	a.res.Complete = len(a.undone) == 0 && a.p.newest.Head != nil
	if !a.p.partial && a.atHand() {
		if err := a.applied(); err != nil {
			return err
		}
	}
	if a.c.name != notesName {
		a.basing.wait()
		a.c.keepBases(a.tree, slices.DeleteFunc(a.placed, func(e *Entry) bool { return a.based[e.Digest] }))
	}
	if a.p.step != nil && len(a.p.withdrawn) == 0 {
		return nil // the pass that follows tidies up
	}
	if a.c.name != notesName {
		a.c.tidyBase(a.p.withdrawn)
		a.c.tidyKept(a.p.withdrawn)
	}
	if a.c.name == notesName {
		if err := a.c.tick(a.c.home.signed); err != nil {
			return err
		}
	}
	if err := a.c.tidyShelf(); err != nil {
		a.c.home.lg.Warn("the shelf is not tidied", "course", a.c.name, "error", err)
	}
	return nil
}

// atHand says whether the bytes of every path that is not done are here.
func (a *applier) atHand() bool {
	for i := range a.p.actions {
		act := &a.p.actions[i]
		if a.undone[act.Path] && act.theirs() && !a.c.stage.has(act.File.Digest) {
			return false
		}
	}
	return a.p.newest.Head != nil
}

// applied records that the version is in place, or waits.
func (a *applier) applied() error {
	now, was := a.version(), a.c.rec.applied
	if was.equal(now) && a.c.rec.begun == nil && a.c.known(was).Version > 0 {
		return nil
	}
	if err := a.keepManifests(now); err != nil {
		return err
	}
	err := a.c.note(line{Applied: now})
	if err == nil {
		a.c.dropManifests()
	}
	return err
}

// begun gives a line that says that something of a version is about to be
// placed; none where that is known.
func (a *applier) begun() ([]line, error) {
	if a.p.partial || a.p.newest.Head == nil {
		return nil, nil
	}
	now := a.version()
	if k := a.c.rec.latest(); k != nil && k.Version == now.Version && k.Fingerprint == now.Fingerprint && maps.Equal(k.Manifests, now.Manifests) {
		return nil, nil
	}
	now.Renamed = someOf(a.p.renamed()) // nothing of it is done yet
	if err := a.keepManifests(now); err != nil {
		return nil, err
	}
	return []line{{Begun: now}}, nil
}

func (a *applier) keepManifests(v *applied) (err error) {
	v.Manifests, err = a.c.saveManifests(a.p.newest.Manifests)
	return err
}

// version is what is recorded of the newest one; its manifests are not kept yet.
func (a *applier) version() *applied {
	n, waiting := a.p.newest, sortedKeys(a.undone)
	return &applied{
		Version: n.Head.Version, Fingerprint: n.Head.Fingerprint(), Envelope: n.Envelope, Manifests: n.digests(),
		Waiting: waiting[:min(len(waiting), maxWaiting)], Renamed: a.hints(),
	}
}

// digests are those of the student's channels. The fingerprint is of all
// channels of a head, and says nothing of which are the student's.
func (n Newest) digests() map[string]bundle.Digest {
	out := map[string]bundle.Digest{}
	for id := range n.Manifests {
		out[id], _ = n.Head.Channel(id) // check saw that it is
	}
	return out
}

func (v *applied) equal(w *applied) bool {
	return v != nil && v.Version == w.Version && v.Fingerprint == w.Fingerprint && sameEnvelope(v.Envelope, w.Envelope) &&
		maps.Equal(v.Manifests, w.Manifests) && slices.Equal(v.Waiting, w.Waiting) && maps.Equal(v.Renamed, w.Renamed)
}

// hints are those of the publisher's that are still of use.
func (a *applier) hints() map[string]string {
	all := a.p.renamed()
	maps.DeleteFunc(all, func(q, _ string) bool { return !a.undone[q] })
	return someOf(all)
}

// someOf gives no more hints than are remembered; nil for none.
func someOf(all map[string]string) map[string]string {
	if len(all) == 0 {
		return nil
	}
	for i, q := range sortedKeys(all) {
		if i >= maxWaiting {
			delete(all, q)
		}
	}
	return all
}

// maxWaiting bounds how many waiting paths are remembered by name.
const maxWaiting = 200

// Resigned remembers a newly signed head of the version that is applied,
// without looking at any file. Of another version it remembers nothing.
func (c *Course) Resigned(h *bundle.Head, e *bundle.Envelope) error {
	a := c.rec.applied
	if a != nil && h.Course == c.name && h.Version >= a.Version {
		if err := c.tick(h.Checked); err != nil {
			return err
		}
	}
	if a == nil || a.Version != h.Version || a.Fingerprint != h.Fingerprint() || sameEnvelope(a.Envelope, e) {
		return nil
	}
	again := *a
	again.Envelope = e
	return c.save(line{Applied: &again})
}

// refresh remembers what files looked like whose bytes had to be read, so
// that the next walk need not.
func (a *applier) refresh() {
	for _, p := range sortedKeys(a.p.facts) {
		f, e := a.p.facts[p], a.c.rec.files[p]
		if e == nil || f.Kind != Regular || f.Err != nil || f.blocked(p) || a.touched(p) {
			continue
		}
		if s := a.c.home.seen(f); e.Seen == nil || !e.Seen.same(f.Stat) || s.Sure && !e.Seen.Sure {
			again := *e
			again.Seen = s
			a.lines = append(a.lines, line{File: &again})
		}
	}
}

// touched says whether the plan did something at p: then its facts are old.
func (a *applier) touched(p string) bool {
	_, found := slices.BinarySearchFunc(a.p.actions, p, func(act Action, p string) int { return strings.Compare(act.Path, p) })
	return found
}
