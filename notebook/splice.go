package notebook

import (
	"slices"
	"strings"
)

// piece is one piece of a list or object that is put together again: one of
// the former pieces, or new bytes, or new bytes in a former one's place.
type piece struct {
	key  string // of a member
	was  int    // which former piece; -1 for none
	text []byte // nil: as it was
}

// join puts a list or object together from pieces. What stood between two
// neighbours that are neighbours still is kept; elsewhere the first such gap,
// or the layout, says what stands between.
func (p parts) join(pieces []piece, l layout, depth int) []byte {
	raw, n := p.raw, len(p.spans)
	if len(pieces) == 0 {
		return []byte{raw[0], raw[len(raw)-1]}
	}
	begin := append([]byte{raw[0]}, l.line(depth+1)...)
	end := append([]byte(l.line(depth)), raw[len(raw)-1])
	between := []byte(l.between(depth + 1))
	if n > 0 {
		begin, end = raw[:p.spans[0].from], raw[p.spans[n-1].to:]
	}
	if n > 1 {
		between = raw[p.spans[0].to:p.spans[1].from]
	}
	out := slices.Clone(begin)
	for i, c := range pieces {
		switch {
		case i == 0:
		case c.was > 0 && pieces[i-1].was == c.was-1:
			out = append(out, raw[p.spans[c.was-1].to:p.spans[c.was].from]...)
		default:
			out = append(out, between...)
		}
		if c.text == nil {
			c.text = raw[p.spans[c.was].from:p.spans[c.was].to]
		}
		out = append(out, c.text...)
	}
	return append(out, end...)
}

// field is a member to be set, or to be taken out where its value is nil.
type field struct {
	key   string
	value []byte
}

// with gives an object with some of its members changed; nil for no change.
// New names go to their place where names stand in order, else to the end.
func (p parts) with(changes []field, l layout, depth int) []byte {
	if len(changes) == 0 {
		return nil
	}
	rest := make(map[string][]byte, len(changes))
	for _, c := range changes {
		rest[c.key] = c.value
	}
	pieces := p.kept(rest)
	for _, c := range changes {
		if rest[c.key] != nil {
			text := append(append(l.appendText(nil, c.key), l.colon...), c.value...)
			pieces = append(pieces, piece{c.key, -1, text})
		}
	}
	if isSorted(p) && (len(p.spans) > 0 || l.sorted) {
		slices.SortStableFunc(pieces, func(a, b piece) int { return strings.Compare(a.key, b.key) })
	}
	return p.join(pieces, l, depth)
}

// kept gives the former members that stay, changed or not, and takes them out
// of changed: the rest is new.
func (p parts) kept(changed map[string][]byte) (pieces []piece) {
	for i, m := range p.spans {
		value, ok := changed[m.key]
		delete(changed, m.key)
		if ok && value == nil {
			continue
		}
		one := piece{key: m.key, was: i}
		if ok {
			one.text = append(slices.Clone(p.raw[m.from:m.at]), value...)
		}
		pieces = append(pieces, one)
	}
	return pieces
}
