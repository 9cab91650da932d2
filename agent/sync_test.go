package agent

import (
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/course"
	"satchel/store"
	"satchel/workdir"
)

var lesson = map[string]string{
	"intro.ipynb": `{"cells":[],"metadata":{},"nbformat":4,"nbformat_minor":5}`, "data/a.csv": "1,2\n", "README.md": "Welcome\n",
}

// with gives the files with changes; "" removes one.
func with(files map[string]string, changes ...string) map[string]string {
	out := maps.Clone(files)
	for i := 0; i+1 < len(changes); i += 2 {
		if out[changes[i]] = changes[i+1]; changes[i+1] == "" {
			delete(out, changes[i])
		}
	}
	return out
}

func TestFirstLoginBringsEverything(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	if out := h.sync(); out.Code != "" || out.Offline {
		t.Fatalf("%+v", out)
	}
	h.wantTree("scala101", lesson)
	h.wantSaid("Updated to version 1: 3 new.")
	page, err := os.ReadFile(filepath.Join(h.root, newsFile))
	if err != nil || !strings.Contains(string(page), "- Updated to version 1: 3 new.\n") {
		t.Errorf("the page says %q, %v", page, err)
	}
	r := w.receipts()
	if len(r) != 1 || r[0].Added != 3 || r[0].Version != 1 || r[0].Course != "scala101" {
		t.Errorf("receipts %+v", r)
	}
}

func TestNothingNewIsExactlyOneRequest(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	h.said()
	w.requests()
	for range 3 {
		if out := h.sync(); out.Code != "" {
			t.Fatalf("%+v", out)
		}
		h.wantSaid("Course material is up to date (version 1).")
		if got := w.requests(); !slices.Equal(got, []string{"GET /v1/sync"}) {
			t.Errorf("asked %q", got)
		}
	}
}

func TestUpdateBringsTheChangeAndKeepsTheStudentsWork(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	h.said()
	h.write("scala101/README.md", "Welcome\nmy notes\n")
	h.write("scala101/mine.txt", "mine\n")
	w.publish("scala101", with(lesson, "README.md", "Welcome to version 2\n", "data/a.csv", "", "new.md", "new\n"))
	if out := h.sync(); out.Code != "" {
		t.Fatalf("%+v", out)
	}
	h.wantTree("scala101", map[string]string{
		"intro.ipynb": lesson["intro.ipynb"], "README.md": "Welcome\nmy notes\n", "README (course v2).md": "Welcome to version 2\n",
		"new.md": "new\n", "mine.txt": "mine\n",
	})
	said := h.said()
	want := `README.md: you and the course changed the same lines. Yours is in place; theirs is in "README (course v2).md".`
	if len(said) != 2 || said[1] != want {
		t.Errorf("said %q", said)
	}
	if r := w.receipts(); len(r) != 2 || !slices.Equal(r[1].Kept, []string{"README.md"}) {
		t.Errorf("receipts %+v", r)
	}
}

func TestRollbackIsAHigherVersionAndArrives(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	w.publish("scala101", with(lesson, "README.md", "wrong\n"))
	h.sync()
	w.publish("scala101", lesson)
	h.sync()
	h.wantTree("scala101", lesson)
}

func TestDeletedCourseFolderComesBackWholeWithoutANewVersion(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	if err := os.RemoveAll(filepath.Join(h.root, "scala101")); err != nil {
		t.Fatal(err)
	}
	if out := h.sync(); out.Code != "" {
		t.Fatalf("%+v", out)
	}
	h.wantTree("scala101", lesson)
}

func TestStartPassBringsBackWhatOnlyAWalkFinds(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	h.said()
	if err := os.Remove(filepath.Join(h.root, "scala101/README.md")); err != nil {
		t.Fatal(err)
	}
	h.agent().Sync(t.Context(), SyncOptions{Mode: workdir.Start, Walk: true})
	h.wantTree("scala101", lesson)
	if said := h.said(); !slices.Contains(said, "README.md had been deleted here; the newest version was brought back. Delete it again to keep it away.") {
		t.Errorf("said %q", said)
	}
}

