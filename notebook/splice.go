package notebook

import "slices"

// piece is one piece of a list or object that is put together again: one of
// the former pieces, or new bytes, or new bytes in a former one's place.
type piece struct {
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
	pieces := make([]piece, 0, len(p.spans)+len(changes))
	keys := make([]string, 0, cap(pieces))
	changed := make(map[string]int, len(changes))
	for i, c := range changes {
		changed[c.key] = i
	}
	for i, m := range p.spans {
		c, ok := changed[m.key]
		delete(changed, m.key)
		if ok && changes[c].value == nil {
			continue
		}
		one := piece{was: i}
		if ok {
			one.text = append(slices.Clone(p.raw[m.from:m.at]), changes[c].value...)
		}
		pieces, keys = append(pieces, one), append(keys, m.key)
	}
	inOrder := isSorted(p) && (len(p.spans) > 0 || l.sorted)
	for _, c := range changes {
		if _, isNew := changed[c.key]; !isNew || c.value == nil {
			continue
		}
		at := len(keys)
		if inOrder {
			at, _ = slices.BinarySearch(keys, c.key)
		}
		text := append(append(l.appendText(nil, c.key), l.colon...), c.value...)
		pieces, keys = slices.Insert(pieces, at, piece{-1, text}), slices.Insert(keys, at, c.key)
	}
	return p.join(pieces, l, depth)
}
