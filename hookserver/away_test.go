package hookserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/course"
	"satchel/hook"
	"satchel/store"
)

// faulty is a store that can be away, spoil what it gives, and counts.
type faulty struct {
	store.Store
	away   atomic.Bool
	spoil  atomic.Bool // bundles come with one byte changed
	short  atomic.Bool // bundles come without their last byte
	gets   atomic.Int64
	ranges atomic.Int64
	hold   chan struct{} // where set, Get waits for it
	holdMu sync.Mutex
}

func (f *faulty) err() error {
	if f.away.Load() {
		return fmt.Errorf("get: %w", store.ErrUnavailable)
	}
	return nil
}

func (f *faulty) Head(ctx context.Context, key string) (store.Object, error) {
	if err := f.err(); err != nil {
		return store.Object{}, err
	}
	return f.Store.Head(ctx, key)
}

func (f *faulty) Get(ctx context.Context, key string) (io.ReadCloser, store.Object, error) {
	if err := f.err(); err != nil {
		return nil, store.Object{}, err
	}
	isBundle := strings.Contains(key, "/bundles/")
	if isBundle {
		f.gets.Add(1)
	}
	f.holdMu.Lock()
	hold := f.hold
	f.holdMu.Unlock()
	if hold != nil && isBundle {
		<-hold
	}
	r, o, err := f.Store.Get(ctx, key)
	if err != nil || !isBundle {
		return r, o, err
	}
	switch {
	case f.spoil.Load():
		return &spoilt{ReadCloser: r, at: o.Size - 3}, o, nil
	case f.short.Load():
		return struct {
			io.Reader
			io.Closer
		}{io.LimitReader(r, o.Size-1), r}, o, nil
	}
	return r, o, nil
}

func (f *faulty) GetRange(ctx context.Context, key string, off, n int64) (io.ReadCloser, store.Object, error) {
	if err := f.err(); err != nil {
		return nil, store.Object{}, err
	}
	f.ranges.Add(1)
	return f.Store.GetRange(ctx, key, off, n)
}

// spoilt changes one byte.
type spoilt struct {
	io.ReadCloser
	at int64
}

func (s *spoilt) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if s.at >= 0 && s.at < int64(n) {
		p[s.at] ^= 1
	}
	s.at -= int64(n)
	return n, err
}

// cachedWorld is a service with a disk cache before a faulty store.
func cachedWorld(t *testing.T, change func(*Options)) (*world, *faulty, string) {
	f, dir := &faulty{}, t.TempDir()
	w := newWorld(t, func(o *Options) {
		f.Store = o.Store
		o.Store, o.CacheDir, o.Cache.FreeFloor = f, dir, -1
		if change != nil {
			change(o)
		}
	})
	w.course("scala", all)
	return w, f, dir
}

