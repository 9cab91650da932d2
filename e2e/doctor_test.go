//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"satchel/agent"
	"satchel/hook"
)

// finding is what doctor --json says under a name, and whether all of it is
// well.
func finding(t *testing.T, out, name string) (well bool, text string) {
	t.Helper()
	var all []agent.Check
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	well = true
	for _, c := range all {
		if c.Name == name {
			well = well && c.OK
			text += c.Note + "\n" + c.Do + "\n"
		}
	}
	if text == "" {
		t.Errorf("doctor says nothing about %q:\n%s", name, out)
	}
	return well, text
}

// The service's doctor beside a real sshd and a real S3 server. A plain sshd
// begins a push for whoever may log in; one that begins git-upload-pack
// whatever is asked lets nobody write; nothing is written by the question.
func TestE2EDoctorOfTheService(t *testing.T) {
	s := newSite(t).onS3()
	v := s.configure("serve", "").run("serve")
	v.ready(1)
	tip := s.repo.git("ls-remote", s.repo.bare)
	ask := func() string {
		c := exec.Command(binary(t, "satchel"), "doctor", "--json", "--config", v.config)
		c.Env = append(os.Environ(), s.env...)
		out, err := c.Output() // exit code 1: `url` is loopback
		if code := c.ProcessState.ExitCode(); code != 1 {
			t.Errorf("exit %d, %v", code, err)
		}
		return string(out)
	}
	out := ask()
	for name, says := range map[string]string{
		"store":                  "honours conditional writes",
		"clock":                  "as the store's",
		"disk":                   "state_dir",
		"syncer":                 "answers on",
		"hookserver":             "1 hookserver",
		"url":                    "answers",
		"listen.hub":             "the hook secret alone",
		"repository of scala101": "its host key is the one in",
	} {
		if well, text := finding(t, out, name); !well || !strings.Contains(text, says) {
			t.Errorf("%s: well: %v, without %q:\n%s", name, well, says, text)
		}
	}
	if _, text := finding(t, out, "repository of scala101"); !strings.Contains(text, "cannot be told (an OpenSSH server begins a push for whoever may log in)") {
		t.Errorf("a plain sshd: %s", text)
	}
	key := readFile(t, s.path("conf/secrets/scala101-key.pub"))
	write(t, s.ssh.authorised, fmt.Sprintf("restrict,command=\"git-upload-pack '%s'\" %s", s.repo.bare, key))
	if well, text := finding(t, ask(), "repository of scala101"); !well || !strings.Contains(text, "may read alone") {
		t.Errorf("a forced command: %s", text)
	}
	write(t, s.ssh.authorised, `restrict,command="case $SSH_ORIGINAL_COMMAND in git-upload-pack*) eval exec $SSH_ORIGINAL_COMMAND;; esac; echo 'ERROR: marked as read only.' >&2; exit 1" `+key)
	if well, text := finding(t, ask(), "repository of scala101"); !well || !strings.Contains(text, "may read alone: the host refuses a push (ERROR: marked as read only.)") {
		t.Errorf("a host that refuses: %s", text)
	}
	if now := s.repo.git("ls-remote", s.repo.bare); now != tip {
		t.Errorf("the repository is at %s; was at %s", now, tip)
	}
}

// space is a network namespace of a test's own, held by a process that sleeps.
type space struct {
	t      testing.TB
	holder *process
}

func newSpace(t testing.TB, dir string) *space {
	t.Helper()
	c := exec.Command("sleep", "infinity")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	n := &space{t: t, holder: startCommand(t, dir, c)}
	n.must("ip", "link", "set", "lo", "up")
	return n
}

// in makes a command run there, as it is otherwise.
func (n *space) in(c *exec.Cmd) *exec.Cmd {
	args := []string{"-n", "-t", fmt.Sprint(n.holder.cmd.Process.Pid)}
	if c.SysProcAttr != nil && c.SysProcAttr.Credential != nil { // only root may enter
		who := c.SysProcAttr.Credential
		args = append(args, "setpriv", fmt.Sprintf("--reuid=%d", who.Uid), fmt.Sprintf("--regid=%d", who.Gid), "--clear-groups")
		c.SysProcAttr = nil
	}
	out := exec.Command("nsenter", append(append(args, c.Path), c.Args[1:]...)...)
	out.Env, out.Dir = c.Env, c.Dir
	return out
}

