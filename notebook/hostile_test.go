package notebook

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"satchel/internal/race"
)

// hostileSize is a quarter of MaxSize: the test is about proportions.
const hostileSize = MaxSize / 4

// TestMergeHostileShapes: no shape of notebook costs more memory, in all, than
// eight times the bytes of the three that are merged. Both sides edit, so that
// nothing is taken as a whole.
func TestMergeHostileShapes(t *testing.T) {
	for name, cells := range hostileCells() {
		of := func(source string) []byte { return []byte(notebook(cells + `,` + rawCell(source))) }
		base, mine, theirs := of("a\n\nb\n"), of("a\n\nb mine\n"), of("a theirs\n\nb\n")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		out, err := Merge("lab.ipynb", base, mine, theirs)
		runtime.ReadMemStats(&after)
		used := after.TotalAlloc - before.TotalAlloc
		t.Logf("%s: %d MB of memory in all, %.1f s, %v", name, used>>20, time.Since(start).Seconds(), err)
		if used > 8*3*hostileSize && !race.Enabled {
			t.Errorf("%s: %d MB allocated in all", name, used>>20)
		}
		if err == nil && len(out.Taken) != 1 {
			t.Errorf("%s: taken %v", name, out.Taken)
		}
	}
}

// TestHostilePairs: thousands of cells without ids that look alike cost no
// more than the budgets say, and none is lost.
func TestHostilePairs(t *testing.T) {
	for name, one := range map[string]func(i int) string{
		"equal":     func(int) string { return "x = 1" },
		"two kinds": func(i int) string { return []string{"a", "b b"}[i*i%7%2] },
		"periods":   func(i int) string { return fmt.Sprint("v = ", i%13) },
		"similar":   func(i int) string { return strings.Repeat(fmt.Sprint("w", i%3, " "), 40) + fmt.Sprint(i) },
		"blank":     func(i int) string { return strings.Repeat(" ", i) },
	} {
		row := func(n, shift int, extra string) []byte {
			var cells []string
			for i := range n {
				cells = append(cells, fmt.Sprintf(`{"cell_type":"raw","metadata":{},"source":%q}`, one(i+shift)+extra))
			}
			return []byte(`{"cells":[` + strings.Join(cells, ",") + `],"metadata":{},"nbformat":4,"nbformat_minor":4}`)
		}
		base, mine, theirs := row(3000, 0, ""), row(2900, 50, ""), row(2500, 700, "!")
		start := time.Now()
		out, err := Merge("lab.ipynb", base, mine, theirs)
		t.Logf("%s: %.1f s, %d taken, %v", name, time.Since(start).Seconds(), len(out.Taken), err)
		a, errA := open(base)
		b, errB := open(theirs)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if p := pair(a, b); p.steps < -2*maxWords {
			t.Errorf("%s: %d steps more than the budget", name, -p.steps)
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
	fill := func(piece string) string { return strings.Repeat(piece, (hostileSize-1000)/len(piece)) }
	many := func(one func(i int) string, size int) string {
		var b strings.Builder
		for i := 0; b.Len() < size; i++ {
			b.WriteString(one(i) + ",")
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	result := `{"output_type":"display_data","metadata":{},"data":{"text/plain":"x"}},`
	return map[string]string{
		"one output":       codeCell("a", `"x"`, `{"output_type":"display_data","metadata":{},"data":{"image/png":"`+fill("A")[:hostileSize-2000]+`"}}`),
		"many outputs":     codeCell("a", `"x"`, strings.TrimSuffix(fill(result), ",")),
		"empty outputs":    codeCell("a", `"x"`, strings.TrimSuffix(fill(`{},`), ",")),
		"source lines":     codeCell("a", `[`+fill(`"",`)+`""]`, ""),
		"long source":      codeCell("a", `"`+fill(`a\n`)+`"`, ""),
		"words":            codeCell("a", `"`+fill(`a b `)+`"`, ""),
		"cells, all equal": many(func(i int) string { return `{"cell_type":"raw","metadata":{},"source":"x"}` }, 400_000),
		"cells too many":   many(func(i int) string { return `{"cell_type":"raw","metadata":{}}` }, hostileSize-1000),
		"cells, large":     many(func(i int) string { return codeCell(fmt.Sprint("i", i), `"`+strings.Repeat(`a\n`, 1000)+`"`, "") }, hostileSize-5000),
		"metadata":         `{"cell_type":"raw","id":"a","metadata":{` + fill(`"":0,`) + `"":0},"source":""}`,
		"metadata, deep":   `{"cell_type":"raw","id":"a","metadata":{"a":` + strings.Repeat(`{"b":`, 400) + `[` + fill(`0,`)[:hostileSize-8000] + `0]` + strings.Repeat(`}`, 400) + `},"source":""}`,
		"attached":         `{"cell_type":"raw","id":"a","metadata":{},"source":"","attachments":{"a":{"b":"` + fill("A")[:hostileSize-2000] + `"}}}`,
		"escapes":          codeCell("a", `"`+fill(`\u00e9`)+`"`, ""),
	}
}
