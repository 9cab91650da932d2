package course

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Limits of patterns. What a pattern costs per path is bounded by their
// lengths multiplied, whatever its wildcards.
const (
	maxPatterns = 500
	maxPattern  = 500 // bytes
)

// Patterns are lines of a .gitignore; the last one that matches decides.
type Patterns []pattern

// pattern is one line: its segments between slashes, each a list of tokens.
type pattern struct {
	text     string
	line     int  // where it stands in RulesFile
	negated  bool // !: what matches is let in again
	dirOnly  bool // ends with a slash
	anchored bool // a slash elsewhere: matched against the whole path, else against each name
	segments [][]token
}

// token matches one byte of a name, or with star any number of them.
type token struct {
	kind  tokenKind
	char  byte
	class *[256]bool
}

type tokenKind uint8

const (
	literal tokenKind = iota
	anyChar
	star
	class
	anyDepth // "**" alone between slashes: any number of folders
	slash    // between segments, only while parsing
)

// ParsePatterns reads lines of .gitignore syntax. Empty ones and comments are
// mistakes here, for nobody writes them into a list on purpose.
func ParsePatterns(lines []string) (Patterns, error) {
	var ps Patterns
	var bad []error
	for _, l := range lines {
		p, err := parsePattern(l)
		if err != nil {
			bad = append(bad, err)
		}
		ps = append(ps, p)
	}
	return ps, errors.Join(bad...)
}

// parsePattern follows gitignore(5), and git itself where that is silent: the
// oracle test compares.
func parsePattern(text string) (pattern, error) {
	p := pattern{text: text}
	rest := trimBlanks(text)
	switch {
	case strings.TrimSpace(text) == "":
		return p, errors.New("an empty pattern; take it out")
	case len(text) > maxPattern:
		return p, fmt.Errorf("%.60q…: longer than %d bytes", text, maxPattern)
	case strings.ContainsAny(text, "\x00\r\n"):
		return p, fmt.Errorf("%.60q: a line break inside a pattern", text)
	case rest[0] == '#':
		return p, fmt.Errorf(`%.60q begins with # and would be a comment; write \%s`, text, rest)
	}
	if rest, p.negated = strings.CutPrefix(rest, "!"); rest == "" || rest == "/" {
		return p, fmt.Errorf("%.60q names nothing", text)
	}
	rest, p.dirOnly = strings.CutSuffix(rest, "/")
	p.anchored = strings.Contains(rest, "/")
	tokens, err := tokenize(strings.TrimPrefix(rest, "/"))
	if err != nil {
		return p, fmt.Errorf("%.60q: %w", text, err)
	}
	p.segments = split(tokens, p.anchored)
	if p.anchored && slices.ContainsFunc(p.segments, doubleStar) {
		return p, fmt.Errorf("%.60q: two stars belong between slashes (a/**/b); inside a name write one", text)
	}
	return p, nil
}

// doubleStar finds ** beside other characters, where git's manual and git
// itself disagree.
func doubleStar(segment []token) bool {
	for i := 1; i < len(segment); i++ {
		if segment[i].kind == star && segment[i-1].kind == star {
			return true
		}
	}
	return false
}

// trimBlanks drops trailing blanks that no backslash keeps.
func trimBlanks(s string) string {
	end := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ' ':
			continue
		case '\\':
			i++
		}
		end = i + 1
	}
	return s[:min(end, len(s))]
}

func tokenize(s string) (out []token, err error) {
	for i := 0; i < len(s); {
		switch c := s[i]; c {
		case '/':
			out = append(out, token{kind: slash})
		case '?':
			out = append(out, token{kind: anyChar})
		case '*':
			out = append(out, token{kind: star})
		case '[':
			set, n := parseClass(s[i:])
			if set == nil {
				return nil, errors.New(`a [ without its ]; write \[ for the character itself`)
			}
			out = append(out, token{kind: class, class: set})
			i += n - 1
		case '\\':
			if i++; i == len(s) {
				return nil, errors.New(`ends with a backslash; write \\ for the character itself`)
			}
			if s[i] == '/' {
				return nil, errors.New(`a backslash before a slash; take it out`)
			}
			out = append(out, token{kind: literal, char: s[i]})
		default:
			out = append(out, token{kind: literal, char: c})
		}
		i++
	}
	return out, nil
}