func TestTwoCoursesAreNamedInTheirSentences(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"scala101", "algo"} {
		w.course(name)
		w.publish(name, lesson)
	}
	h := w.home("ana")
	h.sync()
	said := h.said()
	slices.Sort(said)
	if !slices.Equal(said, []string{"algo: Updated to version 1: 3 new.", "scala101: Updated to version 1: 3 new."}) {
		t.Errorf("said %q", said)
	}
	h.wantTree("algo", lesson)
}

func TestNoCourse(t *testing.T) {
	w := newWorld(t)
	h := w.home("ana")
	if out := h.sync(); out.Code != CodeNothing {
		t.Fatalf("%+v", out)
	}
	h.wantSaid("No course is assigned to you (your groups: none). Ask your teacher.")
}

func TestNothingReleasedYet(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", nil, func(h *bundle.Head, r *store.Record) {})
	other := w.home("ana")
	out := other.sync()
	if out.Code != CodeNothing && out.Code != "" {
		t.Fatalf("%+v", out)
	}
	if said := other.said(); len(said) != 1 {
		t.Errorf("said %q", said)
	}
}

func TestEmptyCourseBesideAFullOneStillCostsOneQuestion(t *testing.T) {
	w := newWorld(t)
	w.course("algo")
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	if said := h.said(); !slices.Contains(said, "algo: Nothing has been released yet in algo.") && !slices.Contains(said, "Nothing has been released yet in algo.") {
		t.Errorf("said %q", said)
	}
	w.requests()
	w.mu.Lock()
	w.received = nil
	w.mu.Unlock()
	h.sync()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.asked) != 1 || !strings.Contains(string(w.received), "If-None-Match") {
		t.Errorf("asked %q", w.asked)
	}
}

func TestPausedCourseGivesNothingOutAndTakesNothingAway(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	had := w.home("ana")
	had.sync()
	had.said()
	w.publish("scala101", with(lesson, "README.md", "2\n"), func(_ *bundle.Head, r *store.Record) { pause(r) })
	had.sync()
	had.wantTree("scala101", lesson)
	fresh := w.home("ben")
	fresh.sync()
	fresh.wantSaid("scala101 is paused by your teacher; nothing is given out at the moment.")
}

// The store was brought back from before what this home has: the agent shows
// its head, keeps all, and says so; what is published above comes.
func TestAServiceThatWentBackTakesNothingAway(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	first := *w.state["scala101"]
	second := with(lesson, "README.md", "2\n")
	w.publish("scala101", second)
	h := w.home("ana")
	h.sync()
	h.said()
	key := store.RecordKey("scala101")
	old := *first.record
	old.Publish = "from the backup"
	if _, err := store.SwapRecord(t.Context(), w.dir, &old, w.state["scala101"].etag); err != nil {
		t.Fatal(err)
	}
	w.restart()
	for range 2 {
		h.sync()
		h.wantSaid(Words{}.Older("scala101", 2))
		h.wantTree("scala101", second)
	}
	shown, err := store.ReadProven(t.Context(), w.dir, "scala101", []bundle.PublicKey{w.key.Public()})
	if err != nil || shown.Version != 2 || w.srv.Status()[0].Proven != 2 {
		t.Errorf("shown: %+v, %v", shown, err)
	}
	o, err := w.dir.Head(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	w.state["scala101"].etag = o.ETag
	third := with(lesson, "README.md", "3\n")
	w.publish("scala101", third)
	h.sync()
	h.wantTree("scala101", third)
}

func TestStudentTakenOffTheListKeepsTheirFiles(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	w.mu.Lock()
	w.courses = []course.Course{{Name: "scala101", Audience: course.Audience{Users: []string{"ben"}}}}
	w.mu.Unlock()
	w.srv.Refresh(t.Context())
	h.said()
	h.sync()
	h.wantTree("scala101", lesson)
}

func TestSpanishCourseSpeaksSpanish(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson, func(h *bundle.Head, _ *store.Record) { h.Settings.Language = "es"; h.Message = "Hola\u202e" })
	h := w.home("ana")
	h.sync()
	h.wantSaid("Actualizado a la versión 1: 3 nuevos.", `De tu docente: Hola\u202e`)
}

