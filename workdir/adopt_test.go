package workdir

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"satchel/bundle"
)

func notebookText(source, output string) string {
	return `{"cells":[{"cell_type":"code","execution_count":null,"metadata":{},"outputs":[` + output + `],"source":["` + source + `"]}],"metadata":{},"nbformat":4,"nbformat_minor":4}` + "\n"
}

const someOutput = `{"output_type":"stream","name":"stdout","text":["5"]}`

// nocopies says that no copy lies anywhere in the course's folder.
func noCopies(t *testing.T, w *world) {
	t.Helper()
	for p := range tree(t, w.root) {
		if !strings.HasPrefix(p, ".satchel") && (strings.Contains(p, "(course v") || strings.Contains(p, "my copy")) {
			t.Errorf("a copy that nobody needs: %s", p)
		}
	}
}

func threeVersions(t *testing.T) *world {
	w := newWorld(t)
	w.publish("a.txt", "one", "hw/b.ipynb", notebookText("import b\\nb", ""), "same.txt", "same")
	w.sync()
	w.publish("a.txt", "two", "hw/c.txt", "c", "hw/b.ipynb", notebookText("import b\\nb2", ""))
	return w
}

func TestALostSatchelFolder(t *testing.T) {
	w := threeVersions(t)
	w.sync()
	w.write("mine.txt", "mine")
	os.RemoveAll(filepath.Join(w.root, ".satchel"))
	wantEvents(t, w.sync())
	noCopies(t, w)
	os.RemoveAll(filepath.Join(w.root, ".satchel"))
	w.publish("a.txt", "three", "hw/b.ipynb", notebookText("b3", ""))
	wantEvents(t, w.sync())
	noCopies(t, w)
	w.has("a.txt", "three", "hw/b.ipynb", notebookText("b3", ""), "hw/c.txt", "c", "same.txt", "same", "mine.txt", "mine")
	everyByteOf(t, 0, w.root, "two", notebookText("import b\\nb2", "")) // on the shelf: recognised, not proven
}

func TestANotebookThatWasOnlyRunIsRecognised(t *testing.T) {
	w := threeVersions(t)
	w.sync()
	ran := notebookText("import b\\nb2", someOutput)
	w.write("hw/b.ipynb", ran)
	os.RemoveAll(filepath.Join(w.root, ".satchel"))
	wantEvents(t, w.sync()) // the newest, run: its outputs stay
	w.publish("a.txt", "three", "hw/b.ipynb", notebookText("import b\\nb3", ""))
	os.RemoveAll(filepath.Join(w.root, ".satchel"))
	wantEvents(t, w.sync(), "merged hw/b.ipynb") // another's sources, its own outputs
	noCopies(t, w)
	if data, _ := os.ReadFile(w.path("hw/b.ipynb")); !strings.Contains(string(data), "b3") || !strings.Contains(string(data), someOutput) {
		t.Fatalf("got %s", data)
	}
	everyByteOf(t, 0, w.root, ran)
}

func TestAHomeRestoredFromLastWeek(t *testing.T) {
	w := threeVersions(t)
	backup := filepath.Join(t.TempDir(), "backup")
	copyTree(t, w.root, backup)
	w.sync()
	for _, files := range []string{"all", "the course's folder only"} {
		if files == "all" {
			os.RemoveAll(filepath.Join(w.root, ".satchel"))
			copyTree(t, filepath.Join(backup, ".satchel"), filepath.Join(w.root, ".satchel"))
		}
		os.RemoveAll(w.path("."))
		copyTree(t, filepath.Join(backup, "scala"), w.path("."))
		w.publish("a.txt", w.files["a.txt"]+"!")
		w.sync()
		noCopies(t, w)
	}
	if data, _ := os.ReadFile(w.path("a.txt")); string(data) != "two!!" {
		t.Fatalf("a.txt holds %q", data)
	}
}

func TestAFolderLeftByGitClone(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one", "b.txt", "two", "hw/c.txt", "three")
	w.newest()
	w.write("a.txt", "one")
	w.write("b.txt", "two")
	w.write("hw/c.txt", "the student's")
	w.write(".git/config", "[core]\n\tsshCommand = touch /tmp/owned\n")
	os.Mkdir(w.path(".git/hooks"), 0o000)
	w.publish("a.txt", "ONE", "hw/c.txt", "THREE")
	wantEvents(t, w.sync(), "in_the_way hw/c.txt | hw/c (course v2).txt")
	os.Remove(w.path(".git/hooks"))
	w.has("a.txt", "ONE", "b.txt", "two", "hw/c.txt", "the student's", "hw/c (course v2).txt", "THREE",
		".git/config", "[core]\n\tsshCommand = touch /tmp/owned\n")
	if w.asked != 1 {
		t.Fatalf("the history was asked %d times", w.asked)
	}
}

func TestWithoutTheHistoryNothingIsGuessed(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one", "b.txt", "b")
	w.newest()
	w.write("a.txt", "one")
	w.publish("a.txt", "two")
	h := w.open()
	c, err := h.Course("scala101")
	if err != nil {
		t.Fatal(err)
	}
	away := func(string) (bundle.History, error) { return nil, errors.New("away") }
	lies := func(string) (bundle.History, error) {
		return bundle.History{{Path: "a.txt", Digest: bundle.Sum(nil)}}, nil
	}
	var p *Plan
	for _, history := range []HistoryFunc{nil, lies, away} {
		if p, err = c.Plan(t.Context(), w.newest(), history, How{}); err != nil {
			t.Fatal(err)
		}
		if a := p.Actions()[0]; a.Path != "a.txt" || a.Verb != Skip {
			t.Fatalf("%+v", a)
		}
	}
	if err := w.fetch(c, p); err != nil {
		t.Fatal(err)
	}
	r, err := c.Apply(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	h.Close()
	wantEvents(t, r, "failed a.txt")
	w.has("a.txt", "one", "b.txt", "b")
	if s := w.state(); s.Version != 2 || s.Complete || len(s.Waiting) != 1 {
		t.Fatalf("%+v", s)
	}
	wantEvents(t, w.sync())
	w.has("a.txt", "two", "b.txt", "b")
}

func TestAWithdrawnFormerVersionIsNotShelved(t *testing.T) {
	w := threeVersions(t)
	w.sync()
	w.withdraw = []bundle.Pair{{Path: "a.txt", Digest: bundle.Sum([]byte("two"))}}
	w.publish("a.txt", "three")
	os.RemoveAll(filepath.Join(w.root, ".satchel"))
	w.sync()
	for p, text := range tree(t, w.root) {
		if text == "two" {
			t.Errorf("withdrawn bytes lie in %s", p)
		}
	}
}
