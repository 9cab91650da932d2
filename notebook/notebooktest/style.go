package notebooktest

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"unicode/utf16"
)

// style is how a notebook's JSON is written.
type style struct {
	newline, indent string // newline "" is one line
	comma, colon    string
	ascii           bool
	lines           bool // sources as lists of lines
	last            bool // a newline at the end
}

// nbformatStyle is how Jupyter itself writes.
var nbformatStyle = style{"\n", " ", ",", ": ", false, true, true}

func randomStyle(r *rand.Rand) style {
	if r.Intn(2) == 0 {
		return nbformatStyle
	}
	s := style{comma: ",", colon: ": ", ascii: r.Intn(3) == 0, lines: r.Intn(3) > 0, last: r.Intn(2) == 0}
	switch r.Intn(4) {
	case 0:
		s.comma = ", "
	case 1:
		s.comma, s.colon = ",", ":"
	default:
		s.newline, s.indent = "\n", []string{"", " ", "  ", "    ", "\t"}[r.Intn(5)]
		if r.Intn(4) == 0 {
			s.newline = "\r\n"
		}
	}
	return s
}

// styleOf finds the style of a notebook that this package wrote.
func styleOf(data []byte) style {
	t := string(data)
	s := style{comma: ",", colon: ":", last: strings.HasSuffix(t, "\n"), ascii: true}
	if body := strings.TrimRight(t, "\r\n"); strings.Contains(body, "\n") {
		s.newline = "\n"
		if strings.Contains(body, "\r\n") {
			s.newline = "\r\n"
		}
		line := strings.Split(body, "\n")[1]
		s.indent = line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	}
	if strings.Contains(t, `": `) {
		s.colon = ": "
	}
	if s.newline == "" && s.colon == ": " {
		s.comma = ", "
	}
	for i := range len(t) {
		s.ascii = s.ascii && t[i] < 0x80
	}
	s.ascii = s.ascii && strings.Contains(t, `\u`)
	s.lines = !strings.Contains(t, `"source":`+s.colon[1:]+`"`)
	return s
}

func (s style) write(v value) []byte {
	b := s.append(nil, v, 0)
	if s.last {
		b = append(b, s.newline...)
		if s.newline == "" {
			b = append(b, '\n')
		}
	}
	return b
}

func (s style) line(b []byte, depth int, first bool) []byte {
	if !first {
		b = append(b, strings.TrimRight(s.comma, " ")...)
	}
	if s.newline == "" {
		if !first {
			b = append(b, s.comma[1:]...)
		}
		return b
	}
	return append(append(b, s.newline...), strings.Repeat(s.indent, depth)...)
}

func (s style) end(b []byte, depth, n int, c byte) []byte {
	if n > 0 && s.newline != "" {
		b = append(append(b, s.newline...), strings.Repeat(s.indent, depth)...)
	}
	return append(b, c)
}

func (s style) append(b []byte, v value, depth int) []byte {
	switch v := v.(type) {
	case *object:
		b = append(b, '{')
		for i, key := range v.keys {
			b = s.line(b, depth+1, i == 0)
			b = append(append(s.quote(b, key), s.colon...), s.append(nil, v.values[i], depth+1)...)
		}
		return s.end(b, depth, len(v.keys), '}')
	case list:
		b = append(b, '[')
		for i, e := range v {
			b = s.append(s.line(b, depth+1, i == 0), e, depth+1)
		}
		return s.end(b, depth, len(v), ']')
	case text:
		return s.quote(b, string(v))
	}
	return append(b, v.(word)...)
}

func (s style) quote(b []byte, t string) []byte {
	b = append(b, '"')
	for _, c := range t {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', byte(c))
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c < ' ' || s.ascii && c >= 0x80 && c <= 0xffff:
			b = fmt.Appendf(b, `\u%04x`, c)
		case s.ascii && c > 0xffff:
			high, low := utf16.EncodeRune(c)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		default:
			b = append(b, string(c)...)
		}
	}
	return append(b, '"')
}

// source gives a source as this style writes it.
func (s style) source(t string) value {
	if !s.lines {
		return text(t)
	}
	l := list{}
	for line := range strings.Lines(t) {
		l = append(l, text(line))
	}
	return l
}

// sortKeys puts all names in order, as nbformat does.
func sortKeys(v value) {
	switch v := v.(type) {
	case *object:
		sorted := &object{}
		keys := slices.Sorted(slices.Values(v.keys))
		for _, key := range keys {
			sorted.set(key, v.get(key))
			sortKeys(v.get(key))
		}
		*v = *sorted
	case list:
		for _, e := range v {
			sortKeys(e)
		}
	}
}
