package store_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/store"
)

// headAt is a signed head of a version; manifest makes it another of it.
func headAt(t testing.TB, k bundle.SigningKey, course string, v bundle.Version, manifest string) *bundle.Envelope {
	t.Helper()
	now := time.Date(2026, 11, 22, 7, 30, 0, 0, time.UTC)
	e, err := bundle.Sign(&bundle.Head{
		Format: bundle.HeadFormat, Course: course, Version: v, Published: now, Checked: now, Settings: bundle.Settings{Folder: "Scala"},
		Channels: []bundle.ChannelAt{{ID: "all", Manifest: bundle.Sum([]byte(manifest))}},
	}, k)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func provenKeys(t testing.TB) (bundle.SigningKey, []bundle.PublicKey) {
	t.Helper()
	k, err := bundle.NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	return k, []bundle.PublicKey{k.Public()}
}

// The newest head stays, whoever comes after it with another.
func TestProven(t *testing.T) {
	st := newDir(t, t.TempDir())
	k, keys := provenKeys(t)
	if _, err := store.ReadProven(t.Context(), st, "scala", keys); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	for _, c := range []struct {
		v        bundle.Version
		manifest string
		now      bundle.Version
		other    bool // it took the place of one of its version
	}{{2, "a", 2, false}, {1, "a", 2, false}, {5, "a", 5, false}, {4, "a", 5, false}, {5, "b", 5, true}} {
		e := headAt(t, k, "scala", c.v, c.manifest)
		if err := store.WriteProven(t.Context(), st, store.Proven{Course: "scala", Head: e}, keys); err != nil {
			t.Fatal(err)
		}
		h, err := store.ReadProven(t.Context(), st, "scala", keys)
		if err != nil || h.Version != c.now {
			t.Fatalf("after version %d: %+v, %v", c.v, h, err)
		}
		if d, _ := h.Channel("all"); (d == bundle.Sum([]byte("b"))) != c.other {
			t.Errorf("after version %d of %q: the other head: %v", c.v, c.manifest, !c.other)
		}
	}
}

func TestTheNewestProvenHeadWinsTheRace(t *testing.T) {
	st := newDir(t, t.TempDir())
	k, keys := provenKeys(t)
	var wg sync.WaitGroup
	for v := range bundle.Version(3) {
		e := headAt(t, k, "scala", v+1, "a")
		wg.Go(func() {
			if err := store.WriteProven(t.Context(), st, store.Proven{Course: "scala", Head: e}, keys); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if h, err := store.ReadProven(t.Context(), st, "scala", keys); err != nil || h.Version != 3 {
		t.Errorf("%+v, %v", h, err)
	}
}

// Only what a key of the service signed for this course counts; anything else
// that lies there makes way, but what a newer Satchel wrote.
func TestProvenHeadsThatAreNone(t *testing.T) {
	k, keys := provenKeys(t)
	strange, _ := provenKeys(t)
	kept := func(p store.Proven) string {
		p.Format = store.ProvenFormat
		data, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"nonsense":            {"nonsense", bundle.ErrCorrupt},
		"empty":               {"", bundle.ErrCorrupt},
		"no head":             {`{"format":1,"course":"scala"}`, bundle.ErrCorrupt},
		"too large":           {strings.Repeat(" ", 3<<20), bundle.ErrCorrupt},
		"a stranger's":        {kept(store.Proven{Course: "scala", Head: headAt(t, strange, "scala", 1<<50, "a")}), bundle.ErrSignature},
		"another course's":    {kept(store.Proven{Course: "algebra", Head: headAt(t, k, "algebra", 9, "a")}), bundle.ErrCorrupt},
		"another one's head":  {kept(store.Proven{Course: "scala", Head: headAt(t, k, "algebra", 9, "a")}), bundle.ErrCorrupt},
		"of a newer Satchel":  {`{"format":2,"course":"scala","head":7}`, bundle.ErrFormat},
		"a head of the truth": {kept(store.Proven{Course: "scala", Head: headAt(t, k, "scala", 1, "a")}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			st := newDir(t, t.TempDir())
			if err := st.Put(t.Context(), store.ProvenKey("scala"), strings.NewReader(c.text)); err != nil {
				t.Fatal(err)
			}
			if _, err := store.ReadProven(t.Context(), st, "scala", keys); !errors.Is(err, c.want) {
				t.Errorf("%v; want %v", err, c.want)
			}
			err := store.WriteProven(t.Context(), st, store.Proven{Course: "scala", Head: headAt(t, k, "scala", 3, "a")}, keys)
			if newer := errors.Is(c.want, bundle.ErrFormat); newer != errors.Is(err, bundle.ErrFormat) {
				t.Fatalf("written: %v", err)
			} else if newer {
				return
			}
			if h, err := store.ReadProven(t.Context(), st, "scala", keys); err != nil || h.Version != 3 {
				t.Errorf("%+v, %v", h, err)
			}
		})
	}
	if err := store.WriteProven(t.Context(), newDir(t, t.TempDir()), store.Proven{Course: "scala", Head: headAt(t, strange, "scala", 3, "a")}, keys); !errors.Is(err, bundle.ErrSignature) {
		t.Errorf("a stranger's head was written: %v", err)
	}
}

// TestGoldenProven: the signature in the golden file still holds.
func TestGoldenProven(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(golden, "proven.json"))
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
	p, err := store.DecodeProven(data)
	if err != nil {
		t.Fatal(err)
	}
	if h, err := p.Open(keys); err != nil || h.Version != 15 {
		t.Errorf("%+v, %v", h, err)
	}
}

func FuzzDecodeProven(f *testing.F) {
	seeds(f)
	_, keys := provenKeys(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := store.DecodeProven(data)
		if err != nil {
			return
		}
		if _, err := p.Open(keys); err == nil {
			t.Errorf("%q passes with a key that signed nothing", data)
		}
		again, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.DecodeProven(again); err != nil {
			t.Errorf("%q is read, but not when it is written again: %v", data, err)
		}
	})
}
