package bundle

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"satchel/internal/race"
)

// tree is a folder of contents by path, as a test writes it.
type tree map[string]string

func (t tree) fs() fs.FS {
	m := fstest.MapFS{}
	for p, c := range t {
		m[p] = &fstest.MapFile{Data: []byte(c), Mode: 0o644}
	}
	return m
}

func (t tree) manifest(h History) *Manifest {
	m := &Manifest{History: h.Digest()}
	for p, c := range t {
		m.Files = append(m.Files, plainFile(p, c))
	}
	m.Sort()
	return m
}

func (t tree) formers() (out []Former) {
	for p, c := range t {
		out = append(out, Former{Path: p, Digest: digestOf(c)})
	}
	return out
}

func build(t testing.TB, s Spec, fsys fs.FS) (*Built, []byte) {
	t.Helper()
	b, err := Build(context.Background(), t.TempDir(), s, fsys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Discard)
	data, err := os.ReadFile(b.File.Name())
	if err != nil {
		t.Fatal(err)
	}
	return b, data
}

// contentsOf gives every content in a bundle, by its digest, read through the
// offsets of its index.
func contentsOf(t testing.TB, data []byte) (*Index, map[Digest]string) {
	t.Helper()
	x, err := ReadIndex(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	got := map[Digest]string{}
	for _, f := range x.Frames {
		err := ReadFrame(f, bytes.NewReader(data[f.Offset:]), nil, func(it Item, r *Verifier) error {
			b, err := io.ReadAll(r)
			got[it.Digest] = string(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return x, got
}

func TestFullBundleRoundTrip(t *testing.T) {
	files := tree{"a.ipynb": "cells", "data/big.csv": strings.Repeat("1,2,3\n", 100_000), "empty": "", "twin": "cells"}
	h, _ := History(nil).Add(files.formers()...)
	m := files.manifest(h)
	b, data := build(t, Spec{Course: "c", Channel: "ch", To: 3, Manifest: m, Former: h}, files.fs())
	if b.Digest != Sum(data) || b.Size != int64(len(data)) {
		t.Error("digest or size are not the file's")
	}
	x, got := contentsOf(t, data)
	if x.Course != "c" || x.Channel != "ch" || x.From != 0 || x.To != 3 || !x.Base.IsZero() {
		t.Errorf("index: %+v", x)
	}
	for p, c := range files {
		if got[digestOf(c)] != c {
			t.Errorf("%s: other content", p)
		}
	}
	if len(got) != 3 {
		t.Errorf("%d contents; want each once", len(got))
	}
	back, err := Compose(nil, x)
	if err != nil || back.Digest() != m.Digest() {
		t.Errorf("composed: %v", err)
	}
	if want, _ := json.Marshal(b.Index); !bytes.Equal(want, must(json.Marshal(x))) {
		t.Error("the index in memory is not the one in the file")
	}
}

func must(data []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return data
}

func TestStepHoldsOnlyWhatIsNew(t *testing.T) {
	before := tree{"a": "1", "b": "2", "c": "3", "gone": "4"}
	after := tree{"a": "1", "b": "two", "moved": "3", "copy": "1"}
	h, _ := History(nil).Add(before.formers()...)
	base := before.manifest(h)
	h2, added := h.Add(after.formers()...)
	next := after.manifest(h2)
	_, data := build(t, Spec{Course: "c", Channel: "ch", From: 1, To: 2, Base: base, Manifest: next, Former: added}, after.fs())
	x, got := contentsOf(t, data)
	if len(got) != 1 || got[digestOf("two")] != "two" {
		t.Errorf("contents %v; want only the new one", got)
	}
	if len(x.Former) != 3 {
		t.Errorf("former %v; want b, moved and copy", x.Former)
	}
	back, err := Compose(base, x)
	if err != nil || back.Digest() != next.Digest() {
		t.Errorf("composed: %v", err)
	}
	if sum, _ := h.Add(x.Former...); sum.Digest() != back.History {
		t.Error("the history does not add up to what the manifest names")
	}
}

func TestComposeRefusesWhatDoesNotFit(t *testing.T) {
	var steps []*Index
	var ms []*Manifest
	h := History(nil)
	for v := range Version(4) {
		files := tree{"a": fmt.Sprint(v)}
		var added History
		h, added = h.Add(files.formers()...)
		s := Spec{Course: "c", Channel: "ch", From: v, To: v + 1, Manifest: files.manifest(h), Former: added}
		if v > 0 {
			s.Base = ms[v-1]
		}
		b, _ := build(t, s, files.fs())
		steps, ms = append(steps, b.Index), append(ms, s.Manifest)
	}
	if m, err := Compose(nil, steps...); err != nil || m.Digest() != ms[3].Digest() {
		t.Fatalf("all steps: %v", err)
	}
	lying := *steps[1]
	lying.Changes.Removed = []string{"a"}
	lying.Changes.Set = nil
	for name, try := range map[string][]*Index{
		"a step is missing":     {steps[0], steps[2]},
		"no full one first":     {steps[1]},
		"wrong order":           {steps[0], steps[2], steps[1]},
		"a step twice":          {steps[0], steps[1], steps[1]},
		"changes that lie":      {steps[0], &lying, steps[2]},
		"another course's step": {steps[0], {From: 1, To: 2, Base: digestOf("other"), Manifest: digestOf("x")}},
	} {
		if m, err := Compose(nil, try...); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, %v; want ErrCorrupt", name, m, err)
		}
	}
}

func TestBuildRefusesContentThatIsNotTheManifests(t *testing.T) {
	files := tree{"a": "first", "b": "second"}
	m := files.manifest(nil)
	for name, now := range map[string]tree{
		"changed meanwhile": {"a": "fir5t", "b": "second"},
		"grown meanwhile":   {"a": "first and more", "b": "second"},
		"cut meanwhile":     {"a": "first", "b": "sec"},
		"gone meanwhile":    {"a": "first"},
	} {
		dir := t.TempDir()
		b, err := Build(context.Background(), dir, Spec{Course: "c", To: 1, Manifest: m}, now.fs())
		if err == nil {
			b.Discard()
			t.Errorf("%s: a bundle came out", name)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: %d temporary files are left", name, len(left))
		}
	}
}

func TestBuildStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	files := tree{"a": "x"}
	if _, err := Build(ctx, t.TempDir(), Spec{Course: "c", To: 1, Manifest: files.manifest(nil)}, files.fs()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestSmallFilesShareFramesLargeOnesDoNot(t *testing.T) {
	files := tree{}
	for i := range 40 {
		files[fmt.Sprintf("nb%02d.ipynb", i)] = strings.Repeat(fmt.Sprint(i), 50_000)
		files[fmt.Sprintf("txt%02d", i)] = strings.Repeat(fmt.Sprint(i), 1000)
	}
	files["big1.csv"], files["big2.csv"] = strings.Repeat("x", 400_000), strings.Repeat("y", 400_000)
	b, _ := build(t, Spec{Course: "c", To: 1, Manifest: files.manifest(nil)}, files.fs())
	frames := b.Index.Frames
	if n := len(frames); n < 5 || n > 9 {
		t.Errorf("%d frames for 4 MB of small files and two large ones", n)
	}
	for _, f := range frames {
		if len(f.Items) > 1 && f.Size > groupSize {
			t.Errorf("a group of %d bytes", f.Size)
		}
	}
	if f := frames[len(frames)-1]; len(f.Items) != 1 || f.Size != 400_000 {
		t.Errorf("the last frame is no large file: %+v", f)
	}
	first := files.manifest(nil).Files
	if nb := frames[0].Items[0].Digest; nb != digestOf(files["nb00.ipynb"]) {
		t.Errorf("the first frame does not begin with a notebook (%s)", first[0].Path)
	}
}

func TestBundleRefusesHostileHeaders(t *testing.T) {
	files := tree{"a": "1"}
	_, good := build(t, Spec{Course: "c", Channel: "ch", To: 1, Manifest: files.manifest(nil)}, files.fs())
	length := func(n uint32) []byte { return lengths(n, 0) }
	for name, data := range map[string][]byte{
		"empty":                        nil,
		"shorter than its header":      good[:11],
		"not a bundle":                 append([]byte("PK\x03\x04satc"), good[8:]...),
		"format zero":                  append([]byte("satchel\x00"), good[8:]...),
		"index cut off":                good[:20],
		"index longer than the limit":  append(length(MaxIndexSize+1), good[16:]...),
		"index of 4 GiB announced":     append(length(1<<32-1), good[16:]...),
		"index of no bytes":            append(length(0), good[16:]...),
		"history longer than allowed":  append(lengths(binary.BigEndian.Uint32(good[8:]), MaxHistorySize+1), good[16:]...),
		"no history":                   append(lengths(binary.BigEndian.Uint32(good[8:]), 0), good[16:]...),
		"index is no zstd":             append(length(4), "none"...),
		"index is no JSON":             packIndex(t, "hello"),
		"nothing but an unknown field": packIndex(t, `{"format":1,"evil":true}`),
		"two values":                   packIndex(t, indexJSON(1, 0, 1)+`{}`),
		"goes backwards":               packIndex(t, indexJSON(1, 3, 2)),
		"goes nowhere":                 packIndex(t, indexJSON(1, 2, 2)),
		"negative version":             packIndex(t, indexJSON(1, -1, 2)),
		"version past 2^53":            packIndex(t, indexJSON(1, 0, int64(MaxVersion)+1)),
		"format zero in the index":     packIndex(t, indexJSON(0, 0, 1)),
		"a frame that lies":            packIndex(t, `{"format":1,"from":0,"to":1,"manifest":"`+digestOf("m").String()+`","frames":[{"kind":"whole","size":9,"items":[]}]}`),
	} {
		if x, err := ReadIndex(bytes.NewReader(data)); !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v, %v; want ErrCorrupt", name, x, err)
		}
	}
	for name, data := range map[string][]byte{
		"newer container": append([]byte("satchel\x02"), good[8:]...),
		"newer index":     packIndex(t, `{"format":2,"something":"new"}`),
	} {
		if _, err := ReadIndex(bytes.NewReader(data)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v; want ErrFormat", name, err)
		}
	}
}

func indexJSON(format int, from, to int64) string {
	return fmt.Sprintf(`{"format":%d,"course":"c","channel":"ch","from":%d,"to":%d,"manifest":"%s","changes":{}}`, format, from, to, digestOf("m"))
}

func packIndex(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Compress(&b, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return sections(t, b.Bytes())
}

// lengths is the header of a bundle.
func lengths(index, former uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte(magic), index), former)
}

// sections is a bundle with a packed index, an empty history and no frames.
func sections(t testing.TB, index []byte) []byte {
	t.Helper()
	former, err := pack(History(nil).Encode())
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(lengths(uint32(len(index)), uint32(len(former))), index, former)
}

func TestBombInAnIndexStopsAtTheLimit(t *testing.T) {
	packed := bomb(t, 1<<30)
	data := sections(t, packed)
	n := allocated(func() {
		if _, err := ReadIndex(bytes.NewReader(data)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%v; want ErrCorrupt", err)
		}
	})
	if n > 512<<20 {
		t.Errorf("1 GiB in %d bytes made the reader ask for %d MB", len(data), n>>20)
	}
}

func TestUnknownKindOfFrameDoesNotSpoilTheIndex(t *testing.T) {
	x := &Index{Format: 1, Course: "c", Channel: "ch", To: 1, Manifest: digestOf("m")}
	x.Frames = []Frame{{Kind: "from the future", Length: 3, Size: 1, Items: []Item{{digestOf("a"), 1}}}}
	b, err := assemble(t.TempDir(), x, strings.NewReader("???"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Discard()
	if _, err := b.File.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	back, err := ReadIndex(b.File)
	if err != nil || len(back.Frames) != 1 || back.Frames[0].Kind != "from the future" {
		t.Errorf("%+v, %v", back, err)
	}
}

func TestBundleRefusesAHostileHistory(t *testing.T) {
	index, err := pack([]byte(indexJSON(1, 0, 1)))
	if err != nil {
		t.Fatal(err)
	}
	with := func(text []byte) []byte {
		former, err := pack(text)
		if err != nil {
			t.Fatal(err)
		}
		return slices.Concat(lengths(uint32(len(index)), uint32(len(former))), index, former)
	}
	d := digestOf("x").String()
	whole := with(History{{Path: "a", Digest: digestOf("1")}}.Encode())
	for attack, data := range map[string][]byte{
		"no history":     with([]byte("hello")),
		"a manifest":     with(manifestOf().Encode()),
		"climbs out":     with([]byte("satchel-history 1\nwas " + d + " - 4:../a\n")),
		"out of order":   with([]byte("satchel-history 1\nwas " + d + " - 1:b\nwas " + d + " - 1:a\n")),
		"more follows":   with(append(History(nil).Encode(), "and more"...)),
		"cut off":        whole[:len(whole)-3],
		"not there":      whole[:len(lengths(0, 0))+len(index)],
		"4 GiB promised": slices.Concat(lengths(uint32(len(index)), 1<<32-1), index, whole),
	} {
		if x, err := ReadIndex(bytes.NewReader(data)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %+v, %v; want ErrCorrupt", attack, x, err)
		}
	}
	if _, err := ReadIndex(bytes.NewReader(with([]byte("satchel-history 2\n")))); !errors.Is(err, ErrFormat) {
		t.Errorf("newer history: %v; want ErrFormat", err)
	}
	packed := bomb(t, 1<<30)
	data := slices.Concat(lengths(uint32(len(index)), uint32(len(packed))), index, packed)
	n := allocated(func() {
		if _, err := ReadIndex(bytes.NewReader(data)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("bomb: %v; want ErrCorrupt", err)
		}
	})
	if limit := uint64(3*MaxHistorySize + 256<<20); n > limit && !race.Enabled {
		t.Errorf("1 GiB in %d bytes made the reader ask for %d MB", len(data), n>>20)
	}
}

// deltasOf gives the contents of which a bundle holds a delta, by the base.
func deltasOf(x *Index) map[Digest]Digest {
	out := map[Digest]Digest{}
	for _, f := range x.Frames {
		if f.Kind == Delta {
			out[f.Items[0].Digest] = f.Base
		}
	}
	return out
}

func TestStepHoldsDeltasWhereTheyGain(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	long, large := noise(rng, 50_000), noise(rng, inMemory+1000)
	before := tree{
		"a": long, "large": large, "short": "one", "other": noise(rng, 20_000), "gone": noise(rng, 20_000),
		"old": long[:30_000], "secret": long[10_000:],
	}
	after := tree{
		"a": long + "more", "large": large[:inMemory/2] + "new" + large[inMemory/2:], "short": "two", "other": noise(rng, 20_000),
		"new": long[:30_000] + "renamed", "secret": long[10_000:] + "open now", "fresh": long + "of nobody",
	}
	spec := Spec{
		Course: "c", From: 1, To: 2, Base: before.manifest(nil), Manifest: after.manifest(nil), Before: before.fs(),
		Renamed: map[string]string{"new": "old"},
	}
	spec.Manifest.Withdrawn = []Pair{{"secret", digestOf(before["secret"])}}
	x, _, all := read(t, spec, after, before)
	want := map[Digest]Digest{
		digestOf(after["a"]): digestOf(before["a"]), digestOf(after["large"]): digestOf(before["large"]), digestOf(after["new"]): digestOf(before["old"]),
	}
	if got := deltasOf(x); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("deltas of %v; want %v", got, want)
	}
	if len(all) != len(after) {
		t.Errorf("%d contents; want %d", len(all), len(after))
	}
}

// read builds a bundle and gives its contents, once by the whole frames alone.
func read(t *testing.T, s Spec, after, before tree) (x *Index, data []byte, all map[Digest]string) {
	t.Helper()
	b, data := build(t, s, after.fs())
	had, whole := map[Digest]string{}, map[Digest]string{}
	for _, c := range before {
		had[digestOf(c)] = c
	}
	all = map[Digest]string{}
	for _, f := range b.Index.Frames {
		err := ReadFrame(f, bytes.NewReader(data[f.Offset:]), func(d Digest) (Base, error) { return BaseBytes([]byte(had[d])), nil },
			func(it Item, r *Verifier) error {
				data, err := io.ReadAll(r)
				if all[it.Digest] = string(data); f.Kind == Whole {
					whole[it.Digest] = string(data)
				}
				return err
			})
		if err != nil {
			t.Fatalf("%s: %v", f.Kind, err)
		}
	}
	if len(whole) != len(all) {
		t.Errorf("%d contents in whole frames; want all %d", len(whole), len(all))
	}
	return b.Index, data, all
}

// A delta is a saving: where the former content is not at hand, or is another
// than the manifest says, the bundle is the same without it.
func TestStepWithoutTheFormerContents(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	long := noise(rng, 50_000)
	before, after := tree{"a": long}, tree{"a": long + "more"}
	for name, at := range map[string]tree{"gone": {}, "another": {"a": noise(rng, 50_000)}, "cut": {"a": long[:10]}} {
		spec := Spec{Course: "c", From: 1, To: 2, Base: before.manifest(nil), Manifest: after.manifest(nil), Before: at.fs()}
		if x, _, _ := read(t, spec, after, before); len(deltasOf(x)) > 0 {
			t.Errorf("%s: a delta on what was not published", name)
		}
	}
}

// What was written of a delta that was given up is not in the bundle.
func TestGivenUpDeltaLeavesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	before, after := tree{"a": noise(rng, 3<<20)}, tree{"a": noise(rng, 3<<20)}
	with := Spec{Course: "c", From: 1, To: 2, Base: before.manifest(nil), Manifest: after.manifest(nil), Before: before.fs()}
	without := with
	without.Before = nil
	_, a := build(t, with, after.fs())
	_, b := build(t, without, after.fs())
	if !bytes.Equal(a, b) {
		t.Errorf("%d bytes with a delta that gains nothing; %d without", len(a), len(b))
	}
}

func TestBuildWithDeltasLeavesNoFiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	large := noise(rng, inMemory+1)
	before, after := tree{"a": large}, tree{"a": large + "x"}
	dir := t.TempDir()
	b, err := Build(context.Background(), dir, Spec{Course: "c", From: 1, To: 2, Base: before.manifest(nil), Manifest: after.manifest(nil), Before: before.fs()}, after.fs())
	if err != nil {
		t.Fatal(err)
	}
	b.Discard()
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%d temporary files are left", len(left))
	}
}
