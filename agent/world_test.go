package agent

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"satchel/bundle"
	"satchel/course"
	"satchel/hook"
	"satchel/hookserver"
	"satchel/internal/students"
	"satchel/store"
	"satchel/workdir"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a real hookserver on a folder store, with a publisher that stands
// for the syncer, behind a wall where a test can break what passes.
type world struct {
	t       testing.TB
	dir     *store.Dir
	key     bundle.SigningKey
	tickets hook.TicketKeys
	srv     *hookserver.Server
	web     *httptest.Server
	options hookserver.Options
	started time.Time
	shape   func(*bundle.Manifest) // of what is published; nil: all is as manifestOf makes it

	mu       sync.Mutex
	courses  []course.Course
	state    map[string]*published
	wall     func(http.Handler) http.Handler // nil: nothing is broken
	asked    []string                        // requests, in order
	received []byte                          // all that agents sent, headers too
	lines    []students.Line
}

type published struct {
	record   *store.Record
	etag     string
	manifest map[string]*bundle.Manifest
	history  map[string]bundle.History
	head     *bundle.Head
}

func newWorld(t testing.TB, change ...func(*hookserver.Options)) *world {
	t.Helper()
	w := &world{t: t, state: map[string]*published{}, started: time.Now()}
	var err error
	if w.dir, err = store.NewDir(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if w.key, err = bundle.NewSigningKey(); err != nil {
		t.Fatal(err)
	}
	k, err := hook.ParseTicketKey([]byte("a-ticket-key-0123456789-abcdef-0123"))
	if err != nil {
		t.Fatal(err)
	}
	w.tickets = hook.TicketKeys{k}
	o := hookserver.Options{
		Store: w.dir, Courses: w.configured, TicketKeys: func() hook.TicketKeys { return w.tickets },
		HookSecrets: func() [][]byte { return nil },
		PublicKeys:  func() []bundle.PublicKey { return []bundle.PublicKey{w.key.Public()} },
		URL:         "http://satchel.example/services/satchel", Students: w, Limits: hookserver.Limits{Requests: 1_000_000},
	}
	for _, f := range change {
		f(&o)
	}
	w.options = o
	if w.srv, err = hookserver.New(testLog(t), o); err != nil {
		t.Fatal(err)
	}
	w.web = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(func() {
		w.srv.Drain()
		w.web.CloseClientConnections()
		w.web.Close()
	})
	return w
}

// restart puts another hookserver in the place of the one that runs.
func (w *world) restart() {
	w.t.Helper()
	next, err := hookserver.New(testLog(w.t), w.options)
	if err != nil {
		w.t.Fatal(err)
	}
	next.Refresh(w.t.Context())
	w.srv.Drain()
	w.mu.Lock()
	w.srv = next
	w.mu.Unlock()
}

func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(string(bytes.TrimSpace(p)))
	return len(p), nil
}

// Add takes the service's lines about students.
func (w *world) Add(l students.Line) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, l)
}

func (w *world) receipts() (out []students.Line) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lines {
		if l.Kind == students.KindReceipt {
			out = append(out, l)
		}
	}
	return out
}

func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	w.mu.Lock()
	w.asked = append(w.asked, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/services/satchel"))
	w.received = append(append(w.received, fmt.Sprint(r.URL, r.Header)...), body...)
	wall, h := w.wall, w.srv.Student()
	w.mu.Unlock()
	if wall != nil {
		h = wall(h)
	}
	h.ServeHTTP(rw, r)
}

// behind sets what stands between agents and the service.
func (w *world) behind(wall func(http.Handler) http.Handler) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wall = wall
}

// requests gives what was asked since the last time.
func (w *world) requests() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.asked
	w.asked = nil
	return out
}

func (w *world) configured() []course.Course {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.courses)
}

// course lets everybody into a course.
func (w *world) course(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.courses = append(w.courses, course.Course{Name: course.Name(name), Audience: course.Audience{Everyone: true}})
}

