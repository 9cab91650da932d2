package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"satchel/agent"
	"satchel/internal/release"
)

// Exit codes; help.go tells them.
const (
	exitDone       = 0
	exitNotDone    = 1
	exitUsage      = 2
	exitInPart     = 3
	exitUnverified = 4
)

// program is one run of the command line.
type program struct {
	args   []string
	list   []string // the environment as it came
	env    environ
	words  agent.Words
	out    io.Writer
	errOut io.Writer
	uid    int
	self   string // this program's file, to begin it again
}

// run does what args say and gives the exit code. Called at a server's start
// it gives 0 whatever happens: a login never fails because of us.
func run(ctx context.Context, args, env []string, _ io.Reader, out, errOut io.Writer) int {
	e := parseEnviron(env)
	p := &program{
		args: args, list: env, env: e, words: e.words(), out: out, errOut: errOut,
		uid: os.Getuid(), self: self(),
	}
	return p.run(ctx)
}

// self is this program's own file, as the kernel holds it: right also where
// its name is out of reach after letting go of root, or was replaced.
func self() string {
	const own = "/proc/self/exe"
	if _, err := os.Lstat(own); err == nil {
		return own
	}
	name, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return name
}

func (p *program) run(ctx context.Context) (code int) {
	name, rest := p.command()
	if atStart(name, rest) { // it has nothing to end well at a signal, and is a tenth faster without
		defer func() {
			if r := recover(); r != nil {
				fmt.Fprintf(p.errOut, "satchel-agent: a fault of this program: %s\n", agent.Plain(fmt.Sprint(r)))
			}
			code = exitDone
		}()
	} else {
		var stop func()
		ctx, stop = signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		defer stop()
	}
	c, ok := commands[name]
	if !ok {
		fmt.Fprintf(p.errOut, "satchel-agent: there is no command %q. See: satchel-agent help\n", name)
		return exitUsage
	}
	return c(p, ctx, rest)
}

// command splits the arguments. As docker-stacks' hook (50-satchel) the
// program's own name says what to do, except to what that hook leaves behind.
func (p *program) command() (name string, rest []string) {
	if len(p.args) > 0 && hookName(filepath.Base(p.args[0])) && !slices.Contains(p.args, "--continue") {
		return "sync", []string{"--hook"}
	}
	if len(p.args) < 2 {
		return "help", nil
	}
	name, rest = p.args[1], p.args[2:]
	switch name {
	case "--hook":
		return "sync", append([]string{"--hook"}, rest...)
	case "-h", "-help", "--help":
		return "help", nil
	case "--version":
		return "version", nil
	}
	return name, rest
}

// hookName says whether a file is called like one in a hook folder.
func hookName(base string) bool {
	digits := strings.TrimLeft(base, "0123456789")
	return len(digits) < len(base) && strings.HasPrefix(digits, "-")
}

func atStart(name string, rest []string) bool {
	return name == "sync" && (slices.Contains(rest, "--hook") || slices.Contains(rest, "-hook"))
}

// commands are what people type.
var commands map[string]func(*program, context.Context, []string) int

func init() {
	commands = map[string]func(*program, context.Context, []string) int{
		"sync": (*program).sync, "watch": (*program).watch, "run": (*program).runCommand,
		"status": (*program).status, "restore": (*program).restore, "diff": (*program).diff, "undo": (*program).undo,
		"doctor":  (*program).doctor,
		"version": (*program).version, "help": (*program).help,
	}
}

// flags gives a set that says what is wrong in our words.
func (p *program) flags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	return f
}

// parse reads flags; done means: exit with code now.
func (p *program) parse(f *flag.FlagSet, args []string, want int) (code int, done bool) {
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(p.out, helpOf(f.Name()))
		return exitDone, true
	case err != nil:
		fmt.Fprintf(p.errOut, "satchel-agent %s: %v. See: satchel-agent help %s\n", f.Name(), err, f.Name())
		return exitUsage, true
	case want >= 0 && f.NArg() != want:
		fmt.Fprintf(p.errOut, "satchel-agent %s: %d arguments where %d belong (options come first, a name with spaces in quotes). See: satchel-agent help %s\n", f.Name(), f.NArg(), want, f.Name())
		return exitUsage, true
	}
	return 0, false
}

func (p *program) version(_ context.Context, args []string) int {
	if code, done := p.parse(p.flags("version"), args, 0); done {
		return code
	}
	fmt.Fprintf(p.out, "satchel-agent %s\n", release.Version)
	return exitDone
}

func (p *program) help(_ context.Context, args []string) int {
	if len(args) > 0 {
		if text := helpOf(args[0]); text != "" {
			fmt.Fprint(p.out, text)
			return exitDone
		}
	}
	fmt.Fprint(p.out, helpText)
	return exitDone
}

// student makes sure that this process is a student's: it lets go of root, or
// says why it does nothing. It returns true to go on.
func (p *program) student() bool {
	to, ok := whom(p.uid, p.env)
	if ok && to == nil {
		return true
	}
	if ok {
		if err := drop(p.self, *to, p.args, p.env); err != nil {
			fmt.Fprintf(p.errOut, "satchel-agent: %v\n", err)
		}
	}
	fmt.Fprintln(p.out, p.words.AsRoot())
	return false
}

// ready reads the settings; false: it said why there is nothing to do, and
// code says how that ends.
func (p *program) ready() (s agent.Settings, code int, ok bool) {
	if p.env["SATCHEL_URL"] == "" {
		fmt.Fprintln(p.out, p.words.NoService())
		return s, exitDone, false
	}
	if !p.student() {
		return s, exitNotDone, false
	}
	s, err := p.env.settings(p.uid)
	if err != nil {
		fmt.Fprintln(p.out, p.sentence(err))
		return s, exitNotDone, false
	}
	return s, 0, true
}

// sentence is what a student reads of a wrong setting.
func (p *program) sentence(err error) string {
	var bad *agent.SettingError
	if errors.As(err, &bad) {
		return p.words.BadSetting(bad.Name, bad.Reason)
	}
	return agent.Plain(err.Error())
}
