package notebooktest

import (
	"fmt"
	"math/rand"
)

// Break makes one to three changes that a validator should look at: fields
// that are gone, doubled, unknown or of another type, in any place. Sometimes
// the notebook stays valid; it is good JSON in any case.
func Break(r *rand.Rand, nb []byte) []byte {
	v := parse(nb)
	for range 1 + r.Intn(3) {
		breakOne(r, v)
	}
	return styleOf(nb).write(v)
}

// breakOne goes down some way and changes what is there.
func breakOne(r *rand.Rand, v value) {
	for {
		switch at := v.(type) {
		case *object:
			if len(at.keys) == 0 || r.Intn(4) == 0 {
				breakObject(r, at)
				return
			}
			i := r.Intn(len(at.keys))
			if at.keys[0] == "cells" && r.Intn(2) == 0 {
				i = 0
			}
			if r.Intn(6) == 0 {
				at.values[i] = strange(r)
				return
			}
			v = at.values[i]
		case list:
			if len(at) == 0 {
				return
			}
			i := r.Intn(len(at))
			if r.Intn(6) == 0 {
				at[i] = strange(r)
				return
			}
			v = at[i]
		default:
			return
		}
	}
}

// names that mean something somewhere.
var names = []string{
	"id", "name", "tags", "format", "jupyter", "execution", "collapsed", "scrolled", "source", "outputs", "attachments",
	"execution_count", "metadata", "cell_type", "output_type", "data", "text", "title", "authors", "kernelspec",
	"language_info", "codemirror_mode", "orig_nbformat", "nbformat_minor", "application/json", "application/x+json",
	"application/json\n", "application/a\n+json", "text/plain", "a\nb", "a\n", "unknown", "",
}

func breakObject(r *rand.Rand, o *object) {
	switch r.Intn(4) {
	case 0:
		if len(o.keys) > 0 {
			o.drop(pick(r, o.keys))
		}
	case 1: // twice: the last counts
		if len(o.keys) > 0 {
			i := r.Intn(len(o.keys))
			o.keys, o.values = append(o.keys, o.keys[i]), append(o.values, strange(r))
		}
	default:
		o.set(pick(r, names), strange(r))
	}
}

// strange is a value for a wrong, or sometimes the right, place.
func strange(r *rand.Rand) value {
	return []value{
		word("null"), word("true"), word("false"), word("0"), word("-0"), word("-1"), word("1"), word("4"), word("5"), word("6"), word("1.0"), word("0.0"),
		word("1e3"), word("NaN"), word("12345678901234567890"),
		text(""), text("auto"), text("x"), text("a,b"), text("a\n"), text("\n"), text("a\nb"), text("ñ"), text("id-1_Z"), text("bad id"),
		text(fmt.Sprintf("%064d", 7)), text(fmt.Sprintf("%065d", 7)), text("code"), text("raw"), text("stream"), text("error"), text("display_data"),
		list{}, list{text("a")}, list{text("a"), text("a")}, list{text("a"), word("1")}, list{text("a,b")}, list{text("")}, list{text("a\n")}, list{obj()},
		obj(), obj("a", text("b")), obj("name", text("x"), "display_name", text("y")), obj("application/json", word("1")), obj("text/plain", word("1")),
		obj("a.png", obj("image/png", list{text("A")})), obj("a\n", word("1")), obj("a\nb", word("1")), obj("output_type", text("future")),
		obj("cell_type", text("future"), "metadata", obj()),
	}[r.Intn(50)]
}
