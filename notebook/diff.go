package notebook

import "fmt"

// Change is one difference between two notebooks as a person sees it.
type Change struct {
	Kind      string // "added", "removed", "changed" or "moved"
	Old, New  Place  // zero where the cell is not there
	OldSource string // with LF
	NewSource string
}

// Diff gives what a person changed from old to new, cell by cell in the order
// of new, what was removed where it was: sources and attachments. Outputs,
// counts, metadata, ids and layout do not count. A cell that was both moved
// and changed is "changed". The error is Check's, or a bound of Merge's.
func Diff(old, new []byte) ([]Change, error) {
	a, err := open(old)
	if err != nil {
		return nil, fmt.Errorf("the old notebook: %w", err)
	}
	b, err := open(new)
	if err != nil {
		return nil, fmt.Errorf("the new notebook: %w", err)
	}
	d := differ{a: a.cells, b: b.cells, pairs: pair(a, b)}
	d.stays = make([]bool, len(a.cells))
	for _, i := range d.pairs.anchors() {
		d.stays[i] = true
	}
	for j, i := range d.pairs.ba {
		if i >= 0 && d.stays[i] {
			d.removedBefore(i)
		}
		d.look(i, j)
	}
	d.removedBefore(len(a.cells))
	return d.changes, nil
}

type differ struct {
	a, b    []slice
	pairs   *pairing
	stays   []bool // by old cells: not moved
	done    int    // old cells whose removal was noted
	changes []Change
}

// look notes what became of a new cell.
func (d *differ) look(i, j int) {
	switch {
	case i < 0:
		d.note("added", i, j)
	case !d.a[i].same(&d.b[j]):
		d.note("changed", i, j)
	case !d.stays[i]:
		d.note("moved", i, j)
	}
}

func (d *differ) removedBefore(end int) {
	for ; d.done < end; d.done++ {
		if d.pairs.ab[d.done] < 0 {
			d.note("removed", d.done, -1)
		}
	}
}

func (d *differ) note(kind string, i, j int) {
	c := Change{Kind: kind}
	if i >= 0 {
		c.Old, c.OldSource = d.a[i].place(i+1), d.a[i].source
	}
	if j >= 0 {
		c.New, c.NewSource = d.b[j].place(j+1), d.b[j].source
	}
	d.changes = append(d.changes, c)
}
