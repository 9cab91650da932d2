package agent

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
)

// FuzzMemory: whatever stands where the memory was, an agent goes on from it or
// begins anew, and what it writes it reads again.
func FuzzMemory(f *testing.F) {
	f.Add([]byte(`{"format":1,"etag":"x","haves":"scala101:1:00:all","asked":"2026-09-01T09:00:00Z","courses":{"scala101":{"version":1,"failed":["a"]}},"unsent":[{"format":1}],"news":[{}]}`))
	f.Add([]byte(`{"format":1,"courses":{"a":null,"../b":{"version":-1}},"glance":{"haves":"a:1::","etag":"x","courses":[{"course":"../..","version":1,"folder":"/etc","journal":{}}]}}`))
	f.Add([]byte(`{"format":2}`))
	f.Add([]byte(`null`))
	lg := slog.New(slog.DiscardHandler)
	dir := f.TempDir()
	if err := os.Mkdir(filepath.Join(dir, ".satchel"), 0o700); err != nil {
		f.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { root.Close() })
	a := &Agent{lg: lg, s: Settings{Root: dir}, now: time.Now}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, memoryFile), data, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := recall(lg, root)
		if err != nil {
			if bundle.FormatOf(data) <= memoryFormat {
				t.Errorf("%v", err)
			}
			return
		}
		if m.Glance != nil && (a.stands(m.Glance)) {
			t.Errorf("%q stands, with no course here", data)
		}
		for name := range m.Courses {
			a.wordsOf(m, name)
		}
		m.ETag += "new"
		if err := m.keep(root, false); err != nil {
			t.Fatal(err)
		}
		again, err := recall(lg, root)
		if err != nil || again.ETag != m.ETag || len(again.Courses) != len(m.Courses) {
			t.Errorf("%+v was written, and %+v read: %v", m, again, err)
		}
	})
}

// FuzzJupyter: what a Jupyter server says of itself, and what it answers. The
// token is shown on this machine alone, and no path leads out of its root.
func FuzzJupyter(f *testing.F) {
	f.Add([]byte(`{"pid":2,"hostname":"127.0.0.1","port":8888,"base_url":"/","token":"t","root_dir":"/home"}`), []byte(`[{"path":"a.ipynb"},{"notebook":{"path":"RTC:b/c.ipynb"}}]`))
	f.Add([]byte(`{"pid":2,"hostname":"169.254.169.254","port":80,"sock":"/etc/passwd","base_url":"/@x/","root_dir":"/"}`), []byte(`[{"path":"../../x"},{"path":"/etc/passwd"}]`))
	f.Add([]byte(`null`), []byte(`{}`))
	dir := f.TempDir()
	file := filepath.Join(dir, "jpserver-1.json")
	f.Fuzz(func(t *testing.T, about, answer []byte) {
		if err := os.WriteFile(file, about, 0o600); err != nil {
			t.Fatal(err)
		}
		s, _, err := readServer(file)
		if err == nil {
			network, address, err := s.address()
			if err == nil && network == "tcp" && !strings.HasPrefix(address, "127.") && !strings.HasPrefix(address, "[::1]:") && !strings.HasPrefix(address, "localhost:") {
				t.Errorf("%q is at %q", about, address)
			}
			s.auth(Jupyter{HubToken: "hub", HubURL: "http://127.0.0.1:8888/user/ana/"})
		}
		paths, err := sessionPaths(answer)
		if err != nil && len(paths) > 0 {
			t.Errorf("%q and %v", paths, err)
		}
		s.Root = dir
		for _, p := range paths {
			if at := s.place(p); strings.Contains(at.name, "/") || strings.Contains(p, "..") && at.name == "passwd" {
				t.Errorf("%q is %+v", p, at)
			}
		}
	})
}
