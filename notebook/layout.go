package notebook

import (
	"bytes"
	"slices"
	"strings"
)

// layout is how a notebook's JSON is written.
type layout struct {
	newline string // "" where all stands on one line
	indent  string // of one level
	comma   string // between two pieces on one line
	colon   string // between a name and its value
	ascii   bool   // all beyond ASCII is escaped
	list    bool   // sources are lists of lines
	sorted  bool   // names stand in order
}

// compact is the one spelling in which two values are compared.
var compact = layout{comma: ",", colon: ":", sorted: true}

// look finds a notebook's layout: the lines from its first cell (from the
// whole where there is none), all else from what it shows most plainly.
// Defaults are nbformat's own.
func (b *book) look() layout {
	l := layout{colon: ": ", comma: ", ", list: true, sorted: true}
	example := b.parts
	if len(b.cells) > 0 {
		example = b.cells[0].parts
	}
	l.newline, l.indent = firstLine(b.parts)
	if within, _ := firstLine(example); within != l.newline {
		l.newline = within
	}
	l.colon, l.comma = punctuation(example, l.newline == "")
	l.ascii = !hasHigh(b.raw) && bytes.Contains(b.raw, []byte(`\u`)) && escapesHigh(b.raw)
	l.sorted = isSorted(b.parts)
	texts := 0
	for i := range b.cells {
		c := &b.cells[i]
		l.sorted = l.sorted && isSorted(c.parts)
		if v := c.value("source"); len(v) > 0 && v[0] == '"' {
			texts++
		}
	}
	l.list = 2*texts <= len(b.cells)
	return l
}

// firstLine finds the line end and the indent of an object's first member.
func firstLine(p parts) (newline, indent string) {
	if len(p.spans) == 0 {
		return "", ""
	}
	lead := string(p.raw[bytes.IndexByte(p.raw, '{')+1 : p.spans[0].from])
	i := strings.LastIndexByte(lead, '\n')
	if i < 0 {
		return "", ""
	}
	if i > 0 && lead[i-1] == '\r' {
		return "\r\n", lead[i+1:]
	}
	return "\n", lead[i+1:]
}

// punctuation finds what stands between name and value, and between members.
func punctuation(p parts, oneLine bool) (colon, comma string) {
	colon, comma = ": ", ", "
	if len(p.spans) > 0 {
		m := p.spans[0]
		name := p.raw[m.from:m.at]
		colon = string(name[bytes.LastIndexByte(name, '"')+1:])
	}
	if len(p.spans) > 1 && oneLine {
		comma = string(p.raw[p.spans[0].to:p.spans[1].from])
	}
	return colon, comma
}

func isSorted(p parts) bool {
	return slices.IsSortedFunc(p.spans, func(a, b span) int { return strings.Compare(a.key, b.key) })
}

// hasHigh says whether anything beyond ASCII stands there as it is.
func hasHigh(data []byte) bool {
	for _, c := range data {
		if c >= 0x80 {
			return true
		}
	}
	return false
}

// escapesHigh says whether anything beyond ASCII is escaped there. (A
// backslash before the u may itself be escaped; then this guesses.)
func escapesHigh(data []byte) bool {
	s := scanner{data: data}
	for i := bytes.Index(data, []byte(`\u`)); i >= 0; {
		if s.hex(i) >= 0x80 {
			return true
		}
		next := bytes.Index(data[i+2:], []byte(`\u`))
		if next < 0 {
			return false
		}
		i += 2 + next
	}
	return false
}

// line begins a line at a depth, where there are lines.
func (l *layout) line(depth int) string {
	if l.newline == "" {
		return ""
	}
	return l.newline + strings.Repeat(l.indent, depth)
}

// between stands between two pieces at a depth.
func (l *layout) between(depth int) string {
	if l.newline == "" {
		return l.comma
	}
	return "," + l.line(depth)
}
