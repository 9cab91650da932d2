package syncer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/store"
)

func TestBrokenRulesKeepTheLastVersion(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(files{"a": "1"})
	s.sync(y)
	tip := s.repo.commit(files{"a": "2", ".satchel.yaml": "message: hi\nhiden: [x]\n"})
	r := s.refused(y, Content)
	if len(r.Findings) != 1 || r.Findings[0].Path != ".satchel.yaml" || r.Findings[0].Line != 2 || r.Commit != tip {
		t.Errorf("refusal %+v", r)
	}
	s.want(1, files{"a": "1"})
	s.repo.commit(files{"a": "3"})
	s.sync(y)
	s.want(2, files{"a": "3"})
}

func TestEachRefusalIsLoggedOnceAndReadOnce(t *testing.T) {
	s := newSite(t)
	s.repo.commit(files{"a": "1"})
	one, two := s.syncer(), s.syncer()
	s.sync(one)
	first := s.repo.commit(files{"a": "2", ".SATCHEL/x": "x"})
	for _, y := range []*Syncer{one, two, one, one, s.syncer()} {
		s.refused(y, Content)
	}
	if out, _ := s.try(one); out.Stats.FilesRead > 0 || out.Stats.Took("select") > 0 {
		t.Errorf("a refused commit is read again and again: %+v", out.Stats)
	}
	s.repo.commit(files{"a": "2", ".satchel.yaml": "["})
	s.refused(one, Content)
	s.refused(two, Content)
	es := s.log()
	if got := s.actions(); !slices.Equal(got, []string{"publish 1", "refuse", "refuse"}) {
		t.Fatalf("log %q", got)
	}
	if es[1].Commit != first || len(es[1].Notes) != 1 || !strings.Contains(es[1].Notes[0], ".SATCHEL") || es[1].Who != "syncer" {
		t.Errorf("entry %+v", es[1])
	}
	// A person who asks is answered from a new look, and every time logged.
	s.refused(one, Content, Request{Who: "ana"})
	s.refused(one, Content, Request{Who: "ana"})
	if got := s.actions(); len(got) != 5 || s.log()[0].Who != "ana" {
		t.Errorf("log %q", got)
	}
}

func TestEmptyTreeIsRefused(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(files{"private/x": "1"})
	if _, err := s.try(y); isRefusal(err) == nil {
		t.Fatalf("first publish of nothing: %v", err)
	}
	s.repo.commit(files{"a": "1"})
	s.sync(y)
	s.repo.commit(nil)
	if _, err := s.try(y, Request{Who: "ana", ConfirmShrink: true}); isRefusal(err) == nil {
		t.Fatalf("nothing at all, confirmed: %v", err)
	}
	s.want(1, files{"a": "1"})
}

