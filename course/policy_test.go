package course

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"satchel/bundle"
)

func policiesOf(t *testing.T, tree fstest.MapFS, memo Memo) (map[string]bundle.Policy, *Selection) {
	t.Helper()
	s, err := Select(context.Background(), tree, memo)
	if err != nil || len(s.Stops) > 0 {
		t.Fatal(err, s)
	}
	out := map[string]bundle.Policy{}
	for _, f := range s.Files {
		out[f.Path] = f.Policy
	}
	return out, s
}

func TestPolicyRules(t *testing.T) {
	r, err := ParseRules([]byte("policy:\n  - {path: data/, is: readonly}\n  - path: diary.md\n    is: once\n"))
	if err != nil || !slices.Equal(r.Policy, []PathPolicy{{"data/", bundle.ReadOnly}, {"diary.md", bundle.Once}}) {
		t.Errorf("%+v, %v", r, err)
	}
	for _, nothing := range []string{"policy:\n", "policy: []\n"} {
		if r, err := ParseRules([]byte(nothing)); err != nil || len(r.Policy) > 0 {
			t.Errorf("%q: %+v, %v", nothing, r, err)
		}
	}
}

// TestOnePolicyRule: a rule names exactly what git would ignore by its
// pattern, in the folder or below.
func TestOnePolicyRule(t *testing.T) {
	for _, c := range []struct{ path, named string }{
		{"data", "data/a.csv data/raw/b.csv x/data/c.csv"},
		{"data/", "data/a.csv data/raw/b.csv x/data/c.csv"},
		{"/data", "data/a.csv data/raw/b.csv"},
		{"x/data", "x/data/c.csv"},
		{"data/*", "data/a.csv data/raw/b.csv"},
		{"data/*.csv", "data/a.csv"},
		{"data/**/*.csv", "data/a.csv data/raw/b.csv"},
		{"*.md", "diary.md x/notes.md"},
		{"/*.md", "diary.md"},
		{"notes.md/", ""},
		{"a.csv", "data/a.csv"},
		{"*", "data/a.csv data/raw/b.csv diary.md x/data/c.csv x/notes.md"},
	} {
		tree := fstest.MapFS{RulesFile: {Data: []byte("policy: [{path: \"" + c.path + "\", is: once}]")}}
		for _, p := range []string{"data/a.csv", "data/raw/b.csv", "diary.md", "x/data/c.csv", "x/notes.md"} {
			tree[p] = &fstest.MapFile{Data: []byte(p)}
		}
		got, _ := policiesOf(t, tree, nil)
		var named []string
		for p, is := range got {
			if is == bundle.Once {
				named = append(named, p)
			} else if is != bundle.Merge {
				t.Errorf("%s: %s is %q", c.path, p, is)
			}
		}
		slices.Sort(named)
		if strings.Join(named, " ") != c.named {
			t.Errorf("%s names %q, not %q", c.path, named, c.named)
		}
	}
}

// TestLastPolicyHolds: for lists made up at random, what the walk decides on
// its way is the last rule whose pattern would ignore the file.
func TestLastPolicyHolds(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	known := []bundle.Policy{bundle.Merge, bundle.Once, bundle.Replace, bundle.ReadOnly}
	tree := fstest.MapFS{}
	for _, a := range []string{"a", "b", "ab"} {
		for _, b := range []string{"a", "b", "c/a", "c/ab"} {
			tree[a+"/"+b] = &fstest.MapFile{Data: []byte(a + b)}
		}
	}
	for round := range 300 {
		var ps Patterns
		var is []bundle.Policy
		text := "policy:\n"
		for range 1 + rnd.IntN(6) {
			line := pick("", "/", "**/", "*/") + pick("a", "b", "ab", "c", "*", "a*", "?", "[ab]") + pick("", "", "/", "/*", "/**", "/a", "/c/", "/**/a")
			p, err := parsePattern(line)
			if err != nil {
				continue
			}
			ps, is = append(ps, p), append(is, known[rnd.IntN(len(known))])
			text += fmt.Sprintf("  - {path: %q, is: %s}\n", line, is[len(is)-1])
		}
		tree[RulesFile] = &fstest.MapFile{Data: []byte(text)}
		got, _ := policiesOf(t, tree, nil)
		if len(got) != len(tree)-1 {
			t.Fatalf("%d files of %d", len(got), len(tree)-1)
		}
		for path, policy := range got {
			want := bundle.Merge
			for i := range ps {
				if ps[i:i+1].Hidden(path, false) {
					want = is[i]
				}
			}
			if policy != want {
				t.Fatalf("round %d, seed %d: %s is %s, not %s, by\n%s", round, seed, path, policy, want, text)
			}
		}
	}
}

// TestPolicyAloneReadsNoContent: other rules for the same files cost no look
// into them, and change nothing else.
func TestPolicyAloneReadsNoContent(t *testing.T) {
	tree := fstest.MapFS{}
	for i := range 50 {
		tree[fmt.Sprintf("data/%d.csv", i)] = &fstest.MapFile{Data: []byte(fmt.Sprint(i)), Sys: fmt.Sprint(i)}
	}
	memo, err := OpenMemo(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pass := func(rules string) (*Selection, map[string]int) {
		opened := map[string]int{}
		tree[RulesFile] = &fstest.MapFile{Data: []byte(rules), Sys: rules}
		s, err := Select(context.Background(), countingFS{tree, opened, new(int)}, memo)
		if err != nil || len(s.Files) != 50 || len(s.Notes()) > 0 {
			t.Fatal(err, s)
		}
		delete(opened, RulesFile)
		return s, opened
	}
	before, _ := pass("message: x")
	after, opened := pass("policy: [{path: data/, is: readonly}]")
	if len(opened) > 0 {
		t.Errorf("%d contents were read for a policy", len(opened))
	}
	for i, f := range after.Files {
		was := before.Files[i]
		if was.Policy != bundle.Merge || f.Policy != bundle.ReadOnly {
			t.Fatalf("%+v became %+v", was, f)
		}
		if was.Policy = f.Policy; was != f {
			t.Errorf("%+v became %+v", was, f)
		}
	}
}
