package workdir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"satchel/bundle"
)

// A course's folder that is not there yet is made in the stage, each file once
// and under its own name, and gets its place as a whole. Where that cannot be
// (something has not arrived, or did not fit, or somebody took the name), what
// is there goes to the stage file by file, and Apply goes on path by path.

const freshName = "fresh"

// freshTree is such a folder.
type freshTree struct {
	up, d *dir
	mu    sync.Mutex
	paths map[bundle.Digest]bundle.File // where a content goes, the first of its paths
	laid  map[bundle.Digest]Stat        // what is there, complete and on disk
	made  map[string]bool               // folders
}

// fresh says whether everything that a plan does is to fill a folder that is
// not there.
func (p *Plan) fresh(tree *dir) bool {
	if tree != nil || p.aside || p.undo || p.partial || p.rename != "" || p.c.name == notesName || len(p.actions) == 0 {
		return false
	}
	for i := range p.actions {
		if a := &p.actions[i]; a.Verb != Add || a.Waits || a.Loose || a.Put != nil {
			return false
		}
	}
	return true
}

// beginFresh has the stage make the folder.
func (s *stage) beginFresh(actions []Action) error {
	up, err := s.c.area.private(freshName)
	if err != nil {
		return err
	}
	if err = up.mkdir(freshName, 0o755); err != nil {
		up.close()
		return err
	}
	d, err := up.sub(freshName)
	if err != nil {
		up.close()
		return err
	}
	t := &freshTree{up: up, d: d, paths: map[bundle.Digest]bundle.File{}, laid: map[bundle.Digest]Stat{}, made: map[string]bool{}}
	for i := range actions {
		f := actions[i].File
		if _, here := s.have[f.Digest]; here {
			continue
		}
		if _, twice := t.paths[f.Digest]; !twice {
			t.paths[f.Digest] = f
		}
	}
	s.fresh = t
	return nil
}

func (t *freshTree) close() {
	t.d.close()
	t.up.close()
}

// folder opens a folder of the tree, making it.
func (t *freshTree) folder(path string) (*dir, error) {
	return t.d.descend(path, func(made string) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.made[made] = true
	})
}

// create makes the file of a content; nil where it has none here.
func (t *freshTree) create(item bundle.Item) (*os.File, error) {
	if t == nil {
		return nil, nil
	}
	f, ok := t.paths[item.Digest]
	if !ok {
		return nil, nil
	}
	folder, name := split(f.Path)
	d, err := t.folder(folder)
	if err != nil {
		return nil, err
	}
	defer d.close()
	file, err := d.create(name, 0o600)
	if err == nil {
		if err = fault("chmod", f.Path, unix.Fchmod(int(file.Fd()), perm(f))); err != nil {
			file.Close()
		}
	}
	return file, err
}

// settle notes a content that is complete and on disk.
func (t *freshTree) settle(d bundle.Digest, s Stat) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.laid[d] = s
}

// at gives the path of a content that is laid.
func (t *freshTree) at(d bundle.Digest) (string, bool) {
	if t == nil {
		return "", false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.laid[d]
	return t.paths[d].Path, ok
}

// drop removes the file of a content.
func (t *freshTree) drop(d bundle.Digest) error {
	t.mu.Lock()
	delete(t.laid, d)
	t.mu.Unlock()
	folder, name := split(t.paths[d].Path)
	at, err := t.d.descend(folder, nil)
	if err != nil {
		return err
	}
	defer at.close()
	return at.remove(name)
}

// endFresh moves what is laid to the stage, each content under its digest, and
// takes the tree away.
func (s *stage) endFresh() {
	t := s.fresh
	if t == nil {
		return
	}
	s.fresh = nil
	for d := range t.laid {
		folder, name := split(t.paths[d].Path)
		at, err := t.d.descend(folder, nil)
		if err == nil {
			err = moveOver(at, name, s.d, d.String())
			at.close()
		}
		if err != nil {
			s.mu.Lock()
			s.wanted[d] = s.have[d]
			s.left += s.have[d]
			delete(s.have, d)
			s.mu.Unlock()
			s.c.home.lg.Warn("a content was lost on its way", "course", s.c.name, "error", err)
		}
	}
	t.close()
	_ = s.d.sync()
	s.c.dropFresh(context.Background(), nil)
}

// dropFresh takes away what a run that died left of such a folder. Contents of
// need go to the stage first.
func (c *Course) dropFresh(ctx context.Context, need map[bundle.Digest]int64) {
	s, err := c.area.stat(freshName)
	if err != nil || s.Kind != Folder {
		return
	}
	d, err := c.area.sub(freshName)
	if err != nil {
		return
	}
	sizes := map[int64]bool{}
	for _, n := range need {
		sizes[n] = true
	}
	c.emptyFresh(ctx, d, need, sizes, 0)
	d.close()
	_ = c.area.rmdir(freshName)
}

func (c *Course) emptyFresh(ctx context.Context, d *dir, need map[bundle.Digest]int64, sizes map[int64]bool, depth int) {
	names, _ := d.names()
	for _, name := range names {
		s, err := d.stat(name)
		switch {
		case err != nil || ctx.Err() != nil:
		case s.Kind == Folder && depth <= bundle.MaxDepth:
			if sub, err := d.sub(name); err == nil {
				c.emptyFresh(ctx, sub, need, sizes, depth+1)
				sub.close()
				_ = d.rmdir(name)
			}
		case s.Kind == Regular && s.links == 1 && sizes[s.Size]:
			sum, _, err := hashName(ctx, d, name)
			if _, needed := need[sum]; err == nil && needed && c.salvage(d, name, sum) == nil {
				continue
			}
			_ = d.remove(name)
		default:
			_ = d.remove(name)
		}
	}
}

// salvage brings a content that a run that died had laid to the stage. Whether
// it came to be on disk nobody knows.
func (c *Course) salvage(d *dir, name string, sum bundle.Digest) error {
	f, _, err := d.open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := c.stage.syncFile(f); err != nil {
		return err
	}
	return moveOver(d, name, c.stage.d, sum.String())
}

// complete says whether all that a plan needs is laid or staged.
func (s *stage) complete() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.wanted) == 0 && len(s.short) == 0
}

