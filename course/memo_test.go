package course

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"satchel/bundle"
)

// countingFS says which contents it is asked for, and knows them by an id, as
// git does.
type countingFS struct {
	fstest.MapFS
	opened map[string]int
	infos  *int // how often more was asked for than a listing holds
}

type idInfo struct{ fs.FileInfo }

func (i idInfo) Sys() any { return i }

func (i idInfo) ContentID() string {
	file := i.FileInfo.Sys()
	return fmt.Sprintf("id-of-%v", file)
}

type idEntry struct {
	fs.DirEntry
	infos *int
}

func (e idEntry) Info() (fs.FileInfo, error) {
	*e.infos++
	i, err := e.DirEntry.Info()
	return idInfo{i}, err
}

func (e idEntry) Mode() fs.FileMode {
	i, _ := e.DirEntry.Info()
	return i.Mode()
}

func (e idEntry) ContentID() string {
	i, _ := e.DirEntry.Info()
	return idInfo{i}.ContentID()
}

func (c countingFS) Open(name string) (fs.File, error) {
	c.opened[name]++
	return c.MapFS.Open(name)
}

func (c countingFS) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := c.MapFS.ReadDir(name)
	for i, e := range list {
		list[i] = idEntry{e, c.infos}
	}
	return list, err
}

func (c countingFS) Lstat(name string) (fs.FileInfo, error) {
	i, err := c.MapFS.Lstat(name)
	if err != nil {
		return nil, err
	}
	return idInfo{i}, nil
}

// TestUnchangedContentIsNotReadAgain: not in the same pass, not in the next,
// not after a restart, nor is its size asked for; and what is found without
// reading is the same.
func TestUnchangedContentIsNotReadAgain(t *testing.T) {
	file := func(text, id string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(text), Mode: 0o644, Sys: id}
	}
	nb := `{"cells":[],"metadata":{},"nbformat":4,"nbformat_minor":5}`
	tree := fstest.MapFS{
		"a.txt": file("x", "1"), "twin.txt": file("x", "1"), "a.ipynb": file(nb, "2"), "nb.txt": file(nb, "2"),
		"broken.ipynb": file("{", "3"), "run.sh": {Data: []byte("z"), Mode: 0o755, Sys: "5"}, "link": {Data: []byte("a.txt"), Mode: fs.ModeSymlink | 0o777},
	}
	dir := t.TempDir()
	infos := 0
	pass := func(open map[string]int) *Selection {
		memo, err := OpenMemo(dir)
		if err != nil {
			t.Fatal(err)
		}
		clear(open)
		infos = 0
		s, err := Select(context.Background(), countingFS{tree, open, &infos}, memo)
		if err != nil {
			t.Fatal(err)
		}
		if err := memo.Save(); err != nil {
			t.Fatal(err)
		}
		return s
	}
	opened := map[string]int{}
	first := pass(opened)
	if len(opened) != 5 { // a.txt, a.ipynb as a notebook, the same as a text, broken.ipynb, run.sh
		t.Errorf("at first opened %v", opened)
	}
	second := pass(opened)
	if len(opened)+infos != 0 {
		t.Errorf("then opened %v, and asked for %d sizes", opened, infos)
	}
	if report(first) != report(second) {
		t.Errorf("first\n%s\nthen\n%s", report(first), report(second))
	}
	tree["a.txt"] = file("y", "4")
	third := pass(opened)
	if len(opened) != 1 || opened["a.txt"] != 1 || infos != 1 {
		t.Errorf("after one change opened %v, and asked for %d sizes", opened, infos)
	}
	if f := third.Files[1]; f.Path != "a.txt" || f.Digest != bundle.Sum([]byte("y")) {
		t.Errorf("%+v", f)
	}
}

func fact(n int) Fact {
	return Fact{Digest: bundle.Sum([]byte{byte(n), byte(n >> 8)}), Size: int64(n), Warnings: []Finding{{Line: n, Reason: "line\nbreak"}}}
}

