//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"satchel/internal/sample"
)

// repository is a bare course repository and the instructor's clone.
type repository struct {
	t          testing.TB
	bare, work string
}

// newRepository holds the sample course.
func newRepository(t testing.TB, dir string) *repository {
	t.Helper()
	r := &repository{t: t, bare: filepath.Join(dir, "scala101.git"), work: filepath.Join(dir, "instructor")}
	if err := os.CopyFS(r.work, sample.Course()); err != nil {
		t.Fatal(err)
	}
	r.git("init", "-q", "--bare", "-b", "main", r.bare)
	r.git("init", "-q", "-b", "main")
	r.git("remote", "add", "origin", r.bare)
	r.push("first")
	return r
}

func (r *repository) git(args ...string) string {
	r.t.Helper()
	c := exec.Command("git", append([]string{"-c", "user.name=I", "-c", "user.email=i@example.org", "-c", "gc.auto=0"}, args...)...)
	c.Dir = r.work
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	return strings.TrimSpace(mustRun(r.t, c))
}

// set writes a file of the delivered folder; "" deletes it.
func (r *repository) set(path, text string) {
	r.t.Helper()
	file := filepath.Join(r.work, sample.Folder, path)
	if text == "" {
		if err := os.RemoveAll(file); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	write(r.t, file, text)
}

// push commits all and pushes it, by force if need be; it gives the commit.
func (r *repository) push(message string) string {
	r.t.Helper()
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", message)
	r.git("push", "-q", "-f", "origin", "HEAD:main")
	return r.git("rev-parse", "HEAD")
}

// delivered is what students must have: path to SHA-256, of the tip.
func (r *repository) delivered() map[string]string {
	r.t.Helper()
	out := map[string]string{}
	prefix := sample.Folder + "/"
	for _, p := range strings.Split(r.git("ls-tree", "-r", "--name-only", "-z", "HEAD", prefix), "\x00") {
		if p == "" || withheld(strings.TrimPrefix(p, prefix)) {
			continue
		}
		c := exec.Command("git", "show", "HEAD:"+p)
		c.Dir = r.work
		data, err := c.Output()
		if err != nil {
			r.t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		out[strings.TrimPrefix(p, prefix)] = hex.EncodeToString(sum[:])
	}
	return out
}

func withheld(p string) bool {
	for _, w := range sample.Withheld {
		if p == w {
			return true
		}
	}
	return false
}

// onDisk is every file below a folder: path to SHA-256.
func onDisk(t testing.TB, folder string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(folder, func(p string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(folder, p)
		sum := sha256.Sum256(data)
		out[rel] = hex.EncodeToString(sum[:])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
