package notebook

// entry is one cell of the result: of mine, of theirs, or of both.
type entry struct {
	mine, theirs int // -1: not there
}

// order gives the cells of the result. It is mine's order, with theirs'
// insertions behind the cell that they follow there; or, where mine moved
// nothing and theirs did, it is theirs' order with mine's insertions behind
// the cell that they follow here. Where both inserted in one place mine's come
// first.
func (m *merger) order() []entry {
	if !rising(m.inTheirs.ab) && rising(m.shared()) {
		return m.orderOfTheirs()
	}
	return m.orderOfMine()
}

// shared gives the places in mine of the cells of base that all three have:
// whether mine moved a cell that theirs deleted is no question.
func (m *merger) shared() []int {
	at := none(len(m.mineOfBase))
	for b, i := range m.mineOfBase {
		if m.inTheirs.ab[b] >= 0 {
			at[b] = i
		}
	}
	return at
}

// orderOfMine: theirs' insertions wait until the cells are over that mine
// inserted in the same place.
func (m *merger) orderOfMine() (out []entry) {
	behind := m.insertions()
	waiting := behind[-1]
	for i, t := range m.theirsOf {
		if !m.stays(i) {
			continue
		}
		if t >= 0 {
			out = append(out, waiting...)
			waiting = behind[i]
		}
		out = append(out, entry{i, t})
	}
	return append(out, waiting...)
}

// insertions gives theirs' new cells by the cell of mine that they follow, -1
// for the beginning.
func (m *merger) insertions() map[int][]entry {
	behind := map[int][]entry{}
	at := -1
	for t, i := range m.mineOf {
		switch {
		case i >= 0:
			at = i
		case m.comes(t):
			behind[at] = append(behind[at], entry{-1, t})
		}
	}
	return behind
}

// orderOfTheirs: what only mine has follows its cell before anything new.
func (m *merger) orderOfTheirs() (out []entry) {
	behind := map[int][]entry{}
	at := -1 // the cell of theirs
	for i, t := range m.theirsOf {
		switch {
		case t >= 0:
			at = t
		case m.stays(i):
			behind[at] = append(behind[at], entry{i, -1})
		}
	}
	out = append(out, behind[-1]...)
	for t, i := range m.mineOf {
		if i >= 0 || m.comes(t) {
			out = append(out, entry{i, t})
			out = append(out, behind[t]...)
		}
	}
	return out
}

// stays says whether a cell of mine stays: theirs has it, mine added it, mine
// changed what theirs deleted, or mine added a copy of that (which a repeated
// merge could not tell from it).
func (m *merger) stays(i int) bool {
	b := m.baseOf[i]
	c := &m.mine.cells[i]
	return m.theirsOf[i] >= 0 || b < 0 || !m.base.cells[b].same(c) || m.added[c.content()]
}

// comes says whether a cell that only theirs has comes in: mine has not
// deleted it, nor an equal one in the same place (to a repeated merge it would
// look like that one).
func (m *merger) comes(t int) bool { return m.inTheirs.ba[t] < 0 && !m.gone[t] }
