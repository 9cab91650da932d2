package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The files in testdata/golden/v1 are what format 1 looked like when it was
// first written. They are kept for ever: whoever changes the code must still
// read them. The flag writes those that are missing and never one that is
// there.
var writeGolden = flag.Bool("write-missing-golden", false, "write golden files that do not exist yet")

const goldenDir = "testdata/golden/v1"

// golden gives a golden file's bytes.
func golden(t testing.TB, name string, fresh func() []byte) []byte {
	t.Helper()
	path := filepath.Join(goldenDir, name)
	if *writeGolden {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err == nil {
			_, err = f.Write(fresh())
			err = errors.Join(err, f.Close())
		}
		if err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

var (
	goldenBefore = tree{"hw1/lab.ipynb": goldenNotebook, "data/ñ 1.csv": "a,b\n1,2\n", "old.md": "# Old\n", "run.sh": "#!/bin/sh\n"}
	goldenAfter  = tree{"hw1/lab.ipynb": strings.Replace(goldenNotebook, "1 + 1", "2 + 2", 1), "data/ñ 1.csv": "a,b\n1,2\n", "new.md": "# Old\n", "run.sh": "#!/bin/sh\n"}
)

const goldenNotebook = `{"cells": [{"cell_type": "code", "source": ["1 + 1"], "outputs": [], "execution_count": null, "metadata": {}}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
`

// goldenSpecs are a full bundle of version 1 and the step to version 2.
func goldenSpecs() (full, step Spec) {
	was, _ := History(nil).Add(goldenBefore.formers()...)
	for i := range was {
		if strings.HasSuffix(was[i].Path, ".ipynb") {
			was[i].Form = digestOf("form of " + was[i].Path)
		}
	}
	now, added := was.Add(goldenAfter.formers()...)
	one, two := goldenBefore.manifest(was), goldenAfter.manifest(now)
	for _, m := range []*Manifest{one, two} {
		for i := range m.Files {
			switch m.Files[i].Path {
			case "run.sh":
				m.Files[i].Mode = 0o755
			case "data/ñ 1.csv":
				m.Files[i].Policy = ReadOnly
			}
		}
	}
	two.Withdrawn = []Pair{{"solution.ipynb", digestOf("withdrawn")}}
	full = Spec{Course: "scala101", Channel: "b7f0c2", From: 0, To: 1, Manifest: one, Former: was}
	step = Spec{Course: "scala101", Channel: "b7f0c2", From: 1, To: 2, Base: one, Manifest: two, Former: added}
	return full, step
}

func TestGoldenTexts(t *testing.T) {
	_, step := goldenSpecs()
	history, _ := mustHistory(t).Add()
	for name, want := range map[string][]byte{
		"manifest.txt": step.Manifest.Encode(),
		"history.txt":  history.Encode(),
		"keys.pub":     []byte("# golden\n" + keyOf(1).Public().String() + "\n" + keyOf(2).Public().String() + "\n"),
		"head.json":    must(json.Marshal(headOf(14))),
		"envelope.json": must(json.Marshal(func() *Envelope {
			e, err := Sign(headOf(14), keyOf(1), keyOf(2))
			if err != nil {
				t.Fatal(err)
			}
			return e
		}())),
	} {
		// These encodings are canonical or deterministic: today's must be the same.
		if got := golden(t, name, func() []byte { return want }); !bytes.Equal(got, want) {
			t.Errorf("%s is no longer what is written:\n%s\nnow:\n%s", name, got, want)
		}
	}
}

func mustHistory(t *testing.T) History {
	full, step := goldenSpecs()
	sum, _ := full.Former.Add(step.Former...)
	if sum.Digest() != step.Manifest.History {
		t.Fatal("the golden step does not add up")
	}
	return sum
}

func TestGoldenTextsAreRead(t *testing.T) {
	m, err := DecodeManifest(golden(t, "manifest.txt", nil))
	if err != nil || len(m.Files) != 4 || len(m.Withdrawn) != 1 {
		t.Errorf("manifest: %+v, %v", m, err)
	}
	h, err := DecodeHistory(golden(t, "history.txt", nil))
	if err != nil || len(h.At("hw1/lab.ipynb")) != 2 || h.Digest() != m.History {
		t.Errorf("history: %v, %v", h, err)
	}
	keys, err := ParsePublicKeys(string(golden(t, "keys.pub", nil)))
	if err != nil || len(keys) != 2 {
		t.Fatalf("keys: %v, %v", keys, err)
	}
	e := &Envelope{}
	if err := DecodeStrict(golden(t, "envelope.json", nil), MaxHeadSize, e); err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		head, err := e.Open([]PublicKey{k})
		if err != nil || head.Version != 14 || head.Settings.Folder != "scala" || !head.Published.Equal(noon) {
			t.Errorf("head: %+v, %v", head, err)
		}
	}
}

// goldenPatched is a bundle with a frame of every kind: whole, patch, and one
// that no reader of format 1 knows.
func goldenPatched(t testing.TB) []byte {
	_, step := goldenSpecs()
	lab := goldenAfter["hw1/lab.ipynb"]
	whole, a := wholeFrame(t, lab)
	patch, b := patchFrame(t, lab, goldenBefore["hw1/lab.ipynb"])
	patch.Offset = whole.Length
	future := Frame{Kind: "copy", Offset: patch.Offset + patch.Length, Length: 4, Size: patch.Size, Base: patch.Base, Items: patch.Items}
	x := &Index{
		Format: 1, Course: step.Course, Channel: step.Channel, From: 1, To: 2, Base: step.Base.Digest(), Manifest: step.Manifest.Digest(),
		Changes: Diff(step.Base, step.Manifest), Former: step.Former, Frames: []Frame{whole, patch, future},
	}
	return assembled(t, x, bytes.NewReader(append(append(a, b...), "????"...)))
}

func assembled(t testing.TB, x *Index, frames io.Reader) []byte {
	b, err := assemble(t.TempDir(), x, frames)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Discard()
	data, err := os.ReadFile(b.File.Name())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestGoldenBundlesAreRead(t *testing.T) {
	fullSpec, stepSpec := goldenSpecs()
	fresh := func(s Spec, files tree) func() []byte {
		return func() []byte { _, data := build(t, s, files.fs()); return data }
	}
	full, contents := contentsOf(t, golden(t, "full.bundle", fresh(fullSpec, goldenBefore)))
	step, more := contentsOf(t, golden(t, "step.bundle", fresh(stepSpec, goldenAfter)))
	m, err := Compose(nil, full, step)
	if err != nil || m.Digest() != stepSpec.Manifest.Digest() {
		t.Fatalf("composed: %v", err)
	}
	if h, _ := full.Former.Add(step.Former...); h.Digest() != m.History {
		t.Error("another history")
	}
	for p, c := range goldenAfter {
		if contents[digestOf(c)] != c && more[digestOf(c)] != c {
			t.Errorf("%s is in no golden bundle", p)
		}
	}
	if step.Changes.Set[1].RenamedFrom != "old.md" {
		t.Errorf("rename: %+v", step.Changes.Set)
	}
}

func TestGoldenFramesOfEveryKind(t *testing.T) {
	data := golden(t, "every-kind.bundle", func() []byte { return goldenPatched(t) })
	x, err := ReadIndex(bytes.NewReader(data))
	if err != nil || len(x.Frames) != 3 {
		t.Fatalf("%+v, %v", x, err)
	}
	for i, want := range []error{nil, nil, ErrKind} {
		f := x.Frames[i]
		got, err := readAll(f, bytes.NewReader(data[f.Offset:]), goldenBefore["hw1/lab.ipynb"])
		if !errors.Is(err, want) || (err == nil && got[0] != goldenAfter["hw1/lab.ipynb"]) {
			t.Errorf("%s: %q, %v; want %v", f.Kind, got, err, want)
		}
	}
}

// A step of 0.4.0, the first that holds deltas.
func TestGoldenDelta(t *testing.T) {
	was, now := tree{"lab.ipynb": goldenLong("1 + 1")}, tree{"lab.ipynb": goldenLong("2 + 2")}
	spec := Spec{Course: "scala101", Channel: "b7f0c2", From: 1, To: 2, Base: was.manifest(nil), Manifest: now.manifest(nil), Before: was.fs()}
	data := golden(t, "delta.bundle", func() []byte { _, data := build(t, spec, now.fs()); return data })
	x, err := ReadIndex(bytes.NewReader(data))
	if err != nil || len(x.Frames) != 2 || x.Frames[0].Kind != Whole || x.Frames[1].Kind != Delta {
		t.Fatalf("%+v, %v", x, err)
	}
	for _, f := range x.Frames {
		got, err := readAll(f, bytes.NewReader(data[f.Offset:]), was["lab.ipynb"])
		if err != nil || got[0] != now["lab.ipynb"] {
			t.Errorf("%s: %q, %v", f.Kind, got, err)
		}
	}
}

func goldenLong(cell string) string {
	var b strings.Builder
	for i := range 500 {
		fmt.Fprintf(&b, "%x\n", Sum([]byte{byte(i), byte(i >> 8)}))
	}
	return strings.Replace(goldenNotebook, "1 + 1", cell, 1) + b.String()
}

// The index's JSON is not canonical, but its field names are part of the
// format.
func TestGoldenIndex(t *testing.T) {
	_, step := goldenSpecs()
	b, _ := build(t, step, goldenAfter.fs())
	b.Index.shift(-b.Index.Frames[0].Offset)
	for i := range b.Index.Frames {
		b.Index.Frames[i].Length = 0 // depends on the zstd library's version
	}
	want := must(json.MarshalIndent(b.Index, "", " "))
	if got := golden(t, "index.json", func() []byte { return want }); !bytes.Equal(got, want) {
		t.Errorf("index.json is no longer what is written:\n%s\nnow:\n%s", got, want)
	}
	if _, err := decodeIndex(golden(t, "index.json", nil)); err != nil {
		t.Error(err)
	}
}
