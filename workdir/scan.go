package workdir

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"satchel/bundle"
)

// Most of a journal are lines of files, all in the one form in which
// encodeLines writes them. Reading these without reflection makes a login's
// state cost a twentieth.

// decodeLine reads a line's JSON.
func decodeLine(text []byte) (l line, ok bool) {
	if e := scanEntry(text); e != nil {
		return line{File: e}, true
	}
	return l, json.Unmarshal(text, &l) == nil
}

// scanEntry reads the line of a file; nil where it is another line, or not in
// the very form that encodeLines gives it.
func scanEntry(text []byte) *Entry {
	s := &scan{left: text}
	e := &Entry{}
	s.need(`{"file":{"path":`)
	e.Path = s.text()
	s.need(`,"digest":`)
	e.Digest = s.digest()
	s.need(`,"size":`)
	e.Size = s.number()
	s.need(`,"mode":`)
	e.Mode = uint32(s.below(1 << 32))
	s.need(`,"policy":`)
	e.Policy = bundle.Policy(s.text())
	if s.has(`,"channel":`) {
		e.Channel = s.text()
	}
	s.need(`,"status":`)
	e.Status = Status(s.text())
	e.Returned = s.has(`,"returned":true`)
	if s.has(`,"seen":`) {
		e.Seen = s.seen()
	}
	if s.has(`,"merges":[`) {
		e.Merges = scanList(s, (*scan).merging)
	}
	if s.has(`,"since":`) {
		e.Since = bundle.Version(s.number())
	}
	if s.has(`,"past":[`) {
		e.Past = scanList(s, (*scan).past)
	}
	s.need(`}}`)
	if s.bad || len(s.left) > 0 {
		return nil
	}
	return e
}

// scan reads from left what it expects there. bad: something else stood there.
type scan struct {
	left []byte
	bad  bool
}

func (s *scan) has(word string) bool {
	if !bytes.HasPrefix(s.left, []byte(word)) {
		return false
	}
	s.left = s.left[len(word):]
	return true
}

func (s *scan) need(word string) {
	if !s.has(word) {
		s.bad, s.left = true, nil
	}
}

// text reads a string in which nothing is escaped.
func (s *scan) text() string {
	s.need(`"`)
	n := bytes.IndexByte(s.left, '"')
	if n < 0 {
		s.need(`"`)
		return ""
	}
	text := s.left[:n]
	s.left = s.left[n+1:]
	for _, c := range text {
		s.bad = s.bad || c < ' ' || c == '\\'
	}
	s.bad = s.bad || !utf8.Valid(text)
	return string(text)
}

// number reads one that is not negative.
func (s *scan) number() int64 { return int64(s.below(1 << 63)) }

func (s *scan) below(limit uint64) uint64 {
	n := 0
	for n < len(s.left) && s.left[n] >= '0' && s.left[n] <= '9' {
		n++
	}
	x, err := strconv.ParseUint(string(s.left[:n]), 10, 64)
	s.bad = s.bad || err != nil || x >= limit || n > 1 && s.left[0] == '0'
	s.left = s.left[n:]
	return x
}

func (s *scan) digest() (d bundle.Digest) {
	s.need(`"`)
	n := 2 * len(d)
	if len(s.left) < n {
		s.bad = true // also the empty one, which stands for none
		return d
	}
	d, err := bundle.ParseDigest(string(s.left[:n]))
	s.bad, s.left = s.bad || err != nil, s.left[n:]
	s.need(`"`)
	return d
}

func (s *scan) seen() *Seen {
	x := &Seen{}
	s.need(`{"size":`)
	x.Size = s.number()
	s.need(`,"mtime":`)
	x.Mtime = s.number()
	s.need(`,"ctime":`)
	x.Ctime = s.number()
	s.need(`,"inode":`)
	x.Inode = s.below(1<<64 - 1)
	s.need(`,"digest":`)
	x.Digest = s.digest()
	x.Sure = s.has(`,"sure":true`)
	s.need(`}`)
	return x
}

func (s *scan) merging() (m Merging) {
	s.need(`{"base":`)
	m.Base = s.digest()
	s.need(`,"mine":`)
	m.Mine = s.digest()
	s.need(`,"result":`)
	m.Result = s.digest()
	s.need(`,"time":`)
	at := s.text()
	s.bad = s.bad || m.Time.UnmarshalJSON([]byte(`"`+at+`"`)) != nil
	s.need(`}`)
	return m
}

func (s *scan) past() (p Past) {
	s.need(`{"version":`)
	p.Version = bundle.Version(s.number())
	s.need(`,"digest":`)
	p.Digest = s.digest()
	s.need(`,"size":`)
	p.Size = s.number()
	s.need(`}`)
	return p
}

// scanList reads a list of one at least, up to its end.
func scanList[T any](s *scan, one func(*scan) T) (out []T) {
	for {
		out = append(out, one(s))
		if s.bad || !s.has(`,`) {
			s.need(`]`)
			return out
		}
	}
}
