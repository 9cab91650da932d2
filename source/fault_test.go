package source

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"satchel/internal/sshgit"
)

func signers(t *testing.T) (ed, rsaKey ssh.Signer) {
	t.Helper()
	_, e, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if ed, err = ssh.NewSignerFromKey(e); err != nil {
		t.Fatal(err)
	}
	if rsaKey, err = ssh.NewSignerFromKey(r); err != nil {
		t.Fatal(err)
	}
	return ed, rsaKey
}

func TestHostKeys(t *testing.T) {
	ed, rsaKey := signers(t)
	other, _ := signers(t)
	r := newRepo(t)
	r.commit()
	h := serve(t, r, sshgit.Options{HostKeys: []ssh.Signer{rsaKey, ed}})
	pin := func(keys ...ssh.Signer) (out string) {
		for _, k := range keys {
			out += knownhosts.Line([]string{knownhosts.Normalize(h.Addr())}, k.PublicKey()) + "\n"
		}
		return out
	}
	for name, c := range map[string]struct {
		file string
		says []string // none: it works
	}{
		"both are pinned":                       {pin(ed, rsaKey), nil},
		"only ed25519, though the host has RSA": {pin(ed), nil},
		"only RSA":                              {pin(rsaKey), nil},
		"an old and a new one of one kind":      {"# comment\n\n" + pin(other, ed), nil},
		"hashed names":                          {hashed(h.Addr(), ed), nil},
		"another key":                           {pin(other), []string{"host key of", "is not the one in", ssh.FingerprintSHA256(ed.PublicKey()), "satchel course hostkey"}},
		"a revoked key":                         {pin(ed) + "@revoked " + pin(ed), []string{"revoked"}},
		"another host":                          {knownhosts.Line([]string{"github.com"}, ed.PublicKey()) + "\n", []string{"holds no key of", "satchel course hostkey"}},
		"an empty file":                         {"", []string{"holds no key of"}},
		"a broken line":                         {"[" + h.Addr() + "] nonsense\n", []string{":1:", "correct that line"}},
	} {
		t.Run(name, func(t *testing.T) {
			h.remote.KnownHostsFile = filepath.Join(t.TempDir(), "known_hosts")
			writeFile(t, h.remote.KnownHostsFile, c.file)
			_, err := newMirror(t, h.remote).Tip(t.Context())
			if c.says == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			fails(t, err, WrongHostKey, c.says...)
		})
	}
	h.remote.KnownHostsFile = filepath.Join(t.TempDir(), "known_hosts")
	writeFile(t, h.remote.KnownHostsFile, pin(rsaKey))
	at, _ := parseAddress(h.remote.URL)
	if p, err := readPins(h.remote.KnownHostsFile, at); err != nil || slices.Contains(p.algorithms, ssh.KeyAlgoRSA) {
		t.Errorf("signatures with SHA-1 are asked for: %v, %v", p.algorithms, err)
	}
	h.remote.KnownHostsFile = absent
	_, err := newMirror(t, h.remote).Tip(t.Context())
	fails(t, err, WrongHostKey, absent, "satchel course hostkey")
	h.remote.KnownHostsFile = ""
	_, err = newMirror(t, h.remote).Tip(t.Context())
	fails(t, err, WrongHostKey, "known_hosts_file")
}

func hashed(addr string, key ssh.Signer) string {
	return knownhosts.HashHostname(knownhosts.Normalize(addr)) + " " + string(ssh.MarshalAuthorizedKey(key.PublicKey()))
}

func TestHostHasNoKeyOfThePinnedKind(t *testing.T) {
	ed, rsaKey := signers(t)
	r := newRepo(t)
	h := serve(t, r, sshgit.Options{HostKeys: []ssh.Signer{ed}})
	writeFile(t, h.remote.KnownHostsFile, knownhosts.Line([]string{knownhosts.Normalize(h.Addr())}, rsaKey.PublicKey()))
	_, err := newMirror(t, h.remote).Tip(t.Context())
	fails(t, err, WrongHostKey, "no host key of a kind", "satchel course hostkey")
}

