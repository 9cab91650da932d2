package agent

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/workdir"
)

// inSession is a home with version 1 of some files, and a Jupyter server (a
// fake) whose root folder is the one above the course's.
func inSession(t *testing.T) (*world, *home, *fakeJupyter) {
	t.Helper()
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", map[string]string{"a.ipynb": "a1", "b.txt": "b1", "sub/c.ipynb": "c1", ".d": "d1"})
	h := w.home("ana")
	if out := h.sync(); out.Code != "" {
		t.Fatalf("%+v", out)
	}
	h.said()
	f := startFakeJupyter(t, filepath.Dir(h.root), "")
	h.s.Jupyter = f.j
	return w, h, f
}

var second = map[string]string{"a.ipynb": "a2", "b.txt": "b2", "sub/c.ipynb": "c2", ".d": "d2", "new.txt": "new"}

// pass makes one, by an agent whose clock is off by so much.
func (h *home) pass(off time.Duration, o SyncOptions) Outcome {
	h.t.Helper()
	a := h.agent()
	a.now = func() time.Time { return time.Now().Add(off) }
	return a.Sync(h.t.Context(), o)
}

func TestADocumentWithASessionWaitsUntilItIsClosed(t *testing.T) {
	w, h, f := inSession(t)
	f.sessions("work/scala101/sub/c.ipynb", "work/scala101/console-1-ab")
	session := SyncOptions{Mode: workdir.Session}
	h.pass(0, session)
	if got := f.requests(); len(got) > 0 {
		t.Errorf("asked what is open where nothing is new: %q", got)
	}
	h.said()
	w.publish("scala101", second)
	if out := h.pass(0, session); out.Code != CodeWaiting {
		t.Errorf("%+v", out)
	}
	h.wantTree("scala101", with(second, "sub/c.ipynb", "c1"))
	h.wantSaid("Updated to version 2: 1 new, 3 changed.", "1 update waits until you close it: sub/c.ipynb.")
	if got := f.requests(); len(got) != 1 {
		t.Errorf("asked %d times in one pass", len(got))
	}
	f.sessions("work/scala101/console-1-ab")
	if out := h.pass(0, session); out.Code != "" {
		t.Errorf("%+v", out)
	}
	h.wantTree("scala101", second)
}

func TestADocumentWithASessionWaitsInTheLatePassOfAStart(t *testing.T) {
	w, h, f := inSession(t)
	f.sessions("work/scala101/sub/c.ipynb")
	w.publish("scala101", second)
	if out := h.pass(0, SyncOptions{Mode: workdir.Start, Since: time.Now()}); out.Code != CodeWaiting {
		t.Errorf("%+v", out)
	}
	h.wantTree("scala101", with(second, "sub/c.ipynb", "c1"))
	if out := h.pass(0, SyncOptions{Mode: workdir.Start}); out.Code != "" { // "satchel-agent sync", or the next start
		t.Errorf("%+v", out)
	}
	h.wantTree("scala101", second)
}

func TestACheckpointCountsAsOpen(t *testing.T) {
	w, h, _ := inSession(t)
	h.s.Jupyter = Jupyter{}                // nobody can be asked
	before := time.Now().Add(-time.Second) // a file's clock is coarse
	for _, p := range []string{"a-checkpoint.ipynb", "b-checkpoint.txt", ".d-checkpoint"} {
		h.write("scala101/.ipynb_checkpoints/"+p, "old")
	}
	h.write("scala101/sub/.ipynb_checkpoints/a-checkpoint.ipynb", "another's")
	checkpoints := h.tree("scala101")
	want := func(what string, changed map[string]string) {
		t.Helper()
		for p, text := range checkpoints {
			if strings.Contains(p, "checkpoint") {
				changed = with(changed, p, text)
			}
		}
		h.wantTree("scala101", changed)
		if t.Failed() {
			t.Fatal(what)
		}
	}
	w.publish("scala101", second)
	h.pass(0, SyncOptions{Mode: workdir.Session})
	h.wantSaid("Updated to version 2: 1 new, 1 changed.", "3 updates wait until you close them: .d, a.ipynb, b.txt.")
	want("in a session", with(second, "a.ipynb", "a1", "b.txt", "b1", ".d", "d1"))
	h.pass(0, SyncOptions{Mode: workdir.Start, Since: before})
	want("late in a start, made since", with(second, "a.ipynb", "a1", "b.txt", "b1", ".d", "d1"))
	h.pass(0, SyncOptions{Mode: workdir.Start, Since: time.Now().Add(time.Minute)})
	want("late in a start, made long before", second)
	w.publish("scala101", with(second, "a.ipynb", "a3"))
	h.pass(0, SyncOptions{Mode: workdir.Start})
	want("at a start", with(second, "a.ipynb", "a3"))
}

