//go:build unix

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"satchel/agent"
	"satchel/bundle"
	"satchel/course"
	"satchel/hookserver"
	"satchel/internal/config"
	"satchel/internal/hub"
	"satchel/source"
	"satchel/store"
)

// one is the only finding, which must be well or not, say this, and say what
// to do where it is not.
func (c *checks) one(t *testing.T, name string, well bool, says string) {
	t.Helper()
	if len(c.all) != 1 || c.all[0].Name != name || c.all[0].OK != well || !strings.Contains(c.all[0].Note, says) || !well && c.all[0].Do == "" {
		t.Errorf("%+v; want %s, well: %v, %q", c.all, name, well, says)
	}
}

func TestDoctorLooksAtDisks(t *testing.T) {
	for _, d := range []struct {
		st   unix.Statfs_t
		well bool
		says string
	}{
		{unix.Statfs_t{Bsize: 4096, Bavail: 1 << 20, Files: 1000, Ffree: 900}, true, "4.3 GB free"},
		{unix.Statfs_t{Bsize: 4096, Bavail: 1 << 20}, true, "free"}, // of a filesystem that counts no inodes
		{unix.Statfs_t{Bsize: 4096, Bavail: 1 << 10, Files: 1000, Ffree: 900}, false, "/srv (store.dir) has 4"},
		{unix.Statfs_t{Bsize: 4096, Bavail: 1 << 20, Files: 1000, Ffree: 3}, false, "inode"},
	} {
		c := &checks{}
		c.free("store.dir", "/srv", d.st)
		c.one(t, "disk", d.well, d.says)
	}
	c := &checks{}
	c.disk("store.dir", t.TempDir()+"/absent")
	c.one(t, "disk", false, "no such file")
	c = &checks{}
	if c.disk("state_dir", t.TempDir()+"/absent"); len(c.all) > 0 {
		t.Errorf("it is made when it is needed: %+v", c.all)
	}
}

func TestDoctorTriesTheHubsPort(t *testing.T) {
	answer := func(text string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	for at, well := range map[string]bool{answer(`{"courses":[]}`): false, answer("nginx"): true, "127.0.0.1:1": true} {
		c := &checks{}
		c.hubPortAt(t.Context(), "10.0.0.2:8485", at)
		c.one(t, "listen.hub", well, at)
	}
	for _, l := range []struct {
		url, hub string
		well     bool
		says     string
	}{
		{"http://satchel.invalid:8484", "0.0.0.0:8485", false, "every address"},
		{"http://satchel.invalid:8484", ":8485", false, "every address"},
		{"http://satchel.invalid:8484", "10.0.0.2:8485", true, "nothing of it answers at satchel.invalid:8485"},
		{"http://127.0.0.1:8484", "127.0.0.1:8485", true, "the hook secret alone"},
	} {
		c := &checks{}
		c.hubPort(t.Context(), &config.Config{URL: l.url, Listen: config.Listen{Hub: l.hub}})
		c.one(t, "listen.hub", l.well, l.says)
	}
}

// A fake of the hub's API: what a real one says of a token is held by the
// tests of internal/hub.
func TestDoctorAsksWhatTheHubsTokenMayDo(t *testing.T) {
	var status int
	var body string
	var off time.Duration
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	defer s.Close()
	h, err := hub.New(s.URL, func() string { return "ours" }, "")
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	ask := func() *checks {
		c := &checks{}
		c.ownToken(t.Context(), h)
		return c
	}
	status, body = 403, "{}"
	ask().one(t, "hub token", false, "does not know")
	status = 500
	ask().one(t, "hub token", false, "500")
	status, body = 200, `{"kind":"service","name":"satchel","scopes":["read:users:name","read:users:groups"]}`
	if c := ask(); len(c.all) != 2 || !c.all[0].OK || !c.all[1].OK || !strings.Contains(c.all[1].Note, "as the hub's") {
		t.Errorf("%+v", c.all)
	}
	body, off = `{"kind":"service","name":"satchel","scopes":["admin:users"]}`, -time.Hour
	if c := ask(); len(c.all) != 2 || c.all[0].OK || !strings.Contains(c.all[0].Note, "admin:users") || c.all[1].OK || c.all[1].Name != "clock" {
		t.Errorf("%+v", c.all)
	}
}

func TestDoctorSaysWhatAKeyMayDo(t *testing.T) {
	for _, w := range []struct {
		source.WriteCheck
		well bool
		says string
	}{
		{source.WriteCheck{By: "the deploy key k", Writing: source.Refused, Words: "read only"}, true, "may read alone: the host refuses a push (read only)"},
		{source.WriteCheck{By: "the deploy key k", Writing: source.Unknown, Words: "plain"}, true, "cannot be told (plain)"},
		{source.WriteCheck{By: "the deploy key k", Writing: source.LetIn}, false, "the deploy key k may write"},
	} {
		c := &checks{all: []agent.Check{writes("repository", w.WriteCheck)}}
		c.one(t, "repository", w.well, w.says)
	}
}

// A hookserver says once a minute what it gives out: what it said before a
// publish says nothing about that.
func TestDoctorAwaitsAHookserversNextWord(t *testing.T) {
	st, err := store.NewDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	key, err := bundle.NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	head, err := bundle.Sign(&bundle.Head{
		Format: bundle.HeadFormat, Course: "scala101", Version: 2, Published: now, Checked: now, Settings: bundle.Settings{Folder: "scala101"},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.SwapRecord(t.Context(), st, &store.Record{Format: store.RecordFormat, Course: "scala101", Version: 2, Publish: "one", Head: head}, ""); err != nil {
		t.Fatal(err)
	}
	cfg := &config.Config{Courses: []course.Course{{Name: "scala101"}}}
	for said, well := range map[time.Duration]bool{-time.Second: true, time.Second: true, store.PresenceEvery: false} {
		p := store.Presence{ID: "one", Time: now.Add(said), Courses: map[string]bundle.Version{"scala101": 1}}
		if err := store.WritePresence(t.Context(), st, p); err != nil {
			t.Fatal(err)
		}
		c := &checks{}
		c.hookservers(t.Context(), cfg, st)
		if got := len(c.all) == 1 && c.all[0].OK; got != well {
			t.Errorf("%v after the publish it gave out version 1 of 2: %+v", said, c.all)
		}
	}
}

// TestDoctorTellsOfHeadsOfNoKey: what students' servers showed to the
// hookserver here warns, and stops nothing: nobody proved it.
func TestDoctorTellsOfHeadsOfNoKey(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		must(t, json.NewEncoder(w).Encode(map[string]any{"courses": []hookserver.CourseStatus{
			{Course: "well"}, {Course: "scala101", Code: hookserver.CodeForeignHead, Note: hookserver.ForeignSentence},
		}}))
	}))
	defer s.Close()
	c := &checks{}
	c.shown(t.Context(), &config.Config{Listen: config.Listen{Hub: s.Listener.Addr().String()}})
	if len(c.all) != 1 || c.all[0].OK || c.all[0].Stop || c.all[0].Name != "course scala101" || !strings.Contains(c.all[0].Do, "rotation.md") {
		t.Errorf("%+v", c.all)
	}
	c = &checks{}
	c.shown(t.Context(), &config.Config{Listen: config.Listen{Hub: "127.0.0.1:1"}})
	if len(c.all) != 0 {
		t.Errorf("nobody answers: %+v", c.all)
	}
}
