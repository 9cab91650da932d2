package workdir

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
)

// with opens the course for one piece of work.
func (w *world) with(do func(c *Course) (*Plan, error)) (*Result, error) {
	w.t.Helper()
	h := w.open()
	defer h.Close()
	c, err := h.Course("scala101")
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	p, err := do(c)
	if err != nil {
		return nil, err
	}
	if err := w.fetch(c, p); err != nil {
		w.t.Fatal(err)
	}
	res, err := c.Apply(w.ctx, p)
	if err == nil {
		err = c.Told()
	}
	return res, err
}

func (w *world) undo() *Result {
	w.t.Helper()
	r, err := w.with(func(c *Course) (*Plan, error) { return c.PlanUndo(w.ctx) })
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) lastPass() Pass {
	w.t.Helper()
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
	return c.LastPass()
}

// undoStory is an update in which every verb occurs, and what it leads to.
func undoStory(t *testing.T) *world {
	w := newWorld(t)
	w.policies["slides.md"] = bundle.Replace
	w.publish("plain.txt", "p1", "merged.txt", poem, "clash.txt", poem, "gone.txt", "g1", "from.txt", "m1", "slides.md", "s1",
		"mode.sh", "x1", "back.txt", "b1", "picture.png", "\x00png1", "keep.txt", "k", "old/across.txt", poem+"x")
	w.sync()
	w.write("merged.txt", edit(poem, "two", "2"))
	w.write("clash.txt", edit(poem, "two", "mine"))
	w.write("slides.md", "my slides")
	w.write("taken.txt", "mine")
	w.write("old/across.txt", edit(poem, "two", "2")+"x")
	w.remove("back.txt")
	w.modes["mode.sh"] = 0o755
	w.renamed = map[string]string{"new/across.txt": "old/across.txt"}
	w.publish("plain.txt", "p2", "merged.txt", edit(poem, "five", "5"), "clash.txt", edit(poem, "two", "theirs"), "gone.txt", "-",
		"from.txt", "-", "to.txt", "m1", "slides.md", "s2", "picture.png", "\x00png2", "fresh.txt", "f", "taken.txt", "theirs",
		"old/across.txt", "-", "new/across.txt", edit(poem, "five", "5")+"x")
	return w
}

func TestUndoAndRedo(t *testing.T) {
	for _, later := range []time.Duration{time.Second, 48 * time.Hour} {
		w := undoStory(t)
		before := tree(t, w.path("."))
		r := w.sync()
		if !r.Complete {
			t.Fatalf("%v", r.kinds())
		}
		after := tree(t, w.path("."))
		settleFor(w, later)
		for round := range 2 {
			r := w.undo()
			got := tree(t, w.path("."))
			want := before
			delete(got, "slides (my copy).md") // a copy of mine stays
			if d := diffTrees(got, want); d != "" {
				t.Fatalf("%v, round %d: undone (%v):\n%s", later, round, r.kinds(), d)
			}
			for range 2 { // it holds
				wantEvents(t, w.sync())
			}
			got = tree(t, w.path("."))
			delete(got, "slides (my copy).md")
			if d := diffTrees(got, want); d != "" {
				t.Fatalf("%v: did not hold:\n%s", later, d)
			}
			settleFor(w, later)
			r = w.undo()
			if d := diffTrees(tree(t, w.path(".")), after); d != "" {
				t.Fatalf("%v, round %d: done again (%v):\n%s", later, round, r.kinds(), d)
			}
			wantEvents(t, w.sync())
			settleFor(w, later)
		}
	}
}

// settleFor lets time go by, with syncs that do nothing but settle.
func settleFor(w *world, d time.Duration) {
	for range 3 {
		w.now = w.now.Add(d / 3)
		w.sync()
	}
}

func TestUndoHoldsUntilTheCourseChangesThePath(t *testing.T) {
	w := undoStory(t)
	w.sync()
	w.undo()
	w.publish("plain.txt", "p3", "merged.txt", edit(poem, "five", "5", "six", "6"), "fresh.txt", "f3", "gone.txt", "g3", "to.txt", "m3")
	w.sync()
	got := tree(t, w.path("."))
	for p, want := range map[string]string{
		"plain.txt": "p3", "merged.txt": edit(poem, "two", "2", "five", "5", "six", "6"), "fresh.txt": "f3", "gone.txt": "g3", "to.txt": "m3",
		"clash.txt": edit(poem, "two", "mine"), "picture.png": "\x00png1", "taken.txt": "mine",
	} {
		if got[p] != want {
			t.Errorf("%s: %q, want %q", p, got[p], want)
		}
	}
}

func TestSyncAllEndsTheHold(t *testing.T) {
	w := undoStory(t)
	w.sync()
	after := tree(t, w.path("."))
	w.undo()
	w.how.All = true
	w.sync()
	got := tree(t, w.path("."))
	for _, p := range []string{"plain.txt", "merged.txt", "clash.txt", "to.txt", "slides.md", "mode.sh", "back.txt", "picture.png", "fresh.txt", "new/across.txt"} {
		if got[p] != after[p] {
			t.Errorf("%s: %q, want %q", p, got[p], after[p])
		}
	}
	for _, p := range []string{"gone.txt", "from.txt", "old/across.txt"} {
		if _, there := got[p]; there {
			t.Errorf("%s is there", p)
		}
	}
	w.how.All = false
	wantEvents(t, w.sync())
}

func TestUndoLeavesWhatTheStudentDidSince(t *testing.T) {
	w := undoStory(t)
	w.sync()
	w.write("plain.txt", "mine by now")
	w.remove("fresh.txt")
	wantEvents(t, w.undo(), "not_undone fresh.txt", "not_undone plain.txt")
	if got := tree(t, w.path(".")); got["plain.txt"] != "mine by now" || got["picture.png"] != "\x00png1" {
		t.Fatalf("%v", got)
	}
}

