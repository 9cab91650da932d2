package syncer

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/store"
)

// A hookserver that was cut off from the store serves what it has: whoever
// takes something back reads which was not heard of, and waits for those that
// are there alone.
func TestAWithdrawalNamesWhoFellSilent(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(map[string]string{"a.txt": "a", "leak.txt": "secret"})
	s.sync(y)
	then := s.clock.Now().Add(-10 * time.Minute)
	for _, id := range []string{"here", "cut-off"} {
		must(t, store.WritePresence(t.Context(), s.st, store.Presence{ID: id, Courses: map[string]bundle.Version{"scala101": 2}}))
	}
	must(t, os.Chtimes(filepath.Join(s.dir, "receipts", "servers", "cut-off"), then, then))
	w, err := s.withdraw(y, Command{Path: "leak.txt"})
	if err != nil || !w.Done || w.Version != 2 || len(w.Unconfirmed) != 0 || len(w.Servers) != 1 || w.Servers[0] != "here" {
		t.Errorf("%+v, %v", w, err)
	}
	if len(w.Silent) != 1 || w.Silent[0].ID != "cut-off" || !w.Silent[0].Heard.Equal(then) {
		t.Errorf("%+v", w.Silent)
	}
}