func bundleFiles(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "bundles", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestServesFromTheCacheWhileTheStoreIsAway(t *testing.T) {
	w, f, dir := cachedWorld(t, nil)
	files := map[string]string{"a": "a", "big": noise(300_000, 1)}
	w.publish("scala", everyone(files))
	w.student("warm").sync()
	f.away.Store(true)
	w.srv.Refresh(t.Context())
	ana := w.student("ana")
	ana.sync()
	ana.wantTree("scala", files)
	if st := w.srv.Status()[0]; st.Version != 1 || st.Sentence == "" || st.Since.IsZero() {
		t.Errorf("%+v", st)
	}

	// A restart while it is away serves what was served before.
	o := w.srv.o
	again, err := New(w.srv.lg, o)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(again.Student())
	defer web.Close()
	bob := w.student("bob")
	bob.client = hook.NewClient(hook.ClientOptions{URL: web.URL, Ticket: func() string { return bob.ticket }, HTTP: web.Client()})
	bob.sync()
	bob.wantTree("scala", files)

	// And goes on with the newest once the store is back.
	f.away.Store(false)
	w.write("scala", everyone(map[string]string{"a": "a2"}))
	again.Refresh(t.Context())
	bob.sync()
	bob.wantTree("scala", map[string]string{"a": "a2"})
	if st := again.Status()[0]; st.Sentence != "" {
		t.Errorf("%+v", st)
	}
	_ = dir
}

func TestOnlyColdIsUnavailable(t *testing.T) {
	w, f, _ := cachedWorld(t, nil)
	w.write("scala", everyone(map[string]string{"a": "a"}))
	f.away.Store(true)
	ana := w.student("ana")
	_, err := ana.client.Sync(t.Context(), nil, nil, "")
	wantError(t, err, http.StatusServiceUnavailable, hook.CodeUnavailable)
	var e *hook.Error
	if errors.As(err, &e) && e.RetryAfter == 0 {
		t.Error("no Retry-After")
	}
	rec := httptest.NewRecorder()
	w.srv.Hub().ServeHTTP(rec, httptest.NewRequest("GET", "/readyz", nil))
	if rec.Code != 503 {
		t.Errorf("ready while cold: %d", rec.Code)
	}
	if a := w.login("ana"); a.Ticket == "" {
		t.Error("logins need no store")
	}
	f.away.Store(false)
	w.pass(2 * time.Second)
	ana.sync()
	ana.wantTree("scala", map[string]string{"a": "a"})
}

// The record is known, its bundle is nowhere but in the store.
func TestRecordWarmBundleCold(t *testing.T) {
	w, f, dir := cachedWorld(t, nil)
	w.publish("scala", everyone(map[string]string{"a": "a"}))
	ref := w.state["scala"].record.Channels[0].Bundles[0]
	f.away.Store(true)
	ana := w.student("ana")
	_, err := ana.client.Sync(t.Context(), nil, nil, "")
	wantError(t, err, http.StatusServiceUnavailable, hook.CodeUnavailable)
	_, err = ana.client.Range(t.Context(), "scala", ref.Digest, indexOf(t, w, "scala", ref.Digest).Frames[0].Offset, 1)
	wantError(t, err, http.StatusServiceUnavailable, hook.CodeUnavailable)
	if list := bundleFiles(t, dir); len(list) != 0 {
		t.Errorf("left behind: %v", list)
	}
	w.course("other", all) // of which is known that there is nothing yet
	f.away.Store(false)
	w.srv.Refresh(t.Context())
	f.away.Store(true)
	if c := ana.sync().Courses; c[0].State != hook.StateEmpty || c[1].State != hook.StateAway {
		t.Errorf("%+v", c)
	}
	f.away.Store(false)
	ana.sync()
	ana.wantTree("scala", map[string]string{"a": "a"})
}

func TestDamagedCacheFileIsHadAnew(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"one byte":  func(p string) error { return flipByte(p) },
		"cut off":   func(p string) error { return os.Truncate(p, 10) },
		"gone":      os.Remove,
		"empty":     func(p string) error { return os.WriteFile(p, nil, 0o600) },
		"a folder":  func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) },
		"a symlink": func(p string) error { return errors.Join(os.Remove(p), os.Symlink("/dev/null", p)) },
	} {
		t.Run(name, func(t *testing.T) {
			w, f, dir := cachedWorld(t, nil)
			files := map[string]string{"a": "a", "big": noise(300_000, 1)}
			w.publish("scala", everyone(files))
			w.student("warm").sync()
			list := bundleFiles(t, dir)
			if len(list) != 1 {
				t.Fatalf("%v", list)
			}
			if err := damage(list[0]); err != nil {
				t.Fatal(err)
			}
			before := f.gets.Load()
			ana := w.student("ana")
			ana.sync()
			ana.wantTree("scala", files)
			if f.gets.Load() != before+1 {
				t.Errorf("%d reads of the store", f.gets.Load()-before)
			}
		})
	}
}

func flipByte(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	data[len(data)-5] ^= 1
	return os.WriteFile(path, data, 0o600)
}

