package workdir

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"satchel/bundle"
)

// Each change of the disk fails once, in each of the usual ways; the next
// pass, on a disk that works again, ends as if nothing had been.
func TestEachChangeOfTheDiskFailsOnce(t *testing.T) {
	start := quickDir(t)
	w := storyWorld(silent{t}, start, false)
	storyBefore(w)
	w.sync()
	studentStory(w)
	ways := []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EACCES, syscall.EROFS, syscall.EDQUOT}
	for n := int64(1); ; n++ {
		root := filepath.Join(quickDir(t), "work")
		copyTree(t, start, root)
		if failOnce(t, root, n, ways[n%int64(len(ways))]) < n {
			return
		}
	}
}

func failOnce(t *testing.T, root string, n int64, errno syscall.Errno) int64 {
	t.Helper()
	w := storyWorld(silent{t}, root, false)
	storyBefore(w)
	w.newest()
	storyAfter(w)
	w.now = day.Add(time.Minute)
	var at atomic.Int64
	what := ""
	w.do.before = func(op, name string) error {
		if at.Add(1) != n {
			return nil
		}
		what = op + " " + name
		return errno
	}
	if _, err := w.trySync(); err != nil && !errors.Is(err, errno) {
		t.Fatalf("step %d, %s: another error: %v", n, what, err)
	}
	everyByteOf(t, int(n), root, storyMine...)
	w.do.before = nil
	w.now = day.Add(time.Hour)
	r := w.sync()
	if got := tree(t, filepath.Join(root, "scala")); !maps.Equal(got, storyEnd) || !r.Complete {
		t.Fatalf("step %d, %s: after the next run (%v):\n%s", n, what, r.kinds(), diffTrees(got, storyEnd))
	}
	return at.Load()
}

func TestOneBadPathFailsAlone(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "a1", "ro/b.txt", "b1", "c.txt", "c1")
	w.sync()
	w.publish("a.txt", "a2", "ro/b.txt", "b2", "c.txt", "c2")
	w.do.before = func(op, name string) error {
		if op == "exchange" && name == "b.txt" {
			return syscall.EACCES
		}
		return nil
	}
	for range 2 {
		r := w.sync()
		wantEvents(t, r, "failed ro/b.txt")
		if r.Events[0].Reason != ReasonPermission || r.Complete {
			t.Fatalf("%+v", r)
		}
		w.has("a.txt", "a2", "ro/b.txt", "b1", "c.txt", "c2")
	}
	if s := w.state(); s.Version != 2 || s.Complete || strings.Join(s.Waiting, " ") != "ro/b.txt" {
		t.Fatalf("its bytes are at hand, so the version counts as applied: %+v", s)
	}
	w.do.before = nil
	w.fetched = nil
	wantEvents(t, w.sync())
	w.has("a.txt", "a2", "ro/b.txt", "b2", "c.txt", "c2")
	if len(w.fetched) != 0 {
		t.Fatal("it was fetched again")
	}
}

