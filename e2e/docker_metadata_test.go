//go:build e2e

package e2e

import (
	"os/exec"
	"strings"
	"time"
)

// metadata: a cloud's link-local address is played by a network namespace of
// the test's own, at another address of the same block. Without the rule of
// docs/compose.md a student reaches it (compose cannot close it); with it not,
// and the internet stays.
func (w *town) metadata() string {
	const server, here = "169.254.77.77", "169.254.77.1"
	run := func(line string) {
		w.t.Helper()
		f := strings.Fields(line)
		mustRun(w.t, exec.Command(f[0], f[1:]...))
	}
	w.t.Cleanup(func() {
		_ = exec.Command("ip", "netns", "del", project).Run()
		_ = exec.Command("ip", "link", "del", "satcheltest0").Run()
	})
	run("ip netns add " + project)
	run("ip link add satcheltest0 type veth peer name satcheltest1")
	run("ip link set satcheltest1 netns " + project)
	run("ip addr add " + here + "/24 dev satcheltest0")
	run("ip link set satcheltest0 up")
	run("ip -n " + project + " addr add " + server + "/24 dev satcheltest1")
	run("ip -n " + project + " link set satcheltest1 up")
	run("ip -n " + project + " route add default via " + here)
	start(w.t, w.dir, nil, "ip", "netns", "exec", project, "python3", "-m", "http.server", "80")
	eventually(w.t, 20*time.Second, "the address is there", func() error {
		return exec.Command("curl", "-fsS", "-o", "/dev/null", "--max-time", "2", "http://"+server+"/").Run()
	})
	if got := w.reaches(w.container, server, 80); got != "open" {
		w.t.Errorf("without the rule: %s, so the rule would prove nothing", got)
	}
	rule := strings.Fields("DOCKER-USER -d 169.254.0.0/16 -j REJECT")
	mustRun(w.t, exec.Command("iptables", append([]string{"-I"}, rule...)...))
	defer exec.Command("iptables", append([]string{"-D"}, rule...)...).Run()
	if got := w.reaches(w.container, server, 80); got == "open" {
		w.t.Error("with the rule it is still open")
	}
	if got := w.reaches(w.container, "pypi.org", 443); got != "open" {
		w.t.Errorf("the internet, with the rule: %s", got)
	}
	return ""
}
