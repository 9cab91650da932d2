package workdir

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
)

func TestCopyNames(t *testing.T) {
	long := strings.Repeat("ä", 127) // 254 bytes
	for _, c := range []struct {
		name   string
		n      int
		folder bool
		want   string
	}{
		{"lab3.ipynb", 1, false, "lab3 (course v15).ipynb"},
		{"lab3.ipynb", 2, false, "lab3 (course v15) 2.ipynb"},
		{"Main.scala", 1, false, "Main.scala (course v15)"},
		{"build.sbt", 3, false, "build.sbt (course v15) 3"},
		{"photo.PNG", 1, false, "photo (course v15).PNG"},
		{"Makefile", 1, false, "Makefile (course v15)"},
		{".md", 1, false, ".md (course v15)"},
		{"v1.md", 1, true, "v1.md (course v15)"},
		{long, 1, false, strings.Repeat("ä", 121) + " (course v15)"},
		{strings.Repeat("b", 249) + ".ipynb", 12, false, strings.Repeat("b", 233) + " (course v15) 12.ipynb"},
	} {
		got := copyName(c.name, courseSuffix(15), c.n, c.folder)
		if got != c.want || len(got) > 255 {
			t.Errorf("copy %d of %.20q: %q (%d bytes), want %q", c.n, c.name, got, len(got), c.want)
		}
		if !c.folder && !isCopy(got, c.name) {
			t.Errorf("%q is not known as a copy of %q", got, c.name)
		}
	}
	for _, no := range []string{"lab3.ipynb", "lab3 (course vX).ipynb", "lab3 (course v1)x.ipynb", "lab4 (course v1).ipynb", "lab3 (course v1).md", "lab3 (my copy).ipynb"} {
		if isCopy(no, "lab3.ipynb") {
			t.Errorf("%q is taken for a copy", no)
		}
	}
}

func TestManyCopiesGoIntoOneFolder(t *testing.T) {
	w := newWorld(t)
	var one, two []string
	for i := range 21 {
		p := "hw/f" + string(rune('a'+i)) + ".txt"
		one, two = append(one, p, "one "+p), append(two, p, "two "+p)
	}
	w.publish(one...)
	w.sync()
	for i := 0; i < len(one); i += 2 {
		w.write(one[i], "mine "+one[i])
	}
	w.publish(two...)
	r := w.sync()
	if len(r.Events) != 21 || r.Events[0].Other != "scala (course v2)/hw/fa.txt" || !r.Events[0].Outside {
		t.Fatalf("%v", r.kinds())
	}
	got := tree(t, filepath.Join(w.root, "scala (course v2)"))
	if len(got) != 21 || got["hw/fa.txt"] != "two hw/fa.txt" {
		t.Fatalf("%v", got)
	}
	wantEvents(t, w.sync())
}

func TestACopyThatTheStudentTouchedStays(t *testing.T) {
	w := newWorld(t)
	w.publish("a.md", "one")
	w.sync()
	w.write("a.md", "mine")
	w.publish("a.md", "two")
	w.sync()
	w.write("a (course v2).md", "two, and a note of mine")
	w.write("a (course v3).md", "a name of mine")
	w.publish("a.md", "three")
	wantEvents(t, w.sync(), "same_lines a.md | a (course v3) 2.md")
	w.has("a.md", "mine", "a (course v2).md", "two, and a note of mine", "a (course v3).md", "a name of mine", "a (course v3) 2.md", "three")
	w.write("a.md", "three") // the course's again: it follows
	w.sync()
	w.publish("a.md", "four")
	wantEvents(t, w.sync())
	if data, _ := os.ReadFile(w.path("a.md")); string(data) != "four" {
		t.Fatalf("got %q", data)
	}
}

