package notebook

// counterparts finds for each cell of mine the one of theirs that it became,
// and the reverse: by way of base, or because both inserted the same cell.
func (m *merger) counterparts() {
	m.theirsOf, m.mineOf = none(len(m.mine.cells)), none(len(m.theirs.cells))
	for b, i := range m.inMine.ab {
		if t := m.inTheirs.ab[b]; i >= 0 && t >= 0 {
			m.theirsOf[i], m.mineOf[t] = t, i
		}
	}
	for i, t := range m.claimed {
		if t >= 0 {
			m.theirsOf[i], m.mineOf[t] = t, i
		}
	}
}

// claim finds what both inserted alike, before similarity may take it for
// something else: cells of mine without a pair that equal, or carry the id of,
// a cell that theirs inserted. After a merge that was not recorded these are
// theirs' own, come in before.
func (m *merger) claim(p *pairing) []bool {
	m.claimed = none(len(p.b))
	claimed := make([]bool, len(p.b))
	u := m.unpaired(p)
	for t, gap := range m.gaps(m.inTheirs.ba, p.ab) {
		if m.inTheirs.ba[t] >= 0 {
			continue
		}
		if i := m.claimOne(t, gap, u); i >= 0 {
			m.claimed[i], claimed[i] = t, true
		}
	}
	return claimed
}

// unpaired are cells of mine that may be claimed.
type unpaired struct {
	near map[nearby][]int
	far  map[content][]int
	id   map[string]int
}

// nearby is a cell's content and its gap.
type nearby struct {
	content
	gap int
}

func (m *merger) unpaired(p *pairing) *unpaired {
	u := &unpaired{map[nearby][]int{}, map[content][]int{}, map[string]int{}}
	for i, gap := range m.gaps(p.ba, m.inTheirs.ab) {
		if p.ba[i] >= 0 {
			continue
		}
		w := p.b[i].content()
		u.near[nearby{w, gap}] = append(u.near[nearby{w, gap}], i)
		u.far[w] = append(u.far[w], i)
		u.id[p.b[i].id] = i
	}
	return u
}

// gaps gives for each cell the cell of base before it that the other side
// has, too.
func (m *merger) gaps(toBase, toOther []int) []int {
	out := make([]int, len(toBase))
	gap := -1
	for i, b := range toBase {
		if b >= 0 && toOther[b] >= 0 {
			gap = b
		}
		out[i] = gap
	}
	return out
}

// claimOne gives the cell of mine for one of theirs, -1 for none: an equal one
// in the same gap, else elsewhere unless it is blank, else a similar one with
// its id.
func (m *merger) claimOne(t, gap int, u *unpaired) int {
	c := &m.theirs.cells[t]
	if i := m.firstFree(u.near[nearby{c.content(), gap}]); i >= 0 {
		return i
	}
	if i := m.firstFree(u.far[c.content()]); i >= 0 && !c.blank() {
		return i
	}
	for _, id := range []string{c.id, newID(m.path, c.id, t, 0)} {
		i, ok := u.id[id]
		if ok && id != "" && m.claimed[i] < 0 && alike(&m.mine.cells[i], c) {
			return i
		}
	}
	return -1
}

func (m *merger) firstFree(cells []int) int {
	for _, i := range cells {
		if m.claimed[i] < 0 {
			return i
		}
	}
	return -1
}
