package workdir

import (
	"bytes"
	"encoding/json"
	"fmt"
	oldrand "math/rand"
	"slices"
	"strings"

	"satchel/notebook/notebooktest"
)

// Every line that the student writes has a token of its own, "mine000042;", each
// of their outputs one, "outs000042;", and each line of the course one too,
// "them000042;". The ledger counts lines and outputs; only lines stay in place.
func mineIn(text string) []string   { return tokensIn(text, "mine") }
func themIn(text string) []string   { return tokensIn(text, "them") }
func ledgerIn(text string) []string { return append(tokensIn(text, "mine"), tokensIn(text, "outs")...) }

func tokensIn(text, who string) (out []string) {
	for {
		at := strings.Index(text, who)
		if at < 0 || len(text) < at+11 {
			return out
		}
		if t := text[at : at+11]; t[10] == ';' && strings.Trim(t[4:10], "0123456789") == "" {
			out = append(out, t)
		}
		text = text[at+4:]
	}
}

func (m *model) token(who string) string {
	m.tokens++
	return fmt.Sprintf("%s%06d;", who, m.tokens)
}

func (m *model) n(n int) int             { return m.r.IntN(n) }
func (m *model) chance(percent int) bool { return m.r.IntN(100) < percent }

func pickOf[T any](m *model, of []T) T { return of[m.r.IntN(len(of))] }

// line is a new line of text.
func (m *model) line(who string) string {
	return m.token(who) + pickOf(m, []string{"", " x = 1", " # Exercise", " ñandú", "\ttab"})
}

// content is a new content of the course for a path.
func (m *model) content(p string) string {
	switch {
	case isNotebook(p):
		return m.notebook()
	case strings.HasSuffix(p, ".png"):
		return "\x89PNG\x00" + m.token("them") + strings.Repeat("\xff", m.n(40))
	case strings.HasSuffix(p, ".empty"):
		return ""
	}
	var b strings.Builder
	for range 3 + m.n(9) {
		b.WriteString(m.line("them") + "\n")
	}
	if m.chance(10) {
		return strings.TrimSuffix(b.String(), "\n")
	}
	if m.chance(5) {
		return strings.ReplaceAll(b.String(), "\n", "\r\n")
	}
	return b.String()
}

// changed is what somebody makes of a content.
func (m *model) changed(p, text, who string) string {
	switch {
	case isNotebook(p) && strings.HasPrefix(strings.TrimSpace(text), "{"):
		return m.changedNotebook(text, who)
	case isNotebook(p):
		return text + m.token(who)
	case strings.HasSuffix(p, ".png"):
		return text + m.token(who)
	}
	lines := strings.SplitAfter(text, "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool { return l == "" })
	for i := range 1 + m.n(3) {
		at := m.n(len(lines) + 1)
		switch k := m.n(4); {
		case at == len(lines) || k == 0 || i == 0 && !m.may(who, lines[at]):
			if at > 0 && !strings.HasSuffix(lines[at-1], "\n") {
				lines[at-1] += "\n"
			}
			lines = slices.Insert(lines, at, m.line(who)+"\n")
		case !m.may(who, lines[at]):
		case k == 1 && i > 0:
			lines = slices.Delete(lines, at, at+1)
		default:
			lines[at] = m.line(who) + "\n"
		}
	}
	return strings.Join(lines, "")
}

// may says whether a line is one that somebody would take away: a student
// keeps their own, for the test is about who else takes them.
func (m *model) may(who, line string) bool { return who != "mine" || len(mineIn(line)) == 0 }

// notebook is a new notebook of the course.
func (m *model) notebook() string {
	nb := string(notebooktest.Random(m.old(), m.n(6)))
	for range 1 + m.n(3) {
		nb = m.changedNotebook(nb, "them")
	}
	if m.chance(2) {
		return "<<<<<<< " + m.token("them") + nb // publish holds such a one back
	}
	return nb
}

// old gives a source of the kind that notebooktest takes.
func (m *model) old() *oldrand.Rand { return oldrand.New(oldrand.NewSource(m.r.Int64())) }

// changedNotebook adds a line or a cell, and sometimes changes more; the
// student keeps cells with lines of their own.
func (m *model) changedNotebook(text, who string) string {
	nb := parseNotebook(text)
	if nb == nil {
		return text + m.token(who)
	}
	if edited := string(notebooktest.Edit(m.old(), []byte(text))); m.chance(30) && keepsAll(text, edited) {
		if after := parseNotebook(edited); after != nil { // nil: NaN, which only Python reads
			nb = after
		}
	}
	cells, _ := nb["cells"].([]any)
	at := m.n(len(cells) + 1)
	if at == len(cells) || m.chance(30) {
		nb["cells"] = slices.Insert(cells, at, any(m.cell(nb, who)))
	} else {
		c, _ := cells[at].(map[string]any)
		c["source"] = m.changed("cell.txt", sourceOfCell(c), who)
	}
	return m.layout(nb)
}

func keepsAll(text, edited string) bool {
	have := ledgerIn(edited)
	return !slices.ContainsFunc(ledgerIn(text), func(t string) bool { return !slices.Contains(have, t) })
}

func (m *model) cell(nb map[string]any, who string) map[string]any {
	c := map[string]any{"cell_type": "code", "metadata": map[string]any{}, "source": m.line(who), "outputs": []any{}, "execution_count": nil}
	if m.chance(40) {
		c = map[string]any{"cell_type": "markdown", "metadata": map[string]any{}, "source": m.line(who)}
	}
	if minor, _ := nb["nbformat_minor"].(json.Number); minor != "" && minor >= "5" {
		c["id"] = fmt.Sprintf("%08x", m.r.Uint32())
	}
	return c
}

// ran is a notebook that the student ran: a count and an output in a code
// cell. Without one it is not to be had: "".
func (m *model) ran(text string) string {
	nb := parseNotebook(text)
	if nb == nil {
		return ""
	}
	for _, c := range nb["cells"].([]any) {
		if c := c.(map[string]any); c["cell_type"] == "code" {
			c["execution_count"] = 1 + m.n(9)
			c["outputs"] = []any{map[string]any{"output_type": "stream", "name": "stdout", "text": m.token("outs")}}
			return m.layout(nb)
		}
	}
	return ""
}

func parseNotebook(text string) (nb map[string]any) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if d.Decode(&nb) != nil || d.More() {
		return nil
	}
	if _, ok := nb["cells"].([]any); !ok {
		return nil
	}
	return nb
}

// layout writes a notebook as one tool or another does.
func (m *model) layout(nb map[string]any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", pickOf(m, []string{" ", " ", "  ", ""}))
	if err := e.Encode(nb); err != nil {
		m.fail("layout: %v", err)
	}
	return b.String()
}

func sourceOfCell(c map[string]any) string {
	switch s := c["source"].(type) {
	case string:
		return s
	case []any:
		var b strings.Builder
		for _, l := range s {
			t, _ := l.(string)
			b.WriteString(t)
		}
		return b.String()
	}
	return ""
}