func TestChannels(t *testing.T) {
	w := newWorld(t)
	w.channel["b.txt"], w.channel["c.txt"] = "labb", "labb"
	w.publish("a.txt", "a1", "b.txt", "b1", "c.txt", "c1")
	w.sync()
	w.gone = []string{"labb"}
	w.publish("a.txt", "a2")
	r := w.sync()
	if len(r.Events) != 1 || r.Events[0].Kind != LeftChannel || r.Events[0].Count != 2 {
		t.Fatalf("%+v", r.Events)
	}
	w.has("a.txt", "a2", "b.txt", "b1", "c.txt", "c1")
	wantEvents(t, w.sync()) // it is said once
	w.channel["b.txt"] = "main"
	w.publish("b.txt", "b2") // it comes again, by another channel: its base wakes
	wantEvents(t, w.sync())
	w.has("a.txt", "a2", "b.txt", "b2", "c.txt", "c1")
	w.now = w.now.Add(181 * 24 * time.Hour)
	w.sync()
	w.channel["c.txt"] = "main"
	w.publish("c.txt", "c2") // its base is forgotten, but the history knows it
	wantEvents(t, w.sync(), "in_the_way c.txt | c (course v4).txt")
}

func TestTwoChannelsThatClashAreRefused(t *testing.T) {
	w := newWorld(t)
	w.channel["a/x.txt"] = "other"
	w.publish("a", "file", "a/x.txt", "below it")
	if _, err := w.trySync(); !errors.Is(err, ErrMismatch) {
		t.Fatalf("got %v", err)
	}
}

func TestOlderAndForeignHeadsAreRefused(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one")
	w.publish("a.txt", "two")
	w.sync()
	w.version = 1
	if _, err := w.trySync(); !errors.Is(err, ErrOlder) {
		t.Fatalf("an older one: %v", err)
	}
	w.version, w.files["a.txt"] = 2, "another two"
	if _, err := w.trySync(); !errors.Is(err, ErrOlder) {
		t.Fatalf("the same number, another content: %v", err)
	}
	w.has("a.txt", "two")
	w.version, w.files["a.txt"] = 3, "three"
	n := w.newest()
	n.Manifests["main"].Files[0].Digest = bundle.Sum([]byte("evil"))
	c := w.opened()
	if _, err := c.Plan(t.Context(), n, w.ask, How{}); !errors.Is(err, ErrMismatch) {
		t.Fatalf("a manifest that the head does not name: %v", err)
	}
	if c.State().Highest != 2 {
		t.Fatal("what was refused counts as seen")
	}
}

func TestTheCoursesFolderIsRenamed(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one")
	w.sync()
	w.write("mine.txt", "mine")
	w.folder = "scala-2026"
	w.publish("b.txt", "two")
	wantEvents(t, w.sync(), "folder_renamed scala-2026 | scala")
	w.has("a.txt", "one", "b.txt", "two", "mine.txt", "mine")
	os.Mkdir(filepath.Join(w.root, "taken"), 0o755)
	w.folder = "taken"
	w.publish("a.txt", "three")
	wantEvents(t, w.sync(), "folder_stays scala-2026 | taken")
	wantEvents(t, w.sync()) // said once
	w.folder = "scala-2026"
	w.has("a.txt", "three", "b.txt", "two", "mine.txt", "mine")
}

// While a session runs the folder keeps its name, and a login learns that
// there is something to do.
func TestANewNameOfTheCoursesFolderWaitsForAStart(t *testing.T) {
	for name, how := range map[string]How{"session": {Mode: Session}, "late start": {Since: time.Unix(1, 0)}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.publish("a.txt", "one")
			w.sync()
			w.folder = "scala-2026"
			w.publish("b.txt", "two")
			waits := func() bool {
				h := w.open()
				defer h.Close()
				c, err := h.Course("scala101")
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				return c.RenameWaits(w.folder)
			}
			w.how = how
			wantEvents(t, w.sync())
			if !waits() {
				t.Error("nobody knows of it")
			}
			w.how = How{}
			wantEvents(t, w.sync(), "folder_renamed scala-2026 | scala")
			w.has("a.txt", "one", "b.txt", "two")
			if waits() {
				t.Error("it is done")
			}
			if err := os.Mkdir(filepath.Join(w.root, "taken"), 0o755); err != nil {
				t.Fatal(err)
			}
			w.folder = "taken"
			w.publish("b.txt", "three")
			w.sync()
			if waits() {
				t.Error("a name that is taken is waited for")
			}
		})
	}
}

