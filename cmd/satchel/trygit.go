//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// gitIn runs the git command in dir, apart from the person's own settings.
func gitIn(ctx context.Context, dir string, args ...string) error {
	args = append([]string{"-c", "user.name=Instructor", "-c", "user.email=instructor@example.org",
		"-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false", "-c", "advice.detachedHead=false"}, args...)
	c := exec.CommandContext(ctx, "git", args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w\n%s", strings.Join(args[12:], " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// sampleRepository makes a bare repository at bare and the instructor's
// clone of it at work, from the files of course.
func sampleRepository(ctx context.Context, course fs.FS, bare, work string) error {
	if err := os.CopyFS(work, course); err != nil {
		return err
	}
	parent := filepath.Dir(bare)
	for _, c := range []struct {
		dir  string
		args []string
	}{
		{parent, []string{"init", "-q", "--bare", bare}},
		{work, []string{"init", "-q"}},
		{work, []string{"remote", "add", "origin", bare}},
		{work, []string{"add", "-A"}},
		{work, []string{"commit", "-q", "-m", "Scala 101"}},
		{work, []string{"push", "-q", "-u", "origin", "main"}},
		// So that the push that --keep prints works where git has no identity.
		{work, []string{"config", "user.name", "Instructor"}},
		{work, []string{"config", "user.email", "instructor@example.org"}},
	} {
		if err := gitIn(ctx, c.dir, c.args...); err != nil {
			return err
		}
	}
	return nil
}

// copyRepository makes a bare copy of the person's own repository, so that
// nothing is ever written to theirs. It uses their own access to it.
func copyRepository(ctx context.Context, url, branch, bare, work string) error {
	c := exec.CommandContext(ctx, "git", "clone", "-q", "--bare", "--", url, bare)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("git clone %s: %w\n%s", url, err, bytes.TrimSpace(out))
	}
	if err := gitIn(ctx, filepath.Dir(bare), "clone", "-q", "-b", branch, "--", bare, work); err != nil {
		out, berr := exec.CommandContext(ctx, "git", "-C", bare, "branch", "--format=%(refname:short)").Output()
		if berr != nil || len(out) == 0 {
			return fmt.Errorf("%s has no branch yet: push a commit first", url)
		}
		return fmt.Errorf("%s has no branch %q; it has %s (--branch)", url, branch, strings.Join(strings.Fields(string(out)), ", "))
	}
	if err := gitIn(ctx, work, "config", "user.name", "Instructor"); err != nil {
		return err
	}
	return gitIn(ctx, work, "config", "user.email", "instructor@example.org")
}

// push commits all of work and pushes it.
func push(ctx context.Context, work, message string) error {
	for _, args := range [][]string{{"add", "-A"}, {"commit", "-q", "-m", message}, {"push", "-q"}} {
		if err := gitIn(ctx, work, args...); err != nil {
			return err
		}
	}
	return nil
}
