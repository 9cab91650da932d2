package source

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"satchel/internal/sshgit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// repo is a real repository with a working tree, made by the git command.
type repo struct {
	t   testing.TB
	dir string
}

func newRepo(t testing.TB) *repo {
	t.Helper()
	r := &repo{t: t, dir: filepath.Join(t.TempDir(), "work")}
	r.t.Helper()
	if err := os.Mkdir(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.git("init", "-q", "-b", "main")
	return r
}

// git runs git in the working tree, with nothing of the user's configuration,
// and gives what it prints.
func (r *repo) git(args ...string) string {
	r.t.Helper()
	return r.gitIn("", args...)
}

func (r *repo) gitIn(input string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = r.dir
	cmd.Stdin = strings.NewReader(input)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Ana", "GIT_AUTHOR_EMAIL=ana@school.org", "GIT_COMMITTER_NAME=Ana", "GIT_COMMITTER_EMAIL=ana@school.org",
		"GIT_ALLOW_PROTOCOL=file", "GIT_TERMINAL_PROMPT=0",
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

func (r *repo) write(name, text string) {
	r.t.Helper()
	file := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// commit commits all that lies in the working tree, and gives its name.
func (r *repo) commit() string {
	r.t.Helper()
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", "a commit")
	return r.git("rev-parse", "HEAD")
}

// host is an SSH server that serves the repository, and a key that it knows.
type host struct {
	*sshgit.Server
	remote Remote
}

// serve starts an SSH server for the repository. Options' zero fields are
// filled in.
func serve(t testing.TB, r *repo, o sshgit.Options) *host {
	t.Helper()
	file, public := newKeyFile(t, "key")
	if o.Repos == nil {
		o.Repos = map[string]string{"/school/course.git": r.dir}
	}
	if o.Keys == nil {
		o.Keys = []ssh.PublicKey{public}
	}
	s, err := sshgit.Start(logger(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	known := filepath.Join(t.TempDir(), "known_hosts")
	writeFile(t, known, s.KnownHostsLine()+"\n")
	return &host{s, Remote{URL: s.URL("/school/course.git"), KeyFiles: []string{file}, KnownHostsFile: known}}
}

func newKeyFile(t testing.TB, name string) (file string, public ssh.PublicKey) {
	t.Helper()
	pem, line, err := NewDeployKey("test")
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), name)
	writeFile(t, file, string(pem))
	public, _, _, _, err = ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	return file, public
}

func writeFile(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newMirror(t testing.TB, r Remote) *Mirror {
	t.Helper()
	return mirrorIn(t, filepath.Join(t.TempDir(), "mirror"), r)
}

func mirrorIn(t testing.TB, dir string, r Remote) *Mirror {
	t.Helper()
	m, err := NewMirror(logger(t), dir, r, Options{Idle: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// newest is the folder at the branch's tip.
func newest(t testing.TB, m *Mirror) *Tree {
	t.Helper()
	tip, err := m.Tip(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return at(t, m, tip)
}

func at(t testing.TB, m *Mirror, commit string) *Tree {
	t.Helper()
	tree, err := m.At(t.Context(), commit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close() })
	if tree.Commit() != commit {
		t.Errorf("the tree is of %s, want %s", tree.Commit(), commit)
	}
	return tree
}

// contents reads all regular files of a tree.
func contents(t testing.TB, fsys fs.FS) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := fs.ReadFile(fsys, name)
		out[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sameAs compares a tree with what git itself has at that commit.
func (r *repo) sameAs(tree *Tree, folder string) {
	r.t.Helper()
	got := contents(r.t, tree)
	want := map[string]string{}
	for line := range strings.SplitSeq(r.git("ls-tree", "-r", "-z", tree.Commit(), "--", folder), "\x00") {
		// mode, type, object, tab, name; 100644 and 100755 are regular files
		about, name, _ := strings.Cut(line, "\t")
		if strings.HasPrefix(about, "100") {
			want[strings.TrimPrefix(name, folder+"/")] = r.blob(tree.Commit(), name)
		}
	}
	for name := range want {
		if got[name] != want[name] {
			r.t.Errorf("%s has %d bytes, git has %d", name, len(got[name]), len(want[name]))
		}
	}
	if len(got) != len(want) {
		r.t.Errorf("%d files, git has %d", len(got), len(want))
	}
}

func (r *repo) blob(commit, name string) string {
	r.t.Helper()
	cmd := exec.Command("git", "cat-file", "blob", commit+":"+name)
	cmd.Dir = r.dir
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatal(err)
	}
	return string(out)
}

// fails checks an error's kind, and that its sentence says these things.
func fails(t testing.TB, err error, kind Kind, says ...string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Fatalf("got %v (%T), want an *Error of kind %s", err, err, kind)
	}
	t.Log(e.Sentence)
	for _, s := range says {
		if !strings.Contains(e.Sentence, s) {
			t.Errorf("the sentence lacks %q: %s", s, e.Sentence)
		}
	}
}

// noise is bytes that do not compress.
func noise(n int) string {
	out := make([]byte, n)
	x := uint64(n)*2654435761 + 88172645463325252
	for i := range out {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		out[i] = byte(x)
	}
	return string(out)
}

func readAll(fsys fs.FS, name string) error {
	f, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, f)
	return err
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func bufferLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func pemText(block *pem.Block) []byte { return pem.EncodeToMemory(block) }

// absent is a path at which there is nothing.
const absent = "/proc/none/of/this"

const second = time.Second

// random is a text that does not compress.
func random(n int) string {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return string(b)
}
