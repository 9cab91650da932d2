//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// situations are what a login can find, in the order in which they are made.
var situations = append([]string{"first", "nothing"}, pushNames...)

// measured is one login, measured.
type measured struct {
	Seconds  float64 `json:"seconds"`
	CPU      float64 `json:"cpu"`              // seconds, of the client's processes
	Memory   int64   `json:"memory,omitempty"` // bytes, of its largest process
	Bytes    int64   `json:"bytes,omitempty"`
	Requests int64   `json:"requests,omitempty"`
}

// figures are all of one course, by contender and situation. Those of bytes
// and requests have a round of their own, through a wire that counts.
type figures struct {
	Course  string                           `json:"course"`
	Timed   map[string]map[string][]measured `json:"timed"`
	Counted map[string]map[string]measured   `json:"counted"`
}

// TestBenchLogin measures one login with each contender: in one run, shuffled,
// as often as the course says. COURSES=S,M, ROUNDS=3 and CONTENDERS=Satchel,git
// (parts of names) choose less. With MOVED=1 each push finds a home that was
// copied since its last login, as after a move to another volume.
func TestBenchLogin(t *testing.T) {
	for _, m := range materials() {
		if !among("COURSES", m.name) {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			b := newRace(t, m)
			b.run()
			b.out.print()
			if os.Getenv("MOVED") == "" {
				results(t, "login-"+m.name+".json", b.out)
			}
		})
	}
}

// among says whether a list in the environment has a name; one that is not set
// has all.
func among(variable, name string) bool {
	list := os.Getenv(variable)
	return list == "" || slices.Contains(strings.Split(list, ","), name)
}

// race is all contenders on one course.
type race struct {
	*arena
	all    []*contender
	rounds int
	out    *figures
}

func newRace(t *testing.T, m *material) *race {
	r := &race{arena: newArena(t, m), rounds: fromEnv("ROUNDS", m.rounds), out: &figures{Course: m.name, Timed: map[string]map[string][]measured{}, Counted: map[string]map[string]measured{}}}
	r.all = slices.Concat(r.limits(), r.satchels(), []*contender{r.tarballs(), r.gitHTTP(), r.gitSSH(), r.puller()}, r.buckets())
	r.all = slices.DeleteFunc(r.all, func(c *contender) bool { return c == nil || !chosen(c.name) })
	for _, c := range r.all {
		r.out.Timed[c.name], r.out.Counted[c.name] = map[string][]measured{}, map[string]measured{}
		if c.pushed != nil {
			c.pushed()
		}
	}
	return r
}

