package notebook

import (
	"errors"
	"fmt"
	"strings"
)

// Bounds of what is merged by cell; a notebook beyond them is left whole.
const (
	maxCells = 10_000 // cells in one notebook
	maxKeys  = 10_000 // names in one object that is taken apart
)

// span is where an element of a list stands, or a member of an object.
type span struct {
	key  string
	from int // where the member begins (its name) or the element
	at   int // where the value begins
	to   int // where it ends
}

// parts is a list or an object taken apart: its bytes, and where each piece
// of it stands. Nothing is copied but the names.
type parts struct {
	raw   []byte
	spans []span
	at    map[string]int // the names of an object
}

// takeApart reads one list or object; the bytes must have passed Check.
func takeApart(raw []byte) (parts, error) {
	p := parts{raw: raw}
	s := scanner{data: raw, trusted: true}
	one := func(key string, from int) {
		s.next()
		at := s.at
		s.skip()
		if key == "" && from < 0 {
			from = at
		}
		p.spans = append(p.spans, span{key, from, at, s.at})
		if len(p.spans) > maxKeys {
			s.fail("more than %d pieces in one list or object", maxKeys)
		}
	}
	switch s.next() {
	case '[':
		s.array(func() { one("", -1) })
	case '{':
		s.nested('{', '}', func() {
			s.next()
			from := s.at
			key := s.text()
			s.expect(':', "after a name")
			one(key, from)
		})
		p.name(&s)
	default:
		return p, errors.New("neither a list nor an object")
	}
	return p, s.bad
}

// name notes where each name stands. It refuses an object with one that stands
// twice: readers take the last, but a merge could not say which it changed.
func (p *parts) name(s *scanner) {
	p.at = make(map[string]int, len(p.spans))
	for i, m := range p.spans {
		if _, twice := p.at[m.key]; twice {
			s.fail("the name %q stands twice in one object", shorten(m.key))
			return
		}
		p.at[m.key] = i
	}
}

// value gives the bytes of a member's value, nil where there is none.
func (p parts) value(key string) []byte {
	i, ok := p.at[key]
	if !ok {
		return nil
	}
	return p.raw[p.spans[i].at:p.spans[i].to]
}

// slice is one cell of a notebook: what a person wrote in it, and its bytes.
type slice struct {
	cell         // line ends in the source are LF here
	parts        // the whole object
	id    string // "" where there is none
	crlf  bool   // its source had CR LF
	list  bool   // its source is a list of lines
}

// same says whether a person wrote the same in both.
func (c *slice) same(d *slice) bool {
	return c.kind == d.kind && c.source == d.source && sameAttachments(c.attachments, d.attachments)
}

// book is a notebook taken apart for a merge.
type book struct {
	parts
	minor  int
	list   parts // the list of cells
	cells  []slice
	layout layout
}

// open takes a notebook apart. What Check refuses is refused, and what is
// beyond the bounds above.
func open(data []byte) (*book, error) {
	cells, err := read(data)
	if err != nil {
		return nil, err
	}
	if len(cells) > maxCells {
		return nil, fmt.Errorf("more than %d cells", maxCells)
	}
	b := &book{}
	if b.parts, err = takeApart(data); err != nil {
		return nil, err
	}
	if b.list, err = takeApart(b.value("cells")); err != nil {
		return nil, err
	}
	b.minor = atoi(string(b.value("nbformat_minor")))
	if err := b.openCells(cells); err != nil {
		return nil, err
	}
	b.layout = b.look()
	return b, nil
}

func (b *book) openCells(cells []cell) (err error) {
	b.cells = make([]slice, len(cells))
	for i, c := range cells {
		s := slice{cell: c}
		at := b.list.spans[i]
		if s.parts, err = takeApart(b.list.raw[at.at:at.to]); err != nil {
			return fmt.Errorf("cell %d: %w", i+1, err)
		}
		s.id = plainText(s.value("id"))
		s.crlf = strings.Contains(c.source, "\r\n")
		s.source = withLF(c.source)
		source := s.value("source")
		s.list = len(source) > 0 && source[0] == '['
		b.cells[i] = s
	}
	return nil
}

// plainText gives the text of a value that is one, else "".
func plainText(raw []byte) string {
	if len(raw) == 0 || raw[0] != '"' {
		return ""
	}
	s := scanner{data: raw}
	return s.text()
}
