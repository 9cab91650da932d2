package hookserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"satchel/bundle"
	"satchel/course"
	"satchel/hook"
	"satchel/internal/students"
	"satchel/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a service on a folder store, with a publisher beside it that
// stands for the syncer.
type world struct {
	t       testing.TB
	dir     *store.Dir
	key     bundle.SigningKey
	tickets hook.TicketKeys
	secrets [][]byte
	lines   lines

	mu      sync.Mutex
	courses []course.Course
	now     time.Time
	state   map[string]*published

	srv *Server
	web *httptest.Server
}

// published is what the publisher remembers of a course.
type published struct {
	record    *store.Record
	etag      string
	manifests map[string]*bundle.Manifest
	histories map[string]bundle.History
	trees     map[string]fs.FS
}

// audienceOf is a channel as a test writes it.
type audienceOf struct {
	groups, users []string
	files         map[string]string
	withdrawn     []bundle.Pair
	full          bool              // write a full bundle instead of a step
	renamed       map[string]string // the publisher's hints: new path to old
}

type lines struct {
	mu   sync.Mutex
	list []students.Line
}

func (l *lines) Add(x students.Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, x)
}

func (l *lines) of(k students.Kind) (out []students.Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.list {
		if x.Kind == k {
			out = append(out, x)
		}
	}
	return out
}

const hookSecret = "the-hook-secret-0123456789abcdef0123"

// newWorld starts a service; change may alter its options.
func newWorld(t testing.TB, change func(*Options)) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 9, 1, 9, 0, 0, 0, time.UTC), state: map[string]*published{}, secrets: [][]byte{[]byte(hookSecret)}}
	var err error
	if w.dir, err = store.NewDir(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if w.key, err = bundle.NewSigningKey(); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"first-ticket-key-0123456789abcdef", "second-ticket-key-0123456789abcdef"} {
		k, err := hook.ParseTicketKey([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		w.tickets = append(w.tickets, k)
	}
	o := Options{
		Store: w.dir, Courses: w.configured,
		TicketKeys:  func() hook.TicketKeys { return w.tickets },
		HookSecrets: func() [][]byte { return w.secrets },
		PublicKeys:  func() []bundle.PublicKey { return []bundle.PublicKey{w.key.Public()} },
		URL:         "http://satchel.example/services/satchel",
		Students:    &w.lines, Now: w.clock,
		Limits: Limits{Requests: 1_000_000},
	}
	if change != nil {
		change(&o)
	}
	lg := slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if w.srv, err = New(lg, o); err != nil {
		t.Fatal(err)
	}
	w.web = httptest.NewUnstartedServer(w.srv.Student())
	w.web.Config = w.srv.httpServer(w.srv.Student())
	w.web.Start()
	t.Cleanup(func() {
		w.srv.Drain()
		w.web.CloseClientConnections()
		w.web.Close()
		if c := w.srv.lib.blobs.cache; c != nil {
			c.running.Wait() // else its folder is removed under it
		}
	})
	return w
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(string(bytes.TrimSpace(p)))
	return len(p), nil
}

func (w *world) configured() []course.Course {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.courses)
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) course(name string, a course.Audience) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.courses = slices.DeleteFunc(w.courses, func(c course.Course) bool { return string(c.Name) == name })
	w.courses = append(w.courses, course.Course{Name: course.Name(name), Audience: a})
}

// everyone is the plainest channel.
func everyone(files map[string]string) map[string]audienceOf {
	return map[string]audienceOf{"all": {files: files}}
}

// publish writes the next version of a course and lets the service look.
func (w *world) publish(name string, channels map[string]audienceOf, change ...func(*store.Record)) bundle.Version {
	w.t.Helper()
	v := w.write(name, channels, change...)
	w.srv.Refresh(w.t.Context())
	return v
}

func (w *world) write(name string, channels map[string]audienceOf, change ...func(*store.Record)) bundle.Version {
	w.t.Helper()
	p := w.state[name]
	if p == nil {
		p = &published{record: &store.Record{Format: store.RecordFormat, Course: name}, manifests: map[string]*bundle.Manifest{}, histories: map[string]bundle.History{}, trees: map[string]fs.FS{}}
		w.state[name] = p
	}
	r := *p.record
	r.Version++
	old := map[string]store.Channel{}
	for _, c := range r.Channels {
		old[c.ID] = c
	}
	head := &bundle.Head{Format: bundle.HeadFormat, Course: name, Version: r.Version, Published: w.clock(), Checked: w.clock(),
		Settings: bundle.Settings{Folder: name, WhatIsNew: true}}
	r.Channels = nil
	for _, id := range slices.Sorted(maps.Keys(channels)) {
		c := w.channel(p, name, id, r.Version, old[id], channels[id])
		r.Channels = append(r.Channels, c)
		head.Channels = append(head.Channels, bundle.ChannelAt{ID: id, Manifest: p.manifests[id].Digest()})
	}
	w.sign(&r, head)
	for _, f := range change {
		f(&r)
	}
	w.swap(p, &r)
	return r.Version
}

