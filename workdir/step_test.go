package workdir

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// step is one pass that looks only at what is new; it gives the paths that it
// looked at.
func (w *world) step() (seen []string, r *Result) {
	w.t.Helper()
	h := w.open()
	defer h.Close()
	c, err := h.Course("scala101")
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	p, err := c.Plan(w.ctx, w.newest(), w.ask, How{Step: true})
	if err == nil {
		err = w.fetch(c, p)
	}
	if err == nil {
		r, err = c.Apply(w.ctx, p)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return sortedKeys(p.facts), r
}

func TestAStepLooksOnlyAtWhatIsNew(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "a", "b.txt", "b", "c.txt", "c", "d.txt", "d", "same.txt", "c")
	w.sync()
	w.remove("a.txt")
	w.write("b.txt", "mine")
	w.publish("c.txt", "new", "d.txt", "-", "e.txt", "b")
	seen, r := w.step()
	if got := strings.Join(seen, " "); got != "b.txt c.txt d.txt e.txt" { // b.txt had what e.txt needs
		t.Errorf("it looked at %s", got)
	}
	if !r.Complete || r.Version != 2 || w.state().Version != 2 {
		t.Errorf("%+v, at version %d", *r, w.state().Version)
	}
	w.has("b.txt", "mine", "c.txt", "new", "e.txt", "b", "same.txt", "c") // nothing is new at a.txt
	wantEvents(t, w.sync(), "returned a.txt")
	w.has("a.txt", "a", "b.txt", "mine", "c.txt", "new", "e.txt", "b", "same.txt", "c")
}

// What was left to do is done, wherever that is.
func TestAStepAfterAPassThatDidNotDoAll(t *testing.T) {
	all := func(w *world) bool { seen, _ := w.step(); return slices.Contains(seen, "other.txt") }
	w := newWorld(t)
	w.publish("a.txt", poem, "other.txt", "o")
	w.sync()
	w.publish("a.txt", edit(poem, "five", "5"))
	w.how.Open = func(string) bool { return true }
	w.sync() // a.txt waits
	w.how.Open = nil
	if w.publish(); !all(w) {
		t.Error("a path waits, and not everything was looked at")
	}
	w.has("a.txt", edit(poem, "five", "5"), "other.txt", "o")
	if w.publish("new.txt", "n"); all(w) {
		t.Error("nothing waits, and everything was looked at")
	}
	os.RemoveAll(w.path(""))
	if w.publish("new.txt", "nn"); !all(w) {
		t.Error("the folder is gone, and not everything was looked at")
	}
	w.has("a.txt", edit(poem, "five", "5"), "other.txt", "o", "new.txt", "nn")
}

// What may come to lie in the hold is announced on disk, unless it is the
// course's own: nothing would say whose it is after a power cut.
func TestWhatIsAnnouncedOnDisk(t *testing.T) {
	for name, c := range map[string]struct {
		do    func(w *world)
		loose bool
	}{
		"untouched": {func(w *world) { w.publish("a.txt", "new") }, true},
		"merged":    {func(w *world) { w.write("a.txt", edit(poem, "two", "2")); w.publish("a.txt", edit(poem, "five", "5")) }, false},
		"removed":   {func(w *world) { w.publish("a.txt", "-") }, false},
		"moved":     {func(w *world) { w.publish("a.txt", "-", "z.txt", poem) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.publish("a.txt", poem)
			w.sync()
			c.do(w)
			h := w.open()
			defer h.Close()
			course, _ := h.Course("scala101")
			defer course.Close()
			p, err := course.Plan(w.ctx, w.newest(), w.ask, How{})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.fetch(course, p); err != nil {
				t.Fatal(err)
			}
			course.stage.wait()
			first := true
			w.do.before = func(op, at string) error {
				if first && slices.Contains([]string{"exchange", "move", "rename"}, op) && (at == "a.txt" || at == "z.txt" || strings.HasSuffix(at, "-out")) {
					if first = false; course.noted != c.loose {
						t.Errorf("at %s of %s: the announcement may be lost: %v", op, at, course.noted)
					}
				}
				return nil
			}
			if _, err := course.Apply(w.ctx, p); err != nil || first {
				t.Fatal(err, first)
			}
			if course.noted {
				t.Error("what was done is not brought to disk")
			}
		})
	}
}

