package lines

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// trio is what a merge is of.
type trio struct{ base, mine, theirs string }

func (c trio) String() string {
	return fmt.Sprintf("base %q\nmine %q\ntheirs %q", c.base, c.mine, c.theirs)
}

func (c trio) merge() Merged { return Merge([]byte(c.base), []byte(c.mine), []byte(c.theirs)) }

// made is a random case: a text of up to 40 lines, edited twice. Few
// different lines make it ambiguous, many make it plain.
func made(r *rand.Rand) trio {
	kinds := []int{2, 4, 12, 1000, 1000, 1000}[r.IntN(6)]
	word := func() string { return fmt.Sprintf("line %d", r.IntN(kinds)) }
	base := make([]string, r.IntN(40))
	for i := range base {
		base[i] = word()
	}
	common := base
	if r.IntN(4) == 0 {
		common = edited(r, base, word)
	}
	mine, theirs := edited(r, common, word), edited(r, common, word)
	end := []string{"\n", "\n", "\n", "\r\n"}[r.IntN(4)]
	join := func(lines []string) string {
		t := ""
		for _, l := range lines {
			t += l + end
		}
		if r.IntN(5) == 0 {
			t = strings.TrimSuffix(t, end)
		}
		return t
	}
	return trio{join(base), join(mine), join(theirs)}
}

// edited is lines after up to five edits: lines put in, taken out, changed,
// moved, doubled.
func edited(r *rand.Rand, lines []string, word func() string) []string {
	lines = slices.Clone(lines)
	for range r.IntN(6) {
		at := r.IntN(len(lines) + 1)
		to := min(len(lines), at+r.IntN(4))
		run := slices.Clone(lines[at:to])
		switch r.IntN(6) {
		case 0, 1:
			lines = slices.Insert(lines, at, word())
		case 2:
			lines = slices.Delete(lines, at, to)
		case 3:
			for i := range run {
				run[i] = word()
			}
			lines = slices.Replace(lines, at, to, run...)
		case 4:
			lines = slices.Delete(lines, at, to)
			lines = slices.Insert(lines, r.IntN(len(lines)+1), run...)
		case 5:
			lines = slices.Insert(lines, at, run...)
		}
	}
	return lines
}

// ambiguous tells whether there are several longest ways to pair a with b. It
// counts them, by dynamic programming (to 2 at most would do, but they may
// cancel out; a float does not overflow).
func ambiguous(a, b []string) bool {
	size, ways := table[int](len(a), len(b)), table[float64](len(a), len(b))
	for i := range size {
		for j := range size[i] {
			if i == 0 || j == 0 {
				ways[i][j] = 1
				continue
			}
			up, left, corner := size[i-1][j], size[i][j-1], size[i-1][j-1]
			same := a[i-1] == b[j-1]
			size[i][j] = max(up, left)
			if same {
				size[i][j] = max(size[i][j], corner+1)
			}
			s := size[i][j]
			ways[i][j] = when(same && corner+1 == s, ways[i-1][j-1]) + when(up == s, ways[i-1][j]) +
				when(left == s, ways[i][j-1]) - when(corner == s, ways[i-1][j-1])
		}
	}
	return ways[len(a)][len(b)] > 1
}

func table[T any](n, m int) [][]T {
	t := make([][]T, n+1)
	for i := range t {
		t[i] = make([]T, m+1)
	}
	return t
}

func when(ok bool, n float64) float64 {
	if ok {
		return n
	}
	return 0
}

// ambiguous tells it of the case's two diffs.
func (c trio) ambiguous() bool {
	base, mine, theirs := split([]byte(c.base)), split([]byte(c.mine)), split([]byte(c.theirs))
	return ambiguous(base, mine) || ambiguous(base, theirs)
}