func TestPageCanBeSwitchedOff(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson, func(h *bundle.Head, _ *store.Record) { h.Settings.WhatIsNew = false })
	h := w.home("ana")
	h.sync()
	if _, err := os.Stat(filepath.Join(h.root, newsFile)); !os.IsNotExist(err) {
		t.Errorf("there is a page: %v", err)
	}
}

func TestTwoAgentsAtOnceBothEndWell(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	files := map[string]string{}
	for i := range 300 {
		files[fmt.Sprintf("d%d/f%d.txt", i%7, i)] = strings.Repeat(fmt.Sprint(i), 100)
	}
	w.publish("scala101", files)
	h := w.home("ana")
	outs := make(chan Outcome, 2)
	for range 2 {
		go func() { outs <- h.agent().Sync(t.Context(), SyncOptions{Mode: workdir.Start}) }()
	}
	for range 2 {
		if out := <-outs; out.Code != "" && out.Code != CodeLocked {
			t.Errorf("%+v", out)
		}
	}
	h.wantTree("scala101", files)
}

func TestLostMemoryAsksAgainAndDownloadsNothing(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	for _, garbage := range []string{"", "{", `{"format":1,"courses":{"x":null}}`, strings.Repeat("[", 1<<20)} {
		if err := os.WriteFile(filepath.Join(h.root, memoryFile), []byte(garbage), 0o600); err != nil {
			t.Fatal(err)
		}
		h.said()
		if out := h.sync(); out.Code != "" {
			t.Fatalf("%q: %+v", garbage, out)
		}
		h.wantSaid("Course material is up to date (version 1).")
	}
	h.wantTree("scala101", lesson)
}

func TestLostStateOfOneCourseIsMadeAgain(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"algo", "scala101"} {
		w.course(name)
		w.publish(name, lesson)
	}
	h := w.home("ana")
	h.sync()
	if err := os.RemoveAll(filepath.Join(h.root, ".satchel/algo")); err != nil {
		t.Fatal(err)
	}
	h.sync()
	st, err := h.agent().Status(t.Context())
	if err != nil || len(st.Courses) != 2 || st.Courses[0].Version != 1 {
		t.Errorf("%+v, %v", st, err)
	}
	h.wantTree("algo", lesson)
}

func TestNewerMemoryIsLeftAsItIs(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	const newer = `{"format":2,"what":"ever"}`
	h.write(memoryFile, newer)
	h.said()
	if out := h.sync(); out.Code != CodeNewer {
		t.Errorf("%+v", out)
	}
	if data, _ := os.ReadFile(filepath.Join(h.root, memoryFile)); string(data) != newer {
		t.Errorf("it is now %s", data)
	}
}

// TestCanaryTicketIsNowhereButInItsHeader searches all that is written and all
// that is sent.
func TestCanaryTicketIsNowhereButInItsHeader(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	log := OpenLog(h.root)
	h.lg = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.sync()
	h.write("scala101/README.md", "changed\n")
	w.publish("scala101", with(lesson, "README.md", "2\n"))
	h.sync()
	w.behind(func(http.Handler) http.Handler { return http.NotFoundHandler() })
	h.sync()
	w.behind(nil)
	stop := h.watching(WatchOptions{Start: true})
	eventually(t, "the watch", func() bool { _, err := askWatch(t.Context(), h.s, askTicket); return err == nil })
	stop()
	WriteChecks(log, h.agent().Doctor(t.Context()), false)
	st, err := h.agent().Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	st.WriteText(log)
	st.WriteJSON(log)
	log.Close()
	ticket := string(h.s.Ticket)
	err = filepath.WalkDir(filepath.Dir(h.root), func(p string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(p)
		if strings.Contains(string(data), ticket) {
			t.Errorf("%s holds the ticket", p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := strings.ReplaceAll(string(w.received), "Authorization:[Bearer "+ticket+"]", "")
	if strings.Contains(sent, ticket) || sent == string(w.received) {
		t.Errorf("the ticket is sent outside its header, or not at all")
	}
}

func pause(r *store.Record) { r.Paused = &store.Decision{Who: "tea", Why: "exam", Time: time.Now()} }