// A page that was placed by a run that died before it recorded that is no
// page that the student changed.
func TestANoteKilledAtEachStep(t *testing.T) {
	for n := 1; ; n++ {
		w := newWorldAt(t, quickDir(t))
		place := func(text string) error {
			h := w.open()
			defer h.Close()
			_, err := h.PlaceNote(t.Context(), "What is new.md", []byte(text), isNote)
			return err
		}
		_ = place("# ours 1")
		var left atomic.Int64
		left.Store(int64(n))
		w.do = &hands{before: func(string, string) error {
			if left.Add(-1) < 0 {
				return syscall.EIO // it is dead
			}
			return nil
		}}
		_ = place("# ours 2")
		w.do = &hands{}
		if err := place("# ours 3"); err != nil {
			t.Error(err)
		}
		names, _ := os.ReadDir(w.root)
		for _, e := range names {
			if strings.Contains(e.Name(), "copy") {
				t.Errorf("step %d: %s", n, e.Name())
			}
		}
		if data, _ := os.ReadFile(w.root + "/What is new.md"); string(data) != "# ours 3" {
			t.Errorf("step %d: it says %q", n, data)
		}
		if left.Load() >= 0 {
			return
		}
	}
}

// A folder that the student deleted comes back whole: what is new in it must not
// hide that it was gone.
func TestAStepIntoAFolderThatIsGone(t *testing.T) {
	w := newWorld(t)
	w.policies["hw/once.txt"] = "once"
	w.publish("hw/a.txt", "a", "hw/deep/b.txt", "b", "hw/once.txt", "o", "x.txt", "x")
	w.sync()
	w.remove("hw/a.txt")
	w.sync() // brings it back, which it does for a file but once
	w.remove("hw")
	w.publish("hw/deep/b.txt", "b2", "hw/new/c.txt", "c")
	w.step()
	w.sync()
	w.has("hw/a.txt", "a", "hw/deep/b.txt", "b2", "hw/once.txt", "o", "hw/new/c.txt", "c", "x.txt", "x")
}

// The course's folder is gone, and is to have a name at which there is one.
func TestAStepIntoAnotherFolder(t *testing.T) {
	w := newWorld(t)
	w.policies["once.txt"] = "once"
	w.publish("a.txt", "a", "b.txt", "b", "once.txt", "o")
	w.sync()
	w.remove("a.txt")
	w.sync()
	if err := os.RemoveAll(w.path("")); err != nil {
		t.Fatal(err)
	}
	w.folder = "scala2"
	if err := os.MkdirAll(w.path(""), 0o755); err != nil {
		t.Fatal(err)
	}
	w.publish("b.txt", "b2")
	w.step()
	w.sync()
	w.has("a.txt", "a", "b.txt", "b2", "once.txt", "o")
}

// A step and the pass that follows it are one for undo.
func TestUndoAfterAStep(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "a", "b.txt", "b")
	w.sync()
	w.remove("a.txt")
	w.publish("b.txt", "b2")
	w.step()
	w.follows = w.lastPass().ID
	w.sync()
	w.has("a.txt", "a", "b.txt", "b2")
	w.follows = ""
	w.undo()
	w.has("b.txt", "b")
}

