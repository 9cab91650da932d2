package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
)

func wholeFrame(t testing.TB, contents ...string) (Frame, []byte) {
	t.Helper()
	var b bytes.Buffer
	if err := Compress(&b, strings.NewReader(strings.Join(contents, ""))); err != nil {
		t.Fatal(err)
	}
	f := Frame{Kind: Whole, Length: int64(b.Len())}
	for _, c := range contents {
		f.Items = append(f.Items, Item{digestOf(c), int64(len(c))})
		f.Size += int64(len(c))
	}
	return f, b.Bytes()
}

func patchFrame(t testing.TB, content, base string) (Frame, []byte) {
	t.Helper()
	e, err := zstd.NewWriter(nil, zstd.WithEncoderDictRaw(1, []byte(base)))
	if err != nil {
		t.Fatal(err)
	}
	data := e.EncodeAll([]byte(content), nil)
	return Frame{
		Kind: Patch, Length: int64(len(data)), Size: int64(len(content)), Base: digestOf(base),
		Items: []Item{{digestOf(content), int64(len(content))}},
	}, data
}

// readAll gives what a frame holds; base is the one former content at hand.
func readAll(f Frame, r io.Reader, base string) (got []string, err error) {
	err = ReadFrame(f, r, func(Digest) (Base, error) { return BaseBytes([]byte(base)), nil }, func(it Item, r *Verifier) error {
		data, err := io.ReadAll(r)
		got = append(got, string(data))
		return err
	})
	return got, err
}

func TestFrameRoundTrip(t *testing.T) {
	contents := []string{"one", "", strings.Repeat("two ", 1000), "", "three"}
	f, data := wholeFrame(t, contents...)
	for name, r := range map[string]io.Reader{
		"at once":              bytes.NewReader(data),
		"byte by byte":         iotest.OneByteReader(bytes.NewReader(data)),
		"more follows":         io.MultiReader(bytes.NewReader(data), strings.NewReader("the next frame")),
		"last bytes with EOF":  iotest.DataErrReader(bytes.NewReader(data)),
		"a buffer in one pass": bytes.NewBuffer(bytes.Clone(data)),
	} {
		got, err := readAll(f, r, "")
		if err != nil || fmt.Sprint(got) != fmt.Sprint(contents) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestPatchRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 300_000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	base := string(noise)
	content := base[:100_000] + "one new cell" + base[100_000:]
	f, data := patchFrame(t, content, base)
	if len(data) > 1000 {
		t.Errorf("a patch of one cell has %d bytes", len(data))
	}
	got, err := readAll(f, bytes.NewReader(data), base)
	if err != nil || len(got) != 1 || got[0] != content {
		t.Fatalf("%d items, %v", len(got), err)
	}
	if _, err := readAll(f, bytes.NewReader(data), base[1:]); !errors.Is(err, ErrCorrupt) {
		t.Errorf("on another base: %v", err)
	}
	gone := errors.New("no longer on this disk")
	err = ReadFrame(f, bytes.NewReader(data), func(Digest) (Base, error) { return nil, gone }, nil)
	if !errors.Is(err, gone) || errors.Is(err, ErrCorrupt) {
		t.Errorf("without the base: %v", err)
	}
}

func TestUnknownKindOfFrameIsSaidAndNothingIsRead(t *testing.T) {
	f, data := wholeFrame(t, "content")
	for _, kind := range []Kind{"sliced", "delta2", ""} {
		f.Kind = kind
		r := bytes.NewReader(data)
		if got, err := readAll(f, r, ""); !errors.Is(err, ErrKind) || errors.Is(err, ErrCorrupt) || len(got) > 0 {
			t.Errorf("%q: %q, %v; want ErrKind", kind, got, err)
		}
		if r.Len() != len(data) {
			t.Errorf("%q: %d bytes were read", kind, len(data)-r.Len())
		}
	}
}

func TestDamagedFrameIsCorrupt(t *testing.T) {
	text := strings.Repeat("some course text ", 500)
	f, data := wholeFrame(t, text, "second")
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 0x10
		got, err := readAll(f, bytes.NewReader(bad), "")
		if err == nil {
			// Bits that say nothing of the content may differ.
			if len(got) != 2 || got[0] != text || got[1] != "second" {
				t.Fatalf("byte %d: other content and no error", i)
			}
			continue
		}
		if !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d: %v; want ErrCorrupt", i, err)
		}
	}
}

// A broken connection is not corruption: what was read so far stays good, and
// the caller goes on where it stopped.
func TestCutFrameIsNotCorrupt(t *testing.T) {
	f, data := wholeFrame(t, strings.Repeat("x", 100_000))
	for n := range data {
		if _, err := readAll(f, bytes.NewReader(data[:n]), ""); !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut after %d of %d bytes: %v; want io.ErrUnexpectedEOF", n, len(data), err)
		}
	}
	reset := errors.New("connection reset")
	r := io.MultiReader(bytes.NewReader(data[:len(data)/2]), iotest.ErrReader(reset))
	if _, err := readAll(f, r, ""); !errors.Is(err, reset) || errors.Is(err, ErrCorrupt) {
		t.Errorf("%v; want the connection's error", err)
	}
	full := errors.New("disk full")
	err := ReadFrame(f, bytes.NewReader(data), nil, func(Item, *Verifier) error { return full })
	if !errors.Is(err, full) || errors.Is(err, ErrCorrupt) {
		t.Errorf("%v; want the error of place", err)
	}
}

