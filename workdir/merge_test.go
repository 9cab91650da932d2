package workdir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
)

const poem = "one\ntwo\nthree\nfour\nfive\nsix\n"

func edit(text string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(text) }

func TestTextIsMerged(t *testing.T) {
	for _, poor := range []bool{false, true} {
		w := newWorld(t)
		if poor {
			w.do = poorHands()
		}
		w.publish("a.txt", poem)
		w.sync()
		mine := edit(poem, "two", "TWO, mine")
		w.write("a.txt", mine)
		w.publish("a.txt", edit(poem, "five", "FIVE"))
		both := edit(mine, "five", "FIVE")
		wantEvents(t, w.sync(), "merged a.txt")
		w.has("a.txt", both)
		for range 3 {
			wantEvents(t, w.sync())
		}
		w.has("a.txt", both)
		everyByteOf(t, 0, w.root, mine) // what was there before
		w.now = w.now.Add(time.Hour)
		w.sync()
		w.now = w.now.Add(time.Hour)
		w.sync()
		everyByteOf(t, 0, filepath.Join(w.root, ".satchel/scala101/shelf"), mine)
		w.publish("a.txt", edit(poem, "five", "FIVE", "six", "SIX"))
		wantEvents(t, w.sync(), "merged a.txt")
		w.has("a.txt", edit(both, "six", "SIX"))
	}
}

func TestTheSameLines(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", poem)
	w.sync()
	mine, theirs := edit(poem, "two", "mine"), edit(poem, "two", "theirs", "five", "FIVE")
	w.write("a.txt", mine)
	w.publish("a.txt", theirs)
	wantEvents(t, w.sync(), "same_lines a.txt | a (course v2).txt")
	want := []string{"a.txt", edit(mine, "five", "FIVE"), "a (course v2).txt", theirs}
	w.has(want...)
	for range 10 {
		wantEvents(t, w.sync())
	}
	w.has(want...)
}

func TestWhatIsEqualAgainFollows(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", poem)
	w.sync()
	w.write("a.txt", edit(poem, "two", "2"))
	w.publish("a.txt", edit(poem, "two", "2", "five", "5"))
	w.sync()
	w.has("a.txt", edit(poem, "two", "2", "five", "5"))
	w.publish("a.txt", "quite another")
	wantEvents(t, w.sync())
	w.has("a.txt", "quite another")
}

// Without its base bytes nothing is merged, and nothing is lost.
func TestMergeWithoutABase(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", poem)
	w.sync()
	os.RemoveAll(filepath.Join(w.root, ".satchel/scala101/base"))
	mine, theirs := edit(poem, "two", "2"), edit(poem, "five", "5")
	w.write("a.txt", mine)
	w.publish("a.txt", theirs)
	wantEvents(t, w.sync(), "kept a.txt | a (course v2).txt")
	w.has("a.txt", mine, "a (course v2).txt", theirs)
}

func TestMergeKeepsPermissionsButX(t *testing.T) {
	w := newWorld(t)
	w.policies["a.sh"] = bundle.ReadOnly
	w.publish("a.sh", poem)
	w.sync()
	if s, _ := os.Stat(w.path("a.sh")); s.Mode().Perm() != 0o444 {
		t.Fatalf("delivered with %v", s.Mode())
	}
	os.Chmod(w.path("a.sh"), 0o600)
	w.write("a.sh", edit(poem, "two", "2"))
	w.modes["a.sh"] = 0o755
	w.publish("a.sh", edit(poem, "five", "5"))
	wantEvents(t, w.sync(), "merged a.sh")
	if s, _ := os.Stat(w.path("a.sh")); s.Mode().Perm() != 0o700 {
		t.Fatalf("merged with %v", s.Mode())
	}
}

