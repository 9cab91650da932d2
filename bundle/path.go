package bundle

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CheckPath refuses a path that could mean something else than one regular
// file below the course's folder, on any filesystem that a home may be on.
// The publisher and the agent ask the same function.
func CheckPath(p string) error {
	switch {
	case p == "":
		return fmt.Errorf("an empty path")
	case len(p) > MaxPath:
		return fmt.Errorf("%.60q…: path of %d bytes; the limit is %d", p, len(p), MaxPath)
	case !utf8.ValidString(p):
		return fmt.Errorf("%q: the name is not valid UTF-8", p)
	case strings.HasPrefix(p, "/"):
		return fmt.Errorf("%q: an absolute path", p)
	case strings.Count(p, "/") >= MaxDepth:
		return fmt.Errorf("%.60q…: deeper than %d folders", p, MaxDepth)
	}
	for name := range strings.SplitSeq(p, "/") {
		if err := CheckName(name); err != nil {
			return fmt.Errorf("%q: %w", p, err)
		}
	}
	return nil
}

// CheckName refuses one component of a path; see CheckPath.
func CheckName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return fmt.Errorf("%q is no name for a file", name)
	case len(name) > MaxName:
		return fmt.Errorf("a name of %d bytes; the limit is %d", len(name), MaxName)
	case strings.ContainsAny(name, "\x00/"):
		return fmt.Errorf("a name with NUL or a slash in it")
	}
	if c := name[0]; c < utf8.RuneSelf && c != '.' && c != 'g' && c != 'G' {
		return nil // plainName leaves it first, so it is none of these
	}
	switch plainName(name) {
	case ".git", "git~1":
		return fmt.Errorf("%q is git's own folder on some filesystem", name)
	case ".satchel":
		return fmt.Errorf("%q is Satchel's own folder", name)
	}
	return nil
}

// plainName is the name as NTFS and HFS+ may see it: without letter case,
// trailing dots and spaces, an alternate stream, or characters that HFS+
// ignores (git's CVE-2014-9390 list).
func plainName(name string) string {
	name, _, _ = strings.Cut(name, ":")
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 0x200c && r <= 0x200f, r >= 0x202a && r <= 0x202e,
			r >= 0x206a && r <= 0x206f, r == 0xfeff:
			return -1
		}
		return unicode.ToLower(r)
	}, name)
	return strings.TrimRight(name, ". ")
}

// CheckTree refuses a set of sorted paths that no folder can hold: the same
// path twice, or a path that is a file here and a folder there. All of them
// are returned, not the first.
func CheckTree(paths []string) (bad []error) {
	seen := make(map[string]bool, len(paths))
	for _, p := range paths {
		if seen[p] {
			bad = append(bad, fmt.Errorf("%q: doubled", p))
		}
		seen[p] = true
	}
	for _, p := range paths {
		for i, c := range p {
			if c == '/' && seen[p[:i]] {
				bad = append(bad, fmt.Errorf("%q: a file, and the folder of %q", p[:i], p))
			}
		}
	}
	return bad
}
