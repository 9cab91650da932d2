package config

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"satchel/bundle"
)

const (
	settle    = 200 * time.Millisecond // editors write, rename and chmod in one breath
	lookAgain = 30 * time.Second       // where the filesystem tells nothing (NFS, some mounts)
)

// Watch calls changed with the configuration at path: once at the beginning,
// so that nothing is missed between a Load before and this, and whenever the
// content of it, of courses.d or of a file that it names becomes another; with
// the error where it cannot be loaded. It returns when ctx is over.
//
// Folders are watched, not files: editors and Kubernetes replace files by
// renaming.
func Watch(ctx context.Context, lg *slog.Logger, path string, changed func(*Config, error)) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("watch the configuration: %w", err)
	}
	fsw, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch the configuration: %w", err)
	}
	defer fsw.Close()
	w := &watcher{path: path, fsw: fsw, changed: changed}
	w.look()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	quiet := time.NewTimer(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-fsw.Events:
			quiet.Reset(settle)
		case err := <-fsw.Errors:
			lg.Warn("watch the configuration", "error", err)
		case <-quiet.C:
			w.look()
		case <-again.C:
			w.look()
		}
	}
}

// watcher remembers what was seen last.
type watcher struct {
	path    string
	fsw     *fsnotify.Watcher
	changed func(*Config, error)
	files   []string // that the last good configuration named
	seen    bundle.Digest
}

// look loads the configuration if anything is new. It watches before it
// reads, so that what changes meanwhile is an event, and reads again where the
// files were not the same before and after.
func (w *watcher) look() {
	for range 5 {
		w.follow()
		before := w.print()
		if before == w.seen {
			return
		}
		c, err := Load(w.path)
		if c != nil {
			w.files = c.watched()
		}
		w.follow()
		if w.print() != before {
			continue
		}
		w.seen = before
		w.changed(c, err)
		return
	}
}

// follow watches the folders of all files, and of what they are links to.
func (w *watcher) follow() {
	want := map[string]bool{}
	for _, f := range append([]string{w.path}, w.files...) {
		want[filepath.Dir(f)] = true
		if real, err := filepath.EvalSymlinks(f); err == nil {
			want[filepath.Dir(real)] = true
		}
	}
	want[filepath.Join(filepath.Dir(w.path), coursesDir)] = true
	have := w.fsw.WatchList()
	for dir := range want {
		if !slices.Contains(have, dir) {
			_ = w.fsw.Add(dir) // absent for now: its parent, or lookAgain, tells
		}
	}
	for _, dir := range have {
		if !want[dir] {
			_ = w.fsw.Remove(dir)
		}
	}
}

// print is a digest over the names and contents of everything that matters.
func (w *watcher) print() bundle.Digest {
	courses, _ := courseFiles(filepath.Dir(w.path))
	var text []byte
	for _, f := range slices.Concat([]string{w.path}, courses, w.files) {
		text = fmt.Appendf(text, "%d:%s ", len(f), f)
		data, err := readBounded(f, 8<<20)
		if err != nil {
			text = append(text, err.Error()...)
		} else {
			text = fmt.Append(text, bundle.Sum(data))
		}
		if info, err := os.Stat(f); err == nil {
			text = fmt.Append(text, info.Mode())
		}
	}
	return bundle.Sum(text)
}
