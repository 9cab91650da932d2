package workdir

import (
	"os"
	"strings"
	"testing"

	"satchel/bundle"
)

// tight has room for small files only.
func tight(t *testing.T) *world {
	w := newWorld(t)
	w.do.space = func() int64 { return reserveBytes + 1<<20 }
	return w
}

var huge = strings.Repeat("h", 2<<20)

// While a large file does not fit all the rest is known: restore, undo and the
// next merge go on.
func TestAVersionOfWhichSomethingIsMissingIsKnown(t *testing.T) {
	w := tight(t)
	w.publish("a.txt", poem, "b.txt", "b", "huge.bin", huge)
	wantEvents(t, w.sync(), "no_space huge.bin")
	if s := w.state(); s.Version != 0 || s.Latest.Version != 1 || len(s.Latest.Manifests) != 1 {
		t.Fatalf("known: %+v", s)
	}
	w.write("b.txt", "mine")
	if _, err := w.with(func(c *Course) (*Plan, error) { return c.PlanRestore(w.ctx, w.newest(), "b.txt") }); err != nil {
		t.Fatal(err)
	}
	w.has("a.txt", poem, "b.txt", "b", "b (my copy).txt", "mine")
	w.write("a.txt", edit(poem, "two", "2"))
	w.publish("a.txt", edit(poem, "five", "5"), "new.txt", "n")
	wantEvents(t, w.sync(), "merged a.txt", "no_space huge.bin")
	for range 2 { // once, and once more again
		w.undo()
		w.has("a.txt", edit(poem, "two", "2"), "b.txt", "b", "b (my copy).txt", "mine")
		wantEvents(t, w.sync(), "no_space huge.bin")
		w.has("a.txt", edit(poem, "two", "2"), "b.txt", "b", "b (my copy).txt", "mine")
		w.undo()
		w.has("a.txt", edit(edit(poem, "two", "2"), "five", "5"), "b.txt", "b", "new.txt", "n", "b (my copy).txt", "mine")
	}
}

// The same where the version before came whole.
func TestAnUndoOfAVersionOfWhichSomethingIsMissingHolds(t *testing.T) {
	w := tight(t)
	w.publish("a.txt", poem)
	w.sync()
	w.publish("a.txt", edit(poem, "five", "5"), "new.txt", "n", "huge.bin", huge)
	wantEvents(t, w.sync(), "no_space huge.bin")
	if s := w.state(); s.Version != 1 || s.Latest.Version != 2 {
		t.Fatalf("%+v", s)
	}
	w.undo()
	wantEvents(t, w.sync(), "no_space huge.bin")
	w.has("a.txt", poem)
}

// A newer version of which nothing came yet is no reason to refuse what is
// here.
func TestRestoreFromWhatIsHereWhileANewerVersionIsOnItsWay(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one")
	w.sync()
	w.write("a.txt", "mine")
	here := w.newest()
	w.publish("a.txt", "two")
	h := w.open()
	c, _ := h.Course("scala101")
	if _, err := c.Plan(w.ctx, w.newest(), w.ask, w.how); err != nil { // and the run died
		t.Fatal(err)
	}
	c.Close()
	h.Close()
	if _, err := w.with(func(c *Course) (*Plan, error) { return c.PlanRestore(w.ctx, here, "a.txt") }); err != nil {
		t.Fatal(err)
	}
	w.has("a.txt", "one", "a (my copy).txt", "mine")
}

// What cannot fit whatever is given up costs nobody the bytes for the next
// merge.
func TestNothingIsGivenUpForWhatCannotFit(t *testing.T) {
	w := tight(t)
	w.publish("a.txt", poem, "b.txt", "b")
	w.sync()
	w.publish("huge.bin", huge)
	wantEvents(t, w.sync(), "no_space huge.bin")
	w.write("a.txt", edit(poem, "two", "2"))
	w.publish("a.txt", edit(poem, "five", "5"))
	wantEvents(t, w.sync(), "merged a.txt", "no_space huge.bin")
}

// One of two files with equal new content waits: its bytes stay at hand.
func TestOfTwoEqualFilesOneWaits(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", poem, "b.txt", poem)
	w.sync()
	w.write("a.txt", edit(poem, "two", "2"))
	w.how.Mode = Session
	w.publish("a.txt", edit(poem, "five", "5"), "b.txt", edit(poem, "five", "5"))
	wantEvents(t, w.sync(), "waiting a.txt")
	if s := w.state(); s.Version != 2 || len(s.Waiting) != 1 {
		t.Fatalf("%+v", s)
	}
	w.fetched, w.how.Mode = nil, Start
	wantEvents(t, w.sync(), "merged a.txt")
	if len(w.fetched) > 0 {
		t.Error("fetched again")
	}
}

