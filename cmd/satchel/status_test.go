//go:build unix

package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
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

// TestStatusShowsWhatWasProven: students hold more than the record has, and it
// counts only where a key of this service signed it.
func TestStatusShowsWhatWasProven(t *testing.T) {
	dir := t.TempDir()
	st, err := store.NewDir(dir)
	must(t, err)
	key, err := bundle.NewSigningKey()
	must(t, err)
	head := func(v bundle.Version) *bundle.Envelope {
		e, err := bundle.Sign(&bundle.Head{
			Format: bundle.HeadFormat, Course: "scala101", Version: v, Published: time.Now(), Checked: time.Now(),
			Settings: bundle.Settings{Folder: "scala101"}, Channels: []bundle.ChannelAt{{ID: "all", Manifest: bundle.Sum(nil)}},
		}, key)
		must(t, err)
		return e
	}
	_, err = store.SwapRecord(t.Context(), st, &store.Record{Format: store.RecordFormat, Course: "scala101", Version: 2, Head: head(2), Publish: "p"}, "")
	must(t, err)
	must(t, store.WriteProven(t.Context(), st, store.Proven{Course: "scala101", Time: time.Now(), Head: head(7)}, []bundle.PublicKey{key.Public()}))
	cfg := &config.Config{Courses: []course.Course{{Name: "scala101"}}}
	cfg.Listen.Control, cfg.Secrets.PublicKeys = filepath.Join(dir, "control.sock"), filepath.Join(dir, "signing.pub")
	for _, c := range []struct {
		keys string
		want bundle.Version
	}{{key.Public().String(), 7}, {"", 0}} {
		must(t, os.WriteFile(cfg.Secrets.PublicKeys, []byte(c.keys), 0o600))
		for _, json := range []bool{false, true} {
			var out strings.Builder
			a := &app{out: &out, json: json}
			must(t, a.status(t.Context(), cfg, st))
			if got := strings.Contains(out.String(), "(version 7)") || strings.Contains(out.String(), `"proven": 7`); got != (c.want > 0) {
				t.Errorf("keys %q, json %v: %s", c.keys, json, out.String())
			}
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
