//go:build e2e

package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
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
