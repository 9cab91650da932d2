package source

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

const maxLink = 4096 // bytes of a link's target

// Tree is one folder at one commit, as an fs.FS (and fs.ReadDirFS, fs.StatFS,
// fs.ReadLinkFS). It is safe for concurrent use.
//
//   - Listing reads listings only. A content is read when its file is, as far
//     as it is, and its last byte comes only if all of it is what the commit
//     says.
//   - Links are not followed: they are entries of fs.ModeSymlink, ReadLink
//     gives where they lead, Open refuses them. Stat is Lstat.
//   - Submodules are entries of fs.ModeIrregular, and cannot be opened.
//   - Of a file in Git LFS it gives the content, which Open fetches where it is
//     not here yet (an *Error of kind LFS where it cannot be had).
//   - ReadDir lists names as git has them, also ones that io/fs would never
//     allow (".git", "..", not UTF-8). Open and Stat know only valid paths.
//   - ModTime is zero: git keeps none.
//   - FileInfo.Sys has a method ContentID() string: equal for equal contents,
//     in any commit. A DirEntry has it too, and Mode: its Info costs more, for
//     the size.
//
// An error whose chain holds an *Error of kind Broken means that the
// repository is damaged; where it is a mirror, the next At replaces it.
type Tree struct {
	m       *Mirror
	objects *objects
	commit  string
	top     plumbing.Hash
	inUse   io.Closer // keeps the clone from being removed; may be nil
	damaged func(error) error
	content func(lfsPointer) (*os.File, error) // of what lies in Git LFS

	mu       sync.Mutex
	listings map[plumbing.Hash][]object.TreeEntry
}

// Commit is the commit that it was opened at.
func (t *Tree) Commit() string { return t.commit }

// Close lets go of all files. Files that were opened are not to be read after
// it.
func (t *Tree) Close() error {
	err := t.objects.Close()
	if t.inUse != nil {
		err = errors.Join(err, t.inUse.Close())
	}
	return err
}

// read opens the commit's folder in a clone. errAbsent means that the commit
// is not here; an *Error is of kind Folder or Broken, the latter for anything
// that a fresh clone may cure.
func (m *Mirror) read(c *clone, want plumbing.Hash) (tree *Tree, err error) {
	inUse, err := c.use()
	if err != nil {
		return nil, m.mirrorDamaged(err)
	}
	t := m.newTree(openClone(c.dir), want)
	t.inUse = inUse
	t.damaged = func(err error) error {
		os.WriteFile(c.dir+"/damaged", []byte(err.Error()+"\n"), 0o600) // the next At sees it
		return m.mirrorDamaged(err)
	}
	defer func() {
		if err != nil {
			t.Close()
		}
	}()
	if err := c.check(); err != nil {
		return nil, m.mirrorDamaged(err)
	}
	if _, err := t.objects.commit(c.tip); err != nil {
		return nil, m.mirrorDamaged(err)
	}
	if err := t.enter(m, want); err != nil {
		if errors.Is(err, errAbsent) || is(err, Folder) {
			return nil, err
		}
		return nil, m.mirrorDamaged(err)
	}
	named, err := c.named()
	if err == nil {
		err = t.complete(named)
	}
	if err != nil {
		return nil, m.mirrorDamaged(err)
	}
	return t, nil
}

func (m *Mirror) newTree(o *objects, commit plumbing.Hash) *Tree {
	return &Tree{m: m, objects: o, commit: commit.String(), content: m.lfs().open, listings: map[plumbing.Hash][]object.TreeEntry{}}
}

// Before is the same folder at another commit, as far as it is here: for a
// look at single files of a former version. It fetches nothing, and reads the
// listings that lead to what is asked for and no others. What is absent or
// damaged there is an error and no more: it says nothing against t, and no
// mirror is replaced for it. It can be used until t is closed.
func (t *Tree) Before(commit string) (fs.FS, error) {
	if !plumbing.IsHash(commit) {
		return nil, fmt.Errorf("%.60q is no commit", commit)
	}
	hash := plumbing.NewHash(commit)
	was := t.m.newTree(t.objects, hash)
	was.damaged = func(err error) error { return err }
	if err := was.enter(t.m, hash); err != nil {
		return nil, fmt.Errorf("commit %s: %w", commit, err)
	}
	return was, nil
}

