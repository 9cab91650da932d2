package workdir

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
)

var day = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// world is a course that publishes and a student's root folder that syncs.
type world struct {
	t        testing.TB
	root     string
	folder   string
	version  bundle.Version
	files    map[string]string // path to content, of the newest version
	modes    map[string]uint32
	policies map[string]bundle.Policy
	channel  map[string]string // path to channel; "" is "main"
	gone     []string          // channels that are not this student's
	withdraw []bundle.Pair
	renamed  map[string]string
	history  map[string]bundle.History
	contents map[bundle.Digest]string
	now      time.Time
	checked  time.Time // by the service's clock; zero: it agrees with now
	ctx      context.Context
	do       *hands
	how      How
	follows  string // the pass that the next one goes on with
	asked    int    // histories
	fetched  []bundle.Digest
	between  func() // between plan and apply
	after    []func()
	framed   bool // contents come in frames, which are kept
	unsure   bool // every file is read, however long ago it was written
	untold   bool // the agent dies before the student can read what was done
}

// quickDir is a folder in memory where there is one: the tests that sync
// thousands of times do not wait for a disk.
func quickDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "workdir-*")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func newWorld(t testing.TB) *world { return newWorldAt(t, t.TempDir()) }

func newWorldAt(t testing.TB, root string) *world {
	return &world{
		t: t, root: root, folder: "scala", now: day, ctx: context.Background(), files: map[string]string{}, modes: map[string]uint32{},
		policies: map[string]bundle.Policy{}, channel: map[string]string{}, renamed: map[string]string{},
		history: map[string]bundle.History{}, contents: map[bundle.Digest]string{}, do: &hands{},
	}
}

func logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// newest publishes what the course holds now.
func (w *world) newest() Newest {
	all := map[string]*bundle.Manifest{"main": {}}
	for p, text := range w.files {
		id := w.channel[p]
		if id == "" {
			id = "main"
		}
		if all[id] == nil {
			all[id] = &bundle.Manifest{}
		}
		d := bundle.Sum([]byte(text))
		w.contents[d] = text
		f := bundle.File{Path: p, Mode: 0o644, Size: int64(len(text)), Digest: d, Policy: bundle.Merge}
		if m := w.modes[p]; m != 0 {
			f.Mode = m
		}
		if pol := w.policies[p]; pol != "" {
			f.Policy = pol
		}
		all[id].Files = append(all[id].Files, f)
		w.history[id], _ = w.history[id].Add(bundle.Former{Path: p, Digest: d, Form: formOf(p, text)})
	}
	n := Newest{Manifests: all, Renamed: w.renamed}
	at := w.checked
	if at.IsZero() {
		at = w.now
	}
	head := &bundle.Head{Format: 1, Course: "scala101", Version: w.version, Settings: bundle.Settings{Folder: w.folder}, Published: at, Checked: at}
	for _, id := range sortedKeys(all) {
		m := all[id]
		m.Withdrawn, m.History = slices.Clone(w.withdraw), w.history[id].Digest()
		m.Sort()
		if err := m.Check(); err != nil {
			w.t.Fatal(err)
		}
		head.Channels = append(head.Channels, bundle.ChannelAt{ID: id, Manifest: m.Digest()})
		if slices.Contains(w.gone, id) {
			delete(all, id)
			n.Left = append(n.Left, id)
		}
	}
	n.Head = head
	return n
}

// publish makes a new version: path, content pairs; "-" removes a path.
func (w *world) publish(pairs ...string) {
	w.version++
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "-" {
			delete(w.files, pairs[i])
		} else {
			w.files[pairs[i]] = pairs[i+1]
		}
	}
}

func (w *world) open() *Home {
	h, err := open(context.Background(), logger(w.t), w.root, w.now, w.do)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.unsure {
		h.clock = 0
	}
	return h
}

