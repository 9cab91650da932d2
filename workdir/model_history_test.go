package workdir

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"satchel/bundle"
)

// model is a course and a student in one history.
type model struct {
	*world
	*tally
	r         *rand.Rand
	seed      uint64
	steps     []string
	tokens    int
	names     int
	here      string            // the course's folder as Satchel knows it
	aimed     map[string]bool   // paths with which something is planned now
	taken     map[string]bool   // paths that a plot has
	first     map[string]string // the first content of each path
	published bool              // the course changed since the last version
	plots     []*plot
	touched   map[string]bool          // paths at which the student did something, or that an undo held
	excused   map[string]bool          // lines that the student took away, or the course has by now
	shelved   map[string]time.Duration // lines that lie on the shelf or in the hold alone, since when
	age       time.Duration            // counted as the shelf's clock counts
	ticked    time.Time
	raced     bool   // an editor saved something during the sync
	backup    string // a copy of the home, "" where there is none
	last      *passed
	after     map[string]thing // the home after the last check
	saved     []string         // lines that an editor wrote during a sync
	damaged   bool             // the next sync may tell again what was told
	undone    bool             // something may be held back by an undo
	late      *os.File
	latePath  string
	lateText  string
}

func newModel(t testing.TB, root string, seed uint64) *model {
	m := &model{
		world: newWorldAt(t, root), tally: newTally(), r: rng(seed), seed: seed,
		taken: map[string]bool{"hw": true}, first: map[string]string{}, aimed: map[string]bool{}, touched: map[string]bool{},
		excused: map[string]bool{}, shelved: map[string]time.Duration{},
	}
	m.now = modelDay()
	if m.chance(45) {
		m.do = poorHands()
		m.do.noLink = m.chance(30)
	}
	m.framed = seed%2 == 1
	m.do.names, m.unsure = namesOf(seed), true // how fast this machine is must not matter
	return m
}

// namesOf gives the names that a sync makes up: holds are settled in their
// order. Helpers that run beside each other take some, but always as many.
func namesOf(seed uint64) func() string {
	r, mu := rng(^seed), sync.Mutex{}
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return fmt.Sprintf("%016x", r.Uint64())
	}
}

func (m *model) log(f string, a ...any) { m.steps = append(m.steps, fmt.Sprintf(f, a...)) }

func (m *model) fail(f string, a ...any) { panic(broken(fmt.Sprintf(f, a...))) }

func (m *model) did(what string) { m.acts[what]++ }

// perHistory is how many cells of the table each history aims at. A sync looks
// at every file, so that many short histories see more in a minute than a few
// long ones; one in longOnes is long, for what needs many files.
const (
	perHistory = 5
	longOnes   = 20
	inLongOnes = 12 // more, of any cells
)

func (m *model) play() {
	m.log("poor filesystem: %v, without links: %v", m.do.noExchange, m.do.noLink)
	m.plantCanaries()
	for i := range perHistory {
		at := (m.seed*perHistory + uint64(i)) % uint64(len(tableCells))
		m.plots = append(m.plots, m.newPlot(tableCells[at]))
	}
	if m.seed%longOnes == 0 {
		for range inLongOnes {
			m.plots = append(m.plots, m.newPlot(pickOf(m, tableCells)))
		}
	}
	m.r.Shuffle(len(m.plots), func(i, j int) { m.plots[i], m.plots[j] = m.plots[j], m.plots[i] })
	m.put("keep.md", "")
	waiting := m.plots
	var active []*plot
	more := m.n(3)
	for round := 1; len(waiting)+len(active) > 0 || more > 0; round++ {
		if len(waiting)+len(active) == 0 {
			more--
		}
		m.log("round %d", round)
		n := min(len(waiting), 2+m.n(5))
		active, waiting = append(active, waiting[:n]...), waiting[n:]
		done := m.act(active)
		active = slices.DeleteFunc(active, func(l *plot) bool { return len(l.rounds) == 0 })
		m.randomActs()
		m.round()
		waiting = append(waiting, m.onceMore(done)...)
	}
}

// act plays the next round of each plot, and gives those of which it was the
// last.
func (m *model) act(active []*plot) (done []*plot) {
	clear(m.renamed)
	clear(m.aimed)
	for _, l := range active {
		m.aimed[l.p] = true
		l.rounds[0]()
		if l.rounds = l.rounds[1:]; len(l.rounds) == 0 {
			l.had = m.cells[l.tableCell]
			done = append(done, l)
			m.log("aims at %v: %q", l.tableCell, l.p)
		}
	}
	return done
}

