package notebook

import (
	"strconv"
	"strings"
)

// byID pairs cells whose id is unique in both; of a those that from has, if it
// is not nil. Ids of which fewer than half agree (counted where there are
// fewer) were made anew and say nothing; nor do ids that only count the cells,
// as nbstripout writes them, once they shift.
func (p *pairing) byID(from []int) {
	a, at := p.a, none(0)
	if from != nil {
		a = nil
		for n, b := range from {
			if b >= 0 {
				a, at = append(a, p.a[n]), append(at, n)
			}
		}
	}
	in := uniqueIDs(p.b)
	agree, of := 0, uniqueIDs(a)
	for id := range of {
		if _, ok := in[id]; ok {
			agree++
		}
	}
	if 2*agree < min(len(of), len(in)) || onlyCount(a, p.b) {
		return
	}
	for id, i := range of {
		j, ok := in[id]
		if !ok || a[i].kind != p.b[j].kind {
			continue
		}
		if from != nil {
			i = at[i]
		}
		p.set(i, j)
	}
}

// onlyCount says whether all ids of both are the cells' positions, and a cell
// came or went or carries another's id now.
func onlyCount(a, b []slice) bool {
	if !counted(a) || !counted(b) {
		return false
	}
	if len(a) != len(b) {
		return true
	}
	k := keys{}
	at := uniqueKeys(k.of(a), none(len(a)))
	for key, j := range uniqueKeys(k.of(b), none(len(b))) {
		if i, ok := at[key]; ok && i != j && !b[j].blank() {
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
	return unique(len(cells), func(i int) (string, bool) { return cells[i].id, cells[i].id != "" })
}
