//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// asService is what an administrator writes so that the service may ask this
// hub whose token that is which an agent shows.
const asService = `
c.JupyterHub.services.append({"name": "satchel", "api_token": %q})
c.JupyterHub.load_roles.append({"name": "satchel", "services": ["satchel"], "scopes": ["read:users:name", "read:users:groups"]})
`

// TestHubServiceBackLater: who logs in while the service is away has what
// there was, and the rest as soon as it is back, in the same server: the
// agent shows the hub's token.
func TestHubServiceBackLater(t *testing.T) {
	s := newSite(t)
	ports := []int{freePort(t), freePort(t), freePort(t)}
	v := s.configure("one", fmt.Sprintf("hub: {api_url: \"http://127.0.0.1:%d/hub/api\", token_file: secrets/hub-token}", ports[1])).run("serve")
	v.ready(1)
	token := strings.TrimSpace(readFile(t, s.path("conf/secrets/hub-token")))
	h := s.hub(hubOptions{version: "6.1.1", ports: ports, config: v.withHook() + fmt.Sprintf(asService, token)})
	ana := h.person("ana").login()
	ana.spawn("")
	h.stopServer("ana", "")

	v.kill()
	if said := ana.spawn(""); !slices.Contains(said, sentenceAway) {
		t.Errorf("with the service away the spawn page said %q", said)
	}
	h.hasOnly("ana", "scala101", s.repo)
	s.repo.set("lab3/later.md", "later\n")
	s.repo.push("while nobody could be asked")
	v.run("serve").ready(2)
	began := time.Now()
	eventually(t, 3*time.Minute, "the push, in the same server", func() error { return isText(h.home("ana", "scala101/lab3/later.md"), "later\n") })
	t.Logf("the push was there %.0f s after the service was back", time.Since(began).Seconds())
	h.hasOnly("ana", "scala101", s.repo)
}
