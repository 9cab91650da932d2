package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"satchel/agent"
	"satchel/bundle"
	"satchel/hook"
)

func (p *program) sync(ctx context.Context, args []string) int {
	f := p.flags("sync")
	hookMode := f.Bool("hook", false, "")
	all := f.Bool("all", false, "")
	asJSON := f.Bool("json", false, "")
	quiet := f.Bool("quiet", false, "")
	if code, done := p.parse(f, args, 0); done {
		return code
	}
	show := agent.Printer(p.out, p.look(*asJSON, *quiet), p.words)
	s, code, ok := p.ready()
	if !ok {
		return code
	}
	if *hookMode {
		p.atLogin(ctx, s, show)
		return exitDone
	}
	a, err := agent.New(p.logger(*quiet), s, agent.Options{Show: show})
	if err != nil {
		fmt.Fprintln(p.out, p.sentence(err))
		return exitNotDone
	}
	return exitOf(a.Sync(ctx, agent.SyncOptions{Mode: agent.AtStart, All: *all, Walk: true}))
}

// look is how events are shown here.
func (p *program) look(asJSON, quiet bool) agent.Look {
	switch {
	case asJSON:
		return agent.JSON
	case quiet:
		return agent.Quiet
	case isTerminal(p.out):
		return agent.Terminal
	}
	return agent.Lines
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// logger speaks of what is no sentence for a student: warnings only.
func (p *program) logger(quiet bool) *slog.Logger {
	if quiet {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(p.errOut, &slog.HandlerOptions{Level: slog.LevelError}))
}

// exitOf is how an outcome ends a command.
func exitOf(o agent.Outcome) int {
	switch o.Code {
	case "", agent.CodeNothing, agent.CodeLocked, agent.CodeWaiting:
		return exitDone
	case agent.CodeInPart:
		return exitInPart
	case agent.CodeUnverified:
		return exitUnverified
	}
	return exitNotDone
}

func (p *program) watch(ctx context.Context, args []string) int {
	f := p.flags("watch")
	cont := f.Bool("continue", false, "")
	orphan := f.Bool("orphan", false, "")
	report := f.Int("report", 0, "")
	server := f.Int("server-pid", 0, "")
	answer := f.Int("answer", 0, "")
	since := f.Int64("since", 0, "")
	asJSON := f.Bool("json", false, "")
	if code, done := p.parse(f, args, 0); done {
		return code
	}
	if *orphan {
		if err := p.again(withoutFlag(args, "--orphan")); err != nil {
			return exitNotDone
		}
		return exitDone
	}
	show := agent.Printer(p.out, p.look(*asJSON, false), p.words)
	o := agent.WatchOptions{Start: *cont, ServerPID: *server}
	if *since > 0 {
		o.Since = time.UnixMicro(*since)
	}
	if *answer > 2 {
		unix.CloseOnExec(*answer)
		o.Answer = func() *hook.Answer {
			ans, _ := hook.TakeOver(os.NewFile(uintptr(*answer), "answer")) // else it asks itself
			return ans
		}
	}
	if *cont {
		show, o.Begun = reportTo(*report, agent.Printer(io.Discard, agent.Quiet, p.words))
		defer o.Begun()
		p.out = sentences{show}
	}
	s, code, ok := p.ready()
	if !ok {
		return code
	}
	lg := p.logger(false)
	if *cont {
		log := agent.OpenLog(s.Root)
		defer log.Close()
		log.TakeStderr()
		lg = slog.New(slog.NewTextHandler(log, nil))
	}
	a, err := agent.New(lg, s, agent.Options{Show: show})
	if err != nil {
		fmt.Fprintln(p.out, p.sentence(err))
		return exitNotDone
	}
	defer a.Close()
	a.Watch(ctx, o)
	return exitDone
}

// sentences makes each line that is written an event.
type sentences struct{ show func(agent.Event) }

func (s sentences) Write(line []byte) (int, error) {
	s.show(agent.Event{Kind: agent.Sentence, Text: strings.TrimSpace(string(line))})
	return len(line), nil
}

// reportTo shows events on an inherited file too, until the first pass is
// over.
func reportTo(fd int, show func(agent.Event)) (both func(agent.Event), begun func()) {
	if fd < 3 {
		return show, func() {}
	}
	f := os.NewFile(uintptr(fd), "report")
	unix.CloseOnExec(fd)
	enc := json.NewEncoder(f)
	open := true
	both = func(e agent.Event) {
		show(e)
		if open {
			open = enc.Encode(e) == nil
		}
	}
	return both, func() { open = false; f.Close() }
}

func withoutFlag(args []string, name string) (out []string) {
	for _, a := range args {
		if a != name {
			out = append(out, a)
		}
	}
	return out
}

func (p *program) status(ctx context.Context, args []string) int {
	f := p.flags("status")
	sent := f.Bool("sent", false, "")
	asJSON := f.Bool("json", false, "")
	if code, done := p.parse(f, args, 0); done {
		return code
	}
	a, code, ok := p.local()
	if !ok {
		return code
	}
	st, err := a.Status(ctx)
	if err != nil {
		fmt.Fprintln(p.out, agent.Plain(err.Error()))
		return exitNotDone
	}
	switch {
	case *sent:
		st.WriteSent(p.out)
	case *asJSON:
		st.WriteJSON(p.out)
	default:
		st.WriteText(p.out)
	}
	return exitDone
}

// local makes an agent for what needs no service.
func (p *program) local() (*agent.Agent, int, bool) {
	if !p.student() {
		return nil, exitNotDone, false
	}
	s, err := p.env.settings(p.uid)
	if err == nil {
		var a *agent.Agent
		if a, err = agent.New(p.logger(false), s, agent.Options{Show: agent.Printer(p.out, p.look(false, false), p.words)}); err == nil {
			return a, 0, true
		}
	}
	fmt.Fprintln(p.out, p.sentence(err))
	return nil, exitNotDone, false
}

func (p *program) restore(ctx context.Context, args []string) int {
	f := p.flags("restore")
	all := f.Bool("all", false, "")
	version := f.Int64("version", 0, "")
	files := 1
	if slices.Contains(args, "--all") || slices.Contains(args, "-all") {
		files = 0
	}
	if code, done := p.parse(f, args, files); done {
		return code
	}
	if *version < 0 {
		fmt.Fprintf(p.errOut, "satchel-agent restore: --version %d: versions are numbered from 1. See: satchel-agent help restore\n", *version)
		return exitUsage
	}
	a, code, ok := p.local()
	switch {
	case !ok:
		return code
	case *all:
		return exitOf(a.RestoreAll(ctx))
	}
	return exitOf(a.Restore(ctx, workingFolder(), f.Arg(0), bundle.Version(*version)))
}

func workingFolder() string {
	wd, err := os.Getwd()
	if err != nil {
		return "/"
	}
	return wd
}

func (p *program) diff(ctx context.Context, args []string) int {
	f := p.flags("diff")
	if code, done := p.parse(f, args, 1); done {
		return code
	}
	a, code, ok := p.local()
	if !ok {
		return code
	}
	return exitOf(a.Diff(ctx, p.out, workingFolder(), f.Arg(0)))
}

func (p *program) undo(ctx context.Context, args []string) int {
	f := p.flags("undo")
	if code, done := p.parse(f, args, 0); done {
		return code
	}
	a, code, ok := p.local()
	if !ok {
		return code
	}
	return exitOf(a.Undo(ctx))
}

func (p *program) doctor(ctx context.Context, args []string) int {
	f := p.flags("doctor")
	asJSON := f.Bool("json", false, "")
	if code, done := p.parse(f, args, 0); done {
		return code
	}
	if p.env["SATCHEL_URL"] == "" {
		fmt.Fprintln(p.out, p.words.NoService())
		return exitNotDone
	}
	a, code, ok := p.local()
	if !ok {
		return code
	}
	checks := a.Doctor(ctx)
	for _, name := range p.env.unknown() {
		checks = append(checks, agent.Check{Name: "environment", Note: agent.Plain(name) + " means nothing to this program", Do: "look for a mistyped name"})
	}
	return agent.WriteChecks(p.out, checks, *asJSON)
}
