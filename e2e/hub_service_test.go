//go:build e2e

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/hook"
)

// asService makes the service known to a hub of these ports, as
// docs/jupyterhub.md says: its token with the two scopes, and behind the hub's
// proxy. It gives the hub's configuration. Call it before the service runs.
func (v *service) asService(ports []int) string {
	v.site.t.Helper()
	text := readFile(v.site.t, v.config)
	own := fmt.Sprintf("url: %q\n", "http://"+v.students)
	if !strings.Contains(text, own) {
		v.site.t.Fatalf("no %s in\n%s", own, text)
	}
	behind := fmt.Sprintf("url: \"http://127.0.0.1:%d/services/satchel\"\nhub: {api_url: \"http://127.0.0.1:%d/hub/api\", token_file: secrets/hub-token}\n", ports[0], ports[1])
	write(v.site.t, v.config, strings.Replace(text, own, behind, 1))
	token := strings.TrimSpace(readFile(v.site.t, v.site.path("conf/secrets/hub-token")))
	return fmt.Sprintf(`
c.JupyterHub.services.append({"name": "satchel", "api_token": %q, "url": "http://%s", "oauth_no_confirm": True})
c.JupyterHub.load_roles.append({"name": "satchel", "services": ["satchel"], "scopes": ["read:users:name", "read:users:groups"]})
`, token, v.students)
}

func threePorts(t testing.TB) []int { return []int{freePort(t), freePort(t), freePort(t)} }

// TestHubBehindItsProxy: the service has no address of its own for students:
// all goes through the hub's proxy, events and long downloads too; a restart
// of the service is survived.
func TestHubBehindItsProxy(t *testing.T) {
	onEachHub(t, func(t *testing.T, version string) {
		s := newSite(t)
		big := make([]byte, 40<<20)
		rand.NewChaCha8([32]byte{1}).Read(big)
		s.repo.set("data/big.bin", string(big))
		s.repo.push("a large file")
		ports := threePorts(t)
		v := s.configure("one", "")
		config := v.asService(ports)
		v.run("serve").ready(1)
		h := s.hub(hubOptions{version: version, config: v.withHook() + config, ports: ports})
		h.person("ana").login().spawn("")
		eventually(t, time.Minute, "the large file", func() error { return isText(h.home("ana", "scala101/data/big.bin"), string(big)) })

		s.repo.set("lab3/new.md", "by an event\n")
		s.repo.push("during class")
		v.publish()
		began := time.Now()
		eventually(t, 20*time.Second, "the push, by an event", func() error { return isText(h.home("ana", "scala101/lab3/new.md"), "by an event\n") })
		t.Logf("by an event through the proxy: %.1f s", time.Since(began).Seconds())

		must(t, v.stop())
		v.run("serve").ready(2)
		s.repo.set("lab3/later.md", "after a restart\n")
		s.repo.push("after a restart")
		v.publish()
		eventually(t, 2*time.Minute, "what was pushed after a restart", func() error { return isText(h.home("ana", "scala101/lab3/later.md"), "after a restart\n") })
	})
}

// TestHubExchange: a container that was resumed, or a site without a hook, has
// an old ticket or none; the server's own token of the hub brings one. Its
// groups are the hub's, also at a renewal.
func TestHubExchange(t *testing.T) {
	onEachHub(t, func(t *testing.T, version string) {
		s := newSite(t)
		ports := threePorts(t)
		v := s.configure("one", fmt.Sprintf("courses:\n  - {name: scala101, repository: %q, branch: main, folder: notebooks, deploy_key_file: secrets/scala101-key, "+
			"known_hosts_file: known_hosts, audience: {groups: [lab-a]}, poll: 5s}\n", s.ssh.url(s.repo.bare)))
		config := v.asService(ports)
		v.run("serve").ready(1)
		keys := strings.TrimSpace(readFile(t, s.path("conf/secrets/signing.pub")))
		config += fmt.Sprintf(`
c.Spawner.environment = {"SATCHEL_URL": "http://127.0.0.1:%d/services/satchel", "SATCHEL_KEYS": %q, "SATCHEL_LANG": "en"}
def before(spawner):
    if spawner.user.name == "ana":
        spawner.environment = dict(spawner.environment, SATCHEL_TICKET="st1.of.an.older-login")
    if spawner.user.name == "dan":
        spawner.cmd = spawner.cmd[3:]  # without the agent
c.Spawner.pre_spawn_hook = before
`, ports[0], keys)
		h := s.hub(hubOptions{version: version, config: config, ports: ports, groups: map[string][]string{"lab-a": {"ana", "ben"}, "lab-b": {"cleo"}}})
		for _, name := range []string{"ana", "ben", "cleo"} { // with an old ticket, with none, of another group
			h.person(name).login().spawn("")
		}
		for _, name := range []string{"ana", "ben"} {
			eventually(t, 30*time.Second, "the course of "+name, func() error {
				_, err := os.Stat(h.home(name, "scala101/lab1/types.ipynb"))
				return err
			})
		}
		if _, err := os.Stat(h.home("cleo", "scala101")); err == nil {
			t.Error("cleo has the course of another group")
		}
		// The service keeps an answer for a minute, so this is of a server that never asked.
		p := h.person("dan").login()
		p.spawn("")
		token := strings.TrimSpace(p.run("", p.kernel("", "python3", ""), `import os; print(os.environ["JUPYTERHUB_API_TOKEN"])`))
		h.stopServer("dan", "")
		var boss struct{ Token string }
		h.ask(http.MethodPost, "/users/boss/tokens", map[string]any{"expires_in": 60}, &boss)
		for name, shown := range map[string]string{
			"of a server that ended": token, "of a service": h.token, "of nobody": "junk", "of an administrator": boss.Token,
		} {
			if code, said := exchange(t, h, shown); code != http.StatusUnauthorized || shown == "" {
				t.Errorf("a token %s: %d %s", name, code, said)
			}
		}
		adm := v.login("ana", "lab-a")
		h.ask(http.MethodDelete, "/groups/lab-a/users", map[string]any{"users": []string{"ana"}}, nil)
		if got := renewedGroups(t, adm); slices.Contains(got, "lab-a") {
			t.Errorf("a renewed ticket has the groups %q", got)
		}
	})
}

// ask asks the hub's API with a body; the answer must be good.
func (h *hub) ask(method, path string, body, answer any) {
	h.t.Helper()
	data, err := json.Marshal(body)
	must(h.t, err)
	if code := h.call(method, path, data, answer); code >= 300 {
		h.t.Fatalf("%s %s: %d", method, path, code)
	}
}

// exchange shows a token to the service through the hub's proxy.
func exchange(t *testing.T, h *hub, token string) (code int, text string) {
	t.Helper()
	c := hook.NewClient(hook.ClientOptions{URL: h.url + "/services/satchel", Ticket: func() string { return token }})
	defer c.Close()
	_, err := c.Exchange(t.Context())
	if e, ok := err.(*hook.Error); ok {
		return e.Status, e.Error()
	}
	must(t, err)
	return http.StatusOK, ""
}

// renewedGroups are those of a renewed ticket.
func renewedGroups(t *testing.T, adm hook.Admission) []string {
	t.Helper()
	c := hook.NewClient(hook.ClientOptions{URL: adm.URL, Ticket: func() string { return adm.Ticket }})
	defer c.Close()
	got, err := c.Renew(t.Context())
	must(t, err)
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(got.Ticket, ".")[2])
	must(t, err)
	var ticket hook.Ticket
	must(t, json.NewDecoder(bytes.NewReader(payload)).Decode(&ticket))
	return ticket.Groups
}
