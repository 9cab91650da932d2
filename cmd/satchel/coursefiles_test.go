//go:build unix

package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"satchel/internal/sshgit"
	"satchel/source"
)

// TestPathsAreWhatWasTyped: relative paths are those of the folder in which
// the command was typed.
func TestPathsAreWhatWasTyped(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	n := newCourse{url: "./repo", key: "key", knownHosts: "/etc/hosts", token: "env:TOKEN"}
	n.absolute()
	want := newCourse{url: filepath.Join(dir, "repo"), key: filepath.Join(dir, "key"), knownHosts: "/etc/hosts", token: "env:TOKEN"}
	if n.url != want.url || n.key != want.key || n.knownHosts != want.knownHosts || n.token != want.token {
		t.Errorf("%+v, want %+v", n, want)
	}
	n = newCourse{url: "https://git.example.org/x.git", token: "../token"}
	n.absolute()
	if n.url != "https://git.example.org/x.git" || n.token != filepath.Join(filepath.Dir(dir), "token") {
		t.Errorf("%+v", n)
	}
}

// TestALargeRepositoryIsNotFetchedForItsFolder: where the folder was not seen
// in time, nothing is said against it.
func TestALargeRepositoryIsNotFetchedForItsFolder(t *testing.T) {
	dir := t.TempDir()
	repo := filepath.Join(dir, "repo")
	for _, args := range [][]string{{"init", "-q", "-b", "main", repo}, {"-C", repo, "commit", "-q", "--allow-empty", "-m", "first"}} {
		if err := gitIn(t.Context(), dir, args...); err != nil {
			t.Fatal(err)
		}
	}
	key, err := deployKeyIn(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	srv, err := sshgit.Start(slog.New(slog.DiscardHandler), sshgit.Options{Repos: map[string]string{"/x.git": repo}, Keys: []ssh.PublicKey{key}})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	hosts := filepath.Join(dir, "known_hosts")
	if err := os.WriteFile(hosts, []byte(srv.KnownHostsLine()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	was := folderWithin
	defer func() { folderWithin = was }()
	folderWithin = 0
	var out bytes.Buffer
	r := source.Remote{URL: srv.URL("/x.git"), Branch: "main", Folder: "nb", KeyFiles: []string{filepath.Join(dir, "key")}, KnownHostsFile: hosts}
	if err := (&app{out: &out}).look(t.Context(), dir, r); err != nil || !strings.Contains(out.String(), "was not seen") {
		t.Errorf("%v: %s", err, out.String())
	}
	folderWithin = was
	if left, _ := filepath.Glob(filepath.Join(dir, "satchel-add-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := (&app{out: &out}).look(t.Context(), dir, r); err == nil || !strings.Contains(err.Error(), "no folder nb") {
		t.Errorf("in time: %v", err)
	}
}
