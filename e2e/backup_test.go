//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The store is brought back from a backup that is two versions old, log and
// all. A student keeps what they have; their agent proves it; check finds that
// in the store alone, and repair publishes above.
func TestE2EAStoreFromABackup(t *testing.T) {
	s := newSite(t)
	v := s.configure("serve", "")
	s.repo.set("lab.md", "one\n")
	s.repo.push("one")
	v.run("serve").ready(1)
	ana := s.student("ana")
	adm := v.login("ana")
	ana.sync(adm)

	// A backup is made while nothing runs.
	must(t, v.stop())
	live, backup := s.path("conf/store"), s.path("backup")
	must(t, os.CopyFS(backup, os.DirFS(live)))
	v.run("serve").ready(1)
	for n, text := range []string{"two\n", "three\n"} {
		s.repo.set("lab.md", text)
		s.repo.push(text)
		v.publish()
		v.ready(n + 2)
		ana.sync(adm)
	}
	lab, mine := filepath.Join(ana.folder(), "lab.md"), filepath.Join(ana.folder(), "mine.md")
	write(t, mine, "ana's own\n")
	ana.own()
	has := onDisk(t, ana.folder())
	if got := readFile(t, lab); got != "three\n" {
		t.Fatalf("delivered: %q", got)
	}
	must(t, v.stop())
	must(t, os.RemoveAll(live))
	must(t, os.CopyFS(live, os.DirFS(backup)))

	// It comes back, and publishes the repository's tip under the old number.
	v.run("serve").ready(2)
	check := []string{"check", "scala101", "--config", v.config}
	if out, code := s.trySatchel(check...); code != 0 {
		t.Fatalf("check, before anybody proved anything: exit %d\n%s", code, out)
	}
	said, code := runProgram(t, ana.agent(v.login("ana"), "sync"))
	if code != 0 || !strings.Contains(said, "has an older version of scala101 than you (you have version 3)") {
		t.Errorf("the agent: exit %d\n%s", code, said)
	}
	if now := onDisk(t, ana.folder()); !maps.Equal(now, has) {
		t.Errorf("the home is %q; was %q", now, has)
	}
	out, code := s.trySatchel(check...)
	if code != 1 || !strings.Contains(out, "the store is older than what students hold (version 3") || !strings.Contains(out, "satchel check scala101 --repair") {
		t.Errorf("check: exit %d\n%s", code, out)
	}
	if out, code := s.trySatchel("doctor", "--config", v.config); code != 1 || !strings.Contains(out, "older than what students hold") {
		t.Errorf("doctor: exit %d\n%s", code, out)
	}

	// The one that repairs knows it from the store alone: this is another process.
	must(t, v.stop())
	v.run("serve").ready(2)
	if out, code := s.trySatchel(append(check, "--repair", "--yes", "--why", "from Sunday's backup")...); code != 0 || !strings.Contains(out, "version 4") {
		t.Fatalf("repair: exit %d\n%s", code, out)
	}
	v.ready(4)
	if out, code := s.trySatchel(check...); code != 0 {
		t.Errorf("check, after the repair: exit %d\n%s", code, out)
	}
	s.repo.set("lab.md", "four\n")
	s.repo.push("four")
	v.publish()
	v.ready(5)
	eventually(t, 30*time.Second, "the agent has what was published above", func() error {
		ana.sync(v.login("ana"))
		if now := readFile(t, lab); now != "four\n" {
			return fmt.Errorf("%q", now)
		}
		return nil
	})
	if now := readFile(t, mine); now != "ana's own\n" {
		t.Errorf("her own file: %q", now)
	}
}
