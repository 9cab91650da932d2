package agent

import (
	"bytes"
	"strings"
	"testing"
)

const recipe = "one\ntwo\nthree\nfour\nfive\nsix\n"

func change(text string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(text) }

// merged is a home in which one file was just merged.
func mergedHome(t *testing.T) (*world, *home) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", with(lesson, "README.md", recipe))
	h := w.home("ana")
	h.sync()
	h.write("scala101/README.md", change(recipe, "two", "2, mine"))
	w.publish("scala101", with(lesson, "README.md", change(recipe, "five", "5"), "new.md", "new\n"))
	h.said()
	if out := h.sync(); out.Code != "" {
		t.Fatalf("%+v", out)
	}
	h.wantSaid("Updated to version 2: 1 new, 1 changed.", "README.md: your work is kept; the course's changes were added.")
	return w, h
}

func TestUndo(t *testing.T) {
	w, h := mergedHome(t)
	if r := w.receipts(); len(r) != 2 || len(r[1].Merged) != 1 || r[1].Merged[0] != "README.md" {
		t.Errorf("receipts %+v", r)
	}
	both := change(recipe, "two", "2, mine", "five", "5")
	if out := h.agent().Undo(t.Context()); out.Code != "" || !h.has("scala101/README.md", change(recipe, "two", "2, mine"))() {
		t.Fatalf("%+v, %q", out, h.said())
	}
	h.wantSaid("The update to version 2 was taken back (2 changes). It stays so until the course changes these files again. To have it after all: satchel-agent undo")
	h.sync()
	h.wantSaid("Course material is up to date (version 2).")
	st, err := h.agent().Status(t.Context())
	if err != nil || len(st.Courses) != 1 || strings.Join(st.Courses[0].Held, " ") != "README.md new.md" || !st.Courses[0].Undo {
		t.Fatalf("%+v, %v", st, err)
	}
	if out := h.agent().Undo(t.Context()); out.Code != "" || !h.has("scala101/README.md", both)() || !h.has("scala101/new.md", "new\n")() {
		t.Fatalf("%+v, %q", out, h.said())
	}
	h.wantSaid("The update to version 2 is back in place (2 changes).")
	h.write("scala101/README.md", both+"and more\n")
	if out := h.agent().Undo(t.Context()); out.Code != CodeInPart || !h.has("scala101/README.md", both+"and more\n")() {
		t.Fatalf("%+v", out)
	}
	if said := h.said(); len(said) != 2 || !strings.HasPrefix(said[1], "README.md was left as it is") {
		t.Errorf("said %q", said)
	}
}

func TestNothingToUndoIsSaid(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	h.said()
	if out := h.agent().Undo(t.Context()); out.Code != CodeNothing {
		t.Fatalf("%+v", out)
	}
	h.wantSaid("There is no update that could be taken back.")
}

func TestRestoreAllAndAVersion(t *testing.T) {
	_, h := mergedHome(t)
	if out := h.agent().Restore(t.Context(), h.root, "README.md", 1); out.Code != "" || !h.has("scala101/README.md", recipe)() {
		t.Fatalf("%+v, %q", out, h.said())
	}
	if said := h.said(); len(said) != 1 || !strings.HasPrefix(said[0], "README.md is as it was in version 1, until") || !strings.Contains(said[0], "README (my copy).md") {
		t.Errorf("said %q", said)
	}
	h.write("scala101/new.md", "mine\n")
	if out := h.agent().RestoreAll(t.Context()); out.Code != "" || !h.has("scala101/new.md", "new\n")() || !h.has("scala101/README.md", change(recipe, "five", "5"))() {
		t.Fatalf("%+v, %q", out, h.said())
	}
	said := h.said()
	if len(said) == 0 || said[0] != "Files that have the course's version 2 again: 2." {
		t.Errorf("said %q", said)
	}
	if out := h.agent().Restore(t.Context(), h.root, "new.md", 1); out.Code == "" {
		t.Errorf("%+v", out)
	}
	h.wantSaid("new.md: version 1 of it is not here any more. Ask your teacher.")
}

func TestDiff(t *testing.T) {
	w, h := mergedHome(t)
	nb := func(cells ...string) string {
		return `{"cells":[` + strings.Join(cells, ",") + `],"metadata":{},"nbformat":4,"nbformat_minor":4}`
	}
	code := func(source string) string {
		return `{"cell_type":"code","execution_count":null,"metadata":{},"outputs":[],"source":"` + source + `"}`
	}
	w.publish("scala101", with(lesson, "lab.ipynb", nb(code("val a = 1\\nval b = 2"), code("a + b")), "p.png", "\x00png"))
	h.sync()
	h.said()
	show := func(file string) string {
		var out bytes.Buffer
		if o := h.agent().Diff(t.Context(), &out, h.root, file); o.Code != "" {
			t.Fatalf("%s: %+v %q", file, o, h.said())
		}
		return out.String()
	}
	if got := show("lab.ipynb"); got != "lab.ipynb is the same as the course's version 3.\n" {
		t.Errorf("%q", got)
	}
	h.write("scala101/lab.ipynb", nb(code("val a = 1\\nval b = 3"), code("a + b"), code("mine \\u001b[31m")))
	h.write("scala101/README.md", recipe+"---\n\tmine\x1b\n")
	got := show("lab.ipynb")
	for _, want := range []string{"cell 1 (\"val a = 1\"), different:", "  -val b = 2\n", "  +val b = 3\n", "cell 3 (\"mine", "only in yours:"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if got := show("README.md"); !strings.Contains(got, "  +---\n  +\tmine\\x1b\n") || strings.Contains(got, "\x1b") {
		t.Errorf("%q", got)
	}
	h.write("scala101/p.png", "\x00mine")
	if got := show("p.png"); !strings.Contains(got, "but not in anything that can be shown as text") {
		t.Errorf("%q", got)
	}
	h.agent().Diff(t.Context(), &bytes.Buffer{}, h.root, "no.md")
	h.wantSaid("no.md is not a file of your courses.")
}
