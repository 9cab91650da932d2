package source

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"satchel/internal/sshgit"
)

func TestFirstCloneAndUpdates(t *testing.T) {
	r := newRepo(t)
	r.write("README.md", "top\n")
	r.write("notebooks/lab1.ipynb", strings.Repeat("{}\n", 20_000))
	r.write("notebooks/data/big.bin", noise(3<<20))
	r.commit()
	h := serve(t, r, sshgit.Options{})
	h.remote.Folder = "notebooks/"
	m := newMirror(t, h.remote)
	r.sameAs(newest(t, m), "notebooks")

	r.write("notebooks/lab1.ipynb", strings.Repeat("{}\n", 20_000)+"changed\n")
	r.commit()
	r.sameAs(newest(t, m), "notebooks")
	if packs, _, _ := m.newestClone().weigh(); packs != 2 {
		t.Errorf("%d packs after one update, want 2: it was cloned anew", packs)
	}
	if h.remote.URL == "" || m.Watch() != "" {
		t.Errorf("Watch of a remote repository is %q", m.Watch())
	}
}

// The ways in which a branch can move without going forward.
func TestRewrittenHistory(t *testing.T) {
	r := newRepo(t)
	r.write("a.txt", "one\n")
	first := r.commit()
	r.write("a.txt", "two\n")
	r.write("b.bin", noise(100_000))
	second := r.commit()
	m := newMirror(t, serve(t, r, sshgit.Options{}).remote)
	newest(t, m)

	moves := []struct {
		name string
		do   func()
	}{
		{"a force-push to a former commit", func() { r.git("reset", "-q", "--hard", first) }},
		{"an amended commit", func() { r.write("a.txt", "three\n"); r.git("add", "-A"); r.git("commit", "-q", "--amend", "-m", "x") }},
		{"back to what was thrown away", func() { r.git("reset", "-q", "--hard", second) }},
		{"a file restored to an old version", func() { r.git("checkout", "-q", first, "--", "a.txt"); r.commit() }},
		{"a history with another root", func() {
			r.git("checkout", "-q", "--orphan", "other")
			r.git("branch", "-q", "-D", "main")
			r.git("branch", "-q", "-m", "main")
			r.write("c.txt", "new world\n")
			r.commit()
		}},
		{"an empty tree", func() { r.git("rm", "-rq", "."); r.commit() }},
		{"a merge of unrelated histories", func() {
			r.git("merge", "-q", "--allow-unrelated-histories", "-m", "merged", second)
		}},
	}
	for _, move := range moves {
		t.Run(move.name, func(t *testing.T) {
			// The server keeps a bitmap, as the big hosts do: it decides by
			// reachability what we have.
			move.do()
			r.git("repack", "-qadb")
			r.sameAs(newest(t, m), ".")
		})
	}
	if n := len(m.cloneFolders()); n != 1 || m.newestClone().dir != filepath.Join(m.dir, "clone-000001") {
		t.Errorf("there are %d clones; all of this needs no second one", n)
	}
}

func TestACommitThatIsGone(t *testing.T) {
	r := newRepo(t)
	first := r.commit()
	m := newMirror(t, serve(t, r, sshgit.Options{}).remote)
	tip, err := m.Tip(t.Context())
	if err != nil || tip != first {
		t.Fatal(tip, err)
	}
	r.git("commit", "-q", "--amend", "--allow-empty", "-m", "rewritten")
	if _, err := m.At(t.Context(), first); !errors.Is(err, ErrMoved) {
		t.Errorf("got %v, want ErrMoved", err)
	}
	newest(t, m)
	if _, err := m.At(t.Context(), "HEAD"); err == nil {
		t.Error("HEAD was taken for a commit")
	}
}