func TestBranchGoneAndRepositoryGone(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(files{"a": "1"})
	s.sync(y)
	s.repo.git("branch", "-m", "elsewhere")
	r := s.refused(y, Gone)
	if !strings.Contains(r.Sentence, "main") {
		t.Errorf("the sentence does not name the branch: %s", r.Sentence)
	}
	s.refused(y, Gone)
	if got := s.actions(); !slices.Equal(got, []string{"publish 1", "refuse"}) {
		t.Errorf("log %q", got)
	}
	s.repo.git("branch", "-m", "main")
	s.sync(y)
	if err := os.Rename(s.repo.dir, s.repo.dir+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.try(y); err == nil {
		t.Error("a repository that is not there was synced")
	}
	s.want(1, files{"a": "1"})
	if err := os.Rename(s.repo.dir+".away", s.repo.dir); err != nil {
		t.Fatal(err)
	}
	s.repo.commit(files{"a": "2"})
	s.sync(y)
	s.want(2, files{"a": "2"})
}

func TestFolderGone(t *testing.T) {
	s := newSite(t)
	s.c.Folder = "notebooks"
	y := s.syncer()
	s.repo.commit(files{"notebooks/a": "1", "secret": "x"})
	s.sync(y)
	s.want(1, files{"a": "1"})
	s.repo.commit(files{"secret": "x"})
	s.refused(y, Gone)
	s.want(1, files{"a": "1"})
}

func TestShrinkingNeedsAConfirmation(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	all := files{}
	for i := range 9 {
		all[fmt.Sprint("f", i)] = fmt.Sprint("content ", i)
	}
	s.repo.commit(all)
	s.sync(y)
	half := files{}
	for i := range 4 {
		half[fmt.Sprint("f", i)] = fmt.Sprint("content ", i)
	}
	tip := s.repo.commit(half)
	r := s.refused(y, Shrink)
	if len(r.Findings) != 5 || r.Findings[0].Path != "f4" || !strings.Contains(r.Sentence, "5 of 9") || !strings.Contains(r.Sentence, "--confirm-shrink") {
		t.Errorf("refusal %v", r)
	}
	s.refused(s.syncer(), Shrink)
	s.want(1, all)
	out := s.sync(y, Request{Who: "ana", ConfirmShrink: true})
	if !out.Published || out.Removed != 5 {
		t.Errorf("outcome %+v", out)
	}
	v := s.want(2, half)
	if c := v.record.Confirmed; c == nil || c.Commit != tip || c.Who != "ana" {
		t.Errorf("confirmation %+v", c)
	}
	if e := s.log()[0]; e.Who != "ana" || e.Why != "shrinking confirmed" || e.Version != 2 {
		t.Errorf("entry %+v", e)
	}
	// It was for that commit only.
	s.repo.commit(files{"f0": "content 0"})
	s.refused(y, Shrink)
	s.want(2, half)
}

func TestConfirmationInTheRecordLetsThatCommitThrough(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(files{"a": "1", "b": "2", "c": "3"})
	s.sync(y)
	tip := s.repo.commit(files{"a": "1"})
	s.refused(y, Shrink)
	rec, etag, err := store.ReadRecord(t.Context(), s.st, "scala101")
	if err != nil {
		t.Fatal(err)
	}
	rec.Confirmed, rec.Publish = &store.Confirmation{Commit: tip}, "test"
	if _, err := store.SwapRecord(t.Context(), s.st, rec, etag); err != nil {
		t.Fatal(err)
	}
	s.sync(y)
	s.want(2, files{"a": "1"})
}

func TestMovingEverythingIsNoShrinking(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(files{"week1/a": "1", "week1/b": "2", "week1/c": "3"})
	s.sync(y)
	s.repo.commit(files{"first/a": "1", "first/b": "2", "first/c": "3"})
	s.sync(y)
	s.want(2, files{"first/a": "1", "first/b": "2", "first/c": "3"})
}

// Empty files all look alike: that another one stays does not make them moved.
func TestRemovingManyEqualFilesIsShrinking(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(files{"a/__init__.py": "", "b/__init__.py": "", "c/__init__.py": "", "d/__init__.py": ""})
	s.sync(y)
	s.repo.commit(files{"a/__init__.py": "", "e/__init__.py": ""})
	s.sync(y) // one stays, one moved, two are gone: half
	s.repo.commit(files{"e/__init__.py": ""})
	s.sync(y)
	s.repo.commit(files{"a/__init__.py": "", "b/__init__.py": "", "c/__init__.py": "", "e/__init__.py": ""})
	s.sync(y)
	s.repo.commit(files{"e/__init__.py": ""})
	if r := s.refused(y, Shrink); len(r.Findings) != 3 {
		t.Errorf("%v", r)
	}
}

// A hospital's clock: ours is behind what was published, or ahead.
func TestClockBehindTheLastPublish(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(files{"a": "1"})
	s.sync(y)
	first := s.view().head.Published
	s.clock.add(-50 * time.Second)
	s.repo.commit(files{"a": "2"})
	s.sync(y)
	if v := s.want(2, files{"a": "2"}); !v.head.Published.Equal(first) {
		t.Errorf("published %v; want %v, the former time", v.head.Published, first)
	}
	s.clock.add(-time.Hour)
	s.repo.commit(files{"a": "3"})
	r := s.refused(y, Clock)
	if !strings.Contains(r.Sentence, "clock") {
		t.Errorf("%v", r)
	}
	s.want(2, files{"a": "2"})
	s.refused(y, Clock)
	if got := s.actions(); !slices.Equal(got, []string{"refuse", "publish 1", "publish 2"}) {
		t.Errorf("log %q; want one refusal however often it is tried", got)
	}
	s.clock.add(2 * time.Hour)
	s.sync(y)
	s.want(3, files{"a": "3"})
}

func TestClockThatDiffersFromTheStores(t *testing.T) {
	for _, off := range []time.Duration{-10 * 365 * 24 * time.Hour, -61 * time.Second, 61 * time.Second, 10 * 365 * 24 * time.Hour} {
		s := newSite(t)
		s.repo.commit(files{"a": "1"})
		st := &timed{Store: s.st, now: func() time.Time { return s.clock.Now().Add(off) }}
		r := s.refused(s.syncer(st), Clock)
		if !strings.Contains(r.Sentence, "differ by") {
			t.Errorf("%v: %v", off, r)
		}
		s.want(0, nil)
	}
	s := newSite(t)
	s.repo.commit(files{"a": "1"})
	st := &timed{Store: s.st, now: func() time.Time { return s.clock.Now().Add(59 * time.Second) }}
	s.sync(s.syncer(st))
	s.want(1, files{"a": "1"})
	// Signing anew holds to the same clock.
	s.clock.add(25 * time.Hour)
	st.now = func() time.Time { return s.clock.Now().Add(-time.Hour) }
	s.refused(s.syncer(st), Clock)
}

func TestConfigurationOfARollOutDoesNotFlap(t *testing.T) {
	s := newSite(t)
	s.repo.commit(files{"old/a": "old", "new/a": "new"})
	before, after := s.c, s.c
	before.Folder, after.Folder = "old", "new"
	one, two := s.syncer(), s.syncer()
	s.c = before
	s.sync(one)
	s.c = after
	s.sync(two)
	s.want(2, files{"a": "new"})
	s.c = before
	r := s.refused(one, Configuration)
	if !strings.Contains(r.Sentence, "--take-configuration") {
		t.Errorf("%v", r)
	}
	s.repo.commit(files{"old/a": "old 2", "new/a": "new 2"})
	s.refused(one, Configuration)
	s.c = after
	s.sync(two)
	s.want(3, files{"a": "new 2"})
	// On purpose, it goes back; then the other one is the superseded.
	s.c = before
	s.sync(one, Request{Who: "ana", Take: true})
	s.want(4, files{"a": "old 2"})
	s.c = after
	s.refused(two, Configuration)
	s.c = before
	s.sync(one)
	if got := s.actions(); !slices.Equal(got, []string{"publish 1", "publish 2", "refuse", "publish 3", "publish 4", "refuse"}) {
		t.Errorf("log %q", got)
	}
}

func TestSameContentByAnotherConfigurationIsTakenAtOnce(t *testing.T) {
	s := newSite(t)
	s.repo.commit(files{"old/a": "1", "new/a": "1"})
	before := s.c
	before.Folder, s.c.Folder = "new", "old"
	y, z := s.syncer(), s.syncer()
	s.sync(y)
	s.c, before = before, s.c
	if out := s.sync(z); out.Published || out.Version != 1 {
		t.Errorf("outcome %+v", out)
	}
	s.c = before
	s.refused(y, Configuration)
}

func TestRecordOfANewerSatchelIsLeftAlone(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(files{"a": "1"})
	s.sync(y)
	newer := []byte(`{"format":2,"course":"scala101","something":"new"}`)
	if err := s.st.Put(t.Context(), store.RecordKey("scala101"), bytes.NewReader(newer)); err != nil {
		t.Fatal(err)
	}
	s.repo.commit(files{"a": "2"})
	for _, req := range []Request{{}, {Who: "ana", ConfirmShrink: true, Take: true}} {
		if _, err := s.try(y, req); !errors.Is(err, bundle.ErrFormat) {
			t.Errorf("%v; want ErrFormat", err)
		}
	}
	if got := get(t, s.st, store.RecordKey("scala101")); !bytes.Equal(got, newer) {
		t.Errorf("the record was changed to %s", got)
	}
}

// The record's own format may be known while the head in it is not.
func TestHeadOfANewerSatchelIsLeftAlone(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(files{"a": "1"})
	s.sync(y)
	rec, etag, err := store.ReadRecord(t.Context(), s.st, "scala101")
	if err != nil {
		t.Fatal(err)
	}
	rec.Head.Payload, rec.Publish = []byte(`{"format":2,"course":"scala101","version":1}`), "test"
	if _, err := store.SwapRecord(t.Context(), s.st, rec, etag); err != nil {
		t.Fatal(err)
	}
	before := get(t, s.st, store.RecordKey("scala101"))
	s.repo.commit(files{"a": "2"})
	if _, err := s.try(y); !errors.Is(err, bundle.ErrFormat) {
		t.Errorf("%v; want ErrFormat", err)
	}
	if !bytes.Equal(before, get(t, s.st, store.RecordKey("scala101"))) {
		t.Error("the record was changed")
	}
}

func TestMissingOrDamagedBundleIsSaidAndNothingIsPublishedOverIt(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(files{"a": "1"})
	s.sync(y)
	key := store.BundleKey("scala101", s.view().record.Channels[0].Bundles[0].Digest)
	good := get(t, s.st, key)
	s.repo.commit(files{"a": "2"})
	if err := s.st.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if _, err := s.try(s.syncer()); !errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), "backup") {
		t.Errorf("missing: %v", err)
	}
	if err := s.st.Put(t.Context(), key, bytes.NewReader(good[:len(good)-len(good)/2])); err != nil {
		t.Fatal(err)
	}
	if _, err := s.try(s.syncer()); !errors.Is(err, bundle.ErrCorrupt) {
		t.Errorf("damaged: %v", err)
	}
	if err := s.st.Put(t.Context(), key, bytes.NewReader(good)); err != nil {
		t.Fatal(err)
	}
	s.sync(s.syncer())
	s.want(2, files{"a": "2"})
}

