package syncer

import (
	"strings"
	"testing"

	"satchel/bundle"
)

// newest gives the manifest of the one channel, and the changes of the bundle
// that led to it.
func (s *site) newest(y *Syncer) (map[string]bundle.Policy, *bundle.Index) {
	s.t.Helper()
	ch := s.view().record.Channels[0] // view checks that the bundles lead to the head's manifest
	x, err := readIndex(s.t.Context(), s.st, "scala101", ch.ID, ch.Bundles[len(ch.Bundles)-1])
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]bundle.Policy{}
	for _, f := range y.known["scala101"].former[ch.ID].manifest.Files {
		out[f.Path] = f.Policy
	}
	return out, x
}

// TestPoliciesAreInTheManifest: from the instructor's file to the signed
// manifest, and a change of policy alone is a version of its own, which sends
// no content again.
func TestPoliciesAreInTheManifest(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	content := files{"data/a.csv": "a,b\n", "data/own/b.csv": "b\n", "diary.md": "Dear diary\n", "lab.ipynb": lesson("1"), "slides/1.md": "one\n"}
	with := func(rules string) files {
		all := files{".satchel.yaml": rules}
		for p, text := range content {
			all[p] = text
		}
		return all
	}
	want := func(policies map[string]bundle.Policy) *bundle.Index {
		t.Helper()
		got, x := s.newest(y)
		for p := range content {
			if is := policies[p]; got[p] != is && (is != "" || got[p] != bundle.Merge) {
				t.Errorf("%s is %q, not %q", p, got[p], is)
			}
		}
		return x
	}
	all := map[string]bundle.Policy{"data/a.csv": bundle.ReadOnly, "diary.md": bundle.Once, "slides/1.md": bundle.Replace}
	s.repo.commit(with("policy:\n- {path: data/, is: readonly}\n- {path: data/own/, is: merge}\n- {path: diary.md, is: once}\n- {path: slides/, is: replace}\n"))
	if out := s.sync(y); out.Version != 1 || len(out.Notes) > 0 {
		t.Errorf("outcome %+v", out)
	}
	want(all)

	tip := s.repo.commit(with("policy:\n- {path: diary.md, is: once}\n- {path: slides/, is: replace}\n- {path: data/a.csv, is: readonly}\n"))
	if out := s.sync(y); out.Published || out.Commit != tip {
		t.Errorf("the same policies by other rules: %+v", out)
	}

	s.repo.commit(with("policy: [{path: data/, is: once}, {path: diary.md, is: once}]\n"))
	out := s.sync(y)
	if !out.Published || out.Version != 2 || out.Changed != 3 || out.Added+out.Removed > 0 {
		t.Errorf("only policies changed: %+v", out)
	}
	x := want(map[string]bundle.Policy{"data/a.csv": bundle.Once, "data/own/b.csv": bundle.Once, "diary.md": bundle.Once})
	if len(x.Changes.Set) != 3 || len(x.Changes.Removed)+len(x.Frames)+len(x.Former) > 0 {
		t.Errorf("the step is %+v", x)
	}
	for _, c := range x.Changes.Set {
		if c.RenamedFrom != "" || c.Path == "slides/1.md" && c.Policy != bundle.Merge || c.Path != "slides/1.md" && c.Policy != bundle.Once {
			t.Errorf("change %+v", c)
		}
	}
	s.want(2, content)
	if v := s.view(); len(v.history.At("data/a.csv")) != 1 {
		t.Errorf("a policy made a former content: %+v", v.history.At("data/a.csv"))
	}
	// Another syncer, which composes from the store, finds nothing to do.
	z := s.syncer()
	if out := s.sync(z, Request{Who: "ana"}); out.Published {
		t.Errorf("published again: %+v", out)
	}
}

func TestPolicyMistakeStopsAndUnusedPolicyWarns(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(files{"data/a": "1", ".satchel.yaml": "policy:\n- {path: date/, is: once}\n"})
	out := s.sync(y)
	if len(out.Notes) != 1 || !strings.Contains(out.Notes[0], `.satchel.yaml:2: policy: path: "date/" matches nothing; did you mean "data/"?`) {
		t.Errorf("notes %q", out.Notes)
	}
	s.repo.commit(files{"data/a": "2", ".satchel.yaml": "policy:\n- {path: data/, is: onec}\n"})
	r := s.refused(y, Content)
	if len(r.Findings) != 1 || r.Findings[0].Line != 2 || !strings.Contains(r.Findings[0].Reason, `did you mean "once"?`) {
		t.Errorf("findings %+v", r.Findings)
	}
	s.want(1, files{"data/a": "1"})
}
