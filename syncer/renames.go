package syncer

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"io/fs"
	"path"
	"slices"

	"satchel/bundle"
	"satchel/course"
	"satchel/internal/similar"
)

// What looking for renames costs at most, for each channel: on either side so
// many files, each read once, so many bytes of them, and so many lines, each
// of which is compared once with each file of the other side (so at most
// 2 * maxCompared * maxComparedLines steps). What is beyond is not compared: it
// goes out as a removed and a new file.
const (
	maxCompared      = 200
	maxComparedBytes = 64 << 20
	maxComparedLines = 200_000
)

// before gives the files of the commit that was published last; nil where it
// is not at hand.
func (p *pass) before(t tree) fs.FS {
	if p.rec == nil || p.rec.Commit == "" {
		return nil
	}
	before, err := t.Before(p.rec.Commit)
	if err != nil {
		p.lg.Debug("the last commit is not at hand: no renames, no deltas", "course", p.c.Name, "error", err)
		return nil
	}
	return counting{before, &p.reads}
}

// findRenames finds which new files are old ones under another name, with at
// least half of their lines. That is a hint: what cannot be read is passed
// over. Only what this publish takes away and adds is looked at; the former
// contents stand in git.
func (p *pass) findRenames(ctx context.Context, before fs.FS, chs []channel, sel *course.Selection) {
	for i := range chs {
		ch := &chs[i]
		if !ch.changed || ch.former.manifest == nil || before == nil {
			continue
		}
		old, now := candidates(ch.former.manifest, ch.next.manifest)
		if len(old) == 0 {
			continue
		}
		var m similar.Matcher
		ch.renamed = m.Match(ctx, sketches(ctx, before, old), sketches(ctx, sel.FS(), now))
	}
}

// candidates are the files that may have been renamed, and those that they may
// have become: where no equal content tells it already, and the other side has
// files of that kind. What was withdrawn is not to live on under another name.
func candidates(from, to *bundle.Manifest) (old, now []bundle.File) {
	c := bundle.Diff(from, to)
	known, withdrawn := map[string]bool{}, map[bundle.Pair]bool{}
	for _, w := range to.Withdrawn {
		withdrawn[w] = true
	}
	for _, ch := range c.Set {
		known[ch.RenamedFrom] = true
		if _, had := from.Find(ch.Path); !had && ch.RenamedFrom == "" && similar.Fits(ch.Path, ch.Size) {
			now = append(now, ch.File)
		}
	}
	for _, p := range c.Removed {
		f, _ := from.Find(p)
		if !known[p] && similar.Fits(p, f.Size) && !withdrawn[bundle.Pair{Path: p, Digest: f.Digest}] {
			old = append(old, f)
		}
	}
	return foremost(old, now), foremost(now, old)
}

// foremost are at most maxCompared of those files whose kind other has too:
// notebooks first, then files whose name is on both sides. Both sides come in
// one order, so that of two long lists those are kept that belong together.
func foremost(files, other []bundle.File) []bundle.File {
	kinds, names := map[string]bool{}, map[string]bool{}
	for _, f := range other {
		kinds[path.Ext(f.Path)], names[path.Base(f.Path)] = true, true
	}
	rank := func(name string) int {
		switch {
		case similar.IsNotebook(name) && names[name]:
			return 0
		case similar.IsNotebook(name):
			return 1
		case names[name]:
			return 2
		}
		return 3
	}
	out := slices.DeleteFunc(slices.Clone(files), func(f bundle.File) bool { return !kinds[path.Ext(f.Path)] })
	slices.SortFunc(out, func(a, b bundle.File) int {
		x, y := path.Base(a.Path), path.Base(b.Path)
		return cmp.Or(rank(x)-rank(y), cmp.Compare(x, y), cmp.Compare(a.Path, b.Path))
	})
	return out[:min(len(out), maxCompared)]
}

// sketches reads files, as long as bytes and lines are left.
func sketches(ctx context.Context, fsys fs.FS, files []bundle.File) (out []similar.Sketch) {
	size, lines := int64(maxComparedBytes), maxComparedLines
	for _, f := range files {
		if ctx.Err() != nil {
			return nil
		}
		if f.Size > size {
			continue
		}
		data, read := content(fsys, f)
		size -= read
		if s, ok := similar.Of(f.Path, data); ok && s.Len() <= lines {
			lines -= s.Len()
			out = append(out, s)
		}
	}
	return out
}

// firstLook is how much of a file says that it is no text.
const firstLook = 8 << 10

// content gives a file's bytes, if they are those that the manifest names and
// may be a text, and how many were read.
func content(fsys fs.FS, f bundle.File) (data []byte, read int64) {
	file, err := fsys.Open(f.Path)
	if err != nil {
		return nil, 0
	}
	defer file.Close()
	v := bundle.NewVerifier(file, bundle.Item{Digest: f.Digest, Size: f.Size})
	var b bytes.Buffer
	read, err = io.CopyN(&b, v, min(f.Size, firstLook))
	if err != nil || bytes.IndexByte(b.Bytes(), 0) >= 0 {
		return nil, read
	}
	rest, err := io.Copy(&b, io.LimitReader(v, f.Size-read+1))
	if read += rest; err != nil || v.Check() != nil {
		return nil, read
	}
	return b.Bytes(), read
}
