package workdir

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"satchel/bundle"
	"satchel/notebook"
)

// thing is what lies under one name.
type thing struct {
	kind string // file, folder, link, fifo
	text string // of a file; of a link where it leads
	perm os.FileMode
}

// thingsBelow is everything below a folder; of Satchel's own only what it may
// hold of a student's.
func thingsBelow(root string) map[string]thing {
	out := map[string]thing{}
	_ = filepath.WalkDir(root, func(full string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		p, _ := filepath.Rel(root, full)
		switch e.Name() {
		case "base", "kept", "stage", "manifests", "journal":
			if strings.HasPrefix(p, ".satchel/") && strings.Count(p, "/") == 2 {
				if e.IsDir() {
					return filepath.SkipDir
				}
				return nil
			}
		}
		info, err := e.Info()
		if err != nil {
			return nil
		}
		d := thing{kind: "fifo", perm: info.Mode().Perm()}
		switch {
		case e.IsDir():
			d.kind = "folder"
		case e.Type()&fs.ModeSymlink != 0:
			d.kind = "link"
			d.text, _ = os.Readlink(full)
		case e.Type().IsRegular():
			d.kind = "file"
			data, _ := os.ReadFile(full)
			d.text = string(data)
		}
		out[p] = d
		return nil
	})
	return out
}

func (m *model) home() map[string]thing { return thingsBelow(m.root) }

