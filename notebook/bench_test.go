package notebook

import (
	"fmt"
	"strings"
	"testing"

	"satchel/internal/lines"
)

// Both changed a cell of a notebook, and the same lines of a text.
func BenchmarkMerge(b *testing.B) {
	for _, cells := range []int{20, 200} {
		book := func(mine, theirs string) []byte {
			var out []string
			for i := range cells {
				source := fmt.Sprintf("val x%d = %d", i, i)
				switch i {
				case 3:
					source += mine
				case cells - 3:
					source += theirs
				}
				out = append(out, fmt.Sprintf(`{"cell_type":"code","execution_count":null,"id":"c%d","metadata":{},"outputs":[],"source":[%q]}`, i, source))
			}
			return []byte(`{"cells":[` + strings.Join(out, ",") + `],"metadata":{},"nbformat":4,"nbformat_minor":5}`)
		}
		base, mine, theirs := book("", ""), book(" + 1", ""), book("", " + 2")
		b.Run(fmt.Sprintf("notebook of %d cells", cells), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Merge("a.ipynb", base, mine, theirs); err != nil {
					b.Fatal(err)
				}
			}
		})
		text := func(book []byte) []byte { return []byte(strings.ReplaceAll(string(book), "},{", "\n")) }
		b.Run(fmt.Sprintf("text of %d lines", cells), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				lines.Merge(text(base), text(mine), text(theirs))
			}
		})
	}
}
