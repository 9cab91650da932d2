//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary finds a program that "make build" made, or builds it once.
func binary(t testing.TB, name string) string {
	t.Helper()
	if dir := os.Getenv("SATCHEL_BIN"); dir != "" {
		return filepath.Join(dir, name)
	}
	buildOnce.Do(func() {
		buildDir, buildErr = os.MkdirTemp("", "satchel-e2e-bin-")
		if buildErr == nil {
			buildErr = os.Chmod(buildDir, 0o755) // the student's user runs them too
		}
		if buildErr != nil {
			return
		}
		c := exec.Command("go", "build", "-trimpath", "-o", buildDir, "satchel/cmd/...")
		c.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := c.CombinedOutput(); err != nil {
			buildErr = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if buildErr != nil {
		t.Fatal(buildErr)
	}
	return filepath.Join(buildDir, name)
}

var (
	buildOnce sync.Once
	buildDir  string
	buildErr  error
)

func TestMain(m *testing.M) {
	if instead != nil {
		if code, yes := instead(); yes {
			os.Exit(code)
		}
	}
	code := m.Run()
	for _, dir := range append(madeDirs, buildDir) {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// instead is what this binary does when it was not begun as a test.
var instead func() (code int, yes bool)

// madeDirs are removed when all tests are over.
var madeDirs []string

// process is a running program; its output goes to a file.
type process struct {
	t    testing.TB
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error
}

// start runs a program until the test ends or somebody stops it.
func start(t testing.TB, dir string, env []string, name string, args ...string) *process {
	t.Helper()
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), env...)
	return startCommand(t, dir, c)
}

// startCommand starts what somebody prepared; dir is where its output goes.
func startCommand(t testing.TB, dir string, c *exec.Cmd) *process {
	t.Helper()
	return startPiped(t, dir, c, nil)
}

// startPiped is startCommand for a program whose answers go elsewhere (nil:
// with the rest).
func startPiped(t testing.TB, dir string, c *exec.Cmd, answers *os.File) *process {
	t.Helper()
	name := filepath.Base(c.Path)
	log, err := os.CreateTemp(dir, name+"-*.log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p := &process{t: t, cmd: c, log: log.Name(), done: make(chan struct{})}
	c.Stdout, c.Stderr = log, log
	if answers != nil {
		c.Stdout = answers
	}
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Setpgid = true
	if c.SysProcAttr.Pdeathsig == 0 {
		c.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.err = p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, tail(p.output(), 4000))
		}
	})
	return p
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

func (p *process) output() string {
	data, _ := os.ReadFile(p.log)
	return string(data)
}

func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) }

// freeze stops it, and returns when each of its threads stands.
func (p *process) freeze() {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
	eventually(p.t, time.Minute, "a process that stands", func() error {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
		for _, task := range tasks {
			stat, err := os.ReadFile(task)
			if _, state, _ := strings.Cut(string(stat), ") "); err == nil && !strings.HasPrefix(state, "T") {
				return fmt.Errorf("a thread is in state %.1s", state)
			}
		}
		return nil
	})
}

// kill ends it at once, as a power cut would.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// stop ends it as an administrator would.
func (p *process) stop() error {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return p.err
	case <-time.After(30 * time.Second):
		p.kill()
		return errors.New("did not stop within 30 s of SIGTERM")
	}
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// runProgram runs a program to its end and gives what it printed.
func runProgram(t testing.TB, c *exec.Cmd) (out string, code int) {
	t.Helper()
	var b bytes.Buffer
	c.Stdout, c.Stderr = &b, &b
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", c.Path, err)
	}
	return b.String(), c.ProcessState.ExitCode()
}

// eventually tries until it gives no error.
func eventually(t testing.TB, within time.Duration, what string, try func() error) {
	t.Helper()
	if elsewhere() {
		within *= 10 // there all takes long
	}
	ctx, stop := context.WithTimeout(context.Background(), within)
	defer stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v: %v", what, within, err)
		case <-tick.C:
		}
	}
}

// freePort gives a port that nobody listens on now, none of those that the
// kernel gives to connections: one that begins meanwhile would have it.
func freePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 20_000 + rand.IntN(12_000)
		if _, given := givenPorts.LoadOrStore(port, true); given {
			continue
		}
		if l, err := net.Listen("tcp", hereAt(port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// givenPorts are those that freePort gave: no two get the same.
var givenPorts sync.Map
