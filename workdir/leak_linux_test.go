package workdir

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"satchel/bundle"
)

func TestNoHandleIsLeftOpen(t *testing.T) {
	w := newWorldAt(silent{t}, quickDir(t))
	storyBefore(w)
	w.sync()
	studentStory(w)
	storyAfter(w)
	before := handles(t)
	for range 5 {
		w.sync()
		w.publish("a.txt", w.files["a.txt"]+"x")
	}
	if after := handles(t); after > before {
		t.Fatalf("%d handles before, %d after", before, after)
	}
}

// A course of any size is filled with few files open at a time: a container
// may allow a process no more than a thousand.
func TestFewHandlesWhileACourseIsFilled(t *testing.T) {
	w := newWorldAt(silent{t}, quickDir(t))
	var pairs []string
	for i := range 600 {
		pairs = append(pairs, fmt.Sprintf("unit%d/%d.txt", i%7, i), fmt.Sprint("text ", i))
	}
	w.publish(pairs...)
	c := w.opened()
	p, err := c.Plan(t.Context(), w.newest(), w.ask, How{})
	if err != nil {
		t.Fatal(err)
	}
	before := handles(t)
	for _, item := range p.Wanted() {
		if err := c.Stage(bundle.NewVerifier(strings.NewReader(w.contents[item.Digest]), item)); err != nil {
			t.Fatal(err)
		}
		if n := handles(t) - before; n > bringFiles+syncers*bringEach+bringFiles {
			t.Fatalf("%d files are open", n)
		}
	}
	if _, err := c.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	w.has(pairs...)
}

func handles(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}