// Where names cannot be exchanged a power cut leaves no course's file missing:
// that would count as the student's deleting it.
func TestPowerCutWithoutExchange(t *testing.T) {
	for n := 1; ; n++ {
		w := storyWorld(quietTB{t}, t.TempDir(), true)
		w.publish("a.txt", "a1", "b.txt", "b1")
		w.sync()
		w.remove("a.txt")
		w.now = w.now.Add(time.Hour)
		w.sync()
		w.publish("a.txt", "a2", "b.txt", "b2")
		w.now = w.now.Add(time.Hour)
		died := w.powerCut(n)
		w.now = w.now.Add(time.Hour)
		if r := w.sync(); len(r.Events) > 0 {
			t.Errorf("cut at step %d: %v", n, r.kinds())
		}
		w.has("a.txt", "a2", "b.txt", "b2")
		if !died {
			t.Logf("%d steps", n-1)
			return
		}
	}
}

func TestPowerCutOfTheFirstDelivery(t *testing.T) {
	for n := 1; ; n++ {
		w := storyWorld(quietTB{t}, t.TempDir(), false)
		w.publish("a.txt", "a1", "hw/b.txt", "b1")
		died := w.powerCut(n)
		w.now = w.now.Add(time.Hour)
		if r := w.sync(); len(r.Events) > 0 || !r.Complete {
			t.Errorf("cut at step %d: %v", n, r.kinds())
		}
		w.has("a.txt", "a1", "hw/b.txt", "b1")
		w.publish("a.txt", "a2")
		w.sync()
		w.has("a.txt", "a2", "hw/b.txt", "b1")
		if !died {
			t.Logf("%d steps", n-1)
			return
		}
	}
}

// What is saved first in a new home would be lost with the folders above it.
func TestTheFirstSaveBringsItsFoldersToDisk(t *testing.T) {
	w := storyWorld(t, t.TempDir(), true)
	w.publish("a.txt", "a1")
	h := w.open()
	defer h.Close()
	c, err := h.Course("scala101")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	syncs, saved := 0, []int{} // in a row, before each line
	w.do.before = func(op, _ string) error {
		if op == "append" {
			saved = append(saved, syncs)
		}
		if syncs++; op != "sync" {
			syncs = 0
		}
		return nil
	}
	defer func() { w.do.before = nil }()
	for range 2 {
		if err := c.note(line{Clock: &counted{}}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := c.save(line{Clock: &counted{}}); err != nil {
			t.Fatal(err)
		}
	}
	if want := []int{0, 3, 0}; !slices.Equal(saved, want) { // the very first line comes with a new journal
		t.Errorf("%d folders were brought to disk before each line, not %d", saved, want)
	}
}

// powerCut makes a pass whose n-th step and all after it fail, and takes away
// what was not brought to disk of the journal.
func (w *world) powerCut(n int) (died bool) {
	var c *Course
	var mu sync.Mutex
	durable, at := int64(0), 0
	do, was := *w.do, w.do
	w.do = &do
	defer func() { w.do = was }()
	w.do.before = func(string, string) error {
		mu.Lock()
		defer mu.Unlock()
		if died {
			return syscall.EIO
		}
		if c != nil && !c.noted {
			durable = c.size
		}
		if at++; at == n {
			died = true
			return syscall.EIO
		}
		return nil
	}
	h, err := open(w.ctx, logger(w.t), w.root, w.now, w.do)
	if died {
		return true
	}
	if err != nil {
		w.t.Fatal(err)
	}
	c, err = h.Course("scala101")
	if err != nil {
		w.t.Fatal(err)
	}
	durable = c.size
	p, err := c.Plan(w.ctx, w.newest(), w.ask, w.how)
	if err == nil {
		err = w.fetch(c, p)
	}
	if err == nil {
		_, _ = c.Apply(w.ctx, p)
	}
	c.Close()
	h.Close()
	w.do.before = nil
	journal := filepath.Join(w.root, ".satchel/scala101/journal")
	if s, err := os.Stat(journal); died && err == nil && s.Size() > durable {
		if err := os.Truncate(journal, durable); err != nil {
			w.t.Fatal(err)
		}
	}
	return died
}