// publish writes the next version of a course as its one channel.
func (w *world) publish(name string, files map[string]string, change ...func(*bundle.Head, *store.Record)) bundle.Version {
	w.t.Helper()
	p := w.state[name]
	if p == nil {
		p = &published{
			record:   &store.Record{Format: store.RecordFormat, Course: name},
			manifest: map[string]*bundle.Manifest{}, history: map[string]bundle.History{},
		}
		w.state[name] = p
	}
	r := *p.record
	r.Version++
	var was store.Channel
	if len(r.Channels) > 0 {
		was = r.Channels[0]
	}
	r.Channels = []store.Channel{w.channel(p, name, r.Version, was, files)}
	p.head = &bundle.Head{
		Format: bundle.HeadFormat, Course: name, Version: r.Version, Published: time.Now(), Checked: time.Now(),
		Settings: bundle.Settings{Folder: name, WhatIsNew: true},
		Channels: []bundle.ChannelAt{{ID: "all", Manifest: p.manifest["all"].Digest()}},
	}
	for _, f := range change {
		f(p.head, &r)
	}
	r.Head = w.sign(p.head)
	r.Publish = fmt.Sprint(r.Version, time.Now().UnixNano())
	tag, err := store.SwapRecord(w.t.Context(), w.dir, &r, p.etag)
	if err != nil {
		w.t.Fatal(err)
	}
	p.record, p.etag = &r, tag
	w.srv.Refresh(w.t.Context())
	return r.Version
}

