package course

import "strings"

// parseClass reads a bracket expression at the beginning of s, as git's
// wildmatch does: [abc], [a-z], [!a] or [^a], [[:alpha:]]; a ] that comes
// first is a member. It gives the set and the bytes read, or nil where there
// is no end.
func parseClass(s string) (*[256]bool, int) {
	set := &[256]bool{}
	i := 1
	negated := i < len(s) && (s[i] == '!' || s[i] == '^')
	if negated {
		i++
	}
	last := -1 // the character before, from which a range may begin
	for first := true; first || i < len(s) && s[i] != ']'; first = false {
		if i >= len(s) {
			return nil, 0
		}
		if name, ok := className(s[i:]); ok {
			if !addClass(set, name) {
				return nil, 0
			}
			i += len(name) + len("[::]")
			last = -1
			continue
		}
		c, n := classChar(s[i:])
		if n == 0 {
			return nil, 0
		}
		i += n
		if c == '-' && n == 1 && last >= 0 && i < len(s) && s[i] != ']' {
			end, m := classChar(s[i:])
			if m == 0 {
				return nil, 0
			}
			for r := last; r <= int(end); r++ {
				set[r] = true
			}
			i += m
			last = -1
			continue
		}
		set[c] = true
		last = int(c)
	}
	if i >= len(s) {
		return nil, 0
	}
	if negated {
		for c := range set {
			set[c] = !set[c]
		}
	}
	set['/'] = false
	return set, i + 1
}

// classChar is one member, perhaps after a backslash.
func classChar(s string) (c byte, n int) {
	if s[0] != '\\' {
		return s[0], 1
	}
	if len(s) == 1 {
		return 0, 0
	}
	return s[1], 2
}

// className finds [:name:].
func className(s string) (string, bool) {
	if !strings.HasPrefix(s, "[:") {
		return "", false
	}
	end := strings.IndexByte(s[2:], ']')
	if end < 1 || s[2+end-1] != ':' {
		return "", false
	}
	return s[2 : 2+end-1], true
}

// addClass adds the characters of a POSIX class, in ASCII.
func addClass(set *[256]bool, name string) bool {
	in := func(c byte, ranges string) bool {
		for i := 0; i+1 < len(ranges); i += 2 {
			if ranges[i] <= c && c <= ranges[i+1] {
				return true
			}
		}
		return false
	}
	classes := map[string]string{
		"alnum": "09AZaz", "alpha": "AZaz", "blank": "\t\t  ", "cntrl": "\x00\x1f\x7f\x7f", "digit": "09",
		"graph": "!~", "lower": "az", "print": " ~", "punct": "!/:@[`{~", "space": "\t\r  ", "upper": "AZ", "xdigit": "09AFaf",
	}
	ranges, ok := classes[name]
	for c := range 128 {
		if in(byte(c), ranges) {
			set[c] = true
		}
	}
	return ok
}
