package bundle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func deltaFrame(t testing.TB, content, base string) (Frame, []byte) {
	t.Helper()
	var b bytes.Buffer
	if err := WriteDelta(&b, BaseBytes([]byte(content)), BaseBytes([]byte(base)), 1<<30); err != nil {
		t.Fatal(err)
	}
	return Frame{
		Kind: Delta, Length: int64(b.Len()), Size: int64(len(content)), Base: digestOf(base),
		Items: []Item{{digestOf(content), int64(len(content))}},
	}, b.Bytes()
}

func noise(rng *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return string(b)
}

// What is made of a base is the content, and has the bytes of what is new.
func TestDeltaRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	large := noise(rng, 1_000_000)
	for name, c := range map[string]struct {
		base, content string
		most          int
	}{
		"equal":                    {large, large, 30},
		"one place":                {large, large[:500_000] + "one new cell" + large[500_000:], 60},
		"at the beginning":         {large, "new" + large, 40},
		"at the end":               {large, large + "new", 40},
		"the beginning gone":       {large, large[333_333:], 40},
		"the end gone":             {large, large[:333_333], 40},
		"halves swapped":           {large, large[500_001:] + large[:500_001], 60},
		"a part of it much":        {large, strings.Repeat(large[1000:2000], 50), 600},
		"nothing in common":        {large, noise(rng, 900_000), 901_000},
		"much that is new between": {large, large[:1000] + noise(rng, 3*maxLit) + large[1000:], 3*maxLit + 500},
		"empty":                    {large, "", 20},
		"of nothing":               {"", "some text", 40},
		"shorter than a block":     {"abc", "abcd", 30},
		"zeros":                    {strings.Repeat("\x00", 1_000_000), strings.Repeat("\x00", 700_000) + "x" + strings.Repeat("\x00", 900_000), 100},
		"a byte in each thousand":  {large, every(large, 1000), 9000},
	} {
		f, data := deltaFrame(t, c.content, c.base)
		if len(data) > c.most {
			t.Errorf("%s: %d bytes; want at most %d", name, len(data), c.most)
		}
		got, err := readAll(f, bytes.NewReader(data), c.base)
		if err != nil || len(got) != 1 || got[0] != c.content {
			t.Errorf("%s: %d items, %v", name, len(got), err)
		}
	}
}

// every changes a byte in each n.
func every(s string, n int) string {
	b := []byte(s)
	for i := n / 2; i < len(b); i += n {
		b[i]++
	}
	return string(b)
}

