package source

import (
	"crypto/ed25519"
	"crypto/rand"
	"net"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// An IPv6 address is found in known_hosts as OpenSSH writes it, and as this
// program does, with a port and without.
func TestKnownHostsOfIPv6(t *testing.T) {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		url, host string
		known     bool
	}{
		{"ssh://git@[fd00::1]:2222/course.git", "[fd00::1]:2222", true},
		{"ssh://git@[fd00::1]/course.git", "fd00::1", true},
		{"ssh://git@[fd00::1]/course.git", "", true}, // by our own hand
		{"git@[fd00::1]:course.git", "fd00::1", true},
		{"git@[fd00::1]:course.git", "", true},
		{"ssh://git@[fd00::1]/course.git", "fd00::2", false},
		{"ssh://git@[fd00::1]:2222/course.git", "fd00::1", false},
	} {
		at, err := parseAddress(c.url)
		if err != nil {
			t.Fatal(err)
		}
		line := c.host + " " + string(ssh.MarshalAuthorizedKey(key))
		if c.host == "" {
			line = knownhosts.Line([]string{at.hostName()}, key) + "\n"
		}
		file := filepath.Join(t.TempDir(), "known_hosts")
		writeFile(t, file, line)
		p, err := readPins(file, at)
		if (err == nil) != c.known {
			t.Errorf("%s by %q: %v", c.url, line, err)
		}
		if err == nil {
			if err := p.check(at.dial(), &net.TCPAddr{IP: net.ParseIP("fd00::1"), Port: at.port}, key); err != nil {
				t.Errorf("%s by %q: %v", c.url, line, err)
			}
		}
	}
}
