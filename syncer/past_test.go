package syncer

import (
	"fmt"
	"strings"
	"testing"

	"satchel/bundle"
	"satchel/notebook"
)

// TestAdopt: what clones of the repository may hold counts as former versions,
// for the paths that are delivered and no others.
func TestAdopt(t *testing.T) {
	s := newSite(t)
	s.repo.commit(map[string]string{"lab.ipynb": lesson("one"), "notes.md": "first", "gone.md": "x", "solution.md": "s1"})
	s.repo.commit(map[string]string{"lab.ipynb": lesson("two"), "notes.md": "second", "solution.md": "s2"})
	s.repo.commit(map[string]string{"lab.ipynb": lesson("three"), "notes.md": "second", "solution.md": "s3"})
	s.c.Adopt = true
	y := s.syncer()
	s.sync(y)
	h := s.view().history
	if l := h.At("lab.ipynb"); len(l) != 3 {
		t.Errorf("%d former notebooks: %+v", len(l), l)
	}
	form, err := notebook.Form([]byte(lesson("one")))
	if err != nil {
		t.Fatal(err)
	}
	var forms []bundle.Digest
	for _, f := range h.At("lab.ipynb") {
		forms = append(forms, f.Form)
	}
	if !strings.Contains(fmt.Sprint(forms), form.String()) {
		t.Errorf("a notebook that was run is not known: %v has no %s", forms, form)
	}
	if l := h.At("notes.md"); len(l) != 2 {
		t.Errorf("notes: %+v", l)
	}
	for _, f := range h {
		if f.Path == "gone.md" || f.Path == "solution.md" {
			t.Errorf("the history names %s, which nobody is given", f.Path)
		}
	}
	// Another push looks at no past; one file was changed, and is read to be
	// judged and to be sent.
	s.repo.commit(map[string]string{"lab.ipynb": lesson("four"), "notes.md": "second", "solution.md": "s3"})
	if out := s.sync(y); out.Stats.FilesRead > 5 || len(s.view().history.At("lab.ipynb")) != 4 {
		t.Errorf("%+v", out.Stats)
	}
}

// TestAdoptLater: turned on for a course that runs, it makes a new version.
func TestAdoptLater(t *testing.T) {
	s := newSite(t)
	s.repo.commit(map[string]string{"f": "one"})
	s.repo.commit(map[string]string{"f": "two"})
	s.sync(s.syncer())
	if n := len(s.view().history.At("f")); n != 1 {
		t.Fatalf("without it: %d former contents", n)
	}
	s.c.Adopt = true
	if out := s.sync(s.syncer()); !out.Published || len(s.view().history.At("f")) != 2 {
		t.Errorf("%+v, %+v", out, s.view().history)
	}
	if out := s.sync(s.syncer()); out.Published {
		t.Errorf("again: %+v", out)
	}
}
