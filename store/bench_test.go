package store_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"satchel/store"
)

func BenchmarkDir(b *testing.B) { benchmark(b, newDir(b, b.TempDir())) }

// benchmark measures what a publish and a login cost on a store: objects of a
// megabyte, ranges out of a large one, and compare-and-swap one after the
// other.
func benchmark(b *testing.B, s store.Store) {
	ctx := b.Context()
	megabyte := make([]byte, 1<<20)
	b.Run("put 1 MB", func(b *testing.B) {
		b.SetBytes(1 << 20)
		for i := range b.N {
			if err := s.PutIfAbsent(ctx, fmt.Sprintf("put/%d/%d", b.N, i), bytes.NewReader(megabyte)); err != nil {
				b.Fatal(err)
			}
		}
	})
	if err := s.Put(ctx, "get/large", bytes.NewReader(make([]byte, 64<<20))); err != nil {
		b.Fatal(err)
	}
	if err := s.Put(ctx, "get/one", bytes.NewReader(megabyte)); err != nil {
		b.Fatal(err)
	}
	read := func(b *testing.B, key string, offset int64) {
		r, _, err := s.GetRange(ctx, key, offset, 1<<20)
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r); err != nil || n != 1<<20 {
			b.Fatal(n, err)
		}
		r.Close()
	}
	b.Run("get 1 MB", func(b *testing.B) {
		b.SetBytes(1 << 20)
		for range b.N {
			read(b, "get/one", 0)
		}
	})
	b.Run("get 1 MB out of 64", func(b *testing.B) {
		b.SetBytes(1 << 20)
		for i := range b.N {
			read(b, "get/large", int64(i%63)<<20)
		}
	})
	b.Run("head a record", func(b *testing.B) {
		if err := s.Put(ctx, "get/record", bytes.NewReader(megabyte[:4000])); err != nil {
			b.Fatal(err)
		}
		for range b.N {
			if _, err := s.Head(ctx, "get/record"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("compare and swap", func(b *testing.B) {
		tag := ""
		for i := range b.N {
			var err error
			if tag, err = s.CompareAndSwap(ctx, fmt.Sprintf("swap/%d", b.N), tag, fmt.Appendf(nil, "%4000d", i)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
