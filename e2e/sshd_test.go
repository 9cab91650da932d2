//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sshd is OpenSSH's own server on loopback, with an ed25519 and an RSA host
// key, which admits one deploy key.
type sshd struct {
	port       int
	user       string
	knownHosts string // file
	authorised string // file
}

// startSSHD needs no root. Commands run as the test's own user.
func startSSHD(t testing.TB, dir, publicKeyFile string) *sshd {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := &sshd{port: freePort(t), user: me.Username, knownHosts: filepath.Join(dir, "known_hosts"), authorised: filepath.Join(dir, "authorized_keys")}
	public, err := os.ReadFile(publicKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s.authorised, "restrict "+string(public))
	args := []string{"-D", "-e", "-f", "/dev/null", "-p", fmt.Sprint(s.port),
		"-o", "ListenAddress=" + here(), "-o", "UsePAM=no", "-o", "PidFile=none", "-o", "StrictModes=no",
		"-o", "PermitRootLogin=prohibit-password", "-o", "PasswordAuthentication=no", "-o", "MaxStartups=200:30:400",
		"-o", "AuthorizedKeysFile=" + s.authorised,
		"-o", "SetEnv=HOME=" + t.TempDir()} // a shell begins with its user's dotfiles, which may take any time
	var known strings.Builder
	for _, kind := range []string{"ed25519", "rsa"} {
		key := filepath.Join(dir, "host_"+kind)
		mustRun(t, exec.Command("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", key))
		args = append(args, "-h", key)
		line, err := os.ReadFile(key + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		f := strings.Fields(string(line))
		fmt.Fprintf(&known, "[%s]:%d %s %s\n", here(), s.port, f[0], f[1])
	}
	write(t, s.knownHosts, known.String())
	p := start(t, dir, nil, sshdPath(t), args...)
	eventually(t, 10*time.Second, "sshd", func() error {
		if p.ended() {
			t.Fatal(p.output())
		}
		c, err := net.Dial("tcp", hereAt(s.port))
		if err == nil {
			c.Close()
		}
		return err
	})
	return s
}

func (s *sshd) url(path string) string {
	return fmt.Sprintf("ssh://%s@%s%s", s.user, hereAt(s.port), path)
}

func sshdPath(t testing.TB) string {
	for _, p := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd"} {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	t.Fatal("no sshd: make e2e installs it")
	return ""
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func mustRun(t testing.TB, c *exec.Cmd) string {
	t.Helper()
	out, code := runProgram(t, c)
	if code != 0 {
		t.Fatalf("%s: exit %d\n%s", strings.Join(c.Args, " "), code, out)
	}
	return out
}
