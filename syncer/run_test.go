package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"satchel/bundle"
	"satchel/course"
	"satchel/store"
)

// eventually waits until ok, without measuring by sleeps.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// run runs y with its control until the test ends.
func (s *site) run(y *Syncer, courses func() []course.Course) (*Client, chan struct{}) {
	s.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	changed := make(chan struct{}, 1)
	done := make(chan error, 1)
	go func() { done <- y.Run(ctx, courses, changed) }()
	dir, err := os.MkdirTemp("", "satchel") // a socket's path must be short
	if err != nil {
		s.t.Fatal(err)
	}
	socket := filepath.Join(dir, "control.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		s.t.Fatal(err)
	}
	server := &http.Server{Handler: y.Control()}
	go server.Serve(l)
	s.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			s.t.Errorf("run: %v", err)
		}
		server.Close()
		os.RemoveAll(dir)
	})
	return NewClient(socket), changed
}

func version(t *testing.T, c *Client) bundle.Version {
	st, err := c.Status(t.Context())
	if err != nil || len(st.Courses) == 0 {
		return 0
	}
	return st.Courses[0].Version
}

func TestPushToALocalRepositoryIsSeenAtOnce(t *testing.T) {
	s := newSite(t)
	s.c.Poll = time.Hour
	s.repo.commit(files{"a": "1"})
	client, _ := s.run(s.syncer(), these(s.c))
	eventually(t, "first version", func() bool { return version(t, client) == 1 })
	eventually(t, "second version", func() bool { return s.pushOnce("2") && version(t, client) == 2 })
	s.repo.git("checkout", "-q", "-b", "feature/x")
	s.repo.git("checkout", "-q", "main")
	s.repo.git("pack-refs", "--all") // main is then only in packed-refs
	s.repo.commit(files{"a": "3"})
	eventually(t, "third version", func() bool { return version(t, client) == 3 })
	s.repo.git("update-ref", "refs/heads/main", "main~1")
	s.repo.git("pack-refs", "--all")
	eventually(t, "fourth version", func() bool { return version(t, client) == 4 })
	s.want(4, files{"a": "2"})
}

// pushOnce commits a new content, the first time it is called.
func (s *site) pushOnce(text string) bool {
	if data, _ := os.ReadFile(filepath.Join(s.repo.dir, "a")); string(data) != text {
		s.repo.commit(files{"a": text})
	}
	return true
}

func TestRunTakesUpCoursesAndLeavesNothingBehind(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s := newSite(t)
	s.c.Poll = time.Hour
	s.repo.commit(files{"a": "1"})
	broken := s.c
	broken.Name, broken.Repository = "broken", "/nonexistent/repository"
	courses := make(chan []course.Course, 1)
	courses <- []course.Course{broken}
	now := []course.Course{}
	y := s.syncer()
	ctx, stop := context.WithCancel(t.Context())
	changed, done := make(chan struct{}), make(chan error)
	go func() {
		done <- y.Run(ctx, func() []course.Course {
			select {
			case now = <-courses:
			default:
			}
			return now
		}, changed)
	}()
	eventually(t, "the broken course is tried", func() bool {
		st := y.board.status().Courses
		return len(st) == 1 && st[0].Error != "" && !st[0].Next.IsZero()
	})
	courses <- []course.Course{broken, s.c}
	changed <- struct{}{}
	eventually(t, "the new course is published", func() bool {
		st := y.board.status().Courses
		return len(st) == 2 && st[1].Version == 1 && st[1].Error == "" && !st[1].Checked.IsZero()
	})
	courses <- []course.Course{s.c}
	changed <- struct{}{}
	eventually(t, "the broken course is forgotten", func() bool { return len(y.board.status().Courses) == 1 })
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestControlPublishesAndTells(t *testing.T) {
	s := newSite(t)
	s.c.Poll = time.Hour
	y := s.syncer()
	client, _ := s.run(y, these(s.c))
	ctx := t.Context()
	eventually(t, "the first pass", func() bool {
		st, err := client.Status(ctx)
		return err == nil && st.Courses[0].Error != ""
	})
	s.repo.commit(files{"a": "1", "b": "2", "c": "3"})
	out, err := client.Publish(ctx, Request{Course: "scala101", Who: "ana"})
	if err != nil || out.Version != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	s.clock.add(time.Second)
	tip := s.repo.commit(files{"a": "1"})
	_, err = client.Publish(ctx, Request{Course: "scala101", Who: "ana"})
	var refused *Refusal
	if !errors.As(err, &refused) || refused.Cause != Shrink || len(refused.Findings) != 2 || refused.Commit != tip {
		t.Fatalf("%v", err)
	}
	st, err := client.Status(ctx)
	if err != nil || len(st.Courses) != 1 {
		t.Fatalf("%+v, %v", st, err)
	}
	if c := st.Courses[0]; c.Cause != Shrink || len(c.Findings) != 2 || c.Error == "" || c.Version != 1 || c.Tip != tip || c.Next.IsZero() {
		t.Errorf("status %+v", c)
	}
	s.clock.add(time.Second)
	if out, err := client.Publish(ctx, Request{Course: "scala101", Who: "ana", ConfirmShrink: true}); err != nil || !out.Published || out.Version != 2 {
		t.Errorf("%+v, %v", out, err)
	}
	es, err := client.Log(ctx, "scala101", 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range es {
		if e.Who == "ana" && e.Action != "look" {
			got = append(got, e.Action)
		}
	}
	if !slices.Contains(got, "refuse") || got[0] != "publish" || es[0].Version != 2 {
		t.Errorf("log %q", got)
	}
	if es, err := client.Log(ctx, "scala101", 1); err != nil || len(es) != 1 || es[0].Version != 2 {
		t.Errorf("the newest entry is %+v, %v", es, err)
	}
}

func TestControlRefusesHostileRequests(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	y.attach(nil, these(s.c))
	h := y.Control()
	for attack, c := range map[string]struct {
		method, path, body string
		status             int
	}{
		"no body":               {"POST", "/publish", "", 400},
		"no JSON":               {"POST", "/publish", "hello", 400},
		"unknown field":         {"POST", "/publish", `{"course":"scala101","who":"ana","force":true}`, 400},
		"two requests":          {"POST", "/publish", `{"course":"scala101","who":"ana"}{}`, 400},
		"endless body":          {"POST", "/publish", `{"course":"` + strings.Repeat("x", maxRequest) + `"}`, 400},
		"nobody asks":           {"POST", "/publish", `{"course":"scala101"}`, 400},
		"the loop's name":       {"POST", "/publish", `{"course":"scala101","who":"  "}`, 400},
		"a name without end":    {"POST", "/publish", `{"course":"scala101","who":"` + strings.Repeat("x", 201) + `"}`, 400},
		"unknown course":        {"POST", "/publish", `{"course":"../other","who":"ana"}`, 404},
		"publish by GET":        {"GET", "/publish", "", 405},
		"status by POST":        {"POST", "/status", "", 405},
		"log of another course": {"GET", "/log?course=../../x", "", 404},
		"log of minus one":      {"GET", "/log?course=scala101&n=-1", "", 400},
		"log of no number":      {"GET", "/log?course=scala101&n=all", "", 400},
		"another path":          {"GET", "/secrets", "", 404},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, c.path, strings.NewReader(c.body)))
		if w.Code != c.status {
			t.Errorf("%s: %d %s; want %d", attack, w.Code, w.Body, c.status)
		}
		var p problem
		if c.status == 400 && (json.Unmarshal(w.Body.Bytes(), &p) != nil || p.Sentence == "" || p.Code != "bad_request") {
			t.Errorf("%s: answer %s", attack, w.Body)
		}
	}
	s.want(0, nil)
}

func TestClientSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	_, err := NewClient(filepath.Join(dir, "none.sock")).Status(t.Context())
	if err == nil || !strings.Contains(err.Error(), "satchel serve") {
		t.Errorf("nobody there: %v", err)
	}
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/pause" {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "<html>")
	})}
	go server.Serve(l)
	defer server.Close()
	if _, err := NewClient(socket).Status(t.Context()); err == nil || !strings.Contains(err.Error(), "418") {
		t.Errorf("another program: %v", err)
	}
	if _, err := NewClient(socket).Do(t.Context(), "pause", Command{}); err == nil || !strings.Contains(err.Error(), "is not known") {
		t.Errorf("it died: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := NewClient(socket).Publish(ctx, Request{Course: "a", Who: "b"}); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

// A pass that takes longer than an hour is abandoned: its bundles may be
// pruned one day before they are named.
func TestPublishOlderThanAnHourIsAbandoned(t *testing.T) {
	s := newSite(t)
	s.repo.commit(files{"a": "1"})
	y := s.syncer()
	slow(y, func(string) { s.clock.add(61 * time.Minute) }) // a machine that was put to sleep
	if _, err := s.try(y); !errors.Is(err, errAbandoned) {
		t.Errorf("%v; want it abandoned", err)
	}
	s.want(0, nil)
	s.sync(s.syncer())
	s.want(1, files{"a": "1"})
}

func TestStoppedPassLeavesTheOldVersion(t *testing.T) {
	s := newSite(t)
	s.repo.commit(files{"a": "1"})
	y := s.syncer()
	ctx, stop := context.WithCancel(t.Context())
	slow(y, func(string) { stop() })
	if _, err := y.Sync(ctx, &s.c, Request{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	s.want(0, nil)
	if left, _ := filepath.Glob(filepath.Join(y.o.StateDir, "build", "*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestDamagedMemoHealsItself(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(files{"a": "1", "b": "2"})
	s.sync(y)
	k := y.known["scala101"]
	tree, err := k.repo.At(t.Context(), s.repo.git("rev-parse", "HEAD"))
	if err != nil {
		t.Fatal(err)
	}
	sel, err := course.Select(t.Context(), tree, nil)
	if err != nil || len(sel.Files) != 2 {
		t.Fatal(err)
	}
	// A content that is about to come, with another content's digest.
	s.repo.commit(files{"a": "1", "b": "2", "c": "3"})
	wrong, _ := k.memo.Get(s.repo.git("rev-parse", "HEAD:a"))
	k.memo.Put(s.repo.git("rev-parse", "HEAD:c"), course.Fact{Digest: bundle.Sum([]byte("other")), Size: wrong.Size})
	if _, err := s.try(y); !errors.Is(err, bundle.ErrCorrupt) {
		t.Errorf("%v; want the wrong digest to be found", err)
	}
	s.want(1, files{"a": "1", "b": "2"})
	s.sync(y)
	s.want(2, files{"a": "1", "b": "2", "c": "3"})
}

func TestLogWithADamagedEntryIsStillGiven(t *testing.T) {
	s := newSite(t)
	s.c.Poll = time.Hour
	s.repo.commit(files{"a": "1"})
	client, _ := s.run(s.syncer(), these(s.c))
	eventually(t, "first version", func() bool { return version(t, client) == 1 })
	if err := s.st.Put(t.Context(), store.LogPrefix("scala101")+"20200101T000000.000Z-x", strings.NewReader("damaged")); err != nil {
		t.Fatal(err)
	}
	es, err := client.Log(t.Context(), "scala101", 100)
	if err == nil || len(es) == 0 {
		t.Errorf("%v, %v; want the good entries and a word on the bad one", es, err)
	}
}