func TestFrameWithOtherItemsIsCorrupt(t *testing.T) {
	f, data := wholeFrame(t, "aaaa", "bbbb")
	for name, change := range map[string]func(*Frame){
		"items swapped":         func(f *Frame) { f.Items[0], f.Items[1] = f.Items[1], f.Items[0] },
		"boundary moved":        func(f *Frame) { f.Items[0].Size, f.Items[1].Size = 5, 3 },
		"less than there is":    func(f *Frame) { f.Items = f.Items[:1]; f.Size = 4; f.Items[0].Digest = digestOf("aaaabbbb") },
		"more than there is":    func(f *Frame) { f.Items[1].Size, f.Size = 40, 44 },
		"sum is another":        func(f *Frame) { f.Size = 9 },
		"sum overflows":         func(f *Frame) { f.Items[0].Size = 1 << 62; f.Size = 1 << 62 },
		"negative size":         func(f *Frame) { f.Items[0].Size, f.Items[1].Size = -4, 12 },
		"no items":              func(f *Frame) { f.Items, f.Size = nil, 0 },
		"zero digest":           func(f *Frame) { f.Items[1].Digest = Digest{} },
		"offset and length add": func(f *Frame) { f.Offset, f.Length = MaxBundleSize, 1 },
		"negative length":       func(f *Frame) { f.Length = -1 },
		"delta of two":          func(f *Frame) { f.Kind, f.Base = Delta, digestOf("base") },
		"delta without a base":  func(f *Frame) { f.Kind, f.Items, f.Size = Delta, f.Items[:1], 4 },
		"patch of two":          func(f *Frame) { f.Kind, f.Base = Patch, digestOf("base") },
		"patch without a base":  func(f *Frame) { f.Kind, f.Items, f.Size = Patch, f.Items[:1], 4 },
	} {
		bad := f
		bad.Items = append([]Item(nil), f.Items...)
		change(&bad)
		if got, err := readAll(bad, bytes.NewReader(data), ""); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %q, %v; want ErrCorrupt", name, got, err)
		}
	}
}

// bomb is a small zstd stream that gives very many zeros.
func bomb(t testing.TB, size int64) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Compress(&b, io.LimitReader(zeros{}, size)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// allocated is how many bytes f asked for.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestBombInAFrameStopsAtTheAnnouncedSize(t *testing.T) {
	data := bomb(t, 1<<30)
	t.Logf("1 GiB in %d bytes", len(data))
	f := Frame{Kind: Whole, Length: int64(len(data)), Size: 1000, Items: []Item{{digestOf("x"), 1000}}}
	for name, r := range map[string]io.Reader{"stream": bytes.NewReader(data), "buffer": bytes.NewBuffer(bytes.Clone(data))} {
		n := allocated(func() {
			if _, err := readAll(f, r, ""); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: %v; want ErrCorrupt", name, err)
			}
		})
		if n > 64<<20 {
			t.Errorf("%s: %d MB were allocated", name, n>>20)
		}
	}
}

func TestDecompressSaysSoWhenThereIsMore(t *testing.T) {
	data := bomb(t, 5000)
	for limit, want := range map[int64]error{4999: ErrCorrupt, 5000: nil, 5001: nil, 0: ErrCorrupt} {
		err := Decompress(bytes.NewReader(data), limit, func(r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			return err
		})
		if !errors.Is(err, want) {
			t.Errorf("limit %d: %v; want %v", limit, err, want)
		}
	}
}

func TestWindowPastTheLimitIsRefused(t *testing.T) {
	var b bytes.Buffer
	e, err := zstd.NewWriter(&b, zstd.WithWindowSize(512<<20))
	if err != nil {
		t.Fatal(err)
	}
	big := strings.NewReader(strings.Repeat("x", 1<<20))
	if _, err := io.Copy(e, io.MultiReader(big, bytes.NewReader(make([]byte, 1<<20)))); err != nil {
		t.Fatal(err)
	}
	e.Close()
	err = Decompress(&b, 4<<20, func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err })
	if !errors.Is(err, ErrCorrupt) {
		t.Errorf("%v; want ErrCorrupt for a window of 512 MiB", err)
	}
}

// An error in one stream must not show in the next one that the pooled coder
// reads or writes.
func TestPooledCodersForgetErrors(t *testing.T) {
	for range 4 {
		_ = Compress(io.Discard, iotest.ErrReader(errors.New("disk")))
		_ = Decompress(strings.NewReader("no zstd at all"), 10, func(r io.Reader) error { _, err := io.ReadAll(r); return err })
		f, data := wholeFrame(t, "fine")
		if got, err := readAll(f, bytes.NewReader(data), ""); err != nil || got[0] != "fine" {
			t.Fatalf("%q, %v", got, err)
		}
	}
}
