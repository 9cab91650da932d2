package notebook

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"satchel/internal/race"
)

// The verdicts were compared with nbformat 5.11.1 (nbformat.reads): what it
// opens and Check refuses is marked "stricter".
func TestCheck(t *testing.T) {
	const one = `{"cell_type":"code","metadata":{},"source":"x","outputs":[]}`
	rest := func(rest string) string { return `{"cells":[` + one + `],` + rest + `}` }
	for _, c := range []struct{ name, text, want string }{
		{"good", notebook(one), ""},
		{"no minor", rest(`"metadata":{},"nbformat":4`), ""},
		{"newer minor", rest(`"metadata":{},"nbformat":4,"nbformat_minor":9`), ""},
		{"no source", notebook(`{"cell_type":"code","metadata":{}}`), ""},
		{"unknown type of cell", notebook(`{"cell_type":"future","metadata":{},"source":""}`), ""},
		{"doubled ids", notebook(`{"id":"a","cell_type":"raw","metadata":{},"source":""},{"id":"a","cell_type":"raw","metadata":{},"source":""}`), ""},
		{"number beyond float64", rest(`"metadata":{"a":[1e999,-0.0,12345678901234567890123]},"nbformat":4`), ""},
		{"NaN", rest(`"metadata":{"a":NaN},"nbformat":4`), ""},
		{"lone surrogate", notebook(`{"cell_type":"raw","metadata":{},"source":"\ud800"}`), ""},
		{"deep", rest(`"metadata":{"a":` + strings.Repeat("[", 400) + strings.Repeat("]", 400) + `},"nbformat":4`), ""},

		{"empty file", "", "empty"},
		{"UTF-16", "\xff\xfe{\x00", "UTF-16"},
		{"byte order mark", "\xef\xbb\xbf" + notebook(one), "byte order mark"},
		{"Latin-1", notebook("\xe9"), "UTF-8"},
		{"HTML page", "<html>", "no notebook"},
		{"list", "[]", "no notebook"},
		{"other JSON", `{"name":"x"}`, "no notebook"},
		{"cut off", notebook(one)[:40], "line 1: not complete JSON"},
		{"something after it", notebook(one) + "x", "after the end"},
		{"conflict markers", "{\n<<<<<<< HEAD\n", "line 2: not valid JSON"},
		{"trailing comma", notebook(one + ","), "not valid JSON"},
		{"control character", notebook("{\"cell_type\":\"raw\",\"metadata\":{},\"source\":\"\x01\"}"), "control character"},
		{"bad escape", notebook(`{"cell_type":"\x"}`), "escape"},
		{"bad \\u", notebook(`{"cell_type":"\u12g4"}`), "four hexadecimal"},
		{"leading zero", rest(`"metadata":{"a":01},"nbformat":4`), "a value expected"},
		{"bare word", rest(`"metadata":{"a":nul},"nbformat":4`), "a value expected"},
		{"version 3", `{"metadata":{},"nbformat":3,"nbformat_minor":0,"worksheets":[]}`, "old IPython"},
		{"version 2 without number", `{"worksheets":[]}`, "old IPython"},
		{"version 5", rest(`"metadata":{},"nbformat":5`), "newer Jupyter"},
		{"version as text", rest(`"metadata":{},"nbformat":"4"`), "nbformat is not a whole number"},
		{"minor as text", rest(`"metadata":{},"nbformat":4,"nbformat_minor":"5"`), "nbformat_minor is not"},
		{"stricter: no nbformat", rest(`"metadata":{}`), "nbformat is missing"},
		{"no metadata", rest(`"nbformat":4`), "metadata is missing"},
		{"metadata null", rest(`"metadata":null,"nbformat":4`), "metadata is not an object"},
		{"no cells", `{"metadata":{},"nbformat":4}`, "no list of cells"},
		{"cells null", `{"cells":null,"metadata":{},"nbformat":4}`, "is not a list"},
		{"cell is a text", notebook(`"x"`), "cell 1 is not an object"},
		{"stricter: no type", notebook(one + `,{"metadata":{},"source":""}`), "cell 2 has no cell_type"},
		{"cell without metadata", notebook(`{"cell_type":"code","source":""}`), "cell 1 has no metadata"},
		{"stricter: source null", notebook(`{"cell_type":"code","metadata":{},"source":null}`), "the source of cell 1 is not a list"},
		{"source of numbers", notebook(`{"cell_type":"code","metadata":{},"source":["a",1]}`), "a line of the source of cell 1 is not a text"},
		{"outputs null", notebook(`{"cell_type":"code","metadata":{},"source":"","outputs":null}`), "outputs of cell 1 is not a list"},
		{"output is a text", notebook(`{"cell_type":"code","metadata":{},"source":"","outputs":["x"]}`), "an output of cell 1 is not an object"},
		{"attachments are a list", notebook(`{"cell_type":"markdown","metadata":{},"source":"","attachments":[]}`), "attachments of cell 1 is not an object"},
		{"too deep", rest(`"metadata":{"a":` + strings.Repeat("[", 600) + `},"nbformat":4`), "deeper than 450"},
		{"attachment too deep", notebook(`{"cell_type":"raw","metadata":{},"source":"","attachments":{"a":{"b":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}}}`), "deeper than 20"},
	} {
		err := Check([]byte(c.text))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestTooLarge(t *testing.T) {
	big := append([]byte(notebook("")), make([]byte, MaxSize)...)
	if err := Check(big); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Check: %v", err)
	}
	if _, err := Form(big); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Form: %v", err)
	}
}

// TestHostileShapes: no shape of 20 MB costs much more memory than its bytes.
func TestHostileShapes(t *testing.T) {
	fill := func(piece string) string { return strings.Repeat(piece, (MaxSize-200)/len(piece)) }
	for name, text := range map[string]string{
		"many outputs":    notebook(`{"cell_type":"code","metadata":{},"source":"","outputs":[` + fill(`{},`) + `{}]}`),
		"attached list":   notebook(`{"cell_type":"raw","metadata":{},"source":"","attachments":{"a":{"b":[` + fill(`0,`) + `0]}}}`),
		"attached object": notebook(`{"cell_type":"raw","metadata":{},"source":"","attachments":{"a":{"b":{` + fill(`"":0,`) + `"":0}}}}`),
		"source lines":    notebook(`{"cell_type":"raw","metadata":{},"source":[` + fill(`"",`) + `""]}`),
		"brackets":        fill("["),
		"keys":            "{" + fill(`"a":`),
	} {
		var before, after runtime.MemStats
		data := []byte(text)
		runtime.ReadMemStats(&before)
		Form(data)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 400<<20 && !race.Enabled {
			t.Errorf("%s: %d MB allocated in all", name, used>>20)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(notebook(written)))
	f.Add([]byte(`{"worksheets":[{"cells":[]}],"nbformat":3}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := Check(data); err != nil && strings.ContainsAny(err.Error(), "\n\r") {
			t.Fatalf("more than one line: %q", err)
		}
	})
}
