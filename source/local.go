package source

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"satchel/internal/small"
)

const (
	maxAlternates    = 8        // folders of objects that a repository may borrow from
	maxPointer       = 64 << 10 // bytes of the small files that lead elsewhere
	maxLocalBranches = 100_000
)

// gitFolder finds where the repository in a folder keeps its objects and
// branches: the folder itself (bare), its .git, or, for a linked working tree,
// the repository that it belongs to.
func gitFolder(folder string) (string, error) {
	if _, err := os.Stat(folder); err != nil {
		return "", unreadable(folder, err)
	}
	dir := filepath.Join(folder, ".git")
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		dir = folder
	case err != nil:
		return "", unreadable(folder, err)
	case !info.IsDir():
		if dir, err = pointer(dir, "gitdir: ", folder); err != nil {
			return "", unreadable(folder, err)
		}
	}
	if common, err := pointer(filepath.Join(dir, "commondir"), "", dir); err == nil {
		dir = common
	}
	for _, must := range []string{"objects", "HEAD"} {
		if _, err := os.Stat(filepath.Join(dir, must)); err != nil {
			return "", unreadable(folder, err)
		}
	}
	return dir, nil
}

// pointer reads a file that names a folder, relative to base.
func pointer(file, prefix, base string) (string, error) {
	data, err := small.ReadFile(file, maxPointer)
	if err != nil {
		return "", err
	}
	name := strings.TrimSpace(strings.TrimPrefix(string(data), prefix))
	if !filepath.IsAbs(name) {
		name = filepath.Join(base, name)
	}
	return name, nil
}

func unreadable(folder string, err error) *Error {
	if errors.Is(err, os.ErrPermission) {
		return fault(Repository, err, "the repository in %s cannot be read; give the user that runs Satchel the right to read it", folder)
	}
	if _, statErr := os.Stat(folder); statErr != nil {
		return fault(Repository, err, "there is no folder %s; correct `repository`", folder)
	}
	return fault(Repository, err, "%s is no git repository; correct `repository` (a bare repository, or a folder with .git in it)", folder)
}

// openLocal opens a repository of this machine, with what it borrows from.
func openLocal(dir string) (*objects, error) {
	open := func() ([]*filesystem.Storage, error) { return localStores(dir), nil }
	stores, err := open()
	if err != nil {
		return nil, err
	}
	return &objects{stores: stores, reopen: open}, nil
}

// localStores follows objects/info/alternates (as `git clone --shared` makes
// it), which go-git does for few of its questions only.
func localStores(dir string) (stores []*filesystem.Storage) {
	todo := []string{filepath.Join(dir, "objects")}
	seen := map[string]bool{}
	for len(todo) > 0 && len(seen) < maxAlternates {
		objects := filepath.Clean(todo[0])
		todo = todo[1:]
		if seen[objects] {
			continue
		}
		seen[objects] = true
		stores = append(stores, openStore(osfs.New(filepath.Dir(objects))))
		data, err := small.ReadFile(filepath.Join(objects, "info", "alternates"), maxPointer)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSpace(line)
			switch {
			case line == "" || strings.HasPrefix(line, "#"):
			case filepath.IsAbs(line):
				todo = append(todo, line)
			default:
				todo = append(todo, filepath.Join(objects, line))
			}
		}
	}
	return stores
}

func (m *Mirror) localTip(ctx context.Context) (plumbing.Hash, error) {
	if ctx.Err() != nil {
		return plumbing.ZeroHash, context.Cause(ctx)
	}
	dir, err := gitFolder(m.at.local)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	store := openStore(osfs.New(dir))
	defer store.Close()
	if err := supported(store); err != nil {
		return plumbing.ZeroHash, err
	}
	ref, err := storer.ResolveReference(store, plumbing.NewBranchReferenceName(m.remote.Branch))
	if err == nil {
		return ref.Hash(), nil
	}
	if !errors.Is(err, plumbing.ErrReferenceNotFound) {
		return plumbing.ZeroHash, m.localBroken(err)
	}
	heads, err := localHeads(store)
	if err != nil {
		return plumbing.ZeroHash, m.localBroken(err)
	}
	return m.branch(heads)
}

// supported refuses a repository that keeps its branches or objects in ways
// that go-git does not read.
func supported(store *filesystem.Storage) error {
	config, err := store.Config()
	if err != nil {
		return fault(Broken, err, "the repository's file config cannot be read (%s); correct it", said(err.Error()))
	}
	extensions := config.Raw.Section("extensions")
	if f := extensions.Option("objectformat"); f != "" && !strings.EqualFold(f, "sha1") {
		return fault(Repository, nil, "the repository names its objects by %s, which is not supported yet; use one made with --object-format=sha1", strings.ToUpper(said(f)))
	}
	if f := extensions.Option("refstorage"); f != "" && !strings.EqualFold(f, "files") {
		return fault(Repository, nil, "the repository keeps its branches as %s, which is not supported yet; run `git refs migrate --ref-format=files` in it", said(f))
	}
	return nil
}

func localHeads(store *filesystem.Storage) (map[string]plumbing.Hash, error) {
	iter, err := store.IterReferences()
	if err != nil {
		return nil, err
	}
	heads := map[string]plumbing.Hash{}
	err = iter.ForEach(func(r *plumbing.Reference) error {
		if r.Name().IsBranch() && r.Type() == plumbing.HashReference {
			heads[r.Name().Short()] = r.Hash()
		}
		if len(heads) > maxLocalBranches {
			return storer.ErrStop
		}
		return nil
	})
	return heads, err
}

func (m *Mirror) localAt(ctx context.Context, want plumbing.Hash) (tree *Tree, err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	dir, err := gitFolder(m.at.local)
	if err != nil {
		return nil, err
	}
	o, err := openLocal(dir)
	if err != nil {
		return nil, m.localBroken(err)
	}
	t := m.newTree(o, want)
	t.damaged = func(err error) error { return m.localBroken(err) }
	defer func() {
		if err != nil {
			t.Close()
		}
	}()
	err = t.enter(m, want)
	switch {
	case errors.Is(err, errAbsent):
		return nil, ErrMoved
	case err == nil || is(err, Folder):
		return t, err
	}
	return nil, m.localBroken(err)
}

func (m *Mirror) localBroken(err error) *Error {
	if errors.Is(err, os.ErrPermission) {
		return unreadable(m.at.local, err)
	}
	return fault(Broken, err, "the repository in %s is damaged (%s); run `git fsck` in it", m.at.local, said(err.Error()))
}
