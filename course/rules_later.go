package course

import (
	"errors"
	"fmt"
	"slices"
	"time"
	_ "time/tzdata" // dates are checked on machines without a time zone database, too

	"go.yaml.in/yaml/v3"

	"satchel/internal/strict"
)

// notYet says, for each key that nothing acts on yet, what to do meanwhile.
var notYet = []struct{ key, meanwhile string }{
	{"timezone", "it is only needed for release dates; take the line out"},
	{"release", "take it out, and put what is not due yet under hide, or on another branch, until its day"},
	{"hold", "take it out; to publish later, work on another branch and merge it when it is due"},
	{"solutions", "take it out; until then keep solutions in files of their own and put those under hide"},
}

// withoutMisshapen leaves out keys that are not supported yet whose value is
// not even of the right kind: it would help nobody to mend that first.
func withoutMisshapen(node *yaml.Node) *yaml.Node {
	if node == nil {
		return nil
	}
	n := *node
	n.Content = nil
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		kind := yaml.ScalarNode
		switch key.Value {
		case "release":
			kind = yaml.SequenceNode
		case "timezone", "hold", "solutions":
		default:
			kind = value.Kind
		}
		if value.Kind == kind {
			n.Content = append(n.Content, key, value)
		}
	}
	return &n
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
		if r.Path.Line+r.At.Line == 0 && entry(node, "release", i).Kind != yaml.MappingNode {
			continue // told already
		}
		path := orLine(r.Path, strict.Line(entry(node, "release", i), "at"), node, "release")
		add(path, "release: path", checkRulePath(r.Path.Value))
		add(orLine(r.At, path.Line, node, "release"), "release: at", checkDate(r.At.Value, t.Timezone.Value != ""))
	}
	if s := t.Solutions; s.Line > 0 && !slices.Contains([]string{"withhold", "strip", "allow"}, s.Value) {
		add(s, "solutions", fmt.Errorf("%q is not known; known are withhold, strip, allow", strict.Cut(s.Value)))
	}
	return ps
}

// entry is the i-th entry of the list under key, which Decode has read.
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
