package notebook

import "strings"

// maxMerged is how long a source may be, in bytes, to be merged by line.
const maxMerged = 1 << 20

// mergeSource merges a source that both sides changed, by line; all have LF.
// Not ok: both changed the same lines, and mine stands as it is.
func mergeSource(base, mine, theirs string) (merged string, ok bool) {
	switch {
	case theirs == base || theirs == mine:
		return mine, true
	case mine == base:
		return theirs, true
	}
	return mine, false
}

// alignCells gives the pairs of equal texts of two lists, in their order.
func alignCells(a, b []string) (pairs [][2]int) {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		pairs = append(pairs, [2]int{n, n})
		n++
	}
	i, j := len(a), len(b)
	for i > n && j > n && a[i-1] == b[j-1] {
		i, j = i-1, j-1
		pairs = append(pairs, [2]int{i, j})
	}
	return pairs
}

// wholeLine is a line with its end, as it would stand before another.
func wholeLine(line string) string { return strings.TrimSuffix(line, "\n") }
