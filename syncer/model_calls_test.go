package syncer

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"satchel/bundle"
	"satchel/store"
)

// call is one thing that an actor does, and what came of it.
type call struct {
	kind    string // loop, publish, pause, resume, rollback, withdraw, repair, compact, push, clock
	who     string
	confirm bool
	version bundle.Version
	path    string
	state   int // of a push
	by      time.Duration

	process      *process
	began, ended int // operations
	tips         []int
	faults       int
	died         bool
	out          Outcome
	taken        Withdrawal
	err          error
	landed       []*landed
}

func (c *call) String() string {
	s := c.kind
	switch c.kind {
	case "push":
		return fmt.Sprint(s, " ", c.state)
	case "clock":
		return fmt.Sprint(s, " ", c.by)
	case "rollback", "withdraw":
		s += fmt.Sprint(" ", c.path, c.version)
	}
	if c.confirm {
		s += " confirmed"
	}
	if c.who != "" {
		s += " by " + c.who
	}
	return s
}

// answer is what the actor was told.
func (c *call) answer() string {
	switch {
	case c.died:
		return c.String() + ": killed"
	case c.err != nil:
		return c.String() + ": " + strings.ReplaceAll(c.err.Error(), filepath.Dir(filepath.Dir(c.process.state)), "")
	case c.kind == "withdraw":
		return fmt.Sprintf("%s: version %d, done %v, %d pairs", c, c.taken.Version, c.taken.Done, len(c.taken.Pairs))
	}
	return fmt.Sprintf("%s: version %d, published %v, decided %v, pinned %v", c, c.out.Version, c.out.Published, c.out.Decided, c.out.Pinned)
}

// turn says whether the call waits for others of its process.
func (c *call) turn() bool { return c.kind != "push" && c.kind != "clock" && c.kind != "compact" }

// do does it with the real functions.
func (m *model) do(ctx context.Context, c *call) {
	m.tally[c.kind]++
	switch c.kind {
	case "push":
		m.point(c.state)
		return
	case "clock":
		m.clock = m.clock.Add(c.by)
		return
	}
	y, on := c.process.y, m.site.c
	cmd := Command{Course: string(on.Name), Who: c.who, Version: c.version, Path: c.path, Confirm: true}
	switch c.kind {
	case "loop", "publish":
		c.out, c.err = y.Sync(ctx, &on, Request{Course: cmd.Course, Who: c.who, ConfirmShrink: c.confirm})
	case "pause":
		c.out, c.err = y.Pause(ctx, &on, cmd)
	case "resume":
		c.out, c.err = y.Resume(ctx, &on, cmd)
	case "rollback":
		c.out, c.err = y.Rollback(ctx, &on, cmd)
	case "repair":
		c.out, c.err = y.Repair(ctx, &on, Command{Course: cmd.Course, Who: c.who})
	case "withdraw":
		c.taken, c.err = y.Withdraw(ctx, &on, cmd)
	case "compact":
		_, c.err = y.Compact(ctx, &on)
	}
}

// landed is a swap of the record that took place.
type landed struct {
	seq     int
	by      *call
	rec     *store.Record
	head    *bundle.Head // nil: decisions alone
	files   files
	history map[[2]string]bool // path and text of all versions until now
	bad     string
}

// landed is told of each, at once: what the store holds then is looked at.
func (m *model) landed(a *actor, data []byte) {
	l := &landed{seq: m.seq, by: a.call, files: files{}, history: map[[2]string]bool{}}
	m.journal = append(m.journal, l)
	a.call.landed = append(a.call.landed, l)
	var err error
	if l.rec, err = store.DecodeRecord(data); err != nil {
		l.bad = err.Error()
		return
	}
	if l.rec.Head == nil {
		return
	}
	v, err := m.site.look()
	if err != nil {
		l.bad = "the store does not hold what the record says: " + err.Error()
		return
	}
	l.head, l.files = v.head, v.files
}

// begin brings the course to some versions, in peace; of some seeds to none.
func (m *model) begin() {
	for range m.rng.IntN(4) {
		m.alone(0, &call{kind: "push", state: m.rng.IntN(manyStates)})
		m.alone(0, &call{kind: "publish", who: "first", confirm: true})
		m.alone(0, &call{kind: "clock", by: 2 * time.Minute})
	}
	m.style = style{stay: []float64{0, 0.5, 0.8, 0.9}[m.rng.IntN(4)], early: []float64{0, 0, 0.1}[m.rng.IntN(3)]}
	if m.rng.IntN(3) > 0 {
		m.style.faulty, m.kills = []float64{0.003, 0.01, 0.03}[m.rng.IntN(3)], m.rng.IntN(3)
	}
}

// cast says who takes part, and what each does.
func (m *model) cast() {
	add := func(name string, at int, todo ...*call) {
		m.actors = append(m.actors, &actor{in: m, name: name, at: at, todo: todo, go_: make(chan verdict)})
	}
	for i := range m.processes {
		add(fmt.Sprint("loop", i), i, several(1+m.rng.IntN(3), func(int) *call { return &call{kind: "loop"} })...)
		if m.rng.IntN(2) == 0 {
			add(fmt.Sprint("compact", i), i, several(1+m.rng.IntN(2), func(int) *call { return &call{kind: "compact"} })...)
		}
	}
	for i := range 1 + m.rng.IntN(4) {
		name := fmt.Sprint("ana", i)
		add(name, m.rng.IntN(2), several(1+m.rng.IntN(2), func(n int) *call {
			c := m.command()
			c.who = fmt.Sprint(name, ".", n)
			return c
		})...)
	}
	add("pushes", 0, several(1+m.rng.IntN(3), func(int) *call { return &call{kind: "push", state: m.rng.IntN(len(m.course.states))} })...)
	if m.rng.IntN(3) == 0 {
		add("clock", 0, &call{kind: "clock", by: []time.Duration{2 * time.Minute, 25 * time.Hour}[m.rng.IntN(2)]})
	}
	m.rng.Shuffle(len(m.actors), func(i, j int) { m.actors[i], m.actors[j] = m.actors[j], m.actors[i] })
}

func several(n int, one func(int) *call) (out []*call) {
	for i := range n {
		out = append(out, one(i))
	}
	return out
}

// command is what somebody decides.
func (m *model) command() *call {
	switch n := m.rng.IntN(20); {
	case n < 4:
		return &call{kind: "publish", confirm: m.rng.IntN(2) == 0}
	case n < 6:
		return &call{kind: "pause"}
	case n < 9:
		return &call{kind: "resume"}
	case n < 13:
		return &call{kind: "rollback", version: bundle.Version(1 + m.rng.IntN(4))}
	case n < 16:
		return &call{kind: "withdraw", path: []string{"leak.txt", "copy.txt", "dir", "a.txt"}[m.rng.IntN(4)]}
	case n < 19:
		return &call{kind: "withdraw", version: bundle.Version(1 + m.rng.IntN(4))}
	}
	return &call{kind: "repair"}
}

// end lets all come to rest: no more faults, and passes of both.
func (m *model) end() {
	m.style = style{}
	for i := range m.processes {
		m.alone(i, &call{kind: "clock", by: 2 * time.Minute})
		m.alone(i, &call{kind: "loop"})
	}
	m.alone(0, &call{kind: "loop"})
}
