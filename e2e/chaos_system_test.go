//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"satchel/internal/s3server"
)

// TestChaosWholeSystem: two syncers, two hookservers, a real S3 server, a real
// sshd and fifty students whose agents and hands are at work, while everything
// breaks by a seeded plan: kills, stops, bad connections between every pair,
// errors of S3, full disks, rotations, rollbacks, withdrawals. Each half
// minute all of it heals, and what must hold then is checked. CHAOS_TIME says
// how long (default 1m), CHAOS_SEED which plan, CHAOS_STUDENTS how many.
//
// The hub is played by the test (its spawn hook has tests of its own). No
// process here can have a clock of its own: S3's is what goes wrong.
func TestChaosWholeSystem(t *testing.T) {
	long, err := time.ParseDuration(os.Getenv("CHAOS_TIME"))
	if err != nil {
		long = time.Minute
	}
	seed := uint64(fromEnv("CHAOS_SEED", int(time.Now().Unix())))
	t.Logf("CHAOS_SEED=%d", seed)
	sys := newSystem(t, seed, fromEnv("CHAOS_STUDENTS", 50))
	began := time.Now()
	for n := 1; time.Since(began) < long && !t.Failed(); n++ {
		sys.chaos(n)
		sys.heal(n)
		sys.check(n)
	}
	sys.figures.print(t, time.Since(began))
}

// system is all that runs.
type system struct {
	*site
	t       *testing.T
	seed    uint64
	dice    *rand.Rand // of the plan; who runs beside it has one of its own
	figures tally

	git      *unruly // before sshd
	syncers  []*part
	fronts   []*part
	parts    []*part // both
	learners []*learner
	people   *people

	failures atomic.Int64
}

// part is a process of the service, with its own wires.
type part struct {
	*service
	sys    *system
	name   string
	half   string
	s3     *unruly   // to S3
	errors *faultyS3 // behind that
	door   *unruly   // from students, of a hookserver
	hub    *unruly   // from the hub
	state  string    // a filesystem of its own, that may be full; "" none

	mu  sync.Mutex
	cmd *exec.Cmd
	log string
}

func newSystem(t *testing.T, seed uint64, students int) *system {
	s := newSite(t)
	sys := &system{site: s, t: t, seed: seed, dice: rand.New(rand.NewPCG(seed, 0)), figures: tally{faults: map[string]int{}}}
	sys.people = newPeople(sys)
	endpoint, access, secret := s3server.Start(t)
	bucket := s3server.Bucket(t, endpoint, access, secret).Bucket
	s.env = []string{"AWS_ACCESS_KEY_ID=" + access, "AWS_SECRET_ACCESS_KEY=" + secret, "AWS_EC2_METADATA_DISABLED=true"}
	sys.git = startUnruly(t, fmt.Sprintf("127.0.0.1:%d", s.ssh.port), seed)
	sys.knowGit()
	for i, name := range []string{"s0", "s1", "h0", "h1"} {
		p := &part{sys: sys, name: name, half: "syncer", errors: startFaultyS3(t, endpoint, seed+uint64(i))}
		p.s3 = startUnruly(t, p.errors.addr, seed+uint64(i))
		s.store = fmt.Sprintf("{s3: {bucket: %s, endpoint: %q, region: us-east-1}}", bucket, "http://"+p.s3.addr)
		p.service = s.configure(name, "secrets: {}")
		if i >= 2 {
			p.half = "hookserver"
			p.door, p.hub = startUnruly(t, p.students, seed+uint64(i)), startUnruly(t, p.hubs, seed+uint64(i))
			sys.fronts = append(sys.fronts, p)
		} else {
			sys.syncers = append(sys.syncers, p)
		}
		p.state = sys.filesystem(s.path("state-"+name), 200)
		p.log = s.path(name + ".log")
		sys.parts = append(sys.parts, p)
		p.begin()
		t.Cleanup(p.kill)
	}
	s.ssh.port = portOf(sys.git.addr)
	for i := range students {
		l := &learner{student: s.student(fmt.Sprintf("u%d", i)), sys: sys, dice: rand.New(rand.NewPCG(seed, 100+uint64(i))), edits: i%5 != 0, touched: map[string]bool{}}
		if i%16 == 1 {
			l.small = sys.filesystem(l.home(), 150) != ""
			must(t, os.MkdirAll(l.root, 0o755))
			l.own()
		}
		sys.learners = append(sys.learners, l)
		t.Cleanup(l.logout)
	}
	t.Cleanup(sys.said)
	for _, f := range sys.fronts {
		sys.await(f, 1)
	}
	return sys
}

