package notebook

import (
	"bytes"
)

// change is what theirs brought into one cell of mine.
type change struct {
	text   []byte // the cell's new bytes; nil where nothing came
	shown  bool   // a person sees it: source, attachments or outputs changed
	source bool   // the source changed
	now    string // to this
	clash  bool   // both changed the same lines or the same attachment
}

// mergeCell merges one cell of mine by field: the source by line, outputs and
// count together, attachments by name, metadata and all other fields by name.
// The id is always mine's.
func (m *merger) mergeCell(base, mine, theirs *slice) change {
	var changes []field
	l := m.mine.layout
	source, ok := m.mergeSource(base.source, mine.source, theirs.source)
	c := change{clash: !ok, source: source != mine.source, now: source}
	if c.source {
		changes = append(changes, field{"source", l.source(withEnds(source, mine.crlf), mine.list, 3)})
	}
	changes = append(changes, mergeOutputs(base, mine, theirs, source, l)...)
	attached, clash := mergeAttachments(base, mine, theirs, source, l)
	changes, c.clash = append(changes, attached...), c.clash || clash
	c.shown = len(changes) > 0
	for _, key := range fieldKeys(base.parts, theirs.parts) {
		if ownRules[key] {
			continue
		}
		if value, changed := mergeField(key, base.value(key), mine.value(key), theirs.value(key), l, 3, 2); changed {
			changes = append(changes, field{key, value})
		}
	}
	c.text = mine.with(changes, l, 2)
	return c
}

// ownRules are the fields that are not merged by name.
var ownRules = map[string]bool{
	"id": true, "cell_type": true, "source": true, "outputs": true, "execution_count": true, "attachments": true,
}

// fieldKeys gives the names of theirs, then those that only base has.
func fieldKeys(base, theirs parts) (keys []string) {
	for _, m := range theirs.spans {
		keys = append(keys, m.key)
	}
	for _, m := range base.spans {
		if theirs.value(m.key) == nil {
			keys = append(keys, m.key)
		}
	}
	return keys
}

// mergeField merges one value that is not text: theirs where only they
// changed it. Objects are merged by name, for that many levels. changed says
// whether mine's is to be replaced; a nil value takes it out.
func mergeField(key string, base, mine, theirs []byte, l layout, depth, levels int) (value []byte, changed bool) {
	if sameValue(base, theirs) || sameValue(mine, theirs) {
		return nil, false
	}
	if levels > 0 && !whole[key] && isObject(mine) && isObject(theirs) && (base == nil || isObject(base)) {
		return mergeObject(base, mine, theirs, l, depth, levels-1)
	}
	if sameValue(base, mine) {
		return l.fit(theirs, depth), true
	}
	return nil, false
}

// whole are objects that only make sense as a whole: half a kernel's name is
// no kernel.
var whole = map[string]bool{"kernelspec": true, "language_info": true}

func isObject(raw []byte) bool { return len(raw) > 0 && raw[0] == '{' }

// fit re-writes a value of theirs; nil stays nil.
func (l layout) fit(raw []byte, depth int) []byte {
	if raw == nil {
		return nil
	}
	return l.rewrite(raw, depth)
}

// mergeObject merges an object by name.
func mergeObject(base, mine, theirs []byte, l layout, depth, levels int) ([]byte, bool) {
	b, m, t, ok := threeParts(base, mine, theirs)
	if !ok {
		return nil, false
	}
	var changes []field
	for _, key := range fieldKeys(b, t) {
		value, changed := mergeField(key, b.value(key), m.value(key), t.value(key), l, depth+1, levels)
		if changed {
			changes = append(changes, field{key, value})
		}
	}
	out := m.with(changes, l, depth)
	return out, out != nil
}

// threeParts takes three objects apart; an absent base has no names. Not ok
// where one is beyond the bounds: then mine's is a whole.
func threeParts(base, mine, theirs []byte) (b, m, t parts, ok bool) {
	if base == nil {
		base = []byte("{}")
	}
	b, bad := takeApart(base)
	m, bad2 := takeApart(mine)
	t, bad3 := takeApart(theirs)
	return b, m, t, bad == nil && bad2 == nil && bad3 == nil
}

// mergeOutputs takes theirs' outputs and count, together, where mine has
// neither, theirs changed them, and they belong to the source that results.
func mergeOutputs(base, mine, theirs *slice, source string, l layout) (changes []field) {
	if mine.ran() || !theirs.ran() || source != theirs.source {
		return nil
	}
	changed := false
	for _, key := range []string{"outputs", "execution_count"} {
		t := theirs.value(key)
		changed = changed || !sameValue(base.value(key), t)
		if t != nil && !sameValue(mine.value(key), t) {
			changes = append(changes, field{key, l.rewrite(t, 3)})
		}
	}
	if !changed {
		return nil
	}
	return changes
}

// ran says whether a cell has outputs or a count.
func (c *slice) ran() bool {
	outputs, count := c.value("outputs"), c.value("execution_count")
	empty := len(bytes.TrimSpace(bytes.Trim(outputs, "[]"))) == 0
	return !empty || count != nil && string(count) != "null"
}

// place names the cell as it is now.
func (c *change) place(mine *slice, number int) Place {
	now := *mine
	now.source = c.now
	return now.place(number)
}
