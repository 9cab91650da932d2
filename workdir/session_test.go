package workdir

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
)

func TestInASessionOnlyWhatDisturbsNobody(t *testing.T) {
	w := newWorld(t)
	w.publish("free.txt", "f1", "open.txt", "o1", "edited.txt", "e1", "gone.txt", "g1", "from.txt", "m1", "deleted.txt", "d1")
	w.sync()
	w.write("edited.txt", "mine")
	w.write("mine.txt", "mine")
	w.remove("deleted.txt")
	w.now = time.Now().Add(time.Hour)
	w.how = How{Mode: Session, Open: func(p string) bool { return p == "open.txt" }}
	w.publish("free.txt", "f2", "open.txt", "o2", "edited.txt", "e2", "gone.txt", "-", "from.txt", "-", "to.txt", "m1",
		"new/new.txt", "n2", "mine.txt", "theirs")
	r := w.sync()
	wantEvents(t, r, "waiting edited.txt", "waiting gone.txt", "waiting mine.txt", "waiting open.txt", "waiting to.txt")
	w.has("free.txt", "f2", "open.txt", "o1", "edited.txt", "mine", "gone.txt", "g1", "from.txt", "m1", "new/new.txt", "n2", "mine.txt", "mine")
	if s := w.state(); s.Version != 2 || s.Complete || len(s.Waiting) != 6 {
		t.Fatalf("%+v", s) // the deleted one waits as well, silently
	}
	w.how, w.fetched = How{}, nil
	wantEvents(t, w.sync(), "same_lines edited.txt | edited (course v2).txt", "in_the_way mine.txt | mine (course v2).txt", "returned deleted.txt")
	w.has("free.txt", "f2", "open.txt", "o2", "edited.txt", "mine", "edited (course v2).txt", "e2", "to.txt", "m1",
		"new/new.txt", "n2", "mine.txt", "mine", "mine (course v2).txt", "theirs", "deleted.txt", "d1")
	if len(w.fetched) != 0 {
		t.Fatal("what waited was not at hand")
	}
}

func TestAFileChangedInTheLastTwoMinutesWaits(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one", "b.txt", "one")
	w.sync()
	now := time.Now()
	w.write("a.txt", "one") // saved again, with the same bytes
	w.now, w.how.Mode = now.Add(time.Minute), Session
	w.publish("a.txt", "two", "b.txt", "two")
	wantEvents(t, w.sync(), "waiting a.txt")
	w.has("a.txt", "one", "b.txt", "two") // b.txt is as new, but it was Satchel who wrote it
	w.now = now.Add(3 * time.Minute)
	wantEvents(t, w.sync())
	w.has("a.txt", "two", "b.txt", "two")
}

func TestAStartPassDuringASession(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one", "b.txt", "one", "c.txt", "one")
	w.sync()
	w.write("b.txt", "mine")
	w.how = How{Since: time.Now().Add(-time.Minute), Open: func(p string) bool { return p == "c.txt" }}
	w.remove("a.txt")
	w.publish("a.txt", "two", "b.txt", "two", "c.txt", "two")
	wantEvents(t, w.sync(), "returned a.txt", "waiting b.txt", "waiting c.txt")
	w.has("a.txt", "two", "b.txt", "mine", "c.txt", "one")
}

