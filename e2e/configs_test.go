//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// folderOf is a configuration in which the course is another folder.
func (s *site) folderOf(folder string) string {
	return fmt.Sprintf("courses:\n  - {name: scala101, repository: %q, branch: main, folder: %s, audience: everyone, poll: 5s}\n", s.repo.bare, folder)
}

// publishes are those of the log, oldest first: version and commit.
func (s *site) publishes(v *service) (out []logEntry) {
	s.t.Helper()
	var all []logEntry
	must(s.t, json.Unmarshal([]byte(s.satchel("log", "scala101", "--json", "-n", "100000", "--config", v.config)), &all))
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Action == "publish" {
			out = append(out, all[i])
		}
	}
	return out
}

// TestE2ETwoConfigurationsDoNotFlap: during a roll-out one syncer has the old
// configuration and one the new. The old one publishes nothing and says so,
// over many pushes, until somebody takes its configuration on purpose.
func TestE2ETwoConfigurationsDoNotFlap(t *testing.T) {
	s := newSiteWithoutSSH(t)
	s.repo.set("lab1/which.txt", "old")
	must(t, os.CopyFS(s.repo.work+"/spring", os.DirFS(s.repo.work+"/notebooks"))) // else too many files would go
	write(t, s.repo.work+"/spring/lab1/which.txt", "new")
	s.repo.push("two folders")
	old := s.configure("old", s.folderOf("notebooks")).run("syncer")
	front := s.configure("front", "").run("hookserver")
	front.ready(1)
	now := s.configure("new", s.folderOf("spring")).run("syncer")
	s.published(now, 2)
	ana := s.student("ana")
	front.ready(2)
	ana.sync(front.login("ana"))

	newest := 2
	push := func(by *service) {
		newest++
		s.repo.set("lab1/which.txt", fmt.Sprint("old ", newest))
		write(t, s.repo.work+"/spring/lab1/which.txt", fmt.Sprint("new ", newest))
		s.repo.push("more")
		for _, v := range []*service{old, now} { // both at once, and each by itself
			_, _ = s.trySatchel("publish", "scala101", "--config", v.config)
		}
		s.published(by, newest)
	}
	for range 15 {
		push(now)
	}
	out, code := s.trySatchel("publish", "scala101", "--config", old.config)
	if code == 0 || !strings.Contains(out, "newer configuration") || !strings.Contains(out, "--take-configuration") {
		t.Errorf("the superseded one says: exit %d: %s", code, out)
	}
	if said := s.statusOf(old); !strings.Contains(said, "newer configuration") {
		t.Errorf("its status: %s", said)
	}
	s.wantOf(front, ana, newest, "new")

	s.satchel("publish", "scala101", "--take-configuration", "--config", old.config)
	newest++
	s.published(old, newest)
	for range 5 {
		push(old)
	}
	if out, code := s.trySatchel("publish", "scala101", "--config", now.config); code == 0 || !strings.Contains(out, "newer configuration") {
		t.Errorf("the other one says: exit %d: %s", code, out)
	}
	s.wantOf(front, ana, newest, "old")

	// A restart makes neither forget who was superseded.
	must(t, now.stop())
	now.run("syncer")
	push(old)
	s.wantOf(front, ana, newest, "old")
	if got := s.publishes(old); len(got) != newest {
		t.Errorf("%d versions, the log has %d", newest, len(got))
	}
}

// published waits until a version is there, and sees that no other follows it.
func (s *site) published(v *service, n int) {
	s.t.Helper()
	eventually(s.t, time.Minute, fmt.Sprintf("version %d", n), func() error {
		all := s.publishes(v)
		if len(all) > n {
			s.t.Fatalf("%d versions were published; want %d", len(all), n)
		}
		if len(all) < n {
			return fmt.Errorf("%d versions", len(all))
		}
		return nil
	})
}

func (s *site) statusOf(v *service) string {
	out, _ := s.trySatchel("status", "--config", v.config)
	return out
}

// wantOf fails unless a student gets the newest of one of the folders.
func (s *site) wantOf(front *service, st *student, n int, which string) {
	s.t.Helper()
	front.ready(n)
	st.sync(front.login(st.name))
	if got := readFile(s.t, st.folder()+"/lab1/which.txt"); !strings.HasPrefix(got, which) {
		s.t.Errorf("%s has %q; want %s", st.name, got, which)
	}
}
