package sshgit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// call is one command that a client asked for.
type call struct {
	line     string
	protocol string // GIT_PROTOCOL, or ""
	channel  ssh.Channel
	key      string // the key that logged in, in wire form
}

// run runs the command and gives its exit status.
func (s *Server) run(ctx context.Context, c call) uint32 {
	if path, is := lfsCommand(c.line); is && s.o.LFS != nil {
		fmt.Fprintln(c.channel, s.o.LFS(path))
		return 0
	}
	service, repo, ok := parseCommand(c.line)
	if !ok || (service == "receive-pack" && !s.o.AllowPush) {
		fmt.Fprintln(c.channel.Stderr(), "satchel: only fetching from the course repository is allowed here")
		return 128
	}
	dir, ok := s.repository(repo)
	if key, err := ssh.ParsePublicKey([]byte(c.key)); err != nil || (ok && s.o.May != nil && !s.o.May(key, repo)) {
		ok = false
	}
	if !ok {
		fmt.Fprintln(c.channel.Stderr(), "ERROR: Repository not found.")
		return 128
	}
	if s.silent(Asked, ctx.Done()) {
		return 128
	}
	s.lg.Debug("git", "service", service, "repository", repo)
	return s.runGit(ctx, c, service, dir)
}

// runGit runs one git. Whatever it started ends with the context.
func (s *Server) runGit(ctx context.Context, c call, service, dir string) uint32 {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.git, "-c", "core.hooksPath=/dev/null", "-c", "receive.autogc=false", service, "--", dir)
	cmd.Env = environment(c.protocol)
	cmd.Stdout = &output{w: c.channel, s: s, gone: ctx.Done()}
	cmd.Stderr = c.channel.Stderr()
	// A group of its own, so that git's own children end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 128
	}
	if err := cmd.Start(); err != nil {
		s.lg.Warn("git", "error", err)
		return 128
	}
	// Not by cmd.Stdin: Wait would then wait for a client that keeps its side open.
	s.wg.Go(func() { io.Copy(stdin, c.channel); stdin.Close() })
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return uint32(exit.ExitCode())
	}
	s.lg.Debug("git", "error", err)
	return 128
}

// environment is all that git sees: nothing of ours, and no configuration of
// the user or the machine.
func environment(protocol string) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull,
	}
	if protocol != "" {
		env = append(env, "GIT_PROTOCOL="+protocol)
	}
	return env
}

// repository finds the folder for the path that a client named. A leading
// slash and a last ".git" may be missing, as on the git hosts.
func (s *Server) repository(path string) (dir string, ok bool) {
	plain := func(p string) string { return strings.TrimSuffix(strings.Trim(p, "/"), ".git") }
	for name, dir := range s.o.Repos {
		if plain(name) == plain(path) {
			return dir, true
		}
	}
	return "", false
}

// parseCommand reads "git-upload-pack '/path'" (or with a space for the first
// dash), quoted as git quotes.
func parseCommand(line string) (service, path string, ok bool) {
	name, arg, found := strings.Cut(strings.Replace(line, "git ", "git-", 1), " ")
	service = strings.TrimPrefix(name, "git-")
	if !found || name == service || (service != "upload-pack" && service != "receive-pack") {
		return "", "", false
	}
	path, ok = unquote(arg)
	return service, path, ok && path != ""
}

// lfsCommand reads "git-lfs-authenticate '/path' download".
func lfsCommand(line string) (path string, ok bool) {
	rest, is := strings.CutPrefix(line, "git-lfs-authenticate ")
	quoted, download := strings.CutSuffix(rest, " download")
	if !is || !download {
		return "", false
	}
	return unquote(quoted)
}

// unquote undoes git's quoting for a shell: 'it'\”s'. An argument without
// any quotes is taken as it is.
func unquote(s string) (string, bool) {
	if !strings.ContainsAny(s, `'\`) {
		return s, !strings.Contains(s, " ")
	}
	var out strings.Builder
	for rest := s; rest != ""; {
		switch {
		case rest[0] == '\'':
			inner, after, found := strings.Cut(rest[1:], "'")
			if !found {
				return "", false
			}
			out.WriteString(inner)
			rest = after
		case len(rest) > 1 && rest[0] == '\\' && (rest[1] == '\'' || rest[1] == '!'):
			out.WriteByte(rest[1])
			rest = rest[2:]
		default:
			return "", false
		}
	}
	return out.String(), true
}

// packStart is how much git says before it is surely in the middle of a pack.
const packStart = 64 << 10

// output is what git says to the client; it can go silent in the middle.
type output struct {
	w    io.Writer
	s    *Server
	gone <-chan struct{}
	sent atomic.Int64
}

func (o *output) Write(p []byte) (int, error) {
	if o.sent.Load() > packStart && o.s.silent(InPack, o.gone) {
		return 0, io.ErrClosedPipe
	}
	n, err := o.w.Write(p)
	o.sent.Add(int64(n))
	return n, err
}
