package workdir

import (
	"fmt"
	"slices"
	"strings"

	"satchel/bundle"
)

// plot brings one path into one cell: its acts, a round each. The last round
// is the one that is counted.
type plot struct {
	tableCell
	m      *model
	folder string // of its own, but sometimes the course's
	p      string
	own    string // a channel of its own
	former string // a content of before; "": the first
	rounds []func()
	tries  int // how often its cell was aimed at before
	had    int // how often its cell was reached before its last round
}

// extensions that a cell can be played with.
func (c tableCell) extensions() []string {
	switch {
	case c.student == "run only":
		return []string{".ipynb"}
	case c.student == "former" || c.course == "changed" || c.course == "back, changed" || c.student == "equal":
		return []string{".txt", ".ipynb", ".scala", ".png"}
	}
	all := []string{".txt", ".ipynb", ".ipynb", ".md", ".scala", ".png", ".empty"}
	if c.course == "renamed" || c.course == "similar" {
		return all[:6] // all empty files are equal
	}
	return all
}

var oddStems = []string{"new\nline", "\x1b[31mred", `"quoted" 'name'`, "lab (course v2)", "lab (my copy)", "ñandú", "-rf", "a b", "Lab", "lab", ".hidden",
	strings.Repeat("long ", 49) + "x", strings.Repeat("é", 124)}

// newName is a name that no plot has in this folder.
func (m *model) newName(folder, ext string) string {
	for {
		m.names++
		stem := "f" + string(rune('a'+m.names%26)) + string(rune('a'+m.names/26%26))
		if m.chance(25) {
			stem = pickOf(m, oddStems)
		}
		name := stem + ext
		p := join(folder, name)
		if len(name) > bundle.MaxName || m.taken[p] || bundle.CheckPath(p) != nil {
			continue
		}
		m.taken[p] = true
		return p
	}
}

func (m *model) newFolder() string {
	if m.chance(12) {
		return "hw" // several plots share it
	}
	return m.newName(pickOf(m, []string{"", "", "deep/er"}), "")
}

func (m *model) newPlot(c tableCell) *plot {
	folder := m.newFolder()
	l := &plot{tableCell: c, m: m, folder: folder}
	m.names++
	l.own = fmt.Sprintf("by%d", m.names)
	ext := pickOf(m, c.extensions())
	if c.course == "folder to file" || c.student == "blocked" {
		m.taken[join(folder, "sub")] = true
		folder = m.newName(folder, "")
		l.p = m.newName(folder, ext)
	} else {
		l.p = m.newName(folder, ext)
	}
	l.setUp()
	l.rounds = append(l.rounds, l.last)
	return l
}

// setUp plans the rounds before the last.
func (l *plot) setUp() {
	l.round(func() {
		l.m.put(join(l.folder, "keep.md"), "")
		if l.course != "added" && l.student != "own" {
			l.m.put(l.p, l.policy)
			l.channel()
		}
	})
	switch l.student {
	case "former", "run only":
		l.beforeFormer()
	case "deleted twice":
		l.round(func() { l.m.delete(l.p) })
	case "own":
		l.beforeOwn()
	}
	if l.course == "came back" || l.course == "back, changed" {
		l.round(func() { l.m.leave(l.own, true) })
	}
}

func (l *plot) round(do func()) { l.rounds = append(l.rounds, do) }

func (l *plot) channel() {
	if l.course == "left" || l.course == "came back" || l.course == "back, changed" {
		l.m.channel[l.p] = l.own
	}
}

func (l *plot) beforeFormer() {
	switch {
	case l.course == "added":
		l.round(func() { l.m.put(l.p, l.policy) })
		l.round(func() { l.m.drop(l.p) })
	case l.student == "former":
		l.round(func() { l.m.change(l.p) })
		if l.policy == bundle.Once { // the first is what lies there
			l.round(func() { l.former = l.m.files[l.p]; l.m.asAtFirst(l.p) })
		}
	}
}

// beforeOwn has the student's own file there before the course's. Under the
// policy replace it would make way, so that comes later.
func (l *plot) beforeOwn() {
	if l.course == "added" {
		return
	}
	l.round(func() {
		l.m.save(l.p, l.m.changed(l.p, l.m.content(l.p), "mine"))
		l.m.put(l.p, "")
		l.channel()
	})
	if l.policy != bundle.Merge {
		l.round(func() { l.m.policies[l.p], l.m.published = l.policy, true })
	}
}

// last is the round that is counted: the student's act and the course's.
func (l *plot) last() {
	former := l.former
	if former == "" {
		former = l.m.first[l.p]
	}
	if l.m.chance(50) {
		l.studentActs(former)
		l.courseActs()
	} else {
		l.courseActs()
		l.studentActs(former)
	}
}

func (l *plot) studentActs(former string) {
	m, p := l.m, l.p
	switch l.student {
	case "edited":
		m.edit(p)
	case "equal":
		l.equal()
	case "own":
		if l.course == "added" {
			m.save(p, m.changed(p, m.content(p), "mine"))
		} else if m.chance(50) {
			m.edit(p)
		}
	case "deleted", "deleted twice":
		m.delete(p)
	case "started over":
		m.startOver(l.overFolder())
	case "folder", "link", "fifo":
		m.other(p, l.student)
	case "run only":
		m.runNotebook(p, former)
	case "former":
		m.save(p, former)
	case "blocked":
		folder, _ := split(p)
		m.other(folder, pickOf(m, []string{"file", "link"}))
	case "own inside":
		folder, _ := split(p)
		m.save(join(folder, "own.txt"), m.line("mine"))
	}
	if l.course == "folder to file" && l.student == "link" {
		folder, _ := split(p)
		m.other(folder, "link")
	}
}