// What a crash left, and what a process before this one had damaged.
func TestCacheAtStart(t *testing.T) {
	w, _, dir := cachedWorld(t, nil)
	files := map[string]string{"big": noise(300_000, 1)}
	w.publish("scala", everyone(files))
	w.student("warm").sync()
	if err := errors.Join(flipByte(bundleFiles(t, dir)[0]), os.WriteFile(filepath.Join(dir, "bundles", "fetch-123"), []byte("half"), 0o600)); err != nil {
		t.Fatal(err)
	}
	again, err := New(w.srv.lg, w.srv.o)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(again.Student())
	defer web.Close()
	ana := w.student("ana")
	ana.client = hook.NewClient(hook.ClientOptions{URL: web.URL, Ticket: func() string { return ana.ticket }, HTTP: web.Client()})
	ana.sync()
	ana.wantTree("scala", files)
	if list := bundleFiles(t, dir); len(list) != 1 {
		t.Errorf("%v", list)
	}
}

// A store that gives wrong bytes fills no cache and reaches no student.
func TestSpoiltDownloadIsNotKept(t *testing.T) {
	w, f, dir := cachedWorld(t, nil)
	files := map[string]string{"big": noise(300_000, 1)}
	w.publish("scala", everyone(files))
	ana := w.student("ana")
	for _, fault := range []*atomic.Bool{&f.spoil, &f.short} {
		fault.Store(true)
		if a, err := ana.client.Sync(t.Context(), nil, nil, ""); err == nil {
			if _, _, r, err := a.Next(); err == nil {
				if data, err := io.ReadAll(r); err == nil {
					t.Errorf("%d bytes of a spoilt bundle were sent", len(data))
				}
			}
			a.Close()
		}
		if list := bundleFiles(t, dir); len(list) != 0 {
			t.Errorf("kept: %v", list)
		}
		fault.Store(false)
	}
	ana.sync()
	ana.wantTree("scala", files)
}

func TestManyAtOnceAreOneDownload(t *testing.T) {
	w, f, _ := cachedWorld(t, nil)
	files := map[string]string{"big": noise(300_000, 1)}
	w.publish("scala", everyone(files))
	before := f.gets.Load()
	var wg sync.WaitGroup
	for i := range 20 {
		s := w.student(fmt.Sprint("s", i))
		wg.Go(func() {
			s.sync()
			s.wantTree("scala", files)
		})
	}
	wg.Wait()
	if n := f.gets.Load() - before; n != 1 {
		t.Errorf("%d downloads", n)
	}
}