// A full quota with one large file and twenty small ones: the twenty arrive,
// in whatever order the bytes come.
func TestWhatDoesNotFitDoesNotStopTheRest(t *testing.T) {
	for _, order := range []string{"large first", "small first"} {
		t.Run(order, func(t *testing.T) {
			w := newWorld(t)
			large := strings.Repeat("L", 3<<20)
			w.publish("big.bin", large)
			for i := range 20 {
				w.files[fmt.Sprintf("small%02d.txt", i)] = fmt.Sprintf("%02d", i) + strings.Repeat("s", 20_000)
			}
			used := func() (n int64) {
				for _, text := range tree(t, w.root) {
					n += int64(len(text))
				}
				return n
			}
			h := w.open()
			c, _ := h.Course("scala101")
			p, err := c.Plan(t.Context(), w.newest(), w.ask, How{})
			if err != nil {
				t.Fatal(err)
			}
			w.do.space = func() int64 { return reserveBytes + 3<<20 + 200<<10 - used() }
			items := p.Wanted()
			if order == "large first" {
				items[0], items[len(items)-1] = items[len(items)-1], items[0]
			}
			for _, item := range items {
				if err := c.Stage(bundle.NewVerifier(strings.NewReader(w.contents[item.Digest]), item)); err != nil {
					t.Fatal(err)
				}
			}
			r, err := c.Apply(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			h.Close()
			wantEvents(t, r, "no_space big.bin")
			if r.Added != 20 || r.Events[0].Need != 3<<20 || r.Complete {
				t.Fatalf("added %d, %+v", r.Added, r.Events)
			}
			if s := w.state(); s.Version != 0 {
				t.Fatalf("version %d is not here", s.Version)
			}
			w.do.space = nil
			w.fetched = nil
			if r := w.sync(); !r.Complete || len(w.fetched) != 1 {
				t.Fatalf("%+v, fetched %d", r, len(w.fetched))
			}
		})
	}
}

// The quota is only known by trying: a large content that was staged gives
// way when a small one does not fit any more.
func TestAStagedLargeContentGivesWay(t *testing.T) {
	w := newWorld(t)
	w.publish("big.bin", strings.Repeat("L", 1<<20), "small.txt", "small")
	c := w.opened()
	p, err := c.Plan(t.Context(), w.newest(), w.ask, How{})
	if err != nil {
		t.Fatal(err)
	}
	items := p.Wanted()
	if err := c.Stage(bundle.NewVerifier(strings.NewReader(w.contents[items[1].Digest]), items[1])); err != nil {
		t.Fatal(err)
	}
	c.stage.wait()
	w.do.space = func() int64 {
		if c.stage.has(items[1].Digest) {
			return reserveBytes
		}
		return reserveBytes + 1<<20
	}
	if err := c.Stage(bundle.NewVerifier(strings.NewReader("small"), items[0])); err != nil {
		t.Fatal(err)
	}
	r, err := c.Apply(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	wantEvents(t, r, "no_space big.bin")
	w.has("small.txt", "small")
}

func TestACorruptContentIsRefused(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one")
	c := w.opened()
	p, err := c.Plan(t.Context(), w.newest(), w.ask, How{})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"two", "on", "one and more"} {
		if err := c.Stage(bundle.NewVerifier(strings.NewReader(bad), p.Wanted()[0])); err == nil {
			t.Errorf("%q was taken for %q", bad, "one")
		}
	}
	r, err := c.Apply(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Missing) != 1 || r.Complete || len(r.Events) != 0 {
		t.Fatalf("%+v", r)
	}
	w.has()
}

func TestStagedContentsOutliveAProcess(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one", "b.txt", "two")
	h := w.open()
	c, _ := h.Course("scala101")
	p, _ := c.Plan(t.Context(), w.newest(), w.ask, How{})
	first := p.Wanted()[0]
	if err := c.Stage(bundle.NewVerifier(strings.NewReader(w.contents[first.Digest]), first)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	h.Close()
	stage := filepath.Join(w.root, ".satchel/scala101/stage")
	os.WriteFile(filepath.Join(stage, "part-0"), []byte("rest"), 0o600)
	w.sync()
	if len(w.fetched) != 1 || w.fetched[0] == first.Digest {
		t.Fatalf("fetched %v", w.fetched)
	}
	if names, _ := os.ReadDir(stage); len(names) != 0 {
		t.Fatalf("%d things stay staged", len(names))
	}
}

func TestASpoiledStageIsNotPlaced(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one", "b.txt", "two")
	w.newest()
	stage := filepath.Join(w.root, ".satchel/scala101/stage")
	os.MkdirAll(stage, 0o700)
	os.WriteFile(filepath.Join(stage, bundle.Sum([]byte("one")).String()), []byte("evil"), 0o600)
	shared := filepath.Join(w.root, "shared")
	os.WriteFile(shared, []byte("two"), 0o644)
	os.Link(shared, filepath.Join(stage, bundle.Sum([]byte("two")).String()))
	w.sync()
	w.has("a.txt", "one", "b.txt", "two")
	w.write("b.txt", "mine")
	if data, _ := os.ReadFile(shared); string(data) != "two" {
		t.Fatal("a delivered file shares its bytes with another name")
	}
}
