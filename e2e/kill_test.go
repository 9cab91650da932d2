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
// unmodified program before the N-th of each, for every N. It counts in each
// thread apart, so with GOMAXPROCS=1 nearly every step is met; workdir's own
// test meets each of them exactly.
var mutating = strings.Split("rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,fsync,fdatasync,fallocate,ftruncate,write,pwrite64,fchmod,fchmodat,symlinkat", ",")

// straced is the command under strace, killed before the n-th such call.
func straced(c *exec.Cmd, call string, n int) *exec.Cmd {
	args := append([]string{"-f", "-qq", "-o", "/dev/null", "-e", "trace=" + call,
		"-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, n)}, c.Args...)
	out := exec.Command("strace", args...)
	out.Dir, out.Env, out.SysProcAttr = c.Dir, append(c.Env, "GOMAXPROCS=1"), c.SysProcAttr
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
	for _, call := range mutating {
		for n := 1; ; n++ {
			st := s.student(fmt.Sprintf("k-%s-%d", call, n))
			must(t, os.RemoveAll(st.root))
			mustRun(t, exec.Command("cp", "-a", tmpl.root, st.root))
			adm := v.login(st.name)
			out, code := runProgram(t, straced(st.agent(adm, "sync"), call, n))
			what := fmt.Sprintf("killed before %s number %d", call, n)
			wholeOrNothing(t, st, what, old, newest)
			if code == 0 {
				break
			}
			killed++
			if code != -1 && code != 128+9 || n > 3000 { // strace dies of the same signal
				t.Fatalf("%s: exit %d, which is no kill: %s", what, code, out)
			}
			st.sync(adm)
			converged(t, st, what, newest)
		}
	}
	t.Logf("%d runs were killed", killed)
	if killed < 60 {
		t.Errorf("only %d runs were killed: is strace injecting at all?", killed)
	}
}

// wholeOrNothing: nothing half-written is visible in the course's folder.
func wholeOrNothing(t *testing.T, st *student, what string, old, newest map[string]string) {
	t.Helper()
	for p, sum := range onDisk(t, st.folder()) {
		known := sum == old[p] || sum == newest[p] || strings.Contains(p, "(course v3)") && sum == newest["many/f3.txt"]
		if !known {
			t.Errorf("%s: %s is neither old nor new", what, p)
		}
	}
}

func converged(t *testing.T, st *student, what string, newest map[string]string) {
	t.Helper()
	got := onDisk(t, st.folder())
	want := map[string]string{}
	for p, sum := range newest {
		want[p] = sum
	}
	want["many/f3 (course v3).txt"] = newest["many/f3.txt"]
	want["many/f3.txt"] = sumOf("the student's own\n")
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s: after the next run (-want +got):\n%s", what, d)
	}
	left, err := filepath.Glob(filepath.Join(st.root, ".satchel", "stage", "*"))
	must(t, err)
	if len(left) > 0 {
		t.Errorf("%s: staged and forgotten: %v", what, left)
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
	for _, call := range mutating {
		for n := 1; ; n++ {
			what := fmt.Sprintf("killed before %s number %d", call, n)
			s.repo.set("lab1/n.txt", what+"\n")
			commit := s.repo.push("next")
			before := front.version()
			v := s.configure("s0", "")
			sc := straced(exec.Command(binary(t, "satchel"), "syncer", "--config", v.config), call, n)
			v.process = start(t, s.dir, append(s.env, "GOMAXPROCS=1"), sc.Path, sc.Args[1:]...)
			if publishedOrDead(t, s, v, commit) {
				_ = v.stop() // it may die of the injection while it stops
				break
			}
			killed++
			if n > 300 {
				t.Fatalf("%s: no end", what)
			}
			ana.sync(front.login("ana")) // whatever lies in the store: whole, old or new
			if got := front.version(); got < before {
				t.Fatalf("%s: version %d went back to %d", what, before, got)
			}
			v = s.configure("s0", "").run("syncer")
			eventually(t, timeToPublish, "the next pass", func() error { return newestIs(t, s, v, commit) })
			published, _ := newest(t, s, v)
			_ = v.stop()
			front.ready(published)
			said := ana.sync(front.login("ana"))
			equalFolder(t, s, ana)
			if t.Failed() {
				t.Fatalf("%s: version %d, and the agent said %s", what, published, said)
			}
		}
	}
	t.Logf("%d passes were killed", killed)
	if killed < 30 {
		t.Errorf("only %d passes were killed: is strace injecting at all?", killed)
	}
}
