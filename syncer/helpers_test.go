package syncer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/course"
	"satchel/store"
)

// gitRepo is a real repository, made by the git command.
type gitRepo struct {
	t   testing.TB
	dir string
	env []string
}

func newRepo(t testing.TB) *gitRepo {
	t.Helper()
	home := t.TempDir()
	r := &gitRepo{t: t, dir: filepath.Join(home, "repo")}
	r.env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=Teacher", "GIT_AUTHOR_EMAIL=t@example.org", "GIT_COMMITTER_NAME=Teacher", "GIT_COMMITTER_EMAIL=t@example.org")
	r.env = append(r.env, "GIT_DIR="+filepath.Join(r.dir, ".git"), "GIT_WORK_TREE="+r.dir)
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.git("init", "-q", "-b", "main")
	r.git("config", "gc.auto", "0")
	return r
}

func (r *gitRepo) git(args ...string) string {
	r.t.Helper()
	c := exec.Command("git", args...)
	c.Dir, c.Env = r.dir, r.env
	out, err := c.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit makes the folder hold exactly these files, and commits it.
func (r *gitRepo) commit(files map[string]string) string {
	r.t.Helper()
	old, err := os.ReadDir(r.dir)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, e := range old {
		if e.Name() != ".git" {
			os.RemoveAll(filepath.Join(r.dir, e.Name()))
		}
	}
	for name, text := range files {
		r.write(name, text)
	}
	return r.save()
}

func (r *gitRepo) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, filepath.FromSlash(name))
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		r.t.Fatal(err)
	}
}

// save commits what lies in the folder.
func (r *gitRepo) save() string {
	r.t.Helper()
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", "next")
	return r.git("rev-parse", "HEAD")
}

// point moves the branch to a commit, as a push does.
func (r *gitRepo) point(commit string) { r.pointBranch("main", commit) }

func (r *gitRepo) pointBranch(branch, commit string) {
	r.t.Helper()
	ref := filepath.Join(r.dir, ".git", "refs", "heads", branch)
	if err := errors.Join(os.WriteFile(ref+".lock", []byte(commit+"\n"), 0o644), os.Rename(ref+".lock", ref)); err != nil {
		r.t.Fatal(err)
	}
}

// site is a store and what is needed to publish into it.
type site struct {
	t     testing.TB
	st    store.Store
	dir   string // the store's folder
	clock *clock
	key   bundle.SigningKey
	repo  *gitRepo
	c     course.Course
}

// clock is a time that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newSite(t testing.TB) *site { return newSiteFor(t, newRepo(t)) }

// newSiteFor has a store of its own for a repository that others read, too.
func newSiteFor(t testing.TB, repo *gitRepo) *site {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "store")
	dir, err := store.NewDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	key, err := bundle.NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, st: dir, dir: folder, key: key, repo: repo, clock: &clock{now: time.Now().Truncate(time.Second)}}
	s.c = course.Course{Name: "scala101", Repository: s.repo.dir}
	return s
}

// syncer is one more process on the site's store, or on another view of it.
func (s *site) syncer(on ...store.Store) *Syncer {
	s.t.Helper()
	st := s.st
	if len(on) > 0 {
		st = on[0]
	}
	return New(testLog(s.t), st, Options{
		StateDir: s.t.TempDir(), Now: s.clock.Now,
		Keys: func() []bundle.SigningKey { return []bundle.SigningKey{s.key} },
	})
}

