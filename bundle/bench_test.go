package bundle

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
)

// A step of one changed file costs what that costs, beside the manifests, which
// are compared and summed.
func BenchmarkBuild(b *testing.B) {
	for _, files := range []int{100, 6000} {
		rng := rand.New(rand.NewPCG(1, 2))
		before := tree{}
		for i := range files {
			before[fmt.Sprintf("unit%02d/lab%04d.ipynb", i/20, i)] = noise(rng, 4000)
		}
		after := tree{}
		for p, c := range before {
			after[p] = c
		}
		const path = "unit00/lab0000.ipynb"
		after[path] = before[path][:2000] + "one new cell" + before[path][2000:]
		h, _ := History{}.Add(before.formers()...)
		all, added := h.Add(Former{Path: path, Digest: digestOf(after[path])})
		full := Spec{Course: "c", Channel: "a", To: 1, Manifest: before.manifest(h), Former: h}
		step := Spec{Course: "c", Channel: "a", From: 1, To: 2, Base: full.Manifest, Manifest: after.manifest(all), Former: added, Before: before.fs()}
		for name, s := range map[string]Spec{"full": full, "step": step} {
			fsys := after.fs()
			if s.From == 0 {
				fsys = before.fs()
			}
			b.Run(fmt.Sprintf("%s of %d files", name, files), func(b *testing.B) {
				b.ReportAllocs()
				dir := b.TempDir()
				for b.Loop() {
					built, err := Build(b.Context(), dir, s, fsys)
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(built.Size), "bundle-bytes")
					built.Discard()
				}
			})
		}
	}
}

// Thirty deltas of a notebook are one.
func BenchmarkJoin(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	contents := []string{noise(rng, 400_000)}
	type delta struct {
		f    Frame
		data []byte
	}
	var deltas []delta
	for range 30 {
		was := contents[len(contents)-1]
		next := edit(rng, was, 500)
		f, data := deltaFrame(b, next, was)
		contents, deltas = append(contents, next), append(deltas, delta{f, data})
	}
	b.ReportAllocs()
	for b.Loop() {
		var all *Script
		for _, d := range deltas {
			s, err := ReadScript(d.f, bytes.NewReader(d.data))
			if err == nil && all != nil {
				s, err = s.On(all)
			}
			if err != nil {
				b.Fatal(err)
			}
			all = s
		}
		count := &counter{w: io.Discard}
		if err := all.Write(count, 1<<30); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(count.n), "frame-bytes")
	}
}
