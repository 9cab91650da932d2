package agent

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/workdir"
)

// An editor has a file open while that is replaced, and writes later. Nothing
// is published after that.
func TestLateBytesComeBackWithoutANewVersion(t *testing.T) {
	for name, wall := range map[string]func(http.Handler) http.Handler{
		"nothing new":      nil,
		"no service":       func(http.Handler) http.Handler { return http.NotFoundHandler() },
		"the next version": nil,
	} {
		t.Run(name, func(t *testing.T) {
			w, h, _ := inSession(t)
			editor, err := os.OpenFile(filepath.Join(h.root, "scala101/a.ipynb"), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer editor.Close()
			a := h.agent()
			at := time.Now()
			a.now = func() time.Time { return at }
			pass := func() {
				t.Helper()
				a.Sync(t.Context(), SyncOptions{Mode: workdir.Session})
			}
			w.publish("scala101", second)
			pass()
			h.wantTree("scala101", second)
			h.said()
			if _, err := editor.WriteString("late"); err != nil {
				t.Fatal(err)
			}
			w.behind(wall)
			at = at.Add(lookAgain - time.Minute)
			pass()
			if strings.Contains(strings.Join(h.said(), "\n"), "a.ipynb") {
				t.Error("looked too early")
			}
			at = at.Add(time.Minute)
			want := with(second, "a.ipynb", "late")
			if name == "the next version" {
				w.publish("scala101", with(second, "b.txt", "b3"))
				want["b.txt"] = "b3"
			}
			pass()
			h.wantTree("scala101", want)
			if said := h.said(); !slices.Contains(said, recoveredHere) {
				t.Errorf("said %q", said)
			}
			if page, _ := os.ReadFile(filepath.Join(h.root, "What is new.md")); !strings.Contains(string(page), "was saved while it was being updated") {
				t.Errorf("the page says\n%s", page)
			}
			at = at.Add(lookAgain)
			pass()
			h.wantTree("scala101", want)
		})
	}
}

// What is put back is told also where the plan after it is made once more.
func TestLateBytesAreToldThoughThePlanIsMadeAgain(t *testing.T) {
	w, h, _ := inSession(t)
	editor, err := os.OpenFile(filepath.Join(h.root, "scala101/a.ipynb"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer editor.Close()
	a := h.agent()
	a.fresh = 0
	w.publish("scala101", second)
	a.Sync(t.Context(), SyncOptions{Mode: workdir.Session})
	h.said()
	if _, err := editor.WriteString("late"); err != nil {
		t.Fatal(err)
	}
	w.publish("scala101", with(second, "b.txt", "b3"))
	a.Sync(t.Context(), SyncOptions{Mode: workdir.Session})
	if said := h.said(); len(said) < 2 || !strings.HasPrefix(said[0], "a.ipynb was saved while it was being updated") {
		t.Errorf("said %q", said)
	}
	h.wantTree("scala101", with(second, "b.txt", "b3", "a.ipynb", "late"))
}

const recoveredHere = "a.ipynb was saved while it was being updated; nothing was lost: what you saved is in place, and the course's changes will be added at the next start."
