package syncer

import (
	"fmt"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/store"
)

// A record that is gone is noticed behind a decision that was swapped in since,
// and behind any number of looks in the log.
func TestALostRecordIsNoticed(t *testing.T) {
	for name, then := range map[string]func(s *site, y *Syncer){
		"a pause": func(s *site, y *Syncer) {
			if _, err := s.command(y, s.pause, Command{}); err != nil {
				s.t.Fatal(err)
			}
		},
		"looks": func(s *site, _ *Syncer) {
			for i := range lastFew + 5 {
				e := store.Entry{Time: s.clock.Now(), Action: "look", Who: "ana", Why: "nothing new"}
				must(s.t, store.WriteEntry(s.t.Context(), s.st, "scala101", fmt.Sprintf("look-%d", i), e))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			y := s.syncer()
			s.repo.commit(files{"a": "1"})
			s.sync(y)
			must(t, s.st.Delete(t.Context(), store.RecordKey("scala101")))
			s.clock.add(1)
			then(s, y)
			s.refused(y, Lost)
			s.refused(s.syncer(), Lost)
		})
	}
}

// A version that looks hide in the log is not logged again.
func TestALateEntryTakesNoPlace(t *testing.T) {
	s := newSite(t)
	s.repo.commit(files{"a": "1"})
	s.sync(s.syncer(), Request{Course: "scala101", Who: "ana", ConfirmShrink: true})
	for i := range lastFew + 5 {
		e := store.Entry{Time: s.clock.Now(), Action: "look", Who: "ana"}
		must(t, store.WriteEntry(t.Context(), s.st, "scala101", fmt.Sprintf("look-%d", i), e))
	}
	s.clock.add(2 * settled)
	s.sync(s.syncer())
	for _, e := range s.log() {
		if e.Action == "publish" && e.Who != "ana" {
			t.Errorf("version %d was published by %q: %s", e.Version, e.Who, e.Why)
		}
	}
}

// What another syncer wrote down as taken back, and died before it was done, is
// done by one that runs.
func TestAWithdrawalThatDiedIsDoneByAnother(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(files{"a": "1", "leak.txt": "secret"})
	s.sync(y)
	s.clock.add(2 * time.Minute)
	s.sync(y)
	s.clock.add(10 * time.Second)
	e := store.Entry{Time: s.clock.Now(), Action: "withdraw", Who: "ana", Withdrawn: []bundle.Pair{{Path: "leak.txt", Digest: bundle.Sum([]byte("secret"))}}}
	must(t, store.WriteEntry(t.Context(), s.st, "scala101", store.WithdrawID+"died", e))
	s.clock.add(settled - 5*time.Second)
	if s.sync(y); !s.stored()["secret"] {
		t.Error("it was not left to whoever began it")
	}
	s.clock.add(settled)
	s.sync(y)
	if s.sync(y); s.stored()["secret"] || s.view().files["leak.txt"] != "" {
		t.Error("it is there")
	}
}
