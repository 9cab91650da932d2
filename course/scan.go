package course

import (
	"bytes"
	"fmt"
)

// scan looks for secrets and conflict markers in bytes as they pass, in
// constant memory. It is an io.Writer; finish must be called at the end.
//
// buf begins with the last byte that was looked at (a line break at first,
// so that every line begins after one), and holds at least window bytes after
// each place that is looked at, unless the content ends there.
type scan struct {
	buf     []byte
	lines   int // line breaks before buf[0], less the first one
	secrets []Finding

	binary    bool
	begun     bool // the first chunk was looked at
	marker    int  // how many of the three conflict markers came so far
	markerAt  int  // the line of the first one
	conflicts int  // the line of a whole conflict, 0 where there is none
}

const (
	window        = 2 << 10
	chunk         = 256 << 10
	maxPerContent = 5 // findings of one kind in one content
)

func newScan() *scan { return &scan{buf: append(make([]byte, 0, 4<<10), '\n')} }

func (s *scan) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		room := min(chunk+window-len(s.buf), len(p))
		s.buf = append(s.buf, p[:room]...)
		p = p[room:]
		if len(s.buf) == chunk+window {
			s.look(len(s.buf) - window)
		}
	}
	return n, nil
}

func (s *scan) finish() { s.look(len(s.buf)) }

// look goes over buf[1:end] and drops buf[:end-1].
func (s *scan) look(end int) {
	if !s.begun {
		s.begun = true
		s.binary = bytes.IndexByte(s.buf[:min(len(s.buf), 8<<10)], 0) >= 0
	}
	s.lookSecrets(end)
	if !s.binary {
		s.lookConflicts(end)
	}
	s.lines += bytes.Count(s.buf[:end-1], []byte("\n"))
	s.buf = append(s.buf[:0], s.buf[end-1:]...)
}

// lineOf is the line of buf[i], from 1.
func (s *scan) lineOf(i int) int { return s.lines + bytes.Count(s.buf[:i], []byte("\n")) }

func (s *scan) lookSecrets(end int) {
	b := s.buf
	for i := 1; i < min(end, len(b)-1); i++ {
		pair := uint16(b[i])<<8 | uint16(b[i+1])
		if secretStarts[pair>>6]>>(pair&63)&1 == 0 {
			continue
		}
		kind, length := secretAt(b, i)
		if kind == "" || len(s.secrets) >= maxPerContent {
			continue
		}
		s.secrets = append(s.secrets, Finding{Line: s.lineOf(i), Reason: fmt.Sprintf("holds %s; take it out, hide such files, and replace it where it was valid: who reads this repository has seen it", kind)})
		i += length
	}
}

// The three markers that git leaves, in their order, each at the beginning of
// a line.
var markers = [3]string{"\n<<<<<<< ", "\n=======", "\n>>>>>>> "}

func (s *scan) lookConflicts(end int) {
	for at := 0; s.conflicts == 0; {
		i := bytes.Index(s.buf[at:], []byte(markers[s.marker]))
		if i < 0 || at+i >= end-1 {
			return
		}
		at += i + len(markers[s.marker])
		if s.marker == 1 && at < len(s.buf) && s.buf[at] != '\n' && s.buf[at] != '\r' {
			continue // a longer line, as under a heading
		}
		switch s.marker++; s.marker {
		case 1:
			s.markerAt = s.lineOf(at - 1)
		case len(markers):
			s.conflicts = s.markerAt
		}
	}
}

// conflict is the finding, nil where there is none.
func (s *scan) conflict() []Finding {
	if s.conflicts == 0 {
		return nil
	}
	return []Finding{{Line: s.conflicts, Reason: "conflict markers (<<<<<<<); finish the merge (if the text is about them, indent them)"}}
}
