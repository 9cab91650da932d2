package course

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"satchel/bundle"
	"satchel/internal/strict"
)

// PathPolicy says what is done where a student changed a file that Path names.
type PathPolicy struct {
	Path string // a pattern of .gitignore syntax
	Is   bundle.Policy
}

type policy struct {
	Path strict.Text `yaml:"path"`
	Is   strict.Text `yaml:"is"`
}

// policies reads the list under policy into r. node is RulesFile: it has the
// lines of entries that lack a value.
func (t *rulesText) policies(node *yaml.Node, r *Rules) (ps strict.Problems) {
	add := func(at strict.Text, field string, err error) {
		if err != nil {
			ps = append(ps, strict.Problem{Line: at.Line, Field: field, Reason: err.Error()})
		}
	}
	if len(t.Policy) > maxPatterns {
		add(strict.Text{Line: strict.Line(node, "policy")}, "policy", tooMany(len(t.Policy)))
		t.Policy = t.Policy[:maxPatterns]
	}
	for i, rule := range t.Policy {
		if rule.Path.Line+rule.Is.Line == 0 && entry(node, "policy", i).Kind != yaml.MappingNode {
			continue // told already
		}
		path := orLine(rule.Path, rule.Is.Line, node, "policy")
		add(path, "policy: path", checkPolicyPath(rule.Path.Value))
		add(orLine(rule.Is, path.Line, node, "policy"), "policy: is", checkPolicy(rule.Is.Value))
		p, _ := parsePattern(rule.Path.Value)
		p.line = path.Line
		r.Policy, r.policy = append(r.Policy, PathPolicy{rule.Path.Value, bundle.Policy(rule.Is.Value)}), append(r.policy, p)
	}
	return ps
}

// policyOf is what the i-th rule says; without one it is Merge.
func (r *Rules) policyOf(i int) bundle.Policy {
	if i < 0 {
		return bundle.Merge
	}
	return r.Policy[i].Is
}

// checkPolicyPath refuses a negated pattern, which in a list of rules would
// say nothing.
func checkPolicyPath(p string) error {
	if err := checkRulePath(p); err != nil {
		return err
	}
	if rest, negated := strings.CutPrefix(p, "!"); negated {
		return fmt.Errorf("%.60q: no ! here; for an exception write a later rule, for example {path: %.60q, is: merge}", p, rest)
	}
	return nil
}

func checkPolicy(is string) error {
	if bundle.Policy(is).Known() {
		return nil
	}
	known := []string{string(bundle.Merge), string(bundle.Once), string(bundle.Replace), string(bundle.ReadOnly)}
	list := strings.Join(known, ", ")
	if is == "" {
		return errors.New("missing; write one of " + list)
	}
	if near := strict.Nearest(is, known); near != "" {
		return fmt.Errorf("%q is not known; did you mean %q?", strict.Cut(is), near)
	}
	return fmt.Errorf("%q is not known; known are %s", strict.Cut(is), list)
}
