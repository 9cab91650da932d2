package lines

import (
	"slices"
	"sort"
)

// maxDepth is how often a box may be cut at anchors that lie in boxes between
// anchors: each time costs a look at every line.
const maxDepth = 8

// byAnchors is for a box that is too expensive to search: lines that occur
// once in each part are paired where their order agrees ("patience diff", Bram
// Cohen), and what lies between them is tried again. Without such lines
// nothing in the box is paired.
func (d *differ) byAnchors(a, b span, depth int) {
	if depth == maxDepth {
		return
	}
	d.left -= 2 * (a.to - a.from + b.to - b.from)
	anchors := rising(d.unique(a, b))
	if len(anchors) == 0 {
		return
	}
	for _, p := range anchors {
		d.box(span{a.from, p.a}, span{b.from, p.b}, depth+1)
		d.pair(p.a, p.b)
		a.from, b.from = p.a+1, p.b+1
	}
	d.box(a, b, depth+1)
}

// unique pairs what occurs once in a and once in b, in a's order.
func (d *differ) unique(a, b span) []pair {
	const more = -1
	inB := map[int]int{}
	for i := b.from; i < b.to; i++ {
		if _, known := inB[d.b[i]]; known {
			inB[d.b[i]] = more
		} else {
			inB[d.b[i]] = i
		}
	}
	count := map[int]int{}
	for _, n := range d.a[a.from:a.to] {
		count[n]++
	}
	var out []pair
	for i := a.from; i < a.to; i++ {
		if at, in := inB[d.a[i]]; in && at != more && count[d.a[i]] == 1 {
			out = append(out, pair{i, at})
		}
	}
	return out
}

// rising is a longest run of pairs, not always neighbours, that rises in b as
// well.
func rising(pairs []pair) []pair {
	var tops []int // the pair with the least b that ends a run of each length
	before := make([]int, len(pairs))
	for i, p := range pairs {
		n := sort.Search(len(tops), func(t int) bool { return pairs[tops[t]].b > p.b })
		before[i] = -1
		if n > 0 {
			before[i] = tops[n-1]
		}
		if n == len(tops) {
			tops = append(tops, i)
		}
		tops[n] = i
	}
	var out []pair
	if len(tops) > 0 {
		for i := tops[len(tops)-1]; i >= 0; i = before[i] {
			out = append(out, pairs[i])
		}
	}
	slices.Reverse(out)
	return out
}
