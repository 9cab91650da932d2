//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// verdict is what the facts say of one desk, each empty when all is well.
type verdict struct {
	lost    []string // the student's pieces that are nowhere
	hidden  []string // that only the peer's own state still has
	missing []string // of the course's
	broken  []string // notebooks that do not open, files with markers
	stuck   string
	notes   []string
}

// finish logs the student in once more, judges, and then sees whether a later
// push still arrives.
func (p *play) finish() []verdict {
	failed := map[*desk]bool{}
	for _, d := range p.desks {
		failed[d] = p.seen[d].failed
		p.loginAt(d, false)
	}
	p.ledger.had = copyTree(p.ledger.newest())
	var out []verdict
	for _, d := range p.desks {
		out = append(out, p.judge(d))
	}
	p.ledger.now["later.txt"] = "a later push\n"
	p.push()
	for i, d := range p.desks {
		out[i].stuck = p.later(d, failed[d])
		after := p.judge(d)
		out[i].lost, out[i].broken, out[i].hidden = after.lost, after.broken, after.hidden
		if where := p.seen[d].outside; len(where) > 0 {
			out[i].notes = append(out[i].notes, "**changes what lies outside of the course's folder**: "+quoted(sortedNames(where)))
		}
	}
	return out
}

// later says whether the next push arrives, or where it gets stuck.
func (p *play) later(d *desk, failedBefore bool) string {
	arrived := func() bool {
		p.loginAt(d, false)
		data, err := os.ReadFile(d.path("later.txt"))
		return err == nil && string(data) == p.ledger.now["later.txt"]
	}
	switch ok := arrived(); {
	case ok && p.seen[d].failed:
		return "each login fails" + reason(p.seen[d].said)
	case ok && failedBefore:
		return "one login fails"
	case ok:
		return ""
	}
	arrived()
	why := reason(p.seen[d].said)
	age(d)
	if arrived() {
		return "stuck for ten minutes" + why
	}
	return "stuck" + why
}

var reasons = regexp.MustCompile(`(?m)^(?:fatal: |error: |Exception: |\S*Error: |.*Exception: )(.+)$`)

// reason is the last thing that git or Python gave as one.
func reason(said string) string {
	all := reasons.FindAllStringSubmatch(said, -1)
	for _, m := range slices.Backward(all) {
		if !strings.Contains(m[1], "returned non-zero") {
			return ": " + code(shorten(strings.TrimRight(m[1], ".:"), 64))
		}
	}
	return ""
}

func shorten(s string, n int) string {
	s = path.ReplaceAllString(s, "…/$1")
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}

var path = regexp.MustCompile(`/tmp/\S*?/([^/\s']+)'?`)

func code(s string) string { return "`" + strings.ReplaceAll(s, "`", "'") + "`" }

func quoted(list []string) string {
	var out []string
	for _, s := range list {
		out = append(out, code(strings.ReplaceAll(s, "\n", `\n`)))
	}
	return strings.Join(out, ", ")
}

func (p *play) judge(d *desk) verdict {
	p.t.Helper()
	v := verdict{}
	for _, n := range p.seen[d].notes {
		if what, is := strings.CutPrefix(n, "missing: "); is {
			v.missing = append(v.missing, what)
		} else {
			v.notes = append(v.notes, n)
		}
	}
	home := visible(p, d)
	p.judgeKept(d, home, &v)
	p.judgeDelivered(d, home, &v)
	for _, f := range sortedNames(home) {
		switch {
		case home[f] == p.ledger.wrote[p.inCourse(f)]: // broken or not, it is what the student made
		case strings.HasSuffix(f, ".ipynb"):
			if why := python(p.t).opens(filepath.Join(d.home, f)); why != "" {
				v.broken = append(v.broken, p.inCourse(f)+" ("+why+")")
			}
		case strings.Contains("\n"+home[f], "\n<<<<<<< "):
			v.broken = append(v.broken, p.inCourse(f)+" (conflict markers)")
		}
	}
	return v
}

// visible is every file of the home that a student can see and open.
func visible(p *play, d *desk) tree {
	out := tree{}
	out.read(d.home, "")
	if at, err := filepath.EvalSymlinks(d.path("")); err == nil && at != filepath.Clean(d.path("")) {
		out.read(at, p.inHome("")) // the student put a link in the course folder's place
	}
	return out
}

// read adds the files below a folder, but for the peers' own.
func (t tree) read(folder, under string) {
	_ = filepath.WalkDir(folder, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if e.IsDir() && (e.Name() == ".git" || e.Name() == ".satchel") {
			return filepath.SkipDir
		}
		if e.Type().IsRegular() {
			data, _ := os.ReadFile(name)
			rel, _ := filepath.Rel(folder, name)
			t[filepath.Join(under, rel)] = string(data)
		}
		return nil
	})
}

// contains looks for a piece in a file, of a notebook also in its texts.
func contains(content, piece string) bool {
	if strings.Contains(content, piece) {
		return true
	}
	cells, _ := cellsOf(content)
	for _, c := range cells {
		if strings.Contains(c.source, piece) || strings.Contains(c.outputs, piece) {
			return true
		}
	}
	return false
}

