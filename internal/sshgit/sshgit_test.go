package sshgit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
)

// TestMain lets this binary also be the ssh that git starts, so that a real
// git can talk to the server on a machine without an SSH client.
func TestMain(m *testing.M) {
	if key := os.Getenv("SSHGIT_TEST_KEY"); key != "" {
		os.Exit(actAsSSH(key, os.Getenv("SSHGIT_TEST_ADDR"), os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// actAsSSH runs the last argument as a command on the server.
func actAsSSH(keyFile, addr string, args []string) int {
	data, err := os.ReadFile(keyFile)
	if err != nil {
		panic(err)
	}
	key, err := ssh.ParsePrivateKey(data)
	if err != nil {
		panic(err)
	}
	client, err := dial(addr, key)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 255
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 255
	}
	session.Setenv("GIT_PROTOCOL", os.Getenv("GIT_PROTOCOL"))
	in, _ := session.StdinPipe()
	session.Stdout, session.Stderr = os.Stdout, os.Stderr
	go func() { io.Copy(in, os.Stdin); in.Close() }()
	if err := session.Run(args[len(args)-1]); err != nil {
		return 1
	}
	return 0
}

func dial(addr string, keys ...ssh.Signer) (*ssh.Client, error) {
	return ssh.Dial("tcp", addr, &ssh.ClientConfig{
		User: "git", Auth: []ssh.AuthMethod{ssh.PublicKeys(keys...)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 10 * time.Second,
	})
}

// newKey makes a key, and a file of it.
func newKey(t *testing.T) (ssh.Signer, string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key")
	var buf bytes.Buffer
	if err := pem.Encode(&buf, block); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return signer, file
}

// git runs git with nothing of the user's configuration.
func git(t *testing.T, dir string, env []string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append([]string{
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "HOME=" + t.TempDir(),
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b",
	}, env...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func mustGit(t *testing.T, dir string, env []string, args ...string) string {
	t.Helper()
	out, err := git(t, dir, env, args...)
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return out
}

// bare makes a bare repository with one commit.
func bare(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "course.git")
	mustGit(t, "/", nil, "init", "-q", "--bare", "-b", "main", dir)
	tree := mustGit(t, dir, nil, "mktree")
	commit := mustGit(t, dir, nil, "commit-tree", "-m", "first", strings.TrimSpace(tree))
	mustGit(t, dir, nil, "update-ref", "refs/heads/main", strings.TrimSpace(commit))
	return dir
}

func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func sshEnv(t *testing.T, s *Server, keyFile string) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{"GIT_SSH_COMMAND=" + self, "GIT_SSH_VARIANT=simple", "SSHGIT_TEST_KEY=" + keyFile, "SSHGIT_TEST_ADDR=" + s.Addr()}
}

func simpleURL(repo string) string { return "ssh://git@localhost" + repo }

func TestRealGitClonesAndPushes(t *testing.T) {
	key, file := newKey(t)
	s := start(t, Options{Repos: map[string]string{"/school/course.git": bare(t)}, Keys: []ssh.PublicKey{key.PublicKey()}, AllowPush: true})
	work := filepath.Join(t.TempDir(), "work")
	env := sshEnv(t, s, file)
	mustGit(t, "/", env, "clone", "-q", simpleURL("/school/course"), work)
	if err := os.WriteFile(filepath.Join(work, "a.txt"), []byte("a"), 0o644); err != nil {
		t.Fatal(err)
	}
	mustGit(t, work, env, "add", ".")
	mustGit(t, work, env, "commit", "-q", "-m", "second")
	mustGit(t, work, env, "push", "-q", "origin", "main")
	if got, want := mustGit(t, work, env, "ls-remote", "origin", "main"), mustGit(t, work, env, "rev-parse", "HEAD"); !strings.HasPrefix(got, strings.TrimSpace(want)) {
		t.Errorf("the server's main is %s, want %s", got, want)
	}
}

func TestWhatIsRefused(t *testing.T) {
	key, file := newKey(t)
	other, otherFile := newKey(t)
	repo := bare(t)
	o := Options{Repos: map[string]string{"/a.git": repo, "/b.git": repo}, Keys: []ssh.PublicKey{key.PublicKey(), other.PublicKey()}}
	o.May = func(k ssh.PublicKey, path string) bool {
		return path == "/a.git" || string(k.Marshal()) == string(other.PublicKey().Marshal())
	}
	s := start(t, o)
	_, stranger := newKey(t)
	for name, c := range map[string]struct {
		key, url string
		args     []string
		says     string
	}{
		"a push":                      {file, "/a.git", []string{"push", simpleURL("/a.git"), "HEAD:refs/heads/x"}, "only fetching"},
		"an unknown key":              {stranger, "/a.git", []string{"ls-remote", simpleURL("/a.git")}, "unable to authenticate"},
		"another repository's key":    {file, "/b.git", []string{"ls-remote", simpleURL("/b.git")}, "Repository not found"},
		"a repository that is absent": {otherFile, "/c.git", []string{"ls-remote", simpleURL("/c.git")}, "Repository not found"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := git(t, repo, sshEnv(t, s, c.key), c.args...)
			if err == nil || !strings.Contains(out, c.says) {
				t.Errorf("git says %q (%v), want %q", out, err, c.says)
			}
		})
	}
}

func TestOtherCommandsNeverRun(t *testing.T) {
	key, _ := newKey(t)
	s := start(t, Options{Repos: map[string]string{"/a.git": bare(t)}, Keys: []ssh.PublicKey{key.PublicKey()}, AllowPush: true})
	client, err := dial(s.Addr(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, line := range []string{
		"sh", "id", "git-upload-archive '/a.git'", "git-upload-pack '/a.git'; id", "git-upload-pack $(id)",
		"git-upload-pack", "git upload-pack --help", "git-upload-pack '--help'", "git-upload-pack '/a.git' x", "",
	} {
		session, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if out, err := session.Output(line); err == nil || len(out) > 0 {
			t.Errorf("%q ran: %q", line, out)
		}
	}
}

// A client that stays connected, and a git that waits for it, do not outlive
// Close (goleak looks at the end).
func TestCloseEndsEverything(t *testing.T) {
	key, _ := newKey(t)
	s := start(t, Options{Repos: map[string]string{"/a.git": bare(t)}, Keys: []ssh.PublicKey{key.PublicKey()}})
	client, err := dial(s.Addr(), key)
	if err != nil {
		t.Fatal(err)
	}
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Start("git-upload-pack '/a.git'"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 8)); err != nil { // git runs, and waits for us
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := client.Wait(); err == nil {
		t.Error("the connection ended well; it should have been cut")
	}
}

func TestSilentServerStaysSilent(t *testing.T) {
	s := start(t, Options{Silent: func(at Stage) bool { return at == Accepted }})
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 1)); n > 0 || !os.IsTimeout(err) {
		t.Errorf("the server said something, or hung up: %v", err)
	}
}

func TestParseCommand(t *testing.T) {
	for line, want := range map[string]string{
		"git-upload-pack '/a b.git'":        "upload-pack /a b.git",
		"git upload-pack '/a.git'":          "upload-pack /a.git",
		"git-receive-pack 'a.git'":          "receive-pack a.git",
		`git-upload-pack 'it'\''s'\!'.git'`: "upload-pack it's!.git",
		"git-upload-pack a.git":             "upload-pack a.git",
		"git-upload-pack 'a":                "",
		"git-upload-pack 'a' 'b'":           "",
		"git-upload-pack ''":                "",
		"upload-pack 'a'":                   "",
		"git-shell 'a'":                     "",
		"git-upload-pack a;id":              "upload-pack a;id", // one name, for no shell sees it
	} {
		service, path, ok := parseCommand(line)
		if got := service + " " + path; ok != (want != "") || (ok && got != want) {
			t.Errorf("%s: %q %v, want %q", line, got, ok, want)
		}
	}
}

func FuzzParseCommand(f *testing.F) {
	f.Add(`git-upload-pack 'it'\''s'`)
	f.Fuzz(func(t *testing.T, line string) {
		service, path, ok := parseCommand(line)
		if ok && (path == "" || (service != "upload-pack" && service != "receive-pack")) {
			t.Errorf("%q gave %q %q", line, service, path)
		}
	})
}
