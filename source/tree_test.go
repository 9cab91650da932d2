package source

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

// odd is a repository with one of everything.
func odd(t *testing.T) *repo {
	r := newRepo(t)
	r.write("n/lab.ipynb", "{}\n")
	r.write("n/lab/a.txt", "a") // "lab" sorts after "lab.ipynb" in git, before it in io/fs
	r.write("n/run.sh", "#!/bin/sh\n")
	r.write("n/empty", "")
	r.write("n/large.csv", strings.Repeat(noise(64)+"\n", 40_000))
	if err := os.Chmod(filepath.Join(r.dir, "n/run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"link": "lab.ipynb", "out": "../../etc/passwd", "abs": "/etc/passwd", "loop": "loop", "folder": "lab"} {
		if err := os.Symlink(target, filepath.Join(r.dir, "n", name)); err != nil {
			t.Fatal(err)
		}
	}
	r.git("add", "-A")
	r.git("update-index", "--add", "--cacheinfo", "160000,0123456789012345678901234567890123456789,n/sub")
	r.git("commit", "-q", "-m", "odd")
	return r
}

func TestEntries(t *testing.T) {
	r := odd(t)
	for name, remote := range bothWays(t, r) {
		t.Run(name, func(t *testing.T) {
			remote.Folder = "n"
			tree := newest(t, newMirror(t, remote))
			r.sameAs(tree, "n")
			got := map[string]string{}
			var order []string
			entries, err := fs.ReadDir(tree, ".")
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				i, err := e.Info()
				if err != nil {
					t.Fatal(err)
				}
				got[e.Name()] = fmt.Sprintf("%v %d", i.Mode(), i.Size())
				order = append(order, e.Name())
				id := i.Sys().(interface{ ContentID() string }).ContentID()
				listed := e.(interface {
					ContentID() string
					Mode() fs.FileMode
				})
				if len(id) != 40 || listed.ContentID() != id || listed.Mode() != i.Mode() {
					t.Errorf("%s has the content %q; listed are %q and %v", e.Name(), id, listed.ContentID(), listed.Mode())
				}
			}
			for name, want := range map[string]string{
				"lab.ipynb": "-rw-r--r-- 3", "run.sh": "-rwxr-xr-x 10", "empty": "-rw-r--r-- 0", "large.csv": "-rw-r--r-- 2600000",
				"lab": "drwxr-xr-x 0", "link": "Lrwxrwxrwx 9", "sub": "?--------- 0",
			} {
				if got[name] != want {
					t.Errorf("%s is %s, want %s", name, got[name], want)
				}
			}
			if !slices.IsSorted(order) {
				t.Errorf("not sorted: %v", order)
			}
		})
	}
}

func TestLinksAreNotFollowed(t *testing.T) {
	r := odd(t)
	tree := newest(t, newMirror(t, Remote{URL: "file://" + r.dir, Folder: "n"}))
	for name, want := range map[string]string{"link": "lab.ipynb", "out": "../../etc/passwd", "abs": "/etc/passwd", "loop": "loop"} {
		if got, err := tree.ReadLink(name); got != want || err != nil {
			t.Errorf("%s leads to %q, %v", name, got, err)
		}
		if _, err := tree.Open(name); !errors.Is(err, errLink) {
			t.Errorf("%s opens: %v", name, err)
		}
		if i, err := tree.Stat(name); err != nil || i.Mode().Type() != fs.ModeSymlink {
			t.Errorf("%s: %v %v", name, i, err)
		}
	}
	if _, err := tree.Open("folder/a.txt"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a path through a link opens: %v", err)
	}
	if _, err := tree.ReadLink("lab.ipynb"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a file is a link: %v", err)
	}
	if _, err := tree.Open("sub"); !errors.Is(err, errSubmodule) {
		t.Errorf("a submodule opens: %v", err)
	}
	for _, name := range []string{"../README", "/n", "", "lab/../lab", "lab.ipynb/x", "nothing"} {
		if f, err := tree.Open(name); err == nil {
			t.Errorf("%q opens: %v", name, f)
		}
	}
}

// The standard library's own suite for an fs.FS.
func TestFS(t *testing.T) {
	r := odd(t)
	for _, link := range []string{"link", "out", "abs", "loop", "folder", "sub"} {
		r.git("rm", "-q", "--cached", "n/"+link)
	}
	r.git("commit", "-q", "-m", "no links")
	tree := newest(t, newMirror(t, Remote{URL: r.dir}))
	if err := fstest.TestFS(tree, "n/lab.ipynb", "n/lab/a.txt", "n/run.sh", "n/empty", "n/large.csv"); err != nil {
		t.Error(err)
	}
}

