//go:build e2e

package e2e

import (
	"slices"
	"testing"
	"time"
)

// TestHubServiceBackLater: who logs in while the service is away has what
// there was, and the rest as soon as it is back, in the same server: the
// agent shows the hub's token.
func TestHubServiceBackLater(t *testing.T) {
	s := newSite(t)
	ports := threePorts(t)
	v := s.configure("one", "")
	config := v.asService(ports)
	v.run("serve").ready(1)
	h := s.hub(hubOptions{version: "6.1.1", ports: ports, config: v.withHook() + config})
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
	eventually(t, 5*time.Minute, "the push, in the same server", func() error { return isText(h.home("ana", "scala101/lab3/later.md"), "later\n") })
	t.Logf("the push was there %.0f s after the service was back", time.Since(began).Seconds())
	h.hasOnly("ana", "scala101", s.repo)
}
