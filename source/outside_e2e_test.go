//go:build e2e

package source

import (
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh/knownhosts"

	"satchel/internal/sshgit"
	"satchel/internal/webgit"
)

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// program runs one until the test ends, and waits until it answers.
func program(t *testing.T, port string, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer", name)
		}
	}
}

// Real proxies on the way: tinyproxy (CONNECT) and microsocks (SOCKS 5), with
// and without a login, on the way to an SSH host and to git's http-backend.
func TestE2EProxies(t *testing.T) {
	r := newRepo(t)
	r.write("a.txt", "a\n")
	r.commit()
	overSSH := serve(t, r, sshgit.Options{}).remote
	_, overHTTPS := webHost(t, r, webgit.Options{})

	tiny := func(lines string) string {
		port := freePort(t)
		conf := filepath.Join(t.TempDir(), "tinyproxy.conf")
		writeFile(t, conf, fmt.Sprintf("Port %s\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nLogLevel Warning\n%s", port, lines))
		program(t, port, nil, "tinyproxy", "-d", "-c", conf)
		return "127.0.0.1:" + port
	}
	socks := func(args ...string) string {
		port := freePort(t)
		program(t, port, nil, "microsocks", append([]string{"-i", "127.0.0.1", "-p", port}, args...)...)
		return "127.0.0.1:" + port
	}
	httpOpen, httpLogin := tiny(""), tiny("BasicAuth ana secret\n")
	httpShut := tiny("ConnectPort 443\n") // and no other
	socksOpen, socksLogin := socks(), socks("-u", "ana", "-P", "secret")
	for name, c := range map[string]struct {
		proxy string
		says  string // "": it works
	}{
		"CONNECT":                {"http://" + httpOpen, ""},
		"CONNECT, a login":       {"http://ana:secret@" + httpLogin, ""},
		"CONNECT, a wrong login": {"http://ana:other@" + httpLogin, "proxy"},
		"CONNECT, none":          {"http://" + httpLogin, "proxy"},
		"CONNECT, the port shut": {"http://" + httpShut, "403"},
		"SOCKS":                  {"socks5://" + socksOpen, ""},
		"SOCKS, a login":         {"socks5://ana:secret@" + socksLogin, ""},
		"SOCKS, a wrong login":   {"socks5://ana:other@" + socksLogin, "proxy"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, remote := range []Remote{overSSH, overHTTPS} {
				remote.ProxyFile = tokenFile(t, c.proxy)
				m := newMirror(t, remote)
				if c.says == "" {
					r.sameAs(newest(t, m), ".")
					continue
				}
				_, err := m.Tip(t.Context())
				fails(t, err, Proxy, c.says)
				if strings.Contains(err.Error(), "secret") {
					t.Errorf("a password: %v", err)
				}
			}
		})
	}
}

// giftless is a real LFS server behind the repository's own TLS.
func giftless(t *testing.T) func(http.Handler) http.Handler {
	venv := os.Getenv("LFS_VENV")
	if venv == "" {
		t.Skip("LFS_VENV is not set; make e2e sets it")
	}
	port, dir := freePort(t), t.TempDir()
	conf := filepath.Join(dir, "conf.yaml")
	writeFile(t, conf, `AUTH_PROVIDERS: ["giftless.auth.allow_anon:read_write"]
LEGACY_ENDPOINTS: false
TRANSFER_ADAPTERS: {basic: {options: {storage_options: {path: `+filepath.Join(dir, "objects")+`}}}}
MIDDLEWARE:
  - class: werkzeug.middleware.proxy_fix:ProxyFix
    kwargs: {x_host: 1, x_proto: 1}
PRE_AUTHORIZED_ACTION_PROVIDER: {options: {private_key: "a-key-for-tests-0123456789abcdef0"}}
`)
	program(t, port, []string{"GIFTLESS_CONFIG_FILE=" + conf}, filepath.Join(venv, "bin/python"), "-W", "ignore", "-m", "flask", "--app", "giftless.wsgi_entrypoint", "run", "--port", port)
	to, err := url.Parse("http://127.0.0.1:" + port)
	if err != nil {
		t.Fatal(err)
	}
	p := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
		r.Out.Header.Set("X-Forwarded-Host", r.In.Host)
		r.Out.Header.Set("X-Forwarded-Proto", "https")
	}}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/info/lfs/") {
				p.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// What Debian's git-lfs pushes to a real LFS server is delivered: over HTTPS,
