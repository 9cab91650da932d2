package lines

import "slices"

// pair says that a line of one sequence stayed as a line of the other.
type pair struct{ a, b int }

// Align pairs what two sequences have in common: the index pairs of a longest
// common subsequence, rising in both. Where that would cost more than budget
// allows it is a common subsequence, not always a longest. Of several equally
// long it takes git's: a run that could lie higher or lower lies low. The same
// arguments give the same pairs.
func Align(a, b []string) [][2]int {
	x := index{}
	pairs, _ := align(x.numbers(a), x.numbers(b))
	out := make([][2]int, len(pairs))
	for i, p := range pairs {
		out[i] = [2]int{p.a, p.b}
	}
	return out
}

// hunks is what lies between pairs of sequences of n and m lines.
func hunks(pairs []pair, n, m int) []hunk {
	var out []hunk
	var h hunk
	for i := range len(pairs) + 1 {
		p := pair{n, m}
		if i < len(pairs) {
			p = pairs[i]
		}
		h.old.to, h.new.to = p.a, p.b
		if h.old.from < p.a || h.new.from < p.b {
			out = append(out, h)
		}
		h.old.from, h.new.from = p.a+1, p.b+1
	}
	return out
}

// budget bounds the steps of all searches in one alignment of n lines; a step
// is a look at one line or one diagonal. 10 million allow for some 3,000
// changes among lines that the other side has too (others cost nothing, see
// common).
func budget(n int) int { return 10_000_000 + 8*n }

// bound is what an alignment of n lines costs at most, in steps: the searches,
// and a fixed number of looks at each line for all the rest.
func bound(n int) int { return budget(n) + 64*n }

// align gives pairs and the steps that it took.
func align(a, b []int) (pairs []pair, steps int) {
	n := len(a) + len(b)
	d := &differ{left: budget(n)}
	start, end := ends(a, b)
	d.a, d.atA = common(a, b, start, len(a)-end)
	d.b, d.atB = common(b, a, start, len(b)-end)
	for i := range start {
		d.pairs = append(d.pairs, pair{i, i})
	}
	d.box(span{0, len(d.a)}, span{0, len(d.b)}, 0)
	for i := end; i > 0; i-- {
		d.pairs = append(d.pairs, pair{len(a) - i, len(b) - i})
	}
	slid := slide(a, b, d.pairs)
	return d.pairs, budget(n) - d.left + 3*n + slid
}

// ends counts what a and b have in common at the start and, of the rest, at
// the end.
func ends(a, b []int) (start, end int) {
	n := min(len(a), len(b))
	for start < n && a[start] == b[start] {
		start++
	}
	for end < n-start && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	return start, end
}

// common keeps of of[from:to] what is anywhere in other, and says where it
// stood: the rest cannot be paired, and to search around it is what makes a
// diff slow.
func common(of, other []int, from, to int) (kept, at []int) {
	if from == to || len(other) == 0 {
		return nil, nil
	}
	seen := make([]bool, 1+max(slices.Max(of), slices.Max(other)))
	for _, n := range other {
		seen[n] = true
	}
	for i := from; i < to; i++ {
		if seen[of[i]] {
			kept, at = append(kept, of[i]), append(at, i)
		}
	}
	return kept, at
}

// differ is the state of one alignment.
type differ struct {
	a, b      []int // what may be paired
	atA, atB  []int // where it stands in the whole
	pairs     []pair
	left      int // steps
	fore, aft front
}

// box pairs a part of a with a part of b and appends the pairs.
func (d *differ) box(a, b span, depth int) {
	start, end := ends(d.a[a.from:a.to], d.b[b.from:b.to])
	d.left -= start + end + 1
	for i := range start {
		d.pair(a.from+i, b.from+i)
	}
	in, inB := span{a.from + start, a.to - end}, span{b.from + start, b.to - end}
	if in.from < in.to && inB.from < inB.to {
		if x, y, ok := d.middle(d.a[in.from:in.to], d.b[inB.from:inB.to]); ok {
			d.box(span{in.from, in.from + x}, span{inB.from, inB.from + y}, depth)
			d.box(span{in.from + x, in.to}, span{inB.from + y, inB.to}, depth)
		} else {
			d.byAnchors(in, inB, depth)
		}
	}
	for i := end; i > 0; i-- {
		d.pair(a.to-i, b.to-i)
	}
}

func (d *differ) pair(a, b int) { d.pairs = append(d.pairs, pair{d.atA[a], d.atB[b]}) }
