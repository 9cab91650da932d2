package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fakeJupyter stands for a Jupyter server: it tells of itself in a runtime
// folder and answers which sessions there are. The real one is asked in
// e2e/jupyter_test.go.
type fakeJupyter struct {
	t     testing.TB
	j     Jupyter
	root  string
	web   *httptest.Server
	file  string
	about map[string]any // what the file says

	mu     sync.Mutex
	paths  []string                                             // of its sessions
	answer func(http.ResponseWriter, *http.Request) (done bool) // instead of the sessions
	shown  []string                                             // Authorization of each request
	asked  []string
}

const jupyterCanary = "jupyter-canary-77aa01"

// startFakeJupyter starts one whose root folder is root. j has its runtime
// folder, or "" for one of its own.
func startFakeJupyter(t testing.TB, root, runtime string) *fakeJupyter {
	t.Helper()
	f := &fakeJupyter{t: t, root: root}
	f.web = httptest.NewServer(f)
	t.Cleanup(f.web.Close)
	if runtime == "" {
		runtime = filepath.Join(t.TempDir(), "runtime")
	}
	if err := os.MkdirAll(runtime, 0o700); err != nil {
		t.Fatal(err)
	}
	f.j = Jupyter{Runtime: runtime}
	f.file = filepath.Join(runtime, fmt.Sprintf("jpserver-%d.json", f.port()))
	f.about = map[string]any{
		"pid": os.Getpid(), "hostname": "localhost", "port": f.port(), "sock": "", "secure": false, "base_url": "/user/ana/",
		"token": jupyterCanary, "root_dir": root, "url": "http://elsewhere.example:1/user/ana/", "password": false, "version": "2.21.1",
	}
	f.tell()
	return f
}

func (f *fakeJupyter) port() int { return f.web.Listener.Addr().(*net.TCPAddr).Port }

// tell writes the file, after changes: name, value pairs.
func (f *fakeJupyter) tell(changes ...any) {
	f.t.Helper()
	for i := 0; i < len(changes); i += 2 {
		f.about[changes[i].(string)] = changes[i+1]
	}
	data, err := json.Marshal(f.about)
	if err == nil {
		err = os.WriteFile(f.file, data, 0o600)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fakeJupyter) sessions(paths ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.paths = paths
}

func (f *fakeJupyter) answers(how func(http.ResponseWriter, *http.Request) (done bool)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = how
}

func (f *fakeJupyter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.shown = append(f.shown, r.Header.Get("Authorization"))
	f.asked = append(f.asked, r.Method+" "+r.Host+r.URL.String())
	answer := f.answer
	f.mu.Unlock()
	if answer != nil && answer(w, r) {
		return
	}
	f.mu.Lock()
	paths := f.paths
	f.mu.Unlock()
	list := []map[string]any{}
	for _, p := range paths {
		kind := "notebook"
		if strings.Contains(p, "console") {
			kind = "console"
		}
		list = append(list, map[string]any{"id": "x", "path": p, "name": "n", "type": kind, "kernel": map[string]any{"name": "python3"}})
	}
	_ = json.NewEncoder(w).Encode(list)
}

// requests gives the tokens shown since the last time.
func (f *fakeJupyter) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.shown
	f.shown = nil
	return out
}

