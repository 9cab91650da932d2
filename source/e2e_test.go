//go:build e2e

package source

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"satchel/internal/sshgit"
)

// opensshServer starts OpenSSH's own server for one authorised key, with an
// ed25519 and an RSA host key. It needs no root.
func opensshServer(t *testing.T) (addr, user string, hostKeys map[string]ssh.PublicKey, keyFile string, sshd *os.Process) {
	t.Helper()
	dir := t.TempDir()
	hostKeys = map[string]ssh.PublicKey{}
	for _, kind := range []string{"ed25519", "rsa"} {
		file := filepath.Join(dir, "host_"+kind)
		if out, err := exec.Command("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", file).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v %s", err, out)
		}
		data, err := os.ReadFile(file + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		if hostKeys[kind], _, _, _, err = ssh.ParseAuthorizedKey(data); err != nil {
			t.Fatal(err)
		}
	}
	pem, line, err := NewDeployKey("e2e")
	if err != nil {
		t.Fatal(err)
	}
	keyFile = filepath.Join(dir, "deploy")
	writeFile(t, keyFile, string(pem))
	writeFile(t, filepath.Join(dir, "authorized"), line+"\n")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	l.Close()
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-p", port,
		"-h", filepath.Join(dir, "host_ed25519"), "-h", filepath.Join(dir, "host_rsa"),
		"-o", "ListenAddress=127.0.0.1", "-o", "UsePAM=no", "-o", "PidFile=none", "-o", "StrictModes=no", "-o", "PermitRootLogin=yes",
		"-o", "AuthorizedKeysFile="+filepath.Join(dir, "authorized"))
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Signal(syscall.SIGCONT); cmd.Process.Kill(); cmd.Wait() })
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("sshd does not start")
		}
	}
	return addr, currentUser(t), hostKeys, keyFile, cmd.Process
}

func currentUser(t *testing.T) string {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

func TestOpenSSH(t *testing.T) {
	r := newRepo(t)
	r.write("notebooks/a.txt", "a\n")
	r.write("notebooks/it's a name!.bin", noise(3<<20))
	first := r.commit()
	addr, user, hostKeys, keyFile, sshd := opensshServer(t)
	known := filepath.Join(t.TempDir(), "known_hosts")
	pin := func(keys ...ssh.PublicKey) {
		text := ""
		for _, k := range keys {
			text += knownhosts.Line([]string{knownhosts.Normalize(addr)}, k) + "\n"
		}
		writeFile(t, known, text)
	}
	remote := Remote{URL: "ssh://" + user + "@" + addr + r.dir, Folder: "notebooks", KeyFiles: []string{keyFile}, KnownHostsFile: known}
	stranger, _ := newKeyFile(t, "stranger")
	_, other, err := NewDeployKey("other")
	if err != nil {
		t.Fatal(err)
	}
	otherKey, _, _, _, err := ssh.ParseAuthorizedKey([]byte(other))
	if err != nil {
		t.Fatal(err)
	}

	t.Run("each kind of host key alone, and both", func(t *testing.T) {
		for _, keys := range [][]ssh.PublicKey{{hostKeys["ed25519"]}, {hostKeys["rsa"]}, {hostKeys["rsa"], hostKeys["ed25519"]}} {
			pin(keys...)
			if tip, err := newMirror(t, remote).Tip(t.Context()); err != nil || tip != first {
				t.Errorf("%s: %s, %v", keys[0].Type(), tip, err)
			}
		}
	})
	t.Run("scan", func(t *testing.T) {
		_, keys, err := ScanHostKeys(t.Context(), remote.URL, "")
		if err != nil || len(keys) != 2 || keys[0].Fingerprint != ssh.FingerprintSHA256(hostKeys["ed25519"]) || keys[1].Type != "ssh-rsa" {
			t.Errorf("%+v, %v", keys, err)
		}
	})
	t.Run("clone, update, force-push", func(t *testing.T) {
		m := newMirror(t, remote)
		r.sameAs(newest(t, m), "notebooks")
		r.write("notebooks/a.txt", "b\n")
		r.commit()
		r.sameAs(newest(t, m), "notebooks")
		r.git("reset", "-q", "--hard", first)
		r.write("notebooks/c.txt", "c\n")
		r.commit()
		r.git("repack", "-qadb")
		r.sameAs(newest(t, m), "notebooks")
	})
	t.Run("wrong host key", func(t *testing.T) {
		pin(otherKey)
		_, err := newMirror(t, remote).Tip(t.Context())
		fails(t, err, WrongHostKey, "is not the one in", "satchel course hostkey")
		pin(hostKeys["ed25519"], hostKeys["rsa"])
	})
	t.Run("wrong deploy key", func(t *testing.T) {
		remote := remote
		remote.KeyFiles = []string{stranger}
		_, err := newMirror(t, remote).Tip(t.Context())
		fails(t, err, DeployKey, "read-only deploy key", "SHA256:", stranger)
		remote.KeyFiles = []string{stranger, keyFile}
		if _, err := newMirror(t, remote).Tip(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("missing repository", func(t *testing.T) {
		remote := remote
		remote.URL += "-other"
		_, err := newMirror(t, remote).Tip(t.Context())
		fails(t, err, Repository, "does not appear to be a git repository")
	})
	t.Run("silent", func(t *testing.T) {
		sshd.Signal(syscall.SIGSTOP)
		defer sshd.Signal(syscall.SIGCONT)
		m, err := NewMirror(logger(t), t.TempDir(), remote, Options{Idle: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = m.Tip(t.Context())
		fails(t, err, Silent, "said nothing for 1s")
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// The mirror lies on a small filesystem of its own, in a mount namespace.
func TestFullDisk(t *testing.T) {
	if dir := os.Getenv("SATCHEL_TEST_SMALL_DISK"); dir != "" {
		fullDisk(t, dir)
		return
	}
	dir := t.TempDir()
	args := []string{"-m"}
	if os.Getuid() != 0 {
		args = []string{"-Urm"}
	}
	script := fmt.Sprintf("mount -t tmpfs -o size=4m tmpfs %s && exec %s -test.run='^TestFullDisk$' -test.v", dir, os.Args[0])
	cmd := exec.Command("unshare", append(args, "sh", "-c", script)...)
	cmd.Env = append(os.Environ(), "SATCHEL_TEST_SMALL_DISK="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "is full where the repository is mirrored") {
		t.Errorf("%v\n%s", err, out)
	}
}

func fullDisk(t *testing.T, dir string) {
	r := newRepo(t)
	r.write("a.bin", noise(1<<20))
	r.commit()
	h := serve(t, r, sshgit.Options{}).remote
	m := mirrorIn(t, filepath.Join(dir, "mirror"), h)
	r.sameAs(newest(t, m), ".")

	r.write("b.bin", noise(5<<20))
	tip := r.commit()
	_, err := m.At(t.Context(), tip)
	fails(t, err, Disk, "is full where the repository is mirrored", dir)
	if left, _ := filepath.Glob(filepath.Join(m.newestClone().packDir(), "tmp_*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	// What was here still serves, and when there is room it goes on.
	r.sameAs(at(t, m, m.newestClone().tip.String()), ".")
	r.git("reset", "-q", "--hard", "HEAD~1")
	r.write("c.bin", noise(1<<20+1))
	r.commit()
	r.sameAs(newest(t, m), ".")
}
