//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mover is one of ten homes that nbgitpuller filled: up to which commit, and
// what the student did there. Each text of theirs holds the word "mine".
type mover struct {
	pulled, again int // up to this commit; and once more after the edits (0: never)
	does          func(t *testing.T, d *desk)
	touched       []string // files of the course
}

const movingCourse = "moving"

// movingCommits are the states of the course, the newest last.
var movingCommits = []tree{
	{"README.md": "Welcome\n", "hw1/lab.ipynb": fromCells("[markdown]\nHomework 1\n[code]\n1 + 1\n[code]\n2 + 2"), "hw1/data.csv": "a,b\n1,2\n", "old.md": "from the first week\n"},
	{"README.md": "Welcome\nroom 1\n", "hw1/lab.ipynb": fromCells("[markdown]\nHomework 1, corrected\n[code]\n1 + 1\n[code]\n2 + 2"), "hw1/data.csv": "a,b\n1,2\n", "old.md": "from the first week\n"},
	{"README.md": "Welcome\nroom 2\n", "hw1/lab.ipynb": fromCells("[markdown]\nHomework 1, corrected\n[code]\n1 + 1\n[code]\n2 + 3"), "hw1/data.csv": "a,b\n1,2\n3,4\n", "hw2/lab.ipynb": fromCells("[markdown]\nHomework 2\n[code]\n5")},
	{"README.md": "Welcome\nroom 3\n", "hw1/lab.ipynb": fromCells("[markdown]\nHomework 1, corrected\n[code]\n1 + 1\n[code]\n2 + 3\n[code]\n7"), "hw1/data.csv": "a,b\n1,2\n3,4\n", "hw2/lab.ipynb": fromCells("[markdown]\nHomework 2\n[code]\n5\n[code]\n6")},
}

// edit changes a file of the student's by a function of its text.
func edit(path string, f func(string) string) func(*testing.T, *desk) {
	return func(t *testing.T, d *desk) {
		text, err := os.ReadFile(d.path(path))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		write(t, d.path(path), f(string(text)))
	}
}

func runAll(text string) string  { after, _, _ := ran(text); return after }
func more(text string) string    { return text + "mine\n" }
func oneCell(text string) string { return withCell(text, "mine = 1") }

func movers() []mover {
	lab := "hw1/lab.ipynb"
	return []mover{
		{pulled: 3},
		{pulled: 0},
		{pulled: 1},
		{pulled: 0, does: edit(lab, runAll)}, // ran, not written: the form tells it
		{pulled: 1, does: edit(lab, oneCell), touched: []string{lab}},
		{pulled: 0, again: 2, does: edit("README.md", more), touched: []string{"README.md"}},
		{pulled: 1, again: 3, does: edit(lab, oneCell), touched: []string{lab}},
		{pulled: 2, does: edit("own/notes.md", more)},
		{pulled: 2, does: edit("hw1/data.csv", more), touched: []string{"hw1/data.csv"}},
		{pulled: 0, does: func(t *testing.T, d *desk) {
			must(t, os.Rename(d.path("hw1/data.csv"), d.path("hw1/mine.csv")))
			edit("hw1/mine.csv", more)(t, d)
		}, touched: []string{"hw1/data.csv"}},
	}
}

// TestPeersMoving: ten used homes of nbgitpuller's move to Satchel as
// docs/moving-from-nbgitpuller.md says: no copy of a file that its student
// did not touch, the newest of each, and no lost byte.
func TestPeersMoving(t *testing.T) {
	dir, err := os.MkdirTemp("", "satchel-moving-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	write(t, filepath.Join(dir, "trust"), "[safe]\n\tdirectory = *\n")
	bare := filepath.Join(dir, movingCourse+".git")
	mustRun(t, exec.Command("git", "init", "-q", "--bare", "-b", "main", bare))
	r := &repository{t: t, bare: bare, work: filepath.Join(dir, "instructor")}
	must(t, os.Mkdir(r.work, 0o755))
	r.git("init", "-q", "-b", "main")
	r.git("remote", "add", "origin", bare)

	puller := nbgitpuller{venv: venv(t), repos: dir}
	all := movers()
	desks := make([]*desk, len(all))
	for i := range all {
		desks[i] = &desk{peer: puller, course: movingCourse, home: filepath.Join(dir, fmt.Sprint("home", i))}
		must(t, os.MkdirAll(desks[i].work(), 0o755))
	}
	for now, state := range movingCommits {
		pushState(t, r, state)
		for i, m := range all {
			if m.pulled == now || m.again == now && m.again > 0 {
				pull(t, puller, desks[i])
			}
			if m.pulled == now && m.does != nil {
				m.does(t, desks[i])
			}
		}
	}
	satchel := newSatchel(t, dir, []string{movingCourse}, ", adopt: true")
	satchel.pushed(t, movingCourse)
	for i, m := range all {
		t.Run(fmt.Sprint("home ", i), func(t *testing.T) { move(t, satchel, desks[i], m) })
	}
}

func pushState(t *testing.T, r *repository, state tree) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(r.work, "README.md")); err == nil {
		r.git("rm", "-q", "-r", ".")
	}
	for path, text := range state {
		write(t, filepath.Join(r.work, path), text)
	}
	r.git("add", "-A")
	r.git("commit", "-q", "-m", "next")
	r.git("push", "-q", "origin", "main")
}

func pull(t *testing.T, n nbgitpuller, d *desk) {
	t.Helper()
	d.own(t)
	mustRun(t, n.login(t, d, false))
}

// move runs the agent twice in a home and judges what is there.
func move(t *testing.T, s satchelPeer, d *desk, m mover) {
	before := tree{}
	before.read(d.path(""), "")
	d.own(t)
	for range 2 {
		out, code := runProgram(t, s.login(t, d, false))
		if !s.ended(code) {
			t.Fatalf("exit %d: %s", code, out)
		}
	}
	after := tree{}
	after.read(d.path(""), "")
	newest := movingCommits[len(movingCommits)-1]
	touched := map[string]bool{}
	for _, f := range m.touched {
		touched[f] = true
	}
	for path, text := range newest {
		now, ok := after[path]
		switch {
		case !ok:
			t.Errorf("%s is not there", path)
		case touched[path] || now == text || sameSources(now, text):
		default:
			t.Errorf("%s, which nobody touched, is not the newest: %.200s", path, now)
		}
	}
	for path, text := range after {
		_, course := newest[path]
		_, had := before[path]
		if !course && !had && !besideOf(path, m.touched) {
			t.Errorf("a copy of what nobody touched: %s: %.100s", path, text)
		}
	}
	for path, text := range before {
		if strings.Contains(text, "mine") && len(after.in("mine")) == 0 {
			t.Errorf("what the student wrote into %s is gone", path)
		}
		if strings.Contains(text, "the student's machine says") && len(after.in("the student's machine says")) == 0 {
			t.Errorf("the outputs of %s are gone", path)
		}
	}
}

// sameSources says that two notebooks differ in outputs alone.
func sameSources(a, b string) bool {
	x, okX := cellsOf(a)
	y, okY := cellsOf(b)
	if !okX || !okY || len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i].source != y[i].source {
			return false
		}
	}
	return true
}

// besideOf says that a name is one that Satchel gives to a copy of one of
// these files.
func besideOf(path string, files []string) bool {
	for _, f := range files {
		if strings.HasPrefix(path, strings.TrimSuffix(f, filepath.Ext(f))+" (") {
			return true
		}
	}
	return false
}