func TestNothingToUndo(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one")
	w.sync()
	w.sync()
	if _, err := w.with(func(c *Course) (*Plan, error) { return c.PlanUndo(w.ctx) }); !errors.Is(err, ErrNothingToUndo) {
		t.Fatalf("the first delivery can be undone: %v", err)
	}
}

func TestWithdrawnIsNeverBroughtBack(t *testing.T) {
	w := newWorld(t)
	w.publish("solution.txt", "secret", "a.txt", "one")
	w.sync()
	w.withdraw = []bundle.Pair{{Path: "solution.txt", Digest: bundle.Sum([]byte("secret"))}}
	w.publish("solution.txt", "-", "a.txt", "two")
	w.sync()
	w.undo()
	w.has("a.txt", "one")
	for p, text := range tree(t, w.root) {
		if strings.Contains(text, "secret") {
			t.Errorf("%s: %q", p, text)
		}
	}
}

func TestRestoreAll(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one", "b.txt", "two", "c.txt", "three")
	w.sync()
	w.write("a.txt", "mine")
	w.remove("b.txt")
	r, err := w.with(func(c *Course) (*Plan, error) { return c.PlanRestore(w.ctx, w.newest()) })
	if err != nil {
		t.Fatal(err)
	}
	wantEvents(t, r, "restored a.txt | a (my copy).txt", "restored b.txt")
	w.has("a.txt", "one", "a (my copy).txt", "mine", "b.txt", "two", "c.txt", "three")
}

func TestRestoreAVersion(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one", "p.png", "\x00one")
	w.sync()
	w.publish("a.txt", "two", "p.png", "\x00two")
	w.sync()
	w.version = 6
	w.publish("a.txt", "seven")
	w.sync()
	at := func(path string, v bundle.Version) (was bundle.Version, err error) {
		_, err = w.with(func(c *Course) (p *Plan, err error) {
			p, was, err = c.PlanRestoreVersion(w.ctx, w.newest(), path, v)
			return p, err
		})
		return was, err
	}
	for _, c := range []struct {
		ask, get bundle.Version
		text     string
	}{{1, 1, "one"}, {5, 2, "two"}, {7, 7, "seven"}, {2, 2, "two"}} {
		if got, err := at("a.txt", c.ask); err != nil || got != c.get {
			t.Fatalf("version %d: %d, %v", c.ask, got, err)
		}
		w.has("a.txt", c.text, "p.png", "\x00two")
		wantEvents(t, w.sync()) // it stays so
		w.has("a.txt", c.text, "p.png", "\x00two")
	}
	if _, err := at("a.txt", 0); !errors.Is(err, ErrNoVersion) {
		t.Fatalf("version 0: %v", err)
	}
	settleFor(w, 3*time.Hour)
	os.RemoveAll(w.root + "/.satchel/scala101/base")
	if _, err := at("a.txt", 1); !errors.Is(err, ErrNoVersion) {
		t.Fatalf("its bytes are gone: %v", err)
	}
	w.publish("a.txt", "eight")
	w.sync()
	w.has("a.txt", "eight", "p.png", "\x00two")
}

// What was no longer the course's before an undo is not so after the redo.
func TestRedoOfWhatTheCourseHadDropped(t *testing.T) {
	w := newWorld(t)
	w.policies["o.txt"] = bundle.Once
	w.publish("keep.txt", "k")
	w.sync()
	w.publish("o.txt", "once")
	w.sync()
	w.undo()
	w.undo()
	w.publish("o.txt", "-")
	w.sync()
	w.undo()
	w.has("keep.txt", "k")
	w.sync()
	w.undo()
	w.has("keep.txt", "k", "o.txt", "once")
	wantEvents(t, w.sync())
	if e := w.entry("o.txt"); e != nil {
		t.Errorf("recorded: %+v", e)
	}
}

// What an undo took back comes again when the student asks for all, also the
// copy beside their own file.
func TestAllBringsTheCopyBesideAgain(t *testing.T) {
	w := newWorld(t)
	w.publish("keep.txt", "k")
	w.sync()
	w.write("new.txt", "mine")
	w.publish("new.txt", "theirs")
	wantEvents(t, w.sync(), "in_the_way new.txt | new (course v2).txt")
	w.undo()
	w.has("keep.txt", "k", "new.txt", "mine")
	w.how.All = true
	wantEvents(t, w.sync(), "in_the_way new.txt | new (course v2).txt")
	w.has("keep.txt", "k", "new.txt", "mine", "new (course v2).txt", "theirs")
	w.how.All = false
	wantEvents(t, w.sync())
}

// A folder that is empty after an undo goes at once, also where another file
// could not be brought back into it.
func TestAnUndoLeavesNoEmptyFolder(t *testing.T) {
	w := newWorld(t)
	w.publish("d/gone.bin", "\x00gone", "d/x.txt", "x", "keep.txt", "k")
	w.sync()
	w.remove("d/x.txt")
	w.publish("d/gone.bin", "-", "d/x.txt", "x2")
	wantEvents(t, w.sync(), "returned d/x.txt")
	for _, name := range []string{"kept", "hold"} { // as after some weeks
		if err := os.RemoveAll(w.own(name)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := w.with(func(c *Course) (*Plan, error) {
		p, err := c.PlanUndo(w.ctx)
		if err == nil {
			p.wanted = nil
		}
		return p, err
	})
	if err != nil {
		t.Fatal(err)
	}
	wantEvents(t, r, "not_undone d/gone.bin")
	w.has("keep.txt", "k")
}
