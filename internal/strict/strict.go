// Package strict reads YAML that people wrote, and tells every mistake in it
// at once, with its line, the nearest right spelling and what to write
// instead: satchel.yaml and the instructor's .satchel.yaml.
//
// It reads less than YAML has: one document in UTF-8, without anchors,
// aliases and tags, so that no small file becomes a large one. Parse looks at
// the text, Decode at what it says.
package strict

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Problem is one mistake. File and Field are empty, and Line is 0, where they
// say nothing.
type Problem struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Field  string `json:"field,omitempty"` // the key at fault, for example poll
	Reason string `json:"reason"`          // what is wrong and what to write, without a full stop
	Meant  string `json:"-"`               // the key that was probably meant, where one is not known
}

func (p Problem) String() string {
	var b strings.Builder
	switch {
	case p.File != "" && p.Line > 0:
		fmt.Fprintf(&b, "%s:%d: ", p.File, p.Line)
	case p.File != "":
		fmt.Fprintf(&b, "%s: ", p.File)
	case p.Line > 0:
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	return b.String() + p.Reason
}

// Problems is all of them, as an error.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Err is nil where there are none.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// Sort brings ps into the order of files and lines.
func (ps Problems) Sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		return a.Line - b.Line
	})
}

// In is ps with the file's name.
func (ps Problems) In(file string) Problems {
	for i := range ps {
		ps[i].File = file
	}
	return ps
}

// List gives the problems in err, one for any other error.
func List(err error) Problems {
	var ps Problems
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ps):
		return ps
	}
	return Problems{{Reason: err.Error()}}
}

// Parse reads one document of at most limit bytes. The node is nil where the
// document is empty, and where there is a problem.
func Parse(data []byte, limit int) (*yaml.Node, Problems) {
	text, ps := decodeText(data, limit)
	if ps != nil {
		return nil, ps
	}
	if ps := badLines(text); ps != nil {
		return nil, ps
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	switch err := d.Decode(&doc); {
	case err == io.EOF || err == nil && len(doc.Content) == 0:
		return nil, nil
	case err != nil:
		return nil, Problems{syntax(err, text)}
	}
	if err := d.Decode(&second); err != io.EOF {
		return nil, Problems{{Line: second.Line, Reason: "a second document begins here (---); everything must stand in the first"}}
	}
	root := doc.Content[0]
	if ps := plain(root, nil); ps != nil {
		return nil, ps
	}
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	return root, nil
}

// decodeText refuses what is no UTF-8 text; a byte order mark is dropped.
func decodeText(data []byte, limit int) ([]byte, Problems) {
	if len(data) > limit {
		return nil, Problems{{Reason: fmt.Sprintf("larger than %d KiB; this cannot be meant", limit>>10)}}
	}
	if bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}) {
		return nil, Problems{{Line: 1, Reason: "saved as UTF-16; save it as UTF-8"}}
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	for i, line := range bytes.SplitAfter(data, []byte("\n")) {
		if !utf8.Valid(line) {
			return nil, Problems{{Line: i + 1, Reason: "a character that is not UTF-8; save the file as UTF-8"}}
		}
	}
	return data, nil
}

