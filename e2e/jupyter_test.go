//go:build e2e

package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"satchel/bundle"
)

// jupyter is a student's real Jupyter server.
type jupyter struct {
	*process
	st    *student
	url   string
	token string
}

// jupyterProgram finds a program of the virtual environment that "make e2e"
// makes (JUPYTER_VENV; see the Makefile for what is in it).
func jupyterProgram(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(os.Getenv("JUPYTER_VENV"), "bin", name)
	if _, err := os.Stat(path); err != nil || os.Getenv("JUPYTER_VENV") == "" {
		t.Fatalf("no Jupyter server (%v): make e2e installs it and names it by JUPYTER_VENV", err)
	}
	return path
}

// jupyter starts a server as the student, whose root folder is the home.
func (st *student) jupyter(v *service) *jupyter {
	st.t.Helper()
	port := freePort(st.t)
	j := &jupyter{st: st, url: fmt.Sprintf("http://127.0.0.1:%d/", port), token: "token-of-the-test"}
	c := st.command(v.login(st.name), jupyterProgram(st.t, "jupyter-server"), "--no-browser", "--log-level=DEBUG", // it logs each request
		"--ServerApp.ip=127.0.0.1", fmt.Sprintf("--ServerApp.port=%d", port), "--ServerApp.port_retries=0",
		"--ServerApp.root_dir="+filepath.Dir(st.root), "--IdentityProvider.token="+j.token)
	j.process = startCommand(st.t, v.site.dir, c)
	eventually(st.t, time.Minute, "the Jupyter server", func() error {
		if j.ended() {
			st.t.Fatalf("it ended:\n%s", tail(j.output(), 3000))
		}
		_, err := j.try(http.MethodGet, "api/status", nil)
		return err
	})
	return j
}

// try asks the server's API.
func (j *jupyter) try(method, path string, body any) ([]byte, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	q, err := http.NewRequest(method, j.url+path, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	q.Header.Set("Authorization", "token "+j.token)
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %d %s", method, path, resp.StatusCode, out)
	}
	return out, err
}

func (j *jupyter) do(method, path string, body, answer any) {
	j.st.t.Helper()
	out, err := j.try(method, path, body)
	if err == nil && answer != nil {
		err = json.Unmarshal(out, answer)
	}
	if err != nil {
		j.st.t.Fatal(err)
	}
}

// open gives a notebook a session with a real kernel, and gives its id.
func (j *jupyter) open(path string) string {
	j.st.t.Helper()
	var s struct{ ID string }
	j.do(http.MethodPost, "api/sessions", map[string]any{
		"path": "work/scala101/" + path, "name": filepath.Base(path), "type": "notebook", "kernel": map[string]any{"name": "python3"},
	}, &s)
	return s.ID
}

// active is when the server was last used, as it tells a culler of idle ones.
func (j *jupyter) active() (at time.Time) {
	j.st.t.Helper()
	var s struct {
		At time.Time `json:"last_activity"`
	}
	j.do(http.MethodGet, "api/status", nil, &s)
	return s.At
}

// wasAsked counts how often an agent asked what is open.
func (j *jupyter) wasAsked() int {
	return strings.Count(j.output(), "GET /api/sessions")
}

// notebookOf is one in Jupyter's own layout: what it saves of it is the same
// bytes.
func notebookOf(cells ...string) string {
	var named []string
	for i, c := range cells {
		named = append(named, fmt.Sprintf("cell-%d", i), c)
	}
	return notebookWith(named...)
}

// notebookWith is one of cells with these ids: id, text pairs.
func notebookWith(cells ...string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	list := []any{}
	for i := 0; i < len(cells); i += 2 {
		list = append(list, map[string]any{"cell_type": "markdown", "id": cells[i], "metadata": map[string]any{}, "source": []string{cells[i+1]}})
	}
	_ = e.Encode(map[string]any{"cells": list, "metadata": map[string]any{}, "nbformat": 4, "nbformat_minor": 5})
	return b.String()
}

// has gives an error unless a file of the course's folder is as it should be.
func (st *student) has(path, text string) error {
	data, err := os.ReadFile(filepath.Join(st.folder(), path))
	if err == nil && string(data) != text {
		err = fmt.Errorf("%s is not as it should be: %.300s", path, data)
	}
	return err
}