// diffThings compares; own says whether Satchel's own counts.
func diffThings(got, want map[string]thing, own bool) string {
	var out []string
	skip := func(p string) bool { return !own && (p == ".satchel" || strings.HasPrefix(p, ".satchel/")) || p == "." }
	for p, d := range got {
		if w, ok := want[p]; !skip(p) && (!ok || w != d) {
			out = append(out, fmt.Sprintf("have %q: %v", p, d))
		}
	}
	for p, d := range want {
		if g, ok := got[p]; !skip(p) && (!ok || g != d) {
			out = append(out, fmt.Sprintf("had  %q: %v", p, d))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// checking is one sync that is looked at.
type checking struct {
	before  map[string]thing    // the home
	folder  string              // the course's before
	had     map[string][]string // where the student's lines lay before
	have    map[string][]string // and after
	was     string              // where the student thinks that it is
	valid   map[string]bool     // notebooks that were
	known   map[string]bool     // contents of files that may stand anywhere
	table   *table
	cells   map[string]tableCell
	merges  map[string]bool // paths over which an old text may have been saved
	held    map[string]bool // paths that an undo holds back
	res     *Result
	restore bool
	late    bool // an editor wrote after it
	// lastPass is the pass that undo would take back after this sync.
	lastPass string
}

// look is before a sync.
func (m *model) look() *checking {
	c := &checking{before: m.home(), folder: m.here, was: m.here, valid: map[string]bool{}, known: map[string]bool{}}
	if c.folder == "" {
		c.folder = m.folder
	}
	for p, d := range c.before {
		if d.kind == "file" {
			c.known[d.text] = true
			c.valid[p] = isNotebook(p) && notebook.Check([]byte(d.text)) == nil
		}
	}
	return c
}

// decided notes what the plan was made from.
func (m *model) decided(c *checking, course *Course, p *Plan, n Newest) {
	newest, _ := n.union()
	c.folder = p.folder // a journal that lost its end may not know it
	c.merges, c.held = map[string]bool{}, map[string]bool{}
	last := map[string]*Entry{}
	for q, e := range course.rec.files {
		copied := *e
		last[q] = &copied
		c.merges[q] = len(e.Merges) > 0
		c.held[q] = e.Held.held()
	}
	c.table = &table{m: m, last: last, newest: newest, disk: inFolder(m.home(), c.folder), channels: map[string]bool{}}
	for id := range n.Manifests {
		c.table.channels[id] = true
	}
	c.cells = c.table.cells()
}

// inFolder are the things of the course's folder, by paths below it.
func inFolder(all map[string]thing, folder string) map[string]thing {
	out := map[string]thing{}
	for p, d := range all {
		if rest, ok := strings.CutPrefix(p, folder+"/"); ok {
			out[rest] = d
		} else if p == folder {
			out["."] = d
		}
	}
	return out
}

// check is after a sync. start says that all was to be done.
func (m *model) check(c *checking, start bool) {
	m.writeLate(c)
	after := m.home()
	m.after = after
	c.had, c.have = mineWhere(c.before), mineWhere(after)
	m.checkLedger(c)
	m.checkOutside(c, after)
	m.checkNotebooks(c, after)
	if c.table != nil {
		m.noteLast(c, c.lastPass, inFolder(after, m.here))
	}
	if m.raced {
		return
	}
	m.checkPlaces(c)
	if !c.late && !m.damaged {
		m.checkEvents(c, after)
	}
	if start {
		m.count(c)
		m.checkOutcomes(c, inFolder(after, m.here))
		m.checkUntouched(inFolder(after, m.here))
	}
	m.damaged = false
}

func (m *model) count(c *checking) {
	for _, k := range c.cells {
		if k.policy == "" {
			k.policy = bundle.Merge
		}
		m.cells[k]++
	}
}

// mineWhere gives for each of the student's lines where it lies.
func mineWhere(all map[string]thing) map[string][]string {
	out := map[string][]string{}
	for p, d := range all {
		if d.kind == "file" {
			for _, t := range ledgerIn(d.text) {
				out[t] = append(out[t], p)
			}
		}
	}
	return out
}

// checkLedger says that every line of the student's that was there is there:
// for ever in their own folders, for thirty days on the shelf.
func (m *model) checkLedger(c *checking) {
	had, have := c.had, c.have
	m.age += max(0, min(m.now.Sub(m.ticked), maxTick))
	m.ticked = m.now
	for t, where := range had {
		if m.excused[t] || len(have[t]) > 0 {
			continue
		}
		since, shelved := m.shelved[t]
		if !shelved || m.age-since < 30*24*time.Hour || !ownOnly(where) {
			m.fail("%s is lost; it was in %q", t, where)
		}
		m.excused[t] = true
		m.did("lines aged away")
	}
	for t := range have {
		if !ownOnly(have[t]) {
			delete(m.shelved, t)
		} else if _, ok := m.shelved[t]; !ok {
			m.shelved[t] = m.age
		}
	}
}

func ownOnly(where []string) bool {
	return !slices.ContainsFunc(where, func(p string) bool { return !strings.HasPrefix(p, ".satchel/") })
}

// checkOutside says that nothing beside the course's folder changed, nor the
// folders for many copies, also those beside its former names.
func (m *model) checkOutside(c *checking, after map[string]thing) {
	now := m.here
	outside := func(all map[string]thing) map[string]thing {
		out := map[string]thing{}
		for p, d := range all {
			top, _, _ := strings.Cut(p, "/")
			if top != c.folder && top != now && top != c.was && top != ".satchel" && !strings.HasPrefix(top, now+" (") && !strings.HasPrefix(top, c.folder+" (") && !strings.Contains(top, " (course v") {
				out[p] = d
			}
		}
		return out
	}
	if d := diffThings(outside(after), outside(c.before), true); d != "" {
		m.fail("outside of the course's folder:\n%s", d)
	}
}

// checkNotebooks says that a notebook that opened opens, and that one which
// does not is none that Satchel made.
func (m *model) checkNotebooks(c *checking, after map[string]thing) {
	for p, d := range after {
		if d.kind != "file" || !isNotebook(p) || c.known[d.text] || m.contents[bundle.Sum([]byte(d.text))] != "" || m.raced {
			continue
		}
		if err := notebook.Check([]byte(d.text)); err != nil {
			m.fail("%q does not open any more: %v\n%s", p, err, d.text)
		}
		if err := notebook.Validate([]byte(d.text)); err != nil {
			m.fail("%q is not valid any more: %v\n%s", p, err, d.text)
		}
		if judge != nil {
			m.tally.made[bundle.Sum([]byte(d.text))] = d.text
		}
	}
}

// checkPlaces says that each line of the student's is still in the file in
// which it was, or in the one to which the course renamed that, or in one that
// had to make way and says so.
func (m *model) checkPlaces(c *checking) {
	have := c.have
	for t, where := range c.had {
		if m.excused[t] || t[0] != 'm' {
			continue
		}
		for _, p := range where {
			if !m.mayLeave(c, p, t, have[t]) {
				m.fail("%s was in %q; now it is in %q", t, p, have[t])
			}
		}
	}
}

// mayLeave says whether a line may not be where it was any more.
func (m *model) mayLeave(c *checking, p, t string, now []string) bool {
	q, inside := strings.CutPrefix(p, c.folder+"/")
	folder := m.here
	switch {
	case slices.Contains(now, p), strings.HasPrefix(p, ".satchel/"):
		return true
	case inside && slices.Contains(now, folder+"/"+q):
		return true // the folder was renamed
	case c.res != nil && c.restore, m.how.All:
		return len(now) > 0
	}
	for _, n := range now {
		if strings.Contains(n, "(my copy)") {
			return true
		}
	}
	if c.table == nil || !inside {
		return strings.Contains(p, "(my copy)") || c.table == nil && len(now) > 0
	}
	for to := range c.table.newest { // renamed by the course
		if c.table.last[to] == nil && slices.Contains(now, folder+"/"+to) {
			return true
		}
	}
	k := c.cells[q]
	if k.student == "run only" || k.student == "former" {
		return len(now) > 0 // outputs of cells that went, or former bytes, on the shelf
	}
	return k.policy == bundle.Replace && len(now) > 0
}

// checkOutcomes holds each path to its cell.
func (m *model) checkOutcomes(c *checking, after map[string]thing) {
	for p, k := range c.cells {
		n, has := c.table.newest[p]
		empty := has && n.Size == 0 && k.course != "unchanged" // any other empty file may have been moved there
		if c.held[p] || c.merges[p] && k.student != "untouched" || m.undone || empty {
			continue
		}
		if m.damaged && k.student == "deleted twice" {
			continue // with a former name of the folder it is started over
		}
		if bad := m.cameOf(c, p, k, after); bad != "" {
			m.fail("%q, %v: %s; it was\n%.2000q\nand is\n%.2000q", p, k, bad, c.table.disk[p].text, after[p].text)
		}
	}
}

func (m *model) cameOf(c *checking, p string, k tableCell, after map[string]thing) string {
	d := after[p]
	switch k.outcome() {
	case "newest":
		n := c.table.newest[p]
		if d.kind != "file" || bundle.Sum([]byte(d.text)) != n.Digest {
			return "it is not the newest"
		}
	case "same":
		if was := c.table.disk[p]; was.kind != d.kind || was.text != d.text {
			return "it is not what it was"
		}
	case "lines":
		return m.lines(p, c.table.disk[p].text, d.text, m.contents[c.table.last[p].Digest])
	case "nothing":
		if d.kind == "file" {
			return "it is there"
		}
	}
	return ""
}

// lines says that a merged file has each line that the student added, and of a
// text none that they deleted.
func (m *model) lines(p, mine, merged, base string) string {
	have := mineIn(merged)
	for _, t := range mineIn(mine) {
		if !slices.Contains(have, t) {
			return "it lacks " + t
		}
	}
	for _, t := range themIn(base) {
		if !isNotebook(p) && !strings.Contains(mine, t) && strings.Contains(merged, t) {
			return "deleted by the student, and back: " + t
		}
	}
	return ""
}

// checkEvents says that what is told is so: the course's file lies where it is
// said to lie, and so does the student's.
func (m *model) checkEvents(c *checking, after map[string]thing) {
	for _, e := range c.res.Events {
		other := e.Other
		if !e.Outside && e.Other != "" {
			other = m.here + "/" + e.Other
		}
		bad := false
		switch e.Kind {
		case Kept, SameLines, InTheWay, Blocked:
			text, ok := m.files[e.Path]
			bad = ok && after[other].text != text
		case MovedAside:
			bad = after[other].kind == ""
		case Saved, Restored:
			bad = c.table != nil && after[other].text != c.table.disk[e.Path].text && e.Other != ""
		case Returned:
			bad = after[m.here+"/"+e.Path].text != m.files[e.Path]
		case Failed, NoSpace:
			bad = true
		}
		if bad {
			m.fail("%s of %q is not so: %.300q lies in %q", e.Kind, e.Path, after[other].text, other)
		}
	}
}

// checkUntouched says that what the student never had a hand in is the newest,
// and has its permissions.
func (m *model) checkUntouched(after map[string]thing) {
	for p, text := range m.files {
		if m.touched[p] || m.policies[p] == bundle.Once || slices.Contains(m.gone, m.channelOf(p)) {
			continue
		}
		d := after[p]
		if d.kind != "file" || d.text != text {
			m.fail("%q was not touched, and is not the newest: %v", p, d)
		}
		if want := m.permOf(p); d.perm != want {
			m.fail("%q was not touched, and has %v; want %v", p, d.perm, want)
		}
	}
}

func (m *model) channelOf(p string) string {
	if id := m.channel[p]; id != "" {
		return id
	}
	return "main"
}

func (m *model) permOf(p string) os.FileMode {
	mode := os.FileMode(0o644)
	if k := m.modes[p]; k != 0 {
		mode = os.FileMode(k)
	}
	if m.policies[p] == bundle.ReadOnly {
		mode &^= 0o222
	}
	return mode
}