// A store that was tampered with: the record names a bundle that is well-formed
// and of the right versions, but does not lead to what the head names.
func TestBundleThatLeadsElsewhereIsFound(t *testing.T) {
	for name, tamper := range map[string]func(*bundle.Spec){
		"another manifest": func(s *bundle.Spec) { s.Manifest.Files[0].Mode = 0o755 },
		"another history":  func(s *bundle.Spec) { s.Former, _ = s.Former.Add(bundle.Former{Path: "b", Digest: bundle.Sum(nil)}) },
	} {
		s := newSite(t)
		s.repo.commit(files{"a": "1"})
		y := s.syncer()
		s.sync(y)
		c := y.known["scala101"].former
		rec, etag, err := store.ReadRecord(t.Context(), s.st, "scala101")
		if err != nil {
			t.Fatal(err)
		}
		ch := &rec.Channels[0]
		m := *c[ch.ID].manifest
		m.Files = slices.Clone(m.Files)
		spec := bundle.Spec{Course: "scala101", Channel: ch.ID, To: 1, Manifest: &m, Former: c[ch.ID].history}
		tamper(&spec)
		b, err := bundle.Build(t.Context(), t.TempDir(), spec, mapFS{"a": "1"})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Discard()
		if err := store.PutBundle(t.Context(), s.st, "scala101", b.Digest, b.File); err != nil {
			t.Fatal(err)
		}
		ch.Bundles[0].Digest, ch.Bundles[0].Size, rec.Publish = b.Digest, b.Size, "tampered"
		if _, err := store.SwapRecord(t.Context(), s.st, rec, etag); err != nil {
			t.Fatal(err)
		}
		s.repo.commit(files{"a": "2"})
		if _, err := s.try(s.syncer()); !errors.Is(err, bundle.ErrCorrupt) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A content in Git LFS that was not pushed stops that commit, with its path,
// and is asked for at each look: it may come without a push.
func TestAContentInLFSThatIsNotThere(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(map[string]string{"a.txt": "a"})
	s.sync(y)
	sum := sha256.Sum256([]byte("content"))
	oid := hex.EncodeToString(sum[:])
	s.repo.commit(map[string]string{"a.txt": "a", "data/big.csv": "version https://git-lfs.github.com/spec/v1\noid sha256:" + oid + "\nsize 7\n"})
	for range 2 {
		r := s.refused(y, Content)
		if len(r.Findings) != 1 || r.Findings[0].Path != "data/big.csv" || !strings.Contains(r.Findings[0].Reason, "git lfs fetch") {
			t.Errorf("%+v", r.Findings)
		}
	}
	if v := s.view(); v.version != 1 {
		t.Errorf("version %d", v.version)
	}
	dir := filepath.Join(s.repo.dir, ".git/lfs/objects", oid[:2], oid[2:4])
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, oid), []byte("content"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if out := s.sync(y); !out.Published || s.view().files["data/big.csv"] != "content" {
		t.Errorf("%+v: %q", out, s.view().files)
	}
	// Later it is not needed any more: the content's digest is remembered.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	s.repo.write("b.txt", "b")
	s.repo.save()
	if out := s.sync(y); !out.Published || s.view().files["data/big.csv"] != "content" {
		t.Errorf("%+v: %q", out, s.view().files)
	}
}
