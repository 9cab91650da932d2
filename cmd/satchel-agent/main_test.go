package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"log/slog"

	"github.com/rogpeppe/go-internal/testscript"

	"satchel/bundle"
	"satchel/course"
	"satchel/hook"
	"satchel/hookserver"
	"satchel/store"
)

func TestMain(m *testing.M) {
	program := func() { main() }
	testscript.Main(m, map[string]func(){"satchel-agent": program, "50-satchel": program})
}

// nobody is whom root becomes in these tests.
const nobody = 65534

// TestScripts runs testdata/*.txt against the program as it is, in processes
// of its own, with a real hookserver beside it. As root it lets go of root
// first, as in a container that was started so.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata",
		Setup: func(env *testscript.Env) error { return setUp(t, env) },
		Condition: func(cond string) (bool, error) {
			if cond != "root" {
				return false, fmt.Errorf("no condition %q", cond)
			}
			return os.Getuid() == 0, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"quick": quick, "publish": publish, "eventually": eventually, "gone": gone, "end": end, "waiting": waiting},
	})
}

func setUp(t *testing.T, env *testscript.Env) error {
	s, err := newService()
	if err != nil {
		return err
	}
	env.Defer(s.close)
	env.Values["service"] = s
	env.Defer(func() {
		for _, pid := range agentsOf(env.WorkDir) {
			_ = syscall.Kill(pid, syscall.SIGTERM) // it may have ended by itself
		}
	})
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	dead.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, says nothing
	if err != nil {
		return err
	}
	env.Defer(func() { silent.Close() })
	for _, dir := range []string{"home/work", "run"} {
		if err := os.MkdirAll(filepath.Join(env.WorkDir, dir), 0o700); err != nil {
			return err
		}
	}
	for k, v := range map[string]string{
		"SCRIPT_FOLDER": env.WorkDir, "HOME": filepath.Join(env.WorkDir, "home"), "XDG_RUNTIME_DIR": filepath.Join(env.WorkDir, "run"), "LANG": "C.UTF-8",
		"TMPDIR": filepath.Join(env.WorkDir, "run"), "SATCHEL_URL": s.web.URL, "SATCHEL_TICKET": s.ticket("ana"), "SATCHEL_KEYS": s.key.Public().String(),
		"DEAD": "http://" + dead.Addr().String(), "SILENT": "http://" + silent.Addr().String(), "TICKET": s.ticket("ana"),
	} {
		env.Setenv(k, v)
	}
	if os.Getuid() == 0 {
		env.Setenv("NB_UID", strconv.Itoa(nobody))
		env.Setenv("NB_GID", strconv.Itoa(nobody))
		programs, _, _ := strings.Cut(env.Getenv("PATH"), string(filepath.ListSeparator))
		for _, dir := range []string{programs, filepath.Dir(programs)} { // as in an image, the student can run them by name
			if err := os.Chmod(dir, 0o755); err != nil {
				return err
			}
		}
		return own(env.WorkDir)
	}
	return nil
}

// own gives a script's folder to the student that root becomes.
func own(dir string) error {
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	return filepath.Walk(dir, func(p string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, nobody, nobody)
	})
}

// quick SECONDS PROGRAM… runs a program that must end in that time.
func quick(ts *testscript.TestScript, neg bool, args []string) {
	limit, err := strconv.ParseFloat(args[0], 64)
	ts.Check(err)
	began := time.Now()
	err = ts.Exec(args[1], args[2:]...)
	if took := time.Since(began); took.Seconds() > limit {
		ts.Fatalf("it took %s", took)
	}
	if (err != nil) != neg {
		ts.Fatalf("it ended with %v", err)
	}
}

