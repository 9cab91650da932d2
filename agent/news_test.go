package agent

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"satchel/workdir"
)

// A page that could not be written in one pass is written in the next, also
// when nothing else is new.
func TestPageThatCouldNotBeWrittenIsWrittenNextTime(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	journal := filepath.Join(h.root, ".satchel/.notes/journal")
	aside := journal + "-of-this-version"
	if err := os.Rename(journal, aside); err != nil {
		t.Fatal(err)
	}
	newer := "satchel-journal 2"
	newer += fmt.Sprintf(" %08x\n", crc32.Checksum([]byte(newer), crc32.MakeTable(crc32.Castagnoli)))
	if err := os.WriteFile(journal, []byte(newer), 0o600); err != nil {
		t.Fatal(err)
	}
	w.publish("scala101", second)
	if out := h.sync(); out.Code != "" {
		t.Errorf("a page that is not written is no failure: %+v", out)
	}
	if strings.Contains(h.page(), "version 2") {
		t.Fatal("the page was written")
	}
	if err := os.Rename(aside, journal); err != nil {
		t.Fatal(err)
	}
	h.said()
	h.sync()
	h.wantSaid("Course material is up to date (version 2).")
	if page := h.page(); strings.Count(page, "version 2") != 1 {
		t.Errorf("the page says %q", page)
	}
	was, _ := os.Stat(filepath.Join(h.root, newsFile))
	h.sync()
	if is, err := os.Stat(filepath.Join(h.root, newsFile)); err != nil || !os.SameFile(was, is) {
		t.Errorf("the page was written once more: %v", err)
	}
}

func (h *home) page() string {
	h.t.Helper()
	data, err := os.ReadFile(filepath.Join(h.root, newsFile))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(data)
}

// What a login delivers at once is over before its page, which whoever comes
// after writes where the login's process ended in between.
func TestPageOfALoginThatEndedBeforeItIsWrittenNextTime(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	a := h.agent()
	a.show = func(e Event) {
		if e.Kind == Finished {
			panic("the process ends here")
		}
	}
	func() {
		defer func() { _ = recover() }()
		a.Sync(t.Context(), SyncOptions{Mode: workdir.Start, Step: true})
		t.Error("the login has not said that it is over")
	}()
	h.wantTree("scala101", lesson)
	if _, err := os.Stat(filepath.Join(h.root, newsFile)); !os.IsNotExist(err) {
		t.Fatalf("the page was there before the login was over: %v", err)
	}
	if out := h.sync(); out.Code != "" {
		t.Errorf("the next pass came to %+v", out)
	}
	if page := h.page(); strings.Count(page, "version 1") != 1 {
		t.Errorf("the page says %q", page)
	}
}
