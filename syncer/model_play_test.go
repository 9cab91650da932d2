package syncer

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/course"
	"satchel/store"
)

// model is one interleaving.
type model struct {
	t      testing.TB
	rng    *rand.Rand
	course *modelCourse
	site   *site
	branch string
	lg     *slog.Logger
	dir    string

	processes []*process
	actors    []*actor
	events    chan *actor // who came to a gate, or to its end
	last      *actor
	style     style
	kills     int // that may come
	seq       int // operations until now
	ids       int
	clock     time.Time

	tips    []tipAt
	journal []*landed
	calls   []*call
	steps   []string // what happened, in order
	tally   map[string]int
}

// style is how the scheduler chooses.
type style struct {
	stay   float64 // that the last actor goes on
	faulty float64 // that an operation goes wrong
	early  float64 // that who comes first in the list goes, as long as it can
}

// tipAt is where the branch was from operation seq on.
type tipAt struct{ seq, state int }

// process is one Syncer. dead: it was killed, and does nothing more.
type process struct {
	y     *Syncer
	state string
	dead  bool
	busy  bool // with a pass or a command: those of one course wait for each other
}

// actor does one thing after the other: passes of a loop, a person's commands,
// pushes.
type actor struct {
	in   *model
	name string
	at   int // its process
	todo []*call
	call *call // now
	next string
	soft bool // the operation may go wrong
	wait bool // it needs its process's turn
	done bool
	go_  chan verdict
}

type verdict int

const (
	goOn verdict = iota
	failNothing
	failKept
	dieBefore
	dieAfter
)

func (v verdict) String() string {
	return []string{"", ": failed, nothing stored", ": failed, yet stored", ": killed before", ": killed after"}[v]
}

type actorKey struct{}

func actorOf(ctx context.Context) *actor {
	a, _ := ctx.Value(actorKey{}).(*actor)
	return a
}

// gate waits until the scheduler says that it is this actor's turn.
func (a *actor) gate(what string, soft bool) verdict {
	a.next, a.soft = what, soft
	a.in.events <- a
	return <-a.go_
}

// playInterleaving plays what follows from the seed, and says what is wrong with it.
func playInterleaving(t testing.TB, c *modelCourse, branch string, key bundle.SigningKey, seed uint64) (m *model, bad string) {
	m = &model{
		t: t, rng: rand.New(rand.NewPCG(seed, 7)), course: c, branch: branch, lg: slog.New(slog.DiscardHandler),
		events: make(chan *actor), clock: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), tally: map[string]int{},
	}
	var err error
	if m.dir, err = os.MkdirTemp(modelDir(), "syncer-model-"); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(m.dir)
	dir, err := store.NewDir(filepath.Join(m.dir, "store"))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	m.site = &site{t: t, st: dir, key: key, repo: c.repo}
	m.site.c = course.Course{Name: "scala101", Repository: c.repo.dir, Branch: branch}
	for i := range 2 {
		m.processes = append(m.processes, m.newProcess(filepath.Join(m.dir, fmt.Sprint("state", i))))
	}
	m.point(0)
	m.begin()
	m.cast()
	m.run()
	m.end()
	return m, m.judge()
}

func (m *model) now() time.Time {
	m.clock = m.clock.Add(time.Millisecond)
	return m.clock
}

func (m *model) keys() []bundle.SigningKey { return []bundle.SigningKey{m.site.key} }

func (m *model) newID() string {
	m.ids++
	return fmt.Sprintf("id%08d", m.ids)
}

// point moves the branch.
func (m *model) point(state int) {
	m.course.point(m.t, m.branch, state)
	m.tips = append(m.tips, tipAt{m.seq, state})
}

// run lets the actors go until all have ended.
func (m *model) run() {
	for _, a := range m.actors {
		go a.live()
		<-m.events
	}
	for {
		a := m.choose()
		if a == nil {
			break
		}
		m.last = a
		m.seq++
		v := m.verdict(a)
		m.steps = append(m.steps, fmt.Sprintf("%4d %s: %s%s", m.seq, a.name, a.next, v))
		a.go_ <- v
		if heard := <-m.events; heard != a {
			panic(fmt.Sprintf("%s came, and it was %s's turn", heard.name, a.name))
		}
	}
	m.actors = nil
}

// choose gives who goes next; nil when all have ended.
func (m *model) choose() *actor {
	var can []*actor
	for _, a := range m.actors {
		if !a.done && !(a.wait && m.processes[a.at].busy) {
			can = append(can, a)
		}
	}
	switch p := m.rng.Float64(); {
	case len(can) == 0:
		return nil
	case p < m.style.stay && slices.Contains(can, m.last):
		return m.last
	case p < m.style.stay+m.style.early:
		return can[0]
	}
	return can[m.rng.IntN(len(can))]
}

// verdict says how the operation goes.
func (m *model) verdict(a *actor) verdict {
	if a.call != nil && a.call.process != nil && a.call.process.dead {
		return dieBefore
	}
	if !a.soft || m.rng.Float64() >= m.style.faulty {
		return goOn
	}
	v := verdict(1 + m.rng.IntN(4))
	if v >= dieBefore && m.kills == 0 {
		v -= 2
	}
	m.tally["faults"]++
	a.call.faults++
	if v >= dieBefore {
		m.kills--
		m.tally["kills"]++
		m.kill(a.at)
	}
	return v
}

// kill ends a process at once, with all that it does, and starts another.
func (m *model) kill(at int) {
	old := m.processes[at]
	old.dead = true
	for _, a := range m.actors {
		if a.call != nil && a.call.process == old {
			a.call.died = true
		}
	}
	m.processes[at] = m.newProcess(old.state)
}

// live does one call after the other.
func (a *actor) live() {
	m := a.in
	for _, c := range a.todo {
		a.wait = c.turn()
		a.gate("begin "+c.String(), false)
		a.wait, a.call = false, c
		if c.kind != "push" && c.kind != "clock" {
			c.process = m.processes[a.at]
		}
		if c.turn() {
			c.process.busy = true
		}
		c.began = m.seq
		m.calls = append(m.calls, c)
		m.do(context.WithValue(context.Background(), actorKey{}, a), c)
		c.ended = m.seq
		if c.turn() {
			c.process.busy = false
		}
		a.call = nil
		m.steps = append(m.steps, fmt.Sprintf("     %s: %s", a.name, c.answer()))
	}
	a.done = true
	m.events <- a
}

// alone does a call while nothing else happens.
func (m *model) alone(at int, c *call) *call {
	m.actors = []*actor{{in: m, name: "alone", at: at, todo: []*call{c}, go_: make(chan verdict)}}
	m.run()
	return c
}

func modelDir() string {
	if s, err := os.Stat("/dev/shm"); err == nil && s.IsDir() {
		return "/dev/shm"
	}
	return ""
}
