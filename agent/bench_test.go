package agent

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"satchel/workdir"
)

// BenchmarkStep is what a login waits for where one of 400 files has changed:
// asked, verified, fetched and placed, over a loopback.
func BenchmarkStep(b *testing.B) {
	w := newWorld(b)
	w.course("scala")
	files := map[string]string{}
	for i := range 400 {
		files[fmt.Sprintf("unit%02d/lab%04d.ipynb", i/20, i)] = lab(i)
	}
	w.publish("scala", files)
	h := w.home("ana")
	h.sync()
	h.agent().Sync(b.Context(), SyncOptions{Mode: workdir.Start, Walk: true})
	n := 0
	for b.Loop() {
		b.StopTimer()
		n++
		files["unit00/lab0003.ipynb"] = strings.Replace(lab(3), "cell 7 ", fmt.Sprintf("cell %d changed", n), 1)
		w.publish("scala", files)
		b.StartTimer()
		a := h.agent()
		out := a.Sync(b.Context(), SyncOptions{Mode: workdir.Start, Step: true})
		a.Close()
		if out.Code != "" {
			b.Fatal(out.Code)
		}
	}
}

// lab is 60 kB that do not repeat.
func lab(seed int) string {
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	var s strings.Builder
	for i := range 40 {
		fmt.Fprintf(&s, "cell %d ", i)
		for range 180 {
			fmt.Fprintf(&s, "%x ", r.Uint32())
		}
		s.WriteByte('\n')
	}
	return s.String()
}
