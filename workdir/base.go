package workdir

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"satchel/bundle"
)

// Limits of what can be merged, and so is kept as base bytes.
const (
	maxMergeText     = 5 << 20
	maxMergeNotebook = 20 << 20
)

// Bounds of base bytes that no path needs for its next merge: those of former
// versions, of merges that an old text may be saved over, and what nothing
// needs any more.
const (
	unneededFor  = 7 * 24 * time.Hour
	unneededMost = 256 << 20 // bytes in all, as they lie there
)

// mergeable says whether a content at this path may be merged one day.
func mergeable(p string, size int64) bool {
	if isNotebook(p) {
		return size <= maxMergeNotebook
	}
	return size <= maxMergeText
}

func isNotebook(p string) bool { return strings.EqualFold(path.Ext(p), ".ipynb") }

func isText(data []byte) bool { return utf8.Valid(data) && bytes.IndexByte(data, 0) < 0 }

// Base gives a former content, for a delta: a file that was not touched as far
// as a look can tell, else from the base bytes. Who reads it checks what comes
// of it. fs.ErrNotExist where there is none.
func (c *Course) Base(d bundle.Digest) (bundle.Base, error) {
	if f, err := c.untouched(d); err == nil {
		return f, nil
	}
	data, err := c.keptBytes(d)
	return bundle.BaseBytes(data), err
}

// baseBytes gives the bytes of a former content that can be merged, checked.
func (c *Course) baseBytes(d bundle.Digest) ([]byte, error) {
	if data, err := c.keptBytes(d); err == nil {
		return data, nil
	}
	f, err := c.untouched(d)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.Size() > maxMergeNotebook {
		return nil, fs.ErrNotExist
	}
	data, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err == nil && bundle.Sum(data) != d {
		err = fs.ErrNotExist
	}
	return data, err
}

// keptBytes gives what was kept of a content.
func (c *Course) keptBytes(d bundle.Digest) ([]byte, error) {
	base, err := c.bases()
	if err != nil {
		return nil, err
	}
	defer base.close()
	return base.read(d)
}

// untouched opens a file of the course's that had this content when it was
// last looked at, and has its size and time still; in a home that was copied
// since, ctime and inode are others.
func (c *Course) untouched(d bundle.Digest) (bundle.Base, error) {
	tree, err := c.tree(c.rec.named.Folder)
	if err != nil || tree == nil || c.state == nil {
		return nil, fs.ErrNotExist
	}
	defer tree.close()
	c.finding.Lock()
	paths := c.rec.seen(d)
	c.finding.Unlock()
	for _, p := range paths {
		if f, err := openPath(tree, p, c.rec.files[p].Seen); err == nil {
			return f, nil
		}
	}
	return nil, fs.ErrNotExist
}

