// Package storetest owns the contract of store.Store: one suite that every
// implementation passes, and stores that fail on purpose (Faulty) for those
// who build on one.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"satchel/store"
)

// Contract runs the suite. open gives a store of its own, and empty, to each
// test.
func Contract(t *testing.T, open func(t *testing.T) store.Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, store.Store)
	}{
		{"put, get, head, delete", testBasics},
		{"an absent key", testAbsent},
		{"an empty and a big object", testSizes},
		{"ranges", testRanges},
		{"put if absent", testPutIfAbsent},
		{"compare and swap", testSwap},
		{"etags", testETags},
		{"the body is read from its beginning and not closed", testBody},
		{"list in order", testListOrder},
		{"list after a key, and broken off", testListAfter},
		{"list past a page", testListPages},
		{"keys that would escape", testBadKeys},
		{"a cancelled context", testCancelled},
		{"race: put if absent", testRacePut},
		{"race: compare and swap", testRaceSwap},
		{"race: a reader sees whole objects", testRaceRead},
		{"record: swap", testSwapRecord},
		{"record: faults in pairs", testSwapFaults},
		{"record: swap whose caller gave up", testSwapCancelled},
		{"conditions are honoured", testConditions},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

func put(t *testing.T, s store.Store, key, data string) {
	t.Helper()
	if err := s.Put(t.Context(), key, strings.NewReader(data)); err != nil {
		t.Fatalf("Put %s: %v", key, err)
	}
}

// get gives the whole object, and fails when its description does not fit.
func get(t *testing.T, s store.Store, key string) string {
	t.Helper()
	r, o, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("Get %s: %v", key, err)
	}
	data, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		t.Fatalf("Get %s: %v", key, err)
	}
	if o.Key != key || o.Size != int64(len(data)) || o.ETag == "" || o.Modified.IsZero() {
		t.Errorf("Get %s: %d bytes are described as %+v", key, len(data), o)
	}
	return string(data)
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v; want %v", what, err, want)
	}
}

func keys(t *testing.T, s store.Store, prefix, after string) []string {
	t.Helper()
	var out []string
	for o, err := range s.List(t.Context(), prefix, after) {
		if err != nil {
			t.Fatalf("List %q after %q: %v", prefix, after, err)
		}
		out = append(out, o.Key)
	}
	return out
}

func wantKeys(t *testing.T, s store.Store, prefix, after string, want ...string) {
	t.Helper()
	if got := keys(t, s, prefix, after); !slices.Equal(got, want) {
		t.Errorf("List %q after %q:\n got %q\nwant %q", prefix, after, got, want)
	}
}

func testBasics(t *testing.T, s store.Store) {
	ctx := t.Context()
	put(t, s, "courses/scala101/record", "one")
	put(t, s, "courses/scala101/record", "second")
	if got := get(t, s, "courses/scala101/record"); got != "second" {
		t.Errorf("Put over an object: got %q", got)
	}
	o, err := s.Head(ctx, "courses/scala101/record")
	if err != nil || o.Size != 6 || o.Key != "courses/scala101/record" || o.ETag == "" {
		t.Errorf("Head: %+v, %v", o, err)
	}
	for range 2 { // the second time it is absent
		if err := s.Delete(ctx, "courses/scala101/record"); err != nil {
			t.Errorf("Delete: %v", err)
		}
	}
	_, err = s.Head(ctx, "courses/scala101/record")
	wantErr(t, "Head after Delete", err, store.ErrNotFound)
	wantKeys(t, s, "", "")
	put(t, s, "courses/scala101/record", "again") // its folders are gone with it
}

func testAbsent(t *testing.T, s store.Store) {
	ctx := t.Context()
	put(t, s, "a/b/c", "x")
	for _, key := range []string{"absent", "a", "a/b", "a/b/d", "a/b/c/d"} {
		_, err := s.Head(ctx, key)
		wantErr(t, "Head "+key, err, store.ErrNotFound)
		_, _, err = s.Get(ctx, key)
		wantErr(t, "Get "+key, err, store.ErrNotFound)
		_, _, err = s.GetRange(ctx, key, 0, 1)
		wantErr(t, "GetRange "+key, err, store.ErrNotFound)
		if err := s.Delete(ctx, key); err != nil {
			t.Errorf("Delete %s: %v", key, err)
		}
	}
	if got := get(t, s, "a/b/c"); got != "x" {
		t.Errorf("after all that a/b/c holds %q", got)
	}
	wantKeys(t, s, "absent/", "")
}

