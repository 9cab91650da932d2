package agent

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// alikeHome has two courses with one path, each file edited, and a path of
// each course alone.
func alikeHome(t *testing.T) *home {
	t.Helper()
	w := newWorld(t)
	for name, files := range map[string]map[string]string{
		"algebra": {"notes.txt": "algebra\n", "hw1/notes.txt": "algebra 1\n", "groups.txt": "groups\n"},
		"scala":   {"notes.txt": "scala\n", "hw1/notes.txt": "scala 1\n", "types.txt": "types\n", "scala/deep.txt": "deep\n"},
	} {
		w.course(name)
		w.publish(name, files)
	}
	h := w.home("ana")
	h.sync()
	h.edit()
	return h
}

// edit makes all files that are tried the student's.
func (h *home) edit() {
	h.t.Helper()
	for _, name := range alike {
		h.write(name, "mine\n")
	}
	h.said()
}

var alike = []string{
	"algebra/notes.txt", "algebra/hw1/notes.txt", "algebra/groups.txt",
	"scala/notes.txt", "scala/hw1/notes.txt", "scala/types.txt", "scala/scala/deep.txt",
}

// restored are those files that are no longer the student's.
func (h *home) restored() (out []string) {
	h.t.Helper()
	for _, name := range alike {
		if !h.has(name, "mine\n")() {
			out = append(out, name)
		}
	}
	return out
}

// TestATypedNameIsTakenFromTheFolder: with two courses that have one path, a
// name means the file that lies there, and never another course's.
func TestATypedNameIsTakenFromTheFolder(t *testing.T) {
	h := alikeHome(t)
	home := filepath.Dir(h.root)
	for _, c := range []struct{ wd, typed, want string }{
		{"work/scala", "notes.txt", "scala/notes.txt"},
		{"work/scala", "./notes.txt", "scala/notes.txt"},
		{"work/scala", "hw1/notes.txt", "scala/hw1/notes.txt"},
		{"work/scala/hw1", "notes.txt", "scala/hw1/notes.txt"},
		{"work/scala/hw1", "../notes.txt", "scala/notes.txt"},
		{"work/scala", "../algebra/notes.txt", "algebra/notes.txt"},
		{"work/algebra", "notes.txt", "algebra/notes.txt"},
		{"work/algebra", "./notes.txt", "algebra/notes.txt"},
		{"work/algebra/hw1", "notes.txt", "algebra/hw1/notes.txt"},
		{"work", "scala/notes.txt", "scala/notes.txt"},
		{"work", "algebra/notes.txt", "algebra/notes.txt"},
		{"", "work/algebra/hw1/notes.txt", "algebra/hw1/notes.txt"},
		{"", filepath.Join(h.root, "scala/notes.txt"), "scala/notes.txt"},
		// Below it there is one of that name, by its path in the course too.
		{"work/scala", "scala/deep.txt", "scala/scala/deep.txt"},
		{"work", "scala/deep.txt", "scala/scala/deep.txt"},
		// Nothing lies there, and one course has it.
		{"work", "types.txt", "scala/types.txt"},
		{"", "groups.txt", "algebra/groups.txt"},
		{"work/scala", "groups.txt", "algebra/groups.txt"},
	} {
		h.edit()
		var out bytes.Buffer
		course, path, _ := strings.Cut(c.want, "/")
		wd := filepath.Join(home, c.wd)
		if o := h.agent().Diff(t.Context(), &out, wd, c.typed); o.Code != "" || !strings.Contains(out.String(), "-"+contentOf(course, path)) {
			t.Errorf("diff %s in %q: %+v %q %q", c.typed, c.wd, o, out.String(), h.said())
		}
		if o := h.agent().Restore(t.Context(), wd, c.typed, 0); o.Code != "" {
			t.Errorf("restore %s in %q: %+v", c.typed, c.wd, o)
		}
		if got := strings.Join(h.restored(), " "); got != c.want {
			t.Errorf("restore %s in %q restored %q: %q", c.typed, c.wd, got, h.said())
		}
	}
}

// contentOf is what alikeHome's course has at a path.
func contentOf(course, path string) string {
	switch path {
	case "notes.txt":
		return course + "\n"
	case "hw1/notes.txt":
		return course + " 1\n"
	}
	return strings.TrimSuffix(filepath.Base(path), ".txt") + "\n"
}

