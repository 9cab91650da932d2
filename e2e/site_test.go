//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"satchel/hook"
	"satchel/internal/s3server"
)

// site is one school: a repository behind sshd, a store, a configuration.
type site struct {
	t     testing.TB
	dir   string
	repo  *repository
	ssh   *sshd
	store string   // the YAML of store:
	env   []string // credentials of the store
}

// newSite makes one with the folder store.
func newSite(t testing.TB) *site {
	t.Helper()
	s := newSiteWithoutSSH(t)
	if elsewhere() {
		return s // without an sshd, which does not run well there: the repository is read in place
	}
	mustRun(t, exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.path("conf/secrets/scala101-key")))
	s.ssh = startSSHD(t, s.path("conf"), s.path("conf/secrets/scala101-key.pub"))
	return s
}

func newSiteWithoutSSH(t testing.TB) *site {
	t.Helper()
	// Not t.TempDir: the path of a Unix socket has at most 107 bytes.
	dir, err := os.MkdirTemp("", "satchel-e2e-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	s := &site{t: t, dir: dir, store: "{dir: store}"}
	s.repo = newRepository(t, s.dir)
	s.satchel("init", "--dir", s.path("conf"), "--url", "http://127.0.0.1:1", "--yes")
	return s
}

// onS3 puts the store into a bucket of a real S3 server.
func (s *site) onS3() *site {
	s.t.Helper()
	endpoint, access, secret := s3server.Start(s.t)
	bucket := s3server.Bucket(s.t, endpoint, access, secret).Bucket
	s.store = fmt.Sprintf("{s3: {bucket: %s, endpoint: %q, region: us-east-1}}", bucket, endpoint)
	s.env = []string{"AWS_ACCESS_KEY_ID=" + access, "AWS_SECRET_ACCESS_KEY=" + secret, "AWS_EC2_METADATA_DISABLED=true"}
	return s
}

func (s *site) path(p string) string { return filepath.Join(s.dir, p) }

// satchel runs a command to its end, which must be good.
func (s *site) satchel(args ...string) string {
	s.t.Helper()
	out, code := s.trySatchel(args...)
	if code != 0 {
		s.t.Fatalf("satchel %s: exit %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

func (s *site) trySatchel(args ...string) (string, int) {
	c := exec.Command(binary(s.t, "satchel"), args...)
	c.Env = append(os.Environ(), s.env...)
	return runProgram(s.t, c)
}

// service is one process (or half of one) with a configuration of its own.
type service struct {
	*process
	site           *site
	config         string
	students, hubs string // addresses
}

// configure writes the configuration of one process. All share the secrets
// and the store; each has its own state and ports.
func (s *site) configure(name, more string) *service {
	s.t.Helper()
	v := &service{
		site: s, config: s.path("conf/" + name + ".yaml"),
		students: hereAt(freePort(s.t)), hubs: hereAt(freePort(s.t)),
	}
	text := fmt.Sprintf(`store: %s
state_dir: ../state-%s
url: "http://%s"
listen: {students: %q, hub: %q, control: ../control-%s.sock}
%s
`, s.store, name, v.students, v.students, v.hubs, name, more)
	switch {
	case strings.Contains(more, "courses:"):
	case s.ssh == nil:
		text += fmt.Sprintf("courses:\n  - {name: scala101, repository: %q, branch: main, folder: notebooks, audience: everyone, poll: 5s}\n", s.repo.bare)
	default:
		text += fmt.Sprintf(`courses:
  - name: scala101
    repository: %q
    branch: main
    folder: notebooks
    deploy_key_file: secrets/scala101-key
    known_hosts_file: known_hosts
    audience: everyone
    poll: 5s
`, s.ssh.url(s.repo.bare))
	}
	write(s.t, v.config, text)
	return v
}

// run starts it; half is serve, syncer or hookserver.
func (v *service) run(half string) *service {
	v.site.t.Helper()
	v.process = start(v.site.t, v.site.dir, v.site.env, binary(v.site.t, "satchel"), half, "--config", v.config)
	return v
}

// ready waits until the hookserver answers and has version n of the course.
func (v *service) ready(n int) {
	v.site.t.Helper()
	v.readyWithin(time.Minute, n)
}

func (v *service) readyWithin(d time.Duration, n int) {
	v.site.t.Helper()
	eventually(v.site.t, d, fmt.Sprintf("version %d", n), func() error {
		if v.ended() {
			v.site.t.Fatalf("the service ended:\n%s", tail(v.output(), 3000))
		}
		resp, err := http.Get("http://" + v.hubs + "/readyz")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("readyz: %d", resp.StatusCode)
		}
		if got := v.version(); got < n {
			return fmt.Errorf("version %d", got)
		}
		return nil
	})
}

// version is the one that this hookserver hands out, by its metric.
func (v *service) version() int { return v.versionOf("scala101") }

func (v *service) versionOf(course string) int {
	resp, err := http.Get("http://" + v.hubs + "/metrics")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	_, _ = b.ReadFrom(resp.Body)
	for line := range strings.Lines(b.String()) {
		var n float64
		if _, err := fmt.Sscanf(line, `satchel_course_version{course="`+course+`"} %g`, &n); err == nil {
			return int(n)
		}
	}
	return 0
}

// publish asks the syncer to look now.
func (v *service) publish(args ...string) string {
	v.site.t.Helper()
	return v.site.satchel(append([]string{"publish", "scala101", "--config", v.config}, args...)...)
}

// login is what the hub's hook does.
func (v *service) login(user string, groups ...string) hook.Admission {
	v.site.t.Helper()
	secret, err := os.ReadFile(v.site.path("conf/secrets/hook"))
	if err != nil {
		v.site.t.Fatal(err)
	}
	if groups == nil {
		groups = []string{}
	}
	body, _ := json.Marshal(hook.Login{User: user, Groups: groups})
	req, _ := http.NewRequest(http.MethodPost, "http://"+v.hubs+"/v1/logins", bytes.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(secret)))
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		v.site.t.Fatal(err)
	}
	defer resp.Body.Close()
	var adm hook.Admission
	if err := json.NewDecoder(resp.Body).Decode(&adm); err != nil || resp.StatusCode != http.StatusOK {
		v.site.t.Fatalf("login: %d %v", resp.StatusCode, err)
	}
	return adm
}

// student is one home.
type student struct {
	t    testing.TB
	name string
	root string // ~/work
}

// studentID is the user that agents run as when the tests run as root, for
// the agent refuses to act as root.
const studentID = 1000

func (s *site) student(name string) *student {
	s.t.Helper()
	st := &student{t: s.t, name: name, root: s.path("homes/" + name + "/work")}
	if err := os.MkdirAll(st.root, 0o755); err != nil {
		s.t.Fatal(err)
	}
	st.own()
	return st
}

// own gives the home to the student's user.
func (st *student) own() {
	if os.Getuid() == 0 {
		mustRun(st.t, exec.Command("chown", "-R", fmt.Sprintf("%d:%d", studentID, studentID), filepath.Dir(st.root)))
	}
}

func (st *student) folder() string { return filepath.Join(st.root, "scala101") }

// agent prepares a run of the agent as the student's own user.
func (st *student) agent(adm hook.Admission, args ...string) *exec.Cmd {
	return st.command(adm, binary(st.t, "satchel-agent"), args...)
}

// command runs any program with the agent's environment and user.
func (st *student) command(adm hook.Admission, program string, args ...string) *exec.Cmd {
	c := exec.Command(program, args...)
	c.Dir = st.root
	c.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(st.root), "LANG=en_US.UTF-8", "SATCHEL_ROOT=" + st.root,
		"XDG_RUNTIME_DIR=" + filepath.Dir(st.root),
		hook.EnvURL + "=" + adm.URL, hook.EnvTicket + "=" + adm.Ticket, hook.EnvKeys + "=" + adm.Keys,
	}
	if os.Getuid() == 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: studentID, Gid: studentID}}
	}
	return c
}

// sync runs one sync, which must end well.
func (st *student) sync(adm hook.Admission) string {
	st.t.Helper()
	out, code := runProgram(st.t, st.agent(adm, "sync"))
	if code != 0 {
		st.t.Fatalf("sync of %s: exit %d\n%s", st.name, code, out)
	}
	return out
}
