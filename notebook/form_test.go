package notebook

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"satchel/bundle"
)

var update = flag.Bool("update", false, "write the golden files anew (never for a released form)")

// TestFormGolden holds the canonical text and its digest for ever: histories
// hold such digests, so no later change may alter them.
func TestFormGolden(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.ipynb")
	if len(files) < 2 {
		t.Fatal("no golden files")
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		cells, err := read(data)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		golden := strings.TrimSuffix(file, ".ipynb") + ".form"
		got := string(formText(cells))
		if *update {
			os.WriteFile(golden, []byte(got), 0o644)
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s:\n%s\nwant\n%s", file, got, want)
		}
	}
	if got := form(t, `{"cells":[],"metadata":{},"nbformat":4,"nbformat_minor":0}`); got.String() != "f02b7eb52cf696aa438ea0c48d6f4fca81c66aab0d5c97f8d03ab2c6bfc169f6" {
		t.Errorf("form of the empty notebook is %s", got)
	}
}

func form(t *testing.T, text string) bundle.Digest {
	t.Helper()
	d, err := Form([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return d
}

func notebook(cells string) string {
	return `{"cells":[` + cells + `],"metadata":{},"nbformat":4,"nbformat_minor":5}`
}

const written = `{"cell_type":"code","id":"a","metadata":{},"execution_count":1,"outputs":[{"output_type":"stream","text":"2"}],"source":"a\nb"}`

func TestFormIgnoresWhatNobodyWrote(t *testing.T) {
	want := form(t, notebook(written))
	same := map[string]string{
		"outputs gone":       `{"cell_type":"code","id":"a","metadata":{},"execution_count":null,"outputs":[],"source":"a\nb"}`,
		"other id":           strings.Replace(written, `"id":"a"`, `"id":"zz"`, 1),
		"no id":              strings.Replace(written, `"id":"a",`, ``, 1),
		"cell metadata":      strings.Replace(written, `"metadata":{}`, `"metadata":{"tags":["x"],"n":1e999}`, 1),
		"list of lines":      strings.Replace(written, `"a\nb"`, `["a\n","b"]`, 1),
		"windows line ends":  strings.Replace(written, `"a\nb"`, `"a\r\nb"`, 1),
		"escapes":            strings.Replace(written, `"a\nb"`, `"\u0061\u000ab"`, 1),
		"white space":        strings.ReplaceAll(written, `,`, " ,\r\n\t"),
		"empty attachments":  strings.Replace(written, `"id"`, `"attachments":{},"id"`, 1),
		"NaN in the outputs": strings.Replace(written, `"text":"2"`, `"data":{"x":NaN,"y":-Infinity}`, 1),
		"doubled key":        strings.Replace(written, `"source"`, `"source":"other","source"`, 1),
	}
	for name, cell := range same {
		if got := form(t, notebook(cell)); got != want {
			t.Errorf("%s: another form", name)
		}
	}
	whole := map[string]string{
		"older minor":        `{"nbformat_minor":0,"nbformat":4,"metadata":{"x":[1]},"cells":[` + written + `]}`,
		"doubled cells":      `{"cells":[{"no":"cell"}],` + notebook(written)[1:],
		"unknown field":      `{"future":{"a":[{}]},` + notebook(written)[1:],
		"newer minor":        strings.Replace(notebook(written), `minor":5`, `minor":9`, 1),
		"white space around": "\n\t " + notebook(written) + "\n\n",
	}
	for name, text := range whole {
		if got := form(t, text); got != want {
			t.Errorf("%s: another form", name)
		}
	}
}

func TestFormSeesWhatWasWritten(t *testing.T) {
	seen := map[bundle.Digest]string{}
	for name, cells := range map[string]string{
		"as written":        written,
		"source":            strings.Replace(written, `"a\nb"`, `"a\nc"`, 1),
		"one more newline":  strings.Replace(written, `"a\nb"`, `"a\nb\n"`, 1),
		"type":              strings.Replace(written, `"code"`, `"raw"`, 1),
		"cell twice":        written + "," + written,
		"no cell":           ``,
		"attachment":        strings.Replace(written, `"id"`, `"attachments":{"a":{"image/png":"AA"}},"id"`, 1),
		"attachment's name": strings.Replace(written, `"id"`, `"attachments":{"b":{"image/png":"AA"}},"id"`, 1),
		"attachment's data": strings.Replace(written, `"id"`, `"attachments":{"a":{"image/png":"AB"}},"id"`, 1),
		"lone surrogate":    strings.Replace(written, `"a\nb"`, `"\ud800"`, 1),
		"another surrogate": strings.Replace(written, `"a\nb"`, `"\ud801"`, 1),
		"number attached":   strings.Replace(written, `"id"`, `"attachments":{"a":{"x/json":[1]}},"id"`, 1),
		"its spelling":      strings.Replace(written, `"id"`, `"attachments":{"a":{"x/json":["1"]}},"id"`, 1),
		"split in two":      `{"cell_type":"code","metadata":{},"source":"a\n"},{"cell_type":"code","metadata":{},"source":"b"}`,
		"forged lines":      `{"cell_type":"code","metadata":{},"source":"a\n\ncell 4:code\nsource 1:b"}`,
	} {
		d := form(t, notebook(cells))
		if other, ok := seen[d]; ok {
			t.Errorf("%q and %q have one form", name, other)
		}
		seen[d] = name
	}
}

func FuzzForm(f *testing.F) {
	for _, file := range []string{"testdata/lesson.ipynb", "testdata/empty.ipynb"} {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(notebook(`{"cell_type":"raw","metadata":{},"source":["\ud83d","\ude00"],"attachments":{"a":{"b":[[1],{"c":2}]}}}`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := Form(data)
		if checked := Check(data); (err == nil) != (checked == nil) {
			t.Fatalf("Form says %v, Check says %v", err, checked)
		}
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("more than one line: %q", err)
			}
			return
		}
		again, err := Form(append([]byte(" \n"), data...))
		if err != nil || again != d {
			t.Fatalf("white space changed the form: %v", err)
		}
	})
}