// publish NAME TEXT… publishes the next version with these files; @FILE is a
// file's text.
func publish(ts *testscript.TestScript, _ bool, args []string) {
	s := ts.Value("service").(*service)
	files := map[string]string{}
	for i := 0; i+1 < len(args); i += 2 {
		if file, ok := strings.CutPrefix(args[i+1], "@"); ok {
			files[args[i]] = ts.ReadFile(file)
			continue
		}
		files[args[i]] = args[i+1] + "\n"
	}
	ts.Check(s.publish(files))
}

// eventually FILE TEXT waits until a file holds a text.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		data, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && strings.Contains(string(data), args[1]) != neg {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%s: %q, %v", args[0], data, err)
		}
	}
}

// gone waits until no agent of this script is left.
func gone(ts *testscript.TestScript, _ bool, _ []string) {
	for end := time.Now().Add(20 * time.Second); len(agentsOf(ts.Getenv("WORK"))) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("still there: %v", agentsOf(ts.Getenv("WORK")))
		}
	}
}

// end ends all that this script left behind.
func end(ts *testscript.TestScript, neg bool, args []string) {
	for _, pid := range agentsOf(ts.Getenv("WORK")) {
		_ = syscall.Kill(pid, syscall.SIGTERM) // it may have ended by itself
	}
	gone(ts, neg, args)
}

// waiting fails unless a shell waits to become a watch, and none runs. What a
// shell has just forked looks like another for a moment.
func waiting(ts *testscript.TestScript, _ bool, _ []string) {
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		shells := 0
		for _, pid := range agentsOf(ts.Getenv("WORK")) {
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			switch text := string(line); {
			case strings.HasPrefix(text, "/bin/sh\x00-c\x00") && strings.Contains(text, "\x00watch\x00--continue\x00"):
				shells++
			case strings.Contains(text, "\x00watch\x00"):
				ts.Fatalf("a watch runs: %q", text)
			}
		}
		switch {
		case shells == 1:
			return
		case shells == 0 || time.Now().After(end):
			ts.Fatalf("%d shells wait", shells)
		}
	}
}

// agentsOf gives the processes that have a script's folder in their
// environment: those that its agents left behind.
func agentsOf(work string) (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err == nil && strings.Contains(string(data), "SCRIPT_FOLDER="+work+"\x00") {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f))); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// service is a real hookserver with one course, scala101.
type service struct {
	dir     *store.Dir
	temp    string
	key     bundle.SigningKey
	tickets hook.TicketKeys
	srv     *hookserver.Server
	web     *httptest.Server
	version bundle.Version
	etag    string
}

func newService() (*service, error) {
	temp, err := os.MkdirTemp("", "service")
	if err != nil {
		return nil, err
	}
	s := &service{temp: temp}
	if s.dir, err = store.NewDir(filepath.Join(temp, "store")); err != nil {
		return nil, err
	}
	if s.key, err = bundle.NewSigningKey(); err != nil {
		return nil, err
	}
	k, err := hook.ParseTicketKey([]byte("a-ticket-key-0123456789-abcdef-0123"))
	if err != nil {
		return nil, err
	}
	s.tickets = hook.TicketKeys{k}
	s.srv, err = hookserver.New(slog.New(slog.DiscardHandler), hookserver.Options{
		Store: s.dir, TicketKeys: func() hook.TicketKeys { return s.tickets }, HookSecrets: func() [][]byte { return nil },
		Courses: func() []course.Course {
			return []course.Course{{Name: "scala101", Audience: course.Audience{Everyone: true}}}
		},
		PublicKeys: func() []bundle.PublicKey { return []bundle.PublicKey{s.key.Public()} },
		URL:        "http://satchel.example", Limits: hookserver.Limits{Requests: 1_000_000},
	})
	if err != nil {
		return nil, err
	}
	s.web = httptest.NewServer(http.HandlerFunc(s.srv.Student().ServeHTTP))
	return s, nil
}

func (s *service) close() {
	s.srv.Drain()
	s.web.CloseClientConnections()
	s.web.Close()
	os.RemoveAll(s.temp)
}

