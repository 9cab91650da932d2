//go:build e2e

package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"satchel/internal/release"
)

var writePage = flag.Bool("update", false, "write what was measured, or pictures, to docs")

const peersPage = "../docs/nbgitpuller.md"

// TestPeersStories plays every story of testdata/stories with nbgitpuller and
// with Satchel on one repository, and judges the folders by facts. Satchel
// must lose nothing, never be stuck, and every notebook must open; the table
// in docs/nbgitpuller.md must say what was measured.
func TestPeersStories(t *testing.T) {
	all := stories(t)
	dir, err := os.MkdirTemp("", "satchel-peers-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	var courses []string
	for _, s := range all {
		courses = append(courses, s.name)
		mustRun(t, exec.Command("git", "init", "-q", "--bare", "-b", "main", filepath.Join(dir, s.name+".git")))
	}
	write(t, filepath.Join(dir, "trust"), "[safe]\n\tdirectory = *\n")
	peers := []peer{nbgitpuller{venv: venv(t), repos: dir}, newSatchel(t, dir, courses, "")}
	verdicts := make([][]verdict, len(all))
	t.Run("stories", func(t *testing.T) {
		for i, s := range all {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				p := newPlay(t, s, filepath.Join(dir, "homes", s.name), dir, peers)
				p.run()
				verdicts[i] = p.finish()
				t.Logf("%s\nnbgitpuller: %s\nSatchel: %s", s.title, verdicts[i][0], verdicts[i][1])
				mustBeGood(t, s, verdicts[i][1])
			})
		}
	})
	if os.Getenv("PEERS_STORY") == "" && !slices.ContainsFunc(verdicts, func(v []verdict) bool { return v == nil }) {
		compareSection(t, "stories", storiesTable(all, verdicts))
		keepVersions(t)
	}
}

// keepVersions writes what was measured with; another git is no failure.
func keepVersions(t *testing.T) {
	if !*writePage {
		return
	}
	git, _ := runProgram(t, exec.Command("git", "--version"))
	var said []string
	for line := range strings.Lines(readFile(t, "testdata/peers.txt")) {
		said = append(said, strings.Replace(strings.TrimSpace(line), "==", " ", 1))
	}
	compareSection(t, "versions", "Measured with "+strings.Join(said, ", ")+"; "+strings.TrimSpace(git)+"; Satchel "+release.Version+".\n")
}

// mustBeGood is what Satchel promises in every story.
func mustBeGood(t *testing.T, s *story, v verdict) {
	t.Helper()
	bad := len(v.lost)+len(v.broken) > 0 || v.stuck != ""
	switch {
	case bad && s.known == "":
		t.Errorf("Satchel: %s", v)
	case !bad && s.known != "":
		t.Errorf("%q is over: take the line out of the story", s.known)
	}
}

func (v verdict) String() string {
	var out []string
	say := func(what string, list []string) {
		if len(list) > 0 {
			out = append(out, what+quoted(list))
		}
	}
	if len(v.lost) == 0 && len(v.hidden) == 0 {
		out = append(out, "kept")
	}
	say("**LOST**: ", v.lost)
	say("**not in the folder any more**, only in the tool's own state: ", v.hidden)
	if len(v.missing) == 0 {
		out = append(out, "delivered")
	}
	say("**missing**: ", v.missing)
	say("**does not open**: ", v.broken)
	if v.stuck != "" {
		out = append(out, "**"+v.stuck+"**")
	}
	return strings.Join(append(out, v.notes...), "; ")
}

func storiesTable(all []*story, verdicts [][]verdict) string {
	var b strings.Builder
	b.WriteString(summary(all, verdicts))
	group := ""
	for i, s := range all {
		if s.group != group {
			group = s.group
			fmt.Fprintf(&b, "\n**%s**\n\n| story | nbgitpuller | Satchel |\n|---|---|---|\n", group)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", s.title, cell(verdicts[i][0]), cell(verdicts[i][1]))
	}
	return b.String()
}

// summary counts, and names the stories that end better with nbgitpuller.
func summary(all []*story, verdicts [][]verdict) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| of %d stories | nbgitpuller | Satchel |\n|---|---|---|\n", len(all))
	for _, row := range []struct {
		what string
		is   func(v verdict) bool
	}{
		{"all that the student wrote is in the home", func(v verdict) bool { return len(v.lost)+len(v.hidden) == 0 }},
		{"something that the student wrote is lost", func(v verdict) bool { return len(v.lost) > 0 }},
		{"all of the course is in place that the student did not touch", func(v verdict) bool { return len(v.missing) == 0 }},
		{"a later update does not arrive, or a login fails", func(v verdict) bool { return v.stuck != "" }},
	} {
		var n [2]int
		for _, v := range verdicts {
			for k := range n {
				if row.is(v[k]) {
					n[k]++
				}
			}
		}
		fmt.Fprintf(&b, "| %s | %d | %d |\n", row.what, n[0], n[1])
	}
	better := [2][]string{}
	for i, v := range verdicts {
		switch slices.Compare(v[0].faults(), v[1].faults()) {
		case -1:
			better[0] = append(better[0], all[i].title)
		case 1:
			better[1] = append(better[1], all[i].title)
		}
	}
	fmt.Fprintf(&b, "\nAs well with either: %d. Better with Satchel: %d. Better with nbgitpuller: %d", len(all)-len(better[0])-len(better[1]), len(better[1]), len(better[0]))
	if len(better[0]) > 0 {
		b.WriteString(" (" + strings.Join(better[0], "; ") + ")")
	}
	return b.String() + ".\n"
}

// faults counts what went wrong, the worst first.
func (v verdict) faults() []int {
	stuck := 0
	if v.stuck != "" {
		stuck = 1
	}
	return []int{len(v.lost), len(v.hidden), len(v.broken), stuck, len(v.missing)}
}

func cell(v verdict) string { return strings.ReplaceAll(v.String(), "|", `\|`) }

// compareSection holds a part of the page, between its two markers, against
// what was measured now; with -update it writes it.
func compareSection(t *testing.T, name, measured string) {
	t.Helper()
	page := readFile(t, peersPage)
	begin, end := "<!-- "+name+": make peers UPDATE=1 -->\n", "<!-- end of "+name+" -->"
	before, rest, ok := strings.Cut(page, begin)
	old, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no section %s", peersPage, name)
	}
	switch {
	case old == measured:
	case *writePage:
		must(t, os.WriteFile(peersPage, []byte(before+begin+measured+end+after), 0o644))
	default:
		t.Errorf("%s does not say what was measured; make peers UPDATE=1 writes this:\n%s", peersPage, measured)
	}
}
