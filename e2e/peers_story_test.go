//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// story is one file of testdata/stories: what an instructor and a student do,
// in turns, and when the student logs in. Its first line is the title, the
// second "group: ..."; a line "known: ..." tells a defect of Satchel that this
// story is allowed to show. Then one step a line, with # comments:
//
//	instructor writes PATH...        the section PATH (PATH@2: PATH, another time)
//	instructor changes PATH "a" "b"  the one place where it says a
//	instructor adds-cell PATH "source"
//	instructor relayouts PATH        the same notebook as another program writes it
//	instructor removes PATH, moves A B
//	instructor pushes                commits everything and pushes by force
//	instructor rewinds N             takes the last N pushes back
//	instructor orphans               the next push has no ancestors
//	student writes PATH...           the section student/PATH
//	student changes, removes, moves  as above
//	student puts-away A B            moves A, where it is still the student's
//	student runs PATH                all code cells of a notebook
//	student starts-over PATH         removes it to have it anew
//	student shell "commands"         in the course's folder
//	NAME shell "commands"            for one peer alone, in ~/work
//	clock held                       names made of the time come twice
//	login, login killed              killed: before its first rename
//	fact "yes" "no" exists PATH      said of each peer, "" is silence,
//	                                 "missing: ..." counts as such
//	fact "yes" "no" holds PATH "text"
//
// A notebook's section may be written as cells: a line [code] or [markdown],
// then its source.
type story struct {
	name, title, group string
	known              string
	steps              []step
	files              map[string]string
}

type step struct {
	line  int
	words []string
}

var word = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\S+`)

func readStory(t *testing.T, file string) *story {
	t.Helper()
	a, err := txtar.ParseFile(file)
	must(t, err)
	s := &story{files: map[string]string{}}
	_, s.name, _ = strings.Cut(strings.TrimSuffix(filepath.Base(file), ".txtar"), "-")
	for n, line := range strings.Split(string(a.Comment), "\n") {
		line = strings.TrimSpace(line)
		group, isGroup := strings.CutPrefix(line, "group: ")
		known, isKnown := strings.CutPrefix(line, "known: ")
		switch {
		case line == "" || strings.HasPrefix(line, "# "):
		case isGroup:
			s.group = group
		case isKnown:
			s.known = known
		case s.title == "":
			s.title = line
		default:
			s.steps = append(s.steps, step{n + 1, splitWords(t, file, line)})
		}
	}
	for _, f := range a.Files {
		s.files[f.Name] = string(f.Data)
		if strings.Contains(f.Name, ".ipynb") && strings.HasPrefix(string(f.Data), "[") {
			s.files[f.Name] = fromCells(string(f.Data))
		}
	}
	return s
}

func splitWords(t *testing.T, file, line string) (out []string) {
	t.Helper()
	for _, w := range word.FindAllString(line, -1) {
		if strings.HasPrefix(w, `"`) {
			plain, err := strconv.Unquote(w)
			if err != nil {
				t.Fatalf("%s: %s: %v", file, w, err)
			}
			w = plain
		}
		out = append(out, w)
	}
	return out
}

// fromCells makes a notebook of the short notation, as Jupyter writes it.
func fromCells(text string) string {
	cells := []any{}
	var kind string
	var source []string
	flush := func() {
		if kind == "" {
			return
		}
		c := map[string]any{"cell_type": kind, "id": fmt.Sprintf("cell%02d", len(cells)+1), "metadata": map[string]any{}, "source": asLines(strings.TrimSpace(strings.Join(source, "\n")))}
		if kind == "code" {
			c["outputs"], c["execution_count"] = []any{}, nil
		}
		cells = append(cells, c)
	}
	for _, line := range strings.Split(text, "\n") {
		if line == "[code]" || line == "[markdown]" {
			flush()
			kind, source = strings.Trim(line, "[]"), nil
			continue
		}
		source = append(source, line)
	}
	flush()
	return encodeNotebook(map[string]any{
		"nbformat": 4, "nbformat_minor": 5, "cells": cells,
		"metadata": map[string]any{"kernelspec": map[string]any{"display_name": "Python 3", "language": "python", "name": "python3"}},
	}, " ")
}

