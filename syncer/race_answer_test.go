package syncer

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/store"
)

// A decision whose answer was lost, and on which another syncer has already
// built, took effect once, and is told and logged as that.
func TestDecisionWhoseAnswerIsLostIsFound(t *testing.T) {
	s := newSite(t)
	s.repo.commit(files{"a": "1"})
	s.sync(s.syncer())
	y := s.syncer(&lostSwap{s.st, func() {
		s.repo.commit(files{"a": "2"})
		s.sync(s.syncer())
	}})
	if out, err := s.command(y, s.pause, Command{}); err != nil || !out.Decided {
		t.Fatalf("%+v, %v", out, err)
	}
	y = s.syncer(&lostSwap{s.st, func() {
		s.repo.commit(files{"a": "3"})
		s.sync(s.syncer())
	}})
	if out, err := s.command(y, s.resume, Command{}); err != nil || !out.Decided {
		t.Fatalf("%+v, %v", out, err)
	}
	if got := s.actions(); !slices.Contains(got, "pause 2") || !slices.Contains(got, "resume 3") {
		t.Errorf("log %q", got)
	}
}

func TestRollbackWhoseAnswerIsLostIsDoneOnce(t *testing.T) {
	s := newSite(t)
	for _, text := range []string{"1", "2"} {
		s.repo.commit(files{"a": text})
		s.sync(s.syncer())
	}
	var first time.Time
	y := s.syncer(&lostSwap{s.st, func() {
		first = s.view().record.Pinned.Time
		if _, err := s.command(s.syncer(), s.pause, Command{}); err != nil {
			t.Error(err)
		}
	}})
	out, err := s.command(y, s.rollback, Command{Version: 1})
	if err != nil || !out.Published || out.Changed != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	if v := s.want(3, files{"a": "1"}); !v.record.Pinned.Time.Equal(first) {
		t.Error("it was pinned twice")
	}
	s.wantEachVersionLogged(3)
}

// silent writes no log.
type silent struct{ store.Store }

func (s *silent) Put(ctx context.Context, key string, body io.ReadSeeker) error {
	if strings.Contains(key, "/log/") {
		return errDead
	}
	return s.Store.Put(ctx, key, body)
}

// Two syncers make the same bundles of one commit: one that gave up before its
// swap does not take the other's version for its own.
func TestVersionOfAnotherIsNotTakenForOnesOwn(t *testing.T) {
	s := newSite(t)
	s.repo.commit(files{"a": "1"})
	s.sync(s.syncer())
	s.repo.commit(files{"a": "2"})
	y := s.syncer(&meanwhile{s.st, "add /bundles/", func() {
		s.sync(s.syncer(&silent{s.st}))
		s.clock.add(61 * time.Minute)
	}})
	if _, err := s.try(y, Request{Course: "scala101", Who: "ana"}); !errors.Is(err, errAbandoned) {
		t.Fatalf("%v; want it abandoned", err)
	}
	s.sync(y)
	s.wantEachVersionLogged(2)
	if e := s.log()[0]; e.Version == 2 && e.Who == "ana" {
		t.Errorf("entry %+v", e)
	}
}

// A rollback to what students have already is in the log by its name.
func TestRollbackWithoutANewVersionIsLogged(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	for _, text := range []string{"1", "2", "1"} {
		s.repo.commit(files{"a": text})
		s.sync(y)
	}
	if out, err := s.command(y, s.rollback, Command{Version: 1, Why: "calm"}); err != nil || out.Published {
		t.Fatalf("%+v, %v", out, err)
	}
	if e := s.log()[0]; e.Action != "rollback" || e.Who != "ana" || !strings.HasSuffix(e.Why, ": calm") {
		t.Errorf("entry %+v", e)
	}
}