func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(&testWriter{t: t}, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// testWriter writes to the test's log, until the test is over.
type testWriter struct {
	t  testing.TB
	mu sync.Mutex
}

func (w *testWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if testing.Verbose() && w.t.Context().Err() == nil {
		w.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

// sync makes one pass that must end well.
func (s *site) sync(y *Syncer, r ...Request) Outcome {
	s.t.Helper()
	out, err := s.try(y, r...)
	if err != nil {
		s.t.Fatalf("sync: %v", err)
	}
	return out
}

// compact writes full bundles where they are due.
func (s *site) compact(y *Syncer) bool {
	s.t.Helper()
	did, err := y.Compact(s.t.Context(), &s.c)
	if err != nil {
		s.t.Fatal(err)
	}
	return did
}

func (s *site) try(y *Syncer, r ...Request) (Outcome, error) {
	s.t.Helper()
	req := Request{Course: string(s.c.Name)}
	if len(r) > 0 {
		req = r[0]
	}
	c := s.c
	s.clock.add(time.Millisecond) // the log's keys sort by it
	return y.Sync(context.Background(), &c, req)
}

// refused makes one pass that must be refused for this cause.
func (s *site) refused(y *Syncer, cause Cause, r ...Request) *Refusal {
	s.t.Helper()
	out, err := s.try(y, r...)
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Cause != cause {
		s.t.Fatalf("%v; want a refusal because of %s", err, cause)
	}
	if out.Published {
		s.t.Fatal("published and refused")
	}
	return refusal
}

// view is what an agent that begins with nothing makes of the store.
type view struct {
	version bundle.Version
	head    *bundle.Head
	record  *store.Record
	files   map[string]string
	history bundle.History // of the first channel
}

// view checks everything that an agent or a hookserver would: the signature,
// that the bundles lead to the manifests that the head names, each file's
// content, and that every named bundle is there and is what its name says.
func (s *site) view() *view {
	s.t.Helper()
	v, err := s.look()
	if err != nil {
		s.t.Fatalf("what the store holds does not fit: %v", err)
	}
	return v
}

func (s *site) look() (*view, error) {
	ctx := context.Background()
	rec, _, err := store.ReadRecord(ctx, s.st, string(s.c.Name))
	if errors.Is(err, store.ErrNotFound) {
		return &view{}, nil
	}
	if err != nil {
		return nil, err
	}
	head, err := rec.Head.Open([]bundle.PublicKey{s.key.Public()})
	if err != nil {
		return nil, err
	}
	if head.Version != rec.Version || head.Course != rec.Course || len(head.Channels) != len(rec.Channels) {
		return nil, fmt.Errorf("head %+v in record of version %d", head, rec.Version)
	}
	v := &view{version: rec.Version, head: head, record: rec, files: map[string]string{}}
	for i, ch := range rec.Channels {
		want, _ := head.Channel(ch.ID)
		h, err := s.lookChannel(ctx, ch, want, v.files)
		if err != nil {
			return nil, fmt.Errorf("channel %s: %w", ch.ID, err)
		}
		if i == 0 {
			v.history = h
		}
	}
	return v, nil
}

func (s *site) lookChannel(ctx context.Context, ch store.Channel, want bundle.Digest, files map[string]string) (bundle.History, error) {
	contents := map[bundle.Digest]string{}
	index := map[bundle.Digest]*bundle.Index{}
	for _, ref := range ch.Bundles {
		x, err := s.readBundle(ctx, ref, contents)
		if err != nil {
			return nil, fmt.Errorf("bundle %d to %d: %w", ref.From, ref.To, err)
		}
		index[ref.Digest] = x
	}
	refs, ok := chain(ch, 0)
	if !ok {
		return nil, errors.New("no chain from a full bundle")
	}
	var m *bundle.Manifest
	var h bundle.History
	var err error
	for _, ref := range refs {
		x := index[ref.Digest]
		if m, err = bundle.Compose(m, x); err != nil {
			return nil, err
		}
		h, _ = h.Add(x.Former...)
		if h.Digest() != m.History {
			return nil, fmt.Errorf("version %d: another history", ref.To)
		}
	}
	if m.Digest() != want {
		return nil, errors.New("another manifest than the head names")
	}
	for _, f := range m.Files {
		text, ok := contents[f.Digest]
		if !ok {
			return nil, fmt.Errorf("%s is in no bundle", f.Path)
		}
		files[f.Path] = text
	}
	return h, nil
}

func (s *site) readBundle(ctx context.Context, ref store.BundleRef, contents map[bundle.Digest]string) (*bundle.Index, error) {
	body, _, err := s.st.Get(ctx, store.BundleKey(string(s.c.Name), ref.Digest))
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	if bundle.Sum(data) != ref.Digest || int64(len(data)) != ref.Size {
		return nil, errors.New("not what its name says")
	}
	x, err := bundle.ReadIndex(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	base := func(d bundle.Digest) (bundle.Base, error) { return bundle.BaseBytes([]byte(contents[d])), nil }
	for _, f := range x.Frames {
		if _, ok := contents[f.Base]; f.OnBase() && !ok {
			continue // of a slim step
		}
		err := bundle.ReadFrame(f, bytes.NewReader(data[f.Offset:]), base, func(it bundle.Item, r *bundle.Verifier) error {
			b, err := io.ReadAll(r)
			contents[it.Digest] = string(b)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return x, nil
}

// want fails unless students see exactly these files at this version.
func (s *site) want(version bundle.Version, files map[string]string) *view {
	s.t.Helper()
	v := s.view()
	if v.version != version {
		s.t.Errorf("version %d; want %d", v.version, version)
	}
	if fmt.Sprint(v.files) != fmt.Sprint(files) {
		s.t.Errorf("students see %q; want %q", v.files, files)
	}
	return v
}

// log gives the entries, newest first.
func (s *site) log() []store.Entry {
	s.t.Helper()
	es, err := store.Entries(context.Background(), s.st, string(s.c.Name), 100_000)
	if err != nil {
		s.t.Fatal(err)
	}
	return es
}

// actions is the log in short, oldest first.
func (s *site) actions() (out []string) {
	for _, e := range s.log() {
		w := e.Action
		if e.Version > 0 {
			w += fmt.Sprint(" ", e.Version)
		}
		out = append([]string{w}, out...)
	}
	return out
}

func lesson(source string) string {
	return fmt.Sprintf(`{"cells": [{"cell_type": "code", "source": [%q], "outputs": [], "execution_count": null, "metadata": {}}], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}`+"\n", source)
}