// Whatever is done to a content, what comes back is that.
func TestDeltaOfRandomEdits(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 7))
		text := func(n int) string { // few letters, so that blocks are often equal
			b := make([]byte, rng.IntN(n+1))
			for i := range b {
				b[i] = "ab\n"[rng.IntN(1+rng.IntN(3))]
			}
			return string(b)
		}
		base := text(20_000)
		content := base
		for range rng.IntN(6) {
			i := rng.IntN(len(content) + 1)
			j := i + rng.IntN(len(content)-i+1)
			switch rng.IntN(3) {
			case 0:
				content = content[:i] + text(300) + content[j:]
			case 1:
				content = content[:j] + content[i:j] + content[j:]
			default:
				content = content[j:] + content[:i]
			}
		}
		f, data := deltaFrame(t, content, base)
		got, err := readAll(f, bytes.NewReader(data), base)
		if err != nil || got[0] != content {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func TestDeltaIsGivenUpWhereNothingIsGained(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	w := &counter{w: io.Discard}
	err := WriteDelta(w, BaseBytes([]byte(noise(rng, 5<<20))), BaseBytes([]byte(noise(rng, 5<<20))), 100_000)
	if !errors.Is(err, ErrNoGain) || w.n > 100_000 {
		t.Errorf("%v after %d bytes", err, w.n)
	}
}

// A former content of which blocks have one hash and different bytes does not
// keep a publish busy for ever.
func TestDeltaGivesUpOnManyFalseHits(t *testing.T) {
	d := &differ{base: newView(BaseBytes(make([]byte, 100))), content: newView(BaseBytes(make([]byte, 100))), block: minBlock, misses: maxMisses}
	if _, _, _, err := d.extend(0, 0, 0, []byte(strings.Repeat("x", minBlock))); !errors.Is(err, ErrNoGain) {
		t.Error(err)
	}
}

func TestDeltaOnAnotherBaseIsCorrupt(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	base := noise(rng, 100_000)
	f, data := deltaFrame(t, base[:50_000]+"new"+base[50_000:], base)
	for name, other := range map[string]string{"shorter": base[:1000], "shifted": base[1:] + "x", "none": ""} {
		if _, err := readAll(f, bytes.NewReader(data), other); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	gone := errors.New("no longer on this disk")
	err := ReadFrame(f, bytes.NewReader(data), func(Digest) (Base, error) { return nil, gone }, nil)
	if !errors.Is(err, gone) || errors.Is(err, ErrCorrupt) {
		t.Errorf("without the base: %v", err)
	}
	for n := range data {
		if _, err := readAll(f, bytes.NewReader(data[:n]), base); !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut after %d of %d bytes: %v; want io.ErrUnexpectedEOF", n, len(data), err)
		}
	}
}

func TestHostileInstructions(t *testing.T) {
	base := strings.Repeat("0123456789", 100)
	ops := func(parts ...any) []byte {
		var b []byte
		for _, p := range parts {
			switch p := p.(type) {
			case string:
				b = append(binary.AppendUvarint(b, uint64(len(p))), p...)
			case uint64:
				b = binary.AppendUvarint(b, p)
			case int:
				b = binary.AppendVarint(b, int64(p))
			}
		}
		return b
	}
	for name, c := range map[string]struct {
		ops  []byte
		size int64
	}{
		"a run past the end":          {ops("", uint64(20), 990), 20},
		"a run before the beginning":  {ops("", uint64(20), -1), 20},
		"too many runs":               {ops(append([]any{strings.Repeat("x", 160)}, slices.Repeat([]any{uint64(1), 5, ""}, freeRuns+16)...)...), 160 + freeRuns + 16},
		"a run longer than the item":  {ops("", uint64(21), 0), 20},
		"more bytes than the item":    {ops(strings.Repeat("x", 21)), 20},
		"instructions for nothing":    {ops("", uint64(0), "", uint64(0), strings.Repeat("x", 20)), 20},
		"no instruction":              {nil, 20},
		"bytes that do not come":      {binary.AppendUvarint(nil, 20), 20},
		"an offset that is no number": {append(ops("", uint64(20)), bytes.Repeat([]byte{0xff}, 11)...), 20},
		"a length that is no number":  {bytes.Repeat([]byte{0xff}, 11), 20},
		"an offset out of the world":  {append(ops("", uint64(20)), binary.AppendVarint(nil, -1<<63)...), 20},
		"an offset far away":          {append(ops("", uint64(20)), binary.AppendVarint(nil, 1<<63-1)...), 20},
	} {
		var data bytes.Buffer
		_ = Compress(&data, bytes.NewReader(c.ops))
		f := Frame{Kind: Delta, Length: int64(data.Len()), Size: c.size, Base: digestOf(base), Items: []Item{{digestOf("?"), c.size}}}
		if got, err := readAll(f, &data, base); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %q, %v; want ErrCorrupt", name, got, err)
		}
	}
}

func BenchmarkDelta(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{30_000, 300_000, 4_000_000, 50_000_000} {
		base := noise(rng, size)
		content := base[:size/3] + noise(rng, size/20) + base[size/3+size/20:]
		f, data := deltaFrame(b, content, base)
		b.Run(fmt.Sprintf("make %d", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportMetric(float64(len(data)), "frame-bytes")
			for b.Loop() {
				_ = WriteDelta(io.Discard, BaseBytes([]byte(content)), BaseBytes([]byte(base)), 1<<30)
			}
		})
		b.Run(fmt.Sprintf("follow %d", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				_ = ReadFrame(f, bytes.NewReader(data), func(Digest) (Base, error) { return BaseBytes([]byte(base)), nil },
					func(_ Item, r *Verifier) error { _, err := io.Copy(io.Discard, r); return err })
			}
		})
	}
}
