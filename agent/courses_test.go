package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/hook"
	"satchel/workdir"
)

// inHome names what lies in a home's .satchel.
func (h *home) inHome() (names []string) {
	h.t.Helper()
	entries, err := os.ReadDir(filepath.Join(h.root, ".satchel"))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// crowded adds courses that nobody signed to an answer.
func crowded(t *testing.T, n int) func(http.Handler) http.Handler {
	return tamper(t, "/v1/sync", func(o *hook.Offer, f []byte) (*hook.Offer, []byte) {
		for i := range n {
			c := hook.CourseOffer{Course: fmt.Sprintf("aaa-%d", i), State: hook.StateEmpty}
			if i%2 == 0 {
				c.Head = &bundle.Envelope{PayloadType: bundle.PayloadType, Payload: []byte("{}"), Signatures: []bundle.Signature{{KeyID: "?"}}}
			}
			o.Courses = append(o.Courses, c)
		}
		return o, f
	})
}

// TestNothingIsKeptOfCoursesThatNobodySigned: an answer alone makes no folder,
// holds no file open and is not remembered.
func TestNothingIsKeptOfCoursesThatNobodySigned(t *testing.T) {
	w, h := victim(t)
	w.behind(crowded(t, 60))
	before := h.inHome()
	fds := 0
	a := h.agent()
	a.show = func(e Event) {
		h.show(e)
		if open, err := os.ReadDir("/proc/self/fd"); err == nil {
			fds = max(fds, len(open))
		}
	}
	open, _ := os.ReadDir("/proc/self/fd")
	if out := a.Sync(t.Context(), SyncOptions{Mode: workdir.Start}); out.Code != CodeUnverified {
		t.Errorf("%+v", out)
	}
	if fds > len(open)+20 {
		t.Errorf("%d files open, %d before", fds, len(open))
	}
	h.said()
	if got := h.tree("scala101")["README.md"]; got != "version 2\n" {
		t.Errorf("the signed course beside them: README.md is %q", got)
	}
	for _, name := range h.inHome() {
		if !slices.Contains(before, name) && name != newsFile {
			t.Errorf("left in .satchel: %s", name)
		}
	}
	if data, _ := os.ReadFile(filepath.Join(h.root, memoryFile)); strings.Contains(string(data), `"aaa-`) {
		t.Error("an unsigned course is remembered")
	}
}

// TestCourseIsOpenedOnlyOnceItsHeadIsVerified looks at the pass itself: how
// much workdir does to open a course is its own business.
func TestCourseIsOpenedOnlyOnceItsHeadIsVerified(t *testing.T) {
	w, h := victim(t)
	thief, err := bundle.NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	p := h.agent().newPass(SyncOptions{})
	if err := p.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer p.close()
	other := *w.state["scala101"].head
	other.Course = "forged"
	o := &hook.Offer{Courses: []hook.CourseOffer{
		{Course: "empty", State: hook.StateEmpty}, {Course: "paused", State: hook.StatePaused}, {Course: "away", State: hook.StateAway},
		{Course: "forged", Head: w.sign(&other, thief)}, {Course: "another", Head: w.sign(w.state["scala101"].head)}, {Course: "../up", State: hook.StateEmpty},
	}}
	if err := p.consider(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if len(p.courses) != 1 || len(p.mem.Courses) != 1 {
		t.Errorf("%d courses are open, %d remembered", len(p.courses), len(p.mem.Courses))
	}
}

func TestAnswerWithTooManyCoursesIsRefusedWhole(t *testing.T) {
	w, h := victim(t)
	w.behind(crowded(t, maxCourses))
	before := h.inHome()
	wantRefused(t, w, h, lesson)
	if after := h.inHome(); !slices.Equal(before, after) {
		t.Errorf("in .satchel: %q, before %q", after, before)
	}
}

// TestJunkFoldersHideNoCourse: whatever lies in .satchel beside a course, it is
// found, claimed, and spoken of when the service is away.
func TestJunkFoldersHideNoCourse(t *testing.T) {
	for name, plant := range map[string]func(junk string) error{
		"without a journal, and the memory lost": func(junk string) error {
			return os.RemoveAll(filepath.Join(filepath.Dir(junk), filepath.Base(memoryFile)))
		},
		"with a journal": func(junk string) error { return os.WriteFile(filepath.Join(junk, "journal"), nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.course("scala101")
			w.publish("scala101", lesson)
			h := w.home("ana")
			h.sync()
			for i := range 4 * maxCourses {
				junk := filepath.Join(h.root, ".satchel", fmt.Sprintf("aaa-%d", i))
				if err := errors.Join(os.Mkdir(junk, 0o700), plant(junk)); err != nil {
					t.Fatal(err)
				}
			}
			h.said()
			w.requests()
			if out := h.sync(); out.Code != "" {
				t.Errorf("%+v", out)
			}
			h.wantSaid("Course material is up to date (version 1).")
			if asked := w.requests(); !slices.Equal(asked, []string{"GET /v1/sync"}) {
				t.Errorf("asked %q", asked)
			}
			h.s.URL = "http://127.0.0.1:1"
			h.sync()
			if said := h.said(); len(said) != 1 || !strings.Contains(said[0], "you have version 1 of") {
				t.Errorf("said %q", said)
			}
		})
	}
}

func TestOpeningCoursesEndsWithItsContext(t *testing.T) {
	_, h := victim(t)
	p := h.agent().newPass(SyncOptions{})
	if err := p.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer p.close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.courses = map[string]*local{}
	if err := p.openCourses(ctx); !errors.Is(err, context.Canceled) || len(p.courses) > 0 {
		t.Errorf("%v, %d courses", err, len(p.courses))
	}
}

// TestCourseThatTheServiceCannotReadNow: it is not "nothing released", and is
// asked for again.
func TestCourseThatTheServiceCannotReadNow(t *testing.T) {
	away := tamper(t, "/v1/sync", func(o *hook.Offer, f []byte) (*hook.Offer, []byte) {
		o.Courses = []hook.CourseOffer{{Course: "scala101", State: hook.StateAway}}
		return o, nil
	})
	w, h := victim(t)
	w.behind(away)
	fresh := w.home("eve")
	for _, c := range []struct {
		h    *home
		want string
	}{{h, Words{}.Unreachable(1, time.Now())}, {fresh, Words{}.Unreachable(0, time.Time{})}} {
		out := c.h.sync()
		if out.Code != CodeOffline || !out.Offline {
			t.Errorf("%+v", out)
		}
		c.h.wantSaid(c.want)
	}
	h.wantTree("scala101", lesson)
	w.behind(nil)
	if out := h.sync(); out.Code != "" || h.tree("scala101")["README.md"] != "version 2\n" {
		t.Errorf("afterwards: %+v: %q", out, h.said())
	}
}

func TestOneOfTwoCoursesIsAway(t *testing.T) {
	w, h := victim(t)
	w.behind(tamper(t, "/v1/sync", func(o *hook.Offer, f []byte) (*hook.Offer, []byte) {
		o.Courses = append(o.Courses, hook.CourseOffer{Course: "zoology", State: hook.StateAway})
		return o, f
	}))
	if out := h.sync(); out.Code != CodeInPart {
		t.Errorf("%+v", out)
	}
	h.wantSaid("zoology: "+Words{}.Unreachable(0, time.Time{}), "scala101: Updated to version 2: 1 new, 1 changed.")
	w.mu.Lock()
	w.received = nil
	w.mu.Unlock()
	h.sync()
	w.mu.Lock()
	defer w.mu.Unlock()
	if strings.Contains(string(w.received), "If-None-Match") {
		t.Error("the answer's ETag was kept")
	}
}