func asLines(s string) []any {
	out := []any{}
	for _, l := range strings.SplitAfter(s, "\n") {
		if l != "" {
			out = append(out, l)
		}
	}
	return out
}

func encodeNotebook(nb map[string]any, indent string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	_ = e.Encode(nb)
	return b.String()
}

// nbCell is what the tests look at in a cell.
type nbCell struct{ id, kind, source, outputs string }

// cellsOf reads a notebook with no more care than is needed here.
func cellsOf(text string) (cells []nbCell, ok bool) {
	nb, ok := decodeNotebook(text)
	if !ok {
		return nil, false
	}
	for _, c := range nb["cells"].([]any) {
		c, _ := c.(map[string]any)
		id, _ := c["id"].(string)
		kind, _ := c["cell_type"].(string)
		cells = append(cells, nbCell{id: id, kind: kind, source: joined(c["source"]), outputs: outputsOf(c)})
	}
	return cells, true
}

func decodeNotebook(text string) (map[string]any, bool) {
	var nb map[string]any
	if json.Unmarshal([]byte(text), &nb) != nil {
		return nil, false
	}
	_, ok := nb["cells"].([]any)
	return nb, ok
}

func joined(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		var b strings.Builder
		for _, l := range v {
			s, _ := l.(string)
			b.WriteString(s)
		}
		return b.String()
	}
	return ""
}

// outputsOf is the text of all outputs of a cell: streams, results, errors.
func outputsOf(c map[string]any) string {
	var b strings.Builder
	list, _ := c["outputs"].([]any)
	for _, o := range list {
		o, _ := o.(map[string]any)
		b.WriteString(joined(o["text"]))
		data, _ := o["data"].(map[string]any)
		for _, k := range sortedNames(data) {
			b.WriteString(joined(data[k]))
		}
		b.WriteString(joined(o["traceback"]))
	}
	return b.String()
}

// ran is the notebook after the student ran all its cells, and what the cells
// said.
func ran(text string) (after string, said []string, ok bool) {
	nb, ok := decodeNotebook(text)
	if !ok {
		return "", nil, false
	}
	for _, c := range nb["cells"].([]any) {
		c := c.(map[string]any)
		if c["cell_type"] != "code" {
			continue
		}
		first, _, _ := strings.Cut(joined(c["source"]), "\n")
		say := "the student's machine says " + first
		c["execution_count"] = len(said) + 1
		c["outputs"] = []any{map[string]any{"name": "stdout", "output_type": "stream", "text": asLines(say + "\n")}}
		said = append(said, say)
	}
	return encodeNotebook(nb, " "), said, true
}

// withCell is the notebook with one more code cell at its end.
func withCell(text, source string) string {
	nb, ok := decodeNotebook(text)
	if !ok {
		return text
	}
	cells := nb["cells"].([]any)
	nb["cells"] = append(cells, map[string]any{
		"cell_type": "code", "execution_count": nil, "id": fmt.Sprintf("cell%02d", len(cells)+1),
		"metadata": map[string]any{}, "outputs": []any{}, "source": asLines(source),
	})
	return encodeNotebook(nb, " ")
}

// relaid is the notebook as another program writes it: four spaces, each
// source one text, new ids.
func relaid(text string) string {
	nb, ok := decodeNotebook(text)
	if !ok {
		return text
	}
	for i, c := range nb["cells"].([]any) {
		c := c.(map[string]any)
		c["source"], c["id"] = joined(c["source"]), fmt.Sprintf("anew-%02d", i+1)
	}
	return encodeNotebook(nb, "    ")
}

// stories are all of them, in the order of their files' numbers.
func stories(t *testing.T) (all []*story) {
	t.Helper()
	files, err := filepath.Glob("testdata/stories/*.txtar")
	must(t, err)
	for _, f := range files {
		if only := os.Getenv("PEERS_STORY"); strings.Contains(f, only) {
			all = append(all, readStory(t, f))
		}
	}
	return all
}