// and over SSH where the host says where its LFS is.
func TestE2ELFS(t *testing.T) {
	r := newRepo(t)
	s, remote := webHost(t, r, webgit.Options{Wrap: giftless(t)})
	endpoint := s.URL("/school/course.git/info/lfs")
	r.git("lfs", "install", "--local")
	r.git("lfs", "track", "*.csv")
	r.git("config", "lfs.url", endpoint)
	r.git("config", "lfs.locksverify", "false")
	r.git("config", "http.sslCAInfo", remote.CAFile)
	big := random(3_000_000)
	r.write("data/big.csv", big)
	r.write("data/small.csv", "a,b\n1,2\n")
	r.write("a.txt", "a\n")
	r.commit()
	bare := filepath.Join(t.TempDir(), "bare.git")
	r.git("init", "-q", "--bare", bare)
	r.git("remote", "add", "origin", bare)
	r.gitLFS("push", "--all", "origin")

	check := func(t *testing.T, remote Remote) {
		t.Helper()
		tree := newest(t, newMirror(t, remote))
		for name, want := range map[string]string{"data/big.csv": big, "data/small.csv": "a,b\n1,2\n", "a.txt": "a\n"} {
			if data, err := fs.ReadFile(tree, name); err != nil || string(data) != want {
				t.Errorf("%s: %d bytes, %v", name, len(data), err)
			}
		}
	}
	t.Run("https", func(t *testing.T) { check(t, remote) })
	t.Run("ssh", func(t *testing.T) {
		h := serve(t, r, sshgit.Options{LFS: func(string) string { return fmt.Sprintf(`{"href":%q,"expires_in":600}`, endpoint) }})
		h.remote.CAFile = remote.CAFile
		check(t, h.remote)
	})
	t.Run("openssh", func(t *testing.T) { check(t, opensshWithLFS(t, r, endpoint, remote.CAFile)) })
	t.Run("not pushed", func(t *testing.T) {
		r.write("data/late.csv", "late\n")
		r.commit()
		_, err := fs.ReadFile(newest(t, newMirror(t, remote)), "data/late.csv")
		fails(t, err, LFS, "git lfs push --all")
	})
}

// gitLFS pushes, which other tests' git may not.
func (r *repo) gitLFS(args ...string) {
	r.t.Helper()
	cmd := exec.Command("git", append([]string{"lfs"}, args...)...)
	cmd.Dir = r.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0"}
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("git lfs %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// opensshWithLFS is OpenSSH's own server, whose one command is git's, or what
// git-lfs-authenticate says.
func opensshWithLFS(t *testing.T, r *repo, endpoint, ca string) Remote {
	t.Helper()
	addr, _, keys, keyFile, _ := opensshServer(t)
	known := filepath.Join(t.TempDir(), "known")
	writeFile(t, known, knownhosts.Line([]string{knownhosts.Normalize(addr)}, keys["ed25519"])+"\n")
	script := filepath.Join(t.TempDir(), "git-lfs-authenticate")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho '{\"href\":\""+endpoint+"\",\"expires_in\":600}'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	// A user's shell finds the command by its path: put it where sshd looks.
	for _, dir := range []string{"/usr/local/bin"} {
		to := filepath.Join(dir, "git-lfs-authenticate")
		if os.Symlink(script, to) != nil {
			t.Skip("no right to put a command where sshd finds it")
		}
		t.Cleanup(func() { os.Remove(to) })
	}
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return Remote{URL: "ssh://" + u.Username + "@" + addr + r.dir, KeyFiles: []string{keyFile}, KnownHostsFile: known, CAFile: ca}
}
