package notebook

// union is base with the cells that theirs inserted, each behind the one that
// it follows there and those that theirs deleted (as in orderOfMine). Mine is
// looked for in it as a whole: after a merge that was not recorded mine holds
// theirs' insertions, and to look for base alone would take them for something
// else.
type union struct {
	cells  []slice
	base   []int // which cell of base, -1 for an insertion
	theirs []int // which of theirs, -1 for a deletion
}

func (m *merger) union() *union {
	behind := map[int][]int{}
	at := -1
	for t, b := range m.inTheirs.ba {
		if b >= 0 {
			at = b
			continue
		}
		behind[at] = append(behind[at], t)
	}
	u := &union{}
	waiting := behind[-1]
	for b, t := range m.inTheirs.ab {
		if t >= 0 {
			u.insert(m, waiting)
			waiting = behind[b]
		}
		u.cells = append(u.cells, m.base.cells[b])
		u.base, u.theirs = append(u.base, b), append(u.theirs, t)
	}
	u.insert(m, waiting)
	return u
}

func (u *union) insert(m *merger, ts []int) {
	for _, t := range ts {
		u.cells = append(u.cells, m.theirs.cells[t])
		u.base, u.theirs = append(u.base, -1), append(u.theirs, t)
	}
}

// follow finds what became of each cell in mine.
func (m *merger) follow() {
	u := m.union()
	p := m.inUnion(u)
	m.baseOf, m.mineOfBase = none(len(m.mine.cells)), none(len(m.base.cells))
	m.theirsOf, m.mineOf = none(len(m.mine.cells)), none(len(m.theirs.cells))
	m.added = map[content]bool{}
	for i, n := range p.ba {
		if n < 0 {
			m.added[m.mine.cells[i].content()] = true
			continue
		}
		if b := u.base[n]; b >= 0 {
			m.baseOf[i], m.mineOfBase[b] = b, i
		}
		if t := u.theirs[n]; t >= 0 {
			m.theirsOf[i], m.mineOf[t] = t, i
		}
	}
	m.findGone(u, p)
}

// inUnion pairs the union with mine. A cell of mine that is what theirs made
// of one of base counts as equal to that one.
func (m *merger) inUnion(u *union) *pairing {
	k := keys{}
	keyA := k.of(u.cells)
	for n, t := range u.theirs {
		if t < 0 {
			continue
		}
		if _, known := k[m.theirs.cells[t].content()]; !known {
			k[m.theirs.cells[t].content()] = keyA[n]
		}
	}
	p := newPairing(u.cells, m.mine.cells, keyA, k.of(m.mine.cells))
	p.crossing = !rising(m.inTheirs.ab)
	p.fixed = make([]bool, len(u.cells))
	for n, b := range u.base {
		p.fixed[n] = b < 0
	}
	m.pairIDs(u, p)
	p.byContent()
	u.preferKept(p)
	if m.base.minor < 5 || m.mine.minor < 5 {
		u.rewritten(p)
	}
	return p
}

// rewritten pairs, where there are no ids to tell, a cell of base with the
// only new one in its place: a stub that became a solution, with few words in
// common. Taken for deleted, what theirs made of it would be told to nobody.
func (u *union) rewritten(p *pairing) {
	p.inGaps(p.fixed, func(as, bs []int) {
		if len(as) == 1 && len(bs) == 1 && u.theirs[as[0]] >= 0 && p.a[as[0]].kind == p.b[bs[0]].kind {
			p.set(as[0], bs[0])
		}
	})
}

// preferKept looks at pairs with cells that theirs deleted or inserted: where
// mine's cell may as well be an equal one beside that, which both had, it is.
func (u *union) preferKept(p *pairing) {
	for n, i := range p.ab {
		if i < 0 || u.rank(n) == 0 {
			continue
		}
		if at := u.better(p, n, -1); at >= 0 {
			p.ab[n] = -1
			p.set(at, i)
		} else if at := u.better(p, n, 1); at >= 0 {
			p.ab[n] = -1
			p.set(at, i)
		}
	}
}

// rank is 0 for what base and theirs have, 1 for an insertion, 2 for a deletion.
func (u *union) rank(n int) int {
	switch {
	case u.theirs[n] < 0:
		return 2
	case u.base[n] < 0:
		return 1
	}
	return 0
}

// better gives the next cell that is equal and of a better rank, -1 for none;
// it looks no further than to the next pair.
func (u *union) better(p *pairing, n, step int) int {
	for at := n + step; at >= 0 && at < len(p.ab) && p.ab[at] < 0; at += step {
		if p.keyA[at] == p.keyA[n] && u.rank(at) < u.rank(n) {
			return at
		}
	}
	return -1
}

// pairIDs pairs by id: base's cells, and those that theirs inserted, which may
// have come in under an id that was made anew.
func (m *merger) pairIDs(u *union, p *pairing) {
	if m.mine.minor < 5 {
		return
	}
	if m.base.minor >= 5 {
		p.byID(u.base)
	}
	in := uniqueIDs(m.mine.cells)
	for n, t := range u.theirs {
		if u.base[n] >= 0 {
			continue
		}
		former := u.cells[n].id
		for _, id := range []string{former, newID(m.path, former, t, 0)} {
			i, ok := in[id]
			if ok && p.ba[i] < 0 && p.ab[n] < 0 && alike(&m.mine.cells[i], &u.cells[n]) {
				p.set(n, i)
			}
		}
	}
}

// findGone finds cells that theirs inserted right beside an equal one that
// mine deleted.
func (m *merger) findGone(u *union, p *pairing) {
	m.gone = map[int]bool{}
	deleted := map[int]bool{} // keys, since the last cell that is in the result
	look := func(n int) {
		switch {
		case p.ab[n] >= 0:
			clear(deleted)
		case u.base[n] >= 0:
			deleted[p.keyA[n]] = true
		case deleted[p.keyA[n]]:
			m.gone[u.theirs[n]] = true
		case !m.gone[u.theirs[n]]:
			clear(deleted)
		}
	}
	for n := range u.cells {
		look(n)
	}
	clear(deleted)
	for n := len(u.cells) - 1; n >= 0; n-- {
		look(n)
	}
}
