package lines

import "testing"

func TestKept(t *testing.T) {
	for name, c := range map[string]struct {
		base, mine, result string
		want               bool
	}{
		"nothing added":              {"a\nb\n", "a\n", "", true},
		"all there":                  {"a\n", "a\nx\ny\n", "y\nx\n", true},
		"one missing":                {"a\n", "a\nx\ny\n", "a\nx\n", false},
		"added twice, there once":    {"a\n", "x\na\nx\n", "a\nx\n", false},
		"a second one beside base's": {"x\n", "x\nx\n", "x\n", true}, // theirs may have deleted the other
		"part of a line":             {"", "xy\n", "x\ny\n", false},
		"other line endings":         {"a\n", "a\r\nx\r\n", "a\nx", true},
		"only the endings changed":   {"a\nb\n", "a\r\nb\r\n", "", true},
		"a blank line":               {"a\n", "a\n\n", "a\n", false},
		"into an empty file":         {"", "x", "", false},
		"all empty":                  {"", "", "", true},
	} {
		if got := Kept([]byte(c.base), []byte(c.mine), []byte(c.result)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
