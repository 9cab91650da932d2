package workdir

import (
	"context"
	"errors"
	"os"
	"testing"

	"satchel/bundle"
	"satchel/notebook"
)

func formOf(p, text string) bundle.Digest {
	if !isNotebook(p) {
		return bundle.Digest{}
	}
	form, err := notebook.Form([]byte(text))
	if err != nil {
		return bundle.Digest{}
	}
	return form
}

func TestFirstSyncThenNothing(t *testing.T) {
	w := newWorld(t)
	w.modes["run.sh"] = 0o755
	w.publish("a.txt", "one", "hw/b.txt", "two", "run.sh", "#!", "twin.txt", "one", "empty", "")
	r := w.sync()
	w.has("a.txt", "one", "hw/b.txt", "two", "run.sh", "#!", "twin.txt", "one", "empty", "")
	if r.Added != 5 || !r.Complete || len(r.Events) != 0 {
		t.Fatalf("%+v", r)
	}
	if s, _ := os.Stat(w.path("run.sh")); s.Mode().Perm() != 0o755 {
		t.Fatalf("mode %v", s.Mode())
	}
	s := w.state()
	if s.Version != 1 || !s.Complete || s.Folder != "scala" || s.Manifests["main"] == nil {
		t.Fatalf("%+v", s)
	}
	before, _ := os.Stat(w.path("a.txt"))
	w.fetched = nil
	if r := w.sync(); r.Added+r.Changed+r.Removed != 0 || len(w.fetched) != 0 {
		t.Fatalf("%+v fetched %v", r, w.fetched)
	}
	after, _ := os.Stat(w.path("a.txt"))
	if !before.ModTime().Equal(after.ModTime()) || !os.SameFile(before, after) {
		t.Fatal("an unchanged file was touched")
	}
}

func TestUpdate(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one", "hw/b.txt", "two", "old/c.txt", "three")
	w.sync()
	w.publish("a.txt", "ONE", "old/c.txt", "-", "d.txt", "new")
	r := w.sync()
	w.has("a.txt", "ONE", "hw/b.txt", "two", "d.txt", "new")
	if r.Added != 1 || r.Changed != 1 || r.Removed != 1 || !r.Complete {
		t.Fatalf("%+v", r)
	}
}

func TestBothChanged(t *testing.T) {
	w := newWorld(t)
	w.publish("a.ipynb", "one", "Main.scala", "object")
	w.sync()
	w.write("a.ipynb", "mine")
	w.write("Main.scala", "mine too")
	w.publish("a.ipynb", "two", "Main.scala", "object 2")
	wantEvents(t, w.sync(), "kept a.ipynb | a (course v2).ipynb", "same_lines Main.scala | Main.scala (course v2)")
	want := []string{"a.ipynb", "mine", "a (course v2).ipynb", "two", "Main.scala", "mine too", "Main.scala (course v2)", "object 2"}
	w.has(want...)
	for range 10 {
		wantEvents(t, w.sync())
	}
	w.has(want...)
	w.publish("a.ipynb", "three")
	wantEvents(t, w.sync(), "kept a.ipynb | a (course v3).ipynb")
	w.has("a.ipynb", "mine", "a (course v3).ipynb", "three", "Main.scala", "mine too", "Main.scala (course v2)", "object 2")
}

func TestANewlySignedHeadIsRemembered(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one")
	w.sync()
	h := w.open()
	c, _ := h.Course("scala101")
	e := &bundle.Envelope{PayloadType: bundle.PayloadType, Payload: []byte("{}")}
	head := w.newest().Head
	if err := c.Resigned(head, e); err != nil {
		t.Fatal(err)
	}
	head.Version++
	if err := c.Resigned(head, &bundle.Envelope{Payload: []byte("[]")}); err != nil {
		t.Fatal(err)
	}
	c.Close()
	h.Close()
	if s := w.state(); s.Version != 1 || !sameEnvelope(s.Envelope, e) || len(s.Manifests) != 1 {
		t.Fatalf("%+v", s)
	}
}

// The foreground's time is over in the middle of an update.
func TestApplyCutShort(t *testing.T) {
	w := newWorld(t)
	w.makeFolder()
	w.publish("a.txt", "a1", "b.txt", "b1", "c.txt", "c1")
	h := w.open()
	c, _ := h.Course("scala101")
	p, err := c.Plan(t.Context(), w.newest(), w.ask, How{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.fetch(c, p); err != nil {
		t.Fatal(err)
	}
	c.stage.wait() // what is being staged asks w.do too
	ctx, stop := context.WithCancel(t.Context())
	w.do.before = func(op, name string) error {
		if name == "b.txt" {
			stop()
		}
		return nil
	}
	r, err := c.Apply(ctx, p)
	if !errors.Is(err, context.Canceled) || r == nil || r.Added != 2 || r.Complete {
		t.Fatalf("%v, %+v", err, r)
	}
	if again, err := c.Apply(t.Context(), p); err == nil {
		t.Fatalf("a plan was applied twice: %+v", again)
	}
	c.Close()
	h.Close()
	w.do.before, w.fetched = nil, nil
	if r := w.sync(); !r.Complete || r.Added != 1 || len(w.fetched) != 0 {
		t.Fatalf("%+v, fetched %d", r, len(w.fetched))
	}
}