// TestE2EAnOpenNotebookWaits: a real server, a real kernel, the agent's own
// watch. What has a session waits until that is closed, what has a checkpoint
// until the next start, all else arrives within the push.
func TestE2EAnOpenNotebookWaits(t *testing.T) {
	s := newSite(t)
	v := s.configure("one", "").run("serve")
	put := func(version string) {
		for _, p := range []string{"nb/open.ipynb", "nb/free.ipynb"} {
			s.repo.set(p, notebookOf("# "+p, "version "+version))
		}
		s.repo.push(version)
		v.publish()
	}
	v.ready(1)
	put("1")
	v.ready(2)
	ana := s.student("ana")
	ana.sync(v.login("ana"))
	j := ana.jupyter(v)
	session := j.open("nb/open.ipynb")
	watch := startCommand(t, s.dir, ana.agent(v.login("ana"), "watch"))
	says := func(what string) func() error {
		return func() error {
			if !strings.Contains(watch.output(), what) {
				return fmt.Errorf("watch said:\n%s", watch.output())
			}
			return nil
		}
	}
	eventually(t, time.Minute, "the watch", says("up to date (version 2)"))

	put("2")
	began := time.Now()
	eventually(t, time.Minute, "the notebook that is not open", func() error { return ana.has("nb/free.ipynb", notebookOf("# nb/free.ipynb", "version 2")) })
	t.Logf("the notebook that is not open was replaced %.1f s after the publish", time.Since(began).Seconds())
	eventually(t, time.Minute, "the sentence", says("1 update waits until you close it: nb/open.ipynb."))
	old := notebookOf("# nb/open.ipynb", "version 1")
	must(t, ana.has("nb/open.ipynb", old))

	look := func() { runProgram(t, ana.agent(v.login("ana"), "watch")) } // a second one asks the first to look
	asked := j.wasAsked()
	look()
	eventually(t, time.Minute, "another question to the server", func() error {
		if j.wasAsked() == asked {
			return fmt.Errorf("it was asked %d times", asked)
		}
		return nil
	})
	must(t, ana.has("nb/open.ipynb", old))

	j.do(http.MethodDelete, "api/sessions/"+session, nil, nil)
	look()
	eventually(t, time.Minute, "the notebook that was closed", func() error { return ana.has("nb/open.ipynb", notebookOf("# nb/open.ipynb", "version 2")) })

	j.do(http.MethodPost, "api/contents/work/scala101/nb/open.ipynb/checkpoints", nil, nil) // as JupyterLab does when it opens one
	before := j.active()
	asked = j.wasAsked()
	put("3")
	eventually(t, time.Minute, "the notebook without a checkpoint", func() error { return ana.has("nb/free.ipynb", notebookOf("# nb/free.ipynb", "version 3")) })
	eventually(t, time.Minute, "the sentence in the status", func() error {
		if out, _ := runProgram(t, ana.agent(v.login("ana"), "status")); !strings.Contains(out, "1 update waits until you close it: nb/open.ipynb.") {
			return fmt.Errorf("status: %s", out)
		}
		return nil
	})
	must(t, ana.has("nb/open.ipynb", notebookOf("# nb/open.ipynb", "version 2")))
	if after := j.active(); !after.Equal(before) || j.wasAsked() == asked {
		t.Errorf("asked what is open, the server seems in use: %v, %v (%d questions)", before, after, j.wasAsked()-asked)
	}
	must(t, watch.stop())
	must(t, j.stop())
	ana.sync(v.login("ana")) // the next start
	must(t, ana.has("nb/open.ipynb", notebookOf("# nb/open.ipynb", "version 3")))
	if strings.Contains(watch.output(), j.token) {
		t.Error("the server's token is in what the watch said")
	}
}

// TestE2EAStaleTabSavesOverAMerge: the tab was open while the course's changes
// were merged in, and saves what it has. They are merged in once more; saved a
// second time, the old text is what the student wants.
func TestE2EAStaleTabSavesOverAMerge(t *testing.T) {
	s := newSite(t)
	v := s.configure("one", "").run("serve")
	put := func(version int, cells ...string) {
		s.repo.set("nb.ipynb", notebookWith(cells...))
		s.repo.push(fmt.Sprint(version))
		v.publish()
		v.ready(version)
	}
	v.ready(1)
	put(2, "title", "# Lab", "ask", "What is a function?", "end", "The end.")
	ana := s.student("ana")
	ana.sync(v.login("ana"))
	j := ana.jupyter(v)
	tab := &tab{j: j}
	has := func(what string, want bool) {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(ana.folder(), "nb.ipynb"))
		must(t, err)
		if bytes.Contains(data, []byte(what)) != want {
			t.Fatalf("%q: in the file is not %v:\n%s", what, want, data)
		}
	}
	must(t, tab.save("nb.ipynb", notebookWith("title", "# Lab", "ask", "What is a function?", "mine", "My answer.", "end", "The end.")))
	put(3, "title", "# Lab", "hint", "A new hint.", "ask", "What is a function?", "end", "The end.")
	ana.sync(v.login("ana"))
	has("My answer.", true)
	has("A new hint.", true)

	old := notebookWith("title", "# Lab", "ask", "What is a function?", "mine", "My answer.", "more", "And more of it.", "end", "The end.")
	must(t, tab.save("nb.ipynb", old))
	has("A new hint.", false)
	t.Logf("the sync after the stale tab's save says:\n%s", ana.sync(v.login("ana")))
	has("My answer.", true)
	has("And more of it.", true)
	has("A new hint.", true)

	must(t, tab.save("nb.ipynb", old))
	ana.sync(v.login("ana"))
	must(t, ana.has("nb.ipynb", old))
	must(t, j.stop())
	everyNotebookOpens(t, ana)
}

