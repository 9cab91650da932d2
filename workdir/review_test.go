package workdir

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
)

// What was withdrawn after an update is not brought back by undoing that.
func TestUndoBringsBackNothingThatWasWithdrawnSince(t *testing.T) {
	w := newWorld(t)
	w.publish("solution.txt", "secret\n", "a.txt", "one")
	w.sync()
	w.publish("solution.txt", "cleaned\n", "a.txt", "two")
	w.sync()
	w.withdraw = []bundle.Pair{{Path: "solution.txt", Digest: bundle.Sum([]byte("secret\n"))}}
	w.publish()
	w.sync()
	if _, err := os.Stat(filepath.Join(w.root, ".satchel/scala101/base", bundle.Sum([]byte("secret\n")).String())); err == nil {
		t.Error("the withdrawn bytes are kept for merging")
	}
	wantEvents(t, w.undo(), "not_undone solution.txt")
	w.has("a.txt", "one", "solution.txt", "cleaned\n")
}

func TestUndoNamesWhatCannotBeHadAnyMore(t *testing.T) {
	w := newWorld(t)
	w.publish("p.png", "\x00one", "a.txt", "one")
	w.sync()
	w.publish("p.png", "\x00two", "a.txt", "two")
	w.sync()
	settleFor(w, 3*time.Hour)
	os.RemoveAll(filepath.Join(w.root, ".satchel/scala101/kept"))
	c := w.opened()
	p, err := c.PlanUndo(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Apply(w.ctx, p) // the service has only what is the newest
	if err != nil {
		t.Fatal(err)
	}
	wantEvents(t, r, "not_undone p.png")
	w.has("p.png", "\x00two", "a.txt", "one")
}

// Where the course's went beside a folder, undo takes the copy and is content.
func TestUndoOfACopyBesideAFolder(t *testing.T) {
	w := newWorld(t)
	w.publish("a", "one", "keep.txt", "k")
	w.sync()
	w.remove("a")
	w.write("a/mine.txt", "mine")
	w.publish("a", "two")
	wantEvents(t, w.sync(), "blocked a | a (course v2)")
	wantEvents(t, w.undo())
	w.has("a/mine.txt", "mine", "keep.txt", "k")
	wantEvents(t, w.sync())
	w.has("a/mine.txt", "mine", "keep.txt", "k")
}

// An undo records nothing of a path that nobody knows any more.
func TestUndoAfterThePathWasForgotten(t *testing.T) {
	w := newWorld(t)
	w.publish("keep.txt", "k")
	w.sync()
	w.write("a.txt", "mine")
	w.publish("a.txt", "theirs")
	wantEvents(t, w.sync(), "in_the_way a.txt | a (course v2).txt")
	w.publish("a.txt", "-")
	w.sync()
	wantEvents(t, w.undo())
	wantEvents(t, w.sync())
	w.has("a.txt", "mine", "keep.txt", "k")
}

// Deleting the course's folder begins all anew, also what was undone.
func TestStartingOverEndsWhatWasUndone(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one", "gone.txt", "g")
	w.sync()
	w.publish("a.txt", "two", "new.txt", "n", "gone.txt", "-")
	w.sync()
	w.undo()
	w.has("a.txt", "one", "gone.txt", "g")
	w.remove("")
	wantEvents(t, w.sync())
	w.has("a.txt", "two", "new.txt", "n")
}

// What is recognised by its bytes follows the course's permissions, too.
func TestWhatIsRecognisedFollowsTheXBit(t *testing.T) {
	w := newWorld(t)
	w.publish("run.sh", "#!\n", "data.csv", "d\n", "both.sh", "one\n")
	w.sync()
	w.modes["run.sh"], w.modes["both.sh"], w.policies["data.csv"] = 0o755, 0o755, bundle.ReadOnly
	w.write("both.sh", "two\n")
	w.publish("both.sh", "two\n")
	os.RemoveAll(filepath.Join(w.root, ".satchel"))
	wantEvents(t, w.sync())
	for p, want := range map[string]os.FileMode{"run.sh": 0o755, "both.sh": 0o755, "data.csv": 0o444} {
		if s, _ := os.Stat(w.path(p)); s.Mode().Perm() != want {
			t.Errorf("%s: %v, want %v", p, s.Mode().Perm(), want)
		}
	}
	w.write("both.sh", "three\n")
	w.modes["both.sh"] = 0o644
	w.publish("both.sh", "three\n")
	w.sync()
	if s, _ := os.Stat(w.path("both.sh")); s.Mode().Perm() != 0o644 {
		t.Errorf("both.sh: %v", s.Mode().Perm())
	}
	if r := w.sync(); r.Changed != 0 {
		t.Errorf("%+v", r)
	}
}

func TestRestoreTakesPathsInAnyOrder(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one", "b.txt", "two")
	w.sync()
	w.write("a.txt", "my one")
	w.write("b.txt", "my two")
	r, err := w.with(func(c *Course) (*Plan, error) { return c.PlanRestore(w.ctx, w.newest(), "b.txt", "a.txt", "b.txt") })
	if err != nil {
		t.Fatal(err)
	}
	wantEvents(t, r, "restored a.txt | a (my copy).txt", "restored b.txt | b (my copy).txt")
	wantEvents(t, w.sync())
	w.has("a.txt", "one", "b.txt", "two", "a (my copy).txt", "my one", "b (my copy).txt", "my two")
}

// Base bytes that no next merge needs have a bound in all; those of the next
// merge do not count.
func TestFormerBaseBytesAreBounded(t *testing.T) {
	w := newWorld(t)
	w.do.base = 400
	for v := range 6 {
		w.publish("a.txt", poem+strings.Repeat(string(rune('a'+v)), 20)+"\n", "b.txt", poem+strings.Repeat(string(rune('k'+v)), 20)+"\n")
		w.sync()
		w.now = w.now.Add(time.Minute)
	}
	total, names := 0, map[string]bool{}
	base := filepath.Join(w.root, ".satchel/scala101/base")
	all, _ := os.ReadDir(base)
	for _, e := range all {
		info, _ := e.Info()
		total += int(info.Size())
		names[e.Name()] = true
	}
	if total > 400+300 || len(all) < 4 {
		t.Errorf("%d bytes in %d files", total, len(all))
	}
	for _, text := range w.files {
		if !names[bundle.Sum([]byte(text)).String()] {
			t.Error("the next merge has no base")
		}
	}
}

// When space is short, what the next merge needs goes last.
func TestWhatTheNextMergeNeedsIsGivenUpLast(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", poem)
	w.sync()
	w.publish("a.txt", poem+"seven\n")
	w.sync()
	c := w.opened()
	for _, all := range []bool{false, true} {
		if !c.dropBase(all) || c.dropBase(all) {
			t.Fatalf("all %v: nothing was dropped, or not everything", all)
		}
		_, err := c.state.stat(baseName)
		base := c.openBase()
		if err != nil || base.has(bundle.Sum([]byte(poem+"seven\n"))) == all || base.has(bundle.Sum([]byte(poem))) {
			t.Fatalf("all %v: %v", all, err)
		}
		base.close()
	}
}

// A hint that another notebook is what became of the student's is not
// believed: theirs would end in a notebook that has nothing to do with it.
func TestAHintThatIsALie(t *testing.T) {
	w := newWorld(t)
	w.publish("hw1/a.ipynb", notebookText("x = 1\\n\",\"y = 2", ""), "keep.txt", "k")
	w.sync()
	mine := notebookText("x = 1\\n\",\"y = 2\\n\",\"mine", "")
	w.write("hw1/a.ipynb", mine)
	w.renamed = map[string]string{"exam.ipynb": "hw1/a.ipynb"}
	other := notebookText("import exam\\n\",\"exam.begin()", "")
	w.publish("hw1/a.ipynb", "-", "exam.ipynb", other)
	wantEvents(t, w.sync(), "stays hw1/a.ipynb")
	w.has("hw1/a.ipynb", mine, "exam.ipynb", other, "keep.txt", "k")
	wantEvents(t, w.sync())
}

// The course went back to an old text: an edit of the newest has nothing of
// what came between, and is no old tab for that.
func TestAnEditAfterTheCourseWentBackIsNoStaleTab(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", poem)
	w.sync()
	w.publish("a.txt", edit(poem, "five", "5"))
	w.sync()
	w.publish("a.txt", poem)
	w.sync()
	mine := edit(poem, "two", "2")
	w.write("a.txt", mine)
	w.sync()
	if e := w.entry("a.txt"); len(e.Merges) == 0 {
		t.Fatal("it was taken for an old text")
	}
	w.has("a.txt", mine)
}

// An old text was saved over a merge and clashes: that is said once.
func TestAStaleTabThatClashesIsSaidOnce(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", poem)
	w.sync()
	w.publish("a.txt", edit(poem, "five", "5"))
	w.sync()
	mine := edit(poem, "four", "four, mine")
	w.write("a.txt", mine)
	wantEvents(t, w.sync(), "same_lines a.txt | a (course v2).txt")
	for range 3 {
		wantEvents(t, w.sync())
	}
	w.has("a.txt", mine, "a (course v2).txt", edit(poem, "five", "5"))
}

// While once holds, the base stays what was delivered: when the policy changes,
// an untouched file is untouched, and an edited one is merged.
func TestOnceIsTakenBack(t *testing.T) {
	w := newWorld(t)
	w.policies["a.txt"], w.policies["b.txt"] = bundle.Once, bundle.Once
	w.publish("a.txt", poem, "b.txt", poem)
	w.sync()
	w.write("b.txt", edit(poem, "two", "2"))
	w.publish("a.txt", edit(poem, "five", "5"), "b.txt", edit(poem, "five", "5"))
	wantEvents(t, w.sync())
	wantEvents(t, w.sync())
	w.has("a.txt", poem, "b.txt", edit(poem, "two", "2"))
	w.policies = map[string]bundle.Policy{}
	w.publish()
	wantEvents(t, w.sync(), "merged b.txt")
	w.has("a.txt", edit(poem, "five", "5"), "b.txt", edit(poem, "two", "2", "five", "5"))
}

// An undo that only changed what is recorded is one too: the next does it again.
func TestUndoOfWhatChangedNoFile(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one", "keep.txt", "k")
	w.sync()
	w.remove("a.txt")
	os.Symlink("nowhere", w.path("a.txt"))
	w.publish("a.txt", "two")
	wantEvents(t, w.sync(), "blocked a.txt | a (course v2).txt")
	for range 2 {
		w.undo()
		wantEvents(t, w.sync())
		w.has("a.txt", "-> nowhere", "keep.txt", "k")
		w.undo()
		wantEvents(t, w.sync())
		w.has("a.txt", "-> nowhere", "a (course v2).txt", "two", "keep.txt", "k")
	}
}

// Under the policy once the newest is another than what was delivered: what is
// taken back holds against that.
func TestUndoHoldsUnderOnce(t *testing.T) {
	w := newWorld(t)
	w.policies["a.sh"] = bundle.Once
	w.publish("a.sh", "one", "b.txt", "one")
	w.sync()
	w.publish("a.sh", "two")
	w.sync()
	w.modes["a.sh"] = 0o755
	w.publish("b.txt", "two")
	w.sync()
	w.undo()
	for range 2 {
		if r := w.sync(); r.Changed != 0 || len(r.Events) != 0 {
			t.Fatalf("%+v", r)
		}
	}
	if s, _ := os.Stat(w.path("a.sh")); s.Mode().Perm() != 0o644 {
		t.Fatalf("%v", s.Mode())
	}
}

// A version that is brought back has the newest permissions.
func TestARestoredVersionFollowsTheMode(t *testing.T) {
	w := newWorld(t)
	w.publish("a.sh", "one", "b.txt", "one")
	w.sync()
	w.modes["a.sh"] = 0o755
	w.publish("b.txt", "two")
	w.sync()
	w.undo()
	w.write("a.sh", "mine")
	r, err := w.with(func(c *Course) (*Plan, error) {
		p, _, err := c.PlanRestoreVersion(w.ctx, w.newest(), "a.sh", 1)
		return p, err
	})
	if err != nil {
		t.Fatal(err)
	}
	wantEvents(t, r, "restored a.sh | a.sh (my copy)")
	if s, _ := os.Stat(w.path("a.sh")); s.Mode().Perm() != 0o755 {
		t.Errorf("%v", s.Mode())
	}
	if r := w.sync(); r.Changed != 0 {
		t.Errorf("%+v", r)
	}
}

// An exchange that was not recorded is over once the next run sees its file in
// place: when the course drops the path, what came out does not come back.
func TestWhatADeadRunExchangedOutStaysOut(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one", "keep.txt", "k")
	w.sync()
	w.publish("a.txt", "two")
	exchanged := false
	w.do.before = func(op, name string) error {
		if exchanged = exchanged || op == "exchange" && name == "a.txt"; exchanged && op == "append" {
			return os.ErrClosed // it is dead
		}
		return nil
	}
	if _, err := w.trySync(); err == nil {
		t.Fatal("it lived")
	}
	w.do.before = nil
	w.sync()
	w.has("a.txt", "two", "keep.txt", "k")
	w.publish("a.txt", "-")
	for range 3 {
		w.sync()
		w.has("keep.txt", "k")
	}
}

// What was undone is not taken for what the newest version has.
func TestRestoreAVersionOfWhatWasUndone(t *testing.T) {
	for _, c := range []struct {
		v    bundle.Version
		text string
	}{{1, "one"}, {2, "two"}, {3, "two"}} {
		w := newWorld(t)
		w.publish("a.txt", "one")
		w.sync()
		w.publish("a.txt", "two")
		w.sync()
		w.undo()
		w.version = 3
		w.sync()
		if _, err := w.with(func(c2 *Course) (*Plan, error) {
			p, _, err := c2.PlanRestoreVersion(w.ctx, w.newest(), "a.txt", c.v)
			return p, err
		}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			w.has("a.txt", c.text)
			w.sync()
		}
	}
}

func (w *world) entry(p string) *Entry {
	h, err := Look(logger(w.t), w.root, w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	defer h.Close()
	c, err := h.Course("scala101")
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	return c.rec.files[p]
}

// A merge that is made once more, for an old tab or for late bytes, leaves the
// path's history as it was.
func TestAMergeMadeAgainKeepsTheHistory(t *testing.T) {
	for _, late := range []bool{false, true} {
		w := newWorld(t)
		w.publish("a.txt", poem)
		w.sync()
		mine := edit(poem, "two", "2")
		w.write("a.txt", mine)
		editor, err := os.OpenFile(w.path("a.txt"), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		w.publish("a.txt", edit(poem, "five", "5"))
		w.sync()
		before := w.entry("a.txt")
		if late {
			editor.WriteString(mine + "late\n")
			w.now = w.now.Add(11 * time.Minute)
		} else {
			w.write("a.txt", edit(mine, "one", "1"))
		}
		editor.Close()
		wantEvents(t, w.sync(), "merged a.txt")
		after := w.entry("a.txt")
		if !slices.Equal(before.Past, after.Past) || before.Since != after.Since || before.Digest != after.Digest {
			t.Errorf("late %v: %+v, then %+v", late, before, after)
		}
	}
}

// The student makes the course's folder in the moment in which it is made.
func TestTheFolderComesMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one")
	w.do.before = func(op, name string) error {
		if op == "mkdir" && name == "scala" {
			os.Mkdir(w.path(""), 0o755)
		}
		return nil
	}
	if r := w.sync(); !r.Complete {
		t.Fatalf("%+v", r)
	}
	w.has("a.txt", "one")
}

// An undo that dies between putting a file back and recording it has undone
// that file: the next sync holds it.
func TestAnUndoThatDiesIsRecordedByTheNextSync(t *testing.T) {
	w := newWorld(t)
	w.publish("p.png", "\x00one", "a.txt", "one")
	w.sync()
	w.publish("p.png", "\x00two")
	w.sync()
	h := w.open()
	c, _ := h.Course("scala101")
	p, err := c.PlanUndo(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(w.ctx)
	exchanged := false
	w.do.before = func(op, name string) error {
		if exchanged = exchanged || op == "exchange"; exchanged && op == "append" {
			return os.ErrClosed // it is dead
		}
		return nil
	}
	if _, err := c.Apply(ctx, p); err == nil {
		t.Fatal("it lived")
	}
	stop()
	c.Close()
	h.Close()
	w.do.before = nil
	wantEvents(t, w.sync())
	w.has("p.png", "\x00one", "a.txt", "one")
	if !w.entry("p.png").Held.held() {
		t.Fatal("it is not held")
	}
}
