package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"satchel/agent"
	"satchel/hook"
)

// atLogin is the start hook: it leaves a watch behind, which begins with the
// pass of a start, and shows what that does for as long as a login may wait.
// All that can go wrong goes wrong in the other process.
func (p *program) atLogin(ctx context.Context, s agent.Settings, show func(agent.Event)) {
	began := time.Now()
	if err := p.begin(ctx, &s, s.Budget, left{server: serverPID()}, show); err != nil {
		fmt.Fprintf(p.errOut, "satchel-agent: no process can be left behind (%v); going on without\n", err)
		s.Budget = max(s.Budget-time.Since(began), time.Second)
		p.inForeground(ctx, s, show)
	}
}

// begin asks what is new (where s is nil that is left to the watch), leaves a
// watch behind, and shows what the watch does as long as the budget lasts. An
// error means that there is none.
func (p *program) begin(ctx context.Context, s *agent.Settings, budget time.Duration, l left, show func(agent.Event)) error {
	began := time.Now()
	var ans *hook.Answer
	if s != nil {
		ans = p.glance(ctx, *s, show)
	}
	if ans != nil && ans.NotModified {
		return p.leaveLater(l, began)
	}
	r, give, err := p.leave(l, ans != nil)
	if err != nil {
		return err
	}
	if ans != nil {
		go handOver(ans, give) // ends with this process; what is cut off is asked for anew
	}
	agent.Attend(ctx, r, budget-time.Since(began), p.words, show)
	return nil
}

// glance asks whether anything is new: nil where the process that is left
// behind has to ask, also where a home that hangs gives no answer in time.
func (p *program) glance(ctx context.Context, s agent.Settings, show func(agent.Event)) *hook.Answer {
	var told []agent.Event
	a, err := agent.New(slog.New(slog.DiscardHandler), s, agent.Options{Show: func(e agent.Event) { told = append(told, e) }})
	if err != nil {
		return nil
	}
	done := make(chan *hook.Answer, 1)
	go func() {
		defer func() {
			if recover() != nil { // what was read is the student's
				done <- nil
			}
		}()
		done <- a.Glance(ctx)
	}()
	select {
	case ans := <-done:
		for _, e := range told {
			show(e)
		}
		return ans
	case <-time.After(agent.GlanceTime):
		return nil
	}
}

// inForeground is for where no process can be started.
func (p *program) inForeground(ctx context.Context, s agent.Settings, show func(agent.Event)) {
	ctx, cancel := context.WithTimeout(ctx, s.Budget)
	defer cancel()
	s.Patience = s.Budget / 2
	a, err := agent.New(slog.New(slog.DiscardHandler), s, agent.Options{Show: show})
	if err != nil {
		fmt.Fprintln(p.out, p.sentence(err))
		return
	}
	a.Sync(ctx, agent.SyncOptions{Mode: agent.AtStart})
}

// serverPID is the process whose end is the server's: the leader of this
// session, which a hub or a container made for it; a hook's parent may be a
// passing shell. 0 where the container's own end is enough.
func serverPID() int {
	sid, err := unix.Getsid(0)
	if err != nil || sid <= 1 || sid == os.Getpid() {
		return 0
	}
	return sid
}

// left says how a watch is left behind.
type left struct {
	become *identity // as whom; nil: as this process
	server int       // the process with which it ends; 0: none
	orphan bool      // it is nobody's child: a program that this one becomes has none that it does not know of
	since  time.Time // when a login found nothing new; zero: it is to be looked for
}

// watch is how the process is told that.
func (l left) watch() []string {
	args := []string{"watch", "--continue", "--server-pid", strconv.Itoa(l.server)}
	if !l.since.IsZero() {
		args = append(args, "--since", strconv.FormatInt(l.since.UnixMicro(), 10))
	}
	return args
}

// leave starts `watch --continue` as a session of its own and gives what it
// reports. Where answered is set it waits for an answer on give.
func (p *program) leave(l left, answered bool) (r io.ReadCloser, give *os.File, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer w.Close()
	c := exec.Command(p.self, append(l.watch(), "--report", "3")...)
	if l.orphan {
		c.Args = append(c.Args, "--orphan")
	}
	c.Dir = "/"
	c.Env = p.list
	c.ExtraFiles = []*os.File{w}
	if answered {
		given, giving, err := os.Pipe()
		if err != nil {
			r.Close()
			return nil, nil, err
		}
		defer given.Close()
		c.Args = append(c.Args, "--answer", "4")
		c.ExtraFiles = append(c.ExtraFiles, given)
		give = giving
	}
	c.Args[0] = "satchel-agent"
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if l.become != nil {
		c.Env = lower(p.env)
		c.SysProcAttr.Credential = &syscall.Credential{
			Uid: uint32(l.become.uid), Gid: uint32(l.become.gid), Groups: []uint32{uint32(l.become.gid)},
		}
	}
	if err = c.Start(); err != nil {
		r.Close()
		give.Close()
		return nil, nil, err
	}
	if l.orphan {
		err = c.Wait()
	} else {
		err = c.Process.Release()
	}
	return r, give, err
}