// TestE2ENoSaveIsLost: a real server saves in place, as fast as it goes, while
// agents sync as at a start and new versions of all notebooks are published.
// Every save that the server acknowledged is found: in the file, or beside it,
// held, or on the shelf. After most saves the notebook is made the course's
// again, so that the agent replaces it next time, with a save coming.
func TestE2ENoSaveIsLost(t *testing.T) {
	const versions, notebooks, savers, enough = 15, 40, 4, 300
	const busy = "The course server has much to do" // to a fast machine's syncs: a student has 20 requests a second
	s := newSite(t)
	v := s.configure("one", "").run("serve")
	v.ready(1)
	course := &newestNotebooks{}
	var tabs []*tab
	var saves atomic.Int64
	for i := range savers {
		tabs = append(tabs, &tab{course: course, saves: &saves, places: map[string]int{}})
		for n := i; n < notebooks; n += savers {
			tabs[i].paths = append(tabs[i].paths, fmt.Sprintf("nb/%02d.ipynb", n))
		}
	}
	put := func(n int) {
		for _, tab := range tabs {
			for _, p := range tab.paths {
				text := notebookOf("# "+p, fmt.Sprintf("version %d", n), strings.Repeat("words of the course ", 400))
				s.repo.set(p, text)
				course.set(p, text)
			}
		}
		s.repo.push(fmt.Sprint(n))
		v.publish()
		v.ready(n + 1)
	}
	put(1)
	ana := s.student("ana")
	ana.sync(v.login("ana"))
	j := ana.jupyter(v)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var wg sync.WaitGroup
	for _, tab := range tabs {
		tab.j = j
		must(t, tab.savesTheSameBytes())
		wg.Go(func() { tab.keepSaving(ctx) })
	}
	var syncs, replaced, waited, beside atomic.Int64
	wg.Go(func() {
		for ctx.Err() == nil {
			out, code := runProgram(t, ana.agent(v.login("ana"), "sync"))
			if code != 0 && !strings.Contains(out, busy) {
				t.Errorf("sync: exit %d\n%s", code, out)
			}
			syncs.Add(1)
			replaced.Add(number(out, `(\d+) changed`))
			waited.Add(number(out, `(\d+) updates? waits? until you close`))
			beside.Add(int64(strings.Count(out, "both changed this file")))
		}
	})
	// How much of each happens in a version depends on the machine.
	little := func() bool {
		return saves.Load() < enough || syncs.Load() < versions || replaced.Load() < 3*notebooks || waited.Load() == 0
	}
	n := 1
	for n < versions || little() && n < 10*versions {
		n++
		put(n)
	}
	stop()
	wg.Wait()
	places := map[string]int{}
	eventually(t, time.Minute, "the last sync", func() error {
		if out, code := runProgram(t, ana.agent(v.login("ana"), "sync")); code != 0 {
			return fmt.Errorf("exit %d\n%s", code, out)
		}
		return nil
	})
	for _, tab := range tabs {
		for _, lost := range tab.lost {
			t.Errorf("the save %q is nowhere", lost)
		}
		if tab.last != "" {
			tab.kept = append(tab.kept, tab.last)
		}
		for _, mark := range tab.kept {
			if unsettled(tab.find(mark)) {
				t.Errorf("the save %q is nowhere in the end", mark)
			}
		}
		for where, n := range tab.places {
			places[where] += n
		}
	}
	t.Logf("%d saves, found in %v; %d versions, %d syncs: %d times a notebook was replaced, %d times one waited, %d times the course's was laid beside",
		saves.Load(), places, n, syncs.Load(), replaced.Load(), waited.Load(), beside.Load())
	if little() {
		t.Error("that is too little to show anything")
	}
	must(t, j.stop())
	everyNotebookOpens(t, ana)
}

// number is the one that a sentence names, 0 where there is none.
func number(out, pattern string) int64 {
	m := regexp.MustCompile(pattern).FindStringSubmatch(out)
	if m == nil {
		return 0
	}
	n, _ := strconv.ParseInt(m[1], 10, 64)
	return n
}

// newestNotebooks are the course's, by path.
type newestNotebooks struct{ m sync.Map }

