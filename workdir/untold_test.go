package workdir

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"satchel/bundle"
)

// cutShort syncs until the n-th change of the disk, and nothing more: as if
// the process had died there.
func (w *world) cutShort(n int) (died bool) {
	at := 0
	var mu sync.Mutex // folders are synced side by side
	w.do.before = func(string, string) error {
		mu.Lock()
		defer mu.Unlock()
		if at++; at >= n {
			died = true
			return syscall.EIO
		}
		return nil
	}
	_, _ = w.trySync()
	w.do.before = nil
	return died
}

// What a run did that died before anybody was told, the next one tells, once
// it is asked to.
func TestWhatNobodyWasToldIsTold(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", poem, "b.txt", "b")
	w.sync()
	w.write("a.txt", edit(poem, "two", "2"))
	w.publish("a.txt", edit(poem, "five", "5"), "b.txt", "b2")
	w.untold = true
	wantEvents(t, w.sync(), "merged a.txt") // and the agent died
	wantEvents(t, w.sync(), "merged a.txt")
	h := w.open()
	c, _ := h.Course("scala101")
	if !c.Untold() {
		t.Fatal("nothing is untold")
	}
	if err := c.Told(); err != nil {
		t.Fatal(err)
	}
	c.Close()
	h.Close()
	wantEvents(t, w.sync())
}

func TestARenameCutShortIsRecorded(t *testing.T) {
	for n := 1; ; n++ {
		w := newWorldAt(t, filepath.Join(quickDir(t), "work"))
		os.MkdirAll(w.root, 0o755)
		w.publish("old/e.txt", poem, "keep.txt", "k")
		w.sync()
		mine := edit(poem, "two", "2")
		w.write("old/e.txt", mine)
		w.publish("old/e.txt", "-", "new/e.txt", poem)
		died := w.cutShort(n)
		w.sync()
		w.has("new/e.txt", mine, "keep.txt", "k")
		w.publish("new/e.txt", edit(poem, "five", "5"))
		w.sync()
		w.has("new/e.txt", edit(mine, "five", "5"), "keep.txt", "k")
		if !died {
			return
		}
	}
}

