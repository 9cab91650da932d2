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
		os.Exit(dieAt(n, os.Getenv("WORKDIR_ROOT"), os.Getenv("WORKDIR_POOR") != ""))
	}
	os.Exit(m.Run())
}

// before and after are two versions between which every verb occurs.
func storyBefore(w *world) {
	w.policies["slides.md"] = bundle.Replace
	w.policies["data.csv"] = bundle.ReadOnly
	w.publish("a.txt", "a1", "b.txt", "b1", "edited.txt", "e1", "gone/old.txt", "o1", "goneedited.txt", "g1",
		"move/from.txt", "m1", "slides.md", "s1", "mode.sh", "x1", "kind", "k1", "fold/one.txt", "f1", "data.csv", "d1", "back.txt", "r1", "solution.txt", "w1")
}

func studentStory(w *world) {
	w.write("edited.txt", "MINE edited")
	w.write("goneedited.txt", "MINE gone")
	w.write("slides.md", "MINE slides")
	w.write("new.txt", "MINE new")
	w.write("kind", "MINE kind")
	w.write("fold/own.txt", "MINE own")
	w.remove("back.txt")
}

func storyAfter(w *world) {
	w.modes["mode.sh"] = 0o755
	w.withdraw = []bundle.Pair{{Path: "solution.txt", Digest: bundle.Sum([]byte("w1"))}}
	w.publish("a.txt", "a2", "b.txt", "b2", "edited.txt", "e2", "gone/old.txt", "-", "goneedited.txt", "-",
		"move/from.txt", "-", "moved/to.txt", "m1", "slides.md", "s2", "new.txt", "n2", "kind", "-", "kind/in.txt", "k2",
		"fold/one.txt", "-", "fold", "f2", "twin.txt", "a2", "solution.txt", "-")
}

var storyEnd = map[string]string{
	"a.txt": "a2", "b.txt": "b2", "edited.txt": "MINE edited", "edited (course v2).txt": "e2",
	"goneedited.txt": "MINE gone", "moved/to.txt": "m1", "slides.md": "s2", "slides (my copy).md": "MINE slides",
	"new.txt": "MINE new", "new (course v2).txt": "n2", "kind (my copy)": "MINE kind", "kind/in.txt": "k2",
	"fold (my copy)/own.txt": "MINE own", "fold": "f2", "data.csv": "d1", "back.txt": "r1", "mode.sh": "x1", "twin.txt": "a2",
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

func dieAt(n int, root string, poor bool) int {
	w := storyWorld(quietTB{}, root, poor)
	storyBefore(w)
	w.newest()
	storyAfter(w)
	w.now = day.Add(time.Minute)
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
	if _, err := w.trySync(); err != nil {
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
				died := runKilled(t, n, root, poor)
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

func runKilled(t *testing.T, n int, root string, poor bool) (died bool) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("WORKDIR_DIE_AT=%d", n), "WORKDIR_ROOT="+root)
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
	whole := map[string]bool{"": true}
	for _, text := range storyEnd {
		whole[text] = true
	}
	for _, text := range strings.Fields("a1 b1 e1 o1 g1 m1 s1 x1 k1 f1 d1 r1 w1") {
		whole[text] = true
	}
	for p, text := range tree(t, filepath.Join(root, "scala")) {
		if !whole[text] || text == "" && !strings.HasSuffix(p, "/") {
			t.Errorf("step %d: half written: %s: %q", n, p, text)
		}
	}
	everyByteOf(t, n, root, "MINE edited", "MINE gone", "MINE slides", "MINE new", "MINE kind", "MINE own")
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
