package syncer

import (
	"context"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"satchel/store"
)

// meanwhile is a store in which something happens once, just before an
// operation.
type meanwhile struct {
	store.Store
	before string // the operation's name and a part of its key
	then   func()
}

func (m *meanwhile) at(op, key string) {
	what, part, _ := strings.Cut(m.before, " ")
	if then := m.then; then != nil && op == what && strings.Contains(key, part) {
		m.then = nil
		then()
	}
}

func (m *meanwhile) PutIfAbsent(ctx context.Context, key string, body io.ReadSeeker) error {
	m.at("add", key)
	return m.Store.PutIfAbsent(ctx, key, body)
}

func (m *meanwhile) CompareAndSwap(ctx context.Context, key, etag string, data []byte) (string, error) {
	m.at("swap", key)
	return m.Store.CompareAndSwap(ctx, key, etag, data)
}

func (m *meanwhile) List(ctx context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	m.at("list", prefix)
	return m.Store.List(ctx, prefix, after)
}

// leaky is a course with something to take back, published.
func leaky(t *testing.T) *site {
	s := newSite(t)
	s.repo.commit(files{"a.txt": "a", "leak.txt": "secret", "b.txt": "b"})
	s.sync(s.syncer())
	return s
}

func (s *site) mustWithdraw(y *Syncer, path string) Withdrawal {
	s.t.Helper()
	w, err := s.withdraw(y, Command{Path: path})
	if err != nil || !w.Done {
		s.t.Fatalf("%+v, %v", w, err)
	}
	return w
}

// Who read that there is no record, and then that the log knows a version, has
// met another syncer's first publish.
func TestFirstVersionOfAnotherIsNoLostRecord(t *testing.T) {
	s := newSite(t)
	s.repo.commit(files{"a": "1"})
	out := s.sync(s.syncer(&meanwhile{s.st, "list /log/", func() { s.sync(s.syncer()) }}))
	if out.Published || out.Version != 1 || out.Stats.Tries != 2 {
		t.Errorf("outcome %+v", out)
	}
}

// A syncer that starts in the middle of a withdrawal does what is written
// down; whoever began it finds it done.
func TestWithdrawalIsDoneOnce(t *testing.T) {
	s := leaky(t)
	y := s.syncer(&meanwhile{s.st, "swap /record", func() { s.sync(s.syncer()) }})
	if w := s.mustWithdraw(y, "leak.txt"); w.Version != 2 {
		t.Errorf("version %d; want one without the file, and no other", w.Version)
	}
	s.want(2, files{"a.txt": "a", "b.txt": "b"})
	if s.stored()["secret"] {
		t.Error("the store holds it")
	}
}

// Two people take back the same at once.
func TestTwoWithdrawalsOfOneFileMakeOneVersion(t *testing.T) {
	s := leaky(t)
	s.mustWithdraw(s.syncer(&meanwhile{s.st, "swap /record", func() { s.mustWithdraw(s.syncer(), "leak.txt") }}), "leak.txt")
	s.want(2, files{"a.txt": "a", "b.txt": "b"})
}

// One that broke off after it was written down is done by the next pass.
func TestWithdrawalThatBrokeOffIsDoneByTheNextPass(t *testing.T) {
	s := leaky(t)
	m := &mortal{Store: s.st, once: true}
	y := s.syncer(m)
	s.sync(y)
	m.left = 4 // the put of the new bundle, after the record, the bundle and the log
	if w, err := s.withdraw(y, Command{Path: "leak.txt"}); err == nil || w.Done || !strings.Contains(err.Error(), "tries again") {
		t.Fatalf("%+v, %v", w, err)
	}
	s.sync(y)
	s.want(2, files{"a.txt": "a", "b.txt": "b"})
	if s.stored()["secret"] {
		t.Error("the store holds it")
	}
}

// The same bytes under another path stay, also when they come while the store
// is swept.
func TestSameBytesComeBackWhileTheStoreIsSwept(t *testing.T) {
	s := leaky(t)
	want := files{"a.txt": "a", "b.txt": "b", "allowed.txt": "secret"}
	s.mustWithdraw(s.syncer(&meanwhile{s.st, "list /bundles/", func() {
		s.repo.commit(want)
		s.sync(s.syncer())
	}}), "leak.txt")
	s.want(3, want)
}

// Who was about to publish what is withdrawn meanwhile leaves no object with it.
func TestPublishThatAWithdrawalOvertakesLeavesNothing(t *testing.T) {
	s := leaky(t)
	s.repo.commit(files{"a.txt": "a", "b.txt": "b", "leak.txt": "new secret"})
	s.sync(s.syncer())
	s.repo.commit(files{"a.txt": "a", "b.txt": "b"})
	s.sync(s.syncer())
	s.repo.commit(files{"a.txt": "a", "b.txt": "b", "leak.txt": "new secret", "c.txt": "c"})
	s.sync(s.syncer(&meanwhile{s.st, "add /bundles/", func() { s.mustWithdraw(s.syncer(), "leak.txt") }}))
	if v := s.view(); v.files["leak.txt"] != "" || v.files["c.txt"] != "c" || s.stored()["new secret"] {
		t.Errorf("version %d: %q; the store holds it: %v", v.version, v.files, s.stored()["new secret"])
	}
}

// A full bundle that was made before a withdrawal is not named after it, and
// does not stay.
func TestCompactionThatAWithdrawalOvertakes(t *testing.T) {
	s := leaky(t)
	for range 3 {
		s.repo.commit(files{"a.txt": strings.Repeat(time.Now().String(), 20), "leak.txt": "secret", "b.txt": "b"})
		s.sync(s.syncer())
		s.clock.add(2 * time.Minute)
	}
	y := s.syncer(&meanwhile{s.st, "swap /record", func() { s.mustWithdraw(s.syncer(), "leak.txt") }})
	if s.compact(y) {
		t.Error("it says that it wrote full bundles")
	}
	s.sync(y)
	if s.stored()["secret"] {
		t.Error("the store holds it")
	}
	s.compact(y)
	s.want(5, s.view().files)
}

// A version whose commit had rules can be gone back to when there are none any
// more.
func TestRollbackToBeforeTheRulesWentAway(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(files{"a.txt": "1", ".satchel.yaml": "message: hello\n"})
	s.sync(y)
	s.repo.commit(files{"a.txt": "2"})
	s.sync(y)
	if out, err := s.command(y, s.rollback, Command{Version: 1}); err != nil || !out.Published {
		t.Fatalf("%+v, %v", out, err)
	}
	if v := s.want(3, files{"a.txt": "1"}); v.head.Message != "" {
		t.Errorf("message %q; want today's, which is none", v.head.Message)
	}
}
