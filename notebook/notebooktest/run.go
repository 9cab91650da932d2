package notebooktest

import (
	"fmt"
	"math/rand"
)

// Run is what a student leaves who runs a notebook (some cells, or all):
// outputs, counts and times, widgets, the version of the language.
func Run(r *rand.Rand, nb []byte) []byte {
	v := parse(nb)
	count := r.Intn(20)
	all := r.Intn(2) == 0
	for _, c := range cellsOf(v) {
		c := c.(*object)
		if c.get("cell_type") == value(text("code")) && (all || r.Intn(2) == 0) {
			count++
			runCell(r, c, count)
		}
	}
	m := v.(*object).get("metadata").(*object)
	if info, ok := m.get("language_info").(*object); ok && r.Intn(2) == 0 {
		info.set("version", text("3.12.1"))
	}
	if r.Intn(5) == 0 {
		m.set("widgets", widgets(r))
	}
	return styleOf(nb).write(v)
}

func runCell(r *rand.Rand, c *object, count int) {
	outputs := list{}
	for range r.Intn(3) {
		outputs = append(outputs, pick(r, outputKinds)(r, count))
	}
	c.set("outputs", outputs)
	c.set("execution_count", word(fmt.Sprint(count)))
	if r.Intn(4) == 0 {
		m := c.get("metadata").(*object)
		m.set("execution", obj("iopub.status.busy", text(fmt.Sprintf("2026-11-2%dT10:00:00Z", r.Intn(9)))))
	}
}

var outputKinds = []func(r *rand.Rand, count int) value{
	func(r *rand.Rand, _ int) value {
		return obj("name", text("stdout"), "output_type", text("stream"), "text", list{text(fmt.Sprintf("%d\n", r.Intn(99))), text("ñ")})
	},
	func(r *rand.Rand, count int) value {
		return obj("data", obj("text/plain", list{text(fmt.Sprint(r.Intn(99)))}), "execution_count", word(fmt.Sprint(count)), "metadata", obj(), "output_type", text("execute_result"))
	},
	func(r *rand.Rand, _ int) value {
		data := obj("application/vnd.jupyter.widget-view+json", obj("model_id", text(fmt.Sprintf("%x", r.Uint64())), "version_major", word("2")),
			"image/png", text("iVBORw0KGgo=\n"), "text/plain", text("<Figure>"))
		return obj("data", data, "metadata", obj("needs_background", text("light")), "output_type", text("display_data"))
	},
	func(_ *rand.Rand, _ int) value {
		return obj("ename", text("ValueError"), "evalue", text("no"), "output_type", text("error"), "traceback", list{text("\u001b[0;31mValueError\u001b[0m")})
	},
}

// Upgrade is a newer Jupyter that opens and saves a notebook: format 4.5, an
// id for each cell.
func Upgrade(r *rand.Rand, nb []byte) []byte {
	v := parse(nb)
	if minorOf(v) < 5 {
		v.(*object).set("nbformat_minor", word("5"))
		for _, c := range cellsOf(v) {
			c.(*object).set("id", randomID(r))
		}
	}
	return styleOf(nb).write(v)
}