// placeFresh gives the folder its place and records it. false, without an
// error: it could not be had in one step, and the stage has the contents.
func (a *applier) placeFresh(ctx context.Context) (bool, error) {
	s := a.c.stage
	if s == nil || s.fresh == nil {
		return false, nil
	}
	seen, err := a.completeFresh(ctx)
	if err == nil {
		err = moveNew(s.fresh.up, freshName, a.c.home.top, a.p.folder)
	}
	if err != nil {
		a.c.home.lg.Info("the folder comes path by path", "course", a.c.name, "reason", err)
		s.endFresh()
		return false, ctx.Err()
	}
	t := s.fresh
	s.fresh = nil // from here on it is the student's folder
	t.close()
	_ = a.c.area.rmdir(freshName)
	if err := a.openMoved(); err != nil {
		return false, err // the next pass finds its files in place
	}
	for _, f := range slices.Sorted(maps.Keys(t.made)) {
		a.lines = append(a.lines, line{Folder: &folderLine{Path: f}})
	}
	for i := range a.p.actions {
		act := &a.p.actions[i]
		a.added(act, a.c.home.seen(Fact{Stat: seen[act.Path], Digest: act.File.Digest}))
	}
	for d := range t.laid {
		s.gone(d.String())
	}
	clear(a.dirty) // all of it is on disk
	return true, nil
}

// completeFresh brings the rest into the tree, and all of it to disk. It gives
// what each file looks like.
func (a *applier) completeFresh(ctx context.Context) (map[string]Stat, error) {
	s := a.c.stage
	if !s.complete() {
		return nil, errors.New("not all of it is here")
	}
	out := map[string]Stat{}
	for i := range a.p.actions {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f := a.p.actions[i].File
		a.keepBase(f)
		var err error
		if s.fresh.paths[f.Digest].Path == f.Path {
			out[f.Path] = s.fresh.laid[f.Digest]
			continue
		}
		if out[f.Path], err = a.layFresh(f); err != nil {
			return nil, err
		}
	}
	folders := append(slices.Collect(maps.Keys(s.fresh.made)), "")
	failed := make([]error, len(folders))
	for i := range folders {
		s.pool.Go(func() {
			d, err := s.fresh.d.descend(folders[i], nil)
			if err == nil {
				err = d.sync()
				d.close()
			}
			failed[i] = err
		})
	}
	s.pool.wait()
	return out, errors.Join(failed...)
}

// layFresh lays a content that was in the stage already, or that has another
// path too.
func (a *applier) layFresh(f bundle.File) (st Stat, err error) {
	s := a.c.stage
	folder, name := split(f.Path)
	d, err := s.fresh.folder(folder)
	if err != nil {
		return st, err
	}
	defer d.close()
	if _, ok := s.fresh.at(f.Digest); ok {
		return s.copyFresh(f, d, name)
	}
	staged, err := s.ready(f.Digest, perm(f), true)
	if err == nil {
		err = moveNew(s.d, staged, d, name)
	}
	if err == nil {
		st, err = d.stat(name)
	}
	if err == nil {
		s.fresh.paths[f.Digest] = f
		s.fresh.settle(f.Digest, st)
	}
	return st, err
}

// copyFresh lays a content of the tree once more.
func (s *stage) copyFresh(f bundle.File, d *dir, name string) (st Stat, err error) {
	from, err := s.openContent(f.Digest)
	if err != nil {
		return st, err
	}
	defer from.Close()
	to, err := d.create(name, 0o600)
	if err != nil {
		return st, err
	}
	defer to.Close()
	if _, err = io.Copy(to, from); err == nil {
		err = errors.Join(unix.Fchmod(int(to.Fd()), perm(f)), s.syncFile(to))
	}
	if err != nil {
		return st, err
	}
	return statFD(int(to.Fd()))
}

// openMoved opens the folder that has its place now, once that is on disk.
func (a *applier) openMoved() error {
	top := a.c.home.top
	if err := top.sync(); err != nil {
		return err
	}
	tree, err := top.sub(a.p.folder)
	if err != nil {
		return fmt.Errorf("open %s: %w", a.p.folder, err)
	}
	a.tree = tree
	return nil
}

// openContent opens what is staged or laid of a content.
func (s *stage) openContent(d bundle.Digest) (*os.File, error) {
	path, ok := s.fresh.at(d)
	if !ok {
		f, _, err := s.d.open(d.String())
		return f, err
	}
	folder, name := split(path)
	at, err := s.fresh.d.descend(folder, nil)
	if err != nil {
		return nil, err
	}
	defer at.close()
	f, _, err := at.open(name)
	return f, err
}