// Names that no filesystem should get are listed, so that somebody can refuse
// them by name, and are not reachable by any path.
func TestHostileNamesAreListed(t *testing.T) {
	r := newRepo(t)
	names := []string{"", ".", "..", ".git", "a/b", "a\\b", "\xff\xfe", "a\nb", "C:", "con", ".GIT", strings.Repeat("n", 5000)}
	blob := r.gitIn("x", "hash-object", "-w", "--stdin")
	for _, name := range names {
		tree := r.rawTree("100644", name, blob)
		commit := r.git("commit-tree", "-m", "x", tree)
		r.git("update-ref", "refs/heads/main", commit)
		for way, remote := range bothWays(t, r) {
			m := newMirror(t, remote)
			got, err := m.At(t.Context(), commit)
			if name == "" { // no git makes it, and no parser reads it
				if !is(err, Broken, Unreachable) {
					t.Errorf("%s: no name at all: %v", way, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %.20q: %v", way, name, err)
				continue
			}
			entries, err := got.ReadDir(".")
			if err != nil || len(entries) != 1 || entries[0].Name() != name {
				t.Errorf("%s: %.20q is listed as %v, %v", way, name, entries, err)
			}
			if _, err := got.Open(name); !fs.ValidPath(name) && err == nil && name != "." {
				t.Errorf("%s: %.20q opens", way, name)
			}
			got.Close()
		}
	}
}

// rawTree writes a tree object that git itself would refuse to make.
func (r *repo) rawTree(entries ...string) string {
	r.t.Helper()
	var data strings.Builder
	for e := entries; len(e) > 0; e = e[3:] {
		hash, err := hex.DecodeString(e[2])
		if err != nil {
			r.t.Fatal(err)
		}
		fmt.Fprintf(&data, "%s %s\x00%s", e[0], e[1], hash)
	}
	return r.gitIn(data.String(), "hash-object", "-t", "tree", "--literally", "-w", "--stdin")
}

func TestDoubledNamesAreListedTwice(t *testing.T) {
	r := newRepo(t)
	a, b := r.gitIn("a", "hash-object", "-w", "--stdin"), r.gitIn("b", "hash-object", "-w", "--stdin")
	commit := r.git("commit-tree", "-m", "x", r.rawTree("100644", "x", a, "100644", "x", b))
	r.git("update-ref", "refs/heads/main", commit)
	entries, err := at(t, newMirror(t, Remote{URL: r.dir}), commit).ReadDir(".")
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
}

// Two to the fortieth files, made of forty trees: At must not walk them all.
func TestGitBomb(t *testing.T) {
	r := newRepo(t)
	name := r.gitIn("boom", "hash-object", "-w", "--stdin")
	mode := "100644"
	for range 40 {
		name = r.rawTree(mode, "a", name, mode, "b", name)
		mode = "40000"
	}
	commit := r.git("commit-tree", "-m", "x", name)
	r.git("update-ref", "refs/heads/main", commit)
	for way, remote := range bothWays(t, r) {
		if _, err := newMirror(t, remote).At(within(t, 30*second), commit); err != nil {
			t.Errorf("%s: %v", way, err)
		}
	}
}

// Listing and Stat read no content: they work where no content can be read.
func TestListingReadsNoContents(t *testing.T) {
	r := newRepo(t)
	r.write("a/b/c.txt", "content\n")
	r.write("d.txt", "content of d\n")
	commit := r.commit()
	tree := at(t, newMirror(t, Remote{URL: r.dir}), commit)
	for _, name := range []string{"a/b/c.txt", "d.txt"} {
		blob := r.git("rev-parse", commit+":"+name)
		if err := os.Remove(filepath.Join(r.dir, ".git/objects", blob[:2], blob[2:])); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	err := fs.WalkDir(tree, ".", func(string, fs.DirEntry, error) error { n++; return nil })
	if err != nil || n != 5 {
		t.Errorf("%d entries, %v", n, err)
	}
	_, err = fs.ReadFile(tree, "d.txt")
	fails(t, err, Broken, r.dir, "git fsck")
}

func TestManyReadersOfOneTree(t *testing.T) {
	r := odd(t)
	r.git("gc", "-q")
	for name, remote := range bothWays(t, r) {
		t.Run(name, func(t *testing.T) {
			tree := newest(t, newMirror(t, remote))
			want := contents(t, tree)
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for name, text := range want {
						if got, err := fs.ReadFile(tree, name); err != nil || string(got) != text {
							t.Errorf("%s: %d bytes, want %d, %v", name, len(got), len(text), err)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

func TestReadDirInSteps(t *testing.T) {
	r := newRepo(t)
	for i := range 5 {
		r.write(fmt.Sprintf("f%d", i), "")
	}
	r.commit()
	f, err := newest(t, newMirror(t, Remote{URL: r.dir})).Open(".")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for {
		entries, err := f.(fs.ReadDirFile).ReadDir(2)
		n += len(entries)
		if err == io.EOF {
			break
		}
		if err != nil || len(entries) > 2 {
			t.Fatal(entries, err)
		}
	}
	if n != 5 {
		t.Errorf("%d entries", n)
	}
}

func FuzzParseTree(f *testing.F) {
	f.Add([]byte("100644 a\x0001234567890123456789"))
	f.Add([]byte("40000 b\x0001234567890123456789120000 l\x0001234567890123456789"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := parseTree(data)
		if err == nil && len(entries) > len(data)/20 {
			t.Errorf("%d entries from %d bytes", len(entries), len(data))
		}
	})
}
