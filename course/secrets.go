package course

import (
	"bytes"
	"strings"
)

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

// formsByStart are the forms by their first two bytes.
var formsByStart = func() map[string][]secretForm {
	m := map[string][]secretForm{}
	for _, f := range secretForms {
		m[f.prefix[:2]] = append(m[f.prefix[:2]], f)
	}
	return m
}()

// secretAt says what begins at b[i] and how long it is; b[i-1] and b[i+1]
// exist.
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
	for _, f := range formsByStart[string(rest[:2])] {
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
