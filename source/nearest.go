package source

import (
	"cmp"
	"slices"
	"strings"
)

// maxNames is how many names a sentence lists.
const maxNames = 5

// nearest lists the names that exist, the most alike first, for a sentence.
func nearest(wanted string, names []string) string {
	names = slices.Clone(names)
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(distance(wanted, a), distance(wanted, b)), cmp.Compare(a, b))
	})
	more := ""
	if len(names) > maxNames {
		names, more = names[:maxNames], ", …"
	}
	for i, n := range names {
		names[i] = said(n)
	}
	return strings.Join(names, ", ") + more
}

// distance is how many characters must be put in, taken out or replaced to
// make b of a (Levenshtein), letter case aside. Long names are cut: they are
// compared for a hint, not for a decision.
func distance(a, b string) int {
	x, y := []rune(strings.ToLower(a)), []rune(strings.ToLower(b))
	x, y = x[:min(len(x), 80)], y[:min(len(y), 80)]
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i, cx := range x {
		diagonal := row[0]
		row[0] = i + 1
		for j, cy := range y {
			cost := 1
			if cx == cy {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(y)]
}