// handOver gives an answer to the process that was left behind.
func handOver(ans *hook.Answer, w *os.File) {
	_ = ans.HandOver(w)
	w.Close()
}

// leaveLater leaves a watch behind for which nothing is to do: it begins when
// the class that logs in now has done so, where a shell can wait for that. An
// orphan begins now: the command that comes has no ticket, and may ask for one.
func (p *program) leaveLater(l left, since time.Time) error {
	l.since = since
	if l.become == nil && !l.orphan && p.waitByShell(l) == nil {
		return nil
	}
	r, _, err := p.leave(l, false)
	if err == nil {
		r.Close()
	}
	return err
}

// aWhile is for how long: at least, and at random on top of that.
const aWhile = 2 * time.Second

// A shell waits, and becomes the watch: that takes half of what the beginning
// of this program does. (A read with a timeout would need no second process,
// but there are shells that go on waiting.)
const waitScript = `sleep "$0"; exec "$@"`

// waitByShell starts a shell that becomes the watch after a while.
func (p *program) waitByShell(l left) error {
	self, err := os.Executable() // under its name, for /proc/self is the shell's there
	if err == nil {
		err = unix.Access(self, unix.X_OK)
	}
	if err != nil {
		return err
	}
	wait := strconv.FormatFloat((aWhile + rand.N(2*aWhile)).Seconds(), 'f', 3, 64)
	c := exec.Command("/bin/sh", append([]string{"-c", waitScript, wait, self}, l.watch()...)...)
	c.Dir = "/"
	c.Env = p.list
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		return err
	}
	return c.Process.Release()
}

// again starts this very watch once more and lets it go.
func (p *program) again(args []string) error {
	c := exec.Command(p.self, append([]string{"watch"}, args...)...)
	c.Args[0] = "satchel-agent"
	c.Env = p.list
	c.ExtraFiles = []*os.File{os.NewFile(3, "report")}
	if slices.Contains(args, "--answer") {
		c.ExtraFiles = append(c.ExtraFiles, os.NewFile(4, "answer"))
	}
	if err := c.Start(); err != nil {
		return err
	}
	return c.Process.Release()
}

// runCommand does the start hook's work and becomes the command.
func (p *program) runCommand(ctx context.Context, args []string) int {
	f := p.flags("run")
	if code, done := p.parse(f, args, -1); done {
		return code
	}
	if f.NArg() == 0 {
		fmt.Fprintln(p.errOut, "satchel-agent run: no command. See: satchel-agent help run")
		return exitUsage
	}
	kept := p.beforeCommand(ctx)
	path, err := exec.LookPath(f.Arg(0))
	if err == nil {
		err = syscall.Exec(path, f.Args(), kept)
	}
	fmt.Fprintf(p.errOut, "satchel-agent run: %s: %v\n", f.Arg(0), err)
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return 127
	}
	return 126
}

// beforeCommand leaves a watch behind and waits for it within the budget. It
// gives the environment for the command: without the ticket where a watch has
// it, so that it is in no notebook that prints its environment.
func (p *program) beforeCommand(ctx context.Context) (env []string) {
	env = p.list
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(p.errOut, "satchel-agent: a fault of this program: %s\n", agent.Plain(fmt.Sprint(r)))
		}
	}()
	if p.env[hook.EnvURL] == "" {
		fmt.Fprintln(p.out, p.words.NoService())
		return env
	}
	become, ok := whom(p.uid, p.env)
	if !ok {
		fmt.Fprintln(p.out, p.words.AsRoot())
		return env
	}
	var ask *agent.Settings
	if s, err := p.env.settings(p.uid); become == nil && err == nil {
		ask = &s
	}
	l := left{become: become, server: os.Getpid(), orphan: true}
	if err := p.begin(ctx, ask, p.env.budget(), l, agent.Printer(p.out, agent.Lines, p.words)); err != nil {
		fmt.Fprintf(p.errOut, "satchel-agent: no process can be left behind: %v\n", err)
		return env
	}
	return without(p.list, hook.EnvTicket)
}

func without(list []string, name string) (out []string) {
	for _, kv := range list {
		if len(kv) <= len(name) || kv[:len(name)+1] != name+"=" {
			out = append(out, kv)
		}
	}
	return out
}