func (n *space) must(name string, args ...string) string {
	n.t.Helper()
	return mustRun(n.t, n.in(exec.Command(name, args...)))
}

// The agent's doctor where the cloud's address, the service and its port for
// the hub are real listeners, in a network namespace: once with the walls that
// a site should have, once without.
func TestE2EDoctorInTheStudentsServer(t *testing.T) {
	s := newSiteWithoutSSH(t)
	n := newSpace(t, s.dir)
	n.must("ip", "addr", "add", "10.77.0.1/32", "dev", "lo")
	v := s.configure("serve", "")
	text := readFile(t, v.config)
	text = strings.ReplaceAll(text, v.students, "10.77.0.1:8484")
	v.students = "10.77.0.1:8484"
	at := func(hub string) *process {
		write(t, v.config, strings.Replace(text, v.hubs, hub, 1))
		c := n.in(exec.Command(binary(t, "satchel"), "serve", "--config", v.config))
		c.Env = os.Environ()
		return startCommand(t, s.dir, c)
	}
	ana := s.student("ana")
	login := func(hub string) (adm hook.Admission) {
		secret := strings.TrimSpace(readFile(t, s.path("conf/secrets/hook")))
		eventually(t, 60*time.Second, "a login", func() error {
			out, code := runProgram(t, n.in(exec.Command("curl", "-fsS", "-H", "Authorization: Bearer "+secret, "-H", "Content-Type: application/json",
				"-d", `{"user":"ana","server":"","groups":[]}`, "http://"+hub+"/v1/logins")))
			if code != 0 {
				return fmt.Errorf("%s", out)
			}
			return json.Unmarshal([]byte(out), &adm)
		})
		return adm
	}
	doctor := func(adm hook.Admission, more ...string) (string, int) {
		c := ana.agent(adm, "doctor", "--json")
		c.Env = append(c.Env, more...)
		return runProgram(t, n.in(c))
	}

	walled := at("127.0.0.1:8485") // of this namespace: not where the service is reached
	adm := login("127.0.0.1:8485")
	out, code := doctor(adm, "HTTPS_PROXY=http://nowhere.invalid:3128")
	for name, says := range map[string]string{
		"service": "answered in", "ticket": "until", "clock": "off the service's", "metadata": "cannot be reached", "hub's port": "does not answer at 10.77.0.1:8485",
		"proxy": "HTTPS_PROXY of the environment is not used", "locks": "hold", "filesystem": "", "space": "free",
	} {
		if well, text := finding(t, out, name); !well || !strings.Contains(text, says) {
			t.Errorf("%s: well: %v, without %q:\n%s", name, well, says, text)
		}
	}
	if code != 0 {
		t.Errorf("with walls: exit %d\n%s", code, out)
	}
	must(t, walled.stop())

	n.must("ip", "addr", "add", "169.254.169.254/32", "dev", "lo")
	n.must("ip", "addr", "add", "fd00:ec2::254/128", "dev", "lo")
	for _, host := range []string{"169.254.169.254", "fd00:ec2::254"} {
		startCommand(t, s.dir, n.in(exec.Command("python3", "-m", "http.server", "--bind", host, "--directory", t.TempDir(), "80")))
		url := "http://" + strings.NewReplacer("fd", "[fd", "::254", "::254]").Replace(host) + "/"
		eventually(t, 30*time.Second, "the cloud's address", func() error {
			out, code := runProgram(t, n.in(exec.Command("curl", "-fsS", "-o", "/dev/null", url)))
			if code != 0 {
				return fmt.Errorf("%s", out)
			}
			return nil
		})
	}
	at("10.77.0.1:8485")
	adm = login("10.77.0.1:8485")
	out, code = doctor(adm)
	if well, text := finding(t, out, "metadata"); well || !strings.Contains(text, fmt.Sprintf("169.254.169.254 (it answers with status %d), fd00:ec2::254 (it", http.StatusNotFound)) || !strings.Contains(text, "iptables -I DOCKER-USER") {
		t.Errorf("metadata: well: %v\n%s", well, text)
	}
	if well, text := finding(t, out, "hub's port"); well || !strings.Contains(text, "listen.hub") {
		t.Errorf("the hub's port: well: %v\n%s", well, text)
	}
	if code != 3 {
		t.Errorf("without walls: exit %d\n%s", code, out)
	}
}
