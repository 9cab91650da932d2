package source

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/internal/webgit"
)

// webHost serves the repository over HTTPS, by git's own http-backend and with
// a certificate by an authority of its own.
func webHost(t testing.TB, r *repo, o webgit.Options) (*webgit.Server, Remote) {
	t.Helper()
	if o.Repos == nil {
		o.Repos = map[string]string{"/school/course.git": r.dir}
	}
	s, err := webgit.Start(logger(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	writeFile(t, ca, string(s.CA()))
	return s, Remote{URL: s.URL("/school/course.git"), CAFile: ca}
}

func tokenFile(t testing.TB, token string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	writeFile(t, file, token+"\n")
	return file
}

func TestWebRepository(t *testing.T) {
	r := newRepo(t)
	r.write("notebooks/a.ipynb", "{}\n")
	r.write("big.bin", strings.Repeat("0123456789abcdef", 40_000))
	r.commit()
	s, remote := webHost(t, r, webgit.Options{Passwords: []string{"t0ken"}})
	remote.TokenFiles = []string{tokenFile(t, "t0ken")}
	m := newMirror(t, remote)
	r.sameAs(newest(t, m), ".")
	if asked := s.Asked(); !slices.Equal(asked, []string{
		"GET /school/course.git/info/refs x-access-token", // Tip
		"GET /school/course.git/info/refs x-access-token", "POST /school/course.git/git-upload-pack x-access-token",
	}) {
		t.Errorf("asked %q", asked)
	}
	// A second version comes as what is new.
	r.write("notebooks/b.ipynb", "{}\n")
	second := r.commit()
	r.sameAs(newest(t, m), ".")
	// So does one after a push with force.
	r.git("reset", "-q", "--hard", second+"~1")
	r.write("c.txt", "c\n")
	r.commit()
	r.sameAs(newest(t, m), ".")
	if _, err := m.At(t.Context(), strings.Repeat("a", 40)); err != ErrMoved {
		t.Errorf("%v", err)
	}
}

// A public repository is read without any login.
func TestWebPublicRepository(t *testing.T) {
	r := newRepo(t)
	r.write("a.txt", "a\n")
	r.commit()
	s, remote := webHost(t, r, webgit.Options{})
	r.sameAs(newest(t, newMirror(t, remote)), ".")
	for _, a := range s.Asked() {
		if strings.HasSuffix(a, "x-access-token") {
			t.Errorf("a login was shown: %s", a)
		}
	}
}

// Two tokens are held while one replaces the other, and are read anew.
func TestWebTokensRotate(t *testing.T) {
	r := newRepo(t)
	r.write("a.txt", "a\n")
	r.commit()
	s, remote := webHost(t, r, webgit.Options{Passwords: []string{"old"}})
	remote.TokenFiles = []string{tokenFile(t, "new"), tokenFile(t, "old")}
	m := newMirror(t, remote)
	newest(t, m)
	if got := m.LetIn(); got != "the token in "+remote.TokenFiles[1] {
		t.Errorf("let in: %q", got)
	}
	s.Admit("new")
	newest(t, m)
	if got := m.LetIn(); got != "the token in "+remote.TokenFiles[0] {
		t.Errorf("let in: %q", got)
	}
	s.Admit("third")
	_, err := m.Tip(t.Context())
	fails(t, err, Token, "does not accept the token in "+remote.TokenFiles[0])
	writeFile(t, remote.TokenFiles[0], "third")
	newest(t, m)
}

func TestWebFaults(t *testing.T) {
	r := newRepo(t)
	r.write("a.txt", "a\n")
	r.commit()
	answer := func(code int, header ...string) func(http.Handler) http.Handler {
		return func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for i := 0; i+1 < len(header); i += 2 {
					w.Header().Set(header[i], header[i+1])
				}
				w.WriteHeader(code)
			})
		}
	}
	for name, c := range map[string]struct {
		wrap func(http.Handler) http.Handler
		kind Kind
		says string
	}{
		"forbidden":     {answer(403), Token, "does not let the token in"},
		"not found":     {answer(404), Repository, "does not show the repository"},
		"moved":         {answer(301, "Location", "https://user:secret@elsewhere.test/x.git/info/refs?service=git-upload-pack"), Repository, "to https://elsewhere.test/x.git"},
		"moved to http": {answer(302, "Location", "http://elsewhere.test/x.git"), Repository, "correct `repository`"},
		"too often":     {answer(429), Unreachable, "asked too often"},
		"ill":           {answer(503), Unreachable, "503"},
		"a web page":    {answer(200, "Content-Type", "text/html; charset=utf-8"), Repository, "not git's"},
		"nothing":       {answer(200, "Content-Type", "application/x-git-upload-pack-advertisement"), Unreachable, "hung up"},
		"hangs up": {func(http.Handler) http.Handler {
			return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		}, Unreachable, "broke while the branches were being listed"},
		"a proxy's login": {answer(407), Proxy, "proxy_file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, remote := webHost(t, r, webgit.Options{Wrap: c.wrap})
			remote.TokenFiles = []string{tokenFile(t, "t0ken")}
			_, err := newMirror(t, remote).Tip(t.Context())
			fails(t, err, c.kind, c.says)
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "t0ken") {
				t.Errorf("a secret: %v", err)
			}
		})
	}
}

