//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"satchel/internal/sample"
)

// triple is one notebook as the course first had it, as a student has it now,
// and as the course has it now; and what each of them did.
type triple struct {
	name, class        string
	base, mine, theirs string
	wrote              []string // lines that the student wrote, each like no other
	outputs            []string // what the student's runs said, each like no other
	changed            []string // whole cells of the instructor's, new or changed, that the student did not edit
}

// The kinds of triples.
const (
	clean    = "the course's notebook has no outputs"
	withOuts = "the course's notebook has outputs, and is run again for each version"
	relayout = "the course's new version has another layout and new ids"
)

var classes = []string{clean, withOuts, relayout}

// madeCell is a cell while a triple is made.
type madeCell struct {
	id, kind, source string
	outputs          []any
	count            any
}

// maker makes triples. Whatever it writes is like nothing else, so that it
// can be found again.
type maker struct {
	*rand.Rand
	n       int
	lessons [][]madeCell
}

func (m *maker) word() string {
	m.n++
	return fmt.Sprintf("%s%d", []string{"rain", "sum", "mean", "curve", "angle", "mass"}[m.n%6], m.n)
}

// triples are n of them, always the same.
func triples(t *testing.T, n int) (all []triple) {
	t.Helper()
	m := &maker{Rand: rand.New(rand.NewPCG(1, 2)), lessons: sampleLessons(t)}
	for i := range n {
		all = append(all, m.triple(i))
	}
	return all
}

// sampleLessons are the sample course's notebooks, with their kernels' outputs.
func sampleLessons(t *testing.T) (all [][]madeCell) {
	t.Helper()
	err := fs.WalkDir(sample.Course(), ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".ipynb") {
			return err
		}
		data, err := fs.ReadFile(sample.Course(), name)
		nb, ok := decodeNotebook(string(data))
		if err != nil || !ok {
			return fmt.Errorf("%s: %v", name, err)
		}
		var cells []madeCell
		for _, c := range nb["cells"].([]any) {
			c := c.(map[string]any)
			outputs, _ := c["outputs"].([]any)
			cells = append(cells, madeCell{id: c["id"].(string), kind: c["cell_type"].(string), source: joined(c["source"]), outputs: outputs, count: c["execution_count"]})
		}
		all = append(all, cells)
		return nil
	})
	must(t, err)
	return all
}

func (m *maker) triple(i int) triple {
	t := triple{name: fmt.Sprintf("unit%02d/lab%03d.ipynb", i/20, i), class: classes[i%len(classes)]}
	ids := m.IntN(3) > 0 // else a format before 4.5
	base := m.lesson()
	if t.class == withOuts {
		m.run(base)
	} else {
		noOutputs(base)
	}
	theirs, touched := m.instructor(base)
	mine, edited := m.student(&t, base)
	for _, c := range touched {
		if !edited[c] {
			t.changed = append(t.changed, sourceAt(theirs, c))
		}
	}
	if t.class == withOuts {
		m.run(theirs)
	}
	t.base, t.mine, t.theirs = m.save(base, ids), m.save(mine, ids), m.save(theirs, ids)
	if t.class == relayout {
		t.theirs = anotherTool(t.theirs, ids)
	}
	return t
}

// lesson is a made-up lesson, or one time in four one of the sample's.
func (m *maker) lesson() (cells []madeCell) {
	if m.IntN(4) == 0 {
		return slices.Clone(m.lessons[m.IntN(len(m.lessons))])
	}
	add := func(kind, source string) {
		cells = append(cells, madeCell{id: fmt.Sprintf("%08x", m.Uint32()), kind: kind, source: source})
	}
	add("markdown", "# Lab on "+m.word()+"\n\nRead all of it before you begin.")
	add("code", "import math\nimport random\n\nrandom.seed(1)")
	for range 2 + m.IntN(5) {
		w := m.word()
		add("markdown", "## Exercise on "+w+"\n\nWrite a function for the "+w+" of a list of numbers.\nThink of the empty list.")
		add("code", "def "+w+"(values):\n    # YOUR CODE HERE\n    raise NotImplementedError()")
		add("code", "print("+w+"([1, 2, 3]))\nassert "+w+"([]) is None")
		if m.IntN(3) == 0 {
			add("markdown", "What do you see in "+w+"?\n\n*Your answer:*")
		}
	}
	return cells
}

func noOutputs(cells []madeCell) {
	for i := range cells {
		cells[i].outputs, cells[i].count = nil, nil
	}
}