func TestRenamedAndChanged(t *testing.T) {
	for _, poor := range []bool{false, true} {
		w := newWorld(t)
		if poor {
			w.do = poorHands()
		}
		w.publish("old/a.txt", poem, "old/b.txt", poem+"b", "old/c.txt", poem+"c", "keep.txt", "k")
		w.sync()
		mine := edit(poem, "two", "2")
		w.write("old/a.txt", mine)
		w.write("old/c.txt", edit(poem, "two", "mine")+"c")
		w.renamed = map[string]string{"new/a.txt": "old/a.txt", "new/b.txt": "old/b.txt", "new/c.txt": "old/c.txt"}
		theirs := edit(poem, "two", "theirs") + "c"
		w.publish("old/a.txt", "-", "old/b.txt", "-", "old/c.txt", "-",
			"new/a.txt", edit(poem, "five", "5"), "new/b.txt", edit(poem, "five", "5")+"b", "new/c.txt", theirs)
		wantEvents(t, w.sync(), "moved new/a.txt | old/a.txt", "stays old/c.txt")
		want := []string{"new/a.txt", edit(mine, "five", "5"), "new/b.txt", edit(poem, "five", "5") + "b",
			"old/c.txt", edit(poem, "two", "mine") + "c", "new/c.txt", theirs, "keep.txt", "k"}
		w.has(want...)
		everyByteOf(t, 0, w.root, mine)
		wantEvents(t, w.sync())
		w.has(want...)
		w.publish("new/a.txt", edit(poem, "five", "5", "six", "6"))
		wantEvents(t, w.sync(), "merged new/a.txt")
	}
}

// A tab that outlived the merge saves its old text over it.
func TestAStaleTab(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", poem, "b.txt", poem)
	w.sync()
	mine := edit(poem, "two", "2")
	w.write("a.txt", mine)
	w.publish("a.txt", edit(poem, "five", "5"), "b.txt", edit(poem, "five", "5"))
	w.sync()
	stale := edit(mine, "one", "more of mine")
	w.now = w.now.Add(time.Hour)
	w.write("a.txt", stale)
	w.write("b.txt", edit(poem, "one", "1")) // this one was replaced only
	wantEvents(t, w.sync(), "merged a.txt", "merged b.txt")
	w.has("a.txt", edit(stale, "five", "5"), "b.txt", edit(poem, "one", "1", "five", "5"))
	everyByteOf(t, 0, w.root, stale)
	wantEvents(t, w.sync())
	w.write("a.txt", stale) // once more: then it is what the student wants
	wantEvents(t, w.sync())
	wantEvents(t, w.sync())
	w.has("a.txt", stale, "b.txt", edit(poem, "one", "1", "five", "5"))
}

func TestAnEditAfterTheMergeIsNoStaleTab(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", poem)
	w.sync()
	w.write("a.txt", edit(poem, "two", "2"))
	w.publish("a.txt", edit(poem, "five", "5", "six", "6"))
	w.sync()
	mine := edit(poem, "two", "2", "six", "6", "five\n", "") // of the two, one taken out again
	w.write("a.txt", mine)
	wantEvents(t, w.sync())
	w.has("a.txt", mine)
	w.now = w.now.Add(8 * 24 * time.Hour) // after a week nobody remembers
	w.write("a.txt", edit(poem, "two", "2"))
	wantEvents(t, w.sync())
	w.has("a.txt", edit(poem, "two", "2"))
}

// An editor writes into what a merge exchanged out: that is merged again.
func TestLateBytesAfterAMerge(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", poem)
	w.sync()
	mine := edit(poem, "two", "2")
	w.write("a.txt", mine)
	editor, err := os.OpenFile(w.path("a.txt"), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer editor.Close()
	editor.WriteString(mine)
	w.publish("a.txt", edit(poem, "five", "5"))
	w.sync()
	editor.Truncate(0)
	editor.Seek(0, 0)
	late := edit(poem, "two", "2", "three", "late")
	editor.WriteString(late)
	w.now = w.now.Add(11 * time.Minute)
	wantEvents(t, w.sync(), "merged a.txt")
	w.has("a.txt", edit(late, "five", "5"))
	everyByteOf(t, 0, w.root, late)
}

func TestARenamedNotebookIsKnownByItsCells(t *testing.T) {
	w := newWorld(t)
	w.publish("hw/a.ipynb", notebookText("x = 1", ""), "keep.txt", "k")
	w.sync()
	os.Rename(w.path("hw/a.ipynb"), w.path("hw/mine.ipynb"))
	w.write("hw/mine.ipynb", notebookText("x = 1", someOutput))
	wantEvents(t, w.sync(), "returned hw/a.ipynb | hw/mine.ipynb")
}
