package syncer

import (
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/store"
)

type files = map[string]string

func TestFirstPublish(t *testing.T) {
	s := newSite(t)
	want := files{"hw1/lab.ipynb": lesson("1 + 1"), "data/a.csv": "a,b\n", "run.sh": "#!/bin/sh\n"}
	commit := s.repo.commit(want)
	y := s.syncer()
	out := s.sync(y)
	if !out.Published || out.Version != 1 || out.Commit != commit || out.Added != 3 || out.Stats.Tries != 1 {
		t.Errorf("outcome %+v", out)
	}
	v := s.want(1, want)
	if v.head.Settings != (bundle.Settings{Folder: "scala101", WhatIsNew: true}) {
		t.Errorf("settings %+v", v.head.Settings)
	}
	if v.head.Published.IsZero() || !v.head.Published.Equal(v.head.Checked) {
		t.Errorf("times %v, %v", v.head.Published, v.head.Checked)
	}
	if got := v.history.At("hw1/lab.ipynb"); len(got) != 1 || got[0].Form.IsZero() {
		t.Errorf("history of the notebook: %+v", got)
	}
	e := s.log()[0]
	if e.Action != "publish" || e.Version != 1 || e.Commit != commit || e.Who != "syncer" || e.Size == 0 || len(e.Bundles) != 1 {
		t.Errorf("log entry %+v", e)
	}
}

func TestNothingNewIsNothing(t *testing.T) {
	s := newSite(t)
	s.repo.commit(files{"a": "1"})
	y := s.syncer()
	s.sync(y)
	before := s.view().record.Publish
	out := s.sync(y)
	if out.Published || out.Signed || out.Version != 1 || out.Stats.FilesRead > 0 || out.Stats.Objects > 0 {
		t.Errorf("outcome %+v", out)
	}
	if s.view().record.Publish != before {
		t.Error("the record was written although nothing changed")
	}
	if got := s.actions(); !slices.Equal(got, []string{"publish 1"}) {
		t.Errorf("log %q", got)
	}
}

func TestChangesBecomeSteps(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	stay := strings.Repeat("the same in all versions\n", 3000)
	steps := []files{
		{"a.ipynb": lesson("1"), "b": "2", "stay": stay},
		{"a.ipynb": lesson("one"), "b": "2", "stay": stay},           // changed
		{"a.ipynb": lesson("one"), "dir/b": "2", "stay": stay},       // renamed
		{"a.ipynb": lesson("one"), "stay": stay},                     // removed
		{"a.ipynb": lesson("one"), "stay": stay, "c": "new"},         // added
		{"a.ipynb": lesson("1"), "b/now/deep": "2", "stay": stay},    // a file became a folder
		{"a.ipynb": lesson("1"), "b": "back", "stay": stay, "d": ""}, // and a file again
	}
	id := ""
	for i, want := range steps {
		s.clock.add(time.Minute)
		s.repo.commit(want)
		out := s.sync(y)
		if !out.Published {
			t.Fatalf("step %d: %+v", i, out)
		}
		v := s.want(bundle.Version(i+1), want)
		if id == "" {
			id = v.record.Channels[0].ID
		}
		if len(v.record.Channels) != 1 || v.record.Channels[0].ID != id {
			t.Errorf("step %d: channels %+v; want the one of before", i, v.record.Channels)
		}
	}
	if n := len(s.view().history.At("b")); n != 2 {
		t.Errorf("b has %d former contents; want 2", n)
	}
	// Another syncer, which has nothing in memory, goes on from there.
	s.repo.commit(files{"a.ipynb": lesson("2"), "stay": stay})
	if out := s.sync(s.syncer()); !out.Published || out.Version != 8 {
		t.Errorf("outcome %+v", out)
	}
	s.want(8, files{"a.ipynb": lesson("2"), "stay": stay})
}

func TestRenameIsMarkedAndItsContentNotSentAgain(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	big := strings.Repeat("some text of the course\n", 5000)
	s.repo.commit(files{"old.md": big, "x": "x"})
	s.sync(y)
	s.repo.commit(files{"new.md": big, "x": "x"})
	s.sync(y)
	ch := s.view().record.Channels[0]
	x, err := readIndex(t.Context(), s.st, "scala101", ch.ID, ch.Bundles[len(ch.Bundles)-1])
	if err != nil {
		t.Fatal(err)
	}
	if x.From != 1 || len(x.Frames) != 0 || len(x.Changes.Set) != 1 || x.Changes.Set[0].RenamedFrom != "old.md" {
		t.Errorf("the step is %+v", x)
	}
}

