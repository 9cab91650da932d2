package notebook

import (
	"cmp"
	"maps"
	"slices"
)

// newCell writes a cell of theirs in mine's layout, with another id or none.
// What nbformat asks for and some tools leave out is added, for mine's editor
// may have done so to all the others.
func (m *merger) newCell(t int, id string) []byte {
	c, l := &m.theirs.cells[t], m.mine.layout
	var fields []field
	for _, s := range c.spans {
		value := c.raw[s.at:s.to]
		switch {
		case s.key == "id" && id == "":
			continue
		case s.key == "id":
			value = l.appendText(nil, id)
		case s.key == "source":
			value = l.source(c.source, l.list, 3)
		default:
			value = l.rewrite(value, 3)
		}
		fields = append(fields, field{s.key, value})
	}
	required := map[string][]byte{"source": l.source("", l.list, 3)}
	if c.kind == "code" {
		required["outputs"], required["execution_count"] = []byte("[]"), []byte("null")
	}
	if id != "" {
		required["id"] = l.appendText(nil, id)
	}
	for _, key := range slices.Sorted(maps.Keys(required)) {
		if c.value(key) == nil {
			fields = append(fields, field{key, required[key]})
		}
	}
	m.sortFields(fields, c.kind)
	return parts{raw: []byte("{}")}.with(fields, l, 2)
}

// sortFields puts the fields of a new cell in the order that mine's cells
// have: sorted, or that of its first cell of the type (of any type where there
// is none), unknown names last.
func (m *merger) sortFields(fields []field, kind string) {
	if m.mine.layout.sorted {
		slices.SortFunc(fields, func(a, b field) int { return cmp.Compare(a.key, b.key) })
		return
	}
	at := map[string]int{}
	for i := range m.mine.cells {
		c := &m.mine.cells[i]
		if len(at) > 0 && c.kind != kind {
			continue
		}
		clear(at)
		for n, s := range c.spans {
			at[s.key] = n - len(c.spans)
		}
		if c.kind == kind {
			break
		}
	}
	slices.SortStableFunc(fields, func(a, b field) int { return cmp.Compare(at[a.key], at[b.key]) })
}
