//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"satchel/bundle"
)

// peer is one way to bring a course's repository into a student's folder.
type peer interface {
	name() string
	// pushed is called after each push; it returns when a login can have it.
	pushed(t *testing.T, course string)
	// login prepares what runs when a student's server starts.
	login(t *testing.T, d *desk, heldClock bool) *exec.Cmd
	// ended says of an exit code whether the login did its work, as far as
	// the student's folder allows.
	ended(code int) bool
}

// desk is one student's home with one peer.
type desk struct {
	peer   peer
	course string
	home   string
}

func (d *desk) work() string         { return filepath.Join(d.home, "work") }
func (d *desk) path(p string) string { return filepath.Join(d.work(), d.course, p) }

// as makes a command the student's own.
func (d *desk) as(c *exec.Cmd, env ...string) *exec.Cmd {
	c.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + d.home, "LANG=C.UTF-8", "COURSE=" + filepath.Join(d.work(), d.course)}, env...)
	if c.Dir == "" {
		c.Dir = d.work()
	}
	if os.Getuid() == 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: studentID, Gid: studentID}}
	}
	return c
}

// own gives the home to the student's user.
func (d *desk) own(t *testing.T) {
	if os.Getuid() == 0 {
		mustRun(t, exec.Command("chown", "-hR", fmt.Sprintf("%d:%d", studentID, studentID), d.home))
	}
}

// killedBefore is a login that dies before its first rename: git's of the index, the
// agent's of a file.
func killedBefore(d *desk, c *exec.Cmd) *exec.Cmd {
	args := []string{"-f", "-qq", "-o", "/dev/null", "-e", "trace=rename,renameat,renameat2"}
	if _, git := d.peer.(nbgitpuller); git {
		args = append(args, "-P", d.path(".git/index.lock"))
	}
	args = append(args, "-e", "inject=rename,renameat,renameat2:signal=KILL:when=1")
	out := exec.Command("strace", append(args, c.Args...)...)
	out.Dir, out.Env, out.SysProcAttr = c.Dir, append(c.Env, "GOMAXPROCS=1"), c.SysProcAttr
	return out
}

// nbgitpuller is the package from PyPI, in a virtual environment.
type nbgitpuller struct {
	venv  string
	repos string
}

func (nbgitpuller) name() string                 { return "nbgitpuller" }
func (nbgitpuller) pushed(*testing.T, string)    {}
func (nbgitpuller) ended(code int) bool          { return code == 0 }
func (n nbgitpuller) url(course string) string   { return "file://" + n.bare(course) }
func (n nbgitpuller) bare(course string) string  { return filepath.Join(n.repos, course+".git") }
func (n nbgitpuller) program(name string) string { return filepath.Join(n.venv, "bin", name) }

func (n nbgitpuller) login(t *testing.T, d *desk, heldClock bool) *exec.Cmd {
	c := exec.Command(n.program("gitpuller"), n.url(d.course), "main", d.path(""))
	if heldClock {
		script, err := filepath.Abs("testdata/heldclock.py")
		must(t, err)
		c = exec.Command(n.program("python3"), append([]string{script}, c.Args[1:]...)...)
	}
	// The repository belongs to another user than the student, as on a server.
	return d.as(c, "GIT_CONFIG_COUNT=0", "GIT_CONFIG_SYSTEM="+n.repos+"/trust")
}

// satchelPeer is the service and the agent, both the real programs.
type satchelPeer struct{ service *service }

func (satchelPeer) name() string        { return "Satchel" }
func (satchelPeer) ended(code int) bool { return code == 0 || code == exitInPart }

// exitInPart is the agent's exit code when it could not do everything.
const exitInPart = 3

func (s satchelPeer) at(t *testing.T) *service {
	v, site := *s.service, *s.service.site
	site.t = t
	v.site = &site
	return &v
}

func (s satchelPeer) pushed(t *testing.T, course string) {
	v := s.at(t)
	var o struct {
		Version bundle.Version `json:"version"`
		Notes   []string       `json:"notes"`
	}
	out, code := v.site.trySatchel("publish", course, "--confirm-shrink", "--json", "--config", v.config)
	if err := json.Unmarshal([]byte(out), &o); err != nil || code != 0 {
		t.Fatalf("publish: exit %d\n%s", code, out)
	}
	if len(o.Notes) > 0 {
		t.Logf("published with notes: %q", o.Notes)
	}
	eventually(t, timeToPublish, "the version at the hookserver", func() error {
		if now := v.courseVersion(course); now < int(o.Version) {
			return fmt.Errorf("version %d", now)
		}
		return nil
	})
}

var metric = regexp.MustCompile(`satchel_course_version\{course="([^"]*)"\} (\d+)`)

func (v *service) courseVersion(course string) (n int) {
	resp, err := http.Get("http://" + v.hubs + "/metrics")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	var b strings.Builder
	_ = resp.Write(&b)
	for _, m := range metric.FindAllStringSubmatch(b.String(), -1) {
		if m[1] == course {
			_, _ = fmt.Sscan(m[2], &n)
		}
	}
	return n
}

func (s satchelPeer) login(t *testing.T, d *desk, _ bool) *exec.Cmd {
	st := &student{t: t, name: d.course, root: d.work()}
	return st.agent(s.at(t).login(d.course), "sync")
}

// newSatchel starts one service for all stories: each is a course of its own
// with one student.
func newSatchel(t *testing.T, repos string, courses []string, more string) satchelPeer {
	t.Helper()
	dir, err := os.MkdirTemp("", "satchel-e2e-") // as in newSite
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	s := &site{t: t, dir: dir, store: "{dir: store}"}
	s.satchel("init", "--dir", s.path("conf"), "--url", "http://127.0.0.1:1", "--yes")
	list := "courses:\n"
	for _, c := range courses {
		list += fmt.Sprintf("  - {name: %s, repository: %q, audience: {users: [%s]}, poll: 1h%s}\n", c, filepath.Join(repos, c+".git"), c, more)
	}
	v := s.configure("one", list).run("serve")
	eventually(t, timeToPublish, "the service", func() error {
		resp, err := http.Get("http://" + v.hubs + "/healthz")
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
	return satchelPeer{v}
}
