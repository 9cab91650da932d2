//go:build e2e

package workdir

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// These mount small filesystems in memory. Each runs in a process of its own,
// which is root in its own user namespace: the kernel lets that one mount, and
// takes the mounts away with it.

const inside = "WORKDIR_NAMESPACE"

// inNamespace says whether this process may mount. Where it may not, the test
// is run in one that may, and its result is taken over.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.v", "-test.count=1", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("in a namespace of its own (needs user namespaces): %v\n%s", err, out)
	}
	return false
}

func mountTmpfs(t *testing.T, dir, options string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
}

func TestTheCoursesFolderIsAFilesystemOfItsOwn(t *testing.T) {
	if !inNamespace(t) {
		return // it ran there
	}
	w := newWorld(t)
	mountTmpfs(t, w.path("."), "size=200m")
	w.policies["s.md"] = "replace"
	w.publish("a.txt", "one", "hw/b.txt", "b1", "s.md", "s1", "gone.txt", "g")
	w.sync()
	w.write("hw/b.txt", "mine")
	w.write("s.md", "mine too")
	w.publish("a.txt", "two", "hw/b.txt", "b2", "s.md", "s2", "gone.txt", "-")
	wantEvents(t, w.sync(), "same_lines hw/b.txt | hw/b (course v2).txt", "saved s.md | s (my copy).md")
	got := tree(t, w.path("."))
	for p := range got {
		if strings.HasPrefix(p, ".satchel") {
			delete(got, p)
		}
	}
	want := map[string]string{"a.txt": "two", "hw/b.txt": "mine", "hw/b (course v2).txt": "b2", "s.md": "s2", "s (my copy).md": "mine too"}
	if d := diffTrees(got, want); d != "" {
		t.Fatal(d)
	}
	wantEvents(t, w.sync())
}

func TestARealFullDisk(t *testing.T) {
	if !inNamespace(t) {
		return // it ran there
	}
	w := newWorldAt(t, filepath.Join(t.TempDir(), "work"))
	mountTmpfs(t, w.root, "size=70m")
	w.publish("big.bin", strings.Repeat("L", 30<<20), "small.txt", "s")
	r := w.sync()
	wantEvents(t, r, "no_space big.bin")
	w.has("small.txt", "s")
}

func TestAReadOnlyHome(t *testing.T) {
	if !inNamespace(t) {
		return // it ran there
	}
	w := newWorldAt(t, filepath.Join(t.TempDir(), "work"))
	mountTmpfs(t, w.root, "size=100m")
	w.publish("a.txt", "one")
	w.sync()
	if err := syscall.Mount("", w.root, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	w.publish("a.txt", "two")
	if _, err := w.trySync(); err == nil || !strings.Contains(err.Error(), ErrReadOnly.Error()) {
		t.Fatalf("got %v", err)
	}
	w.has("a.txt", "one")
}
