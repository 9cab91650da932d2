package notebook

import (
	"strings"

	"satchel/internal/lines"
)

// maxMerged is how much source that both sides changed is merged by line in
// one notebook, in bytes: it bounds the time (some seconds at worst). Beyond
// it mine stands, as where both changed the same lines.
const maxMerged = 1 << 20

// mergeSource merges a source by line; all have LF. Not ok: both changed the
// same lines, and mine stands as it is.
func (m *merger) mergeSource(base, mine, theirs string) (merged string, ok bool) {
	switch {
	case theirs == base || theirs == mine:
		return mine, true
	case mine == base:
		return theirs, true
	}
	m.left -= max(len(base), len(mine), len(theirs))
	if m.left < 0 {
		return mine, false
	}
	out := lines.Merge([]byte(base), []byte(mine), []byte(theirs))
	if out.Clash > 0 || !lines.Kept([]byte(base), []byte(mine), out.Text) {
		return mine, false
	}
	return string(out.Text), true
}

// withEnds gives a source its CR LF back.
func withEnds(source string, crlf bool) string {
	if !crlf {
		return source
	}
	return strings.ReplaceAll(source, "\n", "\r\n")
}
