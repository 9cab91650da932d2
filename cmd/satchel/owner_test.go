//go:build unix

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNewFilesBelongToTheFoldersOwner: what root makes for a service of
// another user that user can read.
func TestNewFilesBelongToTheFoldersOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	const uid, gid = 12345, 12346
	dir, repo := filepath.Join(t.TempDir(), "s"), t.TempDir()
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"commit", "-q", "--allow-empty", "-m", "first"}} {
		if err := gitIn(t.Context(), repo, args...); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	satchel := func(args ...string) {
		var out bytes.Buffer
		if code := run(t.Context(), args, func(string) string { return "" }, strings.NewReader(""), &out, &out); code != 0 {
			t.Fatalf("%v: exit %d:\n%s", args, code, out.String())
		}
	}
	config := filepath.Join(dir, "satchel.yaml")
	satchel("init", "--yes", "--dir", dir)
	satchel("course", "add", repo, "--yes", "--name", "algebra", "--webhook", "github", "--config", config)
	secrets := filepath.Join(dir, "secrets")
	satchel("key", "secret", filepath.Join(secrets, "hook-2"))
	for _, name := range []string{"satchel.yaml", "secrets", "secrets/hook", "secrets/algebra-webhook", "secrets/hook-2", "courses.d", "courses.d/algebra.yaml"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if u, g := ownerOf(info); u != uid || g != gid {
			t.Errorf("%s belongs to %d:%d", name, u, g)
		}
	}
}

// TestOnlyTheFilesThemselvesAreGivenAway: no link is followed, nothing that
// has a second name or lies elsewhere changes hands; it warns.
func TestOnlyTheFilesThemselvesAreGivenAway(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	dir, elsewhere := t.TempDir(), t.TempDir()
	one, two := filepath.Join(elsewhere, "one"), filepath.Join(elsewhere, "two")
	symbolic, hard := filepath.Join(dir, "symbolic"), filepath.Join(dir, "hard")
	for _, do := range []func() error{
		func() error { return os.WriteFile(one, nil, 0o600) },
		func() error { return os.WriteFile(two, nil, 0o600) },
		func() error { return os.Symlink(one, symbolic) },
		func() error { return os.Link(two, hard) },
		func() error { return os.Chown(dir, 12345, 12346) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	(&app{err: &said}).handOver(dir, symbolic, hard, one)
	for _, f := range []string{one, two} {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if u, _ := ownerOf(info); u != os.Geteuid() {
			t.Errorf("%s was given to %d", f, u)
		}
	}
	if n := strings.Count(said.String(), "belongs to another user"); n != 2 {
		t.Errorf("%d warnings: %s", n, said.String())
	}
}
