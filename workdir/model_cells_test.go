package workdir

import (
	"slices"
	"strings"

	"satchel/bundle"
	"satchel/notebook"
)

// tableCell is one cell of the table of docs/work-folder.md, for one policy.
type tableCell struct {
	course, student string
	policy          bundle.Policy
}

var policies = []bundle.Policy{bundle.Merge, bundle.Once, bundle.Replace, bundle.ReadOnly}

var (
	baseRows = []string{"unchanged", "changed", "deleted", "renamed", "similar", "file to folder", "mode only",
		"withdrawn", "left", "other channel", "came back", "back, changed"}
	baseColumns = []string{"untouched", "edited", "deleted", "deleted twice", "started over", "folder", "link", "fifo",
		"run only", "former", "own"}
	addedColumns  = []string{"nothing", "equal", "own", "folder", "link", "fifo", "former", "run only", "blocked"}
	folderColumns = []string{"untouched", "edited", "started over", "own inside", "link"}
)

// tableRows are the course's and the student's acts that are aimed at.
func tableRows() (out [][2]string) {
	for _, r := range baseRows {
		for _, c := range baseColumns {
			out = append(out, [2]string{r, c})
		}
		if r == "changed" {
			out = append(out, [2]string{r, "equal"})
		}
	}
	for _, c := range addedColumns {
		out = append(out, [2]string{"added", c})
	}
	for _, c := range folderColumns {
		out = append(out, [2]string{"folder to file", c})
	}
	return out
}

var tableCells = func() (out []tableCell) {
	for _, rc := range tableRows() {
		for _, p := range policies {
			if c := (tableCell{rc[0], rc[1], p}); !c.impossible() {
				out = append(out, c)
			}
		}
	}
	return out
}()

// impossible says that a cell cannot be.
func (c tableCell) impossible() bool {
	return false
}

// table is what the paths of one sync are classified from: what was recorded
// before it, what lay there, and what the course has.
type table struct {
	m      *model
	last   map[string]*Entry
	newest map[string]Delivery
	disk   map[string]thing // below the course's folder
	// channels are those of this student now: one without a file is none.
	channels map[string]bool
}

// cells classifies every path; a renamed one under its new path.
func (t *table) cells() map[string]tableCell {
	out := map[string]tableCell{}
	renamed := t.renames()
	old := map[string]bool{}
	for _, from := range renamed {
		old[from] = true
	}
	for p, n := range t.newest {
		c := tableCell{policy: n.Policy}
		if from := renamed[p]; from != "" {
			c.course, c.student = "similar", t.column(from)
			if t.last[from].Digest == n.Digest {
				c.course = "renamed"
			}
			if k := t.at(p); k != "nothing" && k != "started over" {
				c.course, c.student = "added", t.newColumn(p)
			}
		} else if t.last[p] != nil {
			c.course, c.student = t.row(p, n), t.column(p)
		} else if t.folderBefore(p) {
			c.course, c.student = "folder to file", t.folderColumn(p)
		} else {
			c.course, c.student = "added", t.newColumn(p)
		}
		out[p] = c
	}
	for p, e := range t.last {
		if _, has := t.newest[p]; !has && !old[p] {
			out[p] = tableCell{t.goneRow(p, e), t.column(p), e.Policy}
		}
	}
	return out
}

// renames pairs new paths with the old ones that the course gave up: by the
// hint of the publisher, or by equal bytes.
func (t *table) renames() map[string]string {
	out, used := map[string]string{}, map[string]bool{}
	fresh := slices.DeleteFunc(sortedKeys(t.newest), func(p string) bool { return t.last[p] != nil })
	for _, same := range []bool{true, false} {
		for _, p := range fresh {
			for _, from := range sortedKeys(t.last) {
				_, still := t.newest[from]
				e := t.last[from]
				equal := e.Digest == t.newest[p].Digest
				if still || used[from] || out[p] != "" || equal != same || !equal && t.m.renamed[p] != from ||
					!t.channels[e.Channel] || !e.Asleep.IsZero() || t.m.isWithdrawn(from, e.Digest) {
					continue
				}
				out[p], used[from] = from, true
			}
		}
	}
	return out
}

func (t *table) row(p string, n Delivery) string {
	e := t.last[p]
	switch {
	case !e.Asleep.IsZero() && e.Digest != n.Digest:
		return "back, changed"
	case !e.Asleep.IsZero():
		return "came back"
	case e.Digest != n.Digest:
		return "changed"
	case e.Channel != n.Channel:
		return "other channel"
	case e.Mode != n.Mode:
		return "mode only"
	}
	return "unchanged"
}

func (t *table) goneRow(p string, e *Entry) string {
	switch {
	case t.m.isWithdrawn(p, e.Digest):
		return "withdrawn"
	case !t.channels[e.Channel]:
		return "left"
	}
	for q := range t.newest {
		if strings.HasPrefix(q, p+"/") {
			return "file to folder"
		}
		if strings.HasPrefix(p, q+"/") {
			return "below a folder to file"
		}
	}
	return "deleted"
}

// at is what lies under a path.
func (t *table) at(p string) string {
	for f, _ := split(p); f != ""; f, _ = split(f) {
		if d, ok := t.disk[f]; ok && d.kind != "folder" {
			return "blocked"
		}
	}
	d, ok := t.disk[p]
	switch folder, _ := split(p); {
	case ok:
		return d.kind
	case folder != "" && t.disk[folder].kind == "", folder == "" && t.disk["."].kind == "":
		return "started over"
	}
	return "nothing"
}