// noise is size bytes that no two offsets share for long.
func noise(size int) []byte {
	out := make([]byte, size)
	x := uint32(1)
	for i := range out {
		x = x*1664525 + 1013904223
		out[i] = byte(x >> 24)
	}
	return out
}

func testSizes(t *testing.T, s store.Store) {
	put(t, s, "sizes/empty", "")
	if got := get(t, s, "sizes/empty"); got != "" {
		t.Errorf("empty object gives %q", got)
	}
	big := noise(24 << 20)
	put(t, s, "sizes/big", string(big))
	if got := get(t, s, "sizes/big"); got != string(big) {
		t.Errorf("big object: %d bytes came back changed", len(got))
	}
}

func testRanges(t *testing.T, s store.Store) {
	data := noise(100_000)
	put(t, s, "r/object", string(data))
	for _, c := range []struct{ offset, length int64 }{
		{0, 1}, {0, 100_000}, {1, 99_999}, {99_999, 1}, {70_000, 20_000}, {5, 0}, {100_000, 0},
	} {
		r, o, err := s.GetRange(t.Context(), "r/object", c.offset, c.length)
		if err != nil {
			t.Errorf("GetRange %v: %v", c, err)
			continue
		}
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || !bytes.Equal(got, data[c.offset:c.offset+c.length]) {
			t.Errorf("GetRange %v: %d wrong bytes, %v", c, len(got), err)
		}
		if o.Size != int64(len(data)) {
			t.Errorf("GetRange %v: Size %d is not the whole's", c, o.Size)
		}
	}
	for _, c := range []struct{ offset, length int64 }{
		{0, 100_001}, {99_999, 2}, {100_000, 1}, {100_001, 0}, {-1, 5}, {5, -1}, {1 << 62, 1 << 62},
	} {
		r, _, err := s.GetRange(t.Context(), "r/object", c.offset, c.length)
		if err == nil {
			r.Close()
			t.Errorf("GetRange %v beyond the end: no error", c)
		} else if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("GetRange %v: error %v says something else", c, err)
		}
	}
}

func testPutIfAbsent(t *testing.T, s store.Store) {
	ctx := t.Context()
	if err := s.PutIfAbsent(ctx, "p/object", strings.NewReader("first")); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "second PutIfAbsent", s.PutIfAbsent(ctx, "p/object", strings.NewReader("second")), store.ErrExists)
	if got := get(t, s, "p/object"); got != "first" {
		t.Errorf("the refused write is there: %q", got)
	}
	if err := s.Delete(ctx, "p/object"); err != nil {
		t.Fatal(err)
	}
	if err := s.PutIfAbsent(ctx, "p/object", strings.NewReader("third")); err != nil {
		t.Errorf("PutIfAbsent after Delete: %v", err)
	}
}

