package workdir

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
)

// scanned are lines as they are written, of which the first are read without
// encoding/json.
func scanned() (fast, slow []line) {
	d := bundle.Sum([]byte("d"))
	file := func(change func(e *Entry)) line {
		e := &Entry{
			Path: "unit01/Práctica 1.ipynb", Digest: d, Size: 345409, Mode: 0o644, Policy: bundle.Merge, Channel: "everyone",
			Status: Delivered, Since: 7, Seen: &Seen{Stat: Stat{Size: 345409, Mtime: 1795668826224005115, Ctime: 1, Inode: 1<<64 - 2}, Digest: d, Sure: true},
		}
		change(e)
		return line{File: e}
	}
	fast = []line{
		file(func(*Entry) {}),
		file(func(e *Entry) { e.Seen, e.Channel, e.Since, e.Size, e.Returned = nil, "", 0, 0, true }),
		file(func(e *Entry) { e.Past = []Past{{Version: 1, Digest: d, Size: 2}, {Version: 3, Digest: d}} }),
		file(func(e *Entry) {
			e.Merges = []Merging{{Base: d, Mine: d, Result: d, Time: time.Date(2026, 11, 26, 4, 53, 46, 78646764, time.UTC)}, {Base: d, Mine: d, Result: d}}
		}),
	}
	slow = []line{
		file(func(e *Entry) { e.Path = `a "quoted" name` }),
		file(func(e *Entry) { e.Path = "a<b" }),
		file(func(e *Entry) { e.Seen.Mtime = -1 }),
		file(func(e *Entry) { e.Held.Gone = true }),
		file(func(e *Entry) { e.Copies = []Copy{{Path: "x", Digest: d}} }),
		file(func(e *Entry) { e.Asleep = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC) }),
		{Forget: "x"}, {Told: true}, {Folder: &folderLine{Path: "y"}}, {Highest: &highest{Version: 3}},
	}
	return fast, slow
}

// agree holds that what is read without encoding/json is what that reads.
func agree(t *testing.T, text []byte) (quick bool) {
	t.Helper()
	e := scanEntry(text)
	if e == nil {
		return false
	}
	var want line
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatalf("read, but encoding/json says %v:\n%s", err, text)
	}
	if got := (line{File: e}); !reflect.DeepEqual(got, want) {
		t.Fatalf("read as\n%+v\nwant\n%+v\n%s", got.File, want.File, text)
	}
	return true
}

func TestScanEntry(t *testing.T) {
	fast, slow := scanned()
	for i, l := range append(fast, slow...) {
		text, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		if quick := agree(t, text); quick != (i < len(fast)) {
			t.Errorf("read without encoding/json: %v\n%s", quick, text)
		}
		if got, ok := decodeLine(text); !ok || !reflect.DeepEqual(got, l) {
			t.Errorf("decoded as %+v\n%s", got, text)
		}
	}
}

func FuzzScanEntry(f *testing.F) {
	fast, slow := scanned()
	for _, l := range append(fast, slow...) {
		text, _ := json.Marshal(l)
		f.Add(text)
		f.Add(append(text, '}'))
		for _, change := range []string{`0`, `-`, `.5`, `e3`, ` `, `,`, `}`, `"`, `\u0041`, "\x80", `null`, `[]`, `99999999999999`} {
			for _, after := range []string{`"size":`, `"mode":`, `"path":"`, `"sure":`, `"past":[`, `"time":"`} {
				if strings.Contains(string(text), after) {
					f.Add([]byte(strings.Replace(string(text), after, after+change, 1)))
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) { agree(t, text) })
}

func BenchmarkScanEntry(b *testing.B) {
	fast, _ := scanned()
	text, _ := json.Marshal(fast[0])
	for b.Loop() {
		decodeLine(text)
	}
}