// maxTries is how often a history aims at one cell.
const maxTries = 6

// onceMore plans those anew that did not reach their cells: an accident, a
// random act or a pass during a session came first.
func (m *model) onceMore(done []*plot) (out []*plot) {
	for _, l := range done {
		if m.cells[l.tableCell] == l.had && l.tries+1 < maxTries {
			m.did("plots played anew")
			again := m.newPlot(l.tableCell)
			again.tries = l.tries + 1
			out = append(out, again)
		}
	}
	return out
}

// randomActs are what nobody planned.
func (m *model) randomActs() {
	for range m.n(3) {
		if m.chance(50) {
			m.courseAtRandom()
		} else {
			m.studentAtRandom()
		}
	}
	if m.chance(50) {
		m.accident()
	}
}

func (m *model) courseAtRandom() {
	p := m.anyPath()
	if m.chance(60) || p == "keep.md" {
		m.change(p)
		return
	}
	switch m.n(6) {
	case 0:
		m.drop(p)
	case 1:
		m.policies[p], m.published = pickOf(m, policies), true
		m.log("course: policy of %q is %s", p, m.policies[p])
	case 2:
		m.lie()
	case 3:
		text := m.files[p]
		m.drop(p)
		m.withdrawNow(p, text)
		m.withdraw = slices.DeleteFunc(m.withdraw, func(w bundle.Pair) bool { return text == "" && w.Path == p })
	case 4:
		m.asAtFirst(p)
	case 5:
		m.folder, m.published = pickOf(m, []string{"scala", "scala", "course", "Scala ñ"}), true
		m.log("course: the folder is to be %q", m.folder)
	}
}

// anyPath is a path of the course, seldom one with which something is planned.
func (m *model) anyPath() string {
	paths := sortedKeys(m.files)
	for range 4 {
		p := pickOf(m, paths)
		if !m.aimed[p] || m.chance(15) {
			return p
		}
	}
	return "keep.md"
}

// lie adds a hint that is not true.
func (m *model) lie() {
	if len(m.first) == 0 {
		return
	}
	p, q := pickOf(m, sortedKeys(m.files)), pickOf(m, sortedKeys(m.first))
	m.renamed[p] = q
	m.log("course: says that %q was %q", p, q)
}

// accident is what happens to homes.
func (m *model) accident() {
	own := filepath.Join(m.root, ".satchel")
	switch k := m.n(40); {
	case k == 0:
		m.log("the journal is lost")
		m.lost(os.Remove(filepath.Join(own, "scala101/journal")))
	case k == 1:
		if data, err := os.ReadFile(filepath.Join(own, "scala101/journal")); err == nil {
			m.log("the journal is cut off")
			m.lost(os.WriteFile(filepath.Join(own, "scala101/journal"), m.cutOff(data), 0o600))
		}
	case k == 2:
		m.log(".satchel is lost")
		m.excuseBelow(own)
		m.lost(os.RemoveAll(own))
	case k == 3 && m.backup == "" || k == 11 && m.backup == "":
		m.log("a backup is made")
		m.backup = m.root + ".backup"
		copyHome(m.t, m.root, m.backup)
	case (k == 4 || k == 3 || k == 11) && m.backup != "":
		m.log("the home is restored from the backup")
		m.did("backup restored")
		m.excuseBelow(m.root)
		m.remove2(m.root)
		copyHome(m.t, m.backup, m.root)
		m.touchAll()
		m.here, m.last, m.damaged = m.state().Folder, nil, true
	case k == 5:
		m.startOver("")
	case k < 10:
		m.timeGoes(pickOf(m, []time.Duration{200 * 24 * time.Hour, 8 * 24 * time.Hour, 40 * 24 * time.Hour, -3 * time.Hour}))
	}
}

// cutOff is a journal without its end. How long a line is depends on inodes
// and times: a history counts lines.
func (m *model) cutOff(journal []byte) []byte {
	lines := bytes.SplitAfter(journal, []byte("\n"))
	at := m.n(len(lines))
	last := lines[at][:len(lines[at])*m.n(4)/4]
	return append(bytes.Join(lines[:at], nil), last...)
}

