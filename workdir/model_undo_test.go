package workdir

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"satchel/bundle"
)

// passed is the last sync that changed something, as undo is to take it back.
type passed struct {
	id            string
	before, after map[string]thing // of the course's folder
	aside         []string         // what had to make way: undo leaves it there
}

// noteLast remembers what the last pass did, if it is another than before.
func (m *model) noteLast(c *checking, id string, after map[string]thing) {
	if id == "" || m.last != nil && m.last.id == id {
		return
	}
	m.last = &passed{id: id, before: c.table.disk, after: after}
	for _, e := range c.res.Events {
		if e.Kind == MovedAside || e.Kind == FolderRenamed {
			m.last.aside = append(m.last.aside, e.Path)
		}
	}
	if m.raced || c.late || m.how.Mode == Session {
		m.last.before = nil // nobody knows exactly what was before
	}
}

// undo takes the last pass back, and sometimes takes that back.
func (m *model) undo() {
	for range 1 + m.n(2) {
		more := m.lastPass().Version != m.version // what comes back is not the newest
		if m.chance(20) {
			more = true
			m.studentAtRandom()
		}
		c := m.look()
		res, err := m.with(func(course *Course) (*Plan, error) {
			p, err := course.PlanUndo(m.ctx)
			if err == nil && len(p.wanted) > 0 {
				m.did("undo, bytes gone")
				m.log("undo: at hand no more: %v", p.wanted)
				p.wanted = nil
			}
			return p, err
		})
		if errors.Is(err, ErrNothingToUndo) {
			return
		}
		if err != nil {
			m.fail("undo: %v", err)
		}
		m.did("undo")
		m.log("undo: %s", strings.Join(res.kinds(), "; "))
		c.res = res
		m.check(c, false)
		m.checkUndone(c)
		m.undone = true
		m.touchAll()
		if more {
			m.pass("start")
		}
		m.again()
	}
	if m.chance(50) {
		m.how.All = true
		m.pass("all")
		m.undone = false
		m.again()
	}
}

// checkUndone says that each file that the last pass changed, and nobody since,
// is what it was before, or is named as one that is not.
func (m *model) checkUndone(c *checking) {
	l, now, named := m.last, inFolder(m.home(), m.here), map[string]bool{}
	was := inFolder(c.before, c.folder)
	m.last = nil
	for _, e := range c.res.Events {
		named[e.Path] = named[e.Path] || e.Kind == NotUndone
	}
	if l == nil || l.before == nil {
		return
	}
	for p := range m.first {
		b, a := l.before[p], l.after[p]
		if b == a || was[p] != a || named[p] || b.kind != "" && b.kind != "file" || l.besideAside(p) {
			continue
		}
		if b.kind == "file" && m.isWithdrawn(p, bundle.Sum([]byte(b.text))) {
			continue
		}
		if d := now[p]; d.kind == "folder" && b.kind == "" && within(now, p) {
			continue // the student put something into what the course had made
		} else if d.kind != b.kind || d.text != b.text {
			m.fail("undo left %q: it was %s\n%.500q\nand is %s\n%.500q", p, b.kind, b.text, d.kind, d.text)
		}
	}
	m.did("undo, exactly")
	if len(named) == 0 {
		m.last = &passed{id: m.lastPass().ID, before: was, after: now, aside: l.aside}
	}
}

// within says whether something lies in a folder.
func within(all map[string]thing, folder string) bool {
	for p := range all {
		if strings.HasPrefix(p, folder+"/") {
			return true
		}
	}
	return false
}

func (l *passed) besideAside(p string) bool {
	return slices.ContainsFunc(l.aside, func(q string) bool {
		return p == q || strings.HasPrefix(p, q+"/") || strings.HasPrefix(q, p+"/")
	})
}

func (m *model) restoreSome() {
	c := m.look()
	what, plan := m.restoring()
	res, err := m.with(plan)
	switch {
	case errors.Is(err, ErrNoVersion), errors.Is(err, ErrUnknownPath):
		m.log("restore %s: %v", what, err)
		return
	case err != nil:
		m.fail("restore %s: %v", what, err)
	}
	m.did("restore")
	m.log("restore %s: %s", what, strings.Join(res.kinds(), "; "))
	c.res, c.restore = res, true
	m.last = nil
	m.check(c, false)
	m.touchAll()
	m.again()
}

// restoring picks what is to be restored.
func (m *model) restoring() (what string, plan func(*Course) (*Plan, error)) {
	n := m.newest()
	var here []string
	for _, p := range sortedKeys(m.files) {
		if !slices.Contains(m.gone, m.channel[p]) {
			here = append(here, p)
		}
	}
	p := pickOf(m, here)
	switch m.n(4) {
	case 0:
		return "all", func(c *Course) (*Plan, error) { return c.PlanRestore(m.ctx, n) }
	case 1:
		v := bundle.Version(1 + m.n(int(m.version)))
		return fmt.Sprintf("%q version %d", p, v), func(c *Course) (*Plan, error) {
			plan, _, err := c.PlanRestoreVersion(m.ctx, n, p, v)
			return plan, err
		}
	}
	return fmt.Sprintf("%q", p), func(c *Course) (*Plan, error) { return c.PlanRestore(m.ctx, n, p) }
}

// syncNow is one whole pass; what the plan was made from goes to c.
func (m *model) syncNow(c *checking) *Result {
	h := m.open()
	defer h.Close()
	course, err := h.Course("scala101")
	if err != nil {
		m.fail("course: %v", err)
	}
	defer course.Close()
	n := m.newest()
	p, err := course.Plan(context.Background(), n, m.ask, m.how)
	if err != nil {
		m.fail("plan: %v", err)
	}
	m.decided(c, course, p, n)
	if err := m.fetch(course, p); err != nil {
		m.fail("fetch: %v", err)
	}
	course.stage.wait()
	m.openLate()
	c.late = m.late != nil
	res, err := course.Apply(context.Background(), p)
	if err == nil {
		err = course.Told()
	}
	if err != nil {
		m.fail("apply: %v", err)
	}
	c.res, c.lastPass = res, course.LastPass().ID
	m.here = course.rec.named.Folder
	return res
}