func (n *newestNotebooks) set(path, text string) { n.m.Store(path, text) }

func (n *newestNotebooks) get(path string) string {
	text, _ := n.m.Load(path)
	return text.(string)
}

// tab is one in a student's browser, with notebooks that no other tab has.
type tab struct {
	j      *jupyter
	paths  []string
	course *newestNotebooks
	saves  *atomic.Int64 // acknowledged, of all tabs
	last   string        // what was saved last, and not overwritten since
	kept   []string      // what came to lie elsewhere
	lost   []string      // what nobody found
	places map[string]int
}

// savesTheSameBytes makes sure that a notebook of the course that is saved as
// it is counts as untouched.
func (b *tab) savesTheSameBytes() error {
	text := b.course.get(b.paths[0])
	if err := b.save(b.paths[0], text); err != nil {
		return err
	}
	return b.j.st.has(b.paths[0], text)
}

// keepSaving saves, and before it saves over that, which is the student's own
// doing, looks for what was saved. The last notebook is never given back.
func (b *tab) keepSaving(ctx context.Context) {
	for n := 1; ctx.Err() == nil; n++ {
		path := b.paths[rand.IntN(len(b.paths))]
		mark := fmt.Sprintf("work %d of the student in %s", n, path)
		if b.save(path, notebookOf("# mine", mark, strings.Repeat("words of mine ", 300))) != nil {
			if strings.HasSuffix(b.last, " in "+path) {
				b.last = "" // it was not acknowledged, and may have been written over the one before
			}
			continue
		}
		b.saves.Add(1)
		b.last = mark
		where, first := b.find(mark), ""
		for end := time.Now().Add(30 * time.Second); unsettled(where) && time.Now().Before(end); where = b.find(mark) {
			first = cmp.Or(first, where)
		}
		b.places[cmp.Or(first, where)]++
		switch {
		case unsettled(where):
			b.lost = append(b.lost, mark)
		case where != "file":
			b.kept = append(b.kept, mark)
		}
		if path != b.paths[len(b.paths)-1] {
			_ = b.save(path, b.course.get(path))
			b.last = "" // also where it was not acknowledged: it may have been written
		}
	}
}

// unsettled is a place that is none to stay at: what is moved in this moment
// may be missed once, and what is held goes on by the next sync.
func unsettled(where string) bool { return where == "" || strings.HasSuffix(where, "/hold") }

func (b *tab) save(path, text string) error {
	_, err := b.j.try(http.MethodPut, "api/contents/work/scala101/"+path, map[string]any{
		"type": "notebook", "format": "json", "content": json.RawMessage(text),
	})
	return err
}

// find says where in the home what was saved is: "file", "beside", or the
// folder of .satchel; "" for nowhere.
func (b *tab) find(mark string) (where string) {
	st := b.j.st
	path := mark[strings.LastIndex(mark, " ")+1:]
	if data, _ := os.ReadFile(filepath.Join(st.folder(), path)); bytes.Contains(data, []byte(mark)) {
		return "file"
	}
	_ = filepath.WalkDir(st.root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // it is moved just now
		}
		data, err := os.ReadFile(p)
		if err != nil || !holds(data, mark) {
			return nil
		}
		rel, _ := filepath.Rel(st.root, p)
		switch parts := strings.Split(rel, "/"); {
		case rel == "scala101/"+path:
			where = "file"
		case parts[0] != ".satchel":
			where = "beside"
		default:
			where = strings.Join(parts[:min(3, len(parts)-1)], "/")
		}
		return fs.SkipAll
	})
	return where
}

// holds looks into compressed bytes too.
func holds(data []byte, mark string) bool {
	if bytes.Contains(data, []byte(mark)) {
		return true
	}
	found := false
	_ = bundle.Decompress(bytes.NewReader(data), 1<<20, func(r io.Reader) error {
		plain, err := io.ReadAll(r)
		found = bytes.Contains(plain, []byte(mark))
		return err
	})
	return found
}

// everyNotebookOpens has nbformat itself read and judge all of a student's.
func everyNotebookOpens(t *testing.T, st *student) {
	t.Helper()
	var all []string
	must(t, filepath.WalkDir(st.folder(), func(p string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(p, ".ipynb") && !strings.HasPrefix(d.Name(), ".~") {
			all = append(all, p)
		}
		return err
	}))
	slices.Sort(all)
	if len(all) < 3 {
		t.Fatalf("only %q", all)
	}
	mustRun(t, exec.Command(jupyterProgram(t, "python3"), append([]string{"-c", `
import sys, nbformat
for p in sys.argv[1:]:
    nbformat.validate(nbformat.read(p, as_version=4))
`}, all...)...))
	t.Logf("%d notebooks open", len(all))
}