func TestScanHostKeys(t *testing.T) {
	ed, rsaKey := signers(t)
	r := newRepo(t)
	r.commit()
	h := serve(t, r, sshgit.Options{HostKeys: []ssh.Signer{ed, rsaKey}})
	host, keys, err := ScanHostKeys(t.Context(), h.remote.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	if host != knownhosts.Normalize(h.Addr()) || len(keys) != 2 || keys[0].Type != ssh.KeyAlgoED25519 || keys[0].Fingerprint != ssh.FingerprintSHA256(ed.PublicKey()) {
		t.Errorf("%s: %+v", host, keys)
	}
	// What it gives is what a Mirror takes.
	writeFile(t, h.remote.KnownHostsFile, keys[0].Line+"\n"+keys[1].Line+"\n")
	newest(t, newMirror(t, h.remote))

	h.Close()
	_, _, err = ScanHostKeys(t.Context(), h.remote.URL, "")
	fails(t, err, Unreachable, "refuses connections")
	_, _, err = ScanHostKeys(t.Context(), "/srv/git/x.git", "")
	fails(t, err, WrongHostKey, "folder of this machine")
}

func TestKeyFilesThatCannotBeUsed(t *testing.T) {
	_, private, _ := ed25519.GenerateKey(rand.Reader)
	locked, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("word"))
	if err != nil {
		t.Fatal(err)
	}
	_, public, err := NewDeployKey("me")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ data, says string }{
		"a passphrase":       {string(pemText(locked)), "has a passphrase"},
		"the public half":    {public, "is the public half"},
		"nothing":            {"", "holds no private key"},
		"something enormous": {strings.Repeat("x", 2<<20), "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "key")
			writeFile(t, file, c.data)
			_, err := readKey(file)
			fails(t, err, DeployKey, c.says, file)
		})
	}
	_, err = readKey(t.TempDir())
	fails(t, err, DeployKey, "not a regular file")
}

