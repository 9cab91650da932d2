//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// engine is a Docker engine of the test's own: its data, its socket. What runs
// on this machine otherwise is not touched. "make e2e-docker" sets the
// variables and installs what is needed.
type engine struct {
	t      testing.TB
	dir    string // of this run
	top    string // of the repository
	socket string
	env    []string
}

// project is the name of all that the test makes in its engine.
const project = "satcheltest"

// startEngine starts one, or takes the one that SATCHEL_DOCKER_SOCKET names (so
// that whoever works on this need not wait for it).
func startEngine(t testing.TB) *engine {
	t.Helper()
	cache := os.Getenv("SATCHEL_DOCKER_CACHE")
	if cache == "" {
		t.Fatal("SATCHEL_DOCKER_CACHE is not set: run make e2e-docker")
	}
	// Not t.TempDir: the path of a Unix socket has at most 107 bytes.
	dir, err := os.MkdirTemp("", "satchel-docker-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	top, err := filepath.Abs("..")
	must(t, err)
	e := &engine{t: t, dir: dir, top: top, socket: os.Getenv("SATCHEL_DOCKER_SOCKET")}
	if e.socket == "" {
		e.socket = filepath.Join(dir, "docker.sock")
		e.start(filepath.Join(cache, "engine"))
	}
	http := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	e.env = append(os.Environ(),
		"PATH=/usr/bin:"+os.Getenv("PATH"), // the engine's own client before any other
		"DOCKER_HOST=unix://"+e.socket, "DOCKER_SOCKET="+e.socket,
		"COMPOSE_PROJECT_NAME="+project, "SATCHEL_PREFIX="+project,
		"GO_IMAGE=standin/golang", "DEBIAN_IMAGE=standin/debian", "HUB_IMAGE=standin/jupyterhub",
		"INSTANCE_IMAGE=standin/base-notebook", "CADDY_IMAGE=standin/caddy",
		"KERNELS=e2e/testdata", "KERNEL=docker/kernels/scala3",
		"SATCHEL_HTTP="+http, "SATCHEL_PUBLIC_URL=http://"+http, fmt.Sprintf("SATCHEL_HTTPS=127.0.0.1:%d", freePort(t)),
		"SATCHEL_SITE=:80", "SATCHEL_REMOVE=yes",
	)
	return e
}

// start runs dockerd until the test ends.
func (e *engine) start(data string) {
	e.t.Helper()
	must(e.t, os.MkdirAll(data, 0o711))
	c := exec.Command("dockerd", "--data-root", data, "--exec-root", filepath.Join(e.dir, "exec"),
		"--pidfile", filepath.Join(e.dir, "dockerd.pid"), "-H", "unix://"+e.socket)
	c.Env = append(os.Environ(), "PATH=/usr/sbin:/sbin:"+os.Getenv("PATH"))
	p := startCommand(e.t, e.dir, c)
	e.t.Cleanup(func() { // before the kill of startCommand: it ends its containers
		if err := p.stop(); err != nil {
			e.t.Logf("dockerd: %v", err)
		}
	})
	eventually(e.t, time.Minute, "the engine", func() error {
		if p.ended() {
			e.t.Fatalf("dockerd ended:\n%s", tail(p.output(), 3000))
		}
		return e.command("docker", "version").Run()
	})
}

// command has the engine in its environment.
func (e *engine) command(name string, args ...string) *exec.Cmd {
	if path := "/usr/bin/" + name; name == "docker" || name == "docker-compose" {
		name = path
	}
	c := exec.Command(name, args...)
	c.Dir = e.top
	c.Env = e.env
	if e.env == nil {
		c.Env = append(os.Environ(), "DOCKER_HOST=unix://"+e.socket)
	}
	return c
}

// docker gives what a command of the client prints, and fails with it.
func (e *engine) docker(args ...string) string {
	e.t.Helper()
	return strings.TrimSpace(mustRun(e.t, e.command("docker", args...)))
}

// compose is docker-compose with the project's own file.
func (e *engine) compose(args ...string) string {
	e.t.Helper()
	return strings.TrimSpace(mustRun(e.t, e.command("docker-compose", args...)))
}

// setting changes a variable of docker-compose.yml.
func (e *engine) setting(kv ...string) { e.env = append(e.env, kv...) }

func (e *engine) settingOf(name string) (value string) {
	for _, kv := range e.env {
		if k, v, _ := strings.Cut(kv, "="); k == name {
			value = v
		}
	}
	return value
}

// bases makes the stand-ins for images of registries.
func (e *engine) bases() {
	e.t.Helper()
	c := e.command(filepath.Join(e.top, "e2e/testdata/docker/bases"), os.Getenv("SATCHEL_DOCKER_CACHE"), os.Getenv("SATCHEL_TOOLS"),
		strings.TrimSpace(mustRun(e.t, exec.Command("go", "env", "GOROOT"))))
	mustRun(e.t, c)
}

// nothing removes all that a former run left.
func (e *engine) nothing() {
	e.t.Helper()
	for _, kind := range []struct{ list, remove []string }{
		{[]string{"ps", "-aq", "--filter", "name=" + project}, []string{"rm", "-f", "-v"}},
		{[]string{"volume", "ls", "-q", "--filter", "name=" + project}, []string{"volume", "rm", "-f"}},
		{[]string{"network", "ls", "-q", "--filter", "name=" + project}, []string{"network", "rm"}},
	} {
		if ids := strings.Fields(e.docker(kind.list...)); len(ids) > 0 {
			e.docker(append(kind.remove, ids...)...)
		}
	}
}

// service is the container of one of the compose file's services.
func (e *engine) service(name string) string { return project + "_" + name + "_1" }

// in runs a command in a container; without a failure.
func (e *engine) in(container string, args ...string) string {
	e.t.Helper()
	return e.docker(append([]string{"exec", container}, args...)...)
}

// inspect decodes what the engine knows of an object at a template.
func (e *engine) inspect(object, template string, into any) {
	e.t.Helper()
	text := e.docker("inspect", "--format", "{{json "+template+"}}", object)
	if err := json.Unmarshal([]byte(text), into); err != nil {
		e.t.Fatalf("%s of %s: %v: %s", template, object, err, text)
	}
}

// healthy waits until a container's own check says so.
func (e *engine) healthy(container string) {
	e.t.Helper()
	eventually(e.t, 2*time.Minute, container+" is well", func() error {
		state, _ := e.command("docker", "inspect", "--format", "{{.State.Status}} {{.State.Health.Status}}", container).Output()
		if strings.TrimSpace(string(state)) != "running healthy" {
			return fmt.Errorf("%s; it says\n%s", state, tail(e.logs(container), 1500))
		}
		return nil
	})
}

func (e *engine) logs(container string) string {
	out, _ := e.command("docker", "logs", container).CombinedOutput()
	return string(out)
}

// volume is a named volume's folder on this machine.
func (e *engine) volume(name string) string {
	e.t.Helper()
	return e.docker("volume", "inspect", "--format", "{{.Mountpoint}}", name)
}