// badLines finds what YAML answers with riddles: tabs before the text, and
// control characters.
func badLines(text []byte) (ps Problems) {
	for i, line := range strings.Split(string(text), "\n") {
		indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		if strings.Contains(indent, "\t") && strings.TrimSpace(line) != "" {
			ps = append(ps, Problem{Line: i + 1, Reason: "a tab at the beginning of the line; use blanks"})
			continue
		}
		for _, r := range strings.TrimSuffix(line, "\r") {
			if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 && r != 0x85 {
				ps = append(ps, Problem{Line: i + 1, Reason: fmt.Sprintf("the control character %U; take it out", r)})
				break
			}
		}
	}
	return ps
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// hints explain the messages of the YAML library to people.
var hints = []struct{ says, hint string }{
	{"mapping values are not allowed", `a text with ": " in it needs quotes; or the line is indented too far`},
	{"cannot start any token", "a text that begins with @, % or ` needs quotes"},
	{"expected ',' or ']'", "a list that begins with [ must end with ], with commas between"},
	{"expected ',' or '}'", "what begins with { must end with }, with commas between"},
	{"could not find expected ':'", `each line is "key: value"; perhaps a colon, or the blank after it, is missing`},
	{"expected node content", "a value is missing between [ ] or { }, or needs quotes"},
	{"did not find expected key", "the indentation or a quote in this line or the one before is wrong"},
	{"unexpected end of stream", "a quote is not closed"},
}

// unquoted finds the beginning of a text that YAML takes for a sign of its
// own: an alias, an anchor or a tag.
var unquoted = regexp.MustCompile(`(?:[\[,{:]|^\s*-)\s*([*&!][^\s,\]}]+)`)

// colon finds a text within [ ] or { } that begins with a colon: what stands
// for "every address" elsewhere, YAML takes there for a key's.
var colon = regexp.MustCompile(`(?:^|[\[{,]|:[ \t])[ \t]*(:[^\s,\]}]+)`)

// syntax rewords an error of the YAML library, which leaves out the line when
// it is the first, and counts from 0 where its parser finds it.
func syntax(err error, text []byte) Problem {
	said := err.Error()
	p := Problem{Line: 1}
	if m := yamlLine.FindStringSubmatch(said); m != nil {
		p.Line, _ = strconv.Atoi(cmp.Or(m[1], "1"))
		said = said[len(m[0]):]
		if m[1] != "" && fromZero(said, line(text, p.Line+1)) {
			p.Line++
		}
	}
	if name, ok := strings.CutPrefix(said, "unknown anchor '"); ok {
		name, _, _ = strings.Cut(name, "'")
		before, _, _ := bytes.Cut(text, []byte("*"+name))
		p.Line = 1 + bytes.Count(before, []byte("\n"))
	}
	last := 1 + bytes.Count(bytes.TrimRight(text, " \t\r\n"), []byte("\n"))
	p.Line = min(p.Line, last) // what is missing at the end, YAML misses after it
	p.Reason = "not understood as YAML: " + hint(said, line(text, p.Line))
	return p
}

// fromZero says whether the line of this message counts from 0, as the YAML
// library's parser does and its scanner does not. Where a bracket is not
// closed, the line is meant that opens it: next, unless that opens none.
func fromZero(said, next string) bool {
	what, parser := strings.CutPrefix(said, "did not find expected ")
	switch what {
	case "node content", "key", "'-' indicator", "<document start>":
		return parser
	case "',' or ']'", "',' or '}'":
		return parser && strings.ContainsAny(next, "[{")
	}
	return false
}

func line(text []byte, n int) string {
	lines := strings.Split(string(text), "\n")
	return lines[min(max(n, 1), len(lines))-1]
}

func hint(said, line string) string {
	if m := unquoted.FindStringSubmatch(line); m != nil {
		return fmt.Sprintf("%s needs quotes: \"%s\"", Cut(m[1]), Cut(m[1]))
	}
	if m := colon.FindStringSubmatch(line); m != nil && strings.Contains(said, "expected node content") {
		return fmt.Sprintf("put it in quotes: \"%s\"", Cut(m[1]))
	}
	for _, h := range hints {
		if strings.Contains(said, h.says) {
			return h.hint
		}
	}
	return Cut(said)
}

// plain refuses anchors, aliases, merges and tags.
func plain(n *yaml.Node, ps Problems) Problems {
	switch {
	case n.Kind == yaml.AliasNode:
		return append(ps, Problem{Line: n.Line, Reason: fmt.Sprintf("*%s needs quotes: \"*%s\"", Cut(n.Value), Cut(n.Value))})
	case n.Anchor != "":
		ps = append(ps, Problem{Line: n.Line, Reason: fmt.Sprintf("&%s needs quotes (anchors are not supported)", Cut(n.Anchor))})
	case n.Style&yaml.TaggedStyle != 0:
		ps = append(ps, Problem{Line: n.Line, Reason: fmt.Sprintf("%s needs quotes, as every text that begins with !", Cut(n.Tag+" "+n.Value))})
	}
	for _, c := range n.Content {
		ps = plain(c, ps)
	}
	return ps
}

// Cut shortens what is quoted in a message, and keeps it on one line.
func Cut(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.TrimSpace(s))
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}
