package course

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // dates are checked on machines without a time zone database, too
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
	Hide       []string // patterns of .gitignore syntax: what never leaves the repository
	Message    string   // for the students, one line
	FolderName string   // the course's folder in a home; "" is the course's name
	Language   string   // of the sentences; "" is by LANG

	hide Patterns
}

// Languages are those that the student's sentences exist in.
var Languages = []string{"en", "es"}

// rulesText is RulesFile as it is written. The fields from Timezone on are
// read and checked, but nothing acts on them yet.
type rulesText struct {
	Hide       []strict.Text `yaml:"hide"`
	Message    strict.Text   `yaml:"message"`
	FolderName strict.Text   `yaml:"folder_name"`
	Language   strict.Text   `yaml:"language"`

	Timezone  strict.Text `yaml:"timezone"`
	Release   []release   `yaml:"release"`
	Policy    []policy    `yaml:"policy"`
	Hold      bool        `yaml:"hold"`
	Solutions strict.Text `yaml:"solutions"`
}

type release struct {
	Path   strict.Text `yaml:"path"`
	At     strict.Text `yaml:"at"`
	Groups []string    `yaml:"groups"`
	Users  []string    `yaml:"users"`
}

type policy struct {
	Path strict.Text `yaml:"path"`
	Is   strict.Text `yaml:"is"`
}

// otherWords are what people write instead of a key.
var otherWords = strict.Other{
	"ignore": "hide", "exclude": "hide", "hidden": "hide", "private": "hide",
	"name": "folder_name", "folder": "folder_name", "lang": "language",
	"releases": "release", "dates": "release", "policies": "policy",
	"msg": "message", "text": "message", "announcement": "message", "tz": "timezone",
	"date": "at", "when": "at", "file": "path", "policy": "is",
}

// notYet says, for each key that nothing acts on yet, what to do meanwhile.
var notYet = []struct{ key, meanwhile string }{
	{"timezone", "it is only needed for release dates; take the line out"},
	{"release", "take it out, and put what is not due yet under hide, or on another branch, until its day"},
	{"policy", "take it out; until then a student's changes are always kept and the course's are added"},
	{"hold", "take it out; to publish later, work on another branch and merge it when it is due"},
	{"solutions", "take it out; until then keep solutions in files of their own and put those under hide"},
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
	ps = strict.Decode(node, &text, otherWords)
	rules, more := text.rules()
	ps = append(append(ps, more...), text.unsupported(node)...)
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
		ps = append(ps, strict.Problem{Line: t.Hide[0].Line, Field: "hide", Reason: fmt.Sprintf("%d patterns; at most %d. Put what belongs together into one folder", len(t.Hide), maxPatterns)})
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
	case strings.EqualFold(name, "What is new.md"):
		return errors.New("that name is taken by Satchel's own file")
	}
	return nil
}

// unsupported checks what is not acted on yet, so that a mistake in it is
// told, and refuses it: a date that is read and not kept would release.
func (t *rulesText) unsupported(node *yaml.Node) (ps strict.Problems) {
	for _, key := range notYet {
		if line := strict.Line(node, key.key); line > 0 {
			ps = append(ps, strict.Problem{Line: line, Field: key.key, Reason: "not supported yet; " + key.meanwhile})
		}
	}
	add := func(at strict.Text, field string, err error) {
		if err != nil {
			ps = append(ps, strict.Problem{Line: at.Line, Field: field, Reason: err.Error()})
		}
	}
	if t.Timezone.Line > 0 {
		add(t.Timezone, "timezone", checkTimezone(t.Timezone.Value))
	}
	for i, r := range t.Release {
		path := orLine(r.Path, strict.Line(entry(node, "release", i), "at"), node, "release")
		add(path, "release: path", checkRulePath(r.Path.Value))
		add(orLine(r.At, path.Line, node, "release"), "release: at", checkDate(r.At.Value, t.Timezone.Value != ""))
	}
	for _, p := range t.Policy {
		path := orLine(p.Path, p.Is.Line, node, "policy")
		add(path, "policy: path", checkRulePath(p.Path.Value))
		add(orLine(p.Is, path.Line, node, "policy"), "policy: is", checkPolicy(p.Is.Value))
	}
	if s := t.Solutions; s.Line > 0 && !slices.Contains([]string{"withhold", "strip", "allow"}, s.Value) {
		add(s, "solutions", fmt.Errorf("%q is not known; known are withhold, strip, allow", strict.Cut(s.Value)))
	}
	return ps
}

// entry is the i-th entry of the list under key.
func entry(node *yaml.Node, key string, i int) *yaml.Node {
	for k := 0; k+1 < len(node.Content); k += 2 {
		if node.Content[k].Value == key && i < len(node.Content[k+1].Content) {
			return node.Content[k+1].Content[i]
		}
	}
	return nil
}

// orLine gives t a line where it has none: its value is missing.
func orLine(t strict.Text, line int, node *yaml.Node, key string) strict.Text {
	if t.Line == 0 {
		t.Line = line
	}
	if t.Line == 0 {
		t.Line = strict.Line(node, key)
	}
	return t
}

func checkTimezone(name string) error {
	if name == "" || name == "Local" {
		return errors.New("missing; write for example Europe/Madrid")
	}
	if _, err := time.LoadLocation(name); err != nil {
		return fmt.Errorf("%q is not known; write for example Europe/Madrid", strict.Cut(name))
	}
	return nil
}

func checkRulePath(p string) error {
	if p == "" {
		return errors.New("missing; write a file or a folder, for example hw1/")
	}
	_, err := parsePattern(p)
	return err
}

// checkDate reads a date as people write it; without an offset it needs the
// time zone.
func checkDate(s string, zone bool) error {
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04Z07:00", "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04Z07:00", "2006-01-02 15:04 Z07:00"} {
		if _, err := time.Parse(layout, s); err == nil {
			return nil
		}
	}
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if _, err := time.Parse(layout, s); err == nil {
			if !zone {
				return errors.New("has no time zone; write timezone: Europe/Madrid (or yours) at the top")
			}
			return nil
		}
	}
	if s == "" {
		return errors.New("missing; write for example 2026-03-02 09:00")
	}
	return fmt.Errorf("%q is no date with a time; write for example 2026-03-02 09:00", strict.Cut(s))
}

func checkPolicy(is string) error {
	if bundle.Policy(is).Known() {
		return nil
	}
	known := []string{"merge", "once", "replace", "readonly"}
	if near := strict.Nearest(is, known); near != "" {
		return fmt.Errorf("%q is not known; did you mean %q?", strict.Cut(is), near)
	}
	return fmt.Errorf("%q is not known; known are %s", strict.Cut(is), strings.Join(known, ", "))
}
