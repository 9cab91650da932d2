package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"

	"satchel/internal/sshgit"
	"satchel/source"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"satchel": main})
}

// TestScripts runs testdata/*.txt against the program, in processes of its
// own, as people type it: nobody is at a terminal.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", Setup: setUp, Cmds: map[string]func(*testscript.TestScript, bool, []string){
		"secret": secretScript, "serve": serveScript, "until": until,
	}})
}

// setUp gives each script a course repository of the sample course, in a
// folder and behind an SSH server.
func setUp(env *testscript.Env) error {
	// Not the script's own folder: a control socket's path has at most 107 bytes.
	short, err := os.MkdirTemp("", "satchel-cmd-")
	if err != nil {
		return err
	}
	env.Defer(func() { os.RemoveAll(short) })
	repo := filepath.Join(short, "scala101")
	for _, args := range [][]string{{"init", "-q", "-b", "main", repo}, {"-C", repo, "commit", "-q", "--allow-empty", "-m", "first"}} {
		c := exec.Command("git", append([]string{"-c", "user.name=I", "-c", "user.email=i@example.org"}, args...)...)
		c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
	key, err := deployKeyIn(filepath.Join(short, "accepted-key"))
	if err != nil {
		return err
	}
	srv, err := sshgit.Start(slog.New(slog.DiscardHandler), sshgit.Options{Repos: map[string]string{"/school/scala101.git": repo}, Keys: []ssh.PublicKey{key}})
	if err != nil {
		return err
	}
	env.Defer(func() { srv.Close() })
	if err := os.WriteFile(filepath.Join(short, "known_hosts"), []byte(srv.KnownHostsLine()+"\n"), 0o600); err != nil {
		return err
	}
	students, hub, err := twoPorts()
	if err != nil {
		return err
	}
	for k, v := range map[string]string{
		"HOME": short, "SHORT": short, "REPO": repo, "SSH": srv.URL("/school/scala101.git"), "STUDENTS": students, "HUB": hub,
		"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "I", "GIT_AUTHOR_EMAIL": "i@example.org",
		"GIT_COMMITTER_NAME": "I", "GIT_COMMITTER_EMAIL": "i@example.org",
	} {
		env.Setenv(k, v)
	}
	return nil
}

// deployKeyIn makes a deploy key, and gives its public half.
func deployKeyIn(file string) (ssh.PublicKey, error) {
	private, public, err := source.NewDeployKey("test")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, private, 0o600); err != nil {
		return nil, err
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(public))
	return key, err
}

func twoPorts() (a, b string, err error) {
	for _, addr := range []*string{&a, &b} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", "", err
		}
		defer l.Close()
		*addr = l.Addr().String()
	}
	return a, b, nil
}

// secretScript FILE fails unless only its owner can read the file.
func secretScript(ts *testscript.TestScript, neg bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if open := info.Mode().Perm()&0o077 != 0; open != neg {
		ts.Fatalf("%s has mode %o", args[0], info.Mode().Perm())
	}
}

// serveScript ARGS runs the service until the script ends.
func serveScript(ts *testscript.TestScript, _ bool, args []string) {
	ctx, stop := context.WithCancel(context.Background())
	var log bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, append([]string{"serve"}, args...), ts.Getenv, strings.NewReader(""), &log, &log)
	}()
	ts.Defer(func() {
		stop()
		if code := <-ended; code != 0 {
			ts.Logf("serve ended with %d:\n%s", code, log.String())
		}
	})
}

// until PATTERN COMMAND… repeats the command until its output matches.
func until(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(args[0])
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := ts.Exec(args[1], args[2:]...)
		out := ts.ReadFile("stdout") + ts.ReadFile("stderr")
		if pattern.MatchString(out) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%v: %v; the last output was\n%s", args, err, out)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestTry is the README's first command, with the sample course and with a
// course of somebody's own.
func TestTry(t *testing.T) {
	own := t.TempDir()
	git := func(args ...string) {
		if err := gitIn(t.Context(), own, args...); err != nil {
			t.Fatal(err)
		}
	}
	git("init", "-q")
	if err := os.WriteFile(filepath.Join(own, "notes.md"), []byte("# Notes\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	git("add", "-A")
	git("commit", "-q", "-m", "mine")
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"the sample course":     {nil, []string{"Updated to version 1: 5 new.", "Kept back: .satchel.yaml, drafts/exam-ideas.md, lab1/solution.md; and everything outside notebooks/", "Updated to version 2: 1 new, 1 changed.", "functions.ipynb: your work is kept; the course's changes to cell ", "stand both changes", "Done in"}},
		"a course of one's own": {[]string{"--repository", own}, []string{"Updated to version 1: 1 new.", `"notes (course v2).md"`}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "try-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			var out bytes.Buffer
			args := append([]string{"try", "--dir", filepath.Join(dir, "t")}, c.args...)
			if code := run(t.Context(), args, os.Getenv, strings.NewReader(""), &out, &out); code != 0 {
				t.Fatalf("exit %d:\n%s", code, out.String())
			}
			for _, w := range c.want {
				if !strings.Contains(out.String(), w) {
					t.Errorf("it does not say %q:\n%s", w, out.String())
				}
			}
			left, err := os.ReadDir(own)
			if err != nil || len(left) != 2 {
				t.Errorf("the own repository was written to: %v %v", left, err)
			}
		})
	}
}

// TestOneFingerprintPinsOneKey: whoever is in between could pass one host key
// on and put their own in place of another.
func TestOneFingerprintPinsOneKey(t *testing.T) {
	srv, err := sshgit.Start(slog.New(slog.DiscardHandler), sshgit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	file := filepath.Join(t.TempDir(), "known_hosts")
	a := &app{in: strings.NewReader(""), out: &bytes.Buffer{}, err: &bytes.Buffer{}, env: os.Getenv}
	url := srv.URL("/x.git")
	if err := a.pinHost(t.Context(), a.asker(t.Context(), true), url, "", "SHA256:other", file); err == nil {
		t.Error("a wrong fingerprint was taken")
	}
	if err := a.pinHost(t.Context(), a.asker(t.Context(), true), url, "", "", file); err == nil {
		t.Error("a key that nobody confirmed was taken")
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a key was written that nobody confirmed")
	}
	shown := regexp.MustCompile(`SHA256:\S+`).FindString(a.out.(*bytes.Buffer).String())
	if err := a.pinHost(t.Context(), a.asker(t.Context(), true), url, "", shown, file); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(file); err != nil || strings.Count(string(data), "\n") != 1 {
		t.Errorf("%q, %v; want the one key that was confirmed", data, err)
	}
}

// TestHelpOfEveryCommand: each has a short text, and what takes arguments an
// example or a plain usage.
func TestHelpOfEveryCommand(t *testing.T) {
	for _, c := range (&app{env: os.Getenv}).root().Commands() {
		if c.Short == "" {
			t.Errorf("%s has no short help", c.Name())
		}
	}
	var out bytes.Buffer
	dir := t.TempDir()
	if code := run(t.Context(), []string{"man", dir}, os.Getenv, nil, &out, &out); code != 0 {
		t.Fatalf("man: %s", out.String())
	}
	if pages, _ := filepath.Glob(filepath.Join(dir, "*.1")); len(pages) < 15 {
		t.Errorf("%d man pages", len(pages))
	}
}
