package source

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"satchel/internal/sshgit"
)

func TestBefore(t *testing.T) {
	r := newRepo(t)
	r.write("n/old.txt", "old")
	r.write("n/same.txt", "same")
	r.write("top.txt", "not in the folder")
	first := r.commit()
	r.git("rm", "-q", "n/old.txt")
	r.write("n/new.txt", "new")
	r.write("other/x", "x")
	r.commit()
	r.git("checkout", "-q", "--orphan", "elsewhere")
	r.git("rm", "-q", "-rf", ".")
	r.write("x", "no folder n here")
	elsewhere := r.commit()
	r.git("checkout", "-q", "main")
	for name, remote := range bothWays(t, r) {
		t.Run(name, func(t *testing.T) {
			remote.Folder = "n"
			tree := newest(t, newMirror(t, remote))
			was, err := tree.Before(first)
			if err != nil {
				t.Fatal(err)
			}
			for path, want := range map[string]string{"old.txt": "old", "same.txt": "same", "new.txt": "", "top.txt": "", "../top.txt": ""} {
				data, err := fs.ReadFile(was, path)
				if string(data) != want || (err == nil) != (want != "") {
					t.Errorf("before, %s held %q, %v", path, data, err)
				}
			}
			if _, err := fs.ReadFile(tree, "old.txt"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the tree itself changed: %v", err)
			}
			for _, wrong := range []string{elsewhere, strings.Repeat("ab", 20), "main", "", first[:39]} {
				if was, err := tree.Before(wrong); err == nil {
					t.Errorf("%q gave %v", wrong, was)
				}
			}
			if data, err := fs.ReadFile(tree, "new.txt"); string(data) != "new" {
				t.Errorf("afterwards, the tree reads %q, %v", data, err)
			}
		})
	}
}

// TestBeforeAsksNobody: a look at a former commit neither fetches it nor has
// the mirror replaced where it is not whole.
func TestBeforeAsksNobody(t *testing.T) {
	r := newRepo(t)
	r.write("old.txt", noise(2_000_000))
	first := r.commit()
	h := serve(t, r, sshgit.Options{})
	m := newMirror(t, h.remote)
	newest(t, m)
	r.git("rm", "-q", "old.txt")
	r.write("new.txt", "new")
	r.commit()
	tree := newest(t, m)
	h.Close()
	was, err := tree.Before(first)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.Before(strings.Repeat("ab", 20)); err == nil {
		t.Error("a commit that nobody has")
	}
	clone := m.newestClone()
	packs, _ := filepath.Glob(filepath.Join(clone.packDir(), "*.pack"))
	for _, p := range packs {
		if i, err := os.Stat(p); err == nil && i.Size() > 1_000_000 {
			os.Chmod(p, 0o600)
			spoil(t, p, 2000, 100_000)
		}
	}
	if data, err := fs.ReadFile(was, "old.txt"); err == nil {
		t.Errorf("a damaged content was given, %d bytes", len(data))
	}
	if m.newestClone() == nil {
		t.Error("the mirror counts as damaged, for a content that nobody needs")
	}
}