func (w *world) sign(r *store.Record, head *bundle.Head) {
	var err error
	if r.Head, err = bundle.Sign(head, w.key); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) swap(p *published, r *store.Record) {
	w.t.Helper()
	r.Publish = fmt.Sprint(r.Version, time.Now().UnixNano())
	tag, err := store.SwapRecord(context.Background(), w.dir, r, p.etag)
	if err != nil {
		w.t.Fatal(err)
	}
	p.record, p.etag = r, tag
}

// channel builds the bundle of one channel, where it changed.
func (w *world) channel(p *published, course, id string, v bundle.Version, c store.Channel, a audienceOf) store.Channel {
	w.t.Helper()
	m, fsys := manifestOf(a)
	base := p.manifests[id]
	var formers []bundle.Former
	for _, f := range m.Files {
		formers = append(formers, bundle.Former{Path: f.Path, Digest: f.Digest})
	}
	all, added := p.histories[id].Add(formers...)
	m.History = all.Digest()
	c.ID, c.Groups, c.Users = id, a.groups, a.users
	if base != nil && base.Digest() == m.Digest() && !a.full {
		return c
	}
	spec := bundle.Spec{Course: course, Channel: id, From: c.Since, To: v, Base: base, Manifest: m, Former: added, Renamed: a.renamed, Before: p.trees[id]}
	if base == nil || a.full {
		spec.From, spec.Base, spec.Former = 0, nil, all
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
	p.manifests[id], p.histories[id] = m, all
	p.trees[id] = fsys
	return c
}

func manifestOf(a audienceOf) (*bundle.Manifest, fstest.MapFS) {
	m, fsys := &bundle.Manifest{Withdrawn: a.withdrawn}, fstest.MapFS{}
	for path, text := range a.files {
		fsys[path] = &fstest.MapFile{Data: []byte(text)}
		m.Files = append(m.Files, bundle.File{Path: path, Mode: 0o644, Size: int64(len(text)), Digest: bundle.Sum([]byte(text)), Policy: bundle.Merge})
	}
	m.Sort()
	return m, fsys
}

// student is an agent of one student.
type student struct {
	w      *world
	ticket string
	client *hook.Client
	have   map[string]hook.Have
	heads  map[string]*bundle.Envelope
	trees  map[string]map[string]*bundle.Manifest // course, channel
	disk   map[bundle.Digest][]byte
	etag   string
	got    []hook.Offered // frames of the last sync
	last   *hook.Offer
}

func (w *world) student(user string, groups ...string) *student {
	w.t.Helper()
	now := w.clock()
	text, err := w.tickets.Mint(hook.Ticket{Audience: "satchel", User: user, Groups: groups, Issued: now.Unix(),
		Expires: now.Add(hook.TicketLife).Unix(), ID: "id-of-" + user, Login: now.Unix()})
	if err != nil {
		w.t.Fatal(err)
	}
	s := &student{w: w, ticket: text, have: map[string]hook.Have{}, heads: map[string]*bundle.Envelope{}, trees: map[string]map[string]*bundle.Manifest{}, disk: map[bundle.Digest][]byte{}}
	s.client = hook.NewClient(hook.ClientOptions{URL: w.web.URL, Ticket: func() string { return s.ticket }, Agent: "test", HTTP: w.web.Client()})
	return s
}

func (s *student) haves() (out []hook.Have) {
	for _, h := range s.have {
		out = append(out, h)
	}
	return out
}

// sync asks once and applies what came, as an agent does.
func (s *student) sync() *hook.Offer {
	s.w.t.Helper()
	a, err := s.client.Sync(s.w.t.Context(), s.haves(), nil, "")
	if err != nil {
		s.w.t.Fatal(err)
	}
	defer a.Close()
	s.take(a)
	s.etag, s.last = a.ETag, a.Offer
	for _, c := range a.Offer.Courses {
		s.apply(c)
	}
	return a.Offer
}

// take reads all frames of an answer.
func (s *student) take(a *hook.Answer) {
	s.w.t.Helper()
	s.got = nil
	for {
		_, f, r, err := a.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			s.w.t.Fatal(err)
		}
		s.got = append(s.got, f)
		s.decode(f.Frame, r)
	}
}

