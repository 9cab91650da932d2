//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const sentenceAway = "Course material could not be asked for; you have what you had."

// timed makes the hub log how long a start waited between the hub's own steps
// before and after the spawn hook. A small server and no agent: it is about
// the hub. What it answers is its environment.
const timed = `
import asyncio
import time
import jupyterhub
from jupyterhub.spawner import SimpleLocalProcessSpawner

class Timed(SimpleLocalProcessSpawner):
    async def run_auth_state_hook(self, auth_state):
        self.began = time.monotonic()

        self.page = asyncio.Event()

    async def progress(self):
        self.page.set()
        yield {"progress": 50, "message": "a word of the spawner's own"}

    async def start(self):
        self.log.info("HOOKS TOOK %.3f s for %s", time.monotonic() - self.began, self.user.name)
        await asyncio.wait_for(self.page.wait(), 30)  # somebody reads the spawn page
        return await super().start()

c.JupyterHub.spawner_class = Timed
c.SimpleLocalProcessSpawner.home_dir_template = here + "/home/{username}"
c.Spawner.cmd = [sys.executable, o["small_server"]]
c.Spawner.environment = {"SMALL_SERVER_HUB": jupyterhub.__version__}
`

// hooksTook are the times that the hub logged, in order.
func (h *hub) hooksTook() (out []float64) {
	for _, m := range regexp.MustCompile(`HOOKS TOOK ([0-9.]+) s`).FindAllStringSubmatch(h.output(), -1) {
		s, _ := strconv.ParseFloat(m[1], 64)
		out = append(out, s)
	}
	return out
}

// hookBudget is the hook's 2 seconds, and what a busy machine adds.
const hookBudget = 2.5

// TestHubServiceIll: whatever is wrong with the service, students log in and
// their servers start inside the hook's two seconds, and nobody else waits.
func TestHubServiceIll(t *testing.T) {
	onEachHub(t, func(t *testing.T, version string) {
		s := newSite(t)
		bad := newBadService(t)
		h := s.hub(hubOptions{version: version, config: timed + bad.hook("") + "satchel_hub.PAUSE = 0\n"})
		for illness := range illnesses {
			bad.be(illness)
			h.startsInTime(t, "ana", illness)
		}
		if n := bad.requests(); n != len(illnesses) {
			t.Errorf("%d requests for %d starts", n, len(illnesses))
		}
		bad.l.Close()
		h.startsInTime(t, "ana", "down")
	})
}

// startsInTime starts a server and stops it again. Meanwhile the hub answers
// others as ever.
func (h *hub) startsInTime(t *testing.T, name, illness string) {
	t.Helper()
	began := time.Now()
	p := h.person(name).login()
	login := time.Since(began)
	slowest, stop := h.othersWait(t)
	got, said := p.trySpawn("")
	stop()
	if got.code != http.StatusFound || !slices.Contains(said, sentenceAway) || !slices.Contains(said, "a word of the spawner's own") {
		t.Errorf("%s: the start ended with %d; the spawn page said %q", illness, got.code, said)
	}
	took := h.hooksTook()
	last := took[len(took)-1]
	if last > hookBudget || login.Seconds() > hookBudget {
		t.Errorf("%s: the login took %v, and the start waited %.3f s", illness, login, last)
	}
	if *slowest > time.Second {
		t.Errorf("%s: the hub let others wait for %v", illness, *slowest)
	}
	t.Logf("%-10s the login took %3d ms, the hook %.3f s; others waited at most %d ms", illness, login.Milliseconds(), last, slowest.Milliseconds())
	h.stopServer(name, "")
}

// othersWait asks the hub for its login page again and again until stop, and
// keeps how long the slowest took.
func (h *hub) othersWait(t *testing.T) (slowest *time.Duration, stop func()) {
	slowest = new(time.Duration)
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			began := time.Now()
			resp, err := http.Get(h.url + "/hub/login")
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("the login page: %v", err)
				return
			}
			resp.Body.Close()
			*slowest = max(*slowest, time.Since(began))
			select {
			case <-over:
				return
			case <-tick.C:
			}
		}
	}()
	return slowest, func() { close(over); <-ended }
}

// TestHubAsksNobodyForAWhile: after a failure nobody waits again for a
// service that is away. One that refuses the secret is not away.
func TestHubAsksNobodyForAWhile(t *testing.T) {
	s := newSite(t)
	bad := newBadService(t)
	h := s.hub(hubOptions{version: "6.1.1", config: timed + bad.hook("")})
	bad.be("silent")
	for _, name := range []string{"ana", "ben"} {
		if got, said := h.person(name).login().trySpawn(""); got.code != http.StatusFound || !slices.Contains(said, sentenceAway) {
			t.Errorf("the start of %s ended with %d; the spawn page said %q", name, got.code, said)
		}
	}
	took := h.hooksTook()
	if bad.requests() != 1 || took[0] < 1.5 || took[1] > 0.5 {
		t.Errorf("%d requests; the hook took %v", bad.requests(), took)
	}
	h.says("nobody asks for 30 seconds")
}

// TestHubWrongSecret: a wrong secret is said with what to do, and is no
// reason to ask no more. The secret is in no log.
func TestHubWrongSecret(t *testing.T) {
	s := newSite(t)
	v := s.configure("one", "").run("serve")
	v.ready(1)
	const wrong = "a-secret-of-another-service"
	h := s.hub(hubOptions{version: "6.1.1", config: timed + v.withHook() +
		fmt.Sprintf("right = open(here + '/hook-secret').read()\nopen(here + '/hook-secret', 'w').write(%q)\n", wrong)})
	ana := h.person("ana").login()
	if got, said := ana.trySpawn(""); got.code != http.StatusFound || !slices.Contains(said, sentenceAway) {
		t.Errorf("the start ended with %d; the spawn page said %q", got.code, said)
	}
	h.says("does not accept the hook secret (401): " + h.dir + "/hook-secret and the service's secrets: hook_secrets must hold the same text")
	h.stopServer("ana", "")

	right := strings.TrimSpace(readFile(t, s.path("conf/secrets/hook")))
	write(t, h.dir+"/hook-secret", right+"\n")
	if _, said := ana.trySpawn(""); !slices.Contains(said, "Course material: version 1 is ready.") {
		t.Errorf("with the right secret, in the same file: %q", said)
	}
	if log := h.output(); strings.Contains(log, wrong) || strings.Contains(log, right) || strings.Contains(log, "st1.") {
		t.Error("a secret or a ticket is in the hub's log")
	}
}