func TestAJournalThatCannotBeReadNowIsNotForgotten(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one", "b.txt", "two")
	w.sync()
	w.remove("a.txt")
	w.sync()
	w.remove("a.txt") // a second time: away
	w.sync()
	journal := filepath.Join(w.root, ".satchel/scala101/journal")
	if os.Geteuid() != 0 {
		os.Chmod(journal, 0)
	}
	wantEvents(t, w.sync())
	w.has("b.txt", "two")
	before, _ := os.ReadFile(journal)
	if err := os.Rename(journal, journal+"-aside"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(journal, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.trySync(); err != nil { // as good as lost: the file comes again
		t.Fatal(err)
	}
	if len(before) == 0 {
		t.Fatal("no journal")
	}
}

func TestReadErrorsOfTheJournalAreErrors(t *testing.T) {
	boom := errors.New("boom")
	if _, _, err := readJournal(t.Context(), &failing{text: sampleText(t), after: 100, err: boom}); !errors.Is(err, boom) {
		t.Fatalf("got %v", err)
	}
}

// A journal that could not be looked at may be ours; one that was seen to be
// somebody else's is not.
func TestAJournalThatCannotBeLookedAtIsNotLost(t *testing.T) {
	ours, theirs := uint32(os.Geteuid()), uint32(os.Geteuid()+1)
	for _, c := range []struct {
		s    Stat
		err  error
		want bool
	}{
		{Stat{Kind: Other}, syscall.EACCES, false}, // the look itself failed
		{Stat{Kind: Other}, syscall.EIO, false},
		{Stat{Kind: Regular, uid: ours}, syscall.EACCES, false},
		{Stat{Kind: Regular, uid: theirs}, syscall.EACCES, true},
		{Stat{Kind: Regular, uid: ours}, syscall.EIO, false},
		{Stat{Kind: Other, uid: ours}, errNotRegular, true},
		{Stat{}, syscall.ENOENT, true},
	} {
		if got := asGoodAsLost(c.s, c.err); got != c.want {
			t.Errorf("%+v, %v: lost is %v", c.s, c.err, got)
		}
	}
}

type failing struct {
	text  []byte
	after int
	err   error
}

func (f *failing) Read(p []byte) (int, error) {
	if f.after <= 0 {
		return 0, f.err
	}
	n := copy(p[:min(len(p), f.after)], f.text)
	f.text, f.after = f.text[n:], f.after-n
	return n, nil
}

// What cannot be looked at now is no place that is free, nor one that is
// taken: a file that the course renamed there stays where it is.
func TestAnUnclearPlaceOfARename(t *testing.T) {
	v := cell{course: "renamed", student: "edited"}.view()
	v.Disk[cellPath] = Fact{At: cellPath, Err: syscall.EIO}
	for _, a := range Compare(v) {
		if a.Path == cellOld {
			t.Errorf("the old one: %+v", a)
		}
		if a.Path == cellPath && a.Verb != Skip {
			t.Errorf("the new one: %+v", a)
		}
	}
}

// An update that renames and changes waits for the end of a session, and the
// publisher's hint with it.
func TestAHintWaitsWithItsUpdate(t *testing.T) {
	w := newWorld(t)
	w.publish("old.txt", poem)
	w.sync()
	mine := edit(poem, "two", "2")
	w.write("old.txt", mine)
	w.how.Mode = Session
	w.renamed = map[string]string{"new.txt": "old.txt"}
	w.publish("old.txt", "-", "new.txt", edit(poem, "five", "5"))
	w.sync()
	w.has("old.txt", mine)
	w.renamed = map[string]string{} // the next answer does not hint
	w.how.Mode = Start
	wantEvents(t, w.sync(), "moved new.txt | old.txt")
	w.has("new.txt", edit(mine, "five", "5"))
}

func TestAHintThatWaitsIsFollowedFurther(t *testing.T) {
	w := newWorld(t)
	w.publish("old.txt", poem)
	w.sync()
	mine := edit(poem, "two", "2")
	w.write("old.txt", mine)
	w.how.Mode = Session
	w.renamed = map[string]string{"new.txt": "old.txt"}
	w.publish("old.txt", "-", "new.txt", edit(poem, "five", "5"))
	w.sync()
	w.how.Mode = Start
	w.renamed = map[string]string{"newest.txt": "new.txt"}
	w.publish("new.txt", "-", "newest.txt", edit(poem, "five", "5", "six", "6"))
	wantEvents(t, w.sync(), "moved newest.txt | old.txt")
	w.has("newest.txt", edit(mine, "five", "5", "six", "6"))
}

func TestANoteOfALostRecordIsKnown(t *testing.T) {
	w := newWorld(t)
	place := func(text string) *Result {
		h := w.open()
		defer h.Close()
		ev, err := h.PlaceNote(t.Context(), bundle.WhatIsNewFile, []byte(text), isNote)
		if err != nil {
			t.Fatal(err)
		}
		return &Result{Events: ev}
	}
	place("# ours 1")
	os.RemoveAll(filepath.Join(w.root, ".satchel"))
	wantEvents(t, place("# ours 2"))
	if names, _ := os.ReadDir(w.root); len(names) != 2 {
		t.Fatalf("%v", names)
	}
	everyByteOf(t, 0, w.root, "# ours 1", "# ours 2")
}

// A note whose bytes could not be brought to disk was not placed.
func TestANoteThatCannotBeStagedIsAnError(t *testing.T) {
	w := newWorld(t)
	w.do.before = func(op, name string) error {
		if op == "move" && len(name) == 2*len(bundle.Digest{}) {
			return syscall.EIO
		}
		return nil
	}
	h, err := open(t.Context(), slog.New(slog.DiscardHandler), w.root, day, w.do)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	never := func([]byte) bool { return false }
	if _, err := h.PlaceNote(t.Context(), "note.md", []byte("news"), never); err == nil {
		t.Error("it says that the note was placed")
	}
	w.do.before = nil
	if _, err := h.PlaceNote(t.Context(), "note.md", []byte("news"), never); err != nil {
		t.Error(err)
	}
}

// Wherever a run dies, what it did to the student's files is told by it, or by
// the next one: what moved aside, what was merged, what moved along.
func TestWhatARunThatDiedDidIsTold(t *testing.T) {
	for n := 1; ; n++ {
		w := newWorldAt(t, filepath.Join(quickDir(t), "work"))
		os.MkdirAll(w.root, 0o755)
		w.publish("a.txt", poem, "old.txt", "moved\n", "keep.txt", "k")
		w.sync()
		w.write("a.txt", edit(poem, "two", "2"))
		w.write("old.txt", "moved\nmine\n")
		w.write("big/in.txt", "mine")
		w.publish("a.txt", edit(poem, "five", "5"), "big", "b", "old.txt", "-", "new.txt", "moved\n")
		w.untold = true
		died := w.cutShort(n)
		w.untold = false
		r := w.sync()
		for _, want := range []string{"moved_aside big", "merged a.txt", "moved new.txt"} {
			told := slices.ContainsFunc(r.Events, func(e Event) bool { return string(e.Kind)+" "+e.Path == want })
			if !told {
				t.Errorf("step %d: not told: %s; but %v", n, want, r.Events)
			}
		}
		w.has("a.txt", edit(edit(poem, "two", "2"), "five", "5"), "big", "b", "big (my copy)/in.txt", "mine", "new.txt", "moved\nmine\n", "keep.txt", "k")
		if !died {
			return
		}
	}
}