// column is what a student did to a path that Satchel knows.
func (t *table) column(p string) string {
	e, k := t.last[p], t.at(p)
	switch {
	case e.Status == Own && k == "nothing":
		return "own deleted"
	case e.Status == Own && k == "file" && t.m.wasOnce(p, bundle.Sum([]byte(t.disk[p].text))):
		return "own, former"
	case e.Status == Own && k == "file":
		return "own"
	case k == "nothing" && (e.Returned || e.Status == Away):
		return "deleted twice"
	case k == "nothing":
		return "deleted"
	case k != "file":
		return k
	}
	sum := bundle.Sum([]byte(t.disk[p].text))
	n, has := t.newest[p]
	switch {
	case sum == e.Digest:
		return "untouched"
	case has && sum == n.Digest:
		return "equal"
	case has && e.Digest != n.Digest && t.ranOnly(p, t.m.contents[n.Digest]):
		return "run newest"
	case t.m.wasOnce(p, sum):
		return "former"
	case t.ranOnly(p, t.m.contents[e.Digest]):
		return "run only"
	}
	return "edited"
}

func (t *table) ranOnly(p, text string) bool {
	if !isNotebook(p) {
		return false
	}
	a, err1 := notebook.Form([]byte(t.disk[p].text))
	b, err2 := notebook.Form([]byte(text))
	return err1 == nil && err2 == nil && a == b
}

// newColumn is what lies where the course has something new.
func (t *table) newColumn(p string) string {
	k := t.at(p)
	switch k {
	case "started over":
		return "nothing"
	case "blocked":
		for f, _ := split(p); f != ""; f, _ = split(f) {
			if d := t.disk[f]; (d.kind == "link" || d.kind == "fifo") && (t.last[f] != nil || t.folderKnown(f)) {
				return "blocked on purpose"
			}
		}
		return k
	case "file":
	default:
		return k
	}
	sum := bundle.Sum([]byte(t.disk[p].text))
	switch {
	case sum == t.newest[p].Digest:
		return "equal"
	case t.m.wasOnce(p, sum):
		return "former"
	}
	for _, h := range t.m.history {
		for _, was := range h.At(p) {
			if t.ranOnly(p, t.m.contents[was.Digest]) {
				return "run only"
			}
		}
	}
	return "own"
}

func (t *table) folderBefore(p string) bool {
	for q, e := range t.last {
		if _, still := t.newest[q]; !still && strings.HasPrefix(q, p+"/") && e.Asleep.IsZero() {
			return true
		}
	}
	return false
}

// folderKnown says whether Satchel put something below a folder.
func (t *table) folderKnown(p string) bool {
	for q := range t.last {
		if strings.HasPrefix(q, p+"/") {
			return true
		}
	}
	return false
}

// folderColumn is what a student did to a folder that becomes a file.
func (t *table) folderColumn(p string) string {
	k := t.at(p)
	if k != "folder" {
		if k == "nothing" {
			return "started over"
		}
		return k
	}
	what := "untouched"
	for q, d := range t.disk {
		e := t.last[q]
		switch {
		case !strings.HasPrefix(q, p+"/") || d.kind != "file":
		case e == nil:
			return "own inside"
		case bundle.Sum([]byte(d.text)) != e.Digest:
			what = "edited"
		}
	}
	return what
}

// outcome is what must come of a cell at a start: the newest stands there,
// what was there is the same, all the student's lines are in it, nothing is
// there, or "" (another rule sees to it).
func (c tableCell) outcome() string {
	once := c.policy == bundle.Once
	switch c.course {
	case "below a folder to file":
		return ""
	case "deleted", "withdrawn", "left", "file to folder":
		return c.goneOutcome()
	case "added", "folder to file":
		return c.newOutcome()
	case "renamed", "similar":
		switch c.student {
		case "deleted", "deleted twice", "started over", "folder", "link", "fifo", "own", "own deleted":
			return "newest"
		case "untouched":
			return "newest"
		}
		return ""
	}
	changed := c.course == "changed" || c.course == "back, changed"
	switch c.student {
	case "untouched":
		if once && changed {
			return "same"
		}
		return "newest"
	case "equal", "started over", "own deleted":
		return "newest"
	case "deleted":
		if once {
			return "nothing"
		}
		return "newest"
	case "deleted twice":
		return "nothing"
	case "folder", "link", "fifo", "blocked":
		return "same"
	case "former":
		if changed && !once {
			return "newest"
		}
		return "same"
	case "edited", "run only", "own":
		return c.bothOutcome(changed)
	}
	return ""
}

// bothOutcome is of a file that the student changed and perhaps the course.
func (c tableCell) bothOutcome(changed bool) string {
	switch {
	case !changed, c.policy == bundle.Once, c.student == "own" && c.policy != bundle.Replace:
		return "same"
	case c.policy == bundle.Replace:
		return "newest"
	}
	return "lines"
}

func (c tableCell) goneOutcome() string {
	switch {
	case c.student == "started over" || c.student == "deleted" || c.student == "deleted twice" || c.student == "own deleted":
		return "nothing"
	case c.course == "left":
		return "same"
	case c.course == "file to folder":
		return ""
	case c.student == "untouched" && c.policy == bundle.Once && c.course != "withdrawn":
		return "same"
	case c.student == "untouched":
		return "nothing"
	}
	return "same"
}

func (c tableCell) newOutcome() string {
	switch c.student {
	case "nothing", "equal", "started over", "former", "untouched":
		return "newest"
	case "own":
		if c.policy == bundle.Replace {
			return "newest"
		}
		return "same"
	case "folder", "blocked":
		return "newest" // it makes way
	}
	return ""
}