func files(t testing.TB, root string, paths ...string) {
	t.Helper()
	for _, p := range paths {
		p = filepath.Join(root, p)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func isOpen(t testing.TB, d documents, path string) bool {
	t.Helper()
	info, err := os.Stat(filepath.Dir(path))
	return d.open[placeIn(info, err, filepath.Base(path))]
}

func TestWhatHasASessionIsOpen(t *testing.T) {
	home := t.TempDir()
	files(t, home, "work/scala/a.ipynb", "work/scala/b.py", "work/scala/c.ipynb", "work/scala/d.ipynb", "work/scala/sub/e.ipynb", "work/scala/f.ipynb", "outside.ipynb")
	links := t.TempDir()
	for name, to := range map[string]string{"home": home, "f": filepath.Join(home, "work/scala/f.ipynb")} {
		if err := os.Symlink(to, filepath.Join(links, name)); err != nil {
			t.Fatal(err)
		}
	}
	f := startFakeJupyter(t, filepath.Join(links, "home"), "")
	f.sessions("work/scala/a.ipynb", "/work/scala/b.py", "RTC:work/scala/c.ipynb", "work/scala/console-1-3b0a", "../home/work/scala/d.ipynb",
		"work/scala/gone/x.ipynb", "work/scala/not-there.ipynb", "", "\x00", strings.Repeat("long/", 900))
	second := startFakeJupyter(t, links, f.j.Runtime)
	second.answers(func(w http.ResponseWriter, r *http.Request) bool {
		fmt.Fprint(w, `[{"id":"1","type":"notebook","notebook":{"path":"home/work/scala/sub/e.ipynb"}},{"path":"f"}]`)
		return true
	})
	d := f.j.documents(t.Context(), testLog(t))
	for path, want := range map[string]bool{
		"a.ipynb": true, "b.py": true, "c.ipynb": true, "d.ipynb": false, "sub/e.ipynb": true, "f.ipynb": true, "sub/a.ipynb": false, "console-1": false,
	} {
		if isOpen(t, d, filepath.Join(home, "work/scala", path)) != want {
			t.Errorf("%s: open is not %v", path, want)
		}
	}
	if d.servers != 2 || d.silent || d.open[place{}] {
		t.Errorf("%+v", d)
	}
	if f.asked[0] != "GET localhost/user/ana/api/sessions?no_track_activity=1" {
		t.Errorf("asked %q", f.asked)
	}
	if got := f.requests(); !slices.Equal(got, []string{"token " + jupyterCanary}) {
		t.Errorf("showed %q", got)
	}
}

func TestWithoutAnyServerNothingIsOpen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	files(t, "", file)
	for _, runtime := range []string{"", "relative", "/nowhere/at/all", file, t.TempDir()} {
		if d := (Jupyter{Runtime: runtime}).documents(t.Context(), testLog(t)); d.servers > 0 || len(d.open) > 0 || d.silent {
			t.Errorf("%s: %+v", runtime, d)
		}
	}
}

func TestATokenGoesToThisMachineAlone(t *testing.T) {
	for host, want := range map[string]string{
		"": "localhost:80", "localhost": "localhost:80", "*": "localhost:80", "0.0.0.0": "127.0.0.1:80", "127.0.0.1": "127.0.0.1:80",
		"127.8.9.1": "127.8.9.1:80", "::1": "[::1]:80", "::": "[::1]:80", "::ffff:127.0.0.1": "127.0.0.1:80",
		"10.1.2.3": "", "192.0.2.1": "", "fe80::1": "", "::ffff:192.0.2.1": "", "elsewhere.example": "", "localhost.elsewhere.example": "",
		"127.0.0.1@elsewhere.example": "", "2130706433": "",
	} {
		network, addr, err := server{Host: host, Port: 80}.address()
		if addr != want || (err == nil) != (want != "") || err == nil && network != "tcp" {
			t.Errorf("%q: %s %s, %v", host, network, addr, err)
		}
	}
	for _, port := range []int{0, -1, 65536} {
		if _, addr, err := (server{Host: "localhost", Port: port}).address(); err == nil {
			t.Errorf("port %d: %s", port, addr)
		}
	}
}

// TestHostileServerFiles: each of these is left alone, and no token leaves.
func TestHostileServerFiles(t *testing.T) {
	for name, change := range map[string]func(f *fakeJupyter){
		"a link": func(f *fakeJupyter) {
			to := filepath.Join(t.TempDir(), "target.json")
			f.must(os.Rename(f.file, to), os.Symlink(to, f.file))
		},
		"writable for others":        func(f *fakeJupyter) { f.must(os.Chmod(f.file, 0o622)) },
		"a folder others can write":  func(f *fakeJupyter) { f.must(os.Chmod(f.j.Runtime, 0o770)) },
		"somebody else's file":       func(f *fakeJupyter) { f.giveAway(f.file) },
		"somebody else's folder":     func(f *fakeJupyter) { f.giveAway(f.j.Runtime) },
		"a pipe":                     func(f *fakeJupyter) { f.must(os.Remove(f.file), unix.Mkfifo(f.file, 0o600)) },
		"a folder":                   func(f *fakeJupyter) { f.must(os.Remove(f.file), os.Mkdir(f.file, 0o700)) },
		"huge":                       func(f *fakeJupyter) { f.tell("version", strings.Repeat("x", maxServerFile)) },
		"not JSON":                   func(f *fakeJupyter) { f.must(os.WriteFile(f.file, []byte(jupyterCanary+"{"), 0o600)) },
		"other types":                func(f *fakeJupyter) { f.tell("port", "80") },
		"another host":               func(f *fakeJupyter) { f.tell("hostname", "192.0.2.1") },
		"another host's name":        func(f *fakeJupyter) { f.tell("hostname", "elsewhere.example") },
		"a dead process":             func(f *fakeJupyter) { f.tell("pid", 1<<22+1) },
		"no process":                 func(f *fakeJupyter) { f.tell("pid", -1) },
		"TLS":                        func(f *fakeJupyter) { f.tell("secure", true) },
		"a root folder that is none": func(f *fakeJupyter) { f.tell("root_dir", "work") },
		"a base that is none":        func(f *fakeJupyter) { f.tell("base_url", "@elsewhere.example/") },
		"a base with a question":     func(f *fakeJupyter) { f.tell("base_url", "/?x=") },
		"a token of two lines":       func(f *fakeJupyter) { f.tell("token", jupyterCanary+"\r\nX: y") },
		"a link to a socket":         func(f *fakeJupyter) { f.tell("sock", f.linkedSocket()) },
		"a file for a socket":        func(f *fakeJupyter) { f.tell("sock", f.file) },
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			files(t, home, "a.ipynb")
			f := startFakeJupyter(t, home, "")
			f.sessions("a.ipynb")
			if d := f.j.documents(t.Context(), testLog(t)); !isOpen(t, d, filepath.Join(home, "a.ipynb")) {
				t.Fatal("the fake does not work")
			}
			f.requests()
			change(f)
			var log bytes.Buffer
			d := f.j.documents(t.Context(), slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
			if got := f.requests(); len(got) > 0 || d.servers > 0 || len(d.open) > 0 || d.silent {
				t.Errorf("showed %q: %+v", got, d)
			}
			if strings.Contains(log.String(), jupyterCanary) {
				t.Errorf("logged %s", log.String())
			}
		})
	}
}

