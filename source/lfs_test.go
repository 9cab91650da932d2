package source

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"satchel/internal/sshgit"
	"satchel/internal/webgit"
)

// fakeLFS is a fake of an LFS server, as docs/api of github.com/git-lfs/git-lfs
// says, beside the repository. (A real one is tried in e2e.)
type fakeLFS struct {
	mu     sync.Mutex
	has    map[string]string // by oid
	asked  []string
	href   func(oid string) string
	object func(w http.ResponseWriter, r *http.Request, content string)
	batch  func(w http.ResponseWriter, oid string, size int64) bool
	login  string // Authorization of the API; "" is any
}

func (l *fakeLFS) put(content string) string {
	sum := sha256.Sum256([]byte(content))
	oid := hex.EncodeToString(sum[:])
	l.has[oid] = content
	return fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", oid, len(content))
}

func (l *fakeLFS) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		switch {
		case strings.HasSuffix(r.URL.Path, "/info/lfs/objects/batch"):
			l.asked = append(l.asked, "batch")
			if l.login != "" && r.Header.Get("Authorization") != l.login {
				w.WriteHeader(http.StatusUnauthorized)
				fmt.Fprint(w, `{"message":"Credentials needed"}`)
				return
			}
			var ask struct {
				Operation string
				Objects   []struct {
					OID  string
					Size int64
				}
			}
			if err := json.NewDecoder(r.Body).Decode(&ask); err != nil || ask.Operation != "download" || len(ask.Objects) != 1 {
				w.WriteHeader(http.StatusUnprocessableEntity)
				return
			}
			o := ask.Objects[0]
			w.Header().Set("Content-Type", lfsMedia)
			if l.batch != nil && l.batch(w, o.OID, o.Size) {
				return
			}
			if _, ok := l.has[o.OID]; !ok {
				fmt.Fprintf(w, `{"objects":[{"oid":%q,"size":%d,"error":{"code":404,"message":"Object does not exist"}}]}`, o.OID, o.Size)
				return
			}
			fmt.Fprintf(w, `{"transfer":"basic","objects":[{"oid":%q,"size":%d,"actions":{"download":{"href":%q,"header":{"X-Token":"for-the-object"}}}}]}`, o.OID, o.Size, l.href(o.OID))
		case strings.HasPrefix(r.URL.Path, "/objects/"):
			l.asked = append(l.asked, "object "+r.Header.Get("X-Token")+r.Header.Get("Authorization"))
			content := l.has[strings.TrimPrefix(r.URL.Path, "/objects/")]
			if l.object != nil {
				l.object(w, r, content)
				return
			}
			io.WriteString(w, content)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// withLFS is a repository with one file in LFS, and its host.
func withLFS(t *testing.T, content string) (*repo, *fakeLFS, *webgit.Server, Remote) {
	t.Helper()
	l := &fakeLFS{has: map[string]string{}}
	r := newRepo(t)
	r.write("data/big.csv", l.put(content))
	r.write("a.txt", "a\n")
	r.commit()
	s, remote := webHost(t, r, webgit.Options{Wrap: l.wrap})
	l.href = func(oid string) string { return "https://" + s.Addr() + "/objects/" + oid }
	return r, l, s, remote
}

func TestLFSContents(t *testing.T) {
	content := random(300_000)
	r, l, _, remote := withLFS(t, content)
	remote.TokenFiles = []string{tokenFile(t, "t0ken")}
	l.login = "Basic eC1hY2Nlc3MtdG9rZW46dDBrZW4=" // x-access-token:t0ken
	m := newMirror(t, remote)
	tree := newest(t, m)
	if got := contents(t, tree)["data/big.csv"]; got != content {
		t.Fatalf("%d bytes", len(got))
	}
	if info, err := tree.Stat("data/big.csv"); err != nil || info.Size() != int64(len(content)) {
		t.Errorf("%v, %v", info, err)
	}
	// The API's login is not shown to where the content is.
	if want := []string{"batch", "object for-the-object"}; !slices.Equal(l.asked, want) {
		t.Errorf("asked %q", l.asked)
	}
	// It is kept, also for the next version.
	r.write("b.txt", "b\n")
	second := r.commit()
	l.asked = nil
	next := newest(t, m)
	if got := contents(t, next)["data/big.csv"]; got != content || len(l.asked) > 0 {
		t.Errorf("%d bytes, asked %q", len(got), l.asked)
	}
	// A former version gives it too.
	before, err := next.Before(r.git("rev-parse", second+"~1"))
	if err != nil {
		t.Fatal(err)
	}
	if data, err := fs.ReadFile(before, "data/big.csv"); err != nil || string(data) != content {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	// What was damaged on our disk is seen, and fetched anew.
	kept, err := filepath.Glob(filepath.Join(m.dir, lfsFolder, "*"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept %q, %v", kept, err)
	}
	if err := os.WriteFile(kept[0], []byte(strings.Repeat("x", len(content))), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = fs.ReadFile(next, "data/big.csv")
	fails(t, err, LFS, "is damaged")
	if data, err := fs.ReadFile(next, "data/big.csv"); err != nil || string(data) != content {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	// What nothing uses for a month goes.
	old := time.Now().Add(-2 * keepLFS)
	if err := os.Chtimes(kept[0], old, old); err != nil {
		t.Fatal(err)
	}
	m.sweepLFS()
	if _, err := os.Stat(kept[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it stays: %v", err)
	}
}

func TestLFSFaults(t *testing.T) {
	content := random(50_000)
	for name, c := range map[string]struct {
		set  func(*fakeLFS, *webgit.Server)
		kind Kind
		says string
	}{
		"not pushed":      {func(l *fakeLFS, _ *webgit.Server) { clear(l.has) }, LFS, "git lfs push --all"},
		"another content": {func(l *fakeLFS, _ *webgit.Server) { l.object = say(strings.Repeat("x", len(content))) }, LFS, "is not the content"},
		"too little":      {func(l *fakeLFS, _ *webgit.Server) { l.object = say(content[:10]) }, LFS, "is not the content"},
		"too much":        {func(l *fakeLFS, _ *webgit.Server) { l.object = say(content + content) }, LFS, "is not the content"},
		"another size": {func(l *fakeLFS, _ *webgit.Server) {
			l.batch = func(w http.ResponseWriter, oid string, _ int64) bool {
				fmt.Fprintf(w, `{"objects":[{"oid":%q,"size":7,"actions":{"download":{"href":"https://x/"}}}]}`, oid)
				return true
			}
		}, LFS, "another content"},
		"another object": {func(l *fakeLFS, _ *webgit.Server) {
			l.batch = func(w http.ResponseWriter, _ string, n int64) bool {
				fmt.Fprintf(w, `{"objects":[{"oid":%q,"size":%d}]}`, strings.Repeat("0", 64), n)
				return true
			}
		}, LFS, "something else"},
		"no LFS there":         {func(l *fakeLFS, _ *webgit.Server) { l.batch = status(404) }, LFS, "has no Git LFS"},
		"no right":             {func(l *fakeLFS, _ *webgit.Server) { l.login = "Basic other" }, LFS, "does not accept our login"},
		"ill":                  {func(l *fakeLFS, _ *webgit.Server) { l.batch = status(503) }, Unreachable, "503"},
		"over http":            {func(l *fakeLFS, s *webgit.Server) { l.href = below("http://" + s.Addr() + "/objects/") }, LFS, "no https:// address"},
		"a file":               {func(l *fakeLFS, _ *webgit.Server) { l.href = below("file:///etc/passwd#") }, LFS, "no https:// address"},
		"on a private host":    {func(l *fakeLFS, _ *webgit.Server) { l.href = below("https://10.1.2.3/objects/") }, LFS, "a private address"},
		"metadata":             {func(l *fakeLFS, _ *webgit.Server) { l.href = below("https://169.254.169.254/latest/") }, LFS, "a private address"},
		"metadata, mapped":     {func(l *fakeLFS, _ *webgit.Server) { l.href = below("https://[::ffff:169.254.169.254]/latest/") }, LFS, "a private address"},
		"metadata, by NAT64":   {func(l *fakeLFS, _ *webgit.Server) { l.href = below("https://[64:ff9b::169.254.169.254]/latest/") }, LFS, "a private address"},
		"metadata, over IPv6":  {func(l *fakeLFS, _ *webgit.Server) { l.href = below("https://[fd00:ec2::254]/latest/") }, LFS, "a private address"},
		"loopback over IPv6":   {func(l *fakeLFS, _ *webgit.Server) { l.href = below("https://[::1]:1/") }, LFS, "a private address"},
		"loopback by a name":   {func(l *fakeLFS, _ *webgit.Server) { l.href = below("https://localhost:1/") }, LFS, "a private address"},
		"sent to a private":    {func(l *fakeLFS, _ *webgit.Server) { l.object = moved("https://10.1.2.3/x") }, LFS, "a private address"},
		"sent to http":         {func(l *fakeLFS, s *webgit.Server) { l.object = moved("http://" + s.Addr() + "/objects/x") }, LFS, "no https:// address"},
		"sent round and round": {func(l *fakeLFS, s *webgit.Server) { l.object = moved("https://" + s.Addr() + "/objects/x") }, LFS, "more than 3 times"},
		"endless answer": {func(l *fakeLFS, _ *webgit.Server) {
			l.batch = func(w http.ResponseWriter, _ string, _ int64) bool {
				w.Write([]byte(`{"objects":[` + strings.Repeat(" ", 2<<20)))
				return true
			}
		}, LFS, "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			_, l, s, remote := withLFS(t, content)
			c.set(l, s)
			m := newMirror(t, remote)
			_, err := fs.ReadFile(newest(t, m), "data/big.csv")
			fails(t, err, c.kind, c.says)
			var u interface{ Unreadable() string }
			if !errors.As(err, &u) || (u.Unreadable() != "") != (c.kind == LFS) {
				t.Errorf("as a finding of the file: %v", u)
			}
			if kept, _ := filepath.Glob(filepath.Join(m.dir, lfsFolder, "*")); len(kept) > 0 {
				t.Errorf("kept %q", kept)
			}
		})
	}
}

func say(text string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, _ *http.Request, _ string) { io.WriteString(w, text) }
}

func moved(to string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, r *http.Request, _ string) { http.Redirect(w, r, to, http.StatusFound) }
}

func status(code int) func(http.ResponseWriter, string, int64) bool {
	return func(w http.ResponseWriter, _ string, _ int64) bool {
		w.WriteHeader(code)
		return true
	}
}

func below(prefix string) func(string) string { return func(oid string) string { return prefix + oid } }

// What is shown to the host that names a content's place is not shown to where
// that sends us.
func TestLFSHeadersStayWithTheirHost(t *testing.T) {
	content := random(1000)
	_, l, _, remote := withLFS(t, content)
	var shown http.Header
	away, _ := webHost(t, newRepo(t), webgit.Options{Wrap: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			shown = r.Header.Clone()
			io.WriteString(w, content)
		})
	}})
	both, err := os.ReadFile(remote.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, remote.CAFile, string(both)+string(away.CA()))
	l.object = moved("https://" + away.Addr() + "/x")
	if data, err := fs.ReadFile(newest(t, newMirror(t, remote)), "data/big.csv"); err != nil || string(data) != content {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	if shown == nil || shown.Get("X-Token") != "" || shown.Get("Authorization") != "" {
		t.Errorf("shown: %v", shown)
	}
}

// Over SSH the host says where its LFS is.
func TestLFSOverSSH(t *testing.T) {
	content := random(50_000)
	r, l, s, web := withLFS(t, content)
	l.login = "RemoteAuth 5ecret"
	href := "https://" + s.Addr() + "/school/course.git/info/lfs"
	answer := fmt.Sprintf(`{"href":%q,"header":{"Authorization":"RemoteAuth 5ecret"},"expires_in":600}`, href)
	asked := 0
	h := serve(t, r, sshgit.Options{LFS: func(repo string) string { asked++; return answer }})
	remote := h.remote
	remote.CAFile = web.CAFile
	m := newMirror(t, remote)
	if data, err := fs.ReadFile(newest(t, m), "data/big.csv"); err != nil || string(data) != content {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	r.write("data/second.csv", l.put("second"))
	r.commit()
	if data, err := fs.ReadFile(newest(t, m), "data/second.csv"); err != nil || string(data) != "second" || asked != 1 {
		t.Errorf("%q, %v, asked %d times", data, err, asked)
	}
	for name, says := range map[string]string{
		"nonsense":                           "something else",
		`{"href":"http://` + s.Addr() + `"}`: "no https:// address",
	} {
		answer = name
		_, err := fs.ReadFile(newest(t, newMirror(t, remote)), "data/second.csv")
		fails(t, err, LFS, says)
	}
	none := serve(t, r, sshgit.Options{})
	none.remote.CAFile = web.CAFile
	_, err := fs.ReadFile(newest(t, newMirror(t, none.remote)), "data/second.csv")
	fails(t, err, LFS, "does not say where its Git LFS is")
}

// A local repository has its contents beside it.
func TestLFSOfALocalRepository(t *testing.T) {
	l := &fakeLFS{has: map[string]string{}}
	r := newRepo(t)
	pointer := l.put("content")
	r.write("big.csv", pointer)
	r.commit()
	m := newMirror(t, Remote{URL: r.dir})
	_, err := fs.ReadFile(newest(t, m), "big.csv")
	fails(t, err, LFS, "git lfs fetch")
	for oid := range l.has {
		dir := filepath.Join(r.dir, ".git/lfs/objects", oid[:2], oid[2:4])
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, oid), "content")
		if data, err := fs.ReadFile(newest(t, m), "big.csv"); err != nil || string(data) != "content" {
			t.Errorf("%q, %v", data, err)
		}
		writeFile(t, filepath.Join(dir, oid), "CONTENT")
		_, err := fs.ReadFile(newest(t, m), "big.csv")
		fails(t, err, LFS, "damaged")
		if _, err := os.Stat(filepath.Join(dir, oid)); err != nil {
			t.Errorf("what is not ours was removed: %v", err)
		}
	}
}

