package workdir

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"satchel/bundle"
	"satchel/notebook"
)

var writeGolden = flag.Bool("golden", false, "write testdata/golden anew: only for a new format")

// sampleLines are one of each kind.
func sampleLines() []line {
	d1, d2 := bundle.Sum([]byte("one")), bundle.Sum([]byte("two"))
	seen := &Seen{Stat: Stat{Size: 3, Mtime: 1, Ctime: 2, Inode: 3}, Digest: d1, Sure: true}
	return []line{
		{Highest: &highest{Version: 15, Fingerprint: strings.Repeat("ab", 16)}},
		{Named: &namedLine{Folder: "scala", Wanted: "scala-2026"}},
		{File: &Entry{Path: "hw1/lab.ipynb", Digest: d2, Size: 3, Mode: 0o644, Policy: bundle.Merge, Channel: "c1", Status: Delivered}},
		{File: &Entry{Path: "gone.txt", Digest: d1, Size: 3, Mode: 0o644, Policy: bundle.Merge, Channel: "c1", Status: Delivered}},
		{File: &Entry{Path: "hw1/lab.ipynb", Digest: d1, Size: 3, Mode: 0o755, Policy: bundle.Replace, Channel: "c1", Status: Mine, Returned: true,
			Seen: seen, Copies: []Copy{{Path: "hw1/lab (course v15).ipynb", Digest: d1}}, Saved: []Copy{{Path: "hw1/lab (my copy).ipynb", Digest: d2}}}},
		{File: &Entry{Path: "with \n and \"", Digest: d1, Size: 3, Mode: 0o644, Policy: bundle.Once, Status: Own, Asleep: day}},
		{File: &Entry{Path: "away.txt", Digest: d1, Mode: 0o644, Policy: bundle.ReadOnly, Channel: "c2", Status: Away, Returned: true}},
		{Forget: "gone.txt"},
		{Folder: &folderLine{Path: "hw1"}},
		{Folder: &folderLine{Path: "hw2"}},
		{Folder: &folderLine{Path: "hw2", Gone: true}},
		{Hold: &hold{ID: "0123456789abcdef", Path: "hw1/lab.ipynb", Was: d1, New: d2, Then: thenShelf, Time: day, Done: true}},
		{Hold: &hold{ID: "fedcba9876543210", Path: "a", To: "b", Then: thenDrop, Time: day}},
		{Hold: &hold{ID: "fedcba9876543210", Gone: true}},
		{Applied: &applied{Version: 15, Fingerprint: strings.Repeat("ab", 16), Manifests: map[string]bundle.Digest{"c1": d1},
			Envelope: &bundle.Envelope{PayloadType: bundle.PayloadType, Payload: []byte("{}")}, Waiting: []string{"hw1/lab.ipynb"}}},
	}
}

func recordOf(lines []line) *record {
	r := newRecord()
	for _, l := range lines {
		r.take(l)
	}
	return r
}

func sampleText(t testing.TB) []byte { return textOf(t, sampleLines()) }

func textOf(t testing.TB, lines []line) []byte {
	body, err := encodeLines(lines)
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte(firstLine(journalFormat)), body...)
}

var sameRecord = cmp.Options{
	cmp.AllowUnexported(record{}, Stat{}), cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) }),
	cmpopts.IgnoreFields(record{}, "lines"),
}

// clockLines are the kinds that came later: format 1 has them as optional
// lines, which a reader that does not know them passes over.
func clockLines() []line {
	return []line{
		{Clock: &counted{Passed: time.Hour, Local: day, Signed: day}},
		{Clock: &counted{Passed: 26 * time.Hour, Local: day.Add(26 * time.Hour), Signed: day.Add(25 * time.Hour)}},
		{Shelf: &shelved{Name: "20261123T090000Z", From: 26 * time.Hour}},
		{Shelf: &shelved{Name: "20261123T090000Z-2"}},
		{Shelf: &shelved{Name: "20261124T090000Z"}},
		{Shelf: &shelved{Name: "20261124T090000Z", Gone: true}},
		{Hold: &hold{ID: "0123456789abcdef", Path: "hw1/lab.ipynb", Then: thenDrop, Time: day, Look: day.Add(time.Hour), Done: true}},
	}
}

