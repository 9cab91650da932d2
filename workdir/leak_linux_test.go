package workdir

import (
	"os"
	"testing"
)

func TestNoHandleIsLeftOpen(t *testing.T) {
	w := newWorldAt(silent{t}, quickDir(t))
	storyBefore(w)
	w.sync()
	studentStory(w)
	storyAfter(w)
	open := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	before := open()
	for range 5 {
		w.sync()
		w.publish("a.txt", w.files["a.txt"]+"x")
	}
	if after := open(); after > before {
		t.Fatalf("%d handles before, %d after", before, after)
	}
}
