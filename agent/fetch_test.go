package agent

import (
	"strings"
	"sync"
	"testing"

	"satchel/bundle"
	"satchel/workdir"
)

// A content that cannot be kept is read past, and does not keep the others
// from coming: the crew shares what a haul knows.
func TestAContentThatCannotBeKept(t *testing.T) {
	w := newWorld(t)
	h := w.home("ana")
	dir, err := workdir.Open(t.Context(), h.lg, h.root, w.started)
	must(t, err)
	defer dir.Close()
	c, err := dir.Course("scala101")
	must(t, err)
	defer c.Close()
	it := bundle.Item{Digest: bundle.Sum([]byte("text")), Size: 4}
	haul := newHaul(&sync.Mutex{}, "scala101", c, []bundle.Item{it}, nil)
	v := bundle.NewVerifier(strings.NewReader("text"), it) // there is no plan that it is for
	var n tally
	if err := h.agent().takeItem(haul, it, v, &n); err != nil || haul.here[it.Digest] == nil || len(haul.want) > 0 || n != (tally{4, 4}) {
		t.Errorf("%v, %+v, %+v", err, haul, n)
	}
}