// split cuts at slashes. A segment of two or more stars alone is any number
// of folders; at the end it is at least one name.
func split(tokens []token, anchored bool) (out [][]token) {
	isSlash := func(t token) bool { return t.kind == slash }
	for {
		i := slices.IndexFunc(tokens, isSlash)
		segment := tokens
		if i >= 0 {
			segment = tokens[:i]
		}
		stars := !slices.ContainsFunc(segment, func(t token) bool { return t.kind != star })
		if anchored && stars && len(segment) > 1 {
			segment = []token{{kind: anyDepth}}
		}
		out = append(out, segment)
		if i < 0 {
			break
		}
		tokens = tokens[i+1:]
	}
	if isAnyDepth(out[len(out)-1]) {
		out = append(out, []token{{kind: star}})
	}
	return out
}

func isAnyDepth(segment []token) bool { return len(segment) == 1 && segment[0].kind == anyDepth }

// matches says whether p names this path itself; names are its components.
func (p *pattern) matches(names []string, dir bool) bool {
	switch {
	case p.dirOnly && !dir, len(p.segments) == 0:
		return false
	case !p.anchored:
		return matchName(p.segments[0], names[len(names)-1])
	}
	return matchPath(p.segments, names)
}

// matchPath is the greedy matching of wildcards, with segments for
// characters: only the last "**" ever needs to be tried again.
func matchPath(segments [][]token, names []string) bool {
	s, n := 0, 0
	backS, backN := -1, 0
	for n < len(names) || s < len(segments) {
		switch {
		case s < len(segments) && isAnyDepth(segments[s]):
			s++
			backS, backN = s, n
			continue
		case s < len(segments) && n < len(names) && matchName(segments[s], names[n]):
			s++
			n++
			continue
		case backS < 0 || backN >= len(names):
			return false
		}
		backN++
		s, n = backS, backN
	}
	return true
}

// matchName matches one name, again greedily.
func matchName(tokens []token, name string) bool {
	t, i := 0, 0
	backT, backI := -1, 0
	for i < len(name) || t < len(tokens) {
		switch {
		case t < len(tokens) && tokens[t].kind == star:
			t++
			backT, backI = t, i
			continue
		case t < len(tokens) && i < len(name) && tokens[t].matches(name[i]):
			t++
			i++
			continue
		case backT < 0 || backI >= len(name):
			return false
		}
		backI++
		t, i = backT, backI
	}
	return len(name) > 0
}

func (t token) matches(c byte) bool {
	switch t.kind {
	case literal:
		return t.char == c
	case class:
		return t.class[c]
	}
	return t.kind == anyChar
}

// Match says what the patterns decide for this path itself (slash-separated),
// its parents left aside: hidden, or let in again by a negated pattern
// (decided is false where none matches). Each pattern that matches is given
// to used, if that is not nil.
func (ps Patterns) Match(path string, dir bool, used func(i int)) (hidden, decided bool) {
	i := ps.last(path, dir, used)
	if i < 0 {
		return false, false
	}
	return !ps[i].negated, true
}

// last is the last pattern that matches this path itself, -1 where none does.
func (ps Patterns) last(path string, dir bool, used func(i int)) int {
	if len(ps) == 0 {
		return -1
	}
	last := -1
	names := strings.Split(path, "/")
	for i := len(ps) - 1; i >= 0 && (last < 0 || used != nil); i-- {
		if !ps[i].matches(names, dir) {
			continue
		}
		last = max(last, i)
		if used != nil {
			used(i)
		}
	}
	return last
}

// Hidden says whether path or a folder above it is hidden. As in git, what
// lies in a hidden folder cannot be let in again.
func (ps Patterns) Hidden(path string, dir bool) bool {
	for i, c := range path {
		if c != '/' {
			continue
		}
		if hidden, _ := ps.Match(path[:i], true, nil); hidden {
			return true
		}
	}
	hidden, _ := ps.Match(path, dir, nil)
	return hidden
}
