package notebook

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"satchel/internal/race"
)

// TestMergeHostileShapes: no shape of three notebooks of nearly 20 MB costs
// much more memory than their bytes, or more than some seconds. Each is merged
// with an edit on both sides, so that nothing is taken as a whole.
func TestMergeHostileShapes(t *testing.T) {
	for name, cells := range hostileCells() {
		three := func(cells, mine, theirs string) (base, m, th []byte) {
			of := func(extra string) []byte { return []byte(notebook(cells + `,` + rawCell(extra))) }
			return of("a\n\nb\n"), of(mine), of(theirs)
		}
		base, mine, theirs := three(cells, "a\n\nb mine\n", "a theirs\n\nb\n")
		if len(mine) > MaxSize {
			t.Fatalf("%s: %d bytes", name, len(mine))
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		_, err := Merge("lab.ipynb", base, mine, theirs)
		runtime.ReadMemStats(&after)
		used, took := after.TotalAlloc-before.TotalAlloc, time.Since(start)
		t.Logf("%s: %d MB in all, %.1f s, %v", name, used>>20, took.Seconds(), err)
		if used > 800<<20 && !race.Enabled {
			t.Errorf("%s: %d MB allocated in all", name, used>>20)
		}
	}
}

func rawCell(source string) string {
	return fmt.Sprintf(`{"cell_type":"raw","id":"z","metadata":{},"source":%q}`, source)
}

func codeCell(id, source, outputs string) string {
	return fmt.Sprintf(`{"cell_type":"code","id":%q,"metadata":{},"execution_count":1,"source":%s,"outputs":[%s]}`, id, source, outputs)
}

func hostileCells() map[string]string {
	fill := func(piece string) string { return strings.Repeat(piece, (MaxSize-1000)/len(piece)) }
	many := func(one func(i int) string, size int) string {
		var b strings.Builder
		for i := 0; b.Len() < size; i++ {
			b.WriteString(one(i) + ",")
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	result := `{"output_type":"display_data","metadata":{},"data":{"text/plain":"x"}},`
	return map[string]string{
		"one output":       codeCell("a", `"x"`, `{"output_type":"display_data","metadata":{},"data":{"image/png":"`+fill("A")[:MaxSize-2000]+`"}}`),
		"many outputs":     codeCell("a", `"x"`, strings.TrimSuffix(fill(result), ",")),
		"empty outputs":    codeCell("a", `"x"`, strings.TrimSuffix(fill(`{},`), ",")),
		"source lines":     codeCell("a", `[`+fill(`"",`)+`""]`, ""),
		"long source":      codeCell("a", `"`+fill(`a\n`)+`"`, ""),
		"words":            codeCell("a", `"`+fill(`a b `)+`"`, ""),
		"cells, all equal": many(func(i int) string { return `{"cell_type":"raw","metadata":{},"source":"x"}` }, 400_000),
		"cells too many":   many(func(i int) string { return `{"cell_type":"raw","metadata":{}}` }, MaxSize-1000),
		"cells, large":     many(func(i int) string { return codeCell(fmt.Sprint("i", i), `"`+strings.Repeat(`a\n`, 1000)+`"`, "") }, MaxSize-5000),
		"metadata":         `{"cell_type":"raw","id":"a","metadata":{` + fill(`"":0,`) + `"":0},"source":""}`,
		"metadata, deep":   `{"cell_type":"raw","id":"a","metadata":{"a":` + strings.Repeat(`{"b":`, 400) + `[` + fill(`0,`)[:MaxSize-8000] + `0]` + strings.Repeat(`}`, 400) + `},"source":""}`,
		"attached":         `{"cell_type":"raw","id":"a","metadata":{},"source":"","attachments":{"a":{"b":"` + fill("A")[:MaxSize-2000] + `"}}}`,
		"escapes":          codeCell("a", `"`+fill(`\u00e9`)+`"`, ""),
	}
}