// opened is the course as it is now, until the test ends: nothing else opens
// the home after that.
func (w *world) opened() *Course {
	w.t.Helper()
	h := w.open()
	w.t.Cleanup(h.Close)
	c, err := h.Course("scala101")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

func (w *world) ask(id string) (bundle.History, error) {
	w.asked++
	return w.history[id], nil
}

// sync is one whole pass.
func (w *world) sync() *Result {
	w.t.Helper()
	res, err := w.trySync()
	if err != nil {
		w.t.Fatal(err)
	}
	return res
}

func (w *world) trySync() (*Result, error) {
	h, err := open(w.ctx, logger(w.t), w.root, w.now, w.do)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	h.Pass(w.follows)
	c, err := h.Course("scala101")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	p, err := c.Plan(w.ctx, w.newest(), w.ask, w.how)
	if err != nil {
		return nil, err
	}
	if err := w.fetch(c, p); err != nil {
		return nil, err
	}
	if w.between != nil {
		w.between()
	}
	res, err := c.Apply(w.ctx, p)
	if err == nil && !w.untold {
		err = c.Told()
	}
	return res, err
}

func (w *world) fetch(c *Course, p *Plan) error {
	frame := bundle.Frame{Kind: bundle.Whole}
	var text strings.Builder
	for _, item := range p.Wanted() {
		if w.framed && w.keepDelta(c, item) {
			continue
		}
		frame.Items, frame.Size = append(frame.Items, item), frame.Size+item.Size
		text.WriteString(w.contents[item.Digest])
	}
	if w.framed && len(frame.Items) > 0 {
		var data bytes.Buffer
		if err := bundle.Compress(&data, strings.NewReader(text.String())); err != nil {
			return err
		}
		frame.Length = int64(data.Len())
		defer c.KeepFrame(frame, data.Bytes())
	}
	for _, item := range p.Wanted() {
		w.fetched = append(w.fetched, item.Digest)
		if err := c.Stage(bundle.NewVerifier(strings.NewReader(w.contents[item.Digest]), item)); err != nil {
			return err
		}
	}
	for _, keep := range w.after {
		keep()
	}
	w.after = nil
	return nil
}

// keepDelta keeps a content as a delta on what the course had before, where
// that gains something.
func (w *world) keepDelta(c *Course, item bundle.Item) bool {
	for path, text := range w.files {
		e := c.rec.files[path]
		if bundle.Sum([]byte(text)) != item.Digest || e == nil || len(text) == 0 {
			continue
		}
		var data bytes.Buffer
		err := bundle.WriteDelta(&data, bundle.BaseBytes([]byte(text)), bundle.BaseBytes([]byte(w.contents[e.Digest])), int64(len(text))/2)
		if err != nil {
			return false
		}
		w.after = append(w.after, func() {
			c.KeepFrame(bundle.Frame{Kind: bundle.Delta, Length: int64(data.Len()), Size: item.Size, Base: e.Digest, Items: []bundle.Item{item}}, data.Bytes())
		})
		return true
	}
	return false
}

func (w *world) state() State {
	h, err := Look(logger(w.t), w.root, w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	defer h.Close()
	c, err := h.Course("scala101")
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	return c.State()
}

// The student's hands. Paths are below the course's folder.

func (w *world) path(p string) string { return filepath.Join(w.root, w.folder, p) }

func (w *world) write(p, text string) {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Dir(w.path(p)), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(w.path(p), []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) remove(p string) {
	w.t.Helper()
	if err := os.RemoveAll(w.path(p)); err != nil {
		w.t.Fatal(err)
	}
}

// has checks the whole course folder: path, content pairs; a folder that is
// empty is "folder/", a link "-> target".
func (w *world) has(pairs ...string) {
	w.t.Helper()
	want := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		want[pairs[i]] = pairs[i+1]
	}
	got := tree(w.t, filepath.Join(w.root, w.folder))
	for p, text := range want {
		if got[p] != text {
			w.t.Errorf("%s: %q, want %q", p, got[p], text)
		}
	}
	for p, text := range got {
		if _, ok := want[p]; !ok {
			w.t.Errorf("%s: %q, want nothing there", p, text)
		}
	}
	if w.t.Failed() {
		w.t.FailNow()
	}
}

func tree(t testing.TB, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path != root {
			return nil // a content that is being staged just got its name
		}
		if err != nil {
			return err
		}
		p, _ := filepath.Rel(root, path)
		switch {
		case e.Type()&fs.ModeSymlink != 0:
			to, _ := os.Readlink(path)
			out[p] = "-> " + to
		case e.IsDir():
			if names, _ := os.ReadDir(path); len(names) == 0 && p != "." {
				out[p+"/"] = ""
			}
		case e.Type().IsRegular():
			data, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			out[p] = string(data)
		default:
			out[p] = "special"
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (r *Result) kinds() (out []string) {
	for _, e := range r.Events {
		text := string(e.Kind) + " " + e.Path
		if e.Other != "" {
			text += " | " + e.Other
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

func wantEvents(t testing.TB, r *Result, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := r.kinds(); !slices.Equal(got, want) {
		t.Fatalf("events:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// makeFolder makes the course's folder, so that what comes is placed path by
// path.
func (w *world) makeFolder() {
	w.t.Helper()
	if err := os.MkdirAll(w.path(""), 0o755); err != nil {
		w.t.Fatal(err)
	}
}