func (s *student) decode(f bundle.Frame, r io.Reader) {
	s.w.t.Helper()
	base := func(d bundle.Digest) (bundle.Base, error) { return bundle.BaseBytes(s.disk[d]), nil }
	err := bundle.ReadFrame(f, r, base, func(it bundle.Item, r *bundle.Verifier) error {
		data, err := io.ReadAll(r)
		s.disk[it.Digest] = data
		return err
	})
	if err != nil {
		s.w.t.Fatal(err)
	}
}

// apply checks an offer for one course and moves on to it.
func (s *student) apply(c hook.CourseOffer) {
	t := s.w.t
	t.Helper()
	for _, id := range c.Left {
		delete(s.trees[c.Course], id)
	}
	if c.Head == nil {
		return
	}
	h, err := c.Head.Open([]bundle.PublicKey{s.w.key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	trees := map[string]*bundle.Manifest{}
	var ids []string
	for _, ch := range c.Channels {
		base := s.trees[c.Course][ch.ID]
		if ch.Base.IsZero() {
			base = nil
		} else if base == nil || base.Digest() != ch.Base {
			t.Fatalf("%s: channel %s is offered on a base that the agent has not", c.Course, ch.ID)
		}
		m, err := base.Apply(ch.Changes)
		if err != nil {
			t.Fatal(err)
		}
		if want, ok := h.Channel(ch.ID); !ok || m.Digest() != want {
			t.Fatalf("%s: channel %s is not what the head names", c.Course, ch.ID)
		}
		for _, f := range m.Files {
			if data, ok := s.disk[f.Digest]; !ok || int64(len(data)) != f.Size {
				t.Fatalf("%s: the bytes of %s did not come", c.Course, f.Path)
			}
		}
		trees[ch.ID], ids = m, append(ids, ch.ID)
	}
	s.trees[c.Course], s.heads[c.Course] = trees, c.Head
	s.have[c.Course] = hook.Have{Course: c.Course, Version: h.Version, Fingerprint: h.Fingerprint(), Channels: ids}
}

// tree is the course's folder as one map of path to text.
func (s *student) tree(course string) map[string]string {
	out := map[string]string{}
	for _, m := range s.trees[course] {
		for _, f := range m.Files {
			out[f.Path] = string(s.disk[f.Digest])
		}
	}
	return out
}

func (s *student) wantTree(course string, want map[string]string) {
	s.w.t.Helper()
	if got := s.tree(course); !maps.Equal(got, want) {
		s.w.t.Errorf("%s: got %q, want %q", course, keysOf(got), keysOf(want))
	}
}

func keysOf(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// never fails when any of these texts ever reached the student.
func (s *student) never(texts ...string) {
	s.w.t.Helper()
	for _, text := range texts {
		if _, ok := s.disk[bundle.Sum([]byte(text))]; ok {
			s.w.t.Errorf("%.40q was sent", text)
		}
		for _, data := range s.disk {
			if bytes.Contains(data, []byte(text)) {
				s.w.t.Errorf("%.40q was sent", text)
			}
		}
	}
}

// get asks a path with this student's ticket.
func (s *student) do(method, path string, header http.Header, body io.Reader) *http.Response {
	s.w.t.Helper()
	req, err := http.NewRequestWithContext(s.w.t.Context(), method, s.w.web.URL+path, body)
	if err != nil {
		s.w.t.Fatal(err)
	}
	maps.Copy(req.Header, header)
	if s.ticket != "" {
		req.Header.Set("Authorization", "Bearer "+s.ticket)
	}
	resp, err := s.w.web.Client().Do(req)
	if err != nil {
		s.w.t.Fatal(err)
	}
	return resp
}

func (s *student) status(method, path string, header http.Header, body io.Reader) int {
	resp := s.do(method, path, header, body)
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// wantError checks a client error's status and code.
func wantError(t testing.TB, err error, status int, code string) {
	t.Helper()
	var e *hook.Error
	if !errors.As(err, &e) || e.Status != status || e.Problem.Code != code {
		t.Errorf("got %v (%+v), want %d %s", err, e, status, code)
	}
}

// indented is JSON as it stands in golden files.
func indented(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(data, '\n')
}

// golden compares data with a file of hook/testdata; SATCHEL_GOLDEN=1 writes
// files that are missing.
func golden(t *testing.T, name string, data []byte) {
	t.Helper()
	path := "../hook/testdata/golden/v1/" + name
	want, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && os.Getenv("SATCHEL_GOLDEN") == "1" {
		want, err = data, os.WriteFile(path, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, data) {
		t.Errorf("%s changed:\n%s\nwas\n%s", name, data, want)
	}
}