func (m *Mirror) mirrorDamaged(err error) *Error {
	return fault(Broken, err, "the mirror of %s in %s is damaged (%s); it is cloned anew at the next look", m.at, m.dir, said(err.Error()))
}

// enter finds the folder in the commit. Only the commit itself being absent
// gives errAbsent.
func (t *Tree) enter(m *Mirror, commit plumbing.Hash) error {
	c, err := t.objects.commit(commit)
	if err != nil {
		return err
	}
	t.top = c.TreeHash
	if m.remote.Folder == "." {
		_, err := t.list(t.top)
		return hideAbsent(err)
	}
	at := ""
	for name := range strings.SplitSeq(m.remote.Folder, "/") {
		entries, err := t.list(t.top)
		if err != nil {
			return hideAbsent(err)
		}
		e, ok := find(entries, name)
		if !ok || e.Mode != filemode.Dir {
			return noFolder(m, at, name, entries)
		}
		t.top, at = e.Hash, path.Join(at, name)
	}
	_, err = t.list(t.top)
	return hideAbsent(err)
}

// hideAbsent is for an object that must be there, since its parent is.
func hideAbsent(err error) error {
	if errors.Is(err, errAbsent) {
		return fmt.Errorf("%w: %v", errDamaged, err)
	}
	return err
}

// noFolder says which folders there are instead.
func noFolder(m *Mirror, at, name string, entries []object.TreeEntry) *Error {
	var folders []string
	for _, e := range entries {
		if e.Mode == filemode.Dir {
			folders = append(folders, path.Join(at, e.Name))
		}
	}
	where := "at the top"
	if at != "" {
		where = "in " + at
	}
	has := "no folder at all"
	if len(folders) > 0 {
		has = nearest(path.Join(at, name), folders)
	}
	return fault(Folder, nil, "the branch %s has no folder %s: %s there is %s. Correct `folder`", m.remote.Branch, m.remote.Folder, where, has)
}

// complete sees that all listings can be read and the packs name all contents.
func (t *Tree) complete(named func(plumbing.Hash) bool) error {
	todo := []plumbing.Hash{t.top}
	seen := map[plumbing.Hash]bool{t.top: true}
	for len(todo) > 0 {
		entries, err := t.list(todo[len(todo)-1])
		if err != nil {
			return hideAbsent(err)
		}
		todo = todo[:len(todo)-1]
		for _, e := range entries {
			if seen[e.Hash] || e.Mode == filemode.Submodule {
				continue
			}
			seen[e.Hash] = true
			if e.Mode == filemode.Dir {
				todo = append(todo, e.Hash)
			} else if !named(e.Hash) {
				return hideAbsent(fmt.Errorf("%s: %w", said(e.Name), errAbsent))
			}
		}
	}
	return nil
}

// list gives a folder's entries, sorted by name. They are kept: a course has
// few folders.
func (t *Tree) list(folder plumbing.Hash) ([]object.TreeEntry, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if entries, ok := t.listings[folder]; ok {
		return entries, nil
	}
	entries, err := t.objects.tree(folder)
	if err != nil {
		return nil, err
	}
	// git sorts folders as if their names ended with a slash; io/fs does not.
	slices.SortStableFunc(entries, func(a, b object.TreeEntry) int { return cmp.Compare(a.Name, b.Name) })
	t.listings[folder] = entries
	return entries, nil
}

func find(entries []object.TreeEntry, name string) (object.TreeEntry, bool) {
	i, ok := slices.BinarySearchFunc(entries, name, func(e object.TreeEntry, name string) int { return cmp.Compare(e.Name, name) })
	if !ok {
		return object.TreeEntry{}, false
	}
	return entries[i], true
}

// lookup finds what a path names.
func (t *Tree) lookup(op, name string) (object.TreeEntry, error) {
	e := object.TreeEntry{Name: ".", Mode: filemode.Dir, Hash: t.top}
	if !fs.ValidPath(name) {
		return e, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	if name == "." {
		return e, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		if e.Mode != filemode.Dir {
			return e, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		entries, err := t.list(e.Hash)
		if err != nil {
			return e, t.fault(op, name, err)
		}
		var ok bool
		if e, ok = find(entries, part); !ok {
			return e, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
	}
	return e, nil
}

// fault reports an object that could not be read.
func (t *Tree) fault(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: t.damaged(err)}
}
