package notebooktest

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
)

// Edit is a person's work on a notebook: one to four changes. Its layout
// stays.
func Edit(r *rand.Rand, nb []byte) []byte {
	v := parse(nb)
	s := styleOf(nb)
	for range 1 + r.Intn(4) {
		pick(r, edits)(r, v.(*object), s)
	}
	return s.write(v)
}

// edits are the changes; the common ones stand more than once.
var edits = []func(r *rand.Rand, nb *object, s style){
	editLines, editLines, editLines, editLines, editLines, rewriteCell, rewriteCell,
	insertCell, insertCell, insertCell, deleteCell, deleteCell, moveCell, copyCell, splitCell, joinCells,
	changeType, changeMetadata, changeMetadata, changeAttachment, clearOutputs, changeNotebook, newIDs,
}

// one gives a random cell and its place; nil where there is none.
func one(r *rand.Rand, nb *object) (*object, int) {
	cells := cellsOf(nb)
	if len(cells) == 0 {
		return nil, 0
	}
	i := r.Intn(len(cells))
	return cells[i].(*object), i
}

func setSource(c *object, s style, t string) { c.set("source", s.source(t)) }

func editLines(r *rand.Rand, nb *object, s style) {
	c, _ := one(r, nb)
	if c == nil {
		return
	}
	all := slices.Collect(strings.Lines(sourceOf(c)))
	at := 0
	if len(all) > 0 {
		at = r.Intn(len(all))
	}
	line := fmt.Sprintf("w%d = %d\n", r.Intn(50), r.Intn(50))
	switch {
	case r.Intn(3) == 0 || len(all) == 0:
		all = slices.Insert(all, at, line)
	case r.Intn(3) == 0:
		all = slices.Delete(all, at, at+1)
	case r.Intn(3) == 0:
		if last := all[len(all)-1]; !strings.HasSuffix(last, "\n") {
			all[len(all)-1] = last + "\n"
		}
		all = append(all, pick(r, lines))
	default:
		all[at] = line
	}
	setSource(c, s, strings.Join(all, ""))
}

func rewriteCell(r *rand.Rand, nb *object, s style) {
	if c, _ := one(r, nb); c != nil {
		setSource(c, s, randomSource(r))
	}
}

func insert(nb *object, at int, c *object) {
	nb.set("cells", slices.Insert(slices.Clone(cellsOf(nb)), at, value(c)))
}

func insertCell(r *rand.Rand, nb *object, s style) {
	for range 1 + r.Intn(2) {
		c := randomCell(r, minorOf(nb))
		setSource(c, s, sourceOf(c))
		insert(nb, r.Intn(len(cellsOf(nb))+1), c)
	}
}

func remove(nb *object, at int) {
	nb.set("cells", slices.Delete(slices.Clone(cellsOf(nb)), at, at+1))
}

func deleteCell(r *rand.Rand, nb *object, _ style) {
	if c, at := one(r, nb); c != nil {
		remove(nb, at)
	}
}

func moveCell(r *rand.Rand, nb *object, _ style) {
	if c, at := one(r, nb); c != nil {
		remove(nb, at)
		insert(nb, r.Intn(len(cellsOf(nb))+1), c)
	}
}

// copyOf is a cell copied by a person: a new id in new formats.
func copyOf(r *rand.Rand, nb, c *object) *object {
	d := parse(nbformatStyle.write(c)).(*object)
	if minorOf(nb) >= 5 {
		d.set("id", randomID(r))
	}
	return d
}

func copyCell(r *rand.Rand, nb *object, _ style) {
	if c, _ := one(r, nb); c != nil {
		insert(nb, r.Intn(len(cellsOf(nb))+1), copyOf(r, nb, c))
	}
}

func splitCell(r *rand.Rand, nb *object, s style) {
	c, at := one(r, nb)
	if c == nil {
		return
	}
	all := slices.Collect(strings.Lines(sourceOf(c)))
	n := r.Intn(len(all) + 1)
	d := copyOf(r, nb, c)
	setSource(c, s, strings.Join(all[:n], ""))
	setSource(d, s, strings.Join(all[n:], ""))
	insert(nb, at+1, d)
}

func joinCells(r *rand.Rand, nb *object, s style) {
	c, at := one(r, nb)
	if c == nil || at+1 >= len(cellsOf(nb)) {
		return
	}
	next := cellsOf(nb)[at+1].(*object)
	setSource(c, s, strings.TrimSuffix(sourceOf(c), "\n")+"\n"+sourceOf(next))
	remove(nb, at+1)
}

func changeType(r *rand.Rand, nb *object, s style) {
	c, at := one(r, nb)
	if c == nil {
		return
	}
	d := randomCell(r, minorOf(nb))
	setSource(d, s, sourceOf(c))
	if id := c.get("id"); id != nil {
		d.set("id", id)
	}
	remove(nb, at)
	insert(nb, at, d)
}

func changeMetadata(r *rand.Rand, nb *object, _ style) {
	c, _ := one(r, nb)
	if c == nil {
		return
	}
	m := c.get("metadata").(*object)
	switch r.Intn(4) {
	case 0:
		m.set("tags", list{text(fmt.Sprint("t", r.Intn(9)))})
	case 1:
		m.drop("tags")
	case 2:
		m.set("jupyter", obj("source_hidden", word("true")))
	default:
		m.set("nbgrader", obj("grade", word("false"), "points", word(pick(r, numbers)), fmt.Sprint("k", r.Intn(3)), word("null")))
	}
}

func changeAttachment(r *rand.Rand, nb *object, _ style) {
	c, _ := one(r, nb)
	if c == nil || c.get("cell_type") == value(text("code")) {
		return
	}
	a, _ := c.get("attachments").(*object)
	if a == nil {
		a = obj()
		c.set("attachments", a)
	}
	name := pick(r, []string{"a.png", "b.png", "ñ.png"})
	if r.Intn(3) == 0 {
		a.drop(name)
		return
	}
	a.set(name, obj("image/png", text(fmt.Sprintf("AA%02x", r.Intn(99)))))
}

func clearOutputs(_ *rand.Rand, nb *object, _ style) {
	for _, c := range cellsOf(nb) {
		if c := c.(*object); c.get("outputs") != nil {
			c.set("outputs", list{})
			c.set("execution_count", word("null"))
		}
	}
}

func changeNotebook(r *rand.Rand, nb *object, _ style) {
	m := nb.get("metadata").(*object)
	switch r.Intn(4) {
	case 0:
		m.set("kernelspec", obj("display_name", text("Scala"), "name", text("scala3")))
	case 1:
		m.drop("course")
	case 2:
		m.set("widgets", widgets(r))
	default:
		m.set("course", obj("week", word(fmt.Sprint(r.Intn(9))), fmt.Sprint("k", r.Intn(3)), text("v")))
	}
}

// newIDs is rare: a converter that makes all ids anew.
func newIDs(r *rand.Rand, nb *object, _ style) {
	if minorOf(nb) < 5 || r.Intn(4) > 0 {
		return
	}
	counted := r.Intn(2) == 0
	for i, c := range cellsOf(nb) {
		id := randomID(r)
		if counted {
			id = text(fmt.Sprint(i))
		}
		c.(*object).set("id", id)
	}
}
