package bundle

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// tree0 makes a manifest of "path=content" words.
func tree0(words string) *Manifest {
	var files []File
	for w := range strings.FieldsSeq(words) {
		path, content, _ := strings.Cut(w, "=")
		files = append(files, plainFile(path, content))
	}
	return manifestOf(files...)
}

// hintsOf are the renames that c marks, as "new<old" words in order.
func hintsOf(c Changes) string {
	var out []string
	for _, ch := range c.Set {
		if ch.RenamedFrom != "" {
			out = append(out, ch.Path+"<"+ch.RenamedFrom)
		}
	}
	return strings.Join(out, " ")
}

func renamesOf(words string) map[string]string {
	out := map[string]string{}
	for w := range strings.FieldsSeq(words) {
		now, was, _ := strings.Cut(w, "<")
		out[now] = was
	}
	return out
}

func TestHint(t *testing.T) {
	for name, c := range map[string]struct{ from, to, renamed, want string }{
		"content alone":                 {"a=1", "b=1", "", "b<a"},
		"content changed":               {"a=1", "b=2", "b<a", "b<a"},
		"without a hint":                {"a=1", "b=2", "", ""},
		"equal content comes first":     {"a=1", "b=2 c=1", "b<a", "c<a"},
		"and its path is used once":     {"a=1 x=1", "b=2 c=1", "b<x", "b<x c<a"},
		"equal contents in order":       {"a/1=x a/2=x a/3=x", "b/1=x b/2=x b/3=x", "", "b/1<a/1 b/2<a/2 b/3<a/3"},
		"more new than old ones":        {"a=x", "b=x c=x", "", "b<a"},
		"one old path for two":          {"a=1", "b=2 c=3", "b<a c<a", "b<a"},
		"the old path is still there":   {"a=1", "a=1 b=2", "b<a", ""},
		"the old path never was":        {"a=1", "b=2", "b<x", ""},
		"the new path was there before": {"a=1 b=1", "b=2", "b<a", ""},
		"the new path is not there":     {"a=1", "b=2", "c<a", ""},
		"from itself":                   {"a=1", "a=2", "a<a", ""},
		"from nothing":                  {"", "b=2", "b<a", ""},
		"an empty name":                 {"a=1", "b=2", "b<", ""},
	} {
		from, to := tree0(c.from), tree0(c.to)
		ch := Diff(from, to)
		ch.Hint(from, renamesOf(c.renamed))
		if got := hintsOf(ch); got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
		if m, err := from.Apply(ch); err != nil || m.Digest() != to.Digest() {
			t.Errorf("%s: hints changed what comes out: %v", name, err)
		}
	}
	c := Diff(nil, tree0("b=1"))
	if c.Hint(nil, renamesOf("b<a")); hintsOf(c) != "" {
		t.Errorf("from no manifest: %q", hintsOf(c))
	}
}