// lost is after an accident in which what was delivered is forgotten.
func (m *model) lost(error) {
	m.touchAll()
	m.here, m.last, m.damaged = m.state().Folder, nil, true
	m.did("state lost or damaged")
}

func (m *model) timeGoes(d time.Duration) {
	m.now = m.now.Add(d)
	m.log("%v go by", d)
}

// round publishes, and syncs in one way or another; it ends with a start.
func (m *model) round() {
	if m.published {
		m.version++
		m.published = false
	}
	m.remember()
	m.timeGoes(time.Duration(1+m.n(40)) * time.Minute)
	switch k := m.n(100); {
	case k < 15:
		m.how.Mode = Session
		m.pass("session")
	case k < 20:
		m.how.Since = m.now.Add(-time.Hour)
		m.pass("since")
	case k < 35: // as at a login: what is new, and then everything
		m.how.Step = true
		m.pass("step")
	case k < 55:
		m.race()
		m.timeGoes(15 * time.Minute)
		m.pass("start")
		m.timeGoes(15 * time.Minute)
	}
	m.pass("start")
	m.again()
	m.checkRaced()
	switch k := m.n(100); {
	case k < 8:
		m.undo()
	case k < 16:
		m.restoreSome()
	}
}

// remember notes what the course has now.
func (m *model) remember() {
	for p, text := range m.files {
		if _, ok := m.first[p]; !ok {
			m.first[p] = text
			m.inherits(p, bundle.Sum([]byte(text)))
		}
		for _, t := range mineIn(text) {
			m.excused[t] = true
		}
	}
}

// inherits says of a new path that the student had a hand in it, where they
// had one in what stood above it or in a file that it may have been before.
func (m *model) inherits(p string, d bundle.Digest) {
	for q := range m.touched {
		if strings.HasPrefix(p, q+"/") || strings.HasPrefix(q, p+"/") || m.renamed[p] == q || m.wasOnce(q, d) {
			m.touched[p] = true
		}
	}
}

// pass is one sync, with everything looked at before and after.
func (m *model) pass(name string) *Result {
	m.did("syncs: " + name)
	start := name == "start"
	if m.how.Mode == Session && m.chance(50) {
		open := pickOf(m, sortedKeys(m.files))
		m.how.Open = func(p string) bool { return p == open }
	}
	c := m.look()
	res := m.syncNow(c)
	m.log("sync (%s) of version %d: %s", name, m.version, strings.Join(res.kinds(), "; "))
	m.check(c, start)
	m.how = How{}
	return res
}

// acting names what a plan does.
func acting(p *Plan) string {
	var out []string
	for _, a := range p.Actions() {
		out = append(out, fmt.Sprintf("%s %q %s was %+v mine %v %o", a.Verb, a.Path, a.Status, a.Was, a.Mine.Kind, a.Mine.Stat.perm))
	}
	return strings.Join(out, "; ")
}

// again is a second sync, which changes nothing and says nothing.
func (m *model) again() {
	before := m.after // of the check just now
	h := m.open()
	course, err := h.Course("scala101")
	if err != nil {
		m.fail("course: %v", err)
	}
	p, err := course.Plan(context.Background(), m.newest(), m.ask, How{})
	if err != nil {
		m.fail("second plan: %v", err)
	}
	m.fetched = nil
	if err := m.fetch(course, p); err != nil {
		m.fail("second fetch: %v", err)
	}
	res, err := course.Apply(context.Background(), p)
	if err == nil {
		err = course.Told()
	}
	m.here = course.rec.named.Folder
	course.Close()
	h.Close()
	switch {
	case err != nil:
		m.fail("second sync: %v", err)
	case len(res.Events) > 0 || res.Added+res.Changed+res.Removed > 0 || len(m.fetched) > 0:
		m.fail("the second sync did something: %v, %+v, by %s", res.kinds(), *res, acting(p))
	case !res.Complete:
		m.fail("the second sync is not complete: %+v", *res)
	}
	if d := diffThings(m.home(), before, false); d != "" {
		m.fail("the second sync changed:\n%s", d)
	}
	if s := m.state(); !s.Complete || s.Version != m.version {
		m.fail("version %d, complete %v; the course is at %d", s.Version, s.Complete, m.version)
	}
}