// TestANameOfTwoCoursesIsRefused, with what to type; nothing changes.
func TestANameOfTwoCoursesIsRefused(t *testing.T) {
	h := alikeHome(t)
	home := filepath.Dir(h.root)
	var out bytes.Buffer
	for _, wd := range []string{h.root, home, "/"} {
		type typed struct {
			command string
			do      func() Outcome
		}
		for _, c := range []typed{
			{"restore", func() Outcome { return h.agent().Restore(t.Context(), wd, "notes.txt", 0) }},
			{"restore --version 1", func() Outcome { return h.agent().Restore(t.Context(), wd, "notes.txt", 1) }},
			{"diff", func() Outcome { return h.agent().Diff(t.Context(), &out, wd, "notes.txt") }},
		} {
			if o := c.do(); o.Code != CodeFolder {
				t.Errorf("%s in %s: %+v", c.command, wd, o)
			}
			h.wantSaid("notes.txt is a file of algebra and scala. Say which one you mean:",
				"  satchel-agent "+c.command+" "+filepath.Join(h.root, "algebra/notes.txt"),
				"  satchel-agent "+c.command+" "+filepath.Join(h.root, "scala/notes.txt"))
		}
	}
	for _, c := range []struct{ wd, typed string }{
		{"scala", "scala/notes.txt"}, {"algebra", "algebra/notes.txt"}, {"algebra", "scala/notes.txt"}, {"", "../notes.txt"},
	} {
		if o := h.agent().Restore(t.Context(), filepath.Join(h.root, c.wd), c.typed, 0); o.Code != CodeFolder {
			t.Errorf("%+v: %+v", c, o)
		}
		h.wantSaid(c.typed + " is not a file of your courses.")
	}
	if got := h.restored(); len(got) > 0 || out.Len() > 0 {
		t.Errorf("restored %q, shown %q", got, out.String())
	}
}

// TestAStudentsOwnFileIsNotTheCourses: what lies where a name is typed is
// what is meant, also where it is no course's.
func TestAStudentsOwnFileIsNotTheCourses(t *testing.T) {
	h := alikeHome(t)
	h.write("scala/groups.txt", "my own\n")
	if o := h.agent().Restore(t.Context(), filepath.Join(h.root, "scala"), "groups.txt", 0); o.Code != CodeFolder {
		t.Errorf("%+v", o)
	}
	h.wantSaid("The groups.txt that lies here is yours alone; algebra has a file of that name. If you mean that one:",
		"  satchel-agent restore "+filepath.Join(h.root, "algebra/groups.txt"))
	if got := h.restored(); len(got) > 0 {
		t.Errorf("restored %q", got)
	}
}

// TestAFolderByAnotherName: a shell came into the course's folder by a link,
// or the root is set by one.
func TestAFolderByAnotherName(t *testing.T) {
	h := alikeHome(t)
	link := filepath.Join(t.TempDir(), "home")
	must(t, os.Symlink(filepath.Dir(h.root), link))
	restore := func(wd string) {
		t.Helper()
		h.edit()
		h.agent().Restore(t.Context(), wd, "notes.txt", 0)
		if got := strings.Join(h.restored(), " "); got != "scala/notes.txt" {
			t.Errorf("in %s: restored %q: %q", wd, got, h.said())
		}
	}
	restore(filepath.Join(link, "work/scala"))
	h.s.Root = filepath.Join(link, "work")
	restore(filepath.Join(h.root, "scala"))
}

// What diff advises brings back that very file, from that very folder.
func TestTheAdviceOfDiffIsThatFiles(t *testing.T) {
	h := alikeHome(t)
	must(t, os.Remove(filepath.Join(h.root, "scala/notes.txt")))
	h.agent().Diff(t.Context(), &bytes.Buffer{}, h.root, "scala/notes.txt")
	h.wantSaid("scala: You have no file notes.txt. To bring it back: satchel-agent restore scala/notes.txt")
}

func TestNamesAsTypedInAShell(t *testing.T) {
	for name, want := range map[string]string{
		"/a/b-1_2.txt": "/a/b-1_2.txt", "/a/más.txt": "/a/más.txt", "/a/b c.txt": "'/a/b c.txt'", "/a/$(x)": "'/a/$(x)'", "/it's": `'/it'\''s'`,
	} {
		if got := inShell(name); got != want {
			t.Errorf("%s is typed %s", name, got)
		}
	}
}
