package notebook

import (
	"slices"
	"strconv"
	"strings"
)

// pairing says which cell of one notebook is which of another, -1 for none.
// Cells of a pair are of one type.
type pairing struct {
	a, b   []slice
	ab, ba []int
	steps  int // what similarity may still cost
}

// pair finds the pairs of two notebooks: by id, then equal cells, then
// similar ones. taken (may be nil) is asked before the last step for cells of
// b that are known to be something else.
//
// The cost is bounded by the number of cells times its logarithm, but for
// maxGap and maxSteps: where those are spent cells stay unpaired, which never
// loses one.
func pair(a, b *book, taken func(*pairing) []bool) *pairing {
	p := &pairing{a: a.cells, b: b.cells, ab: none(len(a.cells)), ba: none(len(b.cells)), steps: maxSteps}
	if a.minor >= 5 && b.minor >= 5 {
		p.byID()
	}
	p.byUnique()
	p.inGaps(nil, p.align)
	var not []bool
	if taken != nil {
		not = taken(p)
	}
	p.inGaps(not, p.bySimilarity)
	return p
}

func none(n int) []int { return slices.Repeat([]int{-1}, n) }

func (p *pairing) set(i, j int) { p.ab[i], p.ba[j] = j, i }

// byID pairs cells whose id is unique in both. Ids of which fewer than half
// agree (counted where there are fewer) were made anew and say nothing; nor do
// ids that only count the cells, as nbstripout writes them, once they shift.
func (p *pairing) byID() {
	in := uniqueIDs(p.b)
	agree, of := 0, uniqueIDs(p.a)
	for id := range of {
		if _, ok := in[id]; ok {
			agree++
		}
	}
	if 2*agree < min(len(of), len(in)) || p.onlyCount() {
		return
	}
	for id, i := range of {
		if j, ok := in[id]; ok && p.a[i].kind == p.b[j].kind {
			p.set(i, j)
		}
	}
}

// onlyCount says whether all ids of both are the cells' positions, and a cell
// came or went or carries another's id now.
func (p *pairing) onlyCount() bool {
	if !counted(p.a) || !counted(p.b) {
		return false
	}
	if len(p.a) != len(p.b) {
		return true
	}
	at := uniqueTexts(p.a, p.ab)
	for w, j := range uniqueTexts(p.b, p.ba) {
		if i, ok := at[w]; ok && i != j && !p.b[j].blank() {
			return true
		}
	}
	return false
}

// counted says whether the ids count the cells: one prefix and a number that
// rises by one.
func counted(cells []slice) bool {
	if len(cells) == 0 {
		return false
	}
	prefix := strings.TrimRight(cells[0].id, "0123456789")
	first, err := strconv.Atoi(cells[0].id[len(prefix):])
	for i := range cells {
		if err != nil || cells[i].id != prefix+strconv.Itoa(first+i) {
			return false
		}
	}
	return true
}

func uniqueIDs(cells []slice) map[string]int {
	at := make(map[string]int, len(cells))
	for i := range cells {
		id := cells[i].id
		if id == "" {
			continue
		}
		if _, twice := at[id]; twice {
			i = -1
		}
		at[id] = i
	}
	for id, i := range at {
		if i < 0 {
			delete(at, id)
		}
	}
	return at
}

// content is what a cell is known by without an id.
type content struct{ kind, source string }

func (c *slice) content() content { return content{c.kind, c.source} }

func (c *slice) blank() bool { return strings.TrimSpace(c.source) == "" }

// maxBlank bounds the blank cells of different white space that byUnique looks
// at; the others are left to what follows.
const maxBlank = 20

// byUnique pairs equal cells of which there is one on either side, wherever
// they stand; blank ones only where that crosses no other pair.
func (p *pairing) byUnique() {
	in := uniqueTexts(p.b, p.ba)
	var blank [][2]int
	for w, i := range uniqueTexts(p.a, p.ab) {
		j, ok := in[w]
		switch {
		case !ok:
		case p.a[i].blank():
			blank = append(blank, [2]int{i, j})
		default:
			p.set(i, j)
		}
	}
	slices.SortFunc(blank, func(x, y [2]int) int { return x[0] - y[0] })
	for _, c := range blank[:min(len(blank), maxBlank)] {
		if p.fits(c[0], c[1]) {
			p.set(c[0], c[1])
		}
	}
}

// uniqueTexts gives the cells without a pair that are written only once among
// those.
func uniqueTexts(cells []slice, paired []int) map[content]int {
	at := make(map[content]int, len(cells))
	for i := range cells {
		if paired[i] >= 0 {
			continue
		}
		w := cells[i].content()
		if _, twice := at[w]; twice {
			at[w] = -1
			continue
		}
		at[w] = i
	}
	for w, i := range at {
		if i < 0 {
			delete(at, w)
		}
	}
	return at
}

// fits says whether a pair crosses none of the anchors.
func (p *pairing) fits(i, j int) bool {
	before, after := -1, len(p.b)
	for _, at := range p.anchors() {
		if at < i {
			before = p.ab[at]
		} else if at > i {
			after = p.ab[at]
			break
		}
	}
	return before < j && j < after
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

// inGaps gives the cells without a pair between each two anchors to one.
func (p *pairing) inGaps(not []bool, one func(as, bs []int)) {
	i, j := 0, 0
	for _, at := range append(p.anchors(), len(p.a)) {
		end := len(p.b)
		if at < len(p.a) {
			end = p.ab[at]
		}
		as := without(p.ab, i, at, nil)
		bs := without(p.ba, j, end, not)
		if len(as) > 0 && len(bs) > 0 {
			one(as, bs)
		}
		i, j = at+1, end+1
	}
}

func without(paired []int, from, to int, not []bool) (free []int) {
	for i := from; i < to; i++ {
		if paired[i] < 0 && (not == nil || !not[i]) {
			free = append(free, i)
		}
	}
	return free
}

// moved says whether any pair changed its order.
func (p *pairing) moved() bool {
	pairs := 0
	for _, j := range p.ab {
		if j >= 0 {
			pairs++
		}
	}
	return len(p.anchors()) < pairs
}