func testSwap(t *testing.T, s store.Store) {
	ctx := t.Context()
	first, err := s.CompareAndSwap(ctx, "c/record", "", []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.CompareAndSwap(ctx, "c/record", "", []byte("one"))
	wantErr(t, "swap of an object that should be absent", err, store.ErrChanged)
	second, err := s.CompareAndSwap(ctx, "c/record", first, []byte("two"))
	if err != nil || second == first {
		t.Fatalf("swap: etag %q after %q, %v", second, first, err)
	}
	_, err = s.CompareAndSwap(ctx, "c/record", first, []byte("three"))
	wantErr(t, "swap with a former etag", err, store.ErrChanged)
	_, err = s.CompareAndSwap(ctx, "c/absent", second, []byte("four"))
	wantErr(t, "swap of an absent object", err, store.ErrChanged)
	if got := get(t, s, "c/record"); got != "two" {
		t.Errorf("after refused swaps: %q", got)
	}
	wantKeys(t, s, "c/", "", "c/record")
}

func testETags(t *testing.T, s store.Store) {
	ctx := t.Context()
	tag, err := s.CompareAndSwap(ctx, "e/object", "", []byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.Head(ctx, "e/object")
	if err != nil || o.ETag != tag {
		t.Errorf("Head: etag %q, %v; the swap gave %q", o.ETag, err, tag)
	}
	r, o, err := s.GetRange(ctx, "e/object", 1, 2)
	if err != nil || o.ETag != tag && o.ETag != "" {
		t.Fatalf("GetRange: etag %q, %v; the swap gave %q", o.ETag, err, tag)
	}
	r.Close()
	put(t, s, "e/object", "changed")
	if o, _ := s.Head(ctx, "e/object"); o.ETag == tag {
		t.Error("same etag for another content of the same size")
	}
	for o, err := range s.List(ctx, "e/", "") {
		if err != nil || o.ETag != "" || o.Size != 7 || o.Modified.IsZero() {
			t.Errorf("List gives %+v, %v; want size and time, no etag", o, err)
		}
	}
}

// closable fails the test when it is closed.
type closable struct {
	*strings.Reader
	t *testing.T
}

func (c closable) Close() error { c.t.Error("the caller's body was closed"); return nil }

func testBody(t *testing.T, s store.Store) {
	body := closable{strings.NewReader("0123456789"), t}
	if _, err := body.Seek(4, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), "b/put", body); err != nil {
		t.Fatal(err)
	}
	if err := s.PutIfAbsent(t.Context(), "b/absent", body); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"b/put", "b/absent"} {
		if got := get(t, s, key); got != "0123456789" {
			t.Errorf("%s holds %q", key, got)
		}
	}
}

func testBadKeys(t *testing.T, s store.Store) {
	ctx := t.Context()
	for _, key := range []string{
		"", "/", "/etc/passwd", "..", "../x", "a/../b", "a//b", "a/", ".tmp/x", ".lock", "a/.hidden", "a b", "a\x00b",
		"a\nb", "ä", `a\b`, "a?b", "a%2e", strings.Repeat("a", 201), strings.Repeat("a/", 20) + "a", "C:/x",
	} {
		_, _, gerr := s.Get(ctx, key)
		_, _, rerr := s.GetRange(ctx, key, 0, 1)
		_, herr := s.Head(ctx, key)
		_, cerr := s.CompareAndSwap(ctx, key, "", []byte("x"))
		_, uerr := s.SignedURL(ctx, key, store.Section{ETag: `"x"`, Length: 1}, 60e9)
		for op, err := range map[string]error{
			"Get": gerr, "GetRange": rerr, "Head": herr, "CompareAndSwap": cerr, "SignedURL": uerr,
			"Put": s.Put(ctx, key, strings.NewReader("x")), "PutIfAbsent": s.PutIfAbsent(ctx, key, strings.NewReader("x")),
			"Delete": s.Delete(ctx, key),
		} {
			if err == nil || errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s %q: error %v; want one about the key", op, key, err)
			}
		}
	}
	for _, prefix := range []string{"/", "../", "a/../", ".tmp/", ".", "a//"} {
		for _, err := range s.List(ctx, prefix, "") {
			if err == nil {
				t.Errorf("List %q: no error", prefix)
			}
		}
	}
	wantKeys(t, s, "", "")
}

func testCancelled(t *testing.T, s store.Store) {
	put(t, s, "x/object", "data")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, gerr := s.Get(ctx, "x/object")
	_, herr := s.Head(ctx, "x/object")
	_, cerr := s.CompareAndSwap(ctx, "x/new", "", []byte("x"))
	for op, err := range map[string]error{
		"Get": gerr, "Head": herr, "CompareAndSwap": cerr,
		"Put":         s.Put(ctx, "x/new", strings.NewReader("x")),
		"PutIfAbsent": s.PutIfAbsent(ctx, "x/new", strings.NewReader("x")),
		"Delete":      s.Delete(ctx, "x/object"),
	} {
		wantErr(t, op, err, context.Canceled)
	}
	n := 0
	for _, err := range s.List(ctx, "x/", "") {
		wantErr(t, "List", err, context.Canceled)
		n++
	}
	if n != 1 {
		t.Errorf("List with a cancelled context gave %d results; want one error", n)
	}
	wantKeys(t, s, "", "", "x/object")
}

func testConditions(t *testing.T, s store.Store) {
	if err := store.CheckConditions(t.Context(), s); err != nil {
		t.Error(err)
	}
	wantKeys(t, s, "", "") // nothing of it stays
}
