//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// mutating are the system calls that change a disk. strace kills the
// unmodified program before the N-th of them, for every N.
const mutating = "rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,fsync,fdatasync,fallocate,ftruncate,fchmod,fchmodat,fchmodat2,symlinkat"

// straced is the command under strace, killed at the n-th call.
func straced(c *exec.Cmd, n int) *exec.Cmd {
	args := append([]string{"-f", "-qq", "-o", "/dev/null", "-e", "trace=" + mutating,
		"-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", mutating, n)}, c.Args...)
	out := exec.Command("strace", args...)
	out.Dir, out.Env, out.SysProcAttr = c.Dir, c.Env, c.SysProcAttr
	return out
}

// TestE2EAgentKilledAtEachStep: after kill -9 before any mutating call every
// file is whole, old or new, the student's own is what it was, and the next
// run ends with the newest.
func TestE2EAgentKilledAtEachStep(t *testing.T) {
	s := newSite(t)
	v := s.configure("one", "").run("serve")
	v.ready(1)
	tmpl := s.student("template")
	for i := range 12 {
		s.repo.set(fmt.Sprintf("many/f%d.txt", i), fmt.Sprintf("one %d\n", i))
	}
	s.repo.push("many")
	v.publish()
	v.ready(2)
	tmpl.sync(v.login("template"))
	tmpl.edit("many/f3.txt", "the student's own\n")
	old := onDisk(t, tmpl.folder())
	for i := range 12 {
		s.repo.set(fmt.Sprintf("many/f%d.txt", i), fmt.Sprintf("two %d\n", i))
	}
	s.repo.set("many/f7.txt", "")
	s.repo.set("fresh/new.txt", "new\n")
	s.repo.push("second")
	v.publish()
	v.ready(3)
	newest := s.repo.delivered()

	killed := 0
	for n := 1; ; n++ {
		st := s.student(fmt.Sprintf("k%d", n))
		must(t, os.RemoveAll(st.root))
		mustRun(t, exec.Command("cp", "-a", tmpl.root, st.root))
		adm := v.login(st.name)
		out, code := runProgram(t, straced(st.agent(adm, "sync"), n))
		wholeOrNothing(t, st, n, old, newest)
		if code == 0 {
			t.Logf("the run has ended by itself at n=%d; %d runs were killed", n, killed)
			break
		}
		killed++
		if n > 3000 {
			t.Fatalf("still killed at %d: %s", n, out)
		}
		st.sync(adm)
		converged(t, st, n, newest)
	}
	if killed < 20 {
		t.Errorf("only %d runs were killed: is strace injecting at all?", killed)
	}
}

// wholeOrNothing: nothing half-written is visible in the course's folder.
func wholeOrNothing(t *testing.T, st *student, n int, old, newest map[string]string) {
	t.Helper()
	for p, sum := range onDisk(t, st.folder()) {
		known := sum == old[p] || sum == newest[p] || strings.Contains(p, "(course v3)") && sum == newest["many/f3.txt"]
		if !known {
			t.Errorf("n=%d: %s is neither old nor new", n, p)
		}
	}
}

func converged(t *testing.T, st *student, n int, newest map[string]string) {
	t.Helper()
	got := onDisk(t, st.folder())
	want := map[string]string{}
	for p, sum := range newest {
		want[p] = sum
	}
	want["many/f3 (course v3).txt"] = newest["many/f3.txt"]
	want["many/f3.txt"] = sumOf("the student's own\n")
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("n=%d: after the next run (-want +got):\n%s", n, d)
	}
	left, err := filepath.Glob(filepath.Join(st.root, ".satchel", "stage", "*"))
	must(t, err)
	if len(left) > 0 {
		t.Errorf("n=%d: staged and forgotten: %v", n, left)
	}
}

// TestE2ESyncerKilledAtEachStep: a publish killed before any mutating call
// leaves the old version whole, and the next pass publishes.
func TestE2ESyncerKilledAtEachStep(t *testing.T) {
	s := newSite(t)
	front := s.configure("front", "").run("hookserver")
	first := s.configure("s0", "").run("syncer")
	front.ready(1)
	must(t, first.stop())
	ana := s.student("ana")
	killed := 0
	for n := 1; n < 400; n++ {
		s.repo.set("lab1/n.txt", fmt.Sprintf("killed at %d\n", n))
		commit := s.repo.push("next")
		before := front.version()
		v := s.configure("s0", "")
		c := exec.Command(binary(t, "satchel"), "syncer", "--config", v.config)
		c.Env = append(os.Environ(), s.env...)
		sc := straced(c, n)
		v.process = start(t, s.dir, s.env, sc.Path, sc.Args[1:]...)
		if publishedOrDead(t, s, v, commit) {
			must(t, ignoreKill(v.stop()))
			if killed == 0 {
				continue
			}
			break
		}
		killed++
		ana.sync(front.login("ana")) // whatever lies in the store: whole, old or new
		if got := front.version(); got < before {
			t.Fatalf("n=%d: version %d went back to %d", n, before, got)
		}
		v = s.configure("s0", "").run("syncer")
		eventually(t, timeToPublish, "the next pass", func() error { return newestIs(t, s, v, commit) })
		must(t, ignoreKill(v.stop()))
		front.ready(int(logEntries(t, s, v)[0].Version))
		ana.sync(front.login("ana"))
		equalFolder(t, s, ana)
	}
	t.Logf("%d passes were killed", killed)
	if killed < 10 {
		t.Errorf("only %d passes were killed: is strace injecting at all?", killed)
	}
}
