package workdir

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"satchel/bundle"
)

// The killed process is this test binary again: it plays the update below
// and dies before its N-th change of the disk.
func TestMain(m *testing.M) {
	if at := os.Getenv("WORKDIR_DIE_AT"); at != "" {
		n, _ := strconv.Atoi(at)
		os.Exit(dieAt(n, os.Getenv("WORKDIR_ACT"), os.Getenv("WORKDIR_ROOT"), os.Getenv("WORKDIR_POOR") != ""))
	}
	os.Exit(m.Run())
}

// before and after are two versions between which every verb occurs.
func storyBefore(w *world) {
	w.policies["slides.md"] = bundle.Replace
	w.policies["data.csv"] = bundle.ReadOnly
	w.publish("a.txt", "a1", "b.txt", "b1", "edited.txt", "e1", "gone/old.txt", "o1", "goneedited.txt", "g1",
		"move/from.txt", "m1", "slides.md", "s1", "mode.sh", "x1", "kind", "k1", "fold/one.txt", "f1", "data.csv", "d1", "back.txt", "r1", "solution.txt", "w1",
		"merged.txt", poem, "merged.ipynb", nbOf("x = 1", "y = 1"), "clash.txt", poem, "old/across.txt", poem+"across\n")
}

// nbOf is a notebook of one line a cell.
func nbOf(lines ...string) string {
	var all []string
	for _, l := range lines {
		all = append(all, `{"cell_type":"code","execution_count":null,"metadata":{},"outputs":[],"source":["`+l+`"]}`)
	}
	return `{"cells":[` + strings.Join(all, ",") + `],"metadata":{},"nbformat":4,"nbformat_minor":4}` + "\n"
}

// What the student made of the files that both change.
var (
	mineMerged   = edit(poem, "two", "MINE two")
	mineNotebook = nbOf("x = MINE", "y = 1")
	mineClash    = edit(poem, "two", "MINE clash")
	mineAcross   = edit(poem, "two", "MINE across") + "across\n"
	storyMine    = []string{"MINE edited", "MINE gone", "MINE slides", "MINE new", "MINE kind", "MINE own",
		mineMerged, mineNotebook, mineClash, mineAcross}
)

func studentStory(w *world) {
	w.write("edited.txt", "MINE edited")
	w.write("goneedited.txt", "MINE gone")
	w.write("slides.md", "MINE slides")
	w.write("new.txt", "MINE new")
	w.write("kind", "MINE kind")
	w.write("fold/own.txt", "MINE own")
	w.remove("back.txt")
	w.write("merged.txt", mineMerged)
	w.write("merged.ipynb", mineNotebook)
	w.write("clash.txt", mineClash)
	w.write("old/across.txt", mineAcross)
}

func storyAfter(w *world) {
	w.modes["mode.sh"] = 0o755
	w.withdraw = []bundle.Pair{{Path: "solution.txt", Digest: bundle.Sum([]byte("w1"))}}
	w.publish("a.txt", "a2", "b.txt", "b2", "edited.txt", "e2", "gone/old.txt", "-", "goneedited.txt", "-",
		"move/from.txt", "-", "moved/to.txt", "m1", "slides.md", "s2", "new.txt", "n2", "kind", "-", "kind/in.txt", "k2",
		"fold/one.txt", "-", "fold", "f2", "twin.txt", "a2", "solution.txt", "-",
		"merged.txt", edit(poem, "five", "5"), "merged.ipynb", nbOf("x = 1", "y = 2"), "clash.txt", edit(poem, "two", "theirs"),
		"old/across.txt", "-", "new/across.txt", edit(poem, "five", "5")+"across\n")
	w.renamed = map[string]string{"new/across.txt": "old/across.txt"}
}

var storyEnd = map[string]string{
	"a.txt": "a2", "b.txt": "b2", "edited.txt": "MINE edited", "edited (course v2).txt": "e2",
	"goneedited.txt": "MINE gone", "moved/to.txt": "m1", "slides.md": "s2", "slides (my copy).md": "MINE slides",
	"new.txt": "MINE new", "new (course v2).txt": "n2", "kind (my copy)": "MINE kind", "kind/in.txt": "k2",
	"fold (my copy)/own.txt": "MINE own", "fold": "f2", "data.csv": "d1", "back.txt": "r1", "mode.sh": "x1", "twin.txt": "a2",
	"merged.txt": edit(mineMerged, "five", "5"), "merged.ipynb": nbOf("x = MINE", "y = 2"),
	"clash.txt": mineClash, "clash (course v2).txt": edit(poem, "two", "theirs"), "new/across.txt": edit(mineAcross, "five", "5"),
}

