package course

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"satchel/bundle"
	"satchel/internal/strict"
)

// RulesFile is the instructor's file, at the top of the delivered folder.
const RulesFile = ".satchel.yaml"

// maxRulesSize bounds RulesFile, in bytes.
const maxRulesSize = 256 << 10

// Rules is what the instructor decided. The zero value is that of a course
// without RulesFile.
type Rules struct {
	Hide       []string     // patterns of .gitignore syntax: what never leaves the repository
	Policy     []PathPolicy // of those that name a path, the last one holds
	Message    string       // for the students, one line
	FolderName string       // the course's folder in a home; "" is the course's name
	Language   string       // of the sentences; "" is by LANG

	hide   Patterns
	policy Patterns // of Policy, one for each
}

// Languages are those that the student's sentences exist in.
var Languages = []string{"en", "es"}

// rulesText is RulesFile as it is written. The fields from Timezone on are
// read and checked, but nothing acts on them yet.
type rulesText struct {
	Hide       []strict.Text `yaml:"hide"`
	Message    strict.Text   `yaml:"message"`
	Policy     []policy      `yaml:"policy"`
	FolderName strict.Text   `yaml:"folder_name"`
	Language   strict.Text   `yaml:"language"`

	Timezone  strict.Text `yaml:"timezone"`
	Release   []release   `yaml:"release"`
	Hold      bool        `yaml:"hold"`
	Solutions strict.Text `yaml:"solutions"`
}

type release struct {
	Path   strict.Text `yaml:"path"`
	At     strict.Text `yaml:"at"`
	Groups []string    `yaml:"groups"`
	Users  []string    `yaml:"users"`
}

// otherWords are what people write instead of a key.
var otherWords = strict.Other{
	"ignore": "hide", "exclude": "hide", "hidden": "hide", "private": "hide",
	"name": "folder_name", "folder": "folder_name", "lang": "language",
	"releases": "release", "dates": "release", "policies": "policy",
	"msg": "message", "text": "message", "announcement": "message", "tz": "timezone",
	"date": "at", "when": "at", "file": "path", "policy": "is",
}

// ParseRules reads RulesFile. Its error is strict.Problems: all mistakes, each
// with its line, in words for people who are no programmers. Whoever gets one
// publishes nothing; the last good version stays.
func ParseRules(data []byte) (*Rules, error) {
	node, ps := strict.Parse(data, maxRulesSize)
	if ps != nil {
		return nil, ps
	}
	if node != nil && node.Kind != yaml.MappingNode {
		return nil, strict.Problems{{Line: node.Line, Reason: "lines such as \"hide: [drafts/]\" are expected here"}}
	}
	var text rulesText
	ps = strict.Decode(withoutMisshapen(node), &text, otherWords)
	rules, more := text.rules()
	ps = append(ps, more...)
	ps = append(ps, text.policies(node, rules)...)
	ps = append(ps, text.unsupported(node)...)
	ps.Sort()
	if len(ps) > 0 {
		return nil, ps
	}
	return rules, nil
}

func (t *rulesText) rules() (*Rules, strict.Problems) {
	r := &Rules{
		Message:    strings.TrimSpace(t.Message.Value),
		FolderName: t.FolderName.Value,
		Language:   t.Language.Value,
	}
	var ps strict.Problems
	check := func(at strict.Text, field string, err error) {
		if err != nil {
			ps = append(ps, strict.Problem{Line: at.Line, Field: field, Reason: err.Error()})
		}
	}
	if len(t.Hide) > maxPatterns {
		check(t.Hide[0], "hide", tooMany(len(t.Hide)))
		t.Hide = t.Hide[:maxPatterns]
	}
	for _, h := range t.Hide {
		p, err := parsePattern(h.Value)
		p.line = h.Line
		if h.Line > 0 { // else the entry itself was refused already
			check(h, "hide", err)
		}
		r.Hide, r.hide = append(r.Hide, h.Value), append(r.hide, p)
	}
	check(t.Message, "message", checkMessage(r.Message))
	check(t.FolderName, "folder_name", checkFolderName(r.FolderName))
	if r.Language != "" && !slices.Contains(Languages, r.Language) {
		check(t.Language, "language", fmt.Errorf("%q is not known; known are %s", strict.Cut(r.Language), strings.Join(Languages, ", ")))
	}
	return r, ps
}

func tooMany(n int) error {
	return fmt.Errorf("%d patterns; at most %d. Put what belongs together into one folder", n, maxPatterns)
}

func checkMessage(m string) error {
	switch {
	case utf8.RuneCountInString(m) > bundle.MaxMessage:
		return fmt.Errorf("longer than %d characters", bundle.MaxMessage)
	case strings.ContainsAny(m, "\r\n"):
		return errors.New("must be one line")
	}
	return nil
}

func checkFolderName(name string) error {
	if name == "" {
		return nil
	}
	err := bundle.CheckFolder(name)
	switch {
	case err != nil:
		return fmt.Errorf("%w; write one plain name such as scala", err)
	case strings.TrimSpace(name) != name:
		return errors.New("begins or ends with a blank")
	}
	return nil
}