func (w *world) sign(h *bundle.Head, keys ...bundle.SigningKey) *bundle.Envelope {
	w.t.Helper()
	if keys == nil {
		keys = []bundle.SigningKey{w.key}
	}
	e, err := bundle.Sign(h, keys...)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

func (w *world) channel(p *published, course string, v bundle.Version, c store.Channel, files map[string]string) store.Channel {
	w.t.Helper()
	m, fsys, former := manifestOf(files)
	if w.shape != nil {
		w.shape(m)
	}
	all, added := p.history["all"].Add(former...)
	m.History = all.Digest()
	base := p.manifest["all"]
	c.ID = "all"
	spec := bundle.Spec{Course: course, Channel: c.ID, From: c.Since, To: v, Base: base, Manifest: m, Former: added}
	if base == nil {
		spec.Former = all
	}
	b, err := bundle.Build(context.Background(), w.t.TempDir(), spec, fsys)
	if err != nil {
		w.t.Fatal(err)
	}
	defer b.Discard()
	if err := w.dir.Put(context.Background(), store.BundleKey(course, b.Digest), b.File); err != nil {
		w.t.Fatal(err)
	}
	c.Bundles = append(slices.Clone(c.Bundles), store.BundleRef{From: spec.From, To: v, Digest: b.Digest, Size: b.Size})
	c.Since = v
	p.manifest["all"], p.history["all"] = m, all
	return c
}

func manifestOf(files map[string]string) (*bundle.Manifest, fstest.MapFS, []bundle.Former) {
	m, fsys := &bundle.Manifest{}, fstest.MapFS{}
	var former []bundle.Former
	for path, text := range files {
		fsys[path] = &fstest.MapFile{Data: []byte(text)}
		d := bundle.Sum([]byte(text))
		m.Files = append(m.Files, bundle.File{Path: path, Mode: 0o644, Size: int64(len(text)), Digest: d, Policy: bundle.Merge})
		former = append(former, bundle.Former{Path: path, Digest: d})
	}
	m.Sort()
	return m, fsys, former
}

// ticket mints one for a student, who is in these groups.
func (w *world) ticket(user string, life time.Duration, groups ...string) string {
	w.t.Helper()
	now := time.Now()
	if life < 0 { // one that is over
		now, life = now.Add(2*life), -life
	}
	text, err := w.tickets.Mint(hook.Ticket{
		Audience: "satchel", User: user, Groups: append([]string{}, groups...), Issued: now.Unix(),
		Expires: now.Add(life).Unix(), ID: "id-of-" + user, Login: now.Unix(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

// home is one student's work folder and what its agents said.
type home struct {
	now  func() time.Time // the own clock; nil: the right one
	t    testing.TB
	w    *world
	root string
	s    Settings
	http *http.Client
	lg   *slog.Logger
	// What doctor tries; nothing of this machine, unless a test says what.
	metadata       []string
	hubPort, start string

	mu     sync.Mutex
	events []Event
}

func (w *world) home(user string) *home {
	w.t.Helper()
	h := &home{t: w.t, w: w, lg: testLog(w.t), root: filepath.Join(w.t.TempDir(), "work")}
	if err := os.Mkdir(h.root, 0o755); err != nil {
		w.t.Fatal(err)
	}
	runtime := filepath.Join(w.t.TempDir(), "run") // a short path: it holds a socket
	if err := os.Mkdir(runtime, 0o700); err != nil {
		w.t.Fatal(err)
	}
	h.s = Settings{
		Root: h.root, URL: w.web.URL + "/services/satchel", Ticket: Secret(w.ticket(user, time.Hour)),
		Keys: []bundle.PublicKey{w.key.Public()}, Language: "en_US.UTF-8", Runtime: runtime, Patience: 5 * time.Second,
	}
	tr := &http.Transport{DisableCompression: true, Proxy: nil}
	h.http = &http.Client{Transport: tr}
	w.t.Cleanup(tr.CloseIdleConnections)
	return h
}

func (h *home) agent() *Agent {
	h.t.Helper()
	a, err := New(h.lg, h.s, Options{Show: h.show, HTTP: h.http, Now: h.now})
	if err != nil {
		h.t.Fatal(err)
	}
	a.wait, a.calm = fast, time.Second
	a.metadata, a.hubPort, a.startFolder = h.metadata, cmp.Or(h.hubPort, "1"), cmp.Or(h.start, "/nonexistent")
	return a
}

func (h *home) show(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

// said gives the sentences since the last time.
func (h *home) said() (out []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		if e.Kind == Sentence {
			out = append(out, e.Text)
		}
	}
	h.events = nil
	return out
}

// sync is one login's pass.
func (h *home) sync() Outcome {
	h.t.Helper()
	return h.agent().Sync(h.t.Context(), SyncOptions{Mode: workdir.Start})
}

// wantSaid checks the sentences, all of them, in order.
func (h *home) wantSaid(want ...string) {
	h.t.Helper()
	if got := h.said(); !slices.Equal(got, want) {
		h.t.Errorf("said\n  %s\nand not\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// wantAsked checks that a request was among those since the last time.
func (h *home) wantAsked(request string) {
	h.t.Helper()
	if asked := h.w.requests(); !slices.Contains(asked, request) {
		h.t.Errorf("asked %q", asked)
	}
}

// tree is a course's folder as path and text.
func (h *home) tree(course string) map[string]string {
	h.t.Helper()
	out := map[string]string{}
	root := filepath.Join(h.root, course)
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(p)
		rel, _ := filepath.Rel(root, p)
		out[rel] = string(data)
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		h.t.Fatal(err)
	}
	return out
}

func (h *home) wantTree(course string, want map[string]string) {
	h.t.Helper()
	if got := h.tree(course); !maps.Equal(got, want) {
		h.t.Errorf("%s holds %v, not %v", course, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

func (h *home) write(path, text string) {
	h.t.Helper()
	p := filepath.Join(h.root, path)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited too long for: %s", what)
		}
	}
}

// staleHead was last checked ten days ago.
func staleHead(h *bundle.Head, _ *store.Record) {
	h.Published = time.Now().AddDate(0, 0, -20)
	h.Checked = time.Now().AddDate(0, 0, -10)
}
