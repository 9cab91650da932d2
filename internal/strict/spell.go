package strict

import "strings"

// Nearest gives the one of known that word was probably meant to be, "" where
// none is near.
func Nearest(word string, known []string) string {
	best, at := "", 0
	w := fold(word)
	if len(w) > 200 {
		return ""
	}
	for _, k := range known {
		limit := max(1, min(len(w), len(k))/3)
		d := Distance(w, fold(k), limit)
		if d <= limit && (best == "" || d < at) {
			best, at = k, d
		}
	}
	return best
}

func fold(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }

// Distance counts the letters to add, drop, change or swap with their
// neighbour that lead from a to b; more than limit is limit+1.
func Distance(a, b string, limit int) int {
	x, y := []rune(a), []rune(b)
	if len(x)-len(y) > limit || len(y)-len(x) > limit {
		return limit + 1
	}
	var before, above []int
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(x); i++ {
		before, above, row = above, row, make([]int, len(y)+1)
		row[0] = i
		least := i
		for j := 1; j <= len(y); j++ {
			change := above[j-1]
			if x[i-1] != y[j-1] {
				change++
			}
			row[j] = min(change, above[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			least = min(least, row[j])
		}
		if least > limit {
			return limit + 1
		}
	}
	return min(row[len(y)], limit+1)
}