// Who began a download and went away does not end it for the others.
func TestTheFirstGoesAway(t *testing.T) {
	w, f, _ := cachedWorld(t, nil)
	files := map[string]string{"big": noise(300_000, 1)}
	w.publish("scala", everyone(files))
	f.holdMu.Lock()
	f.hold = make(chan struct{})
	f.holdMu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	first := w.student("first")
	before := f.gets.Load()
	go func() {
		defer close(gone)
		if a, err := first.client.Sync(ctx, nil, nil, ""); err == nil {
			a.Next()
			a.Close()
		}
	}()
	for f.gets.Load() == before { // it waits in the store now
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-gone
	f.holdMu.Lock()
	close(f.hold)
	f.hold = nil
	f.holdMu.Unlock()
	ana := w.student("ana")
	ana.sync()
	ana.wantTree("scala", files)
	if n := f.gets.Load() - before; n > 2 {
		t.Errorf("%d downloads", n)
	}
}

func TestCacheBudget(t *testing.T) {
	w, _, dir := cachedWorld(t, func(o *Options) { o.Cache.Size = 700_000 })
	for i := range 5 {
		name := fmt.Sprint("c", i)
		w.course(name, all)
		w.publish(name, everyone(map[string]string{"big": noise(300_000, uint64(i))}))
	}
	ana := w.student("ana")
	for range 2 {
		ana.have, ana.trees = map[string]hook.Have{}, map[string]map[string]*bundle.Manifest{}
		ana.sync()
		ana.wantTree("c4", map[string]string{"big": noise(300_000, 4)})
		if list := bundleFiles(t, dir); len(list) > 2 {
			t.Errorf("%d files of 300 kB in a cache of 700 kB", len(list))
		}
	}
	w.course("huge", all) // larger than the whole cache: read past it
	w.publish("huge", everyone(map[string]string{"big": noise(900_000, 9)}))
	ana.sync()
	ana.wantTree("huge", map[string]string{"big": noise(900_000, 9)})
}

func TestFreeFloor(t *testing.T) {
	w, _, dir := cachedWorld(t, func(o *Options) { o.Cache.FreeFloor = 1 << 60 })
	w.publish("scala", everyone(map[string]string{"a": "a"}))
	ana := w.student("ana")
	ana.sync()
	ana.wantTree("scala", map[string]string{"a": "a"})
	if list := bundleFiles(t, dir); len(list) != 0 {
		t.Errorf("the disk was filled: %v", list)
	}
}

func TestPrefetch(t *testing.T) {
	w, f, dir := cachedWorld(t, func(o *Options) { o.Poll = 5 * time.Millisecond })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.srv.Run(ctx) }()
	w.write("scala", everyone(map[string]string{"a": "a", "big": noise(300_000, 2)}))
	for len(bundleFiles(t, dir)) == 0 || strings.Contains(bundleFiles(t, dir)[0], "fetch-") {
		time.Sleep(time.Millisecond)
	}
	f.away.Store(true)
	ana := w.student("ana")
	ana.sync()
	ana.wantTree("scala", map[string]string{"a": "a", "big": noise(300_000, 2)})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// One course's trouble is not another's, and what was good stays.
func TestBrokenCourses(t *testing.T) {
	good := map[string]string{"a": "good"}
	stranger, err := bundle.NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*world, *store.Record){
		"signed by a stranger": func(w *world, r *store.Record) {
			h, _ := r.Head.Peek()
			r.Head, _ = bundle.Sign(h, stranger)
		},
		"no head":         func(w *world, r *store.Record) { r.Head = nil },
		"head of another": func(w *world, r *store.Record) { r.Head = w.state["other"].record.Head },
		"bundle lost":     func(w *world, r *store.Record) { r.Channels[0].Bundles = r.Channels[0].Bundles[:1] },
		"no bundle":       func(w *world, r *store.Record) { r.Channels[0].Bundles = nil },
		"bundle of another": func(w *world, r *store.Record) {
			r.Channels[0].Bundles[1] = w.state["other"].record.Channels[0].Bundles[0]
		},
		"wrong size":           func(w *world, r *store.Record) { r.Channels[0].Bundles[1].Size++ },
		"channel lost":         func(w *world, r *store.Record) { r.Channels = nil },
		"bundle that is not":   func(w *world, r *store.Record) { r.Channels[0].Bundles[1].Digest = bundle.Sum(nil) },
		"a newer head":         func(w *world, r *store.Record) { r.Head.Payload = []byte(`{"format":99}`) },
		"version out of order": func(w *world, r *store.Record) { r.Version = 7 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.course("scala", all)
			w.course("other", all)
			w.publish("other", everyone(map[string]string{"o": "other"}))
			w.publish("scala", everyone(good))
			w.publish("scala", everyone(map[string]string{"a": "bad"}), func(r *store.Record) { spoil(w, r) })
			ana := w.student("ana")
			ana.sync()
			ana.wantTree("scala", good)
			ana.wantTree("other", map[string]string{"o": "other"})
			for _, st := range w.srv.Status() {
				if broken := st.Sentence != ""; broken != (st.Course == "scala") {
					t.Errorf("%+v", st)
				}
			}
		})
	}
}

