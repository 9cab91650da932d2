package agent

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
