package agent

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDiffOfWhatIsNoFile(t *testing.T) {
	_, h := mergedHome(t)
	file := filepath.Join(h.root, "scala101/README.md")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	h.said()
	h.agent().Diff(t.Context(), &bytes.Buffer{}, h.root, "README.md")
	h.wantSaid("You have no file README.md. To bring it back: satchel-agent restore README.md")
	if err := os.Mkdir(file, 0o755); err != nil {
		t.Fatal(err)
	}
	h.agent().Diff(t.Context(), &bytes.Buffer{}, h.root, "README.md")
	h.wantSaid("README.md cannot be compared: what lies there is no file that can be read.")
}

// A newer Satchel's journal is none of the service's doing.
func TestNewerJournalIsLeftAsItIs(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	const newer = "satchel-journal 2 9f3b955e\n"
	h.write(".satchel/scala101/journal", newer)
	w.publish("scala101", with(lesson, "new.md", "new"))
	h.said()
	if out := h.sync(); out.Code != CodeNewer {
		t.Errorf("%+v", out)
	}
	if said := strings.Join(h.said(), "\n"); !strings.HasPrefix(said, "A newer Satchel has worked in ") {
		t.Errorf("said %q", said)
	}
	if data, _ := os.ReadFile(filepath.Join(h.root, ".satchel/scala101/journal")); string(data) != newer {
		t.Errorf("it is now %q", data)
	}
}

// What lies in the way of the agent's memory makes way.
func TestAFolderWhereTheMemoryIs(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	if err := os.Remove(filepath.Join(h.root, memoryFile)); err != nil {
		t.Fatal(err)
	}
	h.write(memoryFile+"/x", "mine")
	h.write(".satchel/.agent.tmp/x", "mine")
	h.sync()
	h.said()
	h.sync()
	h.wantSaid("Course material is up to date (version 1).")
	for _, name := range []string{memoryFile, ".satchel/.agent.tmp"} {
		if data, _ := os.ReadFile(filepath.Join(h.root, name+" (my copy 1)", "x")); string(data) != "mine" {
			t.Errorf("%s: %q", name, data)
		}
	}
}

// Very many sentences of one kind are not all said.
func TestManySentencesOfOneKind(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	files := map[string]string{}
	for i := range maxAlike + 5 {
		files[fmt.Sprintf("f%02d.bin", i)] = fmt.Sprintf("\x00%d", i)
	}
	w.publish("scala101", files)
	h := w.home("ana")
	for name := range files {
		h.write("scala101/"+name, "\x00mine")
	}
	h.sync()
	said := h.said()
	if n := len(said); n != maxAlike+2 || said[n-1] != "… and 5 more like that; the whole list is in the log." {
		t.Errorf("%d sentences: %q", n, said)
	}
}

// A restore that cannot be done promises nothing.
func TestRestoreThatCannotBeDone(t *testing.T) {
	w := Words{}
	if got := w.NotRestored("a.txt", "permission", ""); got != "Could not bring back a.txt (no write permission). Nothing was changed there." {
		t.Error(got)
	}
}
