package notebook

import (
	"crypto/sha256"
	"fmt"
)

const maxID = 64

// goodID says whether nbformat takes an id.
func goodID(id string) bool {
	for _, c := range []byte(id) {
		if !isDigit(c) && c != '-' && c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return id != "" && len(id) <= maxID
}

// newID makes the id of a cell of theirs that has none, or one that is in use:
// from the path, the former id and the position there, so that a repeated
// merge makes the same.
func newID(path, former string, position, try int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "satchel-cell-id 1\n%d:%s\n%d:%s\n%d %d\n",
		len(path), path, len(former), former, position, try))
	return fmt.Sprintf("%x", sum[:8])
}

// usedIDs are the ids of the cells of mine that stay.
func (m *merger) usedIDs(order []entry) map[string]bool {
	used := map[string]bool{}
	for _, e := range order {
		if e.mine >= 0 {
			used[m.mine.cells[e.mine].id] = true
		}
	}
	return used
}

// idFor gives the id under which a cell of theirs comes in, "" for none.
func (m *merger) idFor(t int, used map[string]bool) string {
	if m.mine.minor < 5 {
		return ""
	}
	former := m.theirs.cells[t].id
	id := former
	for try := 0; used[id] || !goodID(id); try++ {
		id = newID(m.path, former, t, try)
	}
	used[id] = true
	return id
}
