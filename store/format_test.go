package store_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"satchel/bundle"
	"satchel/store"
)

const golden = "testdata/golden/v1"

// TestGolden reads what was once written with format 1, and would write the
// same again. These files are kept for ever: a change that needs another file
// needs another format number.
func TestGolden(t *testing.T) {
	for name, decode := range map[string]func([]byte) (any, error){
		"record.json":     func(b []byte) (any, error) { return store.DecodeRecord(b) },
		"first.json":      func(b []byte) (any, error) { return store.DecodeRecord(b) },
		"entry.json":      func(b []byte) (any, error) { return store.DecodeEntry(b) },
		"refusal.json":    func(b []byte) (any, error) { return store.DecodeEntry(b) },
		"withdrawal.json": func(b []byte) (any, error) { return store.DecodeEntry(b) },
		"presence.json":   func(b []byte) (any, error) { return store.DecodePresence(b) },
		"proven.json":     func(b []byte) (any, error) { return store.DecodeProven(b) },
	} {
		data, err := os.ReadFile(filepath.Join(golden, name))
		if err != nil {
			t.Fatal(err)
		}
		v, err := decode(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var want bytes.Buffer
		if err := json.Compact(&want, data); err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(v)
		if err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%s is written as\n%s, %v; was\n%s", name, got, err, want.Bytes())
		}
	}
}

// TestGoldenHead: the signature in the golden record still holds.
func TestGoldenHead(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(golden, "record.json"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := store.DecodeRecord(data)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(golden, "public"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := bundle.ParsePublicKeys(string(text))
	if err != nil {
		t.Fatal(err)
	}
	h, err := r.Head.Open(keys)
	if err != nil || h.Course != r.Course || h.Version != r.Version {
		t.Errorf("head %+v, %v", h, err)
	}
	if n := len(r.Named()); n != 3 {
		t.Errorf("names %d bundles; want 3", n)
	}
}

func TestDecodeRecordRefuses(t *testing.T) {
	digest := bundle.Sum(nil).String()
	ref := func(from, to, size string) string {
		return `{"format":1,"course":"x","version":1,"channels":[{"id":"c","bundles":[{"from":` + from + `,"to":` + to + `,"digest":"` + digest + `","size":` + size + `}]}]}`
	}
	for text, want := range map[string]error{
		``:                                       bundle.ErrCorrupt,
		`null`:                                   bundle.ErrCorrupt,
		`{}`:                                     bundle.ErrCorrupt,
		`{"format":1}`:                           bundle.ErrCorrupt,
		`{"format":0,"course":"x"}`:              bundle.ErrCorrupt,
		`{"format":-1,"course":"x"}`:             bundle.ErrCorrupt,
		`{"format":2,"course":"x","new":1}`:      bundle.ErrFormat,
		`{"format":1,"course":"x","new":1}`:      bundle.ErrCorrupt,
		`{"format":1,"course":"x"}{}`:            bundle.ErrCorrupt,
		`{"format":1,"course":"x","version":-1}`: bundle.ErrCorrupt,
		`{"format":1,"course":"x","version":9007199254740993}`:         bundle.ErrCorrupt,
		`{"format":1,"course":"x","channels":[{"id":""}]}`:             bundle.ErrCorrupt,
		`{"format":1,"course":"x","channels":[{"id":"c"},{"id":"c"}]}`: bundle.ErrCorrupt,
		ref("1", "1", "0"):                                 bundle.ErrCorrupt,
		ref("-1", "1", "0"):                                bundle.ErrCorrupt,
		ref("0", "1", "-1"):                                bundle.ErrCorrupt,
		ref("0", "1", "4294967297"):                        bundle.ErrCorrupt,
		strings.ReplaceAll(ref("0", "1", "0"), digest, ""): bundle.ErrCorrupt,
		strings.Repeat(" ", store.MaxRecord+1):             bundle.ErrCorrupt,
		ref("0", "1", "0"):                                 nil,
	} {
		_, err := store.DecodeRecord([]byte(text))
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%.120s: %v; want %v", text, err, want)
		}
	}
}

func seeds(f *testing.F) {
	files, err := filepath.Glob(golden + "/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no golden files", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"format":2}`))
}

func FuzzDecodeRecord(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := store.DecodeRecord(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.DecodeRecord(again); err != nil {
			t.Errorf("%q is read, but not when it is written again: %v", data, err)
		}
	})
}

func FuzzDecodeEntry(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := store.DecodeEntry(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.DecodeEntry(again); err != nil {
			t.Errorf("%q is read, but not when it is written again: %v", data, err)
		}
	})
}

// FuzzCheckKey: a key that passes is a path that stays where it is, in one
// spelling only.
func FuzzCheckKey(f *testing.F) {
	for _, key := range []string{"courses/x/record", "../x", "a//b", ".tmp/x", "a/./b", "/", "a\x00", `a\..\b`, "receipts/2026-11-20/a+b"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if store.CheckKey(key) != nil {
			return
		}
		if !filepath.IsLocal(key) || filepath.ToSlash(filepath.Clean(key)) != key || strings.HasPrefix(key, ".") || strings.Contains(key, "/.") {
			t.Errorf("%q passes", key)
		}
	})
}
