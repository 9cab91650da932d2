//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	nb "satchel/notebook"
)

// merged is what one tool made of one triple.
type merged struct {
	text      string
	conflicts bool // the tool itself says that it left some
	beside    bool // the course's version is laid beside
}

// TestPeersMerges: notebooks that a student worked in and ran, while the
// instructor changed them, merged by nbgitpuller, by nbdime and by Satchel.
// Satchel must keep all of the student's, and every result must open.
func TestPeersMerges(t *testing.T) {
	all := triples(t, 600)
	dir, err := os.MkdirTemp("", "satchel-merges-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	tools := []string{"nbgitpuller", "nbdime", "Satchel"}
	made := [][]merged{mergedByPuller(t, dir, all), mergedByNbdime(t, dir, all), mergedBySatchel(t, all)}
	figures := map[string][]*figure{}
	for _, class := range classes {
		for i := range tools {
			figures[class] = append(figures[class], measure(t, dir, class, all, made[i]))
		}
	}
	for _, class := range classes {
		mine := figures[class][2]
		if mine.wrote.is != mine.wrote.of || mine.outputs.is != mine.outputs.of || mine.opens.is != mine.opens.of || mine.markers.is > 0 {
			t.Errorf("Satchel, %s: %+v", class, *mine)
		}
	}
	compareSection(t, "merges", mergesTable(tools, figures))
}

// share is so many of so many.
type share struct{ is, of int }

func (s *share) count(yes bool) {
	s.of++
	if yes {
		s.is++
	}
}

func (s share) String() string {
	if s.of == 0 {
		return "–"
	}
	percent := 100 * float64(s.is) / float64(s.of)
	if s.is == s.of || s.is == 0 {
		return fmt.Sprintf("%.0f %%", percent)
	}
	return fmt.Sprintf("%.1f %%", percent)
}

// figure is what is counted for one tool in one class.
type figure struct{ arrived, wrote, outputs, opens, markers, conflicts, beside share }

func measure(t *testing.T, dir, class string, all []triple, made []merged) *figure {
	t.Helper()
	f := &figure{}
	for i, tr := range all {
		if tr.class != class {
			continue
		}
		got := made[i]
		cells, _ := cellsOf(got.text)
		var sources, outputs []string
		for _, c := range cells {
			sources, outputs = append(sources, c.source), append(outputs, c.outputs)
		}
		within := "\n" + strings.Join(sources, "\n") + "\n"
		for _, source := range tr.changed {
			f.arrived.count(slices.Contains(sources, source))
		}
		for _, line := range tr.wrote {
			f.wrote.count(strings.Contains(within, "\n"+line+"\n"))
		}
		for _, text := range tr.outputs {
			f.outputs.count(slices.ContainsFunc(outputs, func(o string) bool { return strings.Contains(o, text) }))
		}
		file := filepath.Join(dir, "result.ipynb")
		must(t, os.WriteFile(file, []byte(got.text), 0o644))
		f.opens.count(python(t).opens(file) == "")
		f.markers.count(strings.Contains(got.text, "<<<<<<<"))
		f.conflicts.count(got.conflicts)
		f.beside.count(got.beside)
	}
	return f
}

func mergesTable(tools []string, figures map[string][]*figure) string {
	var b strings.Builder
	for _, class := range classes {
		fs := figures[class]
		fmt.Fprintf(&b, "\n**%s** (%d notebooks)\n\n| | %s |\n|---|---|---|---|\n", upperFirst(class), fs[0].opens.of, strings.Join(tools, " | "))
		for _, row := range []struct {
			what string
			of   func(f *figure) share
		}{
			{fmt.Sprintf("the instructor's changed and new cells that the student did not edit (%d): arrived", fs[0].arrived.of), func(f *figure) share { return f.arrived }},
			{fmt.Sprintf("lines that the student wrote (%d): kept", fs[0].wrote.of), func(f *figure) share { return f.wrote }},
			{fmt.Sprintf("outputs of the student's runs (%d): kept", fs[0].outputs.of), func(f *figure) share { return f.outputs }},
			{"results that nbformat finds valid", func(f *figure) share { return f.opens }},
			{"results with conflict markers", func(f *figure) share { return f.markers }},
			{"results that the tool leaves to be resolved", func(f *figure) share { return f.conflicts }},
			{"results with the course's version beside", func(f *figure) share { return f.beside }},
		} {
			fmt.Fprintf(&b, "| %s |", row.what)
			for _, f := range fs {
				fmt.Fprintf(&b, " %s |", row.of(f))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// mergedByPuller has all the notebooks in one repository: one pull merges
// them all, each for itself.
func mergedByPuller(t *testing.T, dir string, all []triple) (out []merged) {
	t.Helper()
	work := filepath.Join(dir, "instructor")
	must(t, os.MkdirAll(work, 0o755))
	mustRun(t, exec.Command("git", "init", "-q", "--bare", "-b", "main", filepath.Join(dir, "merges.git")))
	write(t, filepath.Join(dir, "trust"), "[safe]\n\tdirectory = *\n")
	r := repository{t: t, work: work}
	r.git("init", "-q", "-b", "main")
	r.git("remote", "add", "origin", filepath.Join(dir, "merges.git"))
	puller := nbgitpuller{venv: venv(t), repos: dir}
	d := &desk{peer: puller, course: "merges", home: filepath.Join(dir, "home")}
	must(t, os.MkdirAll(d.work(), 0o755))
	each := func(at func(string) string, text func(triple) string) {
		for _, tr := range all {
			write(t, at(tr.name), text(tr))
		}
	}
	pull := func() {
		d.own(t)
		if out, code := runProgram(t, puller.login(t, d, false)); code != 0 {
			t.Fatalf("nbgitpuller: exit %d\n%s", code, tail(out, 3000))
		}
	}
	inWork := func(p string) string { return filepath.Join(work, p) }
	each(inWork, func(tr triple) string { return tr.base })
	r.push("base")
	pull()
	each(d.path, func(tr triple) string { return tr.mine })
	each(inWork, func(tr triple) string { return tr.theirs })
	r.push("theirs")
	pull()
	for _, tr := range all {
		out = append(out, merged{text: readFile(t, d.path(tr.name))})
	}
	return out
}

func mergedByNbdime(t *testing.T, dir string, all []triple) (out []merged) {
	t.Helper()
	at := func(side string) string { return filepath.Join(dir, side+".ipynb") }
	for _, tr := range all {
		write(t, at("base"), tr.base)
		write(t, at("mine"), tr.mine)
		write(t, at("theirs"), tr.theirs)
		r := python(t).nbdime(at("base"), at("mine"), at("theirs"))
		if r.Why != "" {
			t.Fatalf("nbdime: %s: %s", tr.name, r.Why)
		}
		out = append(out, merged{text: r.Text, conflicts: r.Conflicts > 0})
	}
	return out
}

// mergedBySatchel does as the agent: where it cannot be merged mine stays and
// theirs lies beside, and so where both changed the same lines.
func mergedBySatchel(t *testing.T, all []triple) (out []merged) {
	for _, tr := range all {
		m, err := nb.Merge(tr.name, []byte(tr.base), []byte(tr.mine), []byte(tr.theirs))
		if err != nil {
			t.Logf("%s: %v", tr.name, err)
			out = append(out, merged{text: tr.mine, beside: true})
			continue
		}
		out = append(out, merged{text: string(m.Data), beside: len(m.Clash) > 0})
	}
	return out
}

// TestPeersMergesAreJudged: of a tool that takes one side the measure must
// say so.
func TestPeersMergesAreJudged(t *testing.T) {
	all := triples(t, 30)
	var mine, theirs, torn []merged
	for _, tr := range all {
		mine, theirs = append(mine, merged{text: tr.mine}), append(theirs, merged{text: tr.theirs})
		torn = append(torn, merged{text: tr.mine[:len(tr.mine)/2] + "\n<<<<<<< HEAD\n"})
	}
	for _, class := range classes {
		m, th, to := measure(t, t.TempDir(), class, all, mine), measure(t, t.TempDir(), class, all, theirs), measure(t, t.TempDir(), class, all, torn)
		if m.arrived.is != 0 || m.wrote.is != m.wrote.of || m.outputs.is != m.outputs.of || m.opens.is != m.opens.of {
			t.Errorf("mine: %+v", *m)
		}
		if th.arrived.is != th.arrived.of || th.wrote.is != 0 || th.outputs.is != 0 {
			t.Errorf("theirs: %+v", *th)
		}
		if to.opens.is != 0 || to.markers.is != to.markers.of {
			t.Errorf("torn: %+v", *to)
		}
	}
}