// mergeLines are those of 0.2.0: what was merged and may be saved over, what
// undo takes back and holds, what nobody was told yet, which hints wait.
func mergeLines() []line {
	d := func(s string) bundle.Digest { return bundle.Sum([]byte(s)) }
	e := &Entry{
		Path: "hw1/lab.ipynb", Digest: d("theirs"), Size: 6, Mode: 0o644, Policy: bundle.Merge, Channel: "main", Status: Mine, Since: 15,
		Merges: []Merging{{Base: d("base"), Mine: d("mine"), Result: d("both"), Time: day}}, Past: []Past{{Version: 14, Digest: d("base"), Size: 4}},
	}
	held := *e
	held.Held = Held{Digest: d("theirs")}
	return []line{
		{File: e}, {File: &held},
		{Hold: &hold{ID: "0123456789abcdef", Path: "hw1/lab.ipynb", Was: d("mine"), New: d("both"), Then: thenShelf, Time: day, Next: e}},
		{Pass: &Pass{ID: "fedcba9876543210", Version: 15, Time: day, Undone: true}},
		{Change: &change{Path: "hw1/lab.ipynb", Had: d("mine"), Size: 4, Mode: 0o644, Has: d("both"), Entry: e}},
		{Change: &change{Path: "hw1/lab (course v15).ipynb", Has: d("theirs"), Loose: true}},
		{Event: &Event{Kind: Moved, Path: "a.txt", Other: "b.txt"}}, {Told: true},
		{Event: &Event{Kind: Merged, Path: "hw1/lab.ipynb", Cells: []notebook.Place{{Number: 4, Title: "Exercise 2"}}, Run: []notebook.Place{{Number: 4, Title: "Exercise 2"}}, Gone: 1}},
		{Applied: &applied{Version: 15, Fingerprint: "f", Manifests: map[string]bundle.Digest{"main": d("m")}, Waiting: []string{"new.md"}, Renamed: map[string]string{"new.md": "old.md"}}},
	}
}

// begunLines are those of 0.2.1: a version of which something is missing, and
// what a run that died would have told.
func begunLines() []line {
	d := func(text string) bundle.Digest { return bundle.Sum([]byte(text)) }
	e := &Entry{Path: "lab.ipynb", Digest: d("theirs"), Size: 6, Mode: 0o644, Policy: bundle.Merge, Channel: "main", Status: Mine, Since: 16}
	return []line{
		{Begun: &applied{Version: 16, Fingerprint: "f", Manifests: map[string]bundle.Digest{"main": d("m")}, Renamed: map[string]string{"new.md": "old.md"}}},
		{Hold: &hold{ID: "0123456789abcdef", Path: "lab.ipynb", Was: d("mine"), New: d("both"), Then: thenShelf, Time: day, Next: e, Tell: &Event{Kind: Merged, Path: "lab.ipynb", Gone: 1}}},
		{Hold: &hold{ID: "fedcba9876543210", Path: "big", To: "big (my copy)", Then: thenAside, Time: day, Tell: &Event{Kind: MovedAside, Path: "big", Other: "big (my copy)"}}},
	}
}

// headsLines are of a later version: the signed heads that tell what counts with
// which keys.
func headsLines() []line {
	e := func(payload string) *bundle.Envelope {
		return &bundle.Envelope{PayloadType: bundle.PayloadType, Payload: []byte(payload), Signatures: []bundle.Signature{{KeyID: "0123456789abcdef", Sig: []byte("sig")}}}
	}
	return []line{
		{Highest: &highest{Version: 16, Fingerprint: strings.Repeat("cd", 16)}},
		{Highest: &highest{Version: 17, Fingerprint: strings.Repeat("ab", 16), Heads: []*bundle.Envelope{e(`{"version":16}`), e(`{"version":17}`)}}},
	}
}

// What a Satchel ever wrote into a home stays readable.
func TestGolden(t *testing.T) {
	for name, lines := range map[string][]line{"journal": sampleLines(), "journal-clock": clockLines(), "journal-merge": mergeLines(), "journal-begun": begunLines(), "journal-heads": headsLines()} {
		t.Run(name, func(t *testing.T) { golden(t, filepath.Join("testdata", "golden", "v1", name), lines) })
	}
}

