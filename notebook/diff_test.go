package notebook

import (
	"fmt"
	"testing"
)

func ExampleDiff() {
	old := notebook(`{"cell_type":"markdown","id":"a","metadata":{},"source":"# One"},{"cell_type":"code","id":"b","metadata":{},"source":"x = 1"}`)
	now := notebook(`{"cell_type":"code","id":"b","metadata":{},"source":"x = 2"},{"cell_type":"code","id":"c","metadata":{},"source":"y"}`)
	changes, err := Diff([]byte(old), []byte(now))
	for _, c := range changes {
		fmt.Printf("%s %v %v\n", c.Kind, c.Old, c.New)
	}
	fmt.Println(err)
	// Output:
	// removed {1 One} {0 }
	// changed {2 x = 1} {1 x = 2}
	// added {0 } {2 y}
	// <nil>
}

func TestDiffKinds(t *testing.T) {
	cell := func(id, source, more string) string {
		return fmt.Sprintf(`{"cell_type":"markdown","id":%q,"metadata":{},"source":%q%s}`, id, source, more)
	}
	a, b, c := cell("a", "# One", ""), cell("b", "# Two\nlines", ""), cell("c", "# Three", "")
	for _, x := range []struct{ name, now, want string }{
		{"nothing", a + "," + b + "," + c, "[]"},
		{"ids made anew", cell("x", "# One", "") + "," + cell("y", "# Two\nlines", "") + "," + cell("z", "# Three", ""), "[]"},
		{"line ends", a + "," + cell("b", "# Two\r\nlines", "") + "," + c, "[]"},
		{"moved", c + "," + a + "," + b, `[moved {3 Three} {1 Three}]`},
		{"moved and changed", cell("c", "# Drei", "") + "," + a + "," + b, `[changed {3 Three} {1 Drei}]`},
		{"attachment", a + "," + b + "," + cell("c", "# Three", `,"attachments":{"a":{"b":"c"}}`), `[changed {3 Three} {3 Three}]`},
		{"removed in between", a + "," + c, `[removed {2 Two} {0 }]`},
		{"all gone", "", `[removed {1 One} {0 } removed {2 Two} {0 } removed {3 Three} {0 }]`},
	} {
		changes, err := Diff([]byte(notebook(a+","+b+","+c)), []byte(notebook(x.now)))
		got := []string{}
		for _, c := range changes {
			got = append(got, fmt.Sprintf("%s %v %v", c.Kind, c.Old, c.New))
		}
		if s := fmt.Sprint(got); err != nil || s != x.want {
			t.Errorf("%s: %s %v, want %s", x.name, s, err, x.want)
		}
	}
}