// TestRenames: what several steps know, told for all of them at once.
func TestRenames(t *testing.T) {
	for name, c := range map[string]struct {
		trees []string // the base, and after each step
		hints []string // that the publisher gave for each step
		want  string   // marked from the base to the last
	}{
		"renamed, then changed":            {[]string{"a=1", "b=2", "b=3"}, []string{"b<a", ""}, "b<a"},
		"moved as it was, then changed":    {[]string{"a=1", "b=1", "b=3"}, []string{"", ""}, "b<a"},
		"changed, then renamed":            {[]string{"a=1", "a=2", "b=3"}, []string{"", "b<a"}, "b<a"},
		"renamed twice":                    {[]string{"a=1", "b=2", "c=3"}, []string{"b<a", "c<b"}, "c<a"},
		"renamed there and back":           {[]string{"a=1", "b=2", "a=3"}, []string{"b<a", "a<b"}, ""},
		"back, and away again":             {[]string{"a=1", "b=2", "a=3", "c=4"}, []string{"b<a", "a<b", "c<a"}, "c<a"},
		"renamed, then gone":               {[]string{"a=1 x=x", "b=2 x=x", "x=x"}, []string{"b<a", ""}, ""},
		"gone, and another of that name":   {[]string{"a=1 x=x", "b=2 x=x", "x=x", "b=9 x=x"}, []string{"b<a", "", ""}, ""},
		"renamed, another took the name":   {[]string{"a=1", "b=2", "b=9 c=3"}, []string{"b<a", ""}, "b<a"},
		"twice, another took the middle":   {[]string{"a=1", "b=2", "c=3", "b=9 c=3"}, []string{"b<a", "c<b", ""}, "c<a"},
		"another took the first name":      {[]string{"a=1", "b=2", "a=9 b=2"}, []string{"b<a", ""}, ""},
		"the one that took it was renamed": {[]string{"a=1 x=x", "x=x", "a=9 x=x", "b=8 x=x"}, []string{"", "", "b<a"}, ""},
		"new since the base, then renamed": {[]string{"x=x", "a=1 x=x", "b=2 x=x"}, []string{"", "b<a"}, ""},
		"two change places over a third":   {[]string{"a=1 b=2", "b=2 t=3", "a=4 t=3", "a=4 b=5"}, []string{"t<a", "a<b", "b<t"}, ""},
		"a chain moves up in one step":     {[]string{"a=1 b=2", "b=3 c=4", "c=5 d=6"}, []string{"c<a", "d<b"}, "c<a d<b"},
	} {
		steps := chainOf(c.trees, c.hints)
		base, last := tree0(c.trees[0]), tree0(c.trees[len(c.trees)-1])
		ch := Diff(base, last)
		ch.Hint(base, Renames(base, steps...))
		if got := hintsOf(ch); got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
}

func chainOf(trees, hints []string) (steps []*Index) {
	for i, h := range hints {
		from := tree0(trees[i])
		c := Diff(from, tree0(trees[i+1]))
		c.Hint(from, renamesOf(h))
		steps = append(steps, &Index{Changes: c})
	}
	return steps
}

// TestRenamesFollowFiles: whatever a publisher does in any number of steps, a
// path's name in the base is the one that the very same file had there.
func TestRenamesFollowFiles(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e"}
	rapid.Check(t, func(t *rapid.T) {
		next := 0
		files := map[string]int{} // path → which file it is
		fresh := func() int { next++; return next }
		for _, n := range names[:rapid.IntRange(0, 4).Draw(t, "files")] {
			files[n] = fresh()
		}
		edition := 0
		manifest := func() *Manifest {
			var list []File
			for p, id := range files {
				list = append(list, plainFile(p, fmt.Sprint(id, " ", edition)))
			}
			return manifestOf(list...)
		}
		first, base, before := maps.Clone(files), manifest(), manifest()
		var steps []*Index
		for range rapid.IntRange(0, 6).Draw(t, "steps") {
			was, now, hints := maps.Clone(files), map[string]int{}, map[string]string{}
			edition++
			for _, p := range names { // each file stays, goes, or takes a name that was free
				id, ok := was[p]
				if !ok {
					continue
				}
				to := rapid.SampledFrom(append(names, p, p, "")).Draw(t, "to")
				_, had := was[to]
				_, taken := now[to]
				switch {
				case to == "" || to != p && (had || taken):
				case to != p:
					hints[to] = p
					fallthrough
				default:
					now[to] = id
				}
			}
			for _, p := range names {
				if _, taken := now[p]; !taken && rapid.IntRange(0, 3).Draw(t, "new") == 0 {
					if _, had := was[p]; !had { // in its place it would be a change
						now[p] = fresh()
					}
				}
			}
			files = now
			m := manifest()
			c := Diff(before, m)
			c.Hint(before, hints)
			steps, before = append(steps, &Index{Changes: c}), m
		}
		want := map[string]string{}
		for p, id := range files {
			for q, old := range first {
				if old == id && p != q {
					want[p] = q
				}
			}
		}
		if got := Renames(base, steps...); !maps.Equal(got, want) {
			t.Fatalf("%v, not %v", got, want)
		}
	})
}

// TestRenamesOfHostileSteps: hints that no publisher gives neither hang nor
// use an old path twice.
func TestRenamesOfHostileSteps(t *testing.T) {
	base := tree0("a=1 b=2")
	x := &Index{Changes: Changes{Removed: []string{"a", "a", "zz", ""}, Set: []Change{
		{File: plainFile("c", "1"), RenamedFrom: "a"}, {File: plainFile("d", "1"), RenamedFrom: "a"},
		{File: plainFile("e", "1"), RenamedFrom: "e"}, {File: plainFile("f", "1"), RenamedFrom: nowhere},
		{File: plainFile("g", "1"), RenamedFrom: "h"}, {File: plainFile("h", "1"), RenamedFrom: "g"},
	}}}
	to := tree0("c=9 d=9 e=9 f=9 g=9 h=9 b=2")
	c := Diff(base, to)
	c.Hint(base, Renames(base, x, x))
	if got := hintsOf(c); got != "c<a" {
		t.Errorf("%q", got)
	}
}

// TestManyEqualFilesAreQuicklyPaired: 50,000 files of one content change
// their folder.
func TestManyEqualFilesAreQuicklyPaired(t *testing.T) {
	var one, two []File
	for i := range MaxFiles {
		one = append(one, plainFile(fmt.Sprintf("a/%05d", i), ""))
		two = append(two, plainFile(fmt.Sprintf("b/%05d", i), ""))
	}
	began := time.Now()
	c := Diff(manifestOf(one...), manifestOf(two...))
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if len(c.Set) != MaxFiles || c.Set[777].RenamedFrom != "a/00777" {
		t.Errorf("%d changes, %+v", len(c.Set), c.Set[777])
	}
}

func TestBuildTakesHints(t *testing.T) {
	files := tree{"new.md": "one\ntwo\n"}
	m := manifestOf(plainFile("new.md", "one\ntwo\n"))
	base := manifestOf(plainFile("old.md", "one\n"))
	b, _ := build(t, Spec{Course: "c", Channel: "1", From: 1, To: 2, Base: base, Manifest: m, Renamed: map[string]string{"new.md": "old.md"}}, files.fs())
	if got := hintsOf(b.Index.Changes); got != "new.md<old.md" {
		t.Errorf("%q", got)
	}
}
