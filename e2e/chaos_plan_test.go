//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// chaosTime is how long it breaks before it heals.
const chaosTime = 30 * time.Second

// tally are what a run counts.
type tally struct {
	mu                                     sync.Mutex
	faults                                 map[string]int
	logins, withTicket, killed, overBudget int
	times                                  []time.Duration
	pushes, versions, lines, lost, cycles  int
	commands                               map[string]int
}

func (f *tally) fault(kind string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[kind]++
}

func (f *tally) command(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.commands == nil {
		f.commands = map[string]int{}
	}
	f.commands[what]++
}

func (f *tally) login(took time.Duration, ticket, killed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logins++
	if ticket {
		f.withTicket++
	}
	if killed {
		f.killed++
		return
	}
	f.times = append(f.times, took)
	if took > loginWaits+grace {
		f.overBudget++
	}
}

// print tells it, and writes it into the file that CHAOS_REPORT names.
func (f *tally) print(t *testing.T, took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out strings.Builder
	slices.Sort(f.times)
	at := func(q float64) time.Duration {
		return f.times[min(len(f.times)-1, int(q*float64(len(f.times))))].Round(time.Millisecond)
	}
	fmt.Fprintf(&out, "%.0f s, healed %d times; %d pushes, %d versions\n", took.Seconds(), f.cycles, f.pushes, f.versions)
	fmt.Fprintf(&out, "%d logins (%d without a ticket, %d killed); of the others half within %v, 99 of 100 within %v, all within %v; over their budget: %d\n",
		f.logins, f.logins-f.withTicket, f.killed, at(.5), at(.99), at(1), f.overBudget)
	fmt.Fprintf(&out, "%d lines that students saved, %d lost\n", f.lines, f.lost)
	all := 0
	for _, n := range f.faults {
		all += n
	}
	fmt.Fprintf(&out, "%d faults\n", all)
	for _, k := range sortedNames(f.faults) {
		fmt.Fprintf(&out, "%5d %s\n", f.faults[k], k)
	}
	fmt.Fprintln(&out, "commands")
	for _, k := range sortedNames(f.commands) {
		fmt.Fprintf(&out, "%5d %s\n", f.commands[k], k)
	}
	t.Log("\n" + out.String())
	if file := os.Getenv("CHAOS_REPORT"); file != "" {
		write(t, file, out.String())
	}
	if f.overBudget > 0 {
		t.Errorf("%d logins were over their budget", f.overBudget)
	}
}

// chaos lets everybody work while things break, for half a minute.
func (sys *system) chaos(n int) {
	ctx, stop := context.WithTimeout(sys.t.Context(), chaosTime)
	defer stop()
	var wg sync.WaitGroup
	for _, l := range sys.learners {
		wg.Go(func() { l.study(ctx) })
	}
	wg.Go(func() { sys.people.teach(ctx) })
	wg.Go(func() { sys.people.administrate(ctx) })
	var undo []func()
	for ctx.Err() == nil {
		undo = append(undo, sys.breakOne(ctx, &wg))
		sys.pause(ctx, sys.dice, 300*time.Millisecond, 1500*time.Millisecond)
	}
	wg.Wait()
	for _, u := range undo {
		u()
	}
}

// breakOne lets one thing fail for a while; what is given ends it for good.
func (sys *system) breakOne(ctx context.Context, wg *sync.WaitGroup) (end func()) {
	p := sys.parts[sys.dice.IntN(len(sys.parts))]
	lasts := func(end func()) func() {
		wait := time.Duration(200+sys.dice.IntN(4000)) * time.Millisecond
		wg.Go(func() {
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
			end()
		})
		return end
	}
	switch kind := sys.dice.IntN(20); {
	case kind < 3:
		sys.figures.fault(p.half + " killed")
		p.kill()
		return lasts(p.alive)
	case kind < 6:
		sys.figures.fault(p.half + " stopped for a while")
		p.tell(syscall.SIGSTOP)
		return lasts(func() { p.tell(syscall.SIGCONT) })
	case kind < 9:
		now := []mood{s3Failing, s3Stored, s3Ahead}[sys.dice.IntN(3)]
		sys.figures.fault(fmt.Sprintf("S3 to %s: %s", p.half, now))
		p.errors.turn(now)
		return lasts(func() { p.errors.turn(calm) })
	case kind < 10:
		return sys.fill(p, lasts)
	}
	w, name := sys.wire()
	if sys.dice.IntN(4) == 0 {
		sys.figures.fault(name + ": cut")
		w.cut()
		return func() {}
	}
	now := []mood{refusing, silent, slow, garbling}[sys.dice.IntN(4)]
	sys.figures.fault(fmt.Sprintf("%s: %s", name, now))
	w.turn(now)
	return lasts(func() { w.turn(calm) })
}

// wire chooses one of all the connections between two.
func (sys *system) wire() (*unruly, string) {
	p := sys.parts[sys.dice.IntN(len(sys.parts))]
	f := sys.fronts[sys.dice.IntN(len(sys.fronts))]
	switch sys.dice.IntN(8) {
	case 0, 1:
		return sys.git, "syncers to sshd"
	case 2, 3:
		return p.s3, p.half + " to S3"
	case 4:
		return f.hub, "hub to hookserver"
	}
	return f.door, "students to hookserver"
}

// fill takes the room of a part's folder, or of a student's home.
func (sys *system) fill(p *part, lasts func(func()) func()) func() {
	dir, name := p.state, "disk full: "+p.half
	if l := sys.learners[sys.dice.IntN(len(sys.learners))]; sys.dice.IntN(2) == 0 {
		for _, x := range sys.learners {
			if x.small && (!l.small || sys.dice.IntN(2) == 0) {
				l = x
			}
		}
		if l.small {
			dir, name = l.home(), "disk full: a student's"
		}
	}
	if dir == "" {
		return func() {}
	}
	sys.figures.fault(name)
	file := filepath.Join(dir, "filler")
	f, err := os.Create(file)
	if err != nil {
		return func() {}
	}
	defer f.Close()
	for size := int64(32 << 20); size >= 4096; {
		end, _ := f.Seek(0, 2)
		if syscall.Fallocate(int(f.Fd()), 0, end, size) != nil {
			size /= 2
			continue
		}
	}
	return lasts(func() { _ = os.Remove(file) })
}
