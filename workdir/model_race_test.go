package workdir

import (
	"os"
	"strings"
	"sync"

	"satchel/bundle"
)

// race is a sync in the middle of which an editor saves, deletes, renames. It
// happens before the n-th change of the disk by the sync itself; those by the
// helpers that stage and keep bytes come in no certain order, and do not count.
func (m *model) race() {
	at := 1 + m.n(40)
	what := m.n(6)
	old := m.do
	hands := *old
	m.do = &hands
	var mu sync.Mutex
	step := 0
	m.do.before = func(op, name string) error {
		mu.Lock()
		defer mu.Unlock()
		if op == "fsync" || op == "sync" || op == "append" || byHelpers(name) {
			return nil
		}
		if step++; step == at {
			m.raced = true
			m.did("raced")
			m.editor(what, op, name)
		}
		return nil
	}
	m.lateText = "?"
	if what < 5 {
		m.lateText = ""
	}
	m.pass("raced")
	old.noExchange, old.noReplace, old.noLink = hands.noExchange, hands.noReplace, hands.noLink
	m.do, m.raced = old, false
}

func byHelpers(name string) bool {
	_, err := bundle.ParseDigest(name)
	return err == nil || strings.HasPrefix(name, "part-") || strings.HasPrefix(name, "new-")
}

// editor is one act in the middle of a sync: at the path that the sync is busy
// with, as far as its name tells.
func (m *model) editor(what int, op, name string) {
	p := pickOf(m, sortedKeys(m.files))
	for _, q := range sortedKeys(m.files) {
		if _, base := split(q); base == name {
			p = q
		}
	}
	m.log("editor, before a %s, at %q:", op, p)
	switch what {
	case 0, 1, 2:
		m.edit(p)
	case 3:
		m.delete(p)
	case 4:
		if _, err := os.Lstat(m.at(p)); err != nil {
			m.other(p, "folder")
		}
	case 5:
		m.save(p, m.changed(p, m.content(p), "mine"))
	}
}

// openLate opens a file of the course as an editor does that will write into
// it after the sync.
func (m *model) openLate() {
	if m.lateText != "?" {
		return
	}
	p := pickOf(m, sortedKeys(m.files))
	data, err := readRegular(m.at(p))
	if err != nil || m.isWithdrawn(p, bundle.Sum(data)) {
		m.lateText = ""
		return
	}
	f, err := os.OpenFile(m.at(p), os.O_WRONLY, 0)
	if err != nil {
		m.lateText = ""
		return
	}
	m.touch(p)
	m.late, m.latePath, m.lateText = f, p, m.changed(p, string(data), "mine")
	m.log("editor: has %q open, and will write %v", p, mineIn(m.lateText))
}

// closeLate has the editor give up a file that the student saves by another
// one: which of the two should win, only the student knows.
func (m *model) closeLate(p string) {
	if m.late != nil && m.latePath == p {
		m.late.Close()
		m.late, m.lateText = nil, ""
	}
}

// writeLate writes after the sync what an editor had in hand before.
func (m *model) writeLate(c *checking) {
	if m.late == nil {
		return
	}
	c.known[m.lateText] = true
	m.saved = append(m.saved, mineIn(m.lateText)...)
	m.did("late bytes")
	_ = m.late.Truncate(0)
	_, _ = m.late.WriteAt([]byte(m.lateText), 0)
	m.late.Close()
	m.late, m.lateText = nil, ""
}

// checkRaced says that what an editor saved in the middle of a sync, or late, is
// back among the student's files.
func (m *model) checkRaced() {
	if len(m.saved) == 0 {
		return
	}
	have := mineWhere(m.after)
	for _, t := range m.saved {
		if !m.excused[t] && ownOnly(have[t]) {
			m.fail("%s was saved during a sync, and is only in %q", t, have[t])
		}
	}
	m.saved = nil
}
