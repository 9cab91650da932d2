//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"satchel/internal/webgit"
)

const onlySixHosts = "::1 localhost ip6-localhost\n"

// withoutIPv4 takes the last IPv4 address from a network of the test's own.
func withoutIPv4(t testing.TB) {
	t.Helper()
	mustRun(t, exec.Command("ip", "-4", "addr", "flush", "dev", "lo"))
	if c, err := net.Listen("tcp4", "127.0.0.1:0"); err == nil {
		c.Close()
		t.Fatal("there is IPv4 still")
	}
	if here() != "::1" {
		t.Fatalf("this machine is %s", here())
	}
}

// TestE2EOnlyIPv6 is the whole way on a machine that has no IPv4 at all: a
// course over SSH with a deploy key, S3, both halves as two processes, TLS
// before them, the hub's API (a fake), a webhook, a ticket for the hub's token,
// and pushes during class.
func TestE2EOnlyIPv6(t *testing.T) {
	if !ownNetwork(t, onlySixHosts) {
		return
	}
	withoutIPv4(t)
	d := &drill{rotation: newRotation(t), t: t, watches: map[string]*process{}, homes: map[string]*student{"ana": nil}}
	if known := d.read("conf/known_hosts"); !strings.HasPrefix(known, fmt.Sprintf("[::1]:%d ssh-", d.ssh.port)) {
		t.Fatalf("known_hosts is %s", known)
	}
	d.homes["ana"] = d.student("ana")
	adm, err := d.spawn("ana")
	must(t, err)
	if !strings.HasPrefix(adm.URL, "https://[::1]:") {
		t.Errorf("the service is at %s", adm.URL)
	}
	if out, code := runProgram(t, d.agentOf(d.homes["ana"], adm, "sync")); code != 0 {
		t.Fatalf("sync: exit %d\n%s", code, out)
	}
	equalFolder(t, d.site, d.homes["ana"])

	d.start("ana")
	d.push()
	d.arrives()
	d.hinted("a webhook", strings.TrimSpace(d.read("conf/secrets/webhook")))
	d.arrives()

	ben := d.student("ben") // a container that is resumed
	adm, err = d.spawn("ben")
	must(t, err)
	adm.Ticket = staleTicket(t, "ben")
	if out, code := runProgram(t, d.agentOf(ben, adm, "sync")); code != 0 {
		t.Errorf("for the hub's token: exit %d\n%s", code, out)
	}
	equalFolder(t, d.site, ben)

	out, _ := d.trySatchel("doctor", "--json", "--config", d.hooks.config)
	for _, name := range []string{"store", "clock", "url", "hub", "repository of scala101"} {
		if well, text := finding(t, out[:strings.LastIndex(out, "]")+1], name); !well { // a sentence follows
			t.Errorf("doctor of the service, %s: %s", name, text)
		}
	}
	out, _ = runProgram(t, d.agentOf(ben, adm, "doctor", "--json"))
	if well, text := finding(t, out[:strings.LastIndex(out, "]")+1], "service"); !well {
		t.Errorf("doctor of the agent: %s", text)
	}
}

// The same over HTTPS, from git's own http-backend; one process that listens
// on every address.
func TestE2EOnlyIPv6OverHTTPS(t *testing.T) {
	if !ownNetwork(t, onlySixHosts) {
		return
	}
	withoutIPv4(t)
	s := newSiteWithoutSSH(t)
	host, err := webgit.Start(slog.New(slog.DiscardHandler), webgit.Options{Repos: map[string]string{"/school/scala101.git": s.repo.bare}, Passwords: []string{"read-only"}})
	must(t, err)
	t.Cleanup(host.Close)
	write(t, s.path("ca.pem"), string(host.CA()))
	write(t, s.path("conf/secrets/token"), "read-only\n")
	v := s.configure("one", fmt.Sprintf("ca_file: ../ca.pem\ncourses:\n  - {name: scala101, repository: %q, branch: main, folder: notebooks, token_file: secrets/token, audience: everyone, poll: 1h}\n",
		host.URL("/school/scala101.git")))
	text := readFile(t, v.config)
	everywhere := strings.Replace(text, fmt.Sprintf("hub: %q", v.hubs), fmt.Sprintf("hub: %q", v.hubs[strings.LastIndex(v.hubs, ":"):]), 1)
	write(t, v.config, strings.Replace(everywhere, fmt.Sprintf("students: %q", v.students), fmt.Sprintf("students: %q", v.students[strings.LastIndex(v.students, ":"):]), 1))
	v.run("serve").ready(1)
	ana := s.student("ana")
	ana.sync(v.login("ana"))
	s.repo.set("lab1/next.md", "next\n")
	s.repo.push("next")
	v.publish()
	v.ready(2)
	ana.sync(v.login("ana"))
	equalFolder(t, s, ana)
	if out, code := s.trySatchel("student", "ticket", "ana", "--config", v.config); code != 0 {
		t.Errorf("a ticket by hand: exit %d\n%s", code, out)
	}
}

// The tour of a machine without IPv4.
func TestE2ETryOnIPv6(t *testing.T) {
	if !ownNetwork(t, onlySixHosts) {
		return
	}
	withoutIPv4(t)
	s := newSiteWithoutSSH(t)
	if out, code := s.trySatchel("try", "--dir", s.path("try")); code != 0 || !strings.Contains(out, "http://[::1]:") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// TestE2EANameOfTwoFamilies: of a name's two addresses the one over IPv6 comes
// first, and says nothing at all. The other one is used: by git over SSH, by S3,
// and by an agent within the budget of a login.
func TestE2EANameOfTwoFamilies(t *testing.T) {
	if !ownNetwork(t, "2001:db8::2 two.school.test\n127.0.0.1 two.school.test localhost\n") {
		return
	}
	for _, c := range []string{
		"link add silent0 type veth peer name silent1", "link set silent0 up", "link set silent1 up",
		"-6 addr add 2001:db8::1/64 dev silent0 nodad", "-6 neigh add 2001:db8::2 lladdr 02:00:00:00:00:99 dev silent0 nud permanent",
	} {
		mustRun(t, exec.Command("ip", strings.Fields(c)...))
	}
	silent := &net.Dialer{Timeout: 200 * time.Millisecond}
	var timeout net.Error
	if _, err := silent.Dial("tcp", "[2001:db8::2]:80"); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("the address is not silent: %v", err)
	}
	s := newSite(t).onS3()
	by := func(text string) string { return strings.ReplaceAll(text, "127.0.0.1", "two.school.test") }
	s.store = by(s.store)
	write(t, s.ssh.knownHosts, by(readFile(t, s.ssh.knownHosts)))
	v := s.configure("one", "")
	text := readFile(t, v.config)
	text = strings.Replace(text, fmt.Sprintf("url: \"http://%s", v.students), "url: \"http://"+by(v.students), 1)
	write(t, v.config, strings.Replace(text, s.ssh.url(s.repo.bare), by(s.ssh.url(s.repo.bare)), 1))
	v.run("serve").ready(1)
	ana := s.student("ana")
	adm := v.login("ana")
	if !strings.HasPrefix(adm.URL, "http://two.school.test:") {
		t.Errorf("the service is at %s", adm.URL)
	}
	if said := ana.sync(adm); !strings.Contains(said, "Updated to version 1") {
		t.Errorf("within the budget of a login: %s", said)
	}
	equalFolder(t, s, ana)
}