// chosen says whether the run is to have this contender.
func chosen(name string) bool {
	for part := range strings.SplitSeq(os.Getenv("CONTENDERS"), ",") {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

func (r *race) run() {
	homes := map[string]string{}
	large := r.m.name == "L"
	r.rest()
	for n := range r.rounds + 1 {
		old := homes
		homes = map[string]string{}
		for _, c := range r.all {
			homes[c.name] = r.home(fmt.Sprintf("%d-%d", slices.Index(r.all, c), n))
		}
		r.round("first", homes, n == 0)
		if !large || n == 0 || r.roomy() {
			continue
		}
		for _, home := range old {
			must(r.t, os.RemoveAll(home))
		}
		r.rest()
	}
	for n := range r.rounds + 1 {
		r.round("nothing", homes, n == 0)
	}
	for kind, name := range pushNames {
		for n := range r.rounds + 1 {
			r.push(push(kind), r.all)
			if large {
				r.rest() // a push took hundreds of files away
			}
			if os.Getenv("MOVED") != "" {
				r.move(homes, fmt.Sprintf("%s-%d", name, n))
			}
			r.round(name, homes, n == 0)
		}
		for _, c := range r.all {
			r.compare(c, homes[c.name])
		}
	}
}

// move copies each home to another place, times and owners included: what a
// program knew of its files by inode or time of change holds no longer.
func (r *race) move(homes map[string]string, to string) {
	for name, home := range homes {
		moved := home + "-" + to
		mustRun(r.t, exec.Command("cp", "-a", home, moved))
		homes[name] = moved
	}
	syscall.Sync()
}

// roomy says that homes can stay until the end: removing them would slow down
// those that are made next (see rest).
func (g *arena) roomy() bool {
	var fs syscall.Statfs_t
	return syscall.Statfs(g.dir, &fs) == nil && int64(fs.Bavail)*fs.Bsize > 25<<30
}

// rest is for ext4, which avoids inodes that were freed a short while ago:
// making a file just after many others were removed takes seven times as long
// (Linux 6.18), and half a minute later no longer.
func (g *arena) rest() {
	syscall.Sync()
	time.Sleep(30 * time.Second)
}

// round lets each contender log in once, in any order.
func (r *race) round(situation string, homes map[string]string, counted bool) {
	for _, i := range rand.Perm(len(r.all)) {
		c := r.all[i]
		if c.only != nil && !c.only[situation] {
			continue
		}
		if situation == "first" {
			syscall.Sync() // what others left to the kernel is not for who waits for the disk
		}
		if !counted {
			r.out.Timed[c.name][situation] = append(r.out.Timed[c.name][situation], r.measure(c, c.login(homes[c.name], c.addr)))
		} else {
			r.out.Counted[c.name][situation] = r.count(c, homes[c.name])
		}
		if c.after != nil {
			c.after(homes[c.name])
		}
	}
}

// count is a login through a wire that counts. It tells the memory too: by a
// small program between, for a process begins with that of who starts it.
func (r *race) count(c *contender, home string) measured {
	w := newWire(r.t, c.addr)
	cmd := c.login(home, w.addr())
	report := filepath.Join(r.dir, "memory")
	cmd.Args = append([]string{"limits", "memory", report, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = filepath.Join(r.dir, "limits")
	write(r.t, report, "")
	must(r.t, os.Chmod(report, 0o666))
	cmd.Env = append(cmd.Env, "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=url.http://"+w.addr()+"/.insteadOf", "GIT_CONFIG_VALUE_0=http://"+c.addr+"/")
	m := r.measure(c, cmd)
	if c.after != nil {
		c.after(home)
	}
	m.Bytes, m.Requests = w.counted()
	data, err := os.ReadFile(report)
	must(r.t, err)
	m.Memory, err = strconv.ParseInt(string(data), 10, 64)
	must(r.t, err)
	return m
}

func (r *race) measure(c *contender, cmd *exec.Cmd) measured {
	r.t.Helper()
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	began := time.Now()
	err := cmd.Run()
	f := measured{Seconds: time.Since(began).Seconds()}
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", c.name, err, tail(said.String(), 2000))
	}
	f.CPU = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	if c.self {
		f.Seconds, err = strconv.ParseFloat(strings.TrimSpace(said.String()), 64)
		must(r.t, err)
	}
	return f
}

// compare sees that a contender really has the newest material.
func (r *race) compare(c *contender, home string) {
	r.t.Helper()
	if c.folder == "" || c.only != nil && !c.only[pushNames[0]] {
		return
	}
	if out, code := runProgram(r.t, exec.Command("diff", "-rq", r.tree, filepath.Join(home, c.folder))); code != 0 {
		if c.misses {
			fmt.Printf("%s has not the newest: %d files differ\n", c.name, strings.Count(out, "\n"))
			return
		}
		r.t.Errorf("%s has not the newest:\n%s", c.name, tail(out, 500))
	}
}

func (f *figures) print() {
	var names []string
	for name := range f.Timed {
		names = append(names, name)
	}
	slices.Sort(names)
	table := func(title string, value func(name, situation string) string) {
		fmt.Printf("\n%s of one login, course %s\n\n| | first | nothing new | u1 | u2 | u3 |\n|---|---|---|---|---|---|\n", title, f.Course)
		for _, name := range names {
			fmt.Printf("| %s |", name)
			for _, s := range situations {
				fmt.Printf(" %s |", value(name, s))
			}
			fmt.Println()
		}
	}
	table("Time (ms, median)", func(name, s string) string {
		return f.median(name, s, func(x measured) float64 { return x.Seconds * 1e3 })
	})
	table("CPU (ms, median)", func(name, s string) string {
		return f.median(name, s, func(x measured) float64 { return x.CPU * 1e3 })
	})
	table("Memory (MB)", func(name, s string) string {
		if x, ok := f.Counted[name][s]; ok {
			return short(float64(x.Memory) / 1e6)
		}
		return ""
	})
	table("kB on the wire, requests", func(name, s string) string {
		x, ok := f.Counted[name][s]
		if !ok || x.Bytes == 0 {
			return ""
		}
		return fmt.Sprintf("%s, %d", short(float64(x.Bytes)/1e3), x.Requests)
	})
}

// median of what is measured; "" where nothing is.
func (f *figures) median(name, situation string, of func(measured) float64) string {
	x, ok := f.value(name, situation, of)
	if !ok {
		return ""
	}
	return short(x)
}

func (f *figures) value(name, situation string, of func(measured) float64) (float64, bool) {
	var all []float64
	for _, x := range f.Timed[name][situation] {
		all = append(all, of(x))
	}
	if len(all) == 0 {
		return 0, false
	}
	slices.Sort(all)
	return all[len(all)/2], true
}

// short is a number with three figures.
func short(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}
