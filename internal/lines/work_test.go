package lines

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// hostile are pairs of sequences of n lines that are expensive to compare.
func hostile(n int) map[string][2][]int {
	r := rand.New(rand.NewPCG(3, 3))
	of := func(at func(i int) int) []int {
		out := make([]int, n)
		for i := range out {
			out[i] = at(i)
		}
		return out
	}
	id := func(i int) int { return i }
	return map[string][2][]int{
		"all the same":        {of(func(int) int { return 0 }), of(func(int) int { return 0 })[:n/2]},
		"all different":       {of(id), of(func(i int) int { return n + i })},
		"reversed":            {of(id), of(func(i int) int { return n - 1 - i })},
		"shuffled":            {of(id), r.Perm(n)},
		"two kinds of lines":  {of(func(int) int { return r.IntN(2) }), of(func(int) int { return r.IntN(2) })},
		"many kinds":          {of(func(int) int { return r.IntN(n / 10) }), of(func(int) int { return r.IntN(n / 10) })},
		"every other changed": {of(func(i int) int { return i % 2 * i }), of(func(i int) int { return (i%2 - 1) * -i })},
		"sorted by halves":    {of(func(i int) int { return i % 7 }), of(func(i int) int { return i * 7 / n })},
		"pairs swapped":       {of(id), of(func(i int) int { return min(i^1, n-1) })},
		"long slides":         {of(func(i int) int { return i / 1000 % 2 }), of(func(i int) int { return i / 999 % 2 })},
		"slides that merge":   {of(func(i int) int { return max(0, i%100-98) }), of(func(i int) int { return max(0, i%99-97) })},
		"nested anchors":      {of(func(i int) int { return i ^ i>>1 }), of(func(i int) int { return i ^ i>>2 })},
		"rotated":             {of(id), of(func(i int) int { return (i + n/2) % n })},
		"turned in blocks":    {of(id), of(func(i int) int { return i/9*9 + 8 - i%9 })},
	}
}

// TestWorkIsBounded counts steps, not seconds: what two hostile texts cost
// grows with their length and no faster.
func TestWorkIsBounded(t *testing.T) {
	for _, n := range []int{20_000, 200_000} {
		for name, c := range hostile(n) {
			pairs, steps := align(c[0], c[1])
			t.Logf("%7d lines, %-20s %11d steps of %d, %7d pairs", n, name, steps, bound(2*n), len(pairs))
			if steps > bound(len(c[0])+len(c[1])) {
				t.Errorf("%s: %d lines a side took %d steps", name, n, steps)
			}
			checkPairs(t, c[0], c[1], pairs)
		}
	}
}

// TestAnchorsInAnchors: each line is unique only in the box that the next
// one makes, and there is no step left to search.
func TestAnchorsInAnchors(t *testing.T) {
	const n = 4_000
	d := &differ{}
	for i := 1; i < n; i++ {
		d.a = append(d.a, i+1, i, -1)
		d.b = append(d.b, i+1, i, -2)
	}
	d.atA, d.atB = d.a, d.b
	d.box(span{0, len(d.a)}, span{0, len(d.b)}, 0)
	if all := len(d.a) + len(d.b); -d.left > 64*all {
		t.Errorf("%d steps for %d lines", -d.left, all)
	}
	if len(d.pairs) < maxDepth {
		t.Errorf("only %d pairs", len(d.pairs))
	}
}

// TestSlideIsBounded: without steps left a run stays on its way up or down,
// and the pairs are pairs.
func TestSlideIsBounded(t *testing.T) {
	for left, want := range map[int]int{0: 0, 2: 2, 5: 5, 100: 8} {
		s := slider{left: left}
		own, other := []int{-1, 0, 1, 2, 4, 5, 6}, []int{-1, 0, 1, 2, 3, 4, 5}
		s.side([]int{7, 7, 7, 7, 7, 7}, own, other)
		if moved := left - s.left; moved != want {
			t.Errorf("with %d steps left the run moved %d lines, want %d", left, moved, want)
		}
	}
}

func checkPairs(t *testing.T, a, b []int, pairs []pair) {
	t.Helper()
	last := pair{-1, -1}
	for _, p := range pairs {
		if p.a <= last.a || p.b <= last.b || p.a >= len(a) || p.b >= len(b) || a[p.a] != b[p.b] {
			t.Fatalf("%v after %v", p, last)
		}
		last = p
	}
}

// TestHostileTextsMerge: the same through Merge, with a change on either side.
func TestHostileTextsMerge(t *testing.T) {
	text := func(lines []int) string {
		var b strings.Builder
		for _, n := range lines {
			b.WriteString(strconv.Itoa(n))
			b.WriteByte('\n')
		}
		return b.String()
	}
	for name, c := range hostile(5_000) {
		m := trio{text(c[0]), text(c[1]), text(c[0]) + "theirs\n"}
		r := m.merge()
		if again := (trio{m.base, string(r.Text), m.theirs}).merge(); string(again.Text) != string(r.Text) {
			t.Errorf("%s: not stable", name)
		}
		if !Kept([]byte(m.base), []byte(m.mine), r.Text) {
			t.Errorf("%s: lost a line", name)
		}
	}
}

// TestAlignIsLongest compares with the textbook's table.
func TestAlignIsLongest(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for range 3000 {
		kinds := 1 + r.IntN(8)
		word := func() string { return strconv.Itoa(r.IntN(kinds)) }
		a, b := make([]string, r.IntN(30)), make([]string, r.IntN(30))
		for i := range a {
			a[i] = word()
		}
		for i := range b {
			b[i] = word()
		}
		got := Align(a, b)
		last := [2]int{-1, -1}
		for _, p := range got {
			if p[0] <= last[0] || p[1] <= last[1] || a[p[0]] != b[p[1]] {
				t.Fatalf("%v %v: %v", a, b, got)
			}
			last = p
		}
		if want := longest(a, b); len(got) != want {
			t.Fatalf("%v %v: %v has %d pairs, want %d", a, b, got, len(got), want)
		}
	}
}

func longest(a, b []string) int {
	size := table[int](len(a), len(b))
	for i := range a {
		for j := range b {
			size[i+1][j+1] = max(size[i][j+1], size[i+1][j])
			if a[i] == b[j] {
				size[i+1][j+1] = max(size[i+1][j+1], size[i][j]+1)
			}
		}
	}
	return size[len(a)][len(b)]
}

// TestAlignOfManyChanges: scattered changes cost little however many they are
// (go-udiff 0.4.1 gives up at 50).
func TestAlignOfManyChanges(t *testing.T) {
	var a, b []string
	for i := range 30_000 {
		a = append(a, strconv.Itoa(i))
		if i%10 == 5 {
			b = append(b, "changed", strconv.Itoa(-i))
		} else {
			b = append(b, strconv.Itoa(i))
		}
	}
	if got := len(Align(a, b)); got != 27_000 {
		t.Errorf("%d pairs, want 27000", got)
	}
}
