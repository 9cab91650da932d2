package workdir

import (
	"os"
	"path/filepath"
	"testing"
)

// A student moves the course's folder elsewhere and leaves a link, or anything
// else, in its place: in a session that waits; a start moves it aside and the
// course comes again, through no link.
func TestTheCourseFolderIsNone(t *testing.T) {
	for name, put := range map[string]func(folder, elsewhere string) error{
		"a link": func(folder, elsewhere string) error { return os.Symlink(elsewhere, folder) },
		"a file": func(folder, _ string) error { return os.WriteFile(folder, []byte("mine"), 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.publish("a.txt", "one", "b.txt", "two")
			w.sync()
			w.write("a.txt", "mine")
			folder, elsewhere := filepath.Join(w.root, "scala"), filepath.Join(t.TempDir(), "elsewhere")
			if err := os.Rename(folder, elsewhere); err != nil {
				t.Fatal(err)
			}
			if err := put(folder, elsewhere); err != nil {
				t.Fatal(err)
			}
			w.publish("b.txt", "two, corrected")
			w.how.Mode = Session
			r := w.sync()
			if len(r.Events) != 1 || r.Events[0].Reason != ReasonNoFolder || r.Complete {
				t.Fatalf("%+v", r)
			}
			w.how.Mode = Start
			wantEvents(t, w.sync(), "moved_aside scala | scala (my copy)")
			w.has("a.txt", "one", "b.txt", "two, corrected")
			wantEvents(t, w.sync())
			if text, err := os.ReadFile(filepath.Join(elsewhere, "a.txt")); err != nil || string(text) != "mine" {
				t.Errorf("what was moved away: %q, %v", text, err)
			}
			if text, _ := os.ReadFile(filepath.Join(elsewhere, "b.txt")); string(text) != "two" {
				t.Errorf("written through the link: %q", text)
			}
			if _, err := os.Lstat(folder + " (my copy)"); err != nil {
				t.Error(err)
			}
		})
	}
}

// The same where the folder was to get a new name: it comes under that, and
// nothing is in the way.
func TestTheCourseFolderIsNoneAndHasANewName(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one")
	w.sync()
	folder := filepath.Join(w.root, "scala")
	if err := os.Rename(folder, folder+" mine"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("scala mine", folder); err != nil {
		t.Fatal(err)
	}
	w.folder = "scala2"
	w.publish("a.txt", "two")
	wantEvents(t, w.sync())
	if text, err := os.ReadFile(filepath.Join(w.root, "scala2", "a.txt")); err != nil || string(text) != "two" {
		t.Errorf("%q, %v", text, err)
	}
	if to, err := os.Readlink(folder); err != nil || to != "scala mine" {
		t.Errorf("the link: %q, %v", to, err)
	}
}
