package bundle

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

func scriptOf(t testing.TB, content, base string) *Script {
	t.Helper()
	f, data := deltaFrame(t, content, base)
	s, err := ReadScript(f, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// joined is what the deltas from each content to the next become.
func joined(t testing.TB, contents ...string) *Script {
	t.Helper()
	s := scriptOf(t, contents[1], contents[0])
	for i := 2; i < len(contents); i++ {
		next, err := scriptOf(t, contents[i], contents[i-1]).On(s)
		if err != nil {
			t.Fatal(err)
		}
		s = next
	}
	return s
}

func (s *Script) frame(t testing.TB, content, base string) (Frame, []byte) {
	t.Helper()
	var b bytes.Buffer
	if err := s.Write(&b, 1<<30); err != nil {
		t.Fatal(err)
	}
	return Frame{Kind: Delta, Length: int64(b.Len()), Size: int64(len(content)), Base: digestOf(base), Items: []Item{{digestOf(content), int64(len(content))}}}, b.Bytes()
}

// edit changes, inserts and takes away at one place.
func edit(rng *rand.Rand, s string, most int) string {
	i := rng.IntN(len(s) + 1)
	j := min(len(s), i+rng.IntN(most))
	return s[:i] + noise(rng, rng.IntN(most)) + s[j:]
}

// Deltas joined make the last content of the first, whatever was done between.
func TestJoinedDeltas(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		contents := []string{noise(rng, rng.IntN(30_000))}
		for range 1 + rng.IntN(12) {
			next := contents[len(contents)-1]
			for range rng.IntN(3) {
				next = edit(rng, next, 2000)
			}
			contents = append(contents, next)
		}
		first, last := contents[0], contents[len(contents)-1]
		f, data := joined(t, contents...).frame(t, last, first)
		got, err := readAll(f, bytes.NewReader(data), first)
		if err != nil || len(got) != 1 || got[0] != last {
			t.Fatalf("seed %d: %d items, %v", seed, len(got), err)
		}
	}
}

// Thirty steps cost about what the direct difference costs, and nothing is
// left in them of what came and went between.
func TestJoinedDeltasAreAsSmallAsADirectOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	contents := []string{noise(rng, 300_000)}
	secret := noise(rng, 500)
	for i := range 30 {
		s := contents[len(contents)-1]
		at := 1000 + 8000*i
		s = s[:at] + noise(rng, 200) + s[at+200:]
		switch i {
		case 10:
			s = secret + s
		case 20:
			s = s[len(secret):]
		}
		contents = append(contents, s)
	}
	first, last := contents[0], contents[30]
	f, data := joined(t, contents...).frame(t, last, first)
	direct, _ := deltaFrame(t, last, first)
	if f.Length > direct.Length*11/10 {
		t.Errorf("%d bytes; the direct difference has %d", f.Length, direct.Length)
	}
	_ = Decompress(bytes.NewReader(data), 1<<20, func(r io.Reader) error {
		plain, _ := io.ReadAll(r)
		if bytes.Contains(plain, []byte(secret[:100])) {
			t.Error("a content between is in it")
		}
		return nil
	})
}

func TestDeltasThatCannotBeJoined(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	long, short := noise(rng, 10_000), noise(rng, 100)
	if _, err := scriptOf(t, long+"x", long).On(scriptOf(t, short+"x", short)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("on another content: %v", err)
	}
	big := noise(rng, 3<<20)
	s := scriptOf(t, "a"+big, "")
	for range 20 {
		next := &Script{size: 2 * s.size}
		next.parts = []scriptPart{{part: part{n: s.size, run: true}, ends: s.size}, {part: part{n: s.size, run: true}, ends: 2 * s.size}}
		joined, err := next.On(s)
		if err != nil {
			if !errors.Is(err, ErrNoGain) {
				t.Error(err)
			}
			return
		}
		if s = joined; s.cost > maxScript {
			t.Fatalf("%d bytes of memory", s.cost)
		}
	}
	w := &counter{w: io.Discard}
	if err := s.Write(w, 1<<20); !errors.Is(err, ErrNoGain) || w.n > 1<<20 {
		t.Errorf("a large one written: %v after %d bytes", err, w.n)
	}
}

// A script never has more runs than a reader takes.
func TestJoinedDeltaOfManyRuns(t *testing.T) {
	s := &Script{}
	for i := range int64(1000) {
		if err := s.add(part{1, true, 10 * i}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Write(io.Discard, 1<<20); !errors.Is(err, ErrNoGain) {
		t.Error(err)
	}
}

func FuzzReadScript(f *testing.F) {
	frame, data := deltaFrame(f, "the new content, which is a little longer", "the content, which is a little longer")
	f.Add(data, frame.Size)
	f.Fuzz(func(t *testing.T, data []byte, size int64) {
		if size < 0 || size > 1<<20 {
			return
		}
		fr := Frame{Kind: Delta, Length: int64(len(data)), Size: size, Base: digestOf("b"), Items: []Item{{digestOf("c"), size}}}
		s, err := ReadScript(fr, bytes.NewReader(data))
		if err != nil {
			return
		}
		if s.size != size || s.cost > maxScript {
			t.Errorf("%d bytes of %d, %d of memory", s.size, size, s.cost)
		}
		if err := s.Write(io.Discard, 1<<30); err != nil && !errors.Is(err, ErrNoGain) {
			t.Error(err)
		}
	})
}
