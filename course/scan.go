package course

import (
	"bytes"
	"fmt"
	"strings"
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
		s.secrets = append(s.secrets, Finding{Line: s.lineOf(i), Reason: fmt.Sprintf("holds %s; take it out, make it invalid, and hide such files", kind)})
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

// secretForm is a kind of secret that can be told by its beginning.
type secretForm struct {
	kind, prefix string
	alphabet     string // of what follows, beside letters and digits
	min, max     int    // characters that follow
}

var secretForms = []secretForm{
	{"an AWS key", "AKIA", "", 16, 16},
	{"an AWS key", "ASIA", "", 16, 16},
	{"a GitHub token", "ghp_", "", 36, 255},
	{"a GitHub token", "gho_", "", 36, 255},
	{"a GitHub token", "ghu_", "", 36, 255},
	{"a GitHub token", "ghs_", "", 36, 255},
	{"a GitHub token", "ghr_", "", 36, 255},
	{"a GitHub token", "github_pat_", "_", 50, 255},
	{"a GitLab token", "glpat-", "-_.", 20, 255},
	{"a GitLab token", "gldt-", "-_", 20, 255},
	{"a GitLab token", "glrt-", "-_.", 20, 255},
	{"a Slack token", "xoxb-", "-", 24, 255},
	{"a Slack token", "xoxp-", "-", 24, 255},
	{"a Slack token", "xoxa-", "-", 24, 255},
	{"a Slack token", "xoxr-", "-", 24, 255},
	{"a Slack token", "xoxs-", "-", 24, 255},
	{"a Google key", "AIza", "-_", 35, 35},
	{"a Stripe key", "sk_live_", "", 24, 255},
	{"an OpenAI key", "sk-proj-", "-_", 40, 255},
	{"an Anthropic key", "sk-ant-", "-_", 40, 255},
	{"a Hugging Face token", "hf_", "", 34, 40},
	{"an npm token", "npm_", "", 36, 36},
	{"a PyPI token", "pypi-AgEIcHlwaS5vcmc", "-_", 50, 255},
	{"a Docker token", "dckr_pat_", "-_", 27, 64},
	{"a private key", "AGE-SECRET-KEY-1", "", 58, 58},
}

const pemBegin = "-----BEGIN "

// secretStarts has a bit for each pair of bytes that a secret begins with, so
// that all other places cost one look.
var secretStarts = func() (bits [1 << 10]uint64) {
	set := func(prefix string) {
		pair := uint16(prefix[0])<<8 | uint16(prefix[1])
		bits[pair>>6] |= 1 << (pair & 63)
	}
	for _, f := range secretForms {
		set(f.prefix)
	}
	set(pemBegin)
	set(putty)
	return bits
}()

// secretAt says what begins at b[i] and how long it is; b[i-1] exists.
func secretAt(b []byte, i int) (kind string, length int) {
	rest := b[i:]
	if bytes.HasPrefix(rest, []byte(pemBegin)) {
		return privateKey(rest)
	}
	if n := len(putty); len(rest) > n+1 && string(rest[:n]) == putty && rest[n] >= '1' && rest[n] <= '9' && rest[n+1] == ':' {
		return "a private key", n
	}
	if isAlnum(b[i-1]) || b[i-1] == '_' {
		return "", 0
	}
	for _, f := range secretForms {
		if body, ok := bytes.CutPrefix(rest, []byte(f.prefix)); ok {
			n := f.length(body)
			if n >= f.min && n <= f.max && plausible(body[:n]) {
				return f.kind, len(f.prefix) + n
			}
		}
	}
	return "", 0
}

// length counts the characters that may belong to the secret.
func (f secretForm) length(body []byte) int {
	n := 0
	for n < len(body) && n <= f.max && (isAlnum(body[n]) || strings.IndexByte(f.alphabet, body[n]) >= 0) {
		n++
	}
	return n
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// plausible tells a secret from what stands for one in a text: xxxxxxxx,
// YOUR_TOKEN_HERE, AWS's own ...EXAMPLE.
func plausible(body []byte) bool {
	up := strings.ToUpper(string(body))
	if strings.Contains(up, "EXAMPLE") || strings.Contains(up, "YOUR") || strings.Contains(up, "XXXX") {
		return false
	}
	seen := map[byte]bool{}
	for _, c := range body {
		seen[c] = true
	}
	return len(seen) >= 8
}

const putty = "PuTTY-User-Key-File-"

// privateKey tells a PEM private key from a text about one: a line of base64
// must follow before the next dashes, perhaps as a line of a JSON text.
func privateKey(b []byte) (string, int) {
	b = b[:min(len(b), window)]
	kind, rest, ok := bytes.Cut(b[len(pemBegin):], []byte("-----"))
	if !ok || len(kind) > 60 || !bytes.HasSuffix(bytes.TrimSuffix(kind, []byte(" BLOCK")), []byte("PRIVATE KEY")) {
		return "", 0
	}
	body, _, _ := bytes.Cut(rest, []byte("-----"))
	run := 0
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case isAlnum(c) || c == '+' || c == '/':
			if run++; run == keyLine {
				return "a private key", len(b) - len(rest) + i
			}
		case c == '\\': // the letter after it is no base64
			i++
			run = 0
		default:
			run = 0
		}
	}
	return "", 0
}

// keyLine is the base64 that must stand in one piece; the first line of every
// key has more.
const keyLine = 40