func TestAFileThatIsBeingSavedWaits(t *testing.T) {
	w, h, _ := inSession(t)
	h.write("scala101/sub/.~c.ipynb", "c1")
	old := time.Now().AddDate(0, 0, -1)
	if err := os.Chtimes(filepath.Join(h.root, "scala101/sub/.~c.ipynb"), old, old); err != nil {
		t.Fatal(err) // as Jupyter leaves it
	}
	w.publish("scala101", second)
	for _, o := range []SyncOptions{{Mode: workdir.Session}, {Mode: workdir.Start}} {
		if out := h.pass(0, o); out.Code != CodeWaiting {
			t.Errorf("%+v", out)
		}
		h.wantTree("scala101", with(second, "sub/c.ipynb", "c1", "sub/.~c.ipynb", "c1"))
	}
	if out := h.pass(savedWithin+time.Second, SyncOptions{Mode: workdir.Start}); out.Code != "" {
		t.Errorf("the marker of a server that died: %+v", out)
	}
	h.wantTree("scala101", with(second, "sub/.~c.ipynb", "c1"))
}

func TestWhatIsOpenCannotBeKnown(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request) bool
		want   map[string]string
	}{
		"refused": {func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusForbidden); return true }, second},
		"silent": {func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true },
			map[string]string{"a.ipynb": "a1", "b.txt": "b1", "sub/c.ipynb": "c1", ".d": "d1", "new.txt": "new"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, h, f := inSession(t)
			f.answers(c.answer)
			w.publish("scala101", second)
			h.pass(0, SyncOptions{Mode: workdir.Session})
			h.wantTree("scala101", c.want)
			f.answers(nil)
			h.pass(0, SyncOptions{Mode: workdir.Session})
			h.wantTree("scala101", second)
		})
	}
}

func TestADocumentOpenedDuringADownloadWaits(t *testing.T) {
	for _, o := range []SyncOptions{{Mode: workdir.Session}, {Mode: workdir.Start, Since: time.Now()}} {
		w, h, f := inSession(t)
		asked := 0
		f.answers(func(http.ResponseWriter, *http.Request) bool {
			if asked++; asked == 2 { // for the plan, and before it is followed
				f.sessions("work/scala101/a.ipynb")
			}
			return false
		})
		w.publish("scala101", map[string]string{"a.ipynb": "a2", "b.txt": "b1", "sub/c.ipynb": "c1", ".d": "d1"})
		a := h.agent()
		a.fresh = 0
		if out := a.Sync(t.Context(), o); out.Code != CodeWaiting || asked != 2 {
			t.Errorf("%+v, asked %d times", out, asked)
		}
		if !h.has("scala101/a.ipynb", "a1")() {
			t.Error("replaced under the student's hands")
		}
	}
}

// TestCanaryJupyterTokenIsNowhereButInItsHeader searches all that is written
// and all that is sent to the service for the tokens of server and hub.
func TestCanaryJupyterTokenIsNowhereButInItsHeader(t *testing.T) {
	const hub = "hub-canary-55bb02"
	w, h, f := inSession(t)
	h.s.Jupyter.HubToken, h.s.Jupyter.HubURL = hub, f.web.URL+"/user/ana/"
	log := OpenLog(h.root)
	h.lg = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.lg.Info("settings", "all", h.s)
	f.sessions("work/scala101/a.ipynb")
	shown := 0
	n := 0
	for _, token := range []string{jupyterCanary, "", jupyterCanary + "\n"} {
		f.tell("token", token)
		for _, answer := range []func(http.ResponseWriter, *http.Request) bool{
			nil,
			func(w http.ResponseWriter, r *http.Request) bool {
				w.WriteHeader(http.StatusForbidden)
				_, _ = w.Write([]byte(r.Header.Get("Authorization")))
				return true
			},
			func(w http.ResponseWriter, r *http.Request) bool {
				w.Header().Set("Location", "/"+r.Header.Get("Authorization"))
				w.WriteHeader(http.StatusFound)
				return true
			},
			func(w http.ResponseWriter, r *http.Request) bool {
				_, _ = w.Write([]byte("[" + r.Header.Get("Authorization")))
				return true
			},
			func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) },
		} {
			f.answers(answer)
			n++
			w.publish("scala101", with(second, "a.ipynb", strings.Repeat("a", n), "b.txt", strings.Repeat("b", n)))
			h.pass(0, SyncOptions{Mode: workdir.Session})
			WriteChecks(log, h.agent().Doctor(t.Context()), true)
		}
		shown += len(f.requests())
	}
	log.Close()
	if shown < 20 {
		t.Errorf("the tokens were shown %d times only", shown)
	}
	for _, token := range []string{jupyterCanary, hub} {
		err := filepath.WalkDir(filepath.Dir(h.root), func(p string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(p)
			if strings.Contains(string(data), token) {
				t.Errorf("%s holds %s", p, token)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, said := range h.said() {
			if strings.Contains(said, token) {
				t.Errorf("said %q", said)
			}
		}
		w.mu.Lock()
		if strings.Contains(string(w.received), token) {
			t.Errorf("%s is sent to the service", token)
		}
		w.mu.Unlock()
	}
}