type quietTB struct{ testing.TB }

func (quietTB) Helper()                   {}
func (quietTB) Log(...any)                {}
func (quietTB) Fatal(args ...any)         { fmt.Fprintln(os.Stderr, args...); os.Exit(3) }
func (quietTB) Fatalf(f string, a ...any) { fmt.Fprintf(os.Stderr, f+"\n", a...); os.Exit(3) }

func storyWorld(t testing.TB, root string, poor bool) *world {
	w := newWorldAt(t, root)
	if poor {
		w.do = poorHands()
	}
	return w
}

func poorHands() *hands {
	return &hands{noExchange: true, noReplace: true, noFlock: true, probed: true}
}

func dieAt(n int, act, root string, poor bool) int {
	w := storyWorld(quietTB{}, root, poor)
	storyBefore(w)
	w.newest()
	storyAfter(w)
	w.now = day.Add(time.Minute)
	if act != "" {
		w.now = day.Add(3 * time.Minute)
	}
	step := make(chan int, 1)
	step <- 0
	w.do.before = func(op, name string) error {
		at := 1 + <-step
		if at == n {
			fmt.Println(op, name)
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		step <- at
		return nil
	}
	var err error
	switch act {
	case "undo":
		w.undo()
	case "restore":
		_, err = w.with(func(c *Course) (*Plan, error) { return c.PlanRestore(w.ctx, w.newest()) })
	default:
		_, err = w.trySync()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func TestKilledBeforeEachChangeOfTheDisk(t *testing.T) {
	for _, poor := range []bool{false, true} {
		t.Run(fmt.Sprintf("poor filesystem %v", poor), func(t *testing.T) {
			t.Parallel()
			start := quickDir(t)
			w := storyWorld(t, start, poor)
			storyBefore(w)
			w.sync()
			studentStory(w)
			steps := 0
			for n := 1; ; n++ {
				root := filepath.Join(quickDir(t), "work")
				copyTree(t, start, root)
				died := runKilled(t, n, "", root, poor)
				if t.Failed() {
					return
				}
				checkKilled(t, n, root, poor)
				if t.Failed() {
					return
				}
				if !died {
					break
				}
				steps++
			}
			if steps < 60 {
				t.Fatalf("only %d steps: the seam is not where the changes are", steps)
			}
			t.Logf("%d steps", steps)
		})
	}
}

func runKilled(t *testing.T, n int, act, root string, poor bool) (died bool) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("WORKDIR_DIE_AT=%d", n), "WORKDIR_ROOT="+root, "WORKDIR_ACT="+act)
	if poor {
		cmd.Env = append(cmd.Env, "WORKDIR_POOR=1")
	}
	out, err := cmd.CombinedOutput()
	if err == nil {
		return false
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("step %d: %v: %s", n, err, out)
	}
	return true
}

// checkKilled looks at what a killed run left, and that the next one ends it.
func checkKilled(t *testing.T, n int, root string, poor bool) {
	t.Helper()
	checkWhole(t, n, root)
	w := storyWorld(t, root, poor)
	storyBefore(w)
	w.newest()
	storyAfter(w)
	w.now = day.Add(time.Hour)
	r := w.sync()
	if !r.Complete {
		t.Errorf("step %d: not complete after the next run: %v", n, r.kinds())
	}
	for _, k := range r.kinds() {
		if strings.HasPrefix(k, "returned") && k != "returned back.txt" {
			t.Errorf("step %d: the run before is taken for the student: %s", n, k)
		}
	}
	if got := tree(t, filepath.Join(root, "scala")); !maps.Equal(got, storyEnd) {
		t.Errorf("step %d: after the next run:\n%s", n, diffTrees(got, storyEnd))
	}
	w.now = day.Add(2 * time.Hour)
	if r := w.sync(); r.Added+r.Changed+r.Removed+len(r.Events) != 0 {
		t.Errorf("step %d: the run after that did %+v", n, r)
	}
	w.now = day.Add(3 * time.Hour) // the second look at what is held
	w.sync()
	if names, _ := os.ReadDir(filepath.Join(root, ".satchel/scala101/hold")); len(names) != 0 {
		t.Errorf("step %d: %d things are held for ever", n, len(names))
	}
}

// checkWhole says that each file is old or new, never half, and that nothing of
// the student's is lost.
func checkWhole(t *testing.T, n int, root string) {
	t.Helper()
	w := newWorldAt(t, root)
	storyBefore(w)
	whole := map[string]bool{}
	for _, texts := range []map[string]string{w.files, storyEnd} {
		for _, text := range texts {
			whole[text] = true
		}
	}
	for _, text := range storyMine {
		whole[text] = true
	}
	storyAfter(w)
	for _, text := range w.files {
		whole[text] = true
	}
	for p, text := range tree(t, filepath.Join(root, "scala")) {
		if !whole[text] && !strings.HasSuffix(p, "/") {
			t.Errorf("step %d: half written: %s: %q", n, p, text)
		}
	}
	everyByteOf(t, n, root, storyMine...)
}

// An undo, and a restore of everything, killed before each change of the disk:
// each path is as before it or as after it, and the next sync leaves it so.
func TestUndoAndRestoreKilled(t *testing.T) {
	for _, act := range []string{"undo", "restore"} {
		for _, poor := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, poor filesystem %v", act, poor), func(t *testing.T) {
				t.Parallel()
				start := quickDir(t)
				w := storyWorld(t, start, poor)
				storyBefore(w)
				w.sync()
				studentStory(w)
				before := tree(t, w.path("."))
				storyAfter(w)
				w.now = day.Add(time.Minute)
				w.sync()
				if act == "restore" {
					before = w.files
				}
				after := tree(t, w.path("."))
				for n := 1; ; n++ {
					root := filepath.Join(quickDir(t), "work")
					copyTree(t, start, root)
					died := runKilled(t, n, act, root, poor)
					checkWhole(t, n, root)
					checkActKilled(t, n, root, poor, before, after)
					if t.Failed() {
						return
					}
					if !died {
						t.Logf("%d steps", n-1)
						return
					}
				}
			})
		}
	}
}

