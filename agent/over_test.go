package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/workdir"
)

// login is what a server's start does: the first pass, and the start pass.
func (h *home) login() {
	h.t.Helper()
	a := h.agent()
	ans := a.Glance(h.t.Context())
	out := a.Sync(h.t.Context(), SyncOptions{Mode: workdir.Start, Step: true, Answer: ans})
	a.Sync(h.t.Context(), SyncOptions{Mode: workdir.Start, Walk: true, Since: time.Now(), Continues: out.Pass})
}

// A student throws the folder away while the watch looks, twice: nothing comes
// under their hands, and each login brings all of it, without a word of deleting.
func TestStartingOverWhileAWatchLooks(t *testing.T) {
	w := newWorld(t)
	w.course("scala")
	files := map[string]string{"a.ipynb": "a1\n", "hw/b.txt": "b1\n"}
	w.publish("scala", files)
	h := w.home("ada")
	h.sync()
	h.wantSaid("Updated to version 1: 2 new.")
	for range 2 {
		folder := filepath.Join(h.root, "scala")
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		watch := h.agent()
		for range 2 {
			watch.Sync(t.Context(), SyncOptions{Mode: workdir.Session})
		}
		if _, err := os.Lstat(folder); !os.IsNotExist(err) {
			t.Errorf("the folder is there while the student works: %v", err)
		}
		h.said()
		h.login()
		for _, text := range h.said() {
			if strings.Contains(text, "deleted") {
				t.Errorf("said %q", text)
			}
		}
		h.wantTree("scala", files)
	}
	// And the command line need not wait for a start.
	if err := os.RemoveAll(filepath.Join(h.root, "scala")); err != nil {
		t.Fatal(err)
	}
	a := h.agent()
	a.Sync(t.Context(), SyncOptions{Mode: workdir.Session})
	a.Sync(t.Context(), SyncOptions{Mode: workdir.Start, Walk: true})
	h.wantTree("scala", files)
}
