package notebook

import (
	"strings"
	"unicode"
)

// Place names a cell for a person.
type Place struct {
	Number int `json:"number"` // from 1
	// Title is the text of its first markdown heading, or its first line that
	// is not empty; at most 40 characters, the last one … where it was cut.
	Title string `json:"title,omitempty"`
}

const maxTitle = 40

func (c *slice) place(number int) Place { return Place{number, c.title()} }

func (c *slice) title() string {
	first := ""
	for line := range strings.Lines(c.source) {
		line = strings.TrimSpace(line)
		if first == "" {
			first = line
		}
		if c.kind != "markdown" {
			if first != "" {
				break
			}
			continue
		}
		if text, ok := heading(line); ok {
			return shorten(text)
		}
	}
	return shorten(first)
}

// heading gives the text of a markdown heading.
func heading(line string) (string, bool) {
	text := strings.TrimLeft(line, "#")
	level := len(line) - len(text)
	if level == 0 || level > 6 || text == "" || text[0] != ' ' && text[0] != '\t' {
		return "", false
	}
	text = strings.TrimSpace(text)
	if bare := strings.TrimRight(text, "#"); bare == "" || strings.HasSuffix(bare, " ") {
		text = strings.TrimSpace(bare)
	}
	return text, text != ""
}

// shorten cuts a text to maxTitle characters, not before a sign that belongs
// to the one before it.
func shorten(text string) string {
	runes := []rune(text[:min(len(text), 1000)])
	if len(runes) <= maxTitle {
		return strings.ToValidUTF8(string(runes), "\ufffd")
	}
	n := maxTitle - 1
	for n > 0 && joins(runes[n-1], runes[n]) {
		n--
	}
	if n == 0 {
		n = maxTitle - 1
	}
	return strings.TrimRight(string(runes[:n]), " ") + "…"
}

// joins says whether two signs are shown as one: accents, skin tones, and
// what a joiner joins.
func joins(before, after rune) bool {
	const joiner = 0x200d
	return unicode.Is(unicode.M, after) || before == joiner || after == joiner || after >= 0x1f3fb && after <= 0x1f3ff
}
