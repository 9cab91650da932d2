package notebook

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// writer writes values anew in a layout, straight from the bytes they are
// read from: no tree is built. Numbers keep their spelling.
type writer struct {
	scanner
	layout
	out     []byte
	scratch []byte
}

// rewrite gives a value in a layout, for a place at a depth.
func (l layout) rewrite(raw []byte, depth int) []byte {
	w := writer{scanner: scanner{data: raw, trusted: true}, layout: l, out: make([]byte, 0, len(raw)+len(raw)/8)}
	w.value(depth)
	return w.out
}

// sameValue says whether two values are the same but for layout, escapes and
// the order of names. nil is no value.
func sameValue(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return (a == nil) == (b == nil)
	}
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	return bytes.Equal(compact.rewrite(a, 0), compact.rewrite(b, 0))
}

func (w *writer) value(depth int) {
	switch w.next() {
	case '{':
		w.members(depth)
	case '[':
		w.elements(depth)
	case '"':
		w.out = append(w.out, '"')
		w.quoted(func(piece []byte) { w.out = w.appendPiece(w.out, piece) })
		w.out = append(w.out, '"')
	default:
		w.out = append(w.out, w.word()...)
	}
}

func (w *writer) elements(depth int) {
	w.out = append(w.out, '[')
	empty := true
	w.array(func() {
		w.separate(empty, depth)
		empty = false
		w.value(depth + 1)
	})
	w.end(']', empty, depth)
}

// separate stands before each piece at depth+1.
func (w *writer) separate(first bool, depth int) {
	if first {
		w.out = append(w.out, w.line(depth+1)...)
		return
	}
	w.out = append(w.out, w.between(depth+1)...)
}

func (w *writer) end(c byte, empty bool, depth int) {
	if !empty {
		w.out = append(w.out, w.line(depth)...)
	}
	w.out = append(w.out, c)
}

func (w *writer) members(depth int) {
	w.out = append(w.out, '{')
	var done []span // where each member stands in out
	empty := true
	w.object(func(key string) {
		w.separate(empty, depth)
		empty = false
		from := len(w.out)
		w.out = append(w.appendText(w.out, key), w.colon...)
		w.value(depth + 1)
		if w.sorted && len(done) <= maxKeys {
			done = append(done, span{key: key, from: from, to: len(w.out)})
		}
	})
	w.sort(done, depth)
	w.end('}', empty, depth)
}

// sort puts the members last written in order. An object with very many names
// stays as it is: the order is a nicety, the memory for it is not.
func (w *writer) sort(done []span, depth int) {
	byKey := func(a, b span) int { return strings.Compare(a.key, b.key) }
	if len(done) < 2 || len(done) > maxKeys || slices.IsSortedFunc(done, byKey) {
		return
	}
	first := done[0].from
	w.scratch = append(w.scratch[:0], w.out[first:]...)
	slices.SortStableFunc(done, byKey)
	w.out = w.out[:first]
	for i, m := range done {
		if i > 0 {
			w.out = append(w.out, w.between(depth+1)...)
		}
		w.out = append(w.out, w.scratch[m.from-first:m.to-first]...)
	}
}

// appendText appends a text in quotes.
func (l *layout) appendText(b []byte, text string) []byte {
	return append(l.appendPiece(append(b, '"'), []byte(text)), '"')
}

// appendPiece appends a piece of a text as Python's json writes it. The three
// bytes that stand for a lone surrogate (see scanner.unicode) become its
// escape again.
func (l *layout) appendPiece(b, piece []byte) []byte {
	for i := 0; i < len(piece); {
		c := piece[i]
		if c < utf8.RuneSelf {
			b = appendASCII(b, c)
			i++
			continue
		}
		r, size := utf8.DecodeRune(piece[i:])
		switch {
		case r == utf8.RuneError && size == 1 && i+2 < len(piece):
			b = fmt.Appendf(b, `\u%04x`, 0xd000|rune(piece[i+1]&0x3f)<<6|rune(piece[i+2]&0x3f))
			size = 3
		case l.ascii && r > 0xffff:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		case l.ascii:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = append(b, piece[i:i+size]...)
		}
		i += size
	}
	return b
}

func appendASCII(b []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(b, '\\', c)
	case c >= ' ':
		return append(b, c)
	}
	if i := strings.IndexByte("\b\f\n\r\t", c); i >= 0 {
		return append(b, '\\', "bfnrt"[i])
	}
	return fmt.Appendf(b, `\u%04x`, c)
}

// source writes a cell's source as a text or as a list of lines.
func (l layout) source(text string, list bool, depth int) []byte {
	if !list {
		return l.appendText(nil, text)
	}
	w := writer{layout: l, out: []byte{'['}}
	empty := true
	for line := range strings.Lines(text) {
		w.separate(empty, depth)
		empty = false
		w.out = w.appendText(w.out, line)
	}
	w.end(']', empty, depth)
	return w.out
}