// overFolder is the folder that is thrown away for a new start.
func (l *plot) overFolder() string {
	folder, _ := split(l.p)
	return folder
}

// equal has both make the same file.
func (l *plot) equal() {
	m := l.m
	if l.course == "added" {
		m.put(l.p, l.policy)
		m.save(l.p, m.files[l.p])
		return
	}
	if _, ok := m.files[l.p]; ok {
		m.change(l.p)
		m.save(l.p, m.files[l.p])
	}
}

func (l *plot) courseActs() {
	m, p := l.m, l.p
	text, has := m.files[p]
	if !has && l.course != "added" {
		return
	}
	switch l.course {
	case "changed":
		if l.student != "equal" {
			m.change(p)
		}
	case "added":
		if l.student != "equal" {
			m.put(p, l.policy)
		}
	case "deleted":
		m.drop(p)
	case "renamed", "similar":
		l.rename(text)
	case "file to folder":
		m.drop(p)
		m.put(join(p, "in.txt"), l.policy)
	case "folder to file":
		folder, _ := split(p)
		m.dropBelow(folder)
		m.put(folder, l.policy)
	case "mode only":
		m.modes[p], m.published = 0o755+0o644-max(m.modes[p], 0o644), true
	case "withdrawn":
		m.drop(p)
		m.withdrawNow(p, text)
	case "left":
		m.leave(l.own, true)
	case "other channel":
		m.channel[p], m.published = pickOf(m, []string{"second", "third"}), true
	case "came back":
		m.leave(l.own, false)
	case "back, changed":
		m.leave(l.own, false)
		m.change(p)
	}
}

func (l *plot) rename(text string) {
	m := l.m
	_, name := split(l.p)
	ext := name[strings.LastIndexByte(name, '.'):]
	folder := l.folder
	if m.chance(40) {
		folder = "moved"
	}
	q := m.newName(folder, ext)
	if l.course == "similar" {
		text = m.changed(l.p, text, "them")
	}
	policy := m.policies[l.p]
	m.drop(l.p)
	m.files[q], m.policies[q] = text, policy
	if l.course == "similar" || m.chance(50) {
		m.renamed[q] = l.p
	}
}

// The course's hands.

// clear makes room in the course's tree for a file at p.
func (m *model) clear(p string) {
	for q := range m.files {
		if strings.HasPrefix(q, p+"/") || strings.HasPrefix(p, q+"/") {
			m.drop(q)
		}
	}
}

// put makes p a new file of the course.
func (m *model) put(p string, policy bundle.Policy) {
	if _, ok := m.files[p]; ok {
		return
	}
	m.clear(p)
	m.files[p], m.policies[p], m.published = m.content(p), policy, true
	m.log("course: new %q (%s)", p, policy)
}

func (m *model) change(p string) {
	text, ok := m.files[p]
	if !ok {
		return
	}
	next := m.changed(p, text, "them")
	if m.chance(15) {
		next = m.content(p) // all anew
	}
	if m.isWithdrawn(p, bundle.Sum([]byte(next))) {
		return
	}
	m.files[p], m.published = next, true
	m.log("course: changes %q", p)
}

func (m *model) drop(p string) {
	if _, ok := m.files[p]; !ok {
		return
	}
	delete(m.files, p)
	m.published = true
	m.log("course: drops %q", p)
}

func (m *model) dropBelow(folder string) {
	for _, p := range sortedKeys(m.files) {
		if strings.HasPrefix(p, folder+"/") {
			m.drop(p)
		}
	}
}

func (m *model) withdrawNow(p, text string) {
	pair := bundle.Pair{Path: p, Digest: bundle.Sum([]byte(text))}
	if !slices.Contains(m.withdraw, pair) {
		m.withdraw = append(m.withdraw, pair)
	}
	m.published = true
	m.log("course: withdraws %q", p)
}

func (m *model) isWithdrawn(p string, d bundle.Digest) bool {
	return slices.Contains(m.withdraw, bundle.Pair{Path: p, Digest: d})
}

// leave has the student lose a channel, or get it again.
func (m *model) leave(channel string, away bool) {
	m.gone = slices.DeleteFunc(m.gone, func(id string) bool { return id == channel })
	if away {
		m.gone = append(m.gone, channel)
	}
	m.published = true
	m.log("channel %q away: %v", channel, away)
}

// wasOnce says whether a path had a content at some version.
func (m *model) wasOnce(p string, d bundle.Digest) bool {
	for _, h := range m.history {
		for _, was := range h.At(p) {
			if was.Digest == d {
				return true
			}
		}
	}
	return false
}

// asAtFirst has the course go back to the first content of a path.
func (m *model) asAtFirst(p string) {
	first, ok := m.first[p]
	if now, there := m.files[p]; !ok || !there || now == first || m.isWithdrawn(p, bundle.Sum([]byte(first))) {
		return
	}
	m.files[p], m.published = first, true
	m.log("course: %q is what it was at first", p)
}