// instructor corrects lines and adds cells; touched are the ids of the cells
// that are new or changed.
func (m *maker) instructor(base []madeCell) (cells []madeCell, touched []string) {
	cells = slices.Clone(base)
	for range 1 + m.IntN(3) {
		i := m.IntN(len(cells))
		cells[i].source = m.corrected(cells[i].source)
		touched = append(touched, cells[i].id)
	}
	for range m.IntN(3) {
		c := madeCell{id: fmt.Sprintf("%08x", m.Uint32()), kind: "code", source: "# one more\nprint(" + m.word() + ")"}
		if m.IntN(2) == 0 {
			c.kind, c.source = "markdown", "## One more: "+m.word()+"\n\nIt is due on Friday."
		}
		cells = slices.Insert(cells, 1+m.IntN(len(cells)), c)
		touched = append(touched, c.id)
	}
	slices.Sort(touched)
	return cells, slices.Compact(touched)
}

// corrected is a text with a line changed or one more.
func (m *maker) corrected(source string) string {
	lines := strings.Split(source, "\n")
	i := m.IntN(len(lines))
	if m.IntN(2) == 0 {
		lines[i] += "  (corrected: " + m.word() + ")"
	} else {
		lines = slices.Insert(lines, i+m.IntN(2), "see also "+m.word())
	}
	return strings.Join(lines, "\n")
}

// student does some exercises, adds a cell of their own, and runs cells.
func (m *maker) student(t *triple, base []madeCell) (cells []madeCell, edited map[string]bool) {
	cells, edited = slices.Clone(base), map[string]bool{}
	write := func(line string) string { t.wrote = append(t.wrote, line); return line }
	for i := range cells {
		c := &cells[i]
		switch {
		case strings.Contains(c.source, "# YOUR CODE HERE") && m.IntN(3) > 0:
			c.source = strings.Replace(c.source, "    # YOUR CODE HERE\n    raise NotImplementedError()",
				write("    total = "+m.word()+" = 0")+"\n    for v in values:\n"+write("        total += v  # "+m.word())+"\n    return total", 1)
			edited[c.id] = true
		case strings.Contains(c.source, "*Your answer:*") && m.IntN(2) == 0:
			c.source += "\n" + write("I see that "+m.word()+" grows.")
			edited[c.id] = true
		case m.IntN(12) == 0:
			c.source += "\n" + write("# my note: "+m.word())
			edited[c.id] = true
		}
	}
	if m.IntN(3) == 0 {
		c := madeCell{id: fmt.Sprintf("%08x", m.Uint32()), kind: "code", source: write("scratch = " + m.word())}
		cells = slices.Insert(cells, 1+m.IntN(len(cells)), c)
	}
	if m.IntN(8) > 0 {
		t.outputs = m.run(cells)
	}
	return cells, edited
}

// run gives all code cells outputs and counts, and says what is in them.
func (m *maker) run(cells []madeCell) (said []string) {
	count := m.IntN(30)
	for i := range cells {
		c := &cells[i]
		if c.kind != "code" {
			continue
		}
		count++
		c.count, c.outputs = count, nil
		text := "result " + m.word()
		switch m.IntN(4) {
		case 0: // it says nothing
			continue
		case 1:
			c.outputs = []any{map[string]any{"output_type": "execute_result", "execution_count": count, "metadata": map[string]any{}, "data": map[string]any{"text/plain": asLines(text)}}}
		case 2:
			c.outputs = []any{map[string]any{"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []any{text}}}
		default:
			c.outputs = []any{map[string]any{"output_type": "stream", "name": "stdout", "text": asLines("hello\n" + text + "\n")}}
		}
		said = append(said, text)
	}
	return said
}

func sourceAt(cells []madeCell, id string) string {
	for _, c := range cells {
		if c.id == id {
			return c.source
		}
	}
	return ""
}

// save writes a notebook as Jupyter does.
func (m *maker) save(cells []madeCell, ids bool) string {
	list := []any{}
	for _, c := range cells {
		o := map[string]any{"cell_type": c.kind, "metadata": map[string]any{}, "source": asLines(c.source)}
		if ids {
			o["id"] = c.id
		}
		if c.kind == "code" {
			o["execution_count"], o["outputs"] = c.count, append([]any{}, c.outputs...)
		}
		list = append(list, o)
	}
	minor := 4
	if ids {
		minor = 5
	}
	return encodeNotebook(map[string]any{
		"cells": list, "nbformat": 4, "nbformat_minor": minor,
		"metadata": map[string]any{"kernelspec": map[string]any{"display_name": "Python 3", "language": "python", "name": "python3"}},
	}, " ")
}

// anotherTool is relaid, for formats without ids too.
func anotherTool(text string, ids bool) string {
	text = relaid(text)
	if ids {
		return text
	}
	nb, _ := decodeNotebook(text)
	for _, c := range nb["cells"].([]any) {
		delete(c.(map[string]any), "id")
	}
	return string(bytes.TrimSpace([]byte(encodeNotebook(nb, "    "))))
}
