package notebook

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"satchel/internal/lines"
)

// pairing says which cell of one row of cells is which of another, -1 for
// none. Cells of a pair are of one type.
type pairing struct {
	a, b       []slice
	ab, ba     []int
	keyA, keyB []int  // equal for cells that count as equal
	fixed      []bool // cells of a that similarity leaves alone; may be nil
	crossing   bool   // cells have moved, so pairs may cross
	steps      int    // what similarity may still cost
}

// pair finds the pairs of two notebooks: by id, then equal cells, then
// similar ones.
//
// The cost is bounded by the number of cells times its logarithm, but for
// maxGap and maxSteps: where those are spent cells stay unpaired, which never
// loses one.
func pair(a, b *book) *pairing {
	k := keys{}
	p := newPairing(a.cells, b.cells, k.of(a.cells), k.of(b.cells))
	if a.minor >= 5 && b.minor >= 5 {
		p.byID(nil)
	}
	p.byContent()
	return p
}

func newPairing(a, b []slice, keyA, keyB []int) *pairing {
	return &pairing{a: a, b: b, keyA: keyA, keyB: keyB, ab: none(len(a)), ba: none(len(b)), steps: maxSteps}
}

func (p *pairing) byContent() {
	p.byUnique()
	p.inGaps(nil, p.align)
	if p.crossing {
		p.byRest(p.fixed)
	}
	p.inGaps(p.fixed, p.bySimilarity)
}

func none(n int) []int { return slices.Repeat([]int{-1}, n) }

func (p *pairing) set(i, j int) { p.ab[i], p.ba[j] = j, i }

// content is what a cell is known by without an id.
type content struct{ kind, source string }

func (c *slice) content() content { return content{c.kind, c.source} }

func (c *slice) blank() bool { return strings.TrimSpace(c.source) == "" }

// keys numbers contents.
type keys map[content]int

func (k keys) of(cells []slice) []int {
	out := make([]int, len(cells))
	for i := range cells {
		c := cells[i].content()
		if _, known := k[c]; !known {
			k[c] = len(k)
		}
		out[i] = k[c]
	}
	return out
}

// byUnique pairs equal cells of which there is one on either side: wherever
// they stand, but the fixed ones only in their place where nothing has moved.
func (p *pairing) byUnique() {
	in := uniqueKeys(p.keyB, p.ba)
	var fixed [][2]int
	for key, i := range uniqueKeys(p.keyA, p.ab) {
		j, ok := in[key]
		switch {
		case ok && p.fixed != nil && p.fixed[i]:
			fixed = append(fixed, [2]int{i, j})
		case ok:
			p.set(i, j)
		}
	}
	p.crossing = p.crossing || !rising(p.ab)
	row := p.anchors()
	for _, c := range fixed {
		if p.crossing || p.fits(row, c[0], c[1]) {
			p.set(c[0], c[1])
		}
	}
}

// fits says whether a pair would cross none of a row of anchors.
func (p *pairing) fits(row []int, i, j int) bool {
	n, _ := slices.BinarySearch(row, i)
	return (n == 0 || p.ab[row[n-1]] < j) && (n == len(row) || j < p.ab[row[n]])
}

// byRest pairs equal cells that are left over, the first with the first; of a
// those for which only is true, all where it is nil.
func (p *pairing) byRest(only []bool) {
	rest := map[int][]int{}
	for j, key := range p.keyB {
		if p.ba[j] < 0 {
			rest[key] = append(rest[key], j)
		}
	}
	for i, key := range p.keyA {
		if p.ab[i] >= 0 || len(rest[key]) == 0 || only != nil && !only[i] {
			continue
		}
		p.set(i, rest[key][0])
		rest[key] = rest[key][1:]
	}
}

// uniqueKeys gives the cells without a pair whose key is unique among those.
func uniqueKeys(keys, paired []int) map[int]int {
	return unique(len(keys), func(i int) (int, bool) { return keys[i], paired[i] < 0 })
}

// unique gives the numbers below n by their key, where no two have the same;
// those that do not count have none.
func unique[K comparable](n int, key func(i int) (k K, counts bool)) map[K]int {
	at := make(map[K]int, n)
	for i := range n {
		k, counts := key(i)
		if !counts {
			continue
		}
		if _, twice := at[k]; twice {
			i = -1
		}
		at[k] = i
	}
	maps.DeleteFunc(at, func(_ K, i int) bool { return i < 0 })
	return at
}

// anchors gives the cells of a that keep their order in b: a longest rising
// row of pairs. The others were moved.
func (p *pairing) anchors() []int {
	var ends []int // ends[n]: the best last cell of a row of n+1
	before := none(len(p.a))
	for i, j := range p.ab {
		if j < 0 {
			continue
		}
		n, _ := slices.BinarySearchFunc(ends, j, func(end, j int) int { return p.ab[end] - j })
		if n > 0 {
			before[i] = ends[n-1]
		}
		if n == len(ends) {
			ends = append(ends, i)
		} else {
			ends[n] = i
		}
	}
	row := make([]int, len(ends))
	for n, i := len(ends)-1, last(ends); n >= 0; n, i = n-1, before[i] {
		row[n] = i
	}
	return row
}

func last(list []int) int {
	if len(list) == 0 {
		return -1
	}
	return list[len(list)-1]
}

// inGaps gives the cells without a pair between each two anchors to one; not
// those of a that are in but.
func (p *pairing) inGaps(but []bool, one func(as, bs []int)) {
	i, j := 0, 0
	for _, at := range append(p.anchors(), len(p.a)) {
		end := len(p.b)
		if at < len(p.a) {
			end = p.ab[at]
		}
		as := unpaired(p.ab, i, at, but)
		bs := unpaired(p.ba, j, end, nil)
		if len(as) > 0 && len(bs) > 0 {
			one(as, bs)
		}
		i, j = at+1, end+1
	}
}

func unpaired(paired []int, from, to int, but []bool) (free []int) {
	for i := from; i < to; i++ {
		if paired[i] < 0 && (but == nil || !but[i]) {
			free = append(free, i)
		}
	}
	return free
}

// align pairs equal cells of one gap in their order.
func (p *pairing) align(as, bs []int) {
	for _, c := range lines.Align(texts(p.keyA, as), texts(p.keyB, bs)) {
		p.set(as[c[0]], bs[c[1]])
	}
}

func texts(keys, at []int) []string {
	out := make([]string, len(at))
	for i, n := range at {
		out[i] = strconv.Itoa(keys[n])
	}
	return out
}

// rising says whether no pair changed its order.
func rising(ab []int) bool {
	at := -1
	for _, j := range ab {
		if j >= 0 && j < at {
			return false
		}
		at = max(at, j)
	}
	return true
}
