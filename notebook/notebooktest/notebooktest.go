// Package notebooktest makes random notebooks and random histories of them,
// for tests: Random is a new one, Edit is a person's work on it, Run is what
// running it leaves, Layout is another tool that saves it, Upgrade a newer
// Jupyter that gives its cells ids. All are valid nbformat 4, of any minor
// format, and all depend on the random source alone.
//
// Words are few, so that equal cells, blank cells and equal lines are common:
// that is where a merge goes wrong.
package notebooktest

import (
	"fmt"
	"math/rand"
	"strings"
)

// Random makes a notebook of format 4.minor.
func Random(r *rand.Rand, minor int) []byte {
	cells := list{}
	for range r.Intn(12) {
		cells = append(cells, randomCell(r, minor))
	}
	nb := obj("cells", cells, "metadata", randomMetadata(r), "nbformat", word("4"), "nbformat_minor", word(fmt.Sprint(minor)))
	s := randomStyle(r)
	if r.Intn(3) > 0 {
		sortKeys(nb)
	}
	restyle(nb, s)
	return s.write(nb)
}

// Layout saves a notebook as another tool would: other white space, escapes,
// source as text or list, and perhaps the names in order.
func Layout(r *rand.Rand, nb []byte) []byte {
	v := parse(nb)
	s := randomStyle(r)
	if r.Intn(2) == 0 {
		sortKeys(v)
	}
	restyle(v, s)
	return s.write(v)
}

// restyle writes all sources as a style does.
func restyle(nb value, s style) {
	for _, c := range cellsOf(nb) {
		c := c.(*object)
		c.set("source", s.source(sourceOf(c)))
	}
}

func cellsOf(nb value) list { return nb.(*object).get("cells").(list) }

func minorOf(nb value) (minor int) {
	fmt.Sscan(string(nb.(*object).get("nbformat_minor").(word)), &minor)
	return minor
}

func sourceOf(cell *object) string {
	switch s := cell.get("source").(type) {
	case text:
		return string(s)
	case list:
		var b strings.Builder
		for _, line := range s {
			b.WriteString(string(line.(text)))
		}
		return b.String()
	}
	return ""
}

var lines = []string{
	"import math\n", "x = 1\n", "y = x + 2\n", "print(x, y)\n", "def fib(n):\n", "    return fib(n-1) + fib(n-2)\n",
	"# YOUR CODE HERE\n", "raise NotImplementedError()\n", "# Exercise 1\n", "## Year and ñandú\n", "Some text about sums.\n",
	"\n", "\n", "assert f(3) == 6\n", "plot(\"año\", 'é', \"\\n\")\n", "![a](attachment:a.png)\n", "emoji 😀 here\n", "\ttabbed\n",
}

func pick[T any](r *rand.Rand, of []T) T { return of[r.Intn(len(of))] }

// randomSource is often short, sometimes blank, sometimes one that others
// have, too.
func randomSource(r *rand.Rand) string {
	switch r.Intn(8) {
	case 0:
		return ""
	case 1:
		return "# YOUR CODE HERE\nraise NotImplementedError()"
	}
	var b strings.Builder
	for range 1 + r.Intn(8) {
		if r.Intn(3) == 0 {
			fmt.Fprintf(&b, "v%d = %d\n", r.Intn(9), r.Intn(1000))
			continue
		}
		b.WriteString(pick(r, lines))
	}
	if r.Intn(2) == 0 {
		return strings.TrimSuffix(b.String(), "\n")
	}
	if r.Intn(30) == 0 {
		return strings.ReplaceAll(b.String(), "\n", "\r\n")
	}
	return b.String()
}

func randomID(r *rand.Rand) value { return text(fmt.Sprintf("%08x", r.Uint32())) }

func randomCell(r *rand.Rand, minor int) *object {
	kind := pick(r, []string{"code", "code", "code", "markdown", "markdown", "raw"})
	c := obj("cell_type", text(kind), "metadata", cellMetadata(r), "source", text(randomSource(r)))
	if minor >= 5 {
		c.set("id", randomID(r))
	}
	if kind == "code" {
		c.set("execution_count", word("null"))
		c.set("outputs", list{})
		if r.Intn(4) == 0 {
			runCell(r, c, 1+r.Intn(30))
		}
	} else if r.Intn(4) == 0 {
		c.set("attachments", obj("a.png", obj("image/png", text("iVBORw0KGgo"))))
	}
	return c
}

func cellMetadata(r *rand.Rand) *object {
	m := &object{}
	if r.Intn(4) == 0 {
		m.set("tags", list{text(pick(r, []string{"hide", "exercise", "año"}))})
	}
	if r.Intn(5) == 0 {
		m.set("nbgrader", obj("grade", word("true"), "grade_id", text(fmt.Sprint("g", r.Intn(99))), "points", word(pick(r, numbers))))
	}
	return m
}

// numbers are spelled in ways that a careless writer changes.
var numbers = []string{"1", "1.0", "-0.0", "1e999", "9007199254740993", "NaN", "-Infinity", "2.50"}

func randomMetadata(r *rand.Rand) *object {
	m := obj("kernelspec", obj("display_name", text("Python 3"), "language", text("python"), "name", text("python3")),
		"language_info", obj("name", text("python"), "version", text("3.11.7")))
	if r.Intn(3) == 0 {
		m.set("course", obj("week", word(pick(r, numbers)), "name", text("Cálculo")))
	}
	if r.Intn(6) == 0 {
		m.set("widgets", widgets(r))
	}
	return m
}

func widgets(r *rand.Rand) *object {
	return obj("application/vnd.jupyter.widget-state+json", obj("state", obj(fmt.Sprintf("%032x", r.Uint64()), obj()), "version_major", word("2"), "version_minor", word("0")))
}
