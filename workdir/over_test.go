package workdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// session is a pass while the student works, and start one at a start; an hour
// lies before each.
func (w *world) session() *Result { return w.hourLater(Session) }
func (w *world) start() *Result   { return w.hourLater(Start) }

func (w *world) hourLater(m Mode) *Result {
	w.t.Helper()
	w.now, w.how.Mode = w.now.Add(time.Hour), m
	return w.sync()
}

// noFolder says that the course's folder is not there.
func (w *world) noFolder() {
	w.t.Helper()
	if _, err := os.Lstat(w.path("")); !errors.Is(err, fs.ErrNotExist) {
		w.t.Fatalf("the folder is there: %v", err)
	}
}

// startOver is how a student begins anew: they delete a folder, or rename it.
func (w *world) startOver(folder string, n int) {
	w.t.Helper()
	var err error
	if n%2 == 0 {
		err = os.RemoveAll(w.path(folder))
	} else {
		err = os.Rename(w.path(folder), filepath.Join(w.root, fmt.Sprint("old", n)))
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// The whole folder goes while a watch looks: it waits for a start, and then all
// of it comes without a word, as often as that is done.
func TestStartingOverInASession(t *testing.T) {
	w := newWorld(t)
	w.policies["once.txt"] = "once"
	w.publish("a.ipynb", "a1", "once.txt", "o1", "hw/b.txt", "b1")
	w.sync()
	for n := range 4 {
		w.startOver("", n)
		for range 2 { // as often as the watch looks
			wantEvents(t, w.session())
			w.noFolder()
		}
		if s := w.state(); len(s.Waiting) != 3 || s.Version != 1 {
			t.Fatalf("%+v", s)
		}
		w.fetched = nil
		wantEvents(t, w.start())
		w.has("a.ipynb", "a1", "once.txt", "o1", "hw/b.txt", "b1")
		if len(w.fetched) > 0 {
			t.Error("what waited was not at hand")
		}
	}
}

// What is new meanwhile waits with it: it would make the folder again, and each
// file that is not in it would count as deleted.
func TestANewFileWhileTheFolderIsGone(t *testing.T) {
	for _, folder := range []string{"", "hw"} {
		w := newWorld(t)
		w.policies["hw/once.txt"] = "once"
		w.publish("hw/once.txt", "o1", "hw/deep/b.txt", "b1", "x/x.txt", "x1")
		w.sync()
		w.startOver(folder, 0)
		w.publish("hw/new.txt", "n", "hw/more/new.txt", "m", "y/y.txt", "y1")
		wantEvents(t, w.session())
		if folder == "" {
			w.noFolder()
		} else {
			w.has("x/x.txt", "x1", "y/y.txt", "y1")
		}
		wantEvents(t, w.start())
		w.has("hw/once.txt", "o1", "hw/deep/b.txt", "b1", "x/x.txt", "x1", "hw/new.txt", "n", "hw/more/new.txt", "m", "y/y.txt", "y1")
	}
}

// A folder below one that is gone is no reason to wait, nor one of which the
// course has nothing any more.
func TestANewFileBesideAFolderThatIsGone(t *testing.T) {
	w := newWorld(t)
	w.publish("hw/deep/a.txt", "a1", "hw/x.txt", "x1", "old/o.txt", "o1")
	w.sync()
	w.remove("hw/deep")
	w.remove("old")
	w.publish("hw/new.txt", "n", "hw/more/new.txt", "m", "old/o.txt", "-", "old/new.txt", "n")
	w.session()
	w.has("hw/x.txt", "x1", "hw/new.txt", "n", "hw/more/new.txt", "m", "old/new.txt", "n")
	wantEvents(t, w.start())
	w.has("hw/deep/a.txt", "a1", "hw/x.txt", "x1", "hw/new.txt", "n", "hw/more/new.txt", "m", "old/new.txt", "n")
}

// The course wants another name, at which the student has a folder: its name is
// not taken before what was in the one that is gone comes.
func TestStartingOverUnderANameThatIsThere(t *testing.T) {
	w := newWorld(t)
	w.policies["once.txt"] = "once"
	w.publish("a.txt", "a1", "once.txt", "o1")
	w.sync()
	w.startOver("", 0)
	w.folder = "scala2"
	w.write("mine.txt", "mine")
	w.publish("b.txt", "b1")
	wantEvents(t, w.session())
	w.has("mine.txt", "mine")
	wantEvents(t, w.start())
	w.has("a.txt", "a1", "b.txt", "b1", "once.txt", "o1", "mine.txt", "mine")
}

// The first delivery waits for nothing.
func TestTheFirstDeliveryInASession(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "a1", "hw/b.txt", "b1")
	w.session()
	w.has("a.txt", "a1", "hw/b.txt", "b1")
}

// A folder comes back in part: what is still to come was not deleted meanwhile, and
// comes in a session too, once it can.
func TestStartingOverInPart(t *testing.T) {
	for _, folder := range []string{"", "hw"} {
		w := newWorld(t)
		w.policies["hw/once.txt"] = "once"
		w.publish("hw/a.txt", "a1", "hw/once.txt", huge, "hw/huge.bin", huge+"2", "x.txt", "x1")
		w.sync()
		w.startOver(folder, 0)
		// Else what it has to come from is at hand.
		if err := os.RemoveAll(filepath.Join(w.root, ".satchel/scala101/base")); err != nil {
			t.Fatal(err)
		}
		w.do.space = tight(t).do.space
		wantEvents(t, w.start(), "no_space hw/huge.bin", "no_space hw/once.txt")
		w.has("hw/a.txt", "a1", "x.txt", "x1")
		wantEvents(t, w.start(), "no_space hw/huge.bin", "no_space hw/once.txt")
		w.do.space = nil
		wantEvents(t, w.session())
		w.has("hw/a.txt", "a1", "hw/once.txt", huge, "hw/huge.bin", huge+"2", "x.txt", "x1")
	}
}

// The same where the power is cut at any step of it.
func TestStartingOverAndAPowerCut(t *testing.T) {
	for n := 1; ; n++ {
		w := newWorldAt(quietTB{t}, quickDir(t))
		w.policies["hw/once.txt"] = "once"
		w.publish("hw/a.txt", "a1", "hw/b.txt", "b1", "hw/once.txt", "o1", "x.txt", "x1")
		w.sync()
		w.startOver("hw", 0)
		w.now = w.now.Add(time.Hour)
		died := w.powerCut(n)
		if r := w.start(); len(r.Events) > 0 {
			t.Errorf("cut at step %d: %v", n, r.kinds())
		}
		w.has("hw/a.txt", "a1", "hw/b.txt", "b1", "hw/once.txt", "o1", "x.txt", "x1")
		if !died {
			t.Logf("%d steps", n-1)
			return
		}
	}
}