// Lost manifests are written again, and told of once at the most.
func TestLostManifestsAreWrittenAgain(t *testing.T) {
	for _, how := range []string{"gone", "garbage"} {
		w := newWorld(t)
		w.publish("a.txt", "one")
		w.sync()
		name := w.own("manifests/" + w.newest().Manifests["main"].Digest().String())
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		if how == "garbage" {
			if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w.sync()
		if s := w.state(); s.Version != 1 || len(s.Manifests) != 1 {
			t.Errorf("%s: %+v", how, s)
		}
	}
}

// An editor that saves into a file right after it was placed does not take
// the bytes for the next merge along.
func TestBytesForTheNextMergeAreKeptBeforeTheFileIsPlaced(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", poem, "b.txt", "b")
	w.sync()
	next := edit(poem, "five", "5")
	w.publish("a.txt", next, "b.txt", "b2")
	w.do.before = func(op, name string) error {
		if name == "b.txt" { // a.txt is in its place
			w.write("a.txt", edit(poem, "two", "2"))
		}
		return nil
	}
	w.sync()
	w.do.before = nil
	c := w.opened()
	if data, err := c.baseBytes(bundle.Sum([]byte(next))); err != nil || string(data) != next {
		t.Errorf("%q, %v", data, err)
	}
}

// Satchel's own folders and its lock belong to it: closed ones are opened.
func TestOwnFoldersThatWereClosed(t *testing.T) {
	for _, name := range []string{".satchel", ".satchel/.lock", ".satchel/scala101", ".satchel/scala101/hold", ".satchel/scala101/stage"} {
		for _, mode := range []os.FileMode{0, 0o500} {
			w := newWorld(t)
			w.publish("a.txt", "one")
			w.sync()
			w.publish("a.txt", "two")
			if err := os.Chmod(w.root+"/"+name, mode); err != nil {
				t.Fatal(err)
			}
			w.sync()
			w.has("a.txt", "two")
		}
	}
}

// The student took the copy of the course's file for theirs: nobody renamed
// anything.
func TestACopyBesideIsNoRenamedFile(t *testing.T) {
	w := newWorld(t)
	w.publish("a.bin", "\x00one")
	w.sync()
	w.write("a.bin", "\x00mine")
	w.publish("a.bin", "\x00two")
	wantEvents(t, w.sync(), "kept a.bin | a.bin (course v2)")
	w.remove("a.bin")
	wantEvents(t, w.sync(), "returned a.bin")
}

// Without a new version there is more for this student, and something of that
// does not fit: what is here is known for theirs, also to a pass that goes by what
// this home holds.
func TestAChannelIsGainedOfWhichSomethingIsMissing(t *testing.T) {
	w := tight(t)
	w.channel["lab.txt"], w.channel["huge.bin"], w.gone = "lab", "lab", []string{"lab"}
	w.publish("a.txt", "a1", "lab.txt", "l1", "huge.bin", huge)
	w.sync()
	w.gone = nil
	wantEvents(t, w.sync(), "no_space huge.bin")
	if s := w.state(); len(s.Manifests) != 1 || len(s.Latest.Manifests) != 2 {
		t.Fatalf("known: %+v", s)
	}
	w.do.space = nil
	wantEvents(t, w.sync())
	if s := w.state(); len(s.Manifests) != 2 || len(s.Latest.Manifests) != 2 || !s.Complete {
		t.Fatalf("known: %+v", s)
	}
	w.has("a.txt", "a1", "lab.txt", "l1", "huge.bin", huge)
}

// What does not fit is not fetched by each pass to be thrown away, until there is
// room for it.
func TestWhatDoesNotFitIsNotFetched(t *testing.T) {
	w := tight(t)
	w.publish("a.txt", "a", "b.bin", huge, "c.bin", huge+"2")
	for range 3 {
		wantEvents(t, w.sync(), "no_space b.bin", "no_space c.bin")
		w.has("a.txt", "a")
	}
	if len(w.fetched) != 1 {
		t.Errorf("fetched %d contents", len(w.fetched))
	}
	w.fetched, w.do.space = nil, func() int64 { return reserveBytes + 3<<20 }
	wantEvents(t, w.sync(), "no_space c.bin")
	if len(w.fetched) != 1 {
		t.Errorf("fetched %d contents", len(w.fetched))
	}
	w.has("a.txt", "a", "b.bin", huge)
}
