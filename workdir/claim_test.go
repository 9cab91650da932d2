package workdir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"satchel/bundle"
)

// Without links and without NOREPLACE a name is claimed first: what an editor
// renames over the claim, or writes into it, in that moment stays.
func TestAnEditorTakesTheClaim(t *testing.T) {
	for _, inPlace := range []bool{false, true} {
		w := newWorld(t)
		w.do = poorHands()
		w.do.noLink = true
		w.makeFolder()
		w.publish("a.txt", "one", "b.txt", "two")
		w.do.before = func(op, name string) error {
			if op == "claimed" && name == "a.txt" && inPlace {
				w.write("a.txt", "mine")
			} else if op == "claimed" && name == "a.txt" {
				w.write("a.txt~", "mine")
				os.Rename(w.path("a.txt~"), w.path("a.txt"))
			}
			return nil
		}
		wantEvents(t, w.sync(), "waiting a.txt")
		w.do.before = nil
		wantEvents(t, w.sync(), "in_the_way a.txt | a (course v1).txt")
		w.has("a.txt", "mine", "a (course v1).txt", "one", "b.txt", "two")
	}
}

// A claim that comes to nothing is taken away, but not with what an editor put
// over it, or wrote into it, in that very moment.
func TestAClaimComesToNothing(t *testing.T) {
	for _, editor := range []string{"none", "in place", "by a rename"} {
		w := newWorld(t)
		w.do = poorHands()
		w.do.noLink = true
		w.makeFolder()
		w.publish("a.txt", "one")
		w.do.before = func(op, name string) error {
			switch {
			case op == "claimed" && name == "a.txt":
				_ = os.Remove(filepath.Join(w.root, ".satchel/scala101/stage", bundle.Sum([]byte("one")).String()))
			case op != "move" || !strings.HasPrefix(name, "late-"):
			case editor == "in place":
				w.write("a.txt", "mine")
			case editor == "by a rename":
				w.write("a.txt~", "mine")
				return os.Rename(w.path("a.txt~"), w.path("a.txt"))
			}
			return nil
		}
		w.sync()
		w.do.before = nil
		if editor == "none" {
			w.has()
			w.sync()
			w.has("a.txt", "one")
			continue
		}
		w.has("a.txt", "mine")
		wantEvents(t, w.sync(), "in_the_way a.txt | a (course v1).txt")
		w.has("a.txt", "mine", "a (course v1).txt", "one")
	}
}