func TestTheStudentsFileHasTheNameOfTheCoursesFolder(t *testing.T) {
	w := newWorld(t)
	os.WriteFile(filepath.Join(w.root, "scala"), []byte("mine"), 0o644)
	w.publish("a.txt", "one")
	wantEvents(t, w.sync(), "moved_aside scala | scala (my copy)")
	w.has("a.txt", "one")
	if data, _ := os.ReadFile(filepath.Join(w.root, "scala (my copy)")); string(data) != "mine" {
		t.Fatalf("got %q", data)
	}
}

func TestWithdrawnWithItsCopies(t *testing.T) {
	w := newWorld(t)
	w.publish("s.txt", "secret", "t.txt", "secret", "u.txt", "u1")
	w.sync()
	w.write("u.txt", "mine")
	w.publish("u.txt", "u2")
	w.sync()
	w.write("u.txt", "u2") // taken over
	w.sync()
	w.withdraw = []bundle.Pair{{Path: "s.txt", Digest: bundle.Sum([]byte("secret"))}, {Path: "u.txt", Digest: bundle.Sum([]byte("u2"))}}
	w.how.Mode = Session
	w.publish("s.txt", "-", "u.txt", "-")
	wantEvents(t, w.sync(), "withdrawn s.txt", "withdrawn u.txt")
	w.has("t.txt", "secret") // the same bytes under another name stay
	base := filepath.Join(w.root, ".satchel/scala101/base")
	if _, err := os.Stat(filepath.Join(base, bundle.Sum([]byte("u2")).String())); err == nil {
		t.Error("withdrawn bytes are kept for merging")
	}
	if _, err := os.Stat(filepath.Join(base, bundle.Sum([]byte("secret")).String())); err != nil {
		t.Error("the same bytes, needed by another path, are not kept")
	}
	if all := tree(t, filepath.Join(w.root, ".satchel/scala101/hold")); len(all) != 0 {
		t.Errorf("held: %v", all)
	}
}

// What was taken out of a folder before it was withdrawn is held for late
// writers no longer.
func TestWithdrawnWhileItIsHeld(t *testing.T) {
	for _, step := range []bool{false, true} {
		w := newWorld(t)
		w.publish("a.txt", "secret", "b.txt", "one")
		w.sync()
		w.publish("a.txt", "-", "b.txt", "two")
		w.sync()
		hold := filepath.Join(w.root, ".satchel/scala101/hold")
		if all := tree(t, hold); len(all) != 2 {
			t.Fatalf("held: %v", all)
		}
		w.withdraw = []bundle.Pair{{Path: "a.txt", Digest: bundle.Sum([]byte("secret"))}}
		w.how.Step = step
		w.publish("c.txt", "three")
		w.sync()
		for p, text := range tree(t, hold) {
			if text != "one" {
				t.Errorf("step %v: %s: %q is held", step, p, text)
			}
		}
		w.has("b.txt", "two", "c.txt", "three")
	}
}

