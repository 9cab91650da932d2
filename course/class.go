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
		var n int
		if last, n = addMember(set, s[min(i, len(s)):], last); n == 0 {
			return nil, 0
		}
		i += n
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

// addMember reads one member, a range from last or a class, and gives the
// character from which a range may follow (-1: none) and the bytes read (0: a
// mistake).
func addMember(set *[256]bool, s string, last int) (next, n int) {
	if name, ok := className(s); ok {
		if !addClass(set, name) {
			return -1, 0
		}
		return -1, len(name) + len("[::]")
	}
	c, n := classChar(s)
	if isRange := c == '-' && n == 1 && last >= 0 && len(s) > 1 && s[1] != ']'; !isRange {
		set[c] = set[c] || n > 0
		return int(c), n
	}
	end, m := classChar(s[1:])
	for r := last; r <= int(end) && m > 0; r++ {
		set[r] = true
	}
	if m == 0 {
		return -1, 0
	}
	return -1, n + m
}

// classChar is one member, perhaps after a backslash.
func classChar(s string) (c byte, n int) {
	switch {
	case s == "" || s == `\`:
		return 0, 0
	case s[0] == '\\':
		return s[1], 2
	}
	return s[0], 1
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