// openPath opens a file that has the size and time with which it was seen.
func openPath(tree *dir, p string, as *Seen) (bundle.Base, error) {
	folder, name := split(p)
	d, err := tree.descend(folder, nil)
	if err != nil {
		return nil, err
	}
	defer d.close()
	f, s, err := d.open(name)
	if err == nil && (s.Size != as.Size || s.Mtime != as.Mtime) {
		f.Close()
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	return baseFile{f, s.Size}, nil
}

// baseFile is a file as a base.
type baseFile struct {
	*os.File
	size int64
}

func (f baseFile) Size() int64 { return f.size }

func readPath(tree *dir, p string, limit int64) ([]byte, error) {
	folder, name := split(p)
	d, err := tree.descend(folder, nil)
	if err != nil {
		return nil, err
	}
	defer d.close()
	return d.read(name, limit)
}

// keepBases stores the bytes of freshly placed files that may be merged one
// day. They are read back and checked; a file that the student changed by
// now is left out, and merged without a base. They need no fsync: who reads
// them checks them.
func (c *Course) keepBases(tree *dir, entries []*Entry) {
	base, err := c.bases()
	if err != nil {
		return
	}
	defer base.close()
	each(hashers, entries, func(e *Entry) {
		if !mergeable(e.Path, e.Size) {
			return
		}
		if base.holds(e.Digest) {
			return
		}
		data, err := readPath(tree, e.Path, e.Size)
		if err != nil || bundle.Sum(data) != e.Digest || (!isNotebook(e.Path) && !isText(data)) {
			return
		}
		if err := base.pack(e.Digest, data); err != nil {
			c.home.lg.Info("base bytes not kept", "course", c.name, "path", e.Path, "error", err)
		}
	})
}

// keepBase keeps the bytes of a content that is about to be placed, from the
// stage: once it has its place an editor may write into it. It is over before
// anything is recorded of the path (see flush).
func (a *applier) keepBase(f bundle.File) {
	if !mergeable(f.Path, f.Size) || a.c.name == notesName || a.based[f.Digest] {
		return
	}
	data, err := a.c.stage.read(f.Digest, f.Size)
	if err != nil || !isNotebook(f.Path) && !isText(data) {
		return
	}
	a.based[f.Digest] = true
	if a.c.home.do.before != nil {
		a.c.remember(data) // who counts the changes wants them in one order
		return
	}
	a.basing.Go(func() { a.c.remember(data) })
}

// remember keeps bytes that a later merge, or a look for an old text saved
// over one, may need.
func (c *Course) remember(contents ...[]byte) {
	base, err := c.bases()
	if err != nil {
		return
	}
	defer base.close()
	for _, data := range contents {
		if sum := bundle.Sum(data); data != nil && !base.holds(sum) {
			if err := base.pack(sum, data); err != nil {
				c.home.lg.Info("bytes for merging not kept", "course", c.name, "error", err)
			}
		}
	}
}

// need says what base bytes are for.
type need int

const (
	unneeded need = iota
	perhaps       // for restore, or for a text that is saved over a merge
	merging       // for the next merge of a path
)

// needs gives what the base bytes of the record's contents are for.
func (c *Course) needs() map[bundle.Digest]need {
	out := map[bundle.Digest]need{}
	for _, e := range c.rec.files {
		for _, was := range e.Past {
			out[was.Digest] = max(out[was.Digest], perhaps)
		}
		for _, m := range e.Merges {
			if c.home.now.Sub(m.Time).Abs() <= mergesFor {
				for _, d := range []bundle.Digest{m.Base, m.Mine, m.Result} {
					out[d] = max(out[d], perhaps)
				}
			}
		}
	}
	for _, ch := range c.rec.changes { // for undo
		out[ch.Had] = max(out[ch.Had], perhaps)
	}
	for _, e := range c.rec.files {
		out[e.Digest] = merging
	}
	return out
}

// tidyBase removes base bytes: withdrawn ones that are not still some path's
// at once, those that nothing needs after a while, and the oldest of all that
// no next merge needs where they are too many.
func (c *Course) tidyBase(withdrawn map[bundle.Pair]bool) {
	base, err := c.bases()
	if err != nil {
		return
	}
	defer base.close()
	needs, erase := c.needs(), map[bundle.Digest]bool{}
	for p := range withdrawn {
		if needs[p.Digest] != merging {
			erase[p.Digest] = true
		}
	}
	erased := func(d bundle.Digest) bool { return erase[d] }
	base.free(needs, erased)
	base.lean(needs)
	left := c.home.do.mostBase()
	names, _ := base.names()
	for _, name := range base.newestFirst(names) {
		d, err := bundle.ParseDigest(name)
		s, serr := base.stat(name)
		if err != nil && !strings.HasPrefix(name, "new-") || serr != nil || err == nil && needs[d] == merging && !erase[d] {
			continue
		}
		left -= s.Size
		old := c.home.now.Sub(time.Unix(0, s.Mtime)) > unneededFor
		if err == nil && erase[d] || left < 0 || needs[d] == unneeded && old {
			_ = base.remove(name)
		}
	}
	base.tidyPacks(
		func(d bundle.Digest) bool { return needs[d] != unneeded }, erased)
}

// dropBase gives up base bytes: those that no next merge needs, or all of
// them. Of a pack only all can go, for there is no room to write it anew.
// false where there are none.
func (c *Course) dropBase(all bool) (dropped bool) {
	base, err := c.bases()
	if err != nil {
		return false
	}
	defer base.close()
	dropped = c.dropPack()
	needs := c.needs()
	base.lean(needs)
	names, _ := base.names()
	for _, name := range names {
		d, err := bundle.ParseDigest(name)
		pack := strings.HasPrefix(name, packPrefix)
		if all || err != nil && !pack || err == nil && needs[d] != merging {
			dropped = base.dir.remove(name) == nil || dropped
		}
	}
	c.packs.forget()
	return dropped
}