func (f *fakeJupyter) must(errs ...error) {
	f.t.Helper()
	for _, err := range errs {
		if err != nil {
			f.t.Fatal(err)
		}
	}
}

// giveAway gives a file to somebody else; where that takes root, it puts a
// link to one of root's there, which is no better.
func (f *fakeJupyter) giveAway(path string) {
	if os.Geteuid() == 0 {
		f.must(os.Chown(path, 65534, 65534))
		return
	}
	if info, err := os.Stat("/"); err != nil || ours(info) {
		f.t.Errorf("the root folder is taken for this user's (%v)", err)
	}
	f.must(os.RemoveAll(path), os.Symlink("/etc", path))
}

func (f *fakeJupyter) linkedSocket() string {
	path := f.socket()
	f.must(os.Symlink(path, path+"2"))
	return path + "2"
}

// socket makes the fake answer on a socket too.
func (f *fakeJupyter) socket() string {
	path := filepath.Join(f.j.Runtime, "s")
	l, err := net.Listen("unix", path)
	f.must(err)
	web := &http.Server{Handler: f}
	done := make(chan struct{})
	go func() { defer close(done); _ = web.Serve(l) }()
	f.t.Cleanup(func() { web.Close(); <-done })
	return path
}

func TestAServerOnASocketIsAsked(t *testing.T) {
	home := t.TempDir()
	files(t, home, "a.ipynb")
	f := startFakeJupyter(t, home, "")
	f.sessions("a.ipynb")
	f.tell("sock", f.socket(), "port", 0, "hostname", "localhost")
	if d := f.j.documents(t.Context(), testLog(t)); d.servers != 1 || !isOpen(t, d, filepath.Join(home, "a.ipynb")) {
		t.Errorf("%+v", d)
	}
}