// knowGit makes the repository known by its wire's address.
func (sys *system) knowGit() {
	known, err := os.ReadFile(sys.ssh.knownHosts)
	must(sys.t, err)
	at := fmt.Sprintf("[127.0.0.1]:%d ", sys.ssh.port)
	sys.ssh.port = portOf(sys.git.addr)
	write(sys.t, sys.ssh.knownHosts, strings.ReplaceAll(string(known), at, fmt.Sprintf("[127.0.0.1]:%d ", sys.ssh.port)))
}

func portOf(addr string) (port int) {
	_, _ = fmt.Sscanf(addr[strings.LastIndexByte(addr, ':')+1:], "%d", &port)
	return port
}

// filesystem gives a folder little space of its own, where mounting is
// allowed; "" where it is not.
func (sys *system) filesystem(dir string, megabytes int) string {
	must(sys.t, os.MkdirAll(dir, 0o755))
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", megabytes)); err != nil {
		return ""
	}
	sys.t.Cleanup(func() { unmount(dir) })
	return dir
}

// begin starts the process; what it says goes on in its log.
func (p *part) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	must(p.sys.t, err)
	defer log.Close()
	c := exec.Command(binary(p.sys.t, "satchel"), p.half, "--config", p.config)
	c.Env = append(os.Environ(), p.sys.env...)
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(p.sys.t, c.Start())
	p.cmd = c
}

func (p *part) tell(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = syscall.Kill(-p.cmd.Process.Pid, s)
	}
}

func (p *part) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		_ = p.cmd.Wait()
		p.cmd = nil
	}
}

// alive starts it again where it was killed, or ended by itself.
func (p *part) alive() {
	p.mu.Lock()
	gone := p.cmd == nil || syscall.Kill(p.cmd.Process.Pid, 0) != nil || zombie(p.cmd.Process.Pid)
	p.mu.Unlock()
	if gone {
		p.kill()
		p.begin()
	}
}

func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, found := strings.Cut(string(stat), ") ")
	return err != nil || !found || strings.HasPrefix(state, "Z")
}

// await waits until a hookserver gives out a version.
func (sys *system) await(f *part, version int) {
	sys.t.Helper()
	eventually(sys.t, 3*time.Minute, fmt.Sprintf("version %d at %s", version, f.name), func() error {
		f.alive()
		if got := f.version(); got < version {
			return fmt.Errorf("version %d", got)
		}
		return nil
	})
}

// pause is some time between two, or until the calm: how long students think
// and faults last.
func (sys *system) pause(ctx context.Context, dice *rand.Rand, least, most time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(least + time.Duration(dice.Int64N(int64(most-least)))):
	}
}

// fail notes what must not be, with the time that the logs have.
func (sys *system) fail(form string, args ...any) {
	if sys.failures.Add(1) < 20 {
		sys.t.Errorf(time.Now().UTC().Format(time.RFC3339Nano)+" "+form, args...)
	}
}

// said shows the ends of the logs where something failed, and keeps all in
// CHAOS_KEEP.
func (sys *system) said() {
	if !sys.t.Failed() {
		return
	}
	for _, p := range sys.parts {
		data, _ := os.ReadFile(p.log)
		sys.t.Logf("%s said:\n%s", p.name, tail(string(data), 3000))
	}
	if keep := os.Getenv("CHAOS_KEEP"); keep != "" {
		_ = exec.Command("cp", "-a", sys.dir, filepath.Join(keep, fmt.Sprintf("chaos-%d", sys.seed))).Run()
	}
}
