package notebook

import (
	"slices"
	"testing"
)

func TestLook(t *testing.T) {
	text := notebook(`{"cell_type":"code","metadata":{"tags":["solution",1,"x"]},"source":["a\n","b"],"outputs":[
		{"output_type":"stream","text":["one\n","two"]},
		{"output_type":"display_data","data":{"text/html":"three","image/png":"AAAA","application/json":{"k":["four"]}}}]},
		{"cell_type":"raw","metadata":{"tags":"no list"},"source":""}`)
	var texts []string
	cells, err := Look([]byte(text), func(cell int, text string) {
		if cell != 1 {
			t.Errorf("%q comes from cell %d", text, cell)
		}
		texts = append(texts, text)
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"stream", "one\n", "two", "display_data", "three", "four"}; !slices.Equal(texts, want) {
		t.Errorf("texts %q, want %q", texts, want)
	}
	if len(cells) != 2 || cells[0].Source != "a\nb" || !slices.Equal(cells[0].Tags, []string{"solution", "x"}) || cells[1].Tags != nil {
		t.Errorf("cells %+v", cells)
	}
	if cells[0].Outputs < 150 || cells[1].Outputs != 0 {
		t.Errorf("outputs take %d and %d bytes", cells[0].Outputs, cells[1].Outputs)
	}
	if _, err := Look([]byte("{"), func(int, string) {}); err == nil {
		t.Error("broken JSON passes")
	}
}