func TestForcePushToOlderContentIsAHigherVersion(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	first := s.repo.commit(files{"a": "1", "b": "1"})
	s.sync(y)
	s.repo.commit(files{"a": "2", "b": "2"})
	s.sync(y)
	s.repo.git("reset", "-q", "--hard", first)
	out := s.sync(y)
	if !out.Published || out.Version != 3 || out.Commit != first {
		t.Errorf("outcome %+v", out)
	}
	s.want(3, files{"a": "1", "b": "1"})
	s.repo.git("checkout", "-q", "--orphan", "other")
	s.repo.git("branch", "-D", "main")
	s.repo.git("branch", "-m", "main")
	s.repo.commit(files{"a": "orphan", "b": "1"})
	if out := s.sync(y); out.Version != 4 {
		t.Errorf("orphan history: %+v", out)
	}
	s.want(4, files{"a": "orphan", "b": "1"})
}

func TestCommitThatChangesNothingForStudents(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(files{"a": "1", ".satchel.yaml": "hide: [drafts/]\n", "drafts/x": "1"})
	s.sync(y)
	tip := s.repo.commit(files{"a": "1", ".satchel.yaml": "hide: [drafts/]\n", "drafts/x": "2"})
	out := s.sync(y)
	if out.Published || out.Version != 1 || out.Commit != tip {
		t.Errorf("outcome %+v", out)
	}
	if out = s.sync(y); out.Stats.Objects != 0 || out.Stats.Took("fetch") != 0 {
		t.Errorf("the noted commit is looked at again: %+v", out)
	}
	v := s.want(1, files{"a": "1"})
	if v.record.Commit != tip {
		t.Error("the commit is not noted")
	}
}

func TestSettingsAndMessageMakeAVersion(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(files{"a": "1"})
	s.sync(y)
	before := s.view()
	s.repo.commit(files{"a": "1", ".satchel.yaml": "message: Homework 1 is out.\nfolder_name: Scala\nlanguage: es\n"})
	if out := s.sync(y); !out.Published || out.Version != 2 {
		t.Errorf("outcome %+v", out)
	}
	v := s.want(2, files{"a": "1"})
	if v.head.Message != "Homework 1 is out." || v.head.Settings != (bundle.Settings{Folder: "Scala", Language: "es", WhatIsNew: true}) {
		t.Errorf("head %+v", v.head)
	}
	if len(v.record.Channels[0].Bundles) != 1 || v.record.Channels[0].Since != 1 || v.head.Fingerprint() != before.head.Fingerprint() {
		t.Error("a message alone made a bundle")
	}
	s.repo.commit(files{"a": "2", ".satchel.yaml": "message: Homework 1 is out.\nfolder_name: Scala\nlanguage: es\n"})
	s.sync(s.syncer())
	v = s.want(3, files{"a": "2"})
	if !slices.ContainsFunc(v.record.Channels[0].Bundles, func(r store.BundleRef) bool { return r.From == 1 && r.To == 3 }) {
		t.Errorf("no step leads from 1 to 3: %+v", v.record.Channels[0].Bundles)
	}
}

func TestHeadIsSignedAnewEachDay(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(files{"a": "1"})
	s.sync(y)
	first := s.view().head
	s.clock.add(23 * time.Hour)
	if out := s.sync(y); out.Signed {
		t.Error("signed again on the same day")
	}
	s.clock.add(2 * time.Hour)
	if out := s.sync(y); !out.Signed || out.Published || out.Version != 1 {
		t.Errorf("outcome %+v", out)
	}
	again := s.view().head
	if !again.Checked.After(first.Checked) || !again.Published.Equal(first.Published) || again.Version != 1 {
		t.Errorf("head %+v", again)
	}
	if got := s.actions(); !slices.Equal(got, []string{"publish 1"}) {
		t.Errorf("log %q", got)
	}
}

// A publish that is refused for days must not look like a dead service.
func TestHeadIsSignedAnewAlsoWhileRefusing(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(files{"a": "1"})
	s.sync(y)
	s.repo.commit(files{"a": "2", ".satchel.yaml": "hide: ["})
	for range 3 {
		s.clock.add(25 * time.Hour)
		s.refused(y, Content)
		if v := s.want(1, files{"a": "1"}); !v.head.Checked.Equal(s.clock.Now()) {
			t.Errorf("checked %v; want %v", v.head.Checked, s.clock.Now())
		}
	}
}

func TestNewKeySignsAtOnceAndTwoKeysBothDo(t *testing.T) {
	s := newSite(t)
	s.repo.commit(files{"a": "1"})
	y := s.syncer()
	s.sync(y)
	fresh, err := bundle.NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	y.o.Keys = func() []bundle.SigningKey { return []bundle.SigningKey{fresh, s.key} }
	if out := s.sync(y); !out.Signed {
		t.Errorf("outcome %+v", out)
	}
	e := s.view().record.Head
	for _, k := range []bundle.SigningKey{fresh, s.key} {
		if _, err := e.Open([]bundle.PublicKey{k.Public()}); err != nil {
			t.Error(err)
		}
	}
	if out := s.sync(y); out.Signed {
		t.Error("signed again although the keys are the same")
	}
}

