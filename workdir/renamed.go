package workdir

import (
	"context"
	"slices"
	"strings"

	"satchel/bundle"
	"satchel/notebook"
)

// Bounds of the search for a deleted file under another name.
const (
	maxSearch = 20_000   // names
	maxReread = 64 << 20 // bytes of notebooks
)

// lookout looks for files of the student's own that hold what they deleted:
// they renamed it. A notebook is known by its cells too, for opening it under
// its new name changes its bytes.
type lookout struct {
	sizes  map[int64][]bundle.Digest
	forms  map[bundle.Digest]bundle.Digest // of notebooks, to their digests
	skip   map[string]*Entry               // paths of the course that it had
	facts  map[string]Fact                 // and those that were looked at
	copies map[string]bool                 // laid beside by Satchel
	names  int                             // left to look at
	bytes  int64                           // of notebooks, left to read
	found  map[bundle.Digest]string
}

// findRenamed fills in where deleted files lie under another name, for the
// sentence that names both.
func (a *applier) findRenamed(ctx context.Context) {
	l := &lookout{
		sizes: map[int64][]bundle.Digest{}, forms: map[bundle.Digest]bundle.Digest{}, skip: a.c.rec.files, facts: a.p.facts,
		names: maxSearch, bytes: maxReread, found: map[bundle.Digest]string{},
	}
	l.skipCopies(a.c.rec)
	for i := range a.p.actions {
		if act := &a.p.actions[i]; act.Return && !act.Waits && act.Was.Size > 0 {
			l.want(a.c, act.Was)
		}
	}
	if len(l.sizes) > 0 && a.tree != nil {
		l.walk(ctx, a.tree, "")
	}
	a.renamed = l.found
}

// skipCopies passes over what Satchel itself laid beside.
func (l *lookout) skipCopies(r *record) {
	l.copies = map[string]bool{}
	for _, e := range r.files {
		for _, x := range e.Copies {
			l.copies[x.Path] = true
		}
	}
}

func (l *lookout) want(c *Course, was *Entry) {
	l.sizes[was.Size] = append(l.sizes[was.Size], was.Digest)
	if !isNotebook(was.Path) {
		return
	}
	if data, err := c.baseBytes(was.Digest); err == nil {
		if form, err := notebook.Form(data); err == nil {
			l.forms[form] = was.Digest
		}
	}
}

func (l *lookout) walk(ctx context.Context, tree *dir, folder string) {
	d, err := tree.descend(folder, nil)
	if err != nil {
		return
	}
	defer d.close()
	names, _ := d.names()
	slices.Sort(names)
	for _, name := range names {
		p := join(folder, name)
		if l.names--; l.names < 0 || ctx.Err() != nil {
			return
		}
		s, err := d.stat(name)
		_, course := l.facts[p]
		course = course || l.skip[p] != nil
		switch {
		case err != nil || strings.HasPrefix(name, ".") || course || l.copies[p]:
		case s.Kind == Folder && strings.Count(p, "/") < bundle.MaxDepth:
			l.walk(ctx, tree, p)
		case s.Kind == Regular && s.Size > 0:
			l.look(ctx, d, name, p, s.Size)
		}
	}
}

func (l *lookout) look(ctx context.Context, d *dir, name, p string, size int64) {
	if want := l.sizes[size]; len(want) > 0 {
		if sum, _, err := hashName(ctx, d, name); err == nil && slices.Contains(want, sum) {
			l.see(sum, p)
			return
		}
	}
	if !isNotebook(name) || len(l.forms) == 0 || size > min(l.bytes, maxMergeNotebook) {
		return
	}
	l.bytes -= size
	if data, err := d.read(name, size); err == nil {
		if form, err := notebook.Form(data); err == nil && !l.forms[form].IsZero() {
			l.see(l.forms[form], p)
		}
	}
}

func (l *lookout) see(sum bundle.Digest, p string) {
	if l.found[sum] == "" {
		l.found[sum] = p
	}
}
