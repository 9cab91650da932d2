package syncer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/store"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// purge takes out of the repository what the branch does not lead to.
func (r *gitRepo) purge() {
	r.t.Helper()
	r.git("reflog", "expire", "--expire=now", "--all")
	r.git("gc", "-q", "--prune=now")
}

// rewritten is a site of three versions, whose branch then was pushed anew,
// with force, and whose former commits are gone.
func rewritten(t *testing.T) (*site, *Syncer) {
	s := newSite(t)
	y := s.syncer()
	for _, text := range []string{"one", "two", "three"} {
		s.repo.commit(files{"a.txt": text, "deep/er/only-in-" + text: text, "deep/same": text, "b.txt": "b", "exam.txt": "exam", "leak.txt": "secret of " + text})
		s.sync(y)
	}
	s.repo.git("checkout", "-q", "--orphan", "anew")
	s.repo.commit(files{"a.txt": "four", "b.txt": "b", ".satchel.yaml": "hide: [exam.txt]\nmessage: today\n"})
	s.repo.git("branch", "-q", "-M", "anew", "main")
	s.repo.purge()
	s.sync(y, Request{Who: "ana", ConfirmShrink: true})
	return s, y
}

// A commit that is gone after a push with force is not needed: the store has
// what was published of it, and today's rules hold.
func TestRollbackToACommitThatIsGone(t *testing.T) {
	s, _ := rewritten(t)
	for _, v := range []bundle.Version{2, 1, 3} {
		y := s.syncer()
		out, err := s.command(y, s.rollback, Command{Version: v})
		if err != nil || !out.Published || len(out.Notes) == 0 || !strings.Contains(out.Notes[0], "out of the store") {
			t.Fatalf("to %d: %+v, %v", v, out, err)
		}
		text := []string{"one", "two", "three"}[v-1]
		w := s.want(out.Version, files{"a.txt": text, "deep/er/only-in-" + text: text, "deep/same": text, "b.txt": "b", "leak.txt": "secret of " + text})
		if w.record.Pinned == nil || w.record.Pinned.Version != v || w.head.Message != "today" {
			t.Errorf("%+v, message %q", w.record.Pinned, w.head.Message)
		}
		if left, _ := filepath.Glob(filepath.Join(y.o.StateDir, "build", "*")); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
}

// Also where full bundles came, and the steps before them are slim.
func TestRollbackOutOfTheStoreAfterAFullBundle(t *testing.T) {
	s, y := rewritten(t)
	for i := range 5 {
		s.repo.commit(files{"a.txt": strings.Repeat("five", i+1), "b.txt": "b"})
		s.sync(y)
		s.compact(y)
	}
	if _, err := store.Prune(t.Context(), testLog(t), s.st, "scala101", time.Now().Add(48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.command(s.syncer(), s.rollback, Command{Version: 2}); err != nil {
		t.Fatal(err)
	}
	if v := s.view(); v.files["a.txt"] != "two" || v.files["deep/er/only-in-two"] != "two" {
		t.Errorf("%q", v.files)
	}
}

// What was withdrawn since stays out, and its deletion takes nothing else.
func TestRollbackOutOfTheStoreAfterAWithdrawal(t *testing.T) {
	s, y := rewritten(t)
	if w, err := s.withdraw(y, Command{Path: "leak.txt"}); err != nil || w.Deleted == 0 {
		t.Fatalf("%+v, %v", w, err)
	}
	for _, v := range []bundle.Version{2, 1} {
		if _, err := s.command(s.syncer(), s.rollback, Command{Version: v}); err != nil {
			t.Fatal(err)
		}
		text := []string{"one", "two"}[v-1]
		if got := s.view().files; got["leak.txt"] != "" || s.stored()["secret of "+text] || got["a.txt"] != text || got["deep/same"] != text {
			t.Errorf("%q", got)
		}
	}
}

// Where the store does not tell it either, the refusal says what can be had.
func TestRollbackThatCannotBeHadSaysWhatCan(t *testing.T) {
	s, y := rewritten(t)
	c := s.c
	if _, err := y.Repair(t.Context(), &c, Command{Course: "scala101", Who: "ana"}); err != nil {
		t.Fatal(err) // and the history of what was is gone
	}
	_, err := s.command(s.syncer(), s.rollback, Command{Version: 2})
	if r := isRefusal(err); r == nil || r.Cause != Gone || !strings.Contains(r.Sentence, "no longer in the repository") || !strings.Contains(r.Sentence, "What can be had is version 4;") {
		t.Errorf("%v", err)
	}
	if v := s.view(); v.version != 5 || v.record.Pinned != nil {
		t.Errorf("%+v", v.record)
	}
}

// A store that was written into gives nothing that the signed head does not
// know, and a head that others signed is none.
func TestRollbackTakesNothingForeignOutOfTheStore(t *testing.T) {
	s, y := rewritten(t)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "a.txt"), []byte("evil"), 0o644))
	m := &bundle.Manifest{Files: []bundle.File{{Path: "a.txt", Mode: 0o644, Size: 4, Digest: bundle.Sum([]byte("evil")), Policy: bundle.Merge}}}
	var h bundle.History
	h, _ = h.Add(bundle.Former{Path: "a.txt", Digest: bundle.Sum([]byte("evil"))})
	m.History = h.Digest()
	evil, err := bundle.Build(t.Context(), t.TempDir(), bundle.Spec{Course: "scala101", Channel: "zzzz", To: 2, Manifest: m, Former: h}, os.DirFS(dir))
	must(t, err)
	must(t, store.PutBundle(t.Context(), s.st, "scala101", evil.Digest, evil.File))
	s.clock.add(time.Second)
	e := store.Entry{Time: s.clock.Now(), Action: "publish", Who: "syncer", Version: 2, Commit: strings.Repeat("a", 40), Bundles: []bundle.Digest{evil.Digest}}
	must(t, store.WriteEntry(t.Context(), s.st, "scala101", "zzz", e))
	_, err = s.command(y, s.rollback, Command{Version: 2})
	if r := isRefusal(err); r == nil || r.Cause != Gone || !strings.Contains(r.Sentence, "does not know") || !strings.Contains(r.Sentence, "What can be had is version 3, 1;") {
		t.Errorf("%v", err)
	}
	if s.view().files["a.txt"] != "four" {
		t.Error("it was published")
	}
}