func TestRestore(t *testing.T) {
	w := newWorld(t)
	w.publish("hw1.ipynb", "one", "big.bin", "\x00\xff", "keep.txt", "k")
	w.sync()
	restore := func(path string) *Result {
		t.Helper()
		h := w.open()
		defer h.Close()
		c, err := h.Course("scala101")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		p, err := c.PlanRestore(t.Context(), w.newest(), path)
		if err != nil {
			t.Fatal(err)
		}
		w.fetched = nil
		if err := w.fetch(c, p); err != nil {
			t.Fatal(err)
		}
		r, err := c.Apply(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	w.write("hw1.ipynb", "mine")
	wantEvents(t, restore("hw1.ipynb"), "restored hw1.ipynb | hw1 (my copy).ipynb")
	w.has("hw1.ipynb", "one", "hw1 (my copy).ipynb", "mine", "big.bin", "\x00\xff", "keep.txt", "k")
	if len(w.fetched) != 0 {
		t.Error("the network was asked for what is at hand")
	}
	w.remove("big.bin")
	wantEvents(t, restore("big.bin"), "restored big.bin")
	if len(w.fetched) != 1 {
		t.Error("where did it come from?")
	}
	wantEvents(t, restore("keep.txt"))
	h := w.open()
	defer h.Close()
	c, _ := h.Course("scala101")
	defer c.Close()
	if _, err := c.PlanRestore(t.Context(), w.newest(), "none.txt"); !errors.Is(err, ErrUnknownPath) {
		t.Errorf("got %v", err)
	}
	if s := c.State(); s.Version != 1 || !s.Complete {
		t.Errorf("%+v", s)
	}
}

func TestWhatIsNew(t *testing.T) {
	w := newWorld(t)
	place := func(text string) []string {
		t.Helper()
		h := w.open()
		defer h.Close()
		var content []byte
		if text != "" {
			content = []byte(text)
		}
		ev, err := h.PlaceNote(t.Context(), "What is new.md", content, isNote)
		if err != nil {
			t.Fatal(err)
		}
		return (&Result{Events: ev}).kinds()
	}
	file := filepath.Join(w.root, "What is new.md")
	check := func(want map[string]string, events []string, wantEvents ...string) {
		t.Helper()
		got := tree(t, w.root)
		for p := range got {
			if strings.HasPrefix(p, ".satchel") {
				delete(got, p)
			}
		}
		if d := diffTrees(got, want); d != "" {
			t.Fatalf("%s", d)
		}
		if !slices.Equal(events, wantEvents) {
			t.Fatalf("events %v, want %v", events, wantEvents)
		}
	}
	os.WriteFile(file, []byte("mine"), 0o644)
	check(map[string]string{"What is new.md": "1", "What is new (my copy).md": "mine"}, place("1"), "saved What is new.md | What is new (my copy).md")
	check(map[string]string{"What is new.md": "2", "What is new (my copy).md": "mine"}, place("2"))
	os.Remove(file)
	check(map[string]string{"What is new.md": "3", "What is new (my copy).md": "mine"}, place("3"))
	os.Remove(file)
	check(map[string]string{"What is new.md": "3", "What is new (my copy).md": "mine"}, place("3"))
	check(map[string]string{"What is new (my copy).md": "mine"}, place(""))
	os.Symlink("/etc/passwd", file)
	check(map[string]string{"What is new.md": "-> /etc/passwd", "What is new (my copy).md": "mine"}, place("4"))
	os.Remove(file)
	os.Mkdir(file, 0o755)
	check(map[string]string{"What is new.md/": "", "What is new (my copy).md": "mine"}, place("5"))
}

func TestNamesThatNobodyExpects(t *testing.T) {
	w := newWorld(t)
	names := []string{"new\nline.txt", "esc\x1b[31m.txt", `quo"te's.txt`, strings.Repeat("n", 255), "Case.txt", "case.txt", " blank ", "-rf", "ünïcode ✓.ipynb"}
	var one, two []string
	for _, n := range names {
		one, two = append(one, n, "one"), append(two, n, "two")
	}
	w.publish(one...)
	w.sync()
	w.write(names[3], "mine")
	os.WriteFile(w.path("not utf8 \xff.txt"), []byte("mine"), 0o644)
	w.publish(two...)
	w.sync()
	got := tree(t, w.path("."))
	for _, n := range names {
		if n != names[3] && got[n] != "two" {
			t.Errorf("%q holds %q", n, got[n])
		}
	}
	if got[names[3]] != "mine" || got[copyName(names[3], courseSuffix(2), 1, false)] != "two" || got["not utf8 \xff.txt"] != "mine" {
		t.Errorf("%q", got)
	}
	wantEvents(t, w.sync())
}

func TestNothingNewReadsNoFile(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one", "b.txt", "two")
	w.sync()
	old := time.Now().Add(-time.Hour)
	for _, p := range []string{"a.txt", "b.txt"} {
		os.Chtimes(w.path(p), old, old)
	}
	deadline := time.Now().Add(20 * time.Second)
	for ; time.Now().Before(deadline); w.sync() { // until their ctime is old enough to be believed
		h := w.open()
		c, _ := h.Course("scala101")
		sure := c.rec.files["a.txt"].Seen.Sure && c.rec.files["b.txt"].Seen.Sure
		tree, _ := c.tree("scala")
		facts := map[string]Fact{}
		unknown := c.lookIn(tree, "", []string{"a.txt", "b.txt"}, facts)
		tree.close()
		c.Close()
		h.Close()
		if sure && len(unknown) == 0 {
			return
		}
	}
	t.Fatal("the files are read again and again")
}

func isNote(content []byte) bool { return strings.HasPrefix(string(content), "# ours") }
