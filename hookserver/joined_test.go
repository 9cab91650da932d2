package hookserver

import (
	"fmt"
	"maps"
	"testing"

	"satchel/bundle"
	"satchel/store"
)

// away publishes versions of a file, of which each changes one line, and gives
// the texts.
func (w *world) away(versions int) (texts []string) {
	w.t.Helper()
	was := noise(300_000, 1)
	for i := range versions {
		at := 1000 + 5000*i
		was = was[:at] + noise(300, uint64(100+i)) + was[at+300:]
		texts = append(texts, was)
		w.publish("scala", everyone(map[string]string{"lab.ipynb": was, "moved" + fmt.Sprint(i/20): noise(2000, 7)}))
	}
	return texts
}

// Whoever was away is sent one delta for each file, in one answer, of about the
// bytes of the direct difference.
func TestManyVersionsBehindIsOneDelta(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	ana := w.student("ana")
	texts := w.away(1)
	ana.sync()
	bob := w.student("bob")
	more := w.away(30)
	if texts[0] != more[0] {
		t.Fatal("the test's texts are not what they were")
	}
	for range 2 { // made, then from memory
		bob.have, bob.trees, bob.heads, bob.disk = maps.Clone(ana.have), maps.Clone(ana.trees), maps.Clone(ana.heads), maps.Clone(ana.disk)
		bob.sync()
		if len(bob.got) != 1 || bob.got[0].Kind != bundle.Delta || bob.got[0].Length > 30*320*6/5 {
			t.Errorf("%+v", bob.got)
		}
		if got := bob.tree("scala")["lab.ipynb"]; got != more[29] {
			t.Errorf("%d bytes", len(got))
		}
	}
}

// What cannot be joined is sent whole: the bytes of a step are wrong, or gone.
func TestDeltasThatCannotBeJoinedAreNoFault(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	ana := w.student("ana")
	w.away(1)
	ana.sync()
	texts := w.away(3)
	ref := w.state["scala"].record.Channels[0].Bundles[1]
	if err := w.dir.Delete(t.Context(), store.BundleKey("scala", ref.Digest)); err != nil {
		t.Fatal(err)
	}
	ana.sync()
	if len(ana.got) != 1 || ana.got[0].Kind != bundle.Whole || ana.tree("scala")["lab.ipynb"] != texts[2] {
		t.Errorf("%+v", ana.got)
	}
}

// A version that was taken back is passed over: the content that the student
// has leads on where it left the way.
func TestWayBackIsNoWay(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	ana := w.student("ana")
	a := noise(50_000, 1)
	b, c := a+"b", a+"c"
	for i, text := range []string{a, b, a, b, a, c} {
		w.publish("scala", everyone(map[string]string{"f": text}))
		if i == 0 {
			ana.sync()
		}
	}
	ana.sync()
	if len(ana.got) != 1 || ana.got[0].Kind != bundle.Delta || ana.got[0].Bundle.IsZero() {
		t.Errorf("%+v; want the last step's delta", ana.got)
	}
}

// An answer of very many deltas is bounded: what is beyond comes whole.
func TestJoiningIsBounded(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	files := map[string]string{}
	const n, versions = 60, 24
	for i := range n {
		files[fmt.Sprint("f", i)] = noise(6000, uint64(i))
	}
	w.publish("scala", everyone(files))
	ana := w.student("ana")
	ana.sync()
	for v := range versions {
		files = maps.Clone(files)
		for path, text := range files {
			files[path] = text[:100*v] + fmt.Sprint(v) + text[100*v:]
		}
		w.publish("scala", everyone(files))
	}
	ana.sync()
	ana.wantTree("scala", files)
	deltas, whole := 0, 0
	for _, f := range ana.got {
		if f.Kind == bundle.Delta {
			deltas++
		} else {
			whole += len(f.Items)
		}
	}
	if deltas != maxJoined/versions || deltas+whole < n {
		t.Errorf("%d deltas and %d whole contents", deltas, whole)
	}
}
