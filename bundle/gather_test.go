package bundle

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"testing"
)

// stored is a bundle in memory; reads counts the bytes that were opened.
func stored(t testing.TB, data []byte) Stored {
	t.Helper()
	x, err := ReadIndex(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return Stored{x, func(_ context.Context, off, n int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data[off:min(int64(len(data)), off+n)])), nil
	}}
}

func gather(t testing.TB, s Spec, from ...Stored) (*Index, []byte, error) {
	t.Helper()
	dir := t.TempDir()
	b, err := Gather(t.Context(), dir, s, from)
	if err != nil {
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%d files are left", len(left))
		}
		return nil, nil, err
	}
	defer b.Discard()
	data, err := os.ReadFile(b.File.Name())
	if err != nil || int64(len(data)) != b.Size || Sum(data) != b.Digest {
		t.Fatalf("%v, %d bytes", err, len(data))
	}
	return b.Index, data, nil
}

// course is a full bundle and a step: some small files, three large ones.
func courseOf(t testing.TB) (before, after tree, full, step Stored, spec Spec) {
	rng := rand.New(rand.NewPCG(1, 2))
	before = tree{"large": noise(rng, 600_000), "other": noise(rng, 400_000), "gone": noise(rng, 500_000)}
	for i := range 40 {
		before["small/"+string(rune('a'+i%26))+string(rune('a'+i/26))] = noise(rng, 50_000)
	}
	after = maps.Clone(before)
	delete(after, "gone")
	after["large"] = before["large"][:300_000] + "new" + before["large"][300_000:]
	after["small/aa"] += "new"
	h, _ := History{}.Add(before.formers()...)
	all, added := h.Add(after.formers()...)
	first := Spec{Course: "c", Channel: "a", To: 1, Manifest: before.manifest(h), Former: h}
	_, data := build(t, first, before.fs())
	second := Spec{Course: "c", Channel: "a", From: 1, To: 2, Base: first.Manifest, Manifest: after.manifest(all), Former: added, Before: before.fs()}
	_, stepData := build(t, second, after.fs())
	return before, after, stored(t, data), stored(t, stepData), Spec{Course: "c", Channel: "a", To: 2, Manifest: second.Manifest, Former: all}
}

// A full bundle of stored ones is as good as one of the files, and what can be
// copied is not compressed again.
func TestGatheredBundle(t *testing.T) {
	_, after, full, step, spec := courseOf(t)
	x, data, err := gather(t, spec, step, full)
	if err != nil {
		t.Fatal(err)
	}
	_, got := contentsOf(t, data)
	if len(got) != len(after) {
		t.Errorf("%d contents of %d", len(got), len(after))
	}
	for path, text := range after {
		if got[digestOf(text)] != text {
			t.Errorf("%s is not what it was", path)
		}
	}
	m, err := Compose(nil, x)
	if err != nil || m.Digest() != spec.Manifest.Digest() || x.Former.Digest() != spec.Former.Digest() {
		t.Errorf("%v", err)
	}
	whole, same := 0, 0
	for _, f := range full.Index.Frames {
		for _, c := range x.Frames {
			if c.Length == f.Length && c.Size == f.Size && c.Items[0] == f.Items[0] {
				same++
			}
		}
		whole++
	}
	if same != whole-3 { // without large's, gone's and the one of small/aa
		t.Errorf("%d of %d frames were copied", same, whole)
	}
}

func TestGatherOnlyTakesWhatIsRight(t *testing.T) {
	_, _, full, step, spec := courseOf(t)
	if _, _, err := gather(t, spec, full); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a content that nobody has: %v", err)
	}
	for name, frame := range map[string]*Frame{"copied": &full.Index.Frames[1], "compressed anew": &full.Index.Frames[0]} {
		f := *frame
		bad := Stored{full.Index, func(ctx context.Context, off, n int64) (io.ReadCloser, error) {
			r, err := full.Open(ctx, off, n)
			if off == f.Offset {
				data, _ := io.ReadAll(r)
				data[n/2]++
				r = io.NopCloser(bytes.NewReader(data))
			}
			return r, err
		}}
		if _, _, err := gather(t, spec, step, bad); !errors.Is(err, ErrCorrupt) {
			t.Errorf("damaged, %s: %v", name, err)
		}
	}
	gone := errors.New("the store is away")
	away := Stored{full.Index, func(context.Context, int64, int64) (io.ReadCloser, error) { return nil, gone }}
	if _, _, err := gather(t, spec, step, away); !errors.Is(err, gone) {
		t.Errorf("away: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Gather(ctx, t.TempDir(), spec, []Stored{step, full}); !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
}

// A slim bundle says the same, and has the deltas, or nothing.
func TestSlimBundle(t *testing.T) {
	before, after, _, step, _ := courseOf(t)
	for _, deltas := range []bool{true, false} {
		b, err := Slim(t.Context(), t.TempDir(), step, deltas)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Discard()
		data, _ := os.ReadFile(b.File.Name())
		x, err := ReadIndex(bytes.NewReader(data))
		if err != nil || x.Manifest != step.Index.Manifest || x.Base != step.Index.Base || len(x.Changes.Set) != len(step.Index.Changes.Set) || x.Former.Digest() != step.Index.Former.Digest() {
			t.Fatalf("%+v, %v", x, err)
		}
		if !deltas {
			if len(x.Frames) > 0 || len(data) > 1000 {
				t.Errorf("%d frames, %d bytes", len(x.Frames), len(data))
			}
			continue
		}
		if len(x.Frames) != 2 {
			t.Fatalf("%d frames", len(x.Frames))
		}
		for _, f := range x.Frames {
			path := "large"
			if f.Base == digestOf(before["small/aa"]) {
				path = "small/aa"
			}
			got, err := readAll(f, bytes.NewReader(data[f.Offset:]), before[path])
			if err != nil || got[0] != after[path] {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}
