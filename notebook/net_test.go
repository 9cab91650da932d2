package notebook

import (
	"fmt"
	"strings"
	"testing"
)

func md(id, source string) string {
	return fmt.Sprintf(`{"cell_type":"markdown","id":%q,"metadata":{},"source":%q}`, id, source)
}

// TestNet gives the net results that a broken merge might make.
func TestNet(t *testing.T) {
	a, b, c := md("a", "A\nold"), md("b", "B"), md("c", "C")
	base := notebook(a + "," + b + "," + c)
	mine := notebook(md("a", "A\nold\n\nmy line") + "," + c + "," + md("m", "mine"))
	theirs := notebook(md("t", "T") + "," + a + "," + b + "," + md("c", "C2"))
	good := []string{md("t", "T"), md("a", "A\nold\n\nmy line"), md("c", "C2"), md("m", "mine")}
	swap := func(at int, cell string) string {
		cells := append([]string{}, good...)
		cells[at] = cell
		return notebook(strings.Trim(strings.ReplaceAll(strings.Join(cells, ","), ",,", ","), ","))
	}
	for _, x := range []struct{ name, result, want string }{
		{"good", notebook(strings.Join(good, ",")), ""},
		{"no JSON", "{", "the result: line 1: not complete JSON"},
		{"no notebook", "{}", "the result: it is no notebook"},
		{"invalid", swap(3, strings.Replace(good[3], `"id":"m",`, "", 1)), `the result: "cells": 4: "id" is missing`},
		{"ids doubled", swap(3, strings.Replace(good[3], `"m"`, `"a"`, 1)), "another cell's"},
		{"my cell is gone", swap(3, ""), "cell 3 of the version here is not in the result"},
		{"my cell is changed", swap(3, md("m", "mine!")), "cell 3 of the version here is not in the result"},
		{"my line is gone", swap(1, md("a", "A\nold\n")), "a line of the version here is not in the result"},
		{"my empty line is gone", swap(1, md("a", "A\nold\nmy line")), "a line of the version here is not in the result"},
		{"the deleted cell is back", swap(2, b+","+good[2]), "cell 2 of the version before came back"},
		{"theirs' cell is missing", swap(0, ""), errUnstable.Error()},
		{"theirs' change is missing", swap(2, c), errUnstable.Error()},
	} {
		m := &merger{path: "lab.ipynb"}
		var books [3]*book
		for i, text := range []string{base, mine, theirs} {
			book, err := open([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			books[i] = book
		}
		m.base, m.theirs = books[0], books[2]
		m.inTheirs = pair(m.base, m.theirs)
		m.with(books[1])
		if x.name == "good" && string(m.said.Data) != x.result {
			t.Fatalf("the merge itself:\n%s\nwant\n%s", m.said.Data, x.result)
		}
		m.said.Data = []byte(x.result)
		switch err := m.net(); {
		case x.want == "" && err != nil:
			t.Errorf("%s: %v", x.name, err)
		case x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)):
			t.Errorf("%s: %v, want %q", x.name, err, x.want)
		}
	}
}

// TestMergeBounds: beyond the bounds a notebook is left whole.
func TestMergeBounds(t *testing.T) {
	names := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"k%d":1,`, i)
		}
		return b.String()
	}
	many := func(n int, source string) []byte {
		return []byte(notebook(strings.Repeat(`{"cell_type":"raw","metadata":{},"source":""},`, n-1) + md("z", source)))
	}
	wide := func(n int, source string) []byte {
		return []byte(notebook(`{` + names(n) + md("z", source)[1:]))
	}
	for _, x := range []struct {
		name string
		make func(n int, source string) []byte
		n    int
		want string
	}{
		{"cells", many, maxCells, ""},
		{"too many cells", many, maxCells + 1, "more than 10000 cells"},
		{"fields", wide, maxKeys - 4, ""},
		{"too many fields", wide, maxKeys - 3, "more than 10000 pieces"},
	} {
		out, err := Merge("lab.ipynb", x.make(x.n, "a\n\nb"), x.make(x.n, "a\n\nmine"), x.make(x.n, "theirs\n\nb"))
		if x.want == "" && (err != nil || len(out.Taken) != 1 || len(out.Clash) != 0) || x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)) {
			t.Errorf("%s: %v, %v, want %q", x.name, out.Taken, err, x.want)
		}
	}
	long := strings.Repeat("x\n", maxMerged/2)
	out, err := Merge("lab.ipynb", []byte(notebook(md("a", long))), []byte(notebook(md("a", long+"mine"))), []byte(notebook(md("a", "theirs\n"+long))))
	if err != nil || len(out.Clash) != 1 || len(out.Taken) != 0 {
		t.Errorf("a source too long to be merged: %v %v %v", out.Clash, out.Taken, err)
	}
}
