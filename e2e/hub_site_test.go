//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestHubFile runs the tests of the hub's file itself, in each version's
// environment: what a hub cannot easily be brought to.
func TestHubFile(t *testing.T) {
	onEachHub(t, func(t *testing.T, version string) {
		c := exec.Command(hubProgram(t, version, "python"), "-B", "-W", "ignore", "testdata/hub/satchel_hub_test.py")
		c.Env = append(c.Environ(), "http_proxy=http://127.0.0.1:1", "HTTP_PROXY=http://127.0.0.1:1") // nothing goes by a proxy
		out := mustRun(t, c)
		if !regexp.MustCompile(`Ran \d\d tests in .*\n\nOK\n$`).MatchString(out) {
			t.Error(out)
		}
	})
}

// siteHook is one that a site had before: for one student it waits, for
// others it does not, and two it turns away.
const siteHook = `
from tornado.web import HTTPError

def site_hook(spawner):
    name = spawner.user.name
    async def later():
        await asyncio.sleep(0)
        if name == "ron":
            raise HTTPError(403, "not you, ron")
        spawner.environment["SITE"] = "async"
    if name in ("ana", "ron"):
        return later()
    if name == "rob":
        raise HTTPError(403, "not you, rob")
    spawner.environment = dict(spawner.environment, SITE="sync")
`

// TestHubSiteHooks: a site's own hook, set before or after ours, on the base
// class or below it, does what it did.
func TestHubSiteHooks(t *testing.T) {
	onEachHub(t, func(t *testing.T, version string) {
		s := newSite(t)
		v := s.configure("one", "").run("serve")
		v.ready(1)
		config := siteHook + "c.Spawner.pre_spawn_hook = site_hook\n" + v.withHook()
		if version == "6.1.1" {
			config = v.withHook() + siteHook + "c.SimpleLocalProcessSpawner.pre_spawn_hook = site_hook\n"
		}
		config += "c.Spawner.environment = dict(c.Spawner.environment, JUPYTER_ENV_VARS_TO_UNSET='OTHER')\n"
		h := s.hub(hubOptions{version: version, config: timed + config})

		ana := h.environment("ana")
		h.stopServer("ana", "")
		again := h.environment("ana")
		if ana["SITE"] != "async" || ana["SATCHEL_TICKET"] == "" || again["SATCHEL_TICKET"] == ana["SATCHEL_TICKET"] || ana["JUPYTER_ENV_VARS_TO_UNSET"] != "OTHER,SATCHEL_TICKET" {
			t.Errorf("the environments of ana's servers are %v and %v", ana, again)
		}
		if ben := h.environment("ben"); ben["SITE"] != "sync" || ben["SATCHEL_TICKET"] == "" || ben["SATCHEL_TICKET"] == again["SATCHEL_TICKET"] {
			t.Errorf("ben's environment is %v", ben)
		}
		for _, name := range []string{"rob", "ron"} {
			if last, said := h.person(name).login().trySpawn(""); last.code != http.StatusForbidden {
				t.Errorf("the start of %s ended with %d %s %q", name, last.code, alertOf(last.text), said)
			}
			h.says("not you, " + name)
		}

		h.stopServer("ana", "")
		must(t, v.stop())
		if gone := h.environment("ana"); gone["SITE"] != "async" || gone["SATCHEL_TICKET"] != "" {
			t.Errorf("with the service away ana's environment is %v", gone)
		}
		if out := s.satchel("student", "show", "rob", "--config", v.config); !strings.Contains(out, "Nothing is kept") {
			t.Errorf("whom the site turned away was logged in: %s", out)
		}
	})
}

// environment starts a small server and gives the environment it answers.
func (h *hub) environment(name string) (env map[string]string) {
	h.t.Helper()
	p := h.person(name).login()
	if last, said := p.trySpawn(""); last.code != http.StatusFound {
		h.t.Fatalf("the start of %s ended with %d %s %q", name, last.code, alertOf(last.text), said)
	}
	if err := json.Unmarshal([]byte(p.do(http.MethodGet, p.server(""), nil).text), &env); err != nil {
		h.t.Fatal(err)
	}
	return env
}

// TestHubAgentDidNotRun: a server without the agent is named by the program
// that was started in its place.
func TestHubAgentDidNotRun(t *testing.T) {
	s := newSite(t)
	v := s.configure("one", "").run("serve")
	v.ready(1)
	h := s.hub(hubOptions{version: "6.1.1", config: v.withHook() + "c.Spawner.cmd = c.Spawner.cmd[3:]\n"})
	if said := h.person("ana").login().spawn(""); !slices.Contains(said, "Course material: version 1 is ready.") {
		t.Errorf("the spawn page said %q", said)
	}
	must(t, v.stop()) // its last lines are written
	status := func() string { return s.satchel("status", "--config", v.config) }
	if out := status(); strings.Contains(out, "DID NOT RUN") {
		t.Errorf("too early:\n%s", out)
	}
	s.age("ana", 16*time.Minute)
	if out := status(); !strings.Contains(out, `THE AGENT DID NOT RUN after 1 login; image "jupyterhub-singleuser": 1`) {
		t.Errorf("a quarter of an hour after the login:\n%s", out)
	}
}

// age makes the record of a student's login so much older, in the store.
func (s *site) age(name string, by time.Duration) {
	s.t.Helper()
	shards, err := filepath.Glob(s.path("conf/store/students/*"))
	must(s.t, err)
	login := regexp.MustCompile(`("user":"` + name + `".*?"login":\{"time":")([^"]+)`)
	for _, file := range shards {
		text := readFile(s.t, file)
		m := login.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		at, err := time.Parse(time.RFC3339, m[2])
		must(s.t, err)
		write(s.t, file, strings.Replace(text, m[0], m[1]+at.Add(-by).Format(time.RFC3339Nano), 1))
		return
	}
	s.t.Fatalf("no record of %s in %v", name, shards)
}