// An editor that had the file open writes into what was exchanged out.
func TestLateBytesOfAnEditor(t *testing.T) {
	for _, poor := range []bool{false, true} {
		for _, later := range []time.Duration{time.Minute, time.Hour} {
			w := newWorld(t)
			if poor {
				w.do = poorHands()
			}
			w.publish("a.txt", "one", "b.txt", "b1", "c.txt", "c1")
			w.sync()
			var editors []*os.File
			for _, p := range []string{"a.txt", "b.txt", "c.txt"} {
				f, err := os.OpenFile(w.path(p), os.O_RDWR, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				editors = append(editors, f)
			}
			w.publish("a.txt", "two", "b.txt", "b2", "c.txt", "-")
			w.sync()
			for _, f := range editors {
				f.WriteString("late")
			}
			w.write("b.txt", "mine by now")
			w.now = w.now.Add(later)
			r := w.sync()
			if poor {
				wantEvents(t, r, "recovered a.txt | a (my copy).txt", "recovered b.txt | b (my copy).txt", "recovered c.txt")
				w.has("a.txt", "two", "a (my copy).txt", "late", "b.txt", "mine by now", "b (my copy).txt", "late", "c.txt", "late")
			} else {
				wantEvents(t, r, "same_lines a.txt | a (course v2).txt", "recovered b.txt | b (my copy).txt", "recovered c.txt")
				w.has("a.txt", "late", "a (course v2).txt", "two", "b.txt", "mine by now", "b (my copy).txt", "late", "c.txt", "late")
			}
			wantEvents(t, w.sync())
		}
	}
}

func TestSettleWithoutANewVersion(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one")
	w.sync()
	editor, err := os.OpenFile(w.path("a.txt"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer editor.Close()
	w.publish("a.txt", "two")
	w.sync()
	editor.WriteString("late")
	w.now = w.now.Add(11 * time.Minute)
	c := w.opened()
	if !c.Holding() {
		t.Fatal("nothing is held")
	}
	events, err := c.Settle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantEvents(t, &Result{Events: events}, "recovered a.txt") // the next plan merges it
	w.has("a.txt", "late")
	if c.Holding() {
		t.Fatal("still held")
	}
}

func TestHeldBytesOfALostJournalGoToTheShelf(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one")
	w.sync()
	editor, err := os.OpenFile(w.path("a.txt"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer editor.Close()
	w.publish("a.txt", "two")
	w.sync()
	editor.WriteString("late words")
	os.Remove(filepath.Join(w.root, ".satchel/scala101/journal"))
	w.now = w.now.Add(time.Hour)
	w.sync()
	everyByteOf(t, 0, w.root, "late words")
	w.has("a.txt", "two")
}

func TestWhatIsHeldIsLetGoAfterTenMinutesTwice(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one")
	w.sync()
	w.publish("a.txt", "two")
	w.sync()
	held := func() int {
		names, _ := os.ReadDir(filepath.Join(w.root, ".satchel/scala101/hold"))
		return len(names)
	}
	if w.now = w.now.Add(9 * time.Minute); held() != 1 {
		t.Fatal("nothing is held")
	}
	if w.sync(); held() != 1 {
		t.Fatal("let go too early")
	}
	for _, want := range []struct{ minutes, held int }{{2, 1}, {9, 1}, {2, 0}} {
		w.now = w.now.Add(time.Duration(want.minutes) * time.Minute)
		if w.sync(); held() != want.held {
			t.Fatalf("%v: %d held, want %d", w.now, held(), want.held)
		}
	}
}

// The student saves in the moment between the plan and the exchange.
func TestAnEditBetweenPlanAndApply(t *testing.T) {
	for _, poor := range []bool{false, true} {
		w := newWorld(t)
		if poor {
			w.do = poorHands()
		}
		w.publish("a.txt", "one", "b.txt", "b1", "c.txt", "c1")
		w.sync()
		w.publish("a.txt", "two", "b.txt", "-", "c.txt", "c2", "new.txt", "new")
		w.between = func() {
			w.write("a.txt", "mine")
			w.write("b.txt", "mine")
			w.write("new.txt", "mine")
			w.remove("c.txt")
		}
		r := w.sync()
		wantEvents(t, r, "waiting a.txt", "waiting b.txt", "waiting c.txt", "waiting new.txt")
		w.has("a.txt", "mine", "b.txt", "mine", "new.txt", "mine")
		w.between = nil
		wantEvents(t, w.sync(), "same_lines a.txt | a (course v2).txt", "stays b.txt", "in_the_way new.txt | new (course v2).txt", "returned c.txt")
		w.has("a.txt", "mine", "a (course v2).txt", "two", "b.txt", "mine", "new.txt", "mine", "new (course v2).txt", "new", "c.txt", "c2")
	}
}

// The student saves after the last look, right before the exchange.
func TestAnEditAfterTheLastLook(t *testing.T) {
	for _, poor := range []bool{false, true} {
		w := newWorld(t)
		if poor {
			w.do = poorHands()
		}
		w.publish("a.txt", "one", "b.txt", "b1")
		w.sync()
		w.publish("a.txt", "two", "b.txt", "-")
		w.do.before = func(op, name string) error {
			if op == "exchange" && name == "a.txt" || op == "move" && strings.HasSuffix(name, "-out") {
				w.do.before = nil
				w.write("a.txt", "mine")
				w.write("b.txt", "mine")
			}
			return nil
		}
		r := w.sync()
		w.do.before = nil
		if r.Changed+r.Removed != 0 {
			t.Fatalf("%+v", r)
		}
		w.has("a.txt", "mine", "b.txt", "mine")
		w.sync()
		w.has("a.txt", "mine", "a (course v2).txt", "two", "b.txt", "mine")
	}
}

func TestTwoAtOnce(t *testing.T) {
	for _, flock := range []bool{true, false} {
		w := newWorld(t)
		w.do.noFlock = !flock
		first := w.open()
		ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := open(ctx, logger(t), w.root, day, &hands{noFlock: !flock})
		stop()
		if !errors.Is(err, ErrLocked) {
			t.Fatalf("flock %v: got %v", flock, err)
		}
		done := make(chan error, 1)
		go func() {
			h, err := open(context.Background(), logger(t), w.root, day, &hands{noFlock: !flock})
			if err == nil {
				h.Close()
			}
			done <- err
		}()
		first.Close()
		if err := <-done; err != nil {
			t.Fatalf("flock %v: the second did not get it: %v", flock, err)
		}
	}
}

func TestSatchelsFolderThrownAwayWhileLocked(t *testing.T) {
	w := newWorld(t)
	first := w.open()
	defer first.Close()
	os.RemoveAll(filepath.Join(w.root, ".satchel"))
	second := w.open() // nobody can know of the first one any more
	second.Close()
}

func TestPolicyReplaceKeepsTheNewestThreeBeside(t *testing.T) {
	w := newWorld(t)
	w.policies["s.md"] = bundle.Replace
	w.publish("s.md", "v1")
	w.sync()
	mine := []string{"mine 1", "mine 2", "mine 3", "mine 4", "mine 5"}
	for _, text := range mine {
		w.write("s.md", text)
		w.now = w.now.Add(time.Minute)
		w.publish("s.md", w.files["s.md"]+"+")
		w.sync()
	}
	got := tree(t, w.path("."))
	if len(got) != 4 || got["s.md"] != "v1+++++" {
		t.Fatalf("%v", got)
	}
	for _, old := range mine[:2] {
		for p, text := range got {
			if text == old {
				t.Errorf("%s is still beside, as %s", old, p)
			}
		}
	}
	everyByteOf(t, 0, w.root, mine...)
	if all := strings.Join(sortedKeys(tree(t, filepath.Join(w.root, ".satchel/scala101/shelf"))), " "); strings.Count(all, "Z/s (my copy)") != 2 {
		t.Errorf("on the shelf: %s", all)
	}
	for range 8 { // the shelf's clock counts at most a week at once
		w.now = w.now.AddDate(0, 0, 7)
		w.sync()
	}
	if all := tree(t, filepath.Join(w.root, ".satchel/scala101")); strings.Contains(strings.Join(sortedKeys(all), " "), "shelf/2026") {
		t.Errorf("the shelf keeps things for ever: %v", sortedKeys(all))
	}
}

func TestReadOnlyIsDeliveredWithoutWritePermission(t *testing.T) {
	w := newWorld(t)
	w.policies["d.csv"] = bundle.ReadOnly
	w.publish("d.csv", "one")
	w.sync()
	if s, _ := os.Stat(w.path("d.csv")); s.Mode().Perm() != 0o444 {
		t.Fatalf("mode %v", s.Mode())
	}
	w.publish("d.csv", "two")
	w.sync()
	w.has("d.csv", "two")
	w.policies["d.csv"] = bundle.Merge
	w.publish()
	w.sync()
	if s, _ := os.Stat(w.path("d.csv")); s.Mode().Perm() != 0o644 {
		t.Fatalf("mode %v", s.Mode())
	}
}

// A document that is opened between plan and swap waits as well.
func TestOpenedBetweenPlanAndApply(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one", "b.txt", "one")
	w.sync()
	opened := false
	w.how = How{Open: func(p string) bool { return opened && p == "a.txt" }}
	w.between = func() { opened = true }
	w.publish("a.txt", "two", "b.txt", "two")
	wantEvents(t, w.sync(), "waiting a.txt")
	w.has("a.txt", "one", "b.txt", "two")
	w.how, w.between = How{}, nil
	wantEvents(t, w.sync())
	w.has("a.txt", "two", "b.txt", "two")
}
