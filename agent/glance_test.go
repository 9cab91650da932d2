package agent

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/hook"
	"satchel/store"
	"satchel/workdir"
)

// handOver passes an answer on as a start hook does.
func (h *home) handOver(ans *hook.Answer) *hook.Answer {
	h.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		h.t.Fatal(err)
	}
	go func() { _ = ans.HandOver(w); w.Close() }()
	out, err := hook.TakeOver(r)
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// A login that finds nothing new asks once and reads one small file: neither
// the journal, which could not be read, nor any of the course's files.
func TestAGlanceIsOneRequestAndOpensNothing(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	if h.agent().Glance(t.Context()) != nil {
		t.Error("an answer in an empty home")
	}
	h.sync()
	h.said()
	w.requests()
	journal := filepath.Join(h.root, ".satchel/scala101/journal")
	hide := func(mode os.FileMode) {
		if os.Getuid() != 0 {
			must(t, os.Chmod(journal, mode))
		}
	}
	before := readAll(t, h.root)
	hide(0)
	ans := h.agent().Glance(t.Context())
	hide(0o600)
	if ans == nil || !ans.NotModified {
		t.Fatalf("%+v", ans)
	}
	h.wantSaid("Course material is up to date (version 1).")
	if asked := w.requests(); !slices.Equal(asked, []string{"GET /v1/sync"}) {
		t.Errorf("asked %q", asked)
	}
	if readAll(t, h.root) != before {
		t.Error("something in the home changed")
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// readAll is all names and times below a folder.
func readAll(t *testing.T, root string) (all string) {
	t.Helper()
	must(t, filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		all += p + " " + info.ModTime().String() + "\n"
		return err
	}))
	return all
}

// Something new comes by the answer to the one request.
func TestWhatAGlanceBringsIsUsed(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	next := with(lesson, "data/a.csv", "3,4\n", "new.md", "new")
	w.publish("scala101", next)
	h.said()
	w.requests()
	ans := h.agent().Glance(t.Context())
	if ans == nil || ans.NotModified {
		t.Fatalf("%+v", ans)
	}
	h.wantSaid()
	h.agent().Sync(t.Context(), SyncOptions{Mode: workdir.Start, Answer: h.handOver(ans)})
	h.wantTree("scala101", next)
	h.wantSaid("Updated to version 2: 1 new, 1 changed.")
	if asked := w.requests(); !slices.Equal(asked, []string{"GET /v1/sync", "POST /v1/receipts"}) {
		t.Errorf("asked %q", asked)
	}
}

// A new name of the course's folder, of which a session learned, is for the
// next login, although the service has nothing new for it.
func TestAGlanceKnowsThatARenameWaits(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	w.publish("scala101", lesson, func(head *bundle.Head, _ *store.Record) { head.Settings.Folder = "scala-26" })
	h.agent().Sync(t.Context(), SyncOptions{Mode: InSession})
	h.wantTree("scala101", lesson)
	if ans := h.agent().Glance(t.Context()); ans != nil {
		t.Errorf("%+v", ans)
	}
	h.sync()
	h.wantTree("scala-26", lesson)
	if ans := h.agent().Glance(t.Context()); ans == nil || !ans.NotModified {
		t.Errorf("%+v", ans)
	}
}

// Where the hook ends in the middle of a hand-over, the rest is asked for.
func TestAHandOverThatIsCutOff(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	next := with(lesson, "data/a.csv", "3,4\n", "new.md", "new")
	w.publish("scala101", next)
	ans := h.agent().Glance(t.Context())
	r, to, err := os.Pipe()
	must(t, err)
	whole, from, err := os.Pipe()
	must(t, err)
	go func() { _ = ans.HandOver(from); from.Close() }()
	data, err := io.ReadAll(whole)
	must(t, err)
	_, err = to.Write(data[:len(data)-5])
	must(t, err)
	to.Close()
	cut, err := hook.TakeOver(r)
	must(t, err)
	h.agent().Sync(t.Context(), SyncOptions{Mode: workdir.Start, Answer: cut})
	h.wantTree("scala101", next)
}

// What is no longer as a pass left it is for the watch to look at.
func TestWhenAGlanceDoesNotDo(t *testing.T) {
	for name, change := range map[string]func(*home, *Agent){
		"the folder is gone": func(h *home, _ *Agent) { must(h.t, os.RemoveAll(filepath.Join(h.root, "scala101"))) },
		"a link is in its place": func(h *home, _ *Agent) {
			must(h.t, os.RemoveAll(filepath.Join(h.root, "scala101")))
			must(h.t, os.Symlink("/", filepath.Join(h.root, "scala101")))
		},
		"the state is gone": func(h *home, _ *Agent) { must(h.t, os.RemoveAll(filepath.Join(h.root, ".satchel/scala101"))) },
		"the journal was written": func(h *home, _ *Agent) {
			must(h.t, os.Chtimes(filepath.Join(h.root, ".satchel/scala101/journal"), time.Now(), time.Now()))
		},
		"the memory is gone":       func(h *home, _ *Agent) { must(h.t, os.Remove(filepath.Join(h.root, memoryFile))) },
		"the memory is no memory":  func(h *home, _ *Agent) { h.write(memoryFile, "{") },
		"the head is two days old": func(_ *home, a *Agent) { a.now = func() time.Time { return time.Now().Add(48 * time.Hour) } },
		"the service is away":      func(h *home, _ *Agent) { h.w.web.CloseClientConnections(); h.w.web.Close() },
		"there is no ticket":       func(_ *home, a *Agent) { a.ticket = &ticketBox{} },
		"there are no keys":        func(_ *home, a *Agent) { a.s.Keys = nil },
	} {
		w := newWorld(t)
		w.course("scala101")
		w.publish("scala101", lesson)
		h := w.home("ana")
		h.sync()
		h.said()
		a := h.agent()
		change(h, a)
		if ans := a.Glance(t.Context()); ans != nil {
			t.Errorf("%s: %+v", name, ans)
			ans.Close()
		}
		h.wantSaid()
	}
}