func TestNewDeployKey(t *testing.T) {
	pem, line, err := NewDeployKey("satchel scala101")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	public, comment, _, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil || comment != "satchel scala101" || len(rest) > 0 || strings.Contains(line, "\n") {
		t.Errorf("%q: %q, %v", line, comment, err)
	}
	if string(public.Marshal()) != string(signer.PublicKey().Marshal()) || public.Type() != ssh.KeyAlgoED25519 {
		t.Error("the halves do not belong together")
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	if again, err := PublicHalf(file, comment); err != nil || again != line {
		t.Errorf("%q is not %q: %v", again, line, err)
	}
	_, err = PublicHalf(file+".pub", comment)
	fails(t, err, DeployKey, "is not there")
	if _, _, err := NewDeployKey("two\nlines"); err == nil {
		t.Error("a comment of two lines was taken")
	}
}

func TestWhatIsNotInTheRepository(t *testing.T) {
	r := newRepo(t)
	r.write("notebooks/week1/a.txt", "a\n")
	r.write("README.md", "a\n")
	r.commit()
	r.git("branch", "maint")
	r.git("branch", "release")
	for name, remote := range bothWays(t, r) {
		t.Run(name, func(t *testing.T) {
			remote := remote
			remote.Branch = "mian"
			_, err := newMirror(t, remote).Tip(t.Context())
			fails(t, err, Branch, "has no branch mian; it has main, maint, release")

			remote.Branch = "main"
			for folder, says := range map[string]string{
				"notebook":                    "at the top there is notebooks",
				"notebooks/week2":             "in notebooks there is notebooks/week1",
				"README.md":                   "has no folder README.md",
				"notebooks/week1/deep/deeper": "no folder at all",
			} {
				remote.Folder = folder
				m := newMirror(t, remote)
				tip, err := m.Tip(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				_, err = m.At(t.Context(), tip)
				fails(t, err, Folder, folder, says)
			}
		})
	}
}

// bothWays serves a repository over SSH, and in place.
func bothWays(t *testing.T, r *repo) map[string]Remote {
	return map[string]Remote{"over SSH": serve(t, r, sshgit.Options{}).remote, "in place": {URL: r.dir}}
}

func TestEmptyRepository(t *testing.T) {
	for name, remote := range bothWays(t, newRepo(t)) {
		t.Run(name, func(t *testing.T) {
			_, err := newMirror(t, remote).Tip(t.Context())
			fails(t, err, Empty, "is empty", "push a first commit to the branch main")
		})
	}
}

func TestMissingRepository(t *testing.T) {
	h := serve(t, newRepo(t), sshgit.Options{})
	h.remote.URL = h.URL("/school/other.git")
	_, err := newMirror(t, h.remote).Tip(t.Context())
	fails(t, err, Repository, "school/other.git", "Repository not found", "SHA256:")
}

func TestUnreachable(t *testing.T) {
	h := serve(t, newRepo(t), sshgit.Options{})
	h.Close()
	_, err := newMirror(t, h.remote).Tip(t.Context())
	fails(t, err, Unreachable, "refuses connections")

	at := address{host: "git.school.invalid", port: 22}
	fails(t, unreachable(at, &net.DNSError{IsNotFound: true}), Unreachable, "no host named git.school.invalid")
	fails(t, unreachable(at, os.ErrDeadlineExceeded), Unreachable, "does not answer on port 22")
	fails(t, unreachable(at, syscall.EHOSTUNREACH), Unreachable, "cannot be reached")
}

func TestDiskFaults(t *testing.T) {
	for err, says := range map[error]string{
		syscall.ENOSPC: "is full", syscall.EDQUOT: "is full", syscall.EROFS: "read-only", syscall.EACCES: "no permission",
	} {
		fails(t, diskFault("/state", fmt.Errorf("wrapped: %w", &os.PathError{Op: "write", Err: err})), Disk, says, "/state")
	}
	if diskFault("/state", syscall.EIO) != nil {
		t.Error("every error is one of the disk")
	}
}

// A server that goes silent at any stage costs Idle, and no more.
func TestSilentServer(t *testing.T) {
	r := newRepo(t)
	r.write("a.bin", noise(3<<20))
	tip := r.commit()
	for _, stage := range []sshgit.Stage{sshgit.Accepted, sshgit.LoggedIn, sshgit.Asked, sshgit.InPack} {
		t.Run(string(stage), func(t *testing.T) {
			h := serve(t, r, sshgit.Options{Silent: func(at sshgit.Stage) bool { return at == stage }})
			m, err := NewMirror(logger(t), filepath.Join(t.TempDir(), "mirror"), h.remote, Options{Idle: 300 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			_, err = m.At(t.Context(), tip)
			fails(t, err, Silent, "said nothing for 300ms while")
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
			if n := len(m.cloneFolders()); n != 0 {
				t.Errorf("%d half clones stay", n)
			}
		})
	}
}

// One byte now and then does not keep a handshake alive.
func TestDrippingServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
			if _, err := conn.Write([]byte("x")); err != nil {
				return
			}
		}
	}()
	h := serve(t, newRepo(t), sshgit.Options{})
	known, _ := os.ReadFile(h.remote.KnownHostsFile)
	writeFile(t, h.remote.KnownHostsFile, strings.ReplaceAll(string(known), knownhosts.Normalize(h.Addr()), knownhosts.Normalize(l.Addr().String())))
	h.remote.URL = "ssh://git@" + l.Addr().String() + "/x.git"
	m, err := NewMirror(logger(t), t.TempDir(), h.remote, Options{Idle: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Tip(within(t, 20*time.Second))
	var e *Error
	if !errors.As(err, &e) || (e.Kind != Silent && e.Kind != Unreachable) {
		t.Errorf("got %v", err)
	}
	<-done
}

// A call returns when its context ends, wherever it is.
func TestCancelIsPrompt(t *testing.T) {
	r := newRepo(t)
	r.write("a.bin", noise(3<<20))
	tip := r.commit()
	for _, stage := range []sshgit.Stage{sshgit.Accepted, sshgit.LoggedIn, sshgit.Asked, sshgit.InPack} {
		t.Run(string(stage), func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			h := serve(t, r, sshgit.Options{Silent: func(at sshgit.Stage) bool {
				if at == stage {
					cancel()
				}
				return at == stage
			}})
			start := time.Now()
			_, err := newMirror(t, h.remote).At(ctx, tip)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
	t.Run("waiting for another", func(t *testing.T) {
		m := newMirror(t, serve(t, r, sshgit.Options{}).remote)
		unlock, err := m.lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer unlock()
		if _, err := m.At(within(t, 50*time.Millisecond), tip); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("in place", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		m := newMirror(t, Remote{URL: r.dir})
		if _, err := m.Tip(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if _, err := m.At(ctx, tip); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