func savedMemo(t *testing.T, dir string, n int) []byte {
	m, err := OpenMemo(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= n; i++ {
		m.Put(fmt.Sprint("id", i), fact(i))
	}
	if err := m.Save(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, memoName))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestMemoTornAtEveryByte: whatever a kill left of the file, the rest is
// right, and it can be written on.
func TestMemoTornAtEveryByte(t *testing.T) {
	whole := savedMemo(t, t.TempDir(), 3)
	for cut := range len(whole) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, memoName), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		savedMemo(t, dir, 0)
		m, err := OpenMemo(dir)
		if err != nil {
			t.Fatal(err)
		}
		m.Put("new", fact(9))
		if err := m.Save(); err != nil {
			t.Fatal(err)
		}
		if m, err = OpenMemo(dir); err != nil {
			t.Fatal(err)
		}
		if got, ok := m.Get("new"); !ok || got.Size != 9 {
			t.Fatalf("cut at %d: what was written after it is lost", cut)
		}
		for i := 1; i <= 3; i++ {
			if got, ok := m.Get(fmt.Sprint("id", i)); ok && got.Digest != fact(i).Digest {
				t.Fatalf("cut at %d: fact %d is wrong", cut, i)
			}
		}
		if lines := bytes.Count(whole[:cut+1], []byte("\n")); len(m.facts) != lines+1 {
			t.Fatalf("cut at %d: %d facts of %d whole lines", cut, len(m.facts), lines)
		}
	}
}

// TestMemoDamaged: no flipped byte gives a wrong fact.
func TestMemoDamaged(t *testing.T) {
	whole := savedMemo(t, t.TempDir(), 2)
	for i := range whole {
		dir := t.TempDir()
		bad := bytes.Clone(whole)
		bad[i] ^= 1
		if err := os.WriteFile(filepath.Join(dir, memoName), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := OpenMemo(dir)
		if err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= 2; n++ {
			if got, ok := m.Get(fmt.Sprint("id", n)); ok && got.Digest != fact(n).Digest {
				t.Fatalf("byte %d: fact %d is wrong", i, n)
			}
		}
	}
}

func TestMemoForgetsOlderVersionsAndDoubles(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "facts-0")
	os.WriteFile(old, []byte("x"), 0o600)
	line, err := encodeRecord("id", fact(1))
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(dir, memoName), bytes.Repeat(line, 2000), 0o600)
	m, err := OpenMemo(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("an older version's memo stays")
	}
	if data, _ := os.ReadFile(m.path); !bytes.Equal(data, line) {
		t.Errorf("%d bytes are left of one fact", len(data))
	}
}

func TestMemoGoldenFormat(t *testing.T) {
	line, err := encodeRecord("id", Fact{Digest: bundle.Sum(nil), Size: 7, Stops: []Finding{{Line: 2, Reason: "r"}}})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"id","fact":{"digest":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":7,"stops":[{"line":2,"reason":"r"}]}}` + "\n"
	if sum := recordSum([]byte(strings.TrimSpace(want))); string(line) != sum+" "+want {
		t.Errorf("%s", line)
	}
	if rec, ok := parseRecord(line); !ok || rec.Fact.Size != 7 {
		t.Errorf("%+v", rec)
	}
}

func FuzzMemo(f *testing.F) {
	line, _ := encodeRecord("id", fact(1))
	f.Add(line)
	f.Add(append(bytes.Repeat([]byte("x"), maxRecord), line...))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := &FileMemo{facts: map[string]Fact{}}
		lines, size := m.read(bytes.NewReader(data))
		if len(m.facts) > lines || size > int64(len(data)) {
			t.Fatalf("%d facts of %d lines and %d bytes", len(m.facts), lines, size)
		}
		for _, fact := range m.facts {
			if fact.Digest.IsZero() || fact.Size < 0 {
				t.Fatalf("%+v", fact)
			}
		}
	})
}