func TestParsePointer(t *testing.T) {
	oid := strings.Repeat("0a", 32)
	good := "version https://git-lfs.github.com/spec/v1\noid sha256:" + oid + "\nsize 12\n"
	if p, ok := parsePointer([]byte(good)); !ok || p.oid != oid || p.size != 12 {
		t.Errorf("%+v, %v", p, ok)
	}
	for name, text := range map[string]string{
		"no size":       strings.Replace(good, "size 12\n", "size x\n", 1),
		"negative":      strings.Replace(good, "12", "-1", 1),
		"another hash":  strings.Replace(good, "sha256", "sha512", 1),
		"capitals":      strings.ToUpper(oid),
		"large letters": strings.Replace(good, oid, strings.ToUpper(oid), 1),
		"an extension":  strings.Replace(good, "oid", "ext-0-foo sha256:"+oid+"\noid", 1),
		"not a pointer": "hello\n",
		"no oid":        "version https://git-lfs.github.com/spec/v1\nsize 12\n",
		"a path":        strings.Replace(good, oid, "../../../../etc/passwd", 1),
		"too long":      good + strings.Repeat("\n", maxPointerFile),
	} {
		if p, ok := parsePointer([]byte(text)); ok {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func FuzzLFSPointer(f *testing.F) {
	f.Add([]byte("version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("0a", 32) + "\nsize 12\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, ok := parsePointer(data); ok && (len(p.oid) != 64 || strings.Trim(p.oid, "0123456789abcdef") != "" || p.size < 0) {
			t.Errorf("%+v", p)
		}
	})
}

func FuzzLFSAnswer(f *testing.F) {
	p := lfsPointer{oid: strings.Repeat("0a", 32), size: 12}
	f.Add([]byte(`{"transfer":"basic","objects":[{"oid":"` + p.oid + `","size":12,"actions":{"download":{"href":"https://x/y","header":{"A":"b"}}}}]}`))
	f.Add([]byte(`{"objects":[{"oid":"` + p.oid + `","error":{"code":404,"message":"none"}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := readBatch(data, p, "git.school.test")
		if err == nil && a.Href == "" {
			t.Error("an action that leads nowhere")
		}
	})
}
