//go:build e2e

package e2e

import (
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"satchel/internal/listen"
)

// here is this machine's own address: 127.0.0.1, or ::1 where there is no IPv4.
var here = sync.OnceValue(func() string {
	l, err := listen.Here()
	if err != nil {
		return "127.0.0.1"
	}
	defer l.Close()
	host, _, _ := net.SplitHostPort(l.Addr().String())
	return host
})

func hereAt(port int) string { return net.JoinHostPort(here(), strconv.Itoa(port)) }

// inNetwork is a variable of a test that runs in a network of its own.
const inNetwork = "SATCHEL_E2E_NETWORK"

// ownNetwork runs this test again, in a network of its own where these names
// are known, and takes over how it ended. It gives true there.
func ownNetwork(t *testing.T, hosts string) bool {
	t.Helper()
	if os.Getenv(inNetwork) != "" {
		root := func(args ...string) { t.Helper(); mustRun(t, exec.Command(args[0], args[1:]...)) }
		file := t.TempDir() + "/hosts"
		write(t, file, hosts)
		must(t, os.Chmod(file, 0o644))
		root("mount", "--make-rprivate", "/")
		root("mount", "--bind", file, "/etc/hosts")
		root("ip", "link", "set", "lo", "up")
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("only root may make a network of its own")
	}
	self, err := os.Executable()
	must(t, err)
	c := exec.CommandContext(t.Context(), self, "-test.run", "^"+t.Name()+"$", "-test.count=1", "-test.v", "-test.timeout=15m")
	c.Env = append(os.Environ(), inNetwork+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if out, code := runProgram(t, c); code != 0 {
		t.Errorf("in a network of its own: exit %d\n%s", code, out)
	}
	return false
}