// checkActKilled looks at each path after the run that follows: it is as it
// was before the act, or as the act makes it.
func checkActKilled(t *testing.T, n int, root string, poor bool, one, other map[string]string) {
	t.Helper()
	w := storyWorld(t, root, poor)
	storyBefore(w)
	w.newest()
	storyAfter(w)
	w.now = day.Add(time.Hour)
	if r := w.sync(); !r.Complete {
		t.Errorf("step %d: not complete after the next run: %v", n, r.kinds())
	}
	got := tree(t, w.path("."))
	for p := range one {
		if text, there := got[p]; text != one[p] && text != other[p] || !there && one[p] != "" && other[p] != "" {
			t.Errorf("step %d: %s is %q (%v), neither %q nor %q", n, p, text, there, one[p], other[p])
		}
	}
	everyByteOf(t, n, root, storyMine...)
	w.now = day.Add(2 * time.Hour)
	if r := w.sync(); r.Added+r.Changed+r.Removed+len(r.Events) != 0 {
		t.Errorf("step %d: the run after that did %+v", n, r)
	}
	if d := diffTrees(tree(t, w.path(".")), got); d != "" {
		t.Errorf("step %d: the run after that changed:\n%s", n, d)
	}
	w.now = day.Add(3 * time.Hour)
	w.sync()
	if names, _ := os.ReadDir(filepath.Join(root, ".satchel/scala101/hold")); len(names) != 0 {
		t.Errorf("step %d: %d things are held for ever", n, len(names))
	}
}

func everyByteOf(t testing.TB, n int, root string, texts ...string) {
	t.Helper()
	all := slices.Collect(maps.Values(tree(t, root)))
	for _, text := range texts {
		if !slices.Contains(all, text) {
			t.Errorf("step %d: %q is lost", n, text)
		}
	}
}

func diffTrees(got, want map[string]string) string {
	var out []string
	for p, text := range got {
		if v, ok := want[p]; !ok || v != text {
			out = append(out, fmt.Sprintf("have %s: %q", p, text))
		}
	}
	for p, text := range want {
		if v, ok := got[p]; !ok || v != text {
			out = append(out, fmt.Sprintf("want %s: %q", p, text))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

func copyTree(t testing.TB, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(from, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, p)
		return os.Chmod(filepath.Join(to, rel), info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
}
