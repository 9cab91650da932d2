package workdir

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
)

// own gives the path of something in .satchel/scala101.
func (w *world) own(p string) string { return filepath.Join(w.root, ".satchel/scala101", p) }

// Whatever has the name of a content where Satchel keeps contents: the first
// login that needs it is complete all the same.
func TestPlantedUnderADigest(t *testing.T) {
	folder := func(p string) error { return os.MkdirAll(filepath.Join(p, "in"), 0o755) }
	huge := func(p string) error {
		return errors.Join(os.WriteFile(p, nil, 0o600), os.Truncate(p, 1<<40))
	}
	junk := func(p string) error { return os.WriteFile(p, []byte("junk"), 0o600) }
	link := func(p string) error { return os.Symlink("/etc/passwd", p) }
	for name, plant := range map[string]func(string) error{"folder": folder, "huge": huge, "junk": junk, "link": link} {
		for _, where := range []string{"stage", "base", "manifests"} {
			t.Run(name+" in "+where, func(t *testing.T) {
				w := newWorld(t)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				w.ctx = ctx
				w.publish("a.txt", "one", "b.txt", "b")
				w.sync()
				w.publish("a.txt", "two", "b.txt", "b2", "c.ipynb", "{}")
				digests := []bundle.Digest{bundle.Sum([]byte("two")), bundle.Sum([]byte("b2")), bundle.Sum([]byte("{}"))}
				if where == "manifests" {
					digests = []bundle.Digest{w.newest().Manifests["main"].Digest()}
				}
				for _, d := range digests {
					if err := plant(w.own(where + "/" + d.String())); err != nil {
						t.Fatal(err)
					}
				}
				if r := w.sync(); !r.Complete || len(r.MissingPaths) > 0 {
					t.Fatalf("%+v", r)
				}
				w.has("a.txt", "two", "b.txt", "b2", "c.ipynb", "{}")
				if s := w.state(); s.Version != 2 || !s.Complete {
					t.Fatalf("%+v", s)
				}
			})
		}
	}
}

func TestAHugeFilePlantedInTheHoldIsNotRead(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one")
	w.sync()
	os.WriteFile(w.own("hold/0123456789abcdef-out"), nil, 0o600)
	if err := os.Truncate(w.own("hold/0123456789abcdef-out"), 1<<40); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	w.ctx = ctx
	w.publish("a.txt", "two")
	if r := w.sync(); !r.Complete {
		t.Fatalf("%+v", r)
	}
	if names, _ := os.ReadDir(w.own("hold")); len(names) != 1 {
		t.Errorf("%d things are held, want only what came out", len(names))
	}
}

// counting is an endless file of one byte.
type counting struct {
	b    byte
	read int
}

func (c *counting) Read(p []byte) (int, error) {
	copy(p, bytes.Repeat([]byte{c.b}, len(p)))
	c.read += len(p)
	return len(p), nil
}

func TestAJournalWithoutEndIsNotReadToItsEnd(t *testing.T) {
	zeros := &counting{}
	r, whole, err := readJournal(t.Context(), io.MultiReader(bytes.NewReader(sampleText(t)), zeros))
	if err != nil || whole || r.applied == nil || len(r.files) != 3 {
		t.Fatalf("whole %v, %v, %+v", whole, err, r)
	}
	if zeros.read > 3*maxLine {
		t.Errorf("%d bytes were read", zeros.read)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	lines := &counting{b: '\n'}
	if _, _, err := readJournal(over, lines); !errors.Is(err, context.Canceled) || lines.read > maxLine {
		t.Errorf("%d bytes were read: %v", lines.read, err)
	}
}

func TestAJournalThatIsTooLargeIsTakenForLost(t *testing.T) {
	for name, head := range map[string]string{"of ours": firstLine(journalFormat), "newer": firstLine(journalFormat + 1)} {
		w := newWorld(t)
		w.publish("a.txt", "one", "b.txt", "b")
		w.sync()
		w.write("b.txt", "mine")
		w.publish("a.txt", "two", "b.txt", "b2")
		if err := errors.Join(os.WriteFile(w.own("journal"), []byte(head), 0o600), os.Truncate(w.own("journal"), 1<<40)); err != nil {
			t.Fatal(err)
		}
		_, err := w.trySync()
		s, _ := os.Stat(w.own("journal"))
		if name == "newer" {
			if !errors.Is(err, bundle.ErrFormat) || s.Size() != 1<<40 {
				t.Errorf("%s: %v, %d bytes", name, err, s.Size())
			}
			continue
		}
		if err != nil || s.Size() > 1<<20 {
			t.Errorf("%s: %v, %d bytes", name, err, s.Size())
		}
		w.has("a.txt", "two", "b.txt", "mine", "b (course v2).txt", "b2")
	}
}

// Who only looks, or has nothing verified to remember, leaves nothing.
func TestACourseThatIsOnlyLookedAtLeavesNothing(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one")
	nothing := func(after string) {
		t.Helper()
		names, err := os.ReadDir(filepath.Join(w.root, ".satchel"))
		if err != nil || len(names) != 1 || names[0].Name() != lockName {
			t.Fatalf("after %s: %v %v", after, names, err)
		}
	}
	c := w.opened()
	if s := c.State(); s.Version != 0 || c.Present() || c.Holding() {
		t.Fatalf("%+v", s)
	}
	if _, err := c.Base(bundle.Sum(nil)); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if a, b := c.Usage(); a+b != 0 {
		t.Fatal(a, b)
	}
	if events, err := c.Settle(t.Context()); err != nil || len(events) > 0 {
		t.Fatal(events, err)
	}
	nothing("a look")
	bad := w.newest()
	bad.Manifests["main"].Files[0].Path = "b.txt"
	if _, err := c.Plan(t.Context(), bad, nil, w.how); !errors.Is(err, ErrMismatch) {
		t.Fatal(err)
	}
	nothing("a refused head")
	p, err := c.Plan(t.Context(), w.newest(), w.ask, w.how)
	if err == nil {
		err = w.fetch(c, p)
	}
	if err == nil {
		_, err = c.Apply(t.Context(), p)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.has("a.txt", "one")
}

// Usage is for a status: it changes nothing, not even for a moment.
func TestUsageInALook(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", strings.Repeat("x", 1000))
	w.sync()
	h, err := Look(logger(t), w.root, w.now)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	h.do.before = func(op, name string) error { t.Errorf("%s %s", op, name); return nil }
	c, err := h.Course("scala101")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if course, _ := c.Usage(); course == 0 {
		t.Error("nothing is held")
	}
}
