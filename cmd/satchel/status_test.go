//go:build unix

package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"satchel/course"
	"satchel/internal/config"
	"satchel/store"
)

// TestStatusOfASyncerThatHasJustStarted: it answers before it has taken up its
// configuration; a course is not "none" because of that.
func TestStatusOfASyncerThatHasJustStarted(t *testing.T) {
	dir, err := os.MkdirTemp("", "satchel-cmd-") // a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	st, err := store.NewDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &config.Config{Courses: []course.Course{{Name: "scala101"}}}
	cfg.Listen.Control = filepath.Join(dir, "control.sock")
	if list, running := standing(t.Context(), cfg, st); running || len(list) != 1 {
		t.Errorf("nobody answers: %v, running %v", list, running)
	}
	l, err := net.Listen("unix", cfg.Listen.Control)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"courses":[]}`)) }))
	}()
	list, running := standing(t.Context(), cfg, st)
	if !running || len(list) != 1 || list[0].Course != "scala101" {
		t.Errorf("just started: %+v, running %v", list, running)
	}
	if list, _ := standing(t.Context(), &config.Config{Listen: cfg.Listen}, st); list == nil {
		t.Error("no course is null, not a list")
	}
}
