//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// twoCourses are the courses of two groups, each with its own repository.
func (s *site) twoCourses() (v *service, algo *repository) {
	s.t.Helper()
	algo = newRepository(s.t, s.path("algo"))
	algo.set("sorting.md", "# Sorting\n")
	algo.push("second")
	text := "courses:\n"
	for name, of := range map[string]struct{ bare, group string }{"scala101": {s.repo.bare, "lab-a"}, "algo101": {algo.bare, "lab-b"}} {
		text += fmt.Sprintf("  - {name: %s, repository: %q, branch: main, folder: notebooks, deploy_key_file: secrets/scala101-key, "+
			"known_hosts_file: known_hosts, audience: {groups: [%s]}, poll: 5s}\n", name, s.ssh.url(of.bare), of.group)
	}
	v = s.configure("one", text).run("serve")
	v.ready(1)
	eventually(s.t, time.Minute, "the other course", func() error {
		if v.versionOf("algo101") == 0 {
			return fmt.Errorf("it is not there")
		}
		return nil
	})
	return v, algo
}

// TestHubTwoGroups is the product on a real hub: each group gets its own
// course, notebooks run, a push arrives during class, and nothing outlives
// its server.
func TestHubTwoGroups(t *testing.T) {
	onEachHub(t, func(t *testing.T, version string) {
		s := newSite(t)
		v, algo := s.twoCourses()
		h := s.hub(hubOptions{version: version, config: v.withHook(), groups: map[string][]string{"lab-a": {"ana"}, "lab-b": {"ben"}}})

		ana, ben := h.person("ana").login(), h.person("ben").login()
		said := ana.spawn("")
		for _, line := range []string{"Server requested", "Spawning server...", "Course material: version 1 is ready."} {
			if !slices.Contains(said, line) {
				t.Errorf("the spawn page said %q, not %q", said, line)
			}
		}
		ben.spawn("")
		h.hasOnly("ana", "scala101", s.repo)
		h.hasOnly("ben", "algo101", algo)

		ana.runsWhatWasDelivered()
		pushDuringClass(t, s, v, h)
		loginWithoutSpawn(t, s, v, h)
		namedServer(t, v, h, ana)

		must(t, countAgents(h, 3)) // one for each server
		h.stopServer("ana", "")
		takesOver(t, s, v, h)
		h.stopServer("ana", "extra")
		eventually(t, 20*time.Second, "the end of ana's agents", func() error { return countAgents(h, 1) })
		h.stopServer("ben", "")
		eventually(t, 20*time.Second, "the end of ben's agent", func() error { return countAgents(h, 0) })
	})
}

// countAgents gives an error unless so many agents run.
func countAgents(h *hub, n int) error {
	if run := h.running("satchel-agent"); len(run) != n {
		return fmt.Errorf("%d agents run, not %d: %v", len(run), n, run)
	}
	return nil
}

// hasOnly fails unless a home has this course, whole, and no other.
func (h *hub) hasOnly(name, course string, repo *repository) {
	h.t.Helper()
	if d := cmp.Diff(repo.delivered(), onDisk(h.t, h.home(name, course))); d != "" {
		h.t.Errorf("%s has other files than the newest commit (-commit +folder):\n%s", name, d)
	}
	for _, other := range []string{"scala101", "algo101"} {
		if _, err := os.Lstat(h.home(name, other)); other != course && err == nil {
			h.t.Errorf("%s has %s", name, other)
		}
	}
}

// runsWhatWasDelivered runs the delivered notebooks of both languages, and
// looks at what their kernels know.
func (p *person) runsWhatWasDelivered() {
	p.t.Helper()
	for path, want := range map[string]string{
		"scala101/lab2/rainfall.ipynb": "Bilbao      1191 mm", "scala101/lab1/types.ipynb": "List(3.14159",
	} {
		kind, cells := p.code(path)
		if got := p.run("", p.kernel("", kind, path), cells...); !strings.Contains(got, want) {
			p.t.Errorf("%s, by the kernel %s, gave\n%s", path, kind, got)
		}
	}
	const env = `import os; print([n for n in ("SATCHEL_TICKET", "SATCHEL_URL") if n in os.environ])`
	if got := p.run("", p.kernel("", "python3", "scala101"), env); got != "['SATCHEL_URL']\n" {
		p.t.Errorf("a kernel's environment has %s", got)
	}
}

func pushDuringClass(t *testing.T, s *site, v *service, h *hub) {
	t.Helper()
	s.repo.set("lab3/new.md", "# Lab 3\n")
	s.repo.push("during class")
	began := time.Now()
	v.publish()
	eventually(t, 30*time.Second, "the push in the running server", func() error { return isText(h.home("ana", "scala101/lab3/new.md"), "# Lab 3\n") })
	t.Logf("a push was in the running server's folder %.1f s after the publish began", time.Since(began).Seconds())
}

func isText(path, text string) error {
	data, err := os.ReadFile(path)
	if err == nil && string(data) != text {
		err = fmt.Errorf("%s has %q", path, data)
	}
	return err
}

// loginWithoutSpawn: who logs in while their server runs finds the newest,
// and the hub starts nothing.
func loginWithoutSpawn(t *testing.T, s *site, v *service, h *hub) {
	t.Helper()
	started := strings.Count(h.output(), "Spawning ")
	s.repo.set("lab3/again.md", "again\n")
	s.repo.push("before the second login")
	v.publish()
	again := h.person("ana").login()
	if lab := again.follow("/user/ana/lab"); lab.code != http.StatusOK {
		t.Fatalf("%s: %d", lab.location, lab.code)
	}
	eventually(t, 30*time.Second, "the newest, by the server's API", func() error {
		var file struct{ Content string }
		got := again.do(http.MethodGet, "/user/ana/api/contents/scala101/lab3/again.md", nil)
		if err := json.Unmarshal([]byte(got.text), &file); err != nil || file.Content != "again\n" {
			return fmt.Errorf("%d %.200s", got.code, got.text)
		}
		return nil
	})
	if now := strings.Count(h.output(), "Spawning "); now != started {
		t.Errorf("%d servers were started by a second login", now-started)
	}
}

// takesOver: the server that had the watch of ana's home is gone, and a push
// arrives all the same, for another of hers runs.
func takesOver(t *testing.T, s *site, v *service, h *hub) {
	t.Helper()
	eventually(t, 20*time.Second, "the end of one agent", func() error { return countAgents(h, 2) })
	s.repo.set("lab3/after.md", "after one server's end\n")
	s.repo.push("after one server's end")
	v.publish()
	eventually(t, 30*time.Second, "the push, by the other server's watch", func() error {
		return isText(h.home("ana", "scala101/lab3/after.md"), "after one server's end\n")
	})
}

func namedServer(t *testing.T, v *service, h *hub, p *person) {
	t.Helper()
	if said := p.spawn("extra"); !slices.Contains(said, "Course material: version 3 is ready.") {
		t.Errorf("the spawn page of a named server said %q", said)
	}
	const env = `import os; print(os.environ["JUPYTERHUB_SERVER_NAME"], "SATCHEL_KEYS" in os.environ)`
	if got := p.run("extra", p.kernel("extra", "python3", ""), env); got != "extra True\n" {
		t.Errorf("a kernel of the named server prints %q", got)
	}
	eventually(t, 30*time.Second, "the named server in the student's record", func() error {
		if out := v.site.satchel("student", "show", p.name, "--config", v.config); !strings.Contains(out, `server "extra"`) {
			return fmt.Errorf("it is\n%s", out)
		}
		return nil
	})
}
