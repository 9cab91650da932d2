package agent

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"satchel/workdir"
)

// noFiles answers no question for contents.
func noFiles(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/files") {
			http.Error(rw, "not now", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(rw, r)
	})
}

var heavy = map[string]string{"a.ipynb": "a1\n", "data/big.bin": string(bigBytes(6 << 20))}

const inPart = "Still arriving: 1 of 2 files (data/). The notebooks are complete."

// inPartWorld is a home in which the student started over, and of which the
// large file did not come: nothing is new, and it is not at hand.
func inPartWorld(t *testing.T) *home {
	w := newWorld(t)
	w.course("scala")
	w.publish("scala", heavy)
	h := w.home("ada")
	h.sync()
	must(t, os.RemoveAll(filepath.Join(h.root, "scala")))
	w.behind(noFiles)
	h.said()
	if out := h.agent().Sync(t.Context(), SyncOptions{Mode: workdir.Start, Walk: true}); out.Code != CodeInPart || !out.Offline {
		t.Errorf("%+v", out)
	}
	if said := h.said(); !slices.Contains(said, inPart) {
		t.Fatalf("said %q", said)
	}
	h.wantTree("scala", map[string]string{"a.ipynb": "a1\n"})
	return h
}

// What was not to be had is tried again by each pass, although nothing is new.
func TestWhatDidNotComeIsTriedAgain(t *testing.T) {
	h := inPartWorld(t)
	watch := h.agent()
	h.w.requests()
	for n := range 3 {
		if out := watch.Sync(t.Context(), SyncOptions{Mode: workdir.Session}); out.Code != CodeInPart || !out.Offline {
			t.Errorf("%+v", out)
		}
		asked := h.w.requests()
		if !slices.Contains(asked, "POST /v1/courses/scala/files") || n > 0 && slices.Contains(asked, "POST /v1/receipts") {
			t.Errorf("pass %d: asked %q", n, asked)
		}
	}
	if said := h.said(); len(said) != 1 || said[0] != inPart { // once
		t.Errorf("said %q", said)
	}
	if ans := h.agent().Glance(t.Context()); ans != nil || len(h.said()) > 0 {
		t.Error("a login does not know of it")
	}
	h.w.behind(nil)
	if out := watch.Sync(t.Context(), SyncOptions{Mode: workdir.Session}); out.Code != "" {
		t.Errorf("%+v", out)
	}
	h.wantSaid("Updated to version 1: 1 new.")
	h.wantTree("scala", heavy)
	if got := h.statusText(); strings.Contains(got, "big.bin") {
		t.Error(got)
	}
	h.w.requests()
	watch.Sync(t.Context(), SyncOptions{Mode: workdir.Session})
	if asked := h.w.requests(); !slices.Equal(asked, []string{"GET /v1/sync"}) { // and then no more
		t.Errorf("asked %q", asked)
	}
}

// But not where the course is no longer this student's.
func TestWhatIsNotGivenOutIsNotTriedAgain(t *testing.T) {
	h := inPartWorld(t)
	h.w.mu.Lock()
	h.w.courses = nil
	h.w.mu.Unlock()
	watch := h.agent()
	for range 2 {
		h.w.requests()
		if out := watch.Sync(t.Context(), SyncOptions{Mode: workdir.Session}); out.Offline {
			t.Errorf("%+v", out)
		}
	}
	if asked := h.w.requests(); !slices.Equal(asked, []string{"GET /v1/sync"}) {
		t.Errorf("asked %q", asked)
	}
}

// How much space is free changes from pass to pass: that alone is no news.
func TestFreeSpaceIsNoNews(t *testing.T) {
	w := WordsFor("en")
	of := func(path string, free int64) string {
		e := workdir.Event{Kind: workdir.NoSpace, Path: path, Need: 40e6, Free: free}
		return steady(w, []string{w.Updated(2, 1, 0, 0), sentenceOf(w, e)}, &workdir.Result{Events: []workdir.Event{e}})
	}
	if of("big.csv", 12e6) != of("big.csv", 11e6) {
		t.Errorf("%q, then %q", of("big.csv", 12e6), of("big.csv", 11e6))
	}
	if of("big.csv", 12e6) == of("other.csv", 12e6) {
		t.Errorf("%q of two files", of("big.csv", 12e6))
	}
}