func (s *service) ticket(user string) string {
	now := time.Now()
	text, err := s.tickets.Mint(hook.Ticket{Audience: "satchel", User: user, Groups: []string{}, Issued: now.Unix(), Expires: now.Add(time.Hour).Unix(), ID: "id", Login: now.Unix()})
	if err != nil {
		panic(err)
	}
	return text
}

// publish writes a full bundle as the next version.
func (s *service) publish(files map[string]string) error {
	ctx := context.Background()
	m, fsys := &bundle.Manifest{}, fstest.MapFS{}
	var formers []bundle.Former
	for path, text := range files {
		fsys[path] = &fstest.MapFile{Data: []byte(text)}
		d := bundle.Sum([]byte(text))
		m.Files = append(m.Files, bundle.File{Path: path, Mode: 0o644, Size: int64(len(text)), Digest: d, Policy: bundle.Merge})
		formers = append(formers, bundle.Former{Path: path, Digest: d})
	}
	m.Sort()
	all, _ := bundle.History{}.Add(formers...)
	m.History = all.Digest()
	s.version++
	b, err := bundle.Build(ctx, s.temp, bundle.Spec{Course: "scala101", Channel: "all", To: s.version, Manifest: m, Former: all}, fsys)
	if err != nil {
		return err
	}
	defer b.Discard()
	if err := s.dir.Put(ctx, store.BundleKey("scala101", b.Digest), b.File); err != nil {
		return err
	}
	head := &bundle.Head{
		Format: bundle.HeadFormat, Course: "scala101", Version: s.version, Published: time.Now(), Checked: time.Now(),
		Channels: []bundle.ChannelAt{{ID: "all", Manifest: m.Digest()}}, Settings: bundle.Settings{Folder: "scala101", WhatIsNew: true},
	}
	r := &store.Record{Format: store.RecordFormat, Course: "scala101", Version: s.version, Publish: fmt.Sprint("p", s.version), Channels: []store.Channel{{
		ID: "all", Since: s.version, Bundles: []store.BundleRef{{To: s.version, Digest: b.Digest, Size: b.Size}},
	}}}
	if r.Head, err = bundle.Sign(head, s.key); err != nil {
		return err
	}
	if s.etag, err = store.SwapRecord(ctx, s.dir, r, s.etag); err == nil {
		s.srv.Refresh(ctx)
	}
	return err
}

func TestWhomToBecome(t *testing.T) {
	for _, c := range []struct {
		uid    int
		env    environ
		become *identity
		ok     bool
	}{
		{1000, environ{}, nil, true},
		{1000, environ{"NB_UID": "1001", "NB_GID": "100"}, nil, true},
		{0, environ{"NB_UID": "1000", "NB_GID": "100"}, &identity{1000, 100}, true},
		{0, environ{}, nil, false},
		{0, environ{"NB_UID": "1000"}, nil, false},
		{0, environ{"NB_UID": "0", "NB_GID": "0"}, nil, false},
		{0, environ{"NB_UID": "1000", "NB_GID": "0"}, nil, false},
		{0, environ{"NB_UID": "0", "NB_GID": "100"}, nil, false},
		{0, environ{"NB_UID": "-1", "NB_GID": "100"}, nil, false},
		{0, environ{"NB_UID": "4294967295", "NB_GID": "100"}, nil, false},
		{0, environ{"NB_UID": "root", "NB_GID": "root"}, nil, false},
	} {
		become, ok := whom(c.uid, c.env)
		if ok != c.ok || (become == nil) != (c.become == nil) || (become != nil && *become != *c.become) {
			t.Errorf("uid %d with %v: %v, %v", c.uid, c.env, become, ok)
		}
	}
}

