package agent

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"satchel/bundle"
	"satchel/hook"
	"satchel/store"
	"satchel/workdir"
)

func paused(_ *bundle.Head, r *store.Record) { pause(r) }

func goesOn(_ *bundle.Head, r *store.Record) { r.Paused = nil }

// statusText is what `status` shows.
func (h *home) statusText() string {
	h.t.Helper()
	st, err := h.agent().Status(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	var out bytes.Buffer
	st.WriteText(&out)
	return out.String()
}

// TestAPauseIsSaidToWhoHasSomething: in the answer that brings it, where
// nothing is new after it, after each publish behind it, at a login, and by the
// status; and no longer once it is over.
func TestAPauseIsSaidToWhoHasSomething(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	h.said()
	const said = "scala101 is paused by your teacher; you have version 1."
	typed := func() Outcome { // what `satchel-agent sync` does
		return h.agent().Sync(t.Context(), SyncOptions{Mode: workdir.Start, Walk: true})
	}
	for _, text := range []string{"2\n", "3\n"} {
		w.publish("scala101", with(lesson, "README.md", text), paused)
		for range 2 {
			if out := typed(); out.Code != "" {
				t.Errorf("%+v", out)
			}
			h.wantSaid(said)
		}
	}
	h.sync()
	h.wantSaid(said)
	if ans := h.agent().Glance(t.Context()); ans == nil || !ans.NotModified {
		t.Errorf("%+v", ans)
	}
	h.wantSaid(said)
	if got := h.statusText(); !strings.Contains(got, "  "+said+"\n") {
		t.Error(got)
	}
	w.publish("scala101", with(lesson, "README.md", "4\n"), goesOn)
	typed()
	h.wantSaid("Updated to version 4: 1 changed.")
	typed()
	h.wantSaid("Course material is up to date (version 4).")
	if got := h.statusText(); strings.Contains(got, "paused") {
		t.Error(got)
	}
}

// TestAPauseHindersNoRepair: what was deleted comes back as on any day, also
// in the pass that learns of the pause.
func TestAPauseHindersNoRepair(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	must(t, os.Remove(filepath.Join(h.root, "scala101/README.md")))
	w.publish("scala101", lesson, paused)
	h.said()
	h.agent().Sync(t.Context(), SyncOptions{Mode: workdir.Start, Walk: true})
	h.wantSaid("scala101 is paused by your teacher; you have version 1.", "Updated to version 1: 1 new.",
		"README.md had been deleted here; the newest version was brought back. Delete it again to keep it away.")
	h.wantTree("scala101", lesson)
}

// TestAPauseThatIsOverIsForgotten, also where the answer that told of it was
// not the last word, for another course could not be read.
func TestAPauseThatIsOverIsForgotten(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	w.decide("scala101", pause)
	w.behind(tamper(t, "/v1/sync", func(o *hook.Offer, f []byte) (*hook.Offer, []byte) {
		o.Courses = append(o.Courses, hook.CourseOffer{Course: "zoology", State: hook.StateAway})
		return o, f
	}))
	h.said()
	if out := h.sync(); out.Code != CodeInPart {
		t.Errorf("%+v", out)
	}
	if said := h.said(); !slices.Contains(said, "scala101: scala101 is paused by your teacher; you have version 1.") {
		t.Errorf("said %q", said)
	}
	w.behind(nil)
	w.decide("scala101", func(r *store.Record) { r.Paused = nil })
	h.sync()
	h.wantSaid("Course material is up to date (version 1).")
}

// decide changes a course's record without a new version.
func (w *world) decide(name string, change func(*store.Record)) {
	w.t.Helper()
	p := w.state[name]
	r := *p.record
	change(&r)
	tag, err := store.SwapRecord(w.t.Context(), w.dir, &r, p.etag)
	if err != nil {
		w.t.Fatal(err)
	}
	p.record, p.etag = &r, tag
	w.srv.Refresh(w.t.Context())
}

// TestTheStatusNamesALogThatIsThere.
func TestTheStatusNamesALogThatIsThere(t *testing.T) {
	w := newWorld(t)
	h := w.home("ana")
	log := filepath.Join(h.root, LogFile)
	if got := h.statusText(); !strings.HasSuffix(got, "\nLog: none yet ("+log+")\n") {
		t.Error(got)
	}
	must(t, OpenLog(h.root).Close())
	if got := h.statusText(); !strings.HasSuffix(got, "\nLog: "+log+"\n") {
		t.Error(got)
	}
}

// TestWhatAPauseHoldsBackIsNotAskedForAgainAndAgain: of a file that was
// deleted, and that a version behind the pause replaces, nothing comes; what the
// version here shares with that one does. A restore says why.
func TestWhatAPauseHoldsBackIsNotAskedForAgainAndAgain(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	noise := string(bigBytes(2 << 20)) // is not kept for a merge
	files := with(lesson, "big.bin", noise[:1<<20], "same.bin", noise[1<<20:])
	w.publish("scala101", files)
	h := w.home("ana")
	h.sync()
	w.publish("scala101", with(files, "big.bin", "held back\n"), paused)
	must(t, os.Remove(filepath.Join(h.root, "scala101/big.bin")))
	must(t, os.Remove(filepath.Join(h.root, "scala101/same.bin")))
	h.said()
	w.requests()
	out := h.agent().Sync(t.Context(), SyncOptions{Mode: workdir.Start, Walk: true})
	if asked := w.requests(); out.Code != CodeInPart || out.Offline || len(asked) > 4 {
		t.Errorf("%+v, %q", out, asked)
	}
	if said := h.said(); len(said) == 0 || said[0] != "scala101 is paused by your teacher; you have version 1." {
		t.Errorf("said %q", said)
	}
	delete(files, "big.bin")
	h.wantTree("scala101", files)
	if out := h.agent().Restore(t.Context(), filepath.Join(h.root, "scala101"), "big.bin", 0); out.Code != CodeInPart {
		t.Errorf("%+v", out)
	}
	h.wantSaid("scala101 is paused by your teacher; you have version 1.")
}

// TestADownloadGoesOnInAPause: of the version that was offered, all comes.
func TestADownloadGoesOnInAPause(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	noise := string(bigBytes(2 << 20))
	files := with(lesson, "data/big.bin", noise[:1<<20])
	for i := range 10 {
		files[fmt.Sprintf("pictures/%02d.png", i)] = noise[1<<20+i*60_000:][:60_000]
	}
	w.publish("scala101", files)
	h := w.home("ana")
	var cuts atomic.Int64
	cut := cutting(150_000, &cuts)
	pauses := sync.OnceFunc(func() { w.decide("scala101", pause) })
	w.behind(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/v1/sync") {
				pauses()
			}
			cut(next).ServeHTTP(rw, r)
		})
	})
	if out := h.sync(); out.Code != "" || cuts.Load() < 3 {
		t.Errorf("%+v, %d cuts: %q", out, cuts.Load(), h.said())
	}
	h.wantTree("scala101", files)
}
