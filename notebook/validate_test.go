package notebook

import (
	"strings"
	"testing"
)

// validity are notebooks and what Validate says of them; "" is valid. The e2e
// test asks nbformat about the same ones.
func validity() []struct{ name, text, want string } {
	const code = `"cell_type":"code","metadata":{},"source":"","outputs":[],"execution_count":null`
	nb := func(minor, cells string) string {
		return `{"cells":[` + cells + `],"metadata":{},"nbformat":4,"nbformat_minor":` + minor + `}`
	}
	meta := func(m string) string {
		return `{"cells":[],"metadata":{` + m + `},"nbformat":4,"nbformat_minor":4}`
	}
	cellMeta := func(kind, m string) string {
		more := ""
		if kind == "code" {
			more = `,"outputs":[],"execution_count":1`
		}
		return nb("4", `{"cell_type":"`+kind+`","source":[],"metadata":{`+m+`}`+more+`}`)
	}
	out := func(o string) string { return nb("4", `{`+strings.Replace(code, `[]`, `[`+o+`]`, 1)+`}`) }
	return []struct{ name, text, want string }{
		{"empty", nb("5", ""), ""},
		{"no minor", `{"cells":[],"metadata":{},"nbformat":4}`, "nbformat_minor is missing"},
		{"more at the top", `{"cells":[],"metadata":{},"nbformat":4,"nbformat_minor":5,"x":1}`, `"x": not a field`},
		{"more at the top, later", `{"cells":[],"metadata":{},"nbformat":4,"nbformat_minor":6,"x":1}`, ""},
		{"code", nb("4", `{`+code+`}`), ""},
		{"code without id", nb("5", `{`+code+`}`), `"id" is missing`},
		{"code with id", nb("5", `{`+code+`,"id":"a-Z_0"}`), ""},
		{"id too early", nb("4", `{`+code+`,"id":"a"}`), `"id": not a field`},
		{"id empty", nb("5", `{`+code+`,"id":""}`), "not an id"},
		{"id with a space", nb("5", `{`+code+`,"id":"a b"}`), "not an id"},
		{"id with a line end", nb("5", `{`+code+`,"id":"a\n"}`), ""},
		{"id with two", nb("5", `{`+code+`,"id":"a\n\n"}`), "not an id"},
		{"id of 64", nb("5", `{`+code+`,"id":"`+strings.Repeat("x", 64)+`"}`), ""},
		{"id of 65", nb("5", `{`+code+`,"id":"`+strings.Repeat("x", 65)+`"}`), "not an id"},
		{"id a number", nb("5", `{`+code+`,"id":1}`), "not a text"},
		{"ids doubled", nb("5", `{`+code+`,"id":"a"},{`+code+`,"id":"a"}`), "another cell's"},
		{"ids doubled by an escape", nb("5", `{`+code+`,"id":"a"},{`+code+`,"id":"\u0061"}`), "another cell's"},
		{"ids doubled, later", nb("7", `{`+code+`,"id":"a"},{`+code+`,"id":"a"}`), "another cell's"},
		{"a later format without ids", nb("6", `{`+code+`}`), `"id" is missing`},
		{"unknown cell", nb("5", `{"cell_type":"sql","metadata":{},"id":"a"}`), "unknown type"},
		{"unknown cell, later", nb("6", `{"cell_type":"sql","metadata":{}}`), ""},
		{"no outputs", nb("4", `{"cell_type":"code","metadata":{},"source":"","execution_count":null}`), `"outputs" is missing`},
		{"no count", nb("4", `{"cell_type":"code","metadata":{},"source":"","outputs":[]}`), `"execution_count" is missing`},
		{"no source", nb("4", `{"cell_type":"raw","metadata":{}}`), `"source" is missing`},
		{"count 0", nb("4", `{`+strings.Replace(code, "null", "0", 1)+`}`), ""},
		{"count -0", nb("4", `{`+strings.Replace(code, "null", "-0", 1)+`}`), ""},
		{"count -1", nb("4", `{`+strings.Replace(code, "null", "-1", 1)+`}`), "not allowed"},
		{"count 1.0", nb("4", `{`+strings.Replace(code, "null", "1.0", 1)+`}`), "not allowed"},
		{"count true", nb("4", `{`+strings.Replace(code, "null", "true", 1)+`}`), "not allowed"},
		{"count NaN", nb("4", `{`+strings.Replace(code, "null", "NaN", 1)+`}`), "not allowed"},
		{"count of 20 digits", nb("4", `{`+strings.Replace(code, "null", "12345678901234567890", 1)+`}`), ""},
		{"count doubled, the last good", nb("4", `{"execution_count":"x",`+code+`}`), ""},
		{"count doubled, the last bad", nb("4", `{`+code+`,"execution_count":"x"}`), "execution_count"},
		{"outputs in markdown", nb("4", `{"cell_type":"markdown","metadata":{},"source":"","outputs":[]}`), "not a field"},
		{"attachments in code", nb("4", `{`+code+`,"attachments":{}}`), "not a field"},
		{"attachments", nb("4", `{"cell_type":"raw","metadata":{},"source":"","attachments":{"a":{"image/png":["A"],"application/x+json":1}}}`), ""},
		{"attachment a number", nb("4", `{"cell_type":"raw","metadata":{},"source":"","attachments":{"a":{"image/png":1}}}`), `"image/png": not a text`},
		{"attachment a number, later", nb("6", `{"cell_type":"raw","metadata":{},"source":"","id":"a","attachments":{"a":{"image/png":1}}}`), ""},
		{"stream", out(`{"output_type":"stream","name":"stdout","text":["a","b"]}`), ""},
		{"stream without name", out(`{"output_type":"stream","text":"a"}`), `"name" is missing`},
		{"error", out(`{"output_type":"error","ename":"","evalue":"","traceback":[]}`), ""},
		{"traceback a text", out(`{"output_type":"error","ename":"","evalue":"","traceback":""}`), "not a list"},
		{"result", out(`{"output_type":"execute_result","data":{},"metadata":{},"execution_count":null}`), ""},
		{"result without count", out(`{"output_type":"execute_result","data":{},"metadata":{}}`), "is missing"},
		{"display", out(`{"output_type":"display_data","data":{"application/json":1,"text/plain":[]},"metadata":{"x":1}}`), ""},
		{"display with more", out(`{"output_type":"display_data","data":{},"metadata":{},"transient":{}}`), "not a field"},
		{"JSON with a line end", out(`{"output_type":"display_data","data":{"application/json\n":1},"metadata":{}}`), ""},
		{"JSON over two lines", out(`{"output_type":"display_data","data":{"application/a\n+json":1},"metadata":{}}`), "not a text"},
		{"unknown output", out(`{"output_type":"pyout"}`), "unknown type of output"},
		{"output without type", out(`{}`), "unknown type of output"},
		{"tags", cellMeta("code", `"tags":["a","b\n"]`), ""},
		{"tags doubled", cellMeta("raw", `"tags":["a","\u0061"]`), "doubled tag"},
		{"tags with a comma", cellMeta("markdown", `"tags":["a,b"]`), "comma"},
		{"tags empty", cellMeta("markdown", `"tags":[""]`), "empty"},
		{"name", cellMeta("code", `"name":"x y"`), ""},
		{"name of two lines", cellMeta("code", `"name":"x\ny"`), "more than one line"},
		{"name with a line end", cellMeta("code", `"name":"x\n"`), ""},
		{"name of a line end", cellMeta("code", `"name":"\n"`), "more than one line"},
		{"scrolled", cellMeta("code", `"scrolled":"auto","collapsed":false`), ""},
		{"scrolled 1", cellMeta("code", `"scrolled":1`), "not allowed"},
		{"scrolled in raw", cellMeta("raw", `"scrolled":1`), ""},
		{"collapsed a text", cellMeta("code", `"collapsed":"no"`), "not true or false"},
		{"format a number", cellMeta("raw", `"format":1`), "not a text"},
		{"format in markdown", cellMeta("markdown", `"format":1`), ""},
		{"jupyter a text", cellMeta("code", `"jupyter":""`), "not an object"},
		{"jupyter a text, before 4.3", strings.Replace(cellMeta("code", `"jupyter":""`), `minor":4`, `minor":2`, 1), ""},
		{"execution", cellMeta("code", `"execution":{"a":"b","a\nb":1}`), ""},
		{"execution with a number", cellMeta("code", `"execution":{"a":1}`), "not a text"},
		{"execution with a line end", cellMeta("code", `"execution":{"a\n":1}`), "not a text"},
		{"execution, before 4.4", strings.Replace(cellMeta("code", `"execution":1`), `minor":4`, `minor":3`, 1), ""},
		{"kernelspec", meta(`"kernelspec":{"name":"a","display_name":"b","x":1}`), ""},
		{"kernelspec without name", meta(`"kernelspec":{"display_name":"b"}`), `"name" is missing`},
		{"language", meta(`"language_info":{"name":"a","codemirror_mode":{"x":1}}`), ""},
		{"language with a number", meta(`"language_info":{"name":"a","codemirror_mode":1}`), "not a text"},
		{"orig_nbformat 0", meta(`"orig_nbformat":0`), "not allowed"},
		{"title a number", meta(`"title":1`), "not a text"},
		{"title a number, before 4.2", strings.Replace(meta(`"title":1`), `minor":4`, `minor":1`, 1), ""},
		{"authors", meta(`"authors":[1]`), ""},
		{"authors a text", meta(`"authors":"x"`), "not a list"},
	}
}