func TestRootsOwnEnvironmentStaysBehind(t *testing.T) {
	got := parseEnviron(lower(environ{"HOME": "/root", "NB_USER": "jovyan", "XDG_RUNTIME_DIR": "/run/root", "X": "1"}))
	if got["HOME"] != "/home/jovyan" || got["XDG_RUNTIME_DIR"] != "" || got["X"] != "1" {
		t.Error(got)
	}
	if got := parseEnviron(lower(environ{"HOME": "/home/jovyan", "NB_USER": "../etc"})); got["HOME"] != "/home/jovyan" {
		t.Error(got)
	}
}

func TestHookNames(t *testing.T) {
	for name, want := range map[string]bool{
		"50-satchel": true, "5-x": true, "satchel-agent": false, "50": false, "a50-x": false, "": false, "-x": false, "50satchel": false,
	} {
		if hookName(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

func TestBudgetIsBounded(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 8 * time.Second, "3": 3 * time.Second, "1500ms": 1500 * time.Millisecond, "-1": 8 * time.Second, "0": 8 * time.Second, "1h": 8 * time.Second, "x": 8 * time.Second,
	} {
		if got := (environ{"SATCHEL_BUDGET": text}).budget(); got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
}

func TestKeysInTheImageWin(t *testing.T) {
	baked, err := bundle.NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	other, err := bundle.NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "keys")
	if keys, err := readKeys(file, other.Public().String()); err != nil || keys[0].ID() != other.Public().ID() {
		t.Error(keys, err)
	}
	if err := os.WriteFile(file, []byte("# ours\n"+baked.Public().String()+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if keys, err := readKeys(file, other.Public().String()); err != nil || len(keys) != 1 || keys[0].ID() != baked.Public().ID() {
		t.Error(keys, err)
	}
	if err := os.WriteFile(file, []byte("nonsense"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readKeys(file, other.Public().String()); err == nil {
		t.Error("a broken file in the image gives way to the environment")
	}
}

// TestAFaultOfTheHookIsNoFaultOfTheLogin: whatever panics, a start goes on.
func TestAFaultOfTheHookIsNoFaultOfTheLogin(t *testing.T) {
	was := commands["sync"]
	defer func() { commands["sync"] = was }()
	commands["sync"] = func(*program, context.Context, []string) int { panic("a fault\x1b[31m") }
	var out, errOut strings.Builder
	if code := run(t.Context(), []string{"/usr/local/bin/before-notebook.d/50-satchel"}, nil, nil, &out, &errOut); code != 0 {
		t.Errorf("exit %d", code)
	}
	if got := errOut.String(); strings.Count(got, "\n") != 1 || strings.Contains(got, "\x1b") {
		t.Errorf("said %q", got)
	}
}

// The rules are jupyter_core's (jupyter --runtime-dir).
func TestWhereAJupyterServerTellsOfItself(t *testing.T) {
	for list, want := range map[string]string{
		"HOME=/home/ana":                                                "/home/ana/.local/share/jupyter/runtime",
		"HOME=/home/ana XDG_DATA_HOME=/x":                               "/x/jupyter/runtime",
		"HOME=/home/ana XDG_DATA_HOME=/x JUPYTER_DATA_DIR=/d":           "/d/runtime",
		"HOME=/home/ana JUPYTER_DATA_DIR=/d JUPYTER_RUNTIME_DIR=/r/run": "/r/run",
	} {
		s, err := parseEnviron(strings.Fields(list + " TMPDIR=" + t.TempDir())).settings(os.Getuid())
		if err != nil || s.Jupyter.Runtime != want || s.Jupyter.HubToken != "" {
			t.Errorf("%s: %+v, %v", list, s.Jupyter, err)
		}
	}
	e := environ{"HOME": "/home/ana", "JUPYTERHUB_API_TOKEN": "hub-canary", "JUPYTERHUB_SERVICE_URL": "http://0.0.0.0:8888/user/ana/"}
	if j := e.jupyter(); j.HubToken != "hub-canary" || j.HubURL != "http://0.0.0.0:8888/user/ana/" || strings.Contains(fmt.Sprintf("%+v", j), "canary") {
		t.Errorf("%+v", j)
	}
}
