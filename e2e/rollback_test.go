//go:build e2e

package e2e

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestE2ERollbackToACommitThatIsGone: after a push with force and a clean-up at
// the git host nobody has the commit, and a syncer on a new machine goes back
// all the same.
func TestE2ERollbackToACommitThatIsGone(t *testing.T) {
	s := newSite(t)
	s.repo.set("lab1/which.md", "the first\n")
	first := s.repo.push("first")
	want := s.repo.delivered()
	v := s.configure("one", "").run("syncer")
	front := s.configure("front", "").run("hookserver")
	front.ready(1)
	s.repo.git("checkout", "-q", "--orphan", "anew")
	s.repo.set("lab1/which.md", "the second\n")
	s.repo.push("all anew")
	v.publish()
	front.ready(2)
	for _, args := range [][]string{{"reflog", "expire", "--expire=now", "--all"}, {"gc", "-q", "--prune=now"}} {
		mustRun(t, exec.Command("git", append([]string{"-C", s.repo.bare}, args...)...))
	}
	if exec.Command("git", "-C", s.repo.bare, "cat-file", "-e", first).Run() == nil {
		t.Fatal("this test says nothing: the commit is there")
	}
	must(t, v.stop())
	v = s.configure("two", "").run("syncer")
	eventually(t, time.Minute, "the other syncer's socket", func() error {
		if out, code := s.trySatchel("publish", "scala101", "--config", v.config); code != 0 {
			return errors.New(out)
		}
		return nil
	})
	said := s.satchel("rollback", "scala101", "1", "--why", "the second was wrong", "--config", v.config)
	if !strings.Contains(said, "out of the store") {
		t.Errorf("%s", said)
	}
	front.ready(3)
	ana := s.student("ana")
	ana.sync(front.login("ana"))
	if d := cmp.Diff(want, onDisk(t, ana.folder())); d != "" {
		t.Errorf("ana has other files than version 1 (-want +has):\n%s", d)
	}
}
