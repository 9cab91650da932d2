//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hubs are the versions that the tests run with, and the environment variable
// that names the virtual environment of each ("make hub" makes them).
var hubs = map[string]string{"6.1.1": "HUB_VENV", "5.5.4": "HUB_VENV_5"}

// onEachHub runs a test with each version.
func onEachHub(t *testing.T, test func(t *testing.T, version string)) {
	for _, version := range []string{"6.1.1", "5.5.4"} {
		t.Run(version, func(t *testing.T) { test(t, version) })
	}
}

// hubProgram finds a program of a version's virtual environment.
func hubProgram(t testing.TB, version, name string) string {
	t.Helper()
	return made(t, hubs[version], "bin/"+name)
}

// made finds what "make hub" makes below the folder that a variable names.
func made(t testing.TB, variable, path string) string {
	t.Helper()
	file := filepath.Join(os.Getenv(variable), path)
	if _, err := os.Stat(file); err != nil || os.Getenv(variable) == "" {
		t.Fatalf("%s: %v: make hub installs it", variable, err)
	}
	return file
}

// hub is a real JupyterHub with its proxy. All that it starts runs as one
// user: the student's, where the tests run as root.
type hub struct {
	*process
	t     testing.TB
	dir   string
	url   string // of the proxy, without a last slash
	token string // of a service that may manage users and servers
}

const hubPassword = "a-password-of-the-test"

// hubOptions are what differs from test to test.
type hubOptions struct {
	version string
	groups  map[string][]string
	config  string // appended to the configuration
	env     []string
	ports   []int  // of the proxy, the hub and the proxy's API; nil: any
	secret  string // of the service; hub knows it
}

// withHook is what an administrator writes who has a service and its secret.
func (v *service) withHook(args ...string) string {
	args = append([]string{"c", fmt.Sprintf("url=%q", "http://"+v.hubs), `secret_file=here + "/hook-secret"`}, args...)
	return "import satchel_hub\nsatchel_hub.install(" + strings.Join(args, ", ") + ")\n"
}

// hub starts one beside the site.
func (s *site) hub(o hubOptions) *hub {
	s.t.Helper()
	dir, err := os.MkdirTemp(s.dir, "hub-")
	must(s.t, err)
	h := &hub{t: s.t, dir: dir, token: "token-of-the-test-0123456789"}
	o.secret = readFile(s.t, s.path("conf/secrets/hook"))
	h.configure(o)
	c := exec.Command(hubProgram(s.t, o.version, "python"), "-m", "jupyterhub", "-f", filepath.Join(dir, "jupyterhub_config.py"))
	c.Dir = dir
	c.Env = append([]string{
		"PATH=" + filepath.Dir(c.Path) + ":" + os.Getenv("PATH"), "HOME=" + dir, "LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1",
		"JUPYTER_PATH=" + filepath.Join(os.Getenv("HUB_KERNELS"), "share/jupyter"),
	}, o.env...)
	// Not killed with the test: it would leave its proxy and its servers.
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if os.Getuid() == 0 {
		c.SysProcAttr.Credential = &syscall.Credential{Uid: studentID, Gid: studentID}
		mustRun(s.t, exec.Command("chown", "-R", fmt.Sprintf("%d:%d", studentID, studentID), dir))
	}
	h.process = startCommand(s.t, s.dir, c)
	s.t.Cleanup(h.end)
	h.answers()
	return h
}

func (h *hub) configure(o hubOptions) {
	h.t.Helper()
	if o.ports == nil {
		o.ports = threePorts(h.t)
	}
	h.url = fmt.Sprintf("http://127.0.0.1:%d", o.ports[0])
	here, err := filepath.Abs(".")
	must(h.t, err)
	if o.groups == nil {
		o.groups = map[string][]string{}
	}
	text, err := json.Marshal(map[string]any{
		"ports": o.ports, "proxy": made(h.t, "HUB_NODE", "node_modules/.bin/configurable-http-proxy"), "agent": binary(h.t, "satchel-agent"),
		"password": hubPassword, "groups": o.groups, "token": h.token, "hook": filepath.Join(here, "../images/hub"), "small_server": filepath.Join(here, "testdata/hub/small_server.py"),
	})
	must(h.t, err)
	write(h.t, filepath.Join(h.dir, "hub.json"), string(text))
	write(h.t, filepath.Join(h.dir, "hook-secret"), o.secret)
	write(h.t, filepath.Join(h.dir, "jupyterhub_config.py"), readFile(h.t, "testdata/hub/jupyterhub_config.py")+o.config)
}