// TestAttackAHeadOfNoKeyIsNotSigned: whoever writes to the store, or has the key
// that was stolen and dropped, gets no signature of today's key for what they
// put there; a repair publishes above it.
func TestAttackAHeadOfNoKeyIsNotSigned(t *testing.T) {
	s := newSite(t)
	s.repo.commit(files{"a": "1"})
	y := s.syncer()
	s.sync(y)
	thief := s.key
	rec, etag, err := store.ReadRecord(t.Context(), s.st, "scala101")
	must(t, err)
	head, err := rec.Head.Peek()
	must(t, err)
	rec.Version, head.Version = 1<<32, 1<<32
	rec.Head, err = bundle.Sign(head, thief)
	must(t, err)
	_, err = store.SwapRecord(t.Context(), s.st, rec, etag)
	must(t, err)
	s.key, err = bundle.NewSigningKey()
	must(t, err)
	for range 2 {
		if _, err := s.try(y); err == nil || !strings.Contains(err.Error(), "check scala101 --repair") {
			t.Errorf("%v", err)
		}
	}
	now, _, err := store.ReadRecord(t.Context(), s.st, "scala101")
	must(t, err)
	if _, err := now.Head.Open([]bundle.PublicKey{s.key.Public()}); err == nil {
		t.Fatal("today's key signed it")
	}
	c := s.c
	if _, err := y.Repair(t.Context(), &c, Command{Course: "scala101", Who: "ana"}); err != nil {
		t.Fatal(err)
	}
	if v := s.view(); v.version != 1<<32+1 || v.files["a"] != "1" {
		t.Errorf("version %d: %q", v.version, v.files)
	}
	s.sync(y)
}

func TestWithoutASigningKeyNothingIsPublished(t *testing.T) {
	s := newSite(t)
	s.repo.commit(files{"a": "1"})
	y := s.syncer()
	y.o.Keys = func() []bundle.SigningKey { return nil }
	if _, err := s.try(y); err == nil || !strings.Contains(err.Error(), "signing key") {
		t.Errorf("%v", err)
	}
	s.want(0, nil)
}

func TestWithdrawnContentStaysOut(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(files{"a": "1", "solution": "x", "lab": "1"})
	s.sync(y)
	rec, etag, err := store.ReadRecord(t.Context(), s.st, "scala101")
	if err != nil {
		t.Fatal(err)
	}
	old := bundle.Pair{Path: "lab", Digest: bundle.Sum([]byte("1"))}
	rec.Withdrawn, rec.Publish = []bundle.Pair{old, {Path: "others", Digest: old.Digest}}, "test"
	if _, err := store.SwapRecord(t.Context(), s.st, rec, etag); err != nil {
		t.Fatal(err)
	}
	s.repo.commit(files{"a": "2", "b": "2", "lab": "1"})
	s.sync(y)
	v := s.want(2, files{"a": "2", "b": "2"})
	c := y.known["scala101"].former[v.record.Channels[0].ID]
	if w := c.manifest.Withdrawn; len(w) != 1 || w[0] != old {
		t.Errorf("withdrawn %v; want what this audience has had, only", w)
	}
	s.repo.commit(files{"a": "2", "b": "2", "lab": "mended"})
	s.sync(y)
	s.want(3, files{"a": "2", "b": "2", "lab": "mended"})
}

func TestPinnedCourseWaitsUntilAPersonPublishes(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	tip := s.repo.commit(files{"a": "1"})
	s.sync(y)
	rec, etag, err := store.ReadRecord(t.Context(), s.st, "scala101")
	if err != nil {
		t.Fatal(err)
	}
	rec.Pinned, rec.Publish = &store.Pin{Version: 1, Tip: tip}, "test"
	if _, err := store.SwapRecord(t.Context(), s.st, rec, etag); err != nil {
		t.Fatal(err)
	}
	if out := s.sync(y, Request{Who: "ana"}); out.Published || !out.Pinned {
		t.Errorf("at the same tip: %+v", out)
	}
	s.repo.commit(files{"a": "2"})
	if out := s.sync(y); out.Published || !out.Pinned {
		t.Errorf("a push: %+v", out)
	}
	s.want(1, files{"a": "1"})
	if out := s.sync(y, Request{Who: "ana"}); !out.Published || out.Pinned {
		t.Errorf("a person: %+v", out)
	}
	if v := s.want(2, files{"a": "2"}); v.record.Pinned != nil {
		t.Error("still pinned")
	}
}