func TestTheHubsTokenGoesToTheHubsServerAlone(t *testing.T) {
	const hub = "hub-canary-55bb02"
	home := t.TempDir()
	f := startFakeJupyter(t, home, "")
	f.j.HubToken = hub
	at := func(host string, port int, base string) string {
		return "http://" + net.JoinHostPort(host, strconv.Itoa(port)) + base
	}
	for _, c := range []struct{ own, url, want string }{
		{"", at("127.0.0.1", f.port(), "/user/ana/"), "token " + hub},
		{"", at("0.0.0.0", f.port(), "/user/ana/"), "token " + hub},
		{"", at("", f.port(), "/user/ana/"), "token " + hub},
		{jupyterCanary, at("127.0.0.1", f.port(), "/user/ana/"), "token " + jupyterCanary},
		{"", at("127.0.0.1", f.port()+1, "/user/ana/"), ""},
		{"", at("127.0.0.1", f.port(), "/user/ben/"), ""},
		{"", "", ""},
		{"", "::", ""},
	} {
		f.tell("token", c.own)
		f.j.HubURL = c.url
		f.j.documents(t.Context(), testLog(t))
		if got := f.requests(); !slices.Equal(got, []string{c.want}) {
			t.Errorf("%+v: showed %q", c, got)
		}
	}
}

func TestAnswersOfAServerAreBounded(t *testing.T) {
	home := t.TempDir()
	files(t, home, "a.ipynb")
	elsewhere := startFakeJupyter(t, home, "")
	elsewhere.sessions("a.ipynb")
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request) bool
		silent bool
	}{
		"a redirect": {func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Location", elsewhere.web.URL+"/user/ana/api/sessions")
			w.WriteHeader(http.StatusFound)
			return true
		}, false},
		"refused":     {func(w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(http.StatusForbidden); return true }, false},
		"not a list":  {func(w http.ResponseWriter, r *http.Request) bool { fmt.Fprint(w, `{"path":"a.ipynb"}`); return true }, false},
		"not JSON":    {func(w http.ResponseWriter, r *http.Request) bool { fmt.Fprint(w, `[{"path":"a.ipynb"}`); return true }, false},
		"other types": {func(w http.ResponseWriter, r *http.Request) bool { fmt.Fprint(w, `[{"path":7}]`); return true }, false},
		"too long": {func(w http.ResponseWriter, r *http.Request) bool {
			fmt.Fprintf(w, `[{"path":"a.ipynb"}]%s`, strings.Repeat(" ", maxAnswer))
			return true
		}, false},
		"endless headers": {func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
			return false
		}, false},
		"silent": {func(w http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }, true},
		"silent in the middle": {func(w http.ResponseWriter, r *http.Request) bool {
			_, _ = io.WriteString(w, `[{"path":"a.ipynb"}`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return true
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFakeJupyter(t, home, "")
			f.sessions("a.ipynb")
			f.answers(c.answer)
			began := time.Now()
			d := f.j.documents(t.Context(), testLog(t))
			if d.servers > 0 || len(d.open) > 0 || d.silent != c.silent {
				t.Errorf("%+v", d)
			}
			if took := time.Since(began); took > 2*askFor {
				t.Errorf("it took %s", took)
			}
			if got := elsewhere.requests(); len(got) > 0 {
				t.Errorf("elsewhere was shown %q", got)
			}
		})
	}
}

func TestTheNewestFourServersAreAsked(t *testing.T) {
	home := t.TempDir()
	var all []*fakeJupyter
	runtime := ""
	for i := range maxServers + 2 {
		f := startFakeJupyter(t, home, runtime)
		runtime = f.j.Runtime
		at := time.Now().Add(time.Duration((i*7)%6-10) * time.Minute)
		f.must(os.Chtimes(f.file, at, at))
		all = append(all, f)
	}
	if d := all[0].j.documents(t.Context(), testLog(t)); d.servers != maxServers {
		t.Errorf("%d answered", d.servers)
	}
	for i, f := range all {
		if old := (i*7)%6 < 2; len(f.requests()) == 0 != old {
			t.Errorf("server %d: old is %v", i, old)
		}
	}
}

// A Jupyter server that calls its address localhost may listen on ::1 alone.
func TestLocalhostIsAlsoIPv6(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		web := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		web.Listener.Close()
		web.Listener = l
		web.Start()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		resp, err := onlyTo("tcp", "localhost:"+port).Get("http://elsewhere.invalid/")
		if err != nil {
			t.Errorf("%s: %v", at, err)
		} else {
			resp.Body.Close()
		}
		web.Close()
	}
}