// in names the files that hold a piece.
func (t tree) in(piece string) (files []string) {
	for _, f := range sortedNames(t) {
		if contains(t[f], piece) {
			files = append(files, f)
		}
	}
	return files
}

func (p *play) judgeKept(d *desk, home tree, v *verdict) {
	var state []byte
	moved := map[string]bool{}
	for _, f := range sortedNames(p.ledger.pieces) {
		for _, piece := range p.ledger.pieces[f] {
			where := home.in(piece)
			switch {
			case slices.Contains(where, p.inHome(f)):
			case len(where) > 0:
				moved[f+"\x00"+p.inCourse(where[0])] = true
			default:
				if state == nil {
					state = append(kept(p, d), ' ')
				}
				if bytes.Contains(state, []byte(piece)) {
					v.hidden = append(v.hidden, f)
				} else {
					v.lost = append(v.lost, f)
				}
			}
		}
	}
	for _, m := range sortedNames(moved) {
		from, to, _ := strings.Cut(m, "\x00")
		v.notes = append(v.notes, "the student's "+quoted([]string{from})+" is in "+quoted([]string{to}))
	}
	v.lost, v.hidden = slices.Compact(v.lost), slices.Compact(v.hidden)
}

func (p *play) inHome(path string) string { return filepath.Join("work", p.course, path) }

var atTime = regexp.MustCompile(`__20\d{12}`)

func (p *play) inCourse(path string) string {
	path = atTime.ReplaceAllString(path, "__TIME")
	return strings.TrimPrefix(strings.TrimPrefix(path, "work/"), p.course+"/")
}

// kept is all that the peer's state still holds, in git's objects or in
// .satchel, unpacked.
func kept(p *play, d *desk) []byte {
	out, _ := runProgram(p.t, d.as(exec.Command("git", "-C", d.path(""), "cat-file", "--batch-all-objects", "--batch")))
	all := []byte(out)
	dec, err := zstd.NewReader(nil)
	must(p.t, err)
	defer dec.Close()
	_ = filepath.WalkDir(filepath.Join(d.work(), ".satchel"), func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil
		}
		data, _ := os.ReadFile(name)
		all = append(all, data...)
		if plain, err := dec.DecodeAll(data, nil); err == nil {
			all = append(all, plain...)
		}
		return nil
	})
	return all
}

func (p *play) judgeDelivered(d *desk, home tree, v *verdict) {
	l := p.ledger
	theirs := l.newest()
	for _, f := range sortedNames(theirs) {
		if d.peer.name() == "Satchel" && strings.HasPrefix(filepath.Base(f), ".git") {
			continue // withheld: no course material
		}
		now, there := home[p.inHome(f)]
		did := l.touched[f]
		if did == "" {
			did = l.touched[l.formerly(f)]
		}
		switch did {
		case "":
			p.untouched(f, home, v)
		case removed:
			v.notes = append(v.notes, returned(f, now, there, theirs[f]))
		case own:
			if !slices.Contains(contents(home), theirs[f]) {
				v.missing = append(v.missing, f)
			}
		case edited:
			p.merged(f, now, there, home, v)
		}
	}
	for _, f := range sortedNames(l.everHad()) {
		_, still := home[p.inHome(f)]
		if _, wanted := theirs[f]; !wanted && still && l.touched[f] == "" {
			v.missing = append(v.missing, f+" is still there")
		}
	}
}

func (l *ledger) everHad() tree {
	out := tree{}
	for _, t := range l.pushed {
		for f := range t {
			out[f] = ""
		}
	}
	return out
}

func contents(t tree) (all []string) {
	for _, c := range t {
		all = append(all, c)
	}
	return all
}

func (p *play) untouched(f string, home tree, v *verdict) {
	newest := p.ledger.newest()[f]
	now, there := home[p.inHome(f)]
	what := f
	switch {
	case now == newest && there:
		return
	case there:
		what += " is not the newest"
	}
	if slices.Contains(contents(home), newest) {
		what += " (lies beside)"
	}
	v.missing = append(v.missing, what)
}

func returned(f, now string, there bool, newest string) string {
	switch {
	case !there:
		return quoted([]string{f}) + " stays away"
	case now == newest:
		return quoted([]string{f}) + " comes back"
	}
	return quoted([]string{f}) + " comes back, not the newest"
}

// merged looks for each place that the instructor changed and the student did
// not; of the others it notes where the course's version lies.
func (p *play) merged(f, now string, there bool, home tree, v *verdict) {
	if !there {
		v.missing = append(v.missing, f)
		return
	}
	gone := map[string]int{}
	for _, c := range p.ledger.changes[f] {
		if !contains(p.ledger.newest()[f], c.text) || contains(now, c.text) {
			continue
		}
		where := "nowhere"
		if files := home.in(c.text); len(files) > 0 {
			where = "beside"
		}
		if p.ledger.clash(f, c) {
			v.notes = append(v.notes, "the course's change lies "+where)
		} else {
			gone[where]++
		}
	}
	for _, where := range sortedNames(gone) {
		what := "a change"
		if gone[where] > 1 {
			what = fmt.Sprint(gone[where], " changes")
		}
		v.missing = append(v.missing, what+" in "+f+" (lies "+where+")")
	}
}
