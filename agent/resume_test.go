package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/hook"
)

var fast = backoff{first: time.Microsecond, most: time.Millisecond}

// cutAfter gives at most n bytes, then the network's end.
func cutAfter(r io.Reader, n int64) io.ReadCloser {
	return io.NopCloser(io.MultiReader(io.LimitReader(r, n), errReader{}))
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func bigBytes(n int) []byte {
	data := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(data)
	return data
}

func TestFrameCutEveryFewBytesIsResumedAtTheByte(t *testing.T) {
	data := bigBytes(3 << 20)
	opens := 0
	f := &frameBytes{ctx: t.Context(), r: cutAfter(bytes.NewReader(data), 100_000), end: int64(len(data)), wait: fast}
	f.open = func(_ context.Context, off int64) (io.ReadCloser, error) {
		opens++
		if opens%3 == 0 {
			return nil, errors.New("connection refused") // and now and then it does not come up at once
		}
		return cutAfter(bytes.NewReader(data[off:]), 100_000), nil
	}
	got, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d of %d bytes, %v", len(got), len(data), err)
	}
	if opens < 25 {
		t.Errorf("opened %d times", opens)
	}
}

func TestFrameGivesUpWhenNothingComesAnyMore(t *testing.T) {
	data := bigBytes(1 << 20)
	opens := 0
	f := &frameBytes{ctx: t.Context(), r: cutAfter(bytes.NewReader(data), 10), end: int64(len(data)), wait: fast}
	f.open = func(context.Context, int64) (io.ReadCloser, error) {
		opens++
		return cutAfter(nil, 0), nil
	}
	_, err := io.ReadAll(f)
	var b *broken
	if !errors.As(err, &b) || opens > 2*maxIdleTries {
		t.Fatalf("after %d tries: %v", opens, err)
	}
}

func TestFrameOfAVanishedBundleIsAskedAnew(t *testing.T) {
	f := &frameBytes{ctx: t.Context(), r: cutAfter(bytes.NewReader(make([]byte, 10)), 10), end: 1 << 20, wait: fast}
	f.open = func(context.Context, int64) (io.ReadCloser, error) { return nil, &hook.Error{Status: 404} }
	if _, err := io.ReadAll(f); !errors.Is(err, errAnew) {
		t.Fatal(err)
	}
}

func TestFrameWithoutAnAddressIsNotResumed(t *testing.T) {
	f := &frameBytes{ctx: t.Context(), r: cutAfter(bytes.NewReader(make([]byte, 10)), 10), end: 1 << 20, wait: fast}
	_, err := io.ReadAll(f)
	var b *broken
	if !errors.As(err, &b) {
		t.Fatal(err)
	}
}

func TestFramesNotWorthTaking(t *testing.T) {
	wanted, other := bundle.Sum([]byte("a")), bundle.Sum([]byte("b"))
	want := map[bundle.Digest]bundle.Item{wanted: {Digest: wanted, Size: 100}}
	frame := func(length int64, items ...bundle.Item) bundle.Frame {
		f := bundle.Frame{Kind: bundle.Whole, Length: length, Items: items}
		for _, it := range items {
			f.Size += it.Size
		}
		return f
	}
	for name, c := range map[string]struct {
		f    bundle.Frame
		take bool
	}{
		"wanted":                           {frame(50, bundle.Item{Digest: wanted, Size: 100}), true},
		"with a neighbour":                 {frame(500, bundle.Item{Digest: other, Size: 900}, bundle.Item{Digest: wanted, Size: 100}), true},
		"another":                          {frame(50, bundle.Item{Digest: other, Size: 100}), false},
		"endless data: padded":             {frame(1<<30, bundle.Item{Digest: wanted, Size: 100}), false},
		"endless data: a huge neighbour":   {frame(1000, bundle.Item{Digest: other, Size: 1 << 30}, bundle.Item{Digest: wanted, Size: 100}), false},
		"the same digest in another size":  {frame(50, bundle.Item{Digest: wanted, Size: 101}), false},
		"endless data: a bomb of one item": {frame(1000, bundle.Item{Digest: wanted, Size: 1 << 30}), false},
	} {
		if got := wantsFrame(c.f, want); got != c.take {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestBackoffGrowsToItsMost(t *testing.T) {
	b := defaultBackoff
	for n := range 60 {
		d := b.after(n)
		if d < b.first/2 || d > b.most {
			t.Fatalf("after %d failures: %s", n, d)
		}
		if n > 20 && d < b.most/2 {
			t.Fatalf("after %d failures only %s", n, d)
		}
	}
}