func TestSeveralFetchAtOnce(t *testing.T) {
	r := newRepo(t)
	r.write("a.bin", noise(200_000))
	r.commit()
	h := serve(t, r, sshgit.Options{})
	dir := filepath.Join(t.TempDir(), "mirror")
	var wg sync.WaitGroup
	for range 3 {
		m := mirrorIn(t, dir, h.remote) // as of another process
		for range 2 {
			wg.Go(func() {
				tip, err := m.Tip(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				tree, err := m.At(t.Context(), tip)
				if err != nil {
					t.Error(err)
					return
				}
				defer tree.Close()
				if err := readAll(tree, "a.bin"); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	m := mirrorIn(t, dir, h.remote)
	if packs, _, _ := m.newestClone().weigh(); packs != 1 || len(m.cloneFolders()) != 1 {
		t.Errorf("%d packs in %d clones, want 1 in 1", packs, len(m.cloneFolders()))
	}
}

// A commit that is here already costs no connection, and waits for none.
func TestWhatIsHereNeedsNoServer(t *testing.T) {
	r := newRepo(t)
	r.write("a.txt", "a\n")
	commit := r.commit()
	h := serve(t, r, sshgit.Options{})
	m := newMirror(t, h.remote)
	newest(t, m)
	h.Close()
	r.sameAs(at(t, m, commit), ".")
	r.sameAs(at(t, mirrorIn(t, m.dir, h.remote), commit), ".")
}

func TestWornMirrorIsClonedAnew(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	r.write("a.txt", "0\n")
	r.commit()
	m := newMirror(t, serve(t, r, sshgit.Options{}).remote)
	for i := range maxPacks + 1 {
		r.write("a.txt", strings.Repeat("x", i+1))
		r.commit()
		newest(t, m).Close()
	}
	old := newest(t, m) // still read while the fresh clone comes
	first := m.newestClone().dir
	r.write("a.txt", "last\n")
	r.commit()
	r.sameAs(newest(t, m), ".")
	c := m.newestClone()
	if packs, _, _ := c.weigh(); packs != 1 || c.dir == first {
		t.Errorf("%d packs in %s, want a fresh clone", packs, c.dir)
	}
	if _, err := os.Stat(first); err != nil {
		t.Errorf("a clone that is being read was removed: %v", err)
	}
	r.sameAs(old, ".")
	old.Close()
	r.write("a.txt", "after\n")
	r.commit()
	newest(t, m)
	if dirs := m.cloneFolders(); len(dirs) != 1 || dirs[0] != c.dir {
		t.Errorf("the clones are %v, want only %s", dirs, c.dir)
	}
}

func TestMirrorOfAnotherRepositoryIsNotUsed(t *testing.T) {
	a, b := newRepo(t), newRepo(t)
	a.write("a.txt", "a\n")
	a.commit()
	b.write("b.txt", "b\n")
	b.commit()
	h := serve(t, a, sshgit.Options{Repos: map[string]string{"/a.git": a.dir, "/b.git": b.dir}})
	dir := filepath.Join(t.TempDir(), "mirror")
	h.remote.URL = h.URL("/a.git")
	tree := newest(t, mirrorIn(t, dir, h.remote))
	a.sameAs(tree, ".")
	tree.Close()
	h.remote.URL = h.URL("/b.git")
	m := mirrorIn(t, dir, h.remote)
	b.sameAs(newest(t, m), ".")
	if dirs := m.cloneFolders(); len(dirs) != 1 || filepath.Base(dirs[0]) != "clone-000002" {
		t.Errorf("the clones are %v, want only a second one", dirs)
	}
}

func TestAnotherBranchOfTheSameMirror(t *testing.T) {
	r := newRepo(t)
	r.write("a.txt", "a\n")
	r.commit()
	r.git("branch", "2026/spring")
	r.write("a.txt", "b\n")
	r.commit()
	h := serve(t, r, sshgit.Options{})
	m := newMirror(t, h.remote)
	newest(t, m)
	h.remote.Branch = "2026/spring"
	tree := newest(t, mirrorIn(t, m.dir, h.remote))
	if got := contents(t, tree)["a.txt"]; got != "a\n" {
		t.Errorf("a.txt is %q", got)
	}
}

func TestKeysAreTriedInOrder(t *testing.T) {
	r := newRepo(t)
	r.commit()
	fresh, freshPublic := newKeyFile(t, "new")
	old, oldPublic := newKeyFile(t, "old")
	stranger, _ := newKeyFile(t, "stranger")
	of := func(repo string, key ssh.PublicKey) bool { // as on hosts whose keys belong to one repository
		return string(key.Marshal()) == string(oldPublic.Marshal()) || repo == "/other.git"
	}
	h := serve(t, r, sshgit.Options{
		Repos: map[string]string{"/school/course.git": r.dir, "/other.git": r.dir},
		Keys:  []ssh.PublicKey{freshPublic, oldPublic},
		May:   func(key ssh.PublicKey, repo string) bool { return of(repo, key) },
	})
	for name, c := range map[string]struct {
		files []string
		works bool
		kind  Kind
		says  []string
	}{
		"the first":                                     {[]string{old, stranger}, true, "", nil},
		"the second, the first is unknown":              {[]string{stranger, old}, true, "", nil},
		"the second, the first is another repository's": {[]string{fresh, old}, true, "", nil},
		"the second, the first is not there":            {[]string{absent, old}, true, "", nil},
		"none is known":                                 {[]string{stranger}, false, DeployKey, []string{"paste its public half as a read-only deploy key", "SHA256:", stranger}},
		"known, but another repository's":               {[]string{stranger, fresh}, false, Repository, []string{"Repository not found", "SHA256:", fresh}},
		"none can be read":                              {[]string{absent}, false, DeployKey, []string{absent, "is not there"}},
		"none is set":                                   {nil, false, DeployKey, []string{"deploy_key_file"}},
	} {
		t.Run(name, func(t *testing.T) {
			h.remote.KeyFiles = c.files
			var log bytes.Buffer
			m := newMirror(t, h.remote)
			m.lg = bufferLogger(&log)
			_, err := m.Tip(t.Context())
			if !c.works {
				fails(t, err, c.kind, c.says...)
			} else if err != nil {
				t.Error(err)
			} else if !strings.Contains(log.String(), old) {
				t.Errorf("the log does not say which key worked: %s", &log)
			}
			for _, file := range c.files { // what a key file holds is nowhere
				if data, readErr := os.ReadFile(file); readErr == nil && strings.Contains(log.String(), strings.Split(string(data), "\n")[2]) {
					t.Error("the log holds the key")
				}
			}
		})
	}
}