// Broken from the start: the course is away, the others are not.
func TestBrokenFromTheStart(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.course("other", all)
	w.publish("other", everyone(map[string]string{"o": "other"}))
	for _, text := range []string{"garbage", `{"format":99,"course":"scala"}`, `{"format":1,"course":"other","version":1}`} {
		if err := w.dir.Put(t.Context(), store.RecordKey("scala"), strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		w.srv.Refresh(t.Context())
		ana := w.student("ana")
		o := ana.sync()
		ana.wantTree("other", map[string]string{"o": "other"})
		if c := o.Courses[1]; c.Course != "scala" || c.State != hook.StateAway || c.Head != nil {
			t.Errorf("%s: %+v", text, c)
		}
	}
}

func TestRecordGoesBackwards(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"a": "1"}))
	first := *w.state["scala"].record
	w.publish("scala", everyone(map[string]string{"a": "2"}))
	p := w.state["scala"]
	w.swap(p, &first) // restored from a backup
	w.srv.Refresh(t.Context())
	ana := w.student("ana")
	ana.sync()
	ana.wantTree("scala", map[string]string{"a": "2"})
	if st := w.srv.Status()[0]; !strings.Contains(st.Sentence, "backwards") || st.Version != 2 {
		t.Errorf("%+v", st)
	}
	if err := w.dir.Delete(t.Context(), store.RecordKey("scala")); err != nil {
		t.Fatal(err)
	}
	w.srv.Refresh(t.Context())
	bob := w.student("bob")
	bob.sync()
	bob.wantTree("scala", map[string]string{"a": "2"})
}

// A store that comes back from before a withdrawal is not given out by a
// service that starts with it, before the syncer has repaired that.
func TestAStoreFromBeforeAWithdrawalIsNotGivenOut(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.write("scala", everyone(map[string]string{"a": "1", "leak": "secret"}))
	gone := []bundle.Pair{{Path: "leak", Digest: bundle.Sum([]byte("secret"))}}
	if err := store.WriteEntry(t.Context(), w.dir, "scala", store.WithdrawID+"x", store.Entry{Time: w.now, Action: "withdraw", Who: "ana", Withdrawn: gone}); err != nil {
		t.Fatal(err)
	}
	w.srv.Refresh(t.Context())
	ana := w.student("ana")
	if a := answerOf(w.srv.lib.peek("scala").err); a.status != http.StatusServiceUnavailable || strings.Contains(a.problem.Sentence, "leak") {
		t.Errorf("%+v", a)
	}
	if st := w.srv.Status()[0]; !strings.Contains(st.Sentence, "before a withdrawal") || st.Version != 0 {
		t.Errorf("%+v", st)
	}
	w.publish("scala", everyone(map[string]string{"a": "1"}), func(r *store.Record) { r.Withdrawn = gone })
	ana.sync()
	ana.wantTree("scala", map[string]string{"a": "1"})
}

// A replica that never saw the newer version hears of it from an agent; only
// a valid signature counts.
func TestAgentProvesANewerVersion(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.course("closed", course.Audience{Groups: []string{"nobody"}})
	w.write("scala", everyone(map[string]string{"a": "1"}))
	first := *w.state["scala"].record
	w.write("scala", everyone(map[string]string{"a": "2"}))
	newer := w.state["scala"].record.Head
	h, _ := newer.Peek()
	w.swap(w.state["scala"], &first)
	w.srv.Refresh(t.Context())

	ana := w.student("ana")
	ana.have["scala"] = hook.Have{Course: "scala", Version: 2, Fingerprint: h.Fingerprint(), Channels: []string{"all"}}
	ana.heads["scala"] = newer
	o := ana.sync()
	if c := o.Courses[0]; !c.Prove || c.Head != nil {
		t.Fatalf("%+v", c)
	}
	// Nor is she told that nothing is new, though her ETag says so.
	if a, err := ana.client.Sync(t.Context(), ana.haves(), nil, ana.etag); err != nil || a.NotModified || !a.Offer.Courses[0].Prove {
		t.Errorf("%+v, %v", a, err)
	} else {
		a.Close()
	}
	stranger, _ := bundle.NewSigningKey()
	forged, _ := bundle.Sign(h, stranger)
	err := ana.client.Prove(t.Context(), "scala", *forged)
	wantError(t, err, http.StatusBadRequest, hook.CodeBadRequest)
	err = ana.client.Prove(t.Context(), "closed", *newer)
	wantError(t, err, http.StatusNotFound, hook.CodeNotFound)
	if st := w.srv.Status()[0]; st.Proven != 0 {
		t.Errorf("%+v", st)
	}
	if err := ana.client.Prove(t.Context(), "scala", *newer); err != nil {
		t.Fatal(err)
	}
	if st := w.srv.Status()[0]; st.Proven != 2 || !strings.Contains(st.Sentence, "backwards") {
		t.Errorf("%+v", st)
	}
	// Repaired by a publish above it.
	w.state["scala"].record.Version = 2
	w.publish("scala", map[string]audienceOf{"all": {files: map[string]string{"a": "3"}, full: true}})
	if st := w.srv.Status()[0]; st.Proven != 0 || st.Version != 3 || st.Sentence != "" {
		t.Errorf("%+v", st)
	}
}

