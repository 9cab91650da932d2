package notebook

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds nesting; nbformat itself gives up between 480 and 500.
const maxDepth = 450

// scanner reads JSON value by value, without building a tree: what nobody
// asks for (outputs, metadata) costs no memory. It takes what Python's json
// takes, for Python wrote these files: NaN, Infinity and -Infinity are values,
// numbers may be of any size, of doubled keys the last one counts.
//
// leap.go steps faster over what was read before, word.go knows numbers.
//
// The first mistake sticks in bad; after it every method does nothing.
type scanner struct {
	data    []byte
	at      int
	depth   int
	bad     error
	trusted bool    // the bytes were read to the end before: skip need not look for mistakes
	one     [4]byte // room for the piece that an escape stands for
}

// fail notes the first mistake, with its line.
func (s *scanner) fail(format string, args ...any) {
	if s.bad == nil {
		line := 1 + bytes.Count(s.data[:min(s.at, len(s.data))], []byte("\n"))
		s.bad = fmt.Errorf("line %d: %s", line, fmt.Sprintf(format, args...))
	}
	s.at = len(s.data)
}

// next steps over white space and gives the byte there, 0 at the end.
func (s *scanner) next() byte {
	for s.at < len(s.data) {
		switch c := s.data[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// take steps over c where it comes next.
func (s *scanner) take(c byte) bool {
	if s.next() != c {
		return false
	}
	s.at++
	return true
}

func (s *scanner) expect(c byte, where string) {
	if s.bad == nil && !s.take(c) {
		s.unexpected(strconv.QuoteRune(rune(c)) + " " + where)
	}
}

func (s *scanner) unexpected(wanted string) {
	if s.next() == 0 {
		s.fail("not complete JSON: it ends too early")
		return
	}
	s.fail("not valid JSON: %s expected", wanted)
}

// object calls member for each key, which must step over the value.
func (s *scanner) object(member func(key string)) {
	s.nested('{', '}', func() {
		if s.next() != '"' {
			s.unexpected("a name in quotes")
			return
		}
		key := s.text()
		s.expect(':', "after a name")
		if s.bad == nil {
			member(key)
		}
	})
}

// array calls item at each element, which must step over it.
func (s *scanner) array(item func()) { s.nested('[', ']', item) }

func (s *scanner) nested(begin, end byte, one func()) {
	s.expect(begin, "at the beginning")
	if s.depth++; s.depth > maxDepth {
		s.fail("nested deeper than %d levels", maxDepth)
	}
	for first := true; s.bad == nil && !s.take(end); first = false {
		if !first && !s.take(',') {
			s.unexpected("',' or " + strconv.QuoteRune(rune(end)))
		}
		if s.bad == nil {
			one()
		}
	}
	s.depth--
}

// skip steps over any value.
func (s *scanner) skip() {
	if s.trusted {
		s.leap()
		return
	}
	switch s.next() {
	case '{':
		s.object(func(string) { s.skip() })
	case '[':
		s.array(s.skip)
	case '"':
		s.quoted(func([]byte) {})
	default:
		s.bare()
	}
}

// text reads a string.
func (s *scanner) text() string {
	s.next()
	end := s.at + 1
	for end < len(s.data) && isPlain(s.data[end]) {
		end++
	}
	if end < len(s.data) && s.data[end] == '"' && s.data[s.at] == '"' {
		from := s.at + 1
		s.at = end + 1
		return string(s.data[from:end])
	}
	b := make([]byte, 0, 2*max(0, end-s.at))
	s.quoted(func(piece []byte) { b = append(b, piece...) })
	return string(b)
}

// isPlain says whether a byte of a text stands for itself.
func isPlain(c byte) bool { return c >= ' ' && c != '"' && c != '\\' }

// quoted gives a string in pieces.
func (s *scanner) quoted(piece func([]byte)) {
	s.expect('"', "before a text")
	for s.bad == nil {
		from := s.at
		for s.at < len(s.data) && isPlain(s.data[s.at]) {
			s.at++
		}
		piece(s.data[from:s.at])
		switch {
		case s.at >= len(s.data):
			s.fail("not complete JSON: a text does not end")
		case s.data[s.at] == '"':
			s.at++
			return
		case s.data[s.at] == '\\':
			s.escape(piece)
		default:
			s.fail("not valid JSON: a control character inside a text")
		}
	}
}

func (s *scanner) escape(piece func([]byte)) {
	if s.at+1 >= len(s.data) {
		s.fail("not complete JSON: a text does not end")
		return
	}
	c := s.data[s.at+1]
	if c == 'u' {
		s.unicode(piece)
		return
	}
	i := bytes.IndexByte([]byte(`"\/bfnrt`), c)
	if i < 0 {
		s.fail("not valid JSON: unknown escape in a text")
		return
	}
	s.at += 2
	s.one[0] = "\"\\/\b\f\n\r\t"[i]
	piece(s.one[:1])
}

// unicode reads \uXXXX, pairs of surrogates too. A lone surrogate (Python
// writes those) becomes the three bytes that UTF-8 would give it, so that two
// different ones stay different.
func (s *scanner) unicode(piece func([]byte)) {
	r := s.hex(s.at)
	if r < 0 {
		s.fail("not valid JSON: \\u without four hexadecimal digits")
		return
	}
	s.at += 6
	if utf16.IsSurrogate(r) {
		if both := utf16.DecodeRune(r, s.hex(s.at)); both != utf8.RuneError {
			s.at += 6
			piece(utf8.AppendRune(s.one[:0], both))
			return
		}
		piece(append(s.one[:0], 0xe0|byte(r>>12), 0x80|byte(r>>6)&0x3f, 0x80|byte(r)&0x3f))
		return
	}
	piece(utf8.AppendRune(s.one[:0], r))
}

// hex reads \uXXXX at i; -1 where there is none.
func (s *scanner) hex(i int) rune {
	if i+6 > len(s.data) || s.data[i] != '\\' || s.data[i+1] != 'u' {
		return -1
	}
	n := rune(0)
	for _, c := range s.data[i+2 : i+6] {
		switch {
		case isDigit(c):
			n = n<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			n = n<<4 | rune(c|0x20-'a'+10)
		default:
			return -1
		}
	}
	return n
}
