//go:build e2e

package e2e

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"satchel/hook"
)

// backedUp is a course in a folder from which something was withdrawn after a
// backup: all is stopped, and the store is as the backup has it.
type backedUp struct {
	*site
	syncer *service
	ana    *student
}

// newBackedUp brings all back, or keeps the newer log.
func newBackedUp(t *testing.T, half string, keepLog bool) *backedUp {
	s := newSite(t)
	s.repo.set("lab9/late.md", "# Late\n\n"+marker+"\n")
	s.repo.set("lab9/late.bin", secretBytes(3))
	s.repo.push("too early")
	b := &backedUp{site: s, syncer: s.configure("s", "").run(half), ana: s.student("ana")}
	front := b.syncer
	if half == "syncer" {
		front = s.configure("h", "").run("hookserver")
	}
	front.ready(1)
	b.ana.sync(front.login("ana"))
	backup, course := s.path("backup"), s.path("conf/store/courses/scala101")
	must(t, os.CopyFS(backup, os.DirFS(course)))
	s.satchel("withdraw", "scala101", "lab9", "--yes", "--config", b.syncer.config)
	front.ready(2)
	s.repo.set("lab1/more.md", "more\n")
	s.repo.push("since")
	b.syncer.publish()
	front.ready(3)
	b.ana.sync(front.login("ana"))
	if found := markedBelow(t, s.path("conf/store")); len(found) > 0 {
		t.Fatalf("the store has it: %q", found)
	}
	must(t, front.stop())
	if front != b.syncer {
		must(t, b.syncer.stop())
	}
	must(t, os.Rename(course, s.path("newer")))
	must(t, os.CopyFS(course, os.DirFS(backup)))
	if keepLog {
		must(t, os.RemoveAll(filepath.Join(course, "log")))
		must(t, os.CopyFS(filepath.Join(course, "log"), os.DirFS(s.path("newer/log"))))
	}
	if len(markedBelow(t, s.path("conf/store"))) == 0 {
		t.Fatal("the backup is none")
	}
	return b
}

// answers asks for all until done says so; no answer may have the marker.
func (b *backedUp) answers(v *service, within time.Duration, done func(status int, body []byte) bool) {
	b.t.Helper()
	var adm hook.Admission
	eventually(b.t, within, "an answer", func() error {
		if v.ended() {
			b.t.Fatal("it ended")
		}
		if adm.Ticket == "" {
			resp, err := http.Get("http://" + v.hubs + "/healthz")
			if err != nil {
				return err
			}
			resp.Body.Close()
			adm = v.login("eva")
		}
		status, body, err := tryRequest(adm, "GET", "/v1/sync", map[string][]string{"Accept": {hook.OfferType}}, "")
		if err != nil {
			return err
		}
		if marked(body) {
			b.t.Fatalf("it gives out what was withdrawn: %d", status)
		}
		if !done(status, body) {
			return os.ErrNotExist
		}
		return nil
	})
}

// repaired lets the store be repaired, and sees that all is as it should be.
func (b *backedUp) repaired(v *service) {
	b.t.Helper()
	b.satchel("check", "scala101", "--repair", "--yes", "--above", "3", "--why", "a backup", "--config", b.syncer.config)
	if out, code := b.trySatchel("check", "scala101", "--read-data", "--config", b.syncer.config); code != 0 {
		b.t.Errorf("after the repair: exit %d: %s", code, out)
	}
	v.ready(4)
	b.answers(v, time.Minute, func(status int, _ []byte) bool { return status == 200 })
	eventually(b.t, time.Minute, "a store without it", func() error {
		if found := markedBelow(b.t, b.path("conf/store")); len(found) > 0 {
			return &os.PathError{Op: "has it", Path: found[0], Err: os.ErrExist}
		}
		return nil
	})
	said := b.ana.sync(v.login("ana"))
	if found := markedBelow(b.t, filepath.Dir(b.ana.root)); len(found) > 0 || strings.Contains(said, "backwards") {
		b.t.Errorf("%q in %q", said, found)
	}
	want := b.repo.delivered()
	maps.DeleteFunc(want, func(path, _ string) bool { return strings.HasPrefix(path, "lab9/") })
	if d := cmp.Diff(want, onDisk(b.t, b.ana.folder())); d != "" {
		b.t.Errorf("ana has other files (-want +has):\n%s", d)
	}
}

// TestE2EStoreFromBeforeAWithdrawalTheLogKnows: a hookserver alone gives
// nothing out of it; the syncer repairs it.
func TestE2EStoreFromBeforeAWithdrawalTheLogKnows(t *testing.T) {
	b := newBackedUp(t, "syncer", true)
	v := b.configure("h2", "").run("hookserver") // with no memory of its own
	refused := 0
	b.answers(v, time.Minute, func(status int, _ []byte) bool {
		if status != 200 {
			refused++
		}
		return refused > 3
	})
	if out, code := b.trySatchel("check", "scala101", "--config", b.syncer.config); code != 1 || !strings.Contains(out, "went backwards") {
		t.Errorf("check: exit %d: %s", code, out)
	}
	b.syncer.run("syncer")
	b.answers(v, time.Minute, func(status int, _ []byte) bool { return status == 200 })
	b.repaired(v)
}

// TestE2EStoreFromBeforeAWithdrawalTheFolderKnows: the log is as old as the
// backup, and the service's own folder tells it, to both halves.
func TestE2EStoreFromBeforeAWithdrawalTheFolderKnows(t *testing.T) {
	b := newBackedUp(t, "serve", false)
	must(t, os.RemoveAll(b.path("state-s/cache")))
	b.syncer.run("serve")
	b.answers(b.syncer, time.Minute, func(status int, _ []byte) bool { return status == 200 })
	b.repaired(b.syncer)
}