// A replica that only lags behind looks again before it asks for a proof.
func TestLaggingReplicaLooksAgain(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"a": "1"}))
	w.write("scala", everyone(map[string]string{"a": "2"})) // another replica told the agent
	h, _ := w.state["scala"].record.Head.Peek()
	ana := w.student("ana")
	ana.have["scala"] = hook.Have{Course: "scala", Version: 2, Fingerprint: h.Fingerprint(), Channels: []string{"all"}}
	ana.trees["scala"] = map[string]*bundle.Manifest{"all": w.state["scala"].manifests["all"]}
	ana.disk[bundle.Sum([]byte("2"))] = []byte("2")
	w.pass(2 * time.Second)
	if c := ana.sync().Courses[0]; c.Prove || c.Head == nil {
		t.Errorf("%+v", c)
	}
}

// Another head of this very version: the agent is asked for its proof, and
// can start anew.
func TestOtherHeadOfThisVersion(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"a": "1"}))
	ana := w.student("ana")
	ana.have["scala"] = hook.Have{Course: "scala", Version: 1, Fingerprint: strings.Repeat("0", 32), Channels: []string{"all"}}
	c := ana.sync().Courses[0]
	if !c.Prove || c.Head == nil || !c.Channels[0].Base.IsZero() {
		t.Errorf("%+v", c)
	}
}

func TestPaused(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"a": "1", "b": "oops"}))
	ana := w.student("ana")
	ana.sync()
	pause := func(r *store.Record) { r.Paused = &store.Decision{Time: w.clock(), Who: "teacher"} }
	w.publish("scala", everyone(map[string]string{"a": "2", "b": "oops"}), pause)
	if c := ana.sync().Courses[0]; c.State != hook.StatePaused || c.Head != nil {
		t.Errorf("%+v", c)
	}
	ana.wantTree("scala", map[string]string{"a": "1", "b": "oops"})
	bob := w.student("bob")
	if c := bob.sync().Courses[0]; c.State != hook.StatePaused || c.Head != nil || len(bob.disk) != 0 {
		t.Errorf("%+v", c)
	}
	// A withdrawal of what she has passes.
	oops := []bundle.Pair{{Path: "b", Digest: bundle.Sum([]byte("oops"))}}
	w.publish("scala", map[string]audienceOf{"all": {files: map[string]string{"a": "2"}, withdrawn: oops}})
	ana.sync()
	ana.wantTree("scala", map[string]string{"a": "2"})
	if c := bob.sync().Courses[0]; c.State != hook.StatePaused || len(bob.disk) != 0 {
		t.Errorf("%+v", c)
	}
	// So does a rollback that was decided after the pause.
	w.publish("scala", everyone(map[string]string{"a": "1"}), func(r *store.Record) {
		r.Pinned = &store.Pin{Decision: store.Decision{Time: w.clock().Add(time.Second)}, Version: 1}
	})
	ana.sync()
	ana.wantTree("scala", map[string]string{"a": "1"})
	w.publish("scala", everyone(map[string]string{"a": "3"}), func(r *store.Record) { r.Paused = nil })
	bob.sync()
	bob.wantTree("scala", map[string]string{"a": "3"})
}
