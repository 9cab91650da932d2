package notebook

import (
	"bytes"
	"fmt"
)

// Merged is what Merge made of three notebooks.
type Merged struct {
	// Data stands in mine's place: the very bytes of mine where nothing of
	// theirs came in, the very bytes of theirs where mine changed nothing, nor
	// ran anything.
	Data    []byte
	Taken   []Place // cells that came by theirs, or whose source, attachments or outputs did
	Removed int     // cells that went by theirs
	Run     []Place // those of Taken whose source changed under outputs or a count of mine
	Clash   []Place // cells in which both changed the same lines or attachment: mine's stand
}

// merger merges three notebooks.
type merger struct {
	path               string
	base, mine, theirs *book
	inTheirs           *pairing // base's cells there
	baseOf, mineOfBase []int    // the same cell of the other, -1 for none
	theirsOf, mineOf   []int
	added              map[content]bool // by mine
	gone               map[int]bool     // cells of theirs like one that mine deleted there
	left               int              // how much source may still be merged by line
	said               Merged
}

// Merge merges by cell what mine and theirs made of base. path goes into ids
// that are made anew. Merged again, with its result as mine, nothing changes.
//
// An error means that it cannot be merged: one of the three is no good
// notebook, has a name twice in one object, or is beyond the bounds (MaxSize,
// maxCells, maxKeys), or the result failed the net (see net). Then mine is to
// stay and theirs to go beside.
//
// The cost grows with the bytes of the three, but for pairing (see pair) and
// for sources that both changed (see maxMerged), which have budgets.
func Merge(path string, base, mine, theirs []byte) (Merged, error) {
	m := &merger{path: path}
	var err error
	if m.base, err = open(base); err != nil {
		return Merged{}, fmt.Errorf("merge: the version before: %w", err)
	}
	if m.theirs, err = open(theirs); err != nil {
		return Merged{}, fmt.Errorf("merge: the course's version: %w", err)
	}
	m.inTheirs = pair(m.base, m.theirs)
	here, err := open(mine)
	if err != nil {
		return Merged{}, fmt.Errorf("merge: the version here: %w", err)
	}
	m.with(here)
	if err := m.net(); err != nil {
		return Merged{}, fmt.Errorf("merge: %w", err)
	}
	return m.said, nil
}

// with merges one mine.
func (m *merger) with(mine *book) {
	m.mine, m.said, m.left = mine, Merged{Data: mine.raw}, maxMerged
	switch {
	case bytes.Equal(mine.raw, m.theirs.raw) || bytes.Equal(m.base.raw, m.theirs.raw):
	case bytes.Equal(mine.raw, m.base.raw) || untouched(m.base, mine):
		m.takeAll()
	default:
		m.follow()
		m.said.Data = m.write(m.order())
	}
}

// untouched says whether mine is base but for JSON layout, ids and the minor
// format: opened and saved by some editor.
func untouched(base, mine *book) bool {
	if len(base.cells) != len(mine.cells) || !sameBut(base.parts, mine.parts, "cells", "nbformat_minor") {
		return false
	}
	for i := range base.cells {
		b, m := &base.cells[i], &mine.cells[i]
		if !b.same(m) || !sameBut(b.parts, m.parts, "id", "source", "attachments") {
			return false
		}
	}
	return true
}

// sameBut compares two objects but for some of their names.
func sameBut(a, b parts, but ...string) bool {
	skip := map[string]bool{}
	for _, key := range but {
		skip[key] = true
	}
	for _, key := range fieldKeys(a, b) {
		if !skip[key] && !sameValue(a.value(key), b.value(key)) {
			return false
		}
	}
	return true
}

// takeAll takes theirs as it is.
func (m *merger) takeAll() {
	m.said.Data = m.theirs.raw
	for t := range m.theirs.cells {
		c := &m.theirs.cells[t]
		b := m.inTheirs.ba[t]
		if b < 0 || !m.base.cells[b].same(c) || !sameRun(&m.base.cells[b], c) {
			m.said.Taken = append(m.said.Taken, c.place(t+1))
		}
	}
	for _, t := range m.inTheirs.ab {
		if t < 0 {
			m.said.Removed++
		}
	}
}

func sameRun(a, b *slice) bool {
	return sameValue(a.value("outputs"), b.value("outputs")) &&
		sameValue(a.value("execution_count"), b.value("execution_count"))
}

// write writes the result, and notes what came in.
func (m *merger) write(order []entry) []byte {
	l, used := m.mine.layout, m.usedIDs(order)
	pieces := make([]piece, len(order))
	changed := len(order) != len(m.mine.cells)
	for n, e := range order {
		if e.mine < 0 {
			pieces[n] = piece{was: -1, text: m.newCell(e.theirs, m.idFor(e.theirs, used))}
			m.said.Taken = append(m.said.Taken, m.theirs.cells[e.theirs].place(n+1))
		} else {
			pieces[n] = piece{was: e.mine, text: m.oldCell(e, n+1)}
		}
		changed = changed || e.mine != n || pieces[n].text != nil
	}
	for i := range m.mine.cells {
		if !m.stays(i) {
			m.said.Removed++
		}
	}
	fields := m.outerFields()
	if changed {
		fields = append(fields, field{"cells", m.mine.list.join(pieces, l, 1)})
	}
	if out := m.mine.with(fields, l, 0); out != nil {
		return out
	}
	return m.mine.raw
}

// oldCell gives the new bytes of a cell of mine, nil for the old ones.
func (m *merger) oldCell(e entry, number int) []byte {
	if e.theirs < 0 || m.baseOf[e.mine] < 0 {
		return nil
	}
	mine := &m.mine.cells[e.mine]
	base := &m.base.cells[m.baseOf[e.mine]]
	c := m.mergeCell(base, mine, &m.theirs.cells[e.theirs])
	place := c.place(mine, number)
	if c.shown {
		m.said.Taken = append(m.said.Taken, place)
	}
	if c.source && mine.kind == "code" && mine.ran() {
		m.said.Run = append(m.said.Run, place)
	}
	if c.clash {
		m.said.Clash = append(m.said.Clash, place)
	}
	return c.text
}

// outerFields merges the notebook's own fields. The minor format stays mine's,
// but follows theirs upwards from 4.5 on, where theirs may bring fields that
// only a newer one allows.
func (m *merger) outerFields() (changes []field) {
	for _, key := range fieldKeys(m.base.parts, m.theirs.parts) {
		b, mine, t := m.base.value(key), m.mine.value(key), m.theirs.value(key)
		switch key {
		case "cells", "nbformat":
		case "nbformat_minor":
			if m.mine.minor >= 5 && m.theirs.minor > max(m.mine.minor, m.base.minor) {
				changes = append(changes, field{key, t})
			}
		default:
			if value, changed := mergeField(key, b, mine, t, m.mine.layout, 1, 2); changed {
				changes = append(changes, field{key, value})
			}
		}
	}
	return changes
}
