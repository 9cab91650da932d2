//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"

	"satchel/hook"
)

// class is a course on a bucket with versions, a syncer, two hookservers with
// caches of their own, and students: those with an even number are online.
type class struct {
	*site
	bucket   *bucket
	syncer   *service
	fronts   []*service
	students []*student
	watches  []*process
	edited   map[string]bool
}

// late is what is taken back.
var late = []string{"lab9/late.ipynb", "lab9/late.bin", "lab9/late.md"}

func newClass(t *testing.T, more string, students int) *class {
	s := newSite(t)
	c := &class{site: s, bucket: s.onVersionedS3(), edited: map[string]bool{}}
	s.repo.set("lab8/large.bin", random(1, 600<<10))
	s.repo.push("before")
	c.syncer = s.configure("s", "").run("syncer")
	c.fronts = []*service{s.configure("h0", more).run("hookserver"), s.configure("h1", more).run("hookserver")}
	for _, f := range c.fronts {
		f.ready(1)
	}
	s.repo.set("lab9/late.ipynb", secretNotebook())
	s.repo.set("lab9/late.bin", secretBytes(2))
	s.repo.set("lab9/late.md", "# Late\n\n"+marker+"\n")
	s.repo.push("too early")
	c.syncer.publish()
	for _, f := range c.fronts {
		f.ready(2)
	}
	for i := range students {
		st := s.student(fmt.Sprintf("student%d", i))
		c.students = append(c.students, st)
		if adm := c.login(i); i%2 == 0 {
			c.watches = append(c.watches, startCommand(t, s.dir, st.agent(adm, "watch")))
		} else {
			st.sync(adm)
		}
	}
	for _, st := range c.students {
		eventually(t, time.Minute, st.name+" has it", func() error {
			for _, name := range late {
				if _, err := os.Stat(filepath.Join(st.folder(), name)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return c
}

// login logs a student in by one of the hookservers.
func (c *class) login(i int) hook.Admission {
	return c.fronts[i/2%len(c.fronts)].login(fmt.Sprintf("student%d", i))
}

// edit is a student's own line at the end of a file.
func (c *class) edit(i int) {
	st := c.students[i]
	c.edited[st.name] = true
	file := filepath.Join(st.folder(), "lab9/late.md")
	old, err := os.ReadFile(file)
	must(c.t, err)
	must(c.t, os.WriteFile(file, append(old, "my own answer\n"...), 0o644))
	st.own()
}

// clean says what a student has of it that they should not have.
func (c *class) clean(st *student) error {
	for _, name := range late {
		_, err := os.Stat(filepath.Join(st.folder(), name))
		if own := name == "lab9/late.md" && c.edited[st.name]; own != (err == nil) {
			return fmt.Errorf("%s: %s: there: %v; their own: %v", st.name, name, err == nil, own)
		}
	}
	return nil
}

// wantNothing fails where a home holds a byte of it, but what the student
// wrote.
func (c *class) wantNothing(st *student) {
	c.t.Helper()
	own := filepath.Join(st.folder(), "lab9/late.md")
	for _, path := range markedBelow(c.t, filepath.Dir(st.root)) {
		if !c.edited[st.name] || path != own {
			c.t.Errorf("%s has it in %s", st.name, path)
		}
	}
	if data, err := os.ReadFile(own); c.edited[st.name] && (err != nil || !strings.HasSuffix(string(data), "my own answer\n")) {
		c.t.Errorf("what %s wrote: %q, %v", st.name, tail(string(data), 40), err)
	}
}

// wantGone fails where the store, a hookserver's disk, or anything that the
// thief can ask holds a byte of it.
func (c *class) wantGone(l loot, adms []hook.Admission) {
	c.t.Helper()
	for _, adm := range adms {
		for _, name := range markedOf(l.try(c.t, adm)) {
			c.t.Errorf("%s gives it out: %s", adm.URL, name)
		}
	}
	for _, name := range c.bucket.marked() {
		c.t.Errorf("the bucket has it: %s", name)
	}
	for _, f := range c.fronts {
		for _, path := range markedBelow(c.t, c.path("state-"+strings.TrimSuffix(filepath.Base(f.config), ".yaml"))) {
			c.t.Errorf("a hookserver has it: %s", path)
		}
	}
}

// TestE2EWithdrawn: what is withdrawn is gone, when the command has answered,
// from all that anybody could hold; online students' untouched copies go within
// seconds, the others' at their next login, and what a student wrote stays.
func TestE2EWithdrawn(t *testing.T) {
	for name, k := range map[string]struct{ more, what string }{
		"streamed, a folder":    {"", "lab9"},
		"redirected, a version": {redirect, "2"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClass(t, k.more, 10)
			c.edit(2)
			c.edit(5)
			for _, st := range c.students {
				if found := markedBelow(t, filepath.Dir(st.root)); len(found) <= len(late) { // the files, and what is kept for merges
					t.Fatalf("this test says nothing: %s has it in %q", st.name, found)
				}
			}
			adms := []hook.Admission{c.fronts[0].login("thief"), c.fronts[1].login("thief")}
			l := steal(t, adms[0])
			if before := markedOf(l.try(t, adms[1])); len(before) < 4 || len(c.bucket.marked()) == 0 || len(l.urls) == 0 != (k.more == "") || k.more != "" && len(markedOf(l.open(t))) == 0 {
				t.Fatalf("this test says nothing: %q, %d URLs", before, len(l.urls))
			}
			began := time.Now()
			said := c.satchel("withdraw", "scala101", k.what, "--yes", "--why", "too early", "--config", c.syncer.config)
			answered := time.Since(began)
			if strings.Contains(said, "has not said yet") {
				t.Errorf("%s", said)
			}
			c.wantGone(l, adms)
			for i := 0; i < len(c.students); i += 2 {
				eventually(t, time.Minute, "an online student's copies", func() error { return c.clean(c.students[i]) })
			}
			t.Logf("answered after %.1f s, removed online after %.1f s at most: %s", answered.Seconds(), time.Since(began).Seconds(), said)
			for i, st := range c.students {
				if i%2 == 1 {
					st.sync(c.login(i))
				}
				if err := c.clean(st); err != nil {
					t.Error(err)
				}
			}
			for _, w := range c.watches {
				must(t, w.stop())
			}
			for _, st := range c.students {
				c.wantNothing(st)
			}
			c.wantGone(l, adms)
		})
	}
}

// TestE2EAStoppedHookserverIsNamed: one that does not say that it gives out
// none of it is named after ten seconds, and gives out none when it goes on,
// also to those who asked while it was stopped.
func TestE2EAStoppedHookserverIsNamed(t *testing.T) {
	c := newClass(t, "", 0)
	stopped := c.fronts[1]
	adms := []hook.Admission{c.fronts[0].login("thief"), stopped.login("thief")}
	l := steal(t, adms[1])
	if len(markedOf(l.try(t, adms[1]))) < 4 {
		t.Fatal("this test says nothing")
	}
	stopped.freeze()
	type answer struct {
		status int
		data   []byte
		err    error
	}
	waiting := make(chan answer, 3)
	for range cap(waiting) {
		go func() {
			status, data, err := tryRequest(adms[1], http.MethodGet, "/v1/sync", http.Header{"Accept": {hook.OfferType}}, "")
			waiting <- answer{status, data, err}
		}()
	}
	began := time.Now()
	said := c.satchel("withdraw", "scala101", "lab9", "--yes", "--config", c.syncer.config)
	t.Logf("answered after %.1f s: %s", time.Since(began).Seconds(), said)
	if !strings.Contains(said, fmt.Sprintf("-%d has not said yet", stopped.cmd.Process.Pid)) || strings.Count(said, "has not said yet") != 1 || time.Since(began) < 10*time.Second {
		t.Errorf("the one that is stopped, %d, is not named: %s", stopped.cmd.Process.Pid, said)
	}
	if found := c.bucket.marked(); len(found) > 0 {
		t.Errorf("the bucket has it: %q", found)
	}
	stopped.signal(syscall.SIGCONT)
	if found := markedOf(l.try(t, adms[1])); len(found) > 0 {
		t.Errorf("who was stopped gives it out: %q", found)
	}
	for range cap(waiting) {
		if a := <-waiting; a.err != nil || marked(a.data) {
			t.Errorf("who asked while it was stopped: %d, %d bytes, %v", a.status, len(a.data), a.err)
		}
	}
	c.wantGone(l, adms)
}

// TestE2EADownloadThatRunsDuringAWithdrawal: it ends by itself, the next login
// brings all that is left, and nothing of it stays in the home.
func TestE2EADownloadThatRunsDuringAWithdrawal(t *testing.T) {
	c := newClass(t, "", 0)
	all := 0
	for i := range 3 { // far more than what lies in buffers on the way
		text := ""
		for j := range 12 {
			text += secretBytes(100 + 20*i + j)
		}
		all += len(text)
		c.repo.set(fmt.Sprintf("lab9/late%d.bin", i), text)
	}
	c.repo.push("more of it")
	c.syncer.publish()
	front := c.fronts[0]
	front.ready(3)
	p := startProxy(t, front.students)
	p.limit = rate.NewLimiter(1500<<10, 64<<10)
	ana := c.student("ana")
	adm := front.login("ana")
	adm.URL = strings.Replace(adm.URL, front.students, p.addr, 1)
	run := startCommand(t, c.dir, ana.agent(adm, "sync"))
	eventually(t, time.Minute, "a download that runs", func() error {
		if n := len(p.bytes()); n < 300<<10 || run.ended() {
			return fmt.Errorf("%d bytes; ended: %v", n, run.ended())
		}
		return nil
	})
	c.satchel("withdraw", "scala101", "lab9", "--yes", "--config", c.syncer.config)
	if run.ended() {
		t.Fatal("this test says nothing: the download was over before")
	}
	select {
	case <-run.done:
	case <-time.After(2 * time.Minute):
		t.Fatal("it does not end")
	}
	t.Logf("of %d bytes %d came; %v: %s", all, len(p.bytes()), run.err, run.output())
	if run.err != nil || len(p.bytes()) > all*2/3 {
		t.Error("the download went on")
	}
	said := ana.sync(front.login("ana"))
	want := c.repo.delivered()
	maps.DeleteFunc(want, func(path, _ string) bool { return strings.HasPrefix(path, "lab9/") })
	if d := cmp.Diff(want, onDisk(t, ana.folder())); d != "" {
		t.Errorf("ana has other files (-want +has), %s:\n%s", said, d)
	}
	c.wantNothing(ana)
}
