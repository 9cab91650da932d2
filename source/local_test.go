package source

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestLocalRepositories(t *testing.T) {
	r := newRepo(t)
	r.write("a.txt", "a\n")
	r.write("big.bin", noise(2<<20))
	r.commit()
	r.write("a.txt", "changed\n")
	tip := r.commit()
	parent := t.TempDir()
	bare, packed, shared, again, linked := filepath.Join(parent, "bare.git"), filepath.Join(parent, "packed.git"),
		filepath.Join(parent, "shared"), filepath.Join(parent, "again.git"), filepath.Join(parent, "linked")
	r.git("clone", "-q", "--bare", r.dir, bare)
	r.git("clone", "-q", "--mirror", r.dir, packed)
	r.git("-C", packed, "gc", "-q", "--aggressive")
	r.git("clone", "-q", "--shared", r.dir, shared)
	r.git("clone", "-q", "--bare", "--shared", shared, again) // borrows from one that borrows
	r.git("worktree", "add", "-q", "-b", "other", linked)
	for name, c := range map[string]struct{ dir, watch string }{
		"a working tree":         {r.dir, filepath.Join(r.dir, ".git")},
		"bare":                   {bare, bare},
		"packed, branches too":   {packed, packed},
		"borrowing":              {shared, filepath.Join(shared, ".git")},
		"borrowing twice":        {again, again},
		"a linked working tree":  {linked, filepath.Join(r.dir, ".git")},
		"the .git folder itself": {filepath.Join(r.dir, ".git"), filepath.Join(r.dir, ".git")},
		"a file:// address":      {"file://" + bare, bare},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMirror(t, Remote{URL: c.dir})
			tree := newest(t, m)
			if tree.Commit() != tip {
				t.Errorf("the tip is %s", tree.Commit())
			}
			r.sameAs(tree, ".")
			if m.Watch() != c.watch {
				t.Errorf("the folder to watch is %s, want %s", m.Watch(), c.watch)
			}
			if _, err := os.Stat(m.dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a mirror of a local repository was made")
			}
		})
	}
}

func TestLocalRepositoryMoves(t *testing.T) {
	r := newRepo(t)
	r.write("a.txt", "one\n")
	r.commit()
	m := newMirror(t, Remote{URL: r.dir})
	r.sameAs(newest(t, m), ".")
	r.write("a.txt", "two\n")
	r.commit()
	r.sameAs(newest(t, m), ".")
	r.git("pack-refs", "--all")
	r.write("a.txt", "three\n")
	r.commit()
	r.sameAs(newest(t, m), ".")
	if _, err := m.At(t.Context(), "0123456789012345678901234567890123456789"); !errors.Is(err, ErrMoved) {
		t.Errorf("got %v, want ErrMoved", err)
	}
}

// git packs and prunes by itself, right after a push.
func TestLocalRepositoryIsRepackedWhileItIsRead(t *testing.T) {
	r := newRepo(t)
	r.write("a.txt", "a\n")
	r.write("b.txt", "b\n")
	r.write("big.bin", noise(2<<20))
	r.commit()
	tree := newest(t, newMirror(t, Remote{URL: r.dir}))
	if err := readAll(tree, "a.txt"); err != nil {
		t.Fatal(err)
	}
	r.git("gc", "-q", "--prune=now") // loose objects are gone
	r.sameAs(tree, ".")
	r.write("c.txt", "c\n")
	r.commit()
	r.git("repack", "-qad") // and now that pack
	r.git("prune-packed")
	r.sameAs(tree, ".")
}

func TestLocalFolderThatIsNoRepository(t *testing.T) {
	empty := t.TempDir()
	file := filepath.Join(empty, "file")
	writeFile(t, file, "x")
	lost := t.TempDir()
	writeFile(t, filepath.Join(lost, ".git"), "gitdir: /proc/none/x\n")
	for dir, says := range map[string]string{
		absent: "there is no folder",
		empty:  "is no git repository",
		file:   "is no git repository",
		lost:   "is no git repository",
	} {
		m := newMirror(t, Remote{URL: dir})
		_, err := m.Tip(t.Context())
		fails(t, err, Repository, says)
		_, err = m.At(t.Context(), "0123456789012345678901234567890123456789")
		fails(t, err, Repository, says)
		if m.Watch() != "" {
			t.Errorf("something to watch: %s", m.Watch())
		}
	}
	fails(t, unreadable(empty, os.ErrPermission), Repository, "the right to read it")
}

func TestRepositoryOfAnotherFormat(t *testing.T) {
	r := &repo{t: t, dir: t.TempDir()}
	r.git("init", "-q", "-b", "main", "--object-format=sha256")
	r.git("commit", "-q", "--allow-empty", "-m", "x")
	for name, remote := range bothWays(t, r) {
		t.Run(name, func(t *testing.T) {
			_, err := newMirror(t, remote).Tip(t.Context())
			fails(t, err, Repository, "not supported yet")
		})
	}
}

func TestDamagedLocalRepository(t *testing.T) {
	r := newRepo(t)
	r.write("a.txt", "a\n")
	tip := r.commit()
	folder := r.git("rev-parse", tip+"^{tree}")
	if err := os.Remove(filepath.Join(r.dir, ".git/objects", folder[:2], folder[2:])); err != nil {
		t.Fatal(err)
	}
	_, err := newMirror(t, Remote{URL: r.dir}).At(t.Context(), tip)
	fails(t, err, Broken, "git fsck")
}

// One content lies under the name of another: each is whole in itself.
func TestSwappedContentsAreNotGiven(t *testing.T) {
	for name, size := range map[string]int{"small": 1000, "streamed": 2 << 20} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			r.write("a.bin", noise(size))
			r.write("b.bin", noise(size + 1)[:size])
			tip := r.commit()
			object := func(name string) string {
				id := r.git("rev-parse", tip+":"+name)
				return filepath.Join(r.dir, ".git/objects", id[:2], id[2:])
			}
			if err := os.Rename(object("a.bin"), object("b.bin")); err != nil {
				t.Fatal(err)
			}
			err := readAll(at(t, newMirror(t, Remote{URL: r.dir}), tip), "b.bin")
			fails(t, err, Broken, "git fsck")
		})
	}
}
