package similar

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"satchel/notebook"
)

func sketch(t testing.TB, name, text string) Sketch {
	t.Helper()
	s, ok := Of(name, []byte(text))
	if !ok {
		t.Fatalf("%s is not compared: %.40q", name, text)
	}
	return s
}

// lines makes a text of one line for each letter.
func lines(letters string) string {
	return strings.Join(strings.Split(letters, ""), "\n") + "\n"
}

// ipynb makes a notebook of cells, each with outputs.
func ipynb(outputs string, cells ...string) string {
	type cell struct {
		Type     string         `json:"cell_type"`
		Metadata map[string]any `json:"metadata"`
		Source   string         `json:"source"`
		Outputs  []any          `json:"outputs"`
	}
	nb := map[string]any{"metadata": map[string]any{"made": outputs}, "nbformat": 4, "nbformat_minor": 4}
	var list []cell
	for _, c := range cells {
		out := []any{map[string]string{"output_type": "stream", "name": "stdout", "text": outputs}}
		list = append(list, cell{"code", map[string]any{}, c, out})
	}
	nb["cells"] = list
	data, err := json.MarshalIndent(nb, "", " ")
	if err != nil {
		panic(err)
	}
	return string(data)
}

// TestAlike: whether one text is another under a new name.
func TestAlike(t *testing.T) {
	long := strings.Repeat("the same output of both\n", 1000)
	for name, c := range map[string]struct {
		old, now string
		ext      string
		alike    bool
	}{
		"the same":                          {lines("abcd"), lines("abcd"), ".md", true},
		"half of the lines":                 {lines("abcd"), lines("abxy"), ".md", true},
		"less than half":                    {lines("abcde"), lines("abxyz"), ".md", false},
		"nothing":                           {lines("abc"), lines("xyz"), ".md", false},
		"twice as long":                     {lines("abcd"), lines("abcdwxyz"), ".md", true},
		"more than twice as long":           {lines("abcd"), lines("abcdvwxyz"), ".md", false},
		"half as long":                      {lines("abcdwxyz"), lines("abcd"), ".md", true},
		"another order":                     {lines("abcdef"), lines("fedcba"), ".md", true},
		"a line counts as often as it is":   {lines("aaaa"), lines("abcd"), ".md", false},
		"twice in both":                     {lines("aabc"), lines("aaxy"), ".md", true},
		"blank lines are nobody's":          {"a\n\n\n\n\nb\n", "x\n\n \n\t\n\n\ny\n", ".md", false},
		"blank lines are no difference":     {"a\nb\n", "\n\n\na\n\n\n\n\n\n\nb", ".md", true},
		"line endings are no difference":    {"a\nb\nc\n", "a\r\nb\r\nc", ".md", true},
		"an indent is one":                  {"a\nb\nc\n", " a\n b\n c\n", ".md", false},
		"only blank lines":                  {"\n\n", "\n\n\n", ".md", false},
		"no extension":                      {lines("abcd"), lines("abxy"), "", true},
		"letters outside ASCII":             {"ñ\né\nü\n", "ñ\né\nx\n", ".md", true},
		"notebook: half of the lines":       {ipynb("1", "a\nb", "c\nd"), ipynb("1", "a\nb", "x\ny"), ".ipynb", true},
		"notebook: cells cut otherwise":     {ipynb("1", "a\nb\nc\nd"), ipynb("1", "a", "b\nc\nd\n"), ".ipynb", true},
		"notebook: only outputs are alike":  {ipynb(long, "a\nb\nc"), ipynb(long, "x\ny\nz"), ".ipynb", false},
		"notebook: only outputs differ":     {ipynb(long, "a\nb\nc"), ipynb("2", "a\nb\nx"), ".ipynb", true},
		"notebook: its JSON is no text":     {ipynb("1", "a"), ipynb("1", "x"), ".ipynb", false},
		"notebook: another layout":          {ipynb("1", "a\nb"), strings.Join(strings.Fields(ipynb("1", "a\nb")), ""), ".ipynb", true},
		"the same lines of JSON, as a text": {ipynb("1", "a"), ipynb("1", "x"), ".json", true},
	} {
		var m Matcher
		got := m.Match(context.Background(), []Sketch{sketch(t, "old"+c.ext, c.old)}, []Sketch{sketch(t, "new"+c.ext, c.now)})
		if alike := got["new"+c.ext] == "old"+c.ext; alike != c.alike || len(got) > 1 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWhichIsWhich(t *testing.T) {
	for name, c := range map[string]struct {
		old, now map[string]string // path → letters of its lines
		want     map[string]string
	}{
		"another extension": {map[string]string{"a.md": "abc"}, map[string]string{"b.txt": "abc"}, nil},
		"the most alike comes first": {
			map[string]string{"1.md": "abcd", "2.md": "abcx"}, map[string]string{"n.md": "abcd", "m.md": "abxy"},
			map[string]string{"n.md": "1.md", "m.md": "2.md"},
		},
		"each old one once": {map[string]string{"1.md": "abcd"}, map[string]string{"n.md": "abcx", "m.md": "abxy"}, map[string]string{"n.md": "1.md"}},
		"each new one once": {map[string]string{"1.md": "abcd", "2.md": "abxy"}, map[string]string{"n.md": "abcx"}, map[string]string{"n.md": "1.md"}},
		"of two the greater share, not the greater number": {
			map[string]string{"1.md": "abcdefgh"}, map[string]string{"n.md": "abcdefuvwxyz", "m.md": "abcde"}, map[string]string{"m.md": "1.md"},
		},
		"then the same name": {
			map[string]string{"1/b.md": "abcd", "2/a.md": "abcd"}, map[string]string{"3/a.md": "abcx", "4/b.md": "abcx"},
			map[string]string{"3/a.md": "2/a.md", "4/b.md": "1/b.md"},
		},
		"then the order of paths": {map[string]string{"2.md": "abcd", "1.md": "abcd"}, map[string]string{"n.md": "abcx", "m.md": "abcx"},
			map[string]string{"m.md": "1.md", "n.md": "2.md"}},
	} {
		for range 5 { // maps have no order
			var old, now []Sketch
			for p, letters := range c.old {
				old = append(old, sketch(t, p, lines(letters)))
			}
			for p, letters := range c.now {
				now = append(now, sketch(t, p, lines(letters)))
			}
			var m Matcher
			if got := m.Match(context.Background(), old, now); !maps.Equal(got, c.want) {
				t.Errorf("%s: %v, not %v", name, got, c.want)
			}
		}
	}
}

func TestWhatIsNotCompared(t *testing.T) {
	for name, c := range map[string]struct{ path, text string }{
		"empty":               {"a.md", ""},
		"bytes":               {"a.md", "a\x00b\n"},
		"Latin-1":             {"a.md", "a\xf1o\n"},
		"a large text":        {"a.md", strings.Repeat("x\n", maxText/2) + "x"},
		"a large notebook":    {"a.ipynb", ipynb(strings.Repeat("x", notebook.MaxSize), "a")},
		"a broken notebook":   {"a.ipynb", `{"cells": [`},
		"a text for notebook": {"a.ipynb", "a\nb\n"},
	} {
		if s, ok := Of(c.path, []byte(c.text)); ok {
			t.Errorf("%s is compared, by %d lines", name, s.Len())
		}
	}
	for _, c := range []struct {
		path string
		size int64
		fits bool
	}{{"a.md", 0, false}, {"a.md", maxText, true}, {"a.md", maxText + 1, false}, {"a.ipynb", maxText + 1, true}, {"a.ipynb", notebook.MaxSize + 1, false}} {
		if Fits(c.path, c.size) != c.fits {
			t.Errorf("%s of %d bytes: %v", c.path, c.size, !c.fits)
		}
	}
}

// TestComparingCostsItsLines: hostile files cost each line once for each file
// of the other side, and nothing where the lengths say it all.
func TestComparingCostsItsLines(t *testing.T) {
	var old, now []Sketch
	total := 0
	for i := range 60 {
		var a, b strings.Builder
		for j := range 100 + i%3 {
			fmt.Fprintf(&a, "old %d %d\n", i, j)
			fmt.Fprintf(&b, "new %d %d\n", i, j)
		}
		old, now = append(old, sketch(t, fmt.Sprint(i, ".md"), a.String())), append(now, sketch(t, fmt.Sprint(i, ".txt.md"), b.String()))
		total += old[i].Len() + now[i].Len()
	}
	var m Matcher
	if got := m.Match(context.Background(), old, now); len(got) > 0 || m.Compared == 0 || m.Compared > 60*total {
		t.Errorf("%v, %d lines compared of %d", got, m.Compared, total)
	}
	m = Matcher{}
	m.Match(context.Background(), []Sketch{sketch(t, "a.md", lines(strings.Repeat("a", 100)))}, []Sketch{sketch(t, "b.md", lines(strings.Repeat("a", 201)))})
	if m.Compared > 0 {
		t.Errorf("%d lines compared of files that cannot be alike", m.Compared)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if got := m.Match(ctx, old, old); got != nil || m.Compared > 0 {
		t.Errorf("stopped, and yet %d lines compared", m.Compared)
	}
}