func golden(t *testing.T, file string, lines []line) {
	if *writeGolden {
		if err := os.WriteFile(file, textOf(t, lines), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, whole, err := readJournal(context.Background(), bytes.NewReader(data))
	if err != nil || !whole {
		t.Fatalf("whole %v, %v", whole, err)
	}
	if d := cmp.Diff(recordOf(lines), got, sameRecord); d != "" {
		t.Fatal(d)
	}
}

// A whole home as version 1 left it, with its state, syncs on without a copy.
func TestGoldenHome(t *testing.T) {
	home := filepath.Join("testdata", "golden", "v1", "home")
	w := newWorld(t)
	w.policies["s.md"] = bundle.Replace
	w.publish("a.txt", "one", "hw/b.ipynb", "{}", "s.md", "s")
	if *writeGolden {
		w.root = home
		os.RemoveAll(home)
		os.MkdirAll(home, 0o755)
		w.sync()
		w.write("a.txt", "mine")
		w.sync()
		w.root = t.TempDir()
	}
	if err := os.CopyFS(w.root, os.DirFS(home)); err != nil {
		t.Fatal(err)
	}
	if s := w.state(); s.Version != 1 || s.Folder != "scala" || s.Manifests["main"] == nil {
		t.Fatalf("%+v", s)
	}
	w.publish("a.txt", "two", "hw/b.ipynb", "[]")
	wantEvents(t, w.sync(), "same_lines a.txt | a (course v2).txt")
	w.has("a.txt", "mine", "a (course v2).txt", "two", "hw/b.ipynb", "[]", "s.md", "s")
	if w.asked != 1 {
		t.Errorf("the history was asked %d times", w.asked)
	}
}

func TestAJournalCutOffAnywhere(t *testing.T) {
	text := sampleText(t)
	for n := range text {
		r, _, err := readJournal(context.Background(), bytes.NewReader(text[:n]))
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		lines := bytes.Count(text[:n], []byte("\n"))
		if want := max(0, lines-1); r.lines < want || r.lines > want+1 {
			t.Fatalf("cut at %d: %d lines, want %d", n, r.lines, want)
		}
	}
}

func TestADamagedLineIsNotThereAndTheOthersAre(t *testing.T) {
	text := sampleText(t)
	i := bytes.Index(text, []byte("gone.txt"))
	text[i] = 'G'
	r, whole, err := readJournal(context.Background(), bytes.NewReader(text))
	if err != nil || whole {
		t.Fatalf("whole %v, %v", whole, err)
	}
	if len(r.files) != 3 || r.applied == nil {
		t.Fatalf("%+v", r)
	}
}

func TestStatesThatSurviveDamage(t *testing.T) {
	for name, damage := range map[string]func(journal string) error{
		"empty":           func(j string) error { return os.Truncate(j, 0) },
		"garbage":         func(j string) error { return os.WriteFile(j, bytes.Repeat([]byte("\x00\xff\n"), 1000), 0o600) },
		"cut in a line":   func(j string) error { s, _ := os.Stat(j); return os.Truncate(j, s.Size()-5) },
		"first line gone": func(j string) error { return dropLine(j, 0) },
		"a line gone":     func(j string) error { return dropLine(j, 3) },
		"an endless line": func(j string) error { return appendTo(j, strings.Repeat("x", maxLine+10)) },
		"edited by hand":  func(j string) error { return appendTo(j, `00000000 {"file":{"path":"../../x"}}`+"\n") },
		"no journal":      os.Remove,
		"manifests gone":  func(j string) error { return os.RemoveAll(filepath.Join(filepath.Dir(j), "manifests")) },
		"stage is a file": func(j string) error {
			p := filepath.Join(filepath.Dir(j), "stage")
			os.RemoveAll(p)
			return os.WriteFile(p, nil, 0o600)
		},
		"base is garbage": func(j string) error { return spoil(filepath.Join(filepath.Dir(j), "base")) },
		"everything open": func(j string) error { return os.Chmod(filepath.Dir(j), 0o777) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.publish("a.txt", "one", "b.txt", "b", "c.txt", "c")
			w.sync()
			w.write("b.txt", "mine")
			w.publish("a.txt", "two", "c.txt", "c2")
			if err := damage(filepath.Join(w.root, ".satchel/scala101/journal")); err != nil {
				t.Fatal(err)
			}
			w.sync()
			w.sync()
			got := tree(t, w.path("."))
			if got["a.txt"] != "two" || got["b.txt"] != "mine" || got["c.txt"] != "c2" {
				t.Fatalf("%v", got)
			}
			if s := w.state(); s.Version != 2 || !s.Complete {
				t.Fatalf("%+v", s)
			}
		})
	}
}

func dropLine(file string, n int) error {
	data, err := os.ReadFile(file)
	lines := strings.SplitAfter(string(data), "\n")
	lines = append(lines[:n], lines[n+1:]...)
	if err == nil {
		err = os.WriteFile(file, []byte(strings.Join(lines, "")), 0o600)
	}
	return err
}

func appendTo(file, text string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}

func spoil(dir string) error {
	names, err := os.ReadDir(dir)
	for _, n := range names {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, n.Name()), []byte("spoiled"), 0o600))
	}
	return err
}

