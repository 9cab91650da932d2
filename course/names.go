package course

import (
	"fmt"
	"strings"
	"unicode"
)

// warnNames warns of names that one of the students' machines cannot hold,
// should they download them: each folder and file once. Two names that differ
// only in how an accent is composed (macOS takes them for one) are not told.
func warnNames(s *Selection) {
	plain := map[string]string{} // in lower case → the first spelling
	told := map[string]bool{}
	for _, f := range s.Files {
		for i := 0; i <= len(f.Path); i++ {
			if i < len(f.Path) && f.Path[i] != '/' {
				continue
			}
			path := f.Path[:i]
			low := strings.ToLower(path)
			first, known := plain[low]
			switch {
			case !known:
				plain[low] = path
				warnName(s, path)
			case first != path && parent(first) == parent(path) && !told[path]:
				told[path] = true
				s.warn(Finding{Path: path, Reason: fmt.Sprintf("differs from %s only in capitals; on Windows and macOS one hides the other", plainPath(first))})
			}
		}
	}
}

func parent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return ""
}

// reserved are names that Windows keeps for devices, with any extension.
var reserved = func() map[string]bool {
	m := map[string]bool{"con": true, "prn": true, "aux": true, "nul": true}
	for _, d := range "123456789" {
		m["com"+string(d)], m["lpt"+string(d)] = true, true
	}
	return m
}()

func warnName(s *Selection, path string) {
	name := path[strings.LastIndexByte(path, '/')+1:]
	stem, _, _ := strings.Cut(strings.ToLower(name), ".")
	reason := ""
	switch {
	case strings.ContainsFunc(name, unicode.IsControl):
		reason = "a control character in the name; rename it"
	case strings.ContainsFunc(name, isFormat):
		reason = "an invisible character in the name; rename it"
	case strings.ContainsAny(name, `<>:"\|?*`):
		reason = `the name holds one of < > : " \ | ? *, which Windows does not allow`
	case strings.HasSuffix(name, ".") || strings.HasSuffix(name, " "):
		reason = "the name ends with a dot or a blank, which Windows drops"
	case strings.HasPrefix(name, " "):
		reason = "the name begins with a blank"
	case reserved[strings.TrimSpace(stem)]:
		reason = "Windows keeps this name for a device"
	}
	if reason != "" {
		s.warn(Finding{Path: path, Reason: reason})
	}
}

// isFormat finds characters that show nothing or turn the direction of text.
func isFormat(r rune) bool { return unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' }