// A server that goes silent, before its answer or inside the pack, is given up.
func TestWebSilence(t *testing.T) {
	r := newRepo(t)
	r.write("big.bin", random(2_000_000))
	r.commit()
	for name, quiet := range map[string]string{"refs": "/info/refs", "pack": "/git-upload-pack"} {
		t.Run(name, func(t *testing.T) {
			_, remote := webHost(t, r, webgit.Options{Wrap: func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasSuffix(r.URL.Path, quiet) {
						io.Copy(io.Discard, r.Body) // else a server does not see who hangs up
						<-r.Context().Done()
						return
					}
					next.ServeHTTP(w, r)
				})
			}})
			m, err := NewMirror(logger(t), filepath.Join(t.TempDir(), "mirror"), remote, Options{Idle: 2 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			tip, err := m.Tip(t.Context())
			if name == "pack" && err == nil {
				_, err = m.At(t.Context(), tip)
			}
			fails(t, err, Silent, "said nothing for 2s")
		})
	}
}

func TestWebCertificates(t *testing.T) {
	r := newRepo(t)
	r.write("a.txt", "a\n")
	r.commit()
	s, remote := webHost(t, r, webgit.Options{})
	with := func(change func(*Remote)) error {
		remote := remote
		change(&remote)
		_, err := newMirror(t, remote).Tip(t.Context())
		return err
	}
	fails(t, with(func(r *Remote) { r.CAFile = "" }), Certificate, "`ca_file`")
	fails(t, with(func(r *Remote) { r.CAFile = absent }), Certificate, absent)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	writeFile(t, empty, "nothing\n")
	fails(t, with(func(r *Remote) { r.CAFile = empty }), Certificate, "holds no certificate")
	fails(t, with(func(r *Remote) { r.URL = strings.Replace(r.URL, "127.0.0.1", "localhost", 1) }), Certificate, "is for another host")
	if asked := s.Asked(); len(asked) > 0 {
		t.Errorf("something was asked all the same: %q", asked)
	}
	plain := "http" + strings.TrimPrefix(s.URL("/school/course.git"), "https")
	_, err := NewMirror(logger(t), t.TempDir(), Remote{URL: plain}, Options{})
	fails(t, err, Repository, "https://")
}

func TestWebAddresses(t *testing.T) {
	for raw, want := range map[string]string{
		"https://github.com/school/course.git":           "https://github.com/school/course.git",
		"https://github.com:443/school/course":           "https://github.com/school/course",
		"https://deploy+1@gitlab.school.org:8443/a/b/c/": "https://gitlab.school.org:8443/a/b/c",
	} {
		a, err := parseAddress(raw)
		if err != nil || a.String() != want {
			t.Errorf("%s: %s, %v", raw, a, err)
		}
	}
	for raw, says := range map[string]string{
		"https://ana:secret@github.com/a/b": "holds a password",
		"https://github.com":                "no repository on it",
		"https://github.com/a?b":            "no ? or #",
		"https://-x/a":                      "",
	} {
		_, err := parseAddress(raw)
		fails(t, err, Repository, says)
		if strings.Contains(err.Error(), "secret") {
			t.Error(err)
		}
	}
	for raw, want := range map[string]string{
		"https://bitbucket.org/a/b": "x-token-auth", "https://gitlab.com/a/b": "oauth2",
		"https://github.com/a/b": "x-access-token", "https://deploy@host/a/b": "deploy",
	} {
		a, err := parseAddress(raw)
		if err != nil || a.webUser() != want {
			t.Errorf("%s: user %s, %v", raw, a.webUser(), err)
		}
	}
}

func TestTokensThatCannotBeUsed(t *testing.T) {
	for token, says := range map[string]string{"": "holds no token", "two words": "holds no token", strings.Repeat("x", maxToken+1): "holds no token"} {
		_, err := readToken(tokenFile(t, token))
		fails(t, err, Token, says)
	}
	_, err := readToken(absent)
	fails(t, err, Token, absent)
	t.Setenv("SATCHEL_TEST_TOKEN", "abc")
	if token, err := readToken("env:SATCHEL_TEST_TOKEN"); token != "abc" || err != nil {
		t.Errorf("%q, %v", token, err)
	}
	_, err = readToken("env:SATCHEL_TEST_NONE")
	fails(t, err, Token, "is not set")
}

// HTTPS_PROXY is honoured, and `proxy` goes before it.
func TestWebProxies(t *testing.T) {
	r := newRepo(t)
	r.write("a.txt", "a\n")
	r.commit()
	s, remote := webHost(t, r, webgit.Options{Names: []string{"git.school.test"}})
	through := connectProxy(t, "", map[string]string{"git.school.test": s.Addr()})
	at, err := url.Parse(s.URL("/school/course.git"))
	if err != nil {
		t.Fatal(err)
	}
	remote.URL = "https://git.school.test:" + at.Port() + at.Path
	_, err = newMirror(t, remote).Tip(t.Context())
	fails(t, err, Unreachable)
	remote.Proxy = "http://" + through.addr()
	newest(t, newMirror(t, remote))
	if n := through.count(); n < 2 {
		t.Errorf("%d connections through the proxy", n)
	}
	remote.Proxy = "http://127.0.0.1:1"
	_, err = newMirror(t, remote).Tip(t.Context())
	fails(t, err, Proxy, "proxy")

	login := connectProxy(t, "ana:secret", map[string]string{"git.school.test": s.Addr()})
	remote.Proxy = "http://" + login.addr()
	_, err = newMirror(t, remote).Tip(t.Context())
	fails(t, err, Proxy, "proxy")
	remote.Proxy, remote.ProxyFile = "", filepath.Join(t.TempDir(), "proxy")
	writeFile(t, remote.ProxyFile, "http://ana:secret@"+login.addr()+"\n")
	newest(t, newMirror(t, remote))
	if os.Getenv("HTTPS_PROXY") != "" {
		t.Log("HTTPS_PROXY is set where this test runs")
	}
}
