package workdir

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// claiming is a world on a filesystem that has neither NOREPLACE nor links.
func claiming(t *testing.T) *world {
	w := newWorld(t)
	w.do = poorHands()
	w.do.noLink = true
	return w
}

// A run that dies before any step leaves no empty file that would count as
// the student's.
func TestClaimedNamesOfARunThatDied(t *testing.T) {
	for n := 1; ; n++ {
		w := claiming(t)
		w.publish("a.txt", "one", "own.txt", "theirs", "d/empty.txt", "")
		w.write("own.txt", "mine")
		died := w.cutShort(n)
		w.sync()
		w.has("a.txt", "one", "own.txt", "mine", "own (course v1).txt", "theirs", "d/empty.txt", "")
		wantEvents(t, w.sync())
		if left := w.claims(); len(left) > 0 {
			t.Errorf("step %d: notes stay: %v", n, left)
		}
		if !died {
			return
		}
	}
}

func (w *world) claims() []string {
	left, _ := filepath.Glob(filepath.Join(w.root, ".satchel", claimPrefix+"*"))
	return left
}

// Where the filesystem has no NOREPLACE, the kernel says so only of a free
// name: that a name is taken it knows by itself.
func TestTheProbeAsksForAFreeName(t *testing.T) {
	root, do := t.TempDir(), &hands{}
	h, err := openRoot(slog.New(slog.DiscardHandler), root, day, do)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	do.before = func(op, name string) error {
		if _, err := os.Lstat(filepath.Join(root, name)); op == "rename" && err != nil {
			return syscall.EINVAL
		}
		return nil
	}
	if err := h.top.probe(); err != nil || !do.noReplace {
		t.Errorf("noReplace is %v, %v", do.noReplace, err)
	}
	if left := tree(t, root); len(left) > 0 {
		t.Errorf("it leaves %v", left)
	}
}

// A note is no order: what is not empty, of another time, outside the root or
// no file stays.
func TestANoteOfAClaimTakesNothingElseAway(t *testing.T) {
	w := claiming(t)
	w.publish("a.txt", "one")
	w.sync()
	outside := filepath.Join(filepath.Dir(w.root), "outside.txt")
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	w.write("old.txt", "")
	hour := time.Now().Add(-time.Hour)
	must(os.Chtimes(w.path("old.txt"), hour, hour))
	w.write("full.txt", "mine")
	w.write("folder/in.txt", "")
	must(os.WriteFile(outside, nil, 0o644))
	must(os.Symlink(outside, w.path("link.txt")))
	must(os.Symlink(filepath.Dir(outside), w.path("up")))
	w.write("claimed.txt", "")
	names := []string{"old.txt", "full.txt", "folder", "link.txt", "up/outside.txt", "absent.txt", "absent/in.txt", "full.txt/in", "claimed.txt"}
	for i, name := range names {
		must(os.WriteFile(filepath.Join(w.root, ".satchel", claimPrefix+string(rune('a'+i))), []byte(w.folder+"/"+name), 0o600))
	}
	for i, text := range []string{"../outside.txt", outside, "", ".", strings.Repeat("x/", maxClaim), "scala//a.txt"} {
		must(os.WriteFile(filepath.Join(w.root, ".satchel", claimPrefix+string(rune('A'+i))), []byte(text), 0o600))
	}
	w.sync()
	for _, name := range []string{"old.txt", "full.txt", "folder/in.txt", "link.txt", "up", "a.txt"} {
		if _, err := os.Lstat(w.path(name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(w.path("claimed.txt")); err == nil {
		t.Error("the claimed name stays taken")
	}
	if left := w.claims(); len(left) > 0 {
		t.Errorf("notes stay: %v", left)
	}
}

// Some filesystems give each name of a file an inode of its own. A file that a
// dead run linked to its new place is known there by its content.
func TestALinkedFileWithAnotherInodeIsKnownByItsContent(t *testing.T) {
	w := newWorld(t)
	w.do = poorHands()
	w.publish("old.txt", "same")
	w.sync()
	w.publish("old.txt", "-", "new.txt", "same")
	w.do.before = func(op, name string) error {
		if op == "remove" && strings.HasSuffix(name, "-out") {
			return syscall.EIO // died after the link
		}
		return nil
	}
	w.trySync()
	w.do.before = nil
	held, _ := filepath.Glob(filepath.Join(w.root, ".satchel/scala101/hold/*-out"))
	if len(held) != 1 {
		t.Fatalf("held: %v", held)
	}
	info, err := os.Stat(held[0])
	err = errors.Join(err, os.Remove(held[0]), os.WriteFile(held[0], []byte("same"), 0o600)) // another inode
	for name, second := range map[string]string{held[0]: ".second", w.path("new.txt"): ".third"} {
		err = errors.Join(err, os.Link(name, filepath.Join(w.root, second)))
	}
	if err = errors.Join(err, os.Chtimes(held[0], info.ModTime(), info.ModTime())); err != nil {
		t.Fatal(err)
	}
	w.sync()
	w.has("new.txt", "same")
	w.sync()
	w.has("new.txt", "same")
}
