package workdir

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// BenchmarkSync is 6,000 files of 20 kB: first sync, a pass with one change,
// a pass with none.
func BenchmarkSync(b *testing.B) {
	for b.Loop() {
		w := newWorldAt(silent{b}, b.TempDir())
		w.version = 1
		for i := range 6000 {
			w.files[fmt.Sprintf("d%02d/f%04d.txt", i%60, i)] = fmt.Sprint(i, strings.Repeat("text ", 4000))
		}
		w.newest()
		start := time.Now()
		w.sync()
		first := time.Since(start)
		w.publish("d00/f0000.txt", "changed")
		start = time.Now()
		w.sync()
		one := time.Since(start)
		start = time.Now()
		w.sync()
		b.ReportMetric(first.Seconds(), "s-first")
		b.ReportMetric(one.Seconds(), "s-one")
		b.ReportMetric(time.Since(start).Seconds(), "s-none")
	}
}