func TestValidate(t *testing.T) {
	for _, c := range validity() {
		switch err := Validate([]byte(c.text)); {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func FuzzValidate(f *testing.F) {
	for _, c := range validity() {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := Validate(data)
		if err == nil && Check(data) != nil {
			t.Fatal("valid, but Check refuses it")
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\r") {
			t.Fatalf("more than one line: %q", err)
		}
	})
}

func TestTitle(t *testing.T) {
	for _, c := range []struct{ kind, source, want string }{
		{"markdown", "text\n## A heading ##\n# B", "A heading"},
		{"markdown", "#no heading\n", "#no heading"},
		{"markdown", "#\n####### seven\n", "#"},
		{"markdown", "# C#", "C#"},
		{"code", "\n\n  # a comment\nx", "# a comment"},
		{"raw", " \n\t\n", ""},
		{"code", strings.Repeat("x", 40), strings.Repeat("x", 40)},
		{"code", strings.Repeat("x", 41), strings.Repeat("x", 39) + "…"},
		{"code", strings.Repeat("x", 38) + "e\u0301yy", strings.Repeat("x", 38) + "…"},
		{"code", strings.Repeat("\u0301", 50), strings.Repeat("\u0301", 39) + "…"},
		{"markdown", "# " + strings.Repeat("ñ", 2000), strings.Repeat("ñ", 39) + "…"},
	} {
		s := slice{cell: cell{kind: c.kind, source: c.source}}
		if got := s.title(); got != c.want {
			t.Errorf("%q: %q, want %q", c.source, got, c.want)
		}
	}
}