// withoutProxy is a hub's output without what its proxy says meanwhile, which
// is much and always the same.
func withoutProxy(output string) string {
	var out strings.Builder
	for line := range strings.Lines(output) {
		if line[0] == '[' || line[0] == 'T' || strings.HasPrefix(line, "  File") || strings.Contains(line, "Error:") && !strings.Contains(line, "ConfigProxy") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// answers waits until the hub is up.
func (h *hub) answers() {
	h.t.Helper()
	eventually(h.t, time.Minute, "the hub", func() error {
		if h.ended() {
			h.t.Fatalf("it ended:\n%s", tail(withoutProxy(h.output()), 3000))
		}
		resp, err := http.Get(h.url + "/hub/health")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("health: %d", resp.StatusCode)
		}
		return nil
	})
}

// end stops the hub, which ends its proxy and its servers, and looks whether
// that is so.
func (h *hub) end() {
	if h.ended() {
		return
	}
	_ = syscall.Kill(h.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-h.done:
	case <-time.After(30 * time.Second):
		h.t.Error("the hub did not stop within 30 s of SIGTERM")
	}
	h.gone("", 30*time.Second)
}

// gone waits until nothing runs that a hub started and that mark tells.
func (h *hub) gone(mark string, within time.Duration) {
	deadline := time.Now().Add(within)
	for {
		left := h.running(mark)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			h.t.Errorf("left behind: %v", left)
			for pid := range left {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			return
		}
		time.Sleep(50 * time.Millisecond) // between two looks
	}
}

// running are the processes of this hub, by their environment: pid to command
// line, of those in which mark occurs. It does not name the hub itself.
func (h *hub) running(mark string) map[int]string {
	out := map[int]string{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		var pid int
		fmt.Sscanf(filepath.Base(dir), "%d", &pid)
		env, _ := os.ReadFile(dir + "/environ")
		line, _ := os.ReadFile(dir + "/cmdline")
		text := strings.ReplaceAll(string(line), "\x00", " ")
		if pid != h.cmd.Process.Pid && len(line) > 0 && strings.Contains(string(env)+text, h.dir) && strings.Contains(text, mark) {
			out[pid] = text
		}
	}
	return out
}

// api asks the hub's API as the test's service.
func (h *hub) api(method, path string, answer any) int {
	h.t.Helper()
	return h.call(method, path, nil, answer)
}

// call is api with a body.
func (h *hub) call(method, path string, body []byte, answer any) int {
	h.t.Helper()
	req, err := http.NewRequest(method, h.url+"/hub/api"+path, bytes.NewReader(body))
	must(h.t, err)
	req.Header.Set("Authorization", "token "+h.token)
	resp, err := http.DefaultClient.Do(req)
	must(h.t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	must(h.t, err)
	if answer != nil {
		if err := json.Unmarshal(data, answer); err != nil {
			h.t.Fatalf("%s %s: %d %v: %s", method, path, resp.StatusCode, err, data)
		}
	}
	return resp.StatusCode
}

// stopServer ends a student's server, and waits until it is.
func (h *hub) stopServer(name, server string) {
	h.t.Helper()
	path := "/users/" + name + "/server"
	if server != "" {
		path += "s/" + server
	}
	if code := h.api(http.MethodDelete, path, nil); code >= 300 {
		h.t.Fatalf("stop the server of %s: %d", name, code)
	}
	eventually(h.t, time.Minute, "the server's end", func() error {
		var u struct{ Servers map[string]any }
		h.api(http.MethodGet, "/users/"+name, &u)
		if _, runs := u.Servers[server]; runs {
			return fmt.Errorf("it runs")
		}
		return nil
	})
}

// home is a student's, on this hub.
func (h *hub) home(name, path string) string { return filepath.Join(h.dir, "home", name, path) }

// says waits until the hub's log holds a text.
func (h *hub) says(text string) {
	h.t.Helper()
	eventually(h.t, 20*time.Second, fmt.Sprintf("the hub's log has %q", text), func() error {
		if !strings.Contains(h.output(), text) {
			return fmt.Errorf("it has\n%s", tail(h.output(), 3000))
		}
		return nil
	})
}