func TestAStateFromTheFutureIsLeftAsItIs(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one")
	w.sync()
	journal := filepath.Join(w.root, ".satchel/scala101/journal")
	future := []byte(firstLine(journalFormat+1) + "whatever comes\n")
	os.WriteFile(journal, future, 0o600)
	w.publish("a.txt", "two")
	if _, err := w.trySync(); !errors.Is(err, bundle.ErrFormat) {
		t.Fatalf("got %v", err)
	}
	if got, _ := os.ReadFile(journal); !bytes.Equal(got, future) {
		t.Fatal("it was changed")
	}
	w.has("a.txt", "one")
}

func TestTheJournalIsCompacted(t *testing.T) {
	w := newWorldAt(silent{t}, quickDir(t))
	w.publish("a.txt", "one")
	w.sync()
	c := w.opened()
	journal := filepath.Join(w.root, ".satchel/scala101/journal")
	before, _ := os.Stat(journal)
	for i := range 3000 {
		e := *c.rec.files["a.txt"]
		e.Size = int64(i)
		if err := c.save(line{File: &e}); err != nil {
			t.Fatal(err)
		}
	}
	after, _ := os.Stat(journal)
	if after.Size() > 600_000 || os.SameFile(before, after) {
		t.Fatalf("%d bytes grew to %d", before.Size(), after.Size())
	}
	if err := c.load(t.Context()); err != nil || c.fresh || c.rec.files["a.txt"].Size != 2999 {
		t.Fatalf("%v %v %+v", c.fresh, err, c.rec.files["a.txt"])
	}
}

func FuzzJournal(f *testing.F) {
	f.Add(sampleText(f))
	f.Add([]byte(firstLine(2)))
	f.Add([]byte(firstLine(1) + "00000000 {}\n"))
	body, _ := encodeLines([]line{{File: &Entry{Path: "../../etc/passwd", Digest: bundle.Sum(nil), Policy: bundle.Merge}}, {Named: &namedLine{Folder: ".ssh"}}})
	f.Add(append([]byte(firstLine(1)), body...))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, _, err := readJournal(context.Background(), bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, bundle.ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		for p, e := range r.files {
			if err := errors.Join(bundle.CheckPath(p), bundle.CheckPath(e.Path)); err != nil {
				t.Fatal(err)
			}
		}
		if n := r.named.Folder; n != "" && bundle.CheckFolder(n) != nil {
			t.Fatalf("folder %q", n)
		}
		body, err := encodeLines(r.all())
		if err != nil {
			return // a line too long to be written again
		}
		again, whole, err := readJournal(context.Background(), strings.NewReader(firstLine(1)+string(body)))
		if err != nil || !whole {
			t.Fatalf("a compacted journal: whole %v, %v", whole, err)
		}
		if fmt.Sprint(len(again.files), len(again.holds), len(again.folders)) != fmt.Sprint(len(r.files), len(r.holds), len(r.folders)) {
			t.Fatalf("compacting changed %+v to %+v", r, again)
		}
	})
}

// Where a content was last seen follows the record: a base is looked for once
// for each changed file, however many files the course has.
func TestWhereAContentWasLastSeen(t *testing.T) {
	one, two := bundle.Sum([]byte("one")), bundle.Sum([]byte("two"))
	r := newRecord()
	at := func(path string, d bundle.Digest) {
		r.take(line{File: &Entry{Path: path, Digest: d, Size: 3, Mode: 0o644, Policy: bundle.Merge, Channel: "main", Status: Delivered, Seen: &Seen{Digest: d}}})
	}
	check := func(when string, ones, twos []string) {
		t.Helper()
		a, b := slices.Sorted(slices.Values(r.seen(one))), slices.Sorted(slices.Values(r.seen(two)))
		if !slices.Equal(a, ones) || !slices.Equal(b, twos) {
			t.Errorf("%s: %q, %q", when, a, b)
		}
	}
	at("a", one)
	at("b", one)
	check("at first", []string{"a", "b"}, nil)
	at("a", two)
	check("changed", []string{"b"}, []string{"a"})
	r.take(line{Forget: "b"})
	check("forgotten", nil, []string{"a"})
}
