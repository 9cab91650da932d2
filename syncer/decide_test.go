package syncer

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/store"
)

func (s *site) command(y *Syncer, do func(*Syncer, context.Context, Command) (Outcome, error), cmd Command) (Outcome, error) {
	s.t.Helper()
	cmd.Course, cmd.Who = string(s.c.Name), "ana"
	s.clock.add(time.Second)
	return do(y, context.Background(), cmd)
}

func (s *site) pause(y *Syncer, ctx context.Context, cmd Command) (Outcome, error) {
	c := s.c
	return y.Pause(ctx, &c, cmd)
}

func (s *site) resume(y *Syncer, ctx context.Context, cmd Command) (Outcome, error) {
	c := s.c
	return y.Resume(ctx, &c, cmd)
}

func (s *site) rollback(y *Syncer, ctx context.Context, cmd Command) (Outcome, error) {
	c := s.c
	return y.Rollback(ctx, &c, cmd)
}

func (s *site) withdraw(y *Syncer, cmd Command) (Withdrawal, error) {
	s.t.Helper()
	cmd.Course, cmd.Who, cmd.Confirm = string(s.c.Name), "ana", true
	s.clock.add(time.Second)
	c := s.c
	return y.Withdraw(context.Background(), &c, cmd)
}

func TestPauseAndResume(t *testing.T) {
	s := newSite(t)
	y, other := s.syncer(), s.syncer()
	s.repo.commit(map[string]string{"a.txt": "one"})
	if out, err := s.command(y, s.pause, Command{Why: "not yet"}); err != nil || !out.Decided {
		t.Fatalf("a course that has published nothing: %+v, %v", out, err)
	}
	s.sync(y)
	if v := s.view(); v.record.Paused == nil || v.record.Paused.Who != "ana" || v.record.Paused.Why != "not yet" || v.version != 1 {
		t.Fatalf("%+v: publishing goes on, and the pause stays", v.record)
	}
	if out, err := s.command(other, s.pause, Command{}); err != nil || out.Decided {
		t.Errorf("paused twice: %+v, %v", out, err)
	}
	s.repo.commit(map[string]string{"a.txt": "two"})
	out, err := s.command(other, s.resume, Command{})
	if err != nil || !out.Decided || out.Version != 2 || s.view().record.Paused != nil {
		t.Errorf("%+v, %v", out, err)
	}
	if out, err := s.command(y, s.resume, Command{}); err != nil || out.Decided {
		t.Errorf("resumed twice: %+v, %v", out, err)
	}
	if got := s.actions(); !slices.Equal(got, []string{"pause", "publish 1", "publish 2", "resume 1", "look"}) {
		t.Errorf("the log: %q", got)
	}
	if st := y.board.status().Courses[0]; st.Paused != nil || st.Pin != nil {
		t.Errorf("status: %+v", st)
	}
	s.command(y, s.pause, Command{})
	s.repo.commit(map[string]string{"a.txt": "three"})
	if err := os.Rename(s.repo.dir, s.repo.dir+"-away"); err != nil {
		t.Fatal(err)
	}
	out, err = s.command(y, s.resume, Command{})
	if err == nil || !out.Decided || s.view().record.Paused != nil || !strings.HasPrefix(err.Error(), "it is resumed, but: ") {
		t.Errorf("resumed while the repository is away: %+v, %v", out, err)
	}
}

func TestRollback(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	for _, text := range []string{"one", "two", "three"} {
		s.repo.commit(map[string]string{"a.txt": text, "only-in-" + text: text, "b.txt": "b"})
		s.sync(y)
	}
	tip := s.repo.git("rev-parse", "HEAD")
	out, err := s.command(y, s.rollback, Command{Version: 1, Why: "three was wrong"})
	if err != nil || !out.Published || out.Version != 4 {
		t.Fatalf("%+v, %v", out, err)
	}
	v := s.view()
	if v.files["a.txt"] != "one" || v.files["only-in-one"] == "" || v.files["only-in-three"] != "" {
		t.Errorf("%q", v.files)
	}
	if pin := v.record.Pinned; pin == nil || pin.Version != 1 || pin.Tip != tip || pin.Who != "ana" || pin.Why != "three was wrong" {
		t.Errorf("%+v", pin)
	}
	// The loop leaves it, also after a push; a person who asks before one too.
	if out := s.sync(y, Request{Course: "scala101", Who: "ana"}); out.Published || !out.Pinned {
		t.Errorf("%+v", out)
	}
	s.repo.commit(map[string]string{"a.txt": "four", "b.txt": "b"})
	if out := s.sync(y); out.Published || !out.Pinned || s.view().files["a.txt"] != "one" {
		t.Errorf("%+v", out)
	}
	if st := y.board.status().Courses[0]; st.Pin == nil || !st.Pinned || st.Commit == st.Tip {
		t.Errorf("the status does not show that a commit waits: %+v", st)
	}
	// Whoever says so after a push is heard.
	if out := s.sync(y, Request{Course: "scala101", Who: "ana"}); !out.Published || s.view().files["a.txt"] != "four" || s.view().record.Pinned != nil {
		t.Errorf("%+v", out)
	}
	// Resume does it at once.
	if _, err := s.command(y, s.rollback, Command{Version: 2}); err != nil {
		t.Fatal(err)
	}
	if out, err := s.command(y, s.resume, Command{}); err != nil || !out.Published || s.view().files["a.txt"] != "four" {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestRollbackByTodaysRules(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(map[string]string{"a.txt": "one", "exam.txt": "exam"})
	s.sync(y)
	s.repo.commit(map[string]string{"a.txt": "two", ".satchel.yaml": "hide: [exam.txt]\nmessage: today\n"})
	s.sync(y)
	if _, err := s.command(y, s.rollback, Command{Version: 1}); err != nil {
		t.Fatal(err)
	}
	if v := s.view(); v.files["a.txt"] != "one" || v.files["exam.txt"] != "" || v.head.Message != "today" {
		t.Errorf("%q, message %q", v.files, v.head.Message)
	}
}

func TestRollbacksThatAreRefused(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	_, err := s.command(y, s.rollback, Command{Version: 1})
	if r := isRefusal(err); r == nil {
		t.Fatalf("nothing was published: %v", err)
	}
	for i := range 3 {
		s.repo.commit(map[string]string{"a.txt": strings.Repeat("x", i+1)})
		s.sync(y)
	}
	for _, v := range []bundle.Version{3, 4, 99} {
		if _, err := s.command(y, s.rollback, Command{Version: v}); isRefusal(err) == nil {
			t.Errorf("to version %d: %v", v, err)
		}
	}
	if v := s.view(); v.version != 3 || v.record.Pinned != nil {
		t.Errorf("%+v", v.record)
	}
	// A refusal of a rollback (today's rules leave nothing of it) is none of the
	// commit that waits.
	s.repo.commit(map[string]string{"b.txt": "more", ".satchel.yaml": "hide: [a.txt]\n"})
	if _, err := s.command(y, s.rollback, Command{Version: 1}); isRefusal(err) == nil || isRefusal(err).Cause != Content {
		t.Errorf("%v", err)
	}
	if out := s.sync(y, Request{Course: "scala101", ConfirmShrink: true}); !out.Published {
		t.Errorf("%+v", out)
	}
}

// stored reads all bundles that lie in the store, named or not, and gives all
// contents.
func (s *site) stored() map[string]bool {
	s.t.Helper()
	ctx, all := context.Background(), map[string]bool{}
	for o, err := range s.st.List(ctx, store.BundlePrefix(string(s.c.Name)), "") {
		if err != nil {
			s.t.Fatal(err)
		}
		body, _, err := s.st.Get(ctx, o.Key)
		if err != nil {
			s.t.Fatal(err)
		}
		data, err := io.ReadAll(body)
		body.Close()
		if err != nil {
			s.t.Fatal(err)
		}
		contents := map[bundle.Digest]string{}
		ref := store.BundleRef{Digest: bundle.Sum(data), Size: int64(len(data))}
		if _, err := s.readBundle(ctx, ref, contents); err != nil {
			s.t.Fatal(err)
		}
		for _, text := range contents {
			all[text] = true
		}
	}
	return all
}

func TestWithdrawAPath(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(map[string]string{"a.txt": "a", "hw/leak.txt": "secret", "copy.txt": "shared", "hw/shared.txt": "shared", "b.txt": "b"})
	s.sync(y)
	s.repo.commit(map[string]string{"a.txt": "a2", "hw/leak.txt": "secret", "copy.txt": "shared", "hw/shared.txt": "shared", "b.txt": "b"})
	s.sync(y)
	c := s.c
	list, err := y.Withdraw(t.Context(), &c, Command{Course: "scala101", Who: "ana", Path: "hw"})
	if err != nil || list.Done || len(list.Pairs) != 2 || s.view().version != 2 {
		t.Fatalf("the list: %+v, %v", list, err)
	}
	w, err := s.withdraw(y, Command{Path: "hw/", Why: "too early"})
	if err != nil || !w.Done || w.Version != 3 || w.Deleted == 0 {
		t.Fatalf("%+v, %v", w, err)
	}
	v := s.view()
	if v.files["hw/leak.txt"] != "" || v.files["hw/shared.txt"] != "" || v.files["copy.txt"] != "shared" || v.files["a.txt"] != "a2" {
		t.Errorf("%q", v.files)
	}
	if got := s.stored(); got["secret"] || !got["shared"] || !got["b"] {
		t.Errorf("the store has %v", got)
	}
	// Students who have it are told to take it away.
	m := y.known["scala101"].former[v.record.Channels[0].ID].manifest
	if want := []bundle.Pair{{Path: "hw/leak.txt", Digest: bundle.Sum([]byte("secret"))}, {Path: "hw/shared.txt", Digest: bundle.Sum([]byte("shared"))}}; !slices.Equal(m.Withdrawn, want) {
		t.Errorf("withdrawn: %v", m.Withdrawn)
	}
	// The same content stays out, whatever is pushed; another goes out.
	s.repo.commit(map[string]string{"a.txt": "a3", "hw/leak.txt": "secret", "copy.txt": "shared", "b.txt": "b"})
	if s.sync(y); s.view().files["hw/leak.txt"] != "" || s.stored()["secret"] {
		t.Error("it went out again")
	}
	s.repo.commit(map[string]string{"a.txt": "a3", "hw/leak.txt": "corrected", "copy.txt": "shared", "b.txt": "b"})
	if s.sync(y); s.view().files["hw/leak.txt"] != "corrected" {
		t.Error("what is no secret any more does not go out")
	}
	if _, err := s.withdraw(y, Command{Path: "nowhere"}); isRefusal(err) == nil {
		t.Errorf("a path that is not there: %v", err)
	}
	// By a syncer that knows nothing, too.
	if w, err := s.withdraw(s.syncer(), Command{Path: "hw/leak.txt"}); err != nil || len(w.Pairs) != 1 || s.stored()["corrected"] {
		t.Errorf("%+v, %v", w, err)
	}
	if got := s.actions(); !slices.Equal(got, []string{"publish 1", "publish 2", "publish 3", "withdraw 2", "publish 4", "publish 5", "publish 6", "withdraw 5"}) {
		t.Errorf("the log: %q", got)
	}
}

func TestWithdrawAVersion(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(map[string]string{"a.txt": "a", "b.txt": "b"})
	s.sync(y)
	s.repo.commit(map[string]string{"a.txt": "a", "b.txt": "b2", "new.txt": "new"})
	s.sync(y)
	s.repo.commit(map[string]string{"a.txt": "a", "b.txt": "b2", "new.txt": "new", "c.txt": "c"})
	s.sync(y)
	w, err := s.withdraw(y, Command{Version: 2})
	if err != nil || len(w.Pairs) != 2 {
		t.Fatalf("%+v, %v", w, err)
	}
	if v := s.view(); v.files["a.txt"] != "a" || v.files["c.txt"] != "c" || len(v.files) != 2 {
		t.Errorf("%q", v.files)
	}
	if got := s.stored(); got["b2"] || got["new"] || !got["b"] {
		t.Errorf("the store has %v", got)
	}
}

// A store that is brought back from before a withdrawal learns of it again: by
// its log, or where that is older too, by the syncer's own folder.
func TestAStoreFromBeforeAWithdrawal(t *testing.T) {
	for name, lost := range map[string]bool{"the log is there": false, "the log is lost": true} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			state := t.TempDir()
			open := func() *Syncer {
				return New(testLog(t), s.st, Options{StateDir: state, Now: s.clock.Now, Keys: func() []bundle.SigningKey { return []bundle.SigningKey{s.key} }})
			}
			y := open()
			s.repo.commit(map[string]string{"a.txt": "a", "leak.txt": "secret"})
			s.sync(y)
			root := filepath.Join(s.dir, "courses")
			backup := filepath.Join(t.TempDir(), "backup")
			if err := os.CopyFS(backup, os.DirFS(root)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.withdraw(y, Command{Path: "leak.txt"}); err != nil {
				t.Fatal(err)
			}
			log := filepath.Join(t.TempDir(), "log")
			if err := os.CopyFS(log, os.DirFS(filepath.Join(root, "scala101", "log"))); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.RemoveAll(filepath.Join(root, "scala101")), os.CopyFS(root, os.DirFS(backup))); err != nil {
				t.Fatal(err)
			}
			if !lost {
				if err := errors.Join(os.RemoveAll(filepath.Join(root, "scala101", "log")), os.CopyFS(filepath.Join(root, "scala101", "log"), os.DirFS(log))); err != nil {
					t.Fatal(err)
				}
				state = t.TempDir() // another machine
			}
			if !s.stored()["secret"] {
				t.Fatal("the backup is none")
			}
			s.sync(open())
			if v := s.view(); v.files["leak.txt"] != "" || v.files["a.txt"] != "a" || s.stored()["secret"] {
				t.Errorf("version %d: %q", v.version, v.files)
			}
		})
	}
}

// Several syncers and people at once make one history, and each decision took
// effect once or says why not.
func TestDecisionsRace(t *testing.T) {
	for seed := range 20 {
		s := newSite(t)
		first := s.syncer()
		for i := range 3 {
			s.repo.commit(map[string]string{"a.txt": strings.Repeat("a", i+1), "secret.txt": "secret", "b.txt": "b"})
			s.sync(first)
		}
		ys := []*Syncer{s.syncer(), s.syncer()}
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				c, y := s.c, ys[(i+seed)%2]
				ctx := context.Background()
				cmd := Command{Course: "scala101", Who: "ana", Version: 1, Path: "", Confirm: true}
				var err error
				switch (i + seed) % 5 {
				case 0:
					_, err = y.Pause(ctx, &c, cmd)
				case 1:
					_, err = y.Rollback(ctx, &c, cmd)
				case 2:
					cmd.Path, cmd.Version = "secret.txt", 0
					_, err = y.Withdraw(ctx, &c, cmd)
				case 3:
					_, err = y.Resume(ctx, &c, cmd)
				default:
					_, err = y.Sync(ctx, &c, Request{Course: "scala101"})
				}
				if err != nil && isRefusal(err) == nil {
					t.Errorf("%v", err)
				}
			})
		}
		wg.Wait()
		s.sync(s.syncer())
		v := s.view()
		if v.files["secret.txt"] != "" || s.stored()["secret"] {
			t.Errorf("seed %d: what was taken back is there: %q", seed, v.files)
		}
		entries, err := store.Entries(context.Background(), s.st, "scala101", 100)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[bundle.Version]bool{}
		for _, e := range entries {
			if e.Action == "publish" {
				if seen[e.Version] {
					t.Errorf("seed %d: version %d was published twice", seed, e.Version)
				}
				seen[e.Version] = true
			}
		}
		for n := bundle.Version(1); n <= v.version; n++ {
			if !seen[n] {
				t.Errorf("seed %d: version %d is not in the log", seed, n)
			}
		}
	}
}

// overtaking is a store in which something happens before the first bundle is
// read.
type overtaking struct {
	store.Store
	first func()
}

func (o *overtaking) Get(ctx context.Context, key string) (io.ReadCloser, store.Object, error) {
	if first := o.first; first != nil && strings.Contains(key, "/bundles/") {
		o.first = nil
		first()
	}
	return o.Store.Get(ctx, key)
}

// A withdrawal deletes what another syncer is just about to read: that begins
// again, and does its own.
func TestWithdrawalsMeet(t *testing.T) {
	s := newSite(t)
	s.repo.commit(map[string]string{"a.txt": "a", "leak.txt": "secret", "other.txt": "other"})
	s.sync(s.syncer())
	y := s.syncer(&overtaking{s.st, func() {
		if _, err := s.withdraw(s.syncer(), Command{Path: "leak.txt"}); err != nil {
			t.Error(err)
		}
	}})
	if w, err := s.withdraw(y, Command{Path: "other.txt"}); err != nil || !w.Done {
		t.Fatalf("%+v, %v", w, err)
	}
	if v := s.view(); v.version != 3 || len(v.files) != 1 {
		t.Errorf("version %d: %q", v.version, v.files)
	}
}

// What somebody confirmed is what they were shown: a push meanwhile is no part
// of it, and nothing is taken back in its place.
func TestAWithdrawalTakesWhatWasListed(t *testing.T) {
	s := newSite(t)
	s.c.Poll = time.Hour
	y := s.syncer()
	s.repo.commit(files{"a": "1", "hw": "solution"})
	s.sync(y)
	client, _ := s.run(y, these(s.c))
	cmd := Command{Course: "scala101", Who: "ana", Path: "hw"}
	list, err := client.Withdraw(t.Context(), cmd)
	must(t, err)
	s.repo.commit(files{"a": "1", "hw": "mended"})
	eventually(t, "the push", func() bool { return version(t, client) == 2 })
	cmd.Confirm, cmd.Listed = true, list.Listed
	_, err = client.Withdraw(t.Context(), cmd)
	if r := isRefusal(err); r == nil || r.Cause != Unclear || !strings.Contains(r.Sentence, "look again") {
		t.Fatalf("%v", err)
	}
	if kept, err := KeptWithdrawn(y.o.StateDir, "scala101"); err != nil || len(kept) > 0 || slices.Contains(s.actions(), "withdraw 2") {
		t.Errorf("written down: %v, %v, %q", kept, err, s.actions())
	}
	s.want(2, files{"a": "1", "hw": "mended"})
	cmd.Confirm = false // and what was listed before does not matter
	list, err = client.Withdraw(t.Context(), cmd)
	must(t, err)
	cmd.Confirm, cmd.Listed = true, list.Listed
	if w, err := client.Withdraw(t.Context(), cmd); err != nil || !w.Done {
		t.Errorf("%+v, %v", w, err)
	}
	s.want(3, files{"a": "1"})
}

// A version is what came in with it, not what it only gave another policy; also
// where it came in for a second time, and after a compaction.
func TestAVersionsWithdrawalLeavesWhatWasThereBefore(t *testing.T) {
	for name, compact := range map[string]bool{"as published": false, "compacted": true} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			y := s.syncer()
			for _, f := range []files{
				{"a": "1", "b": "2", "c": "again"}, {"a": "1", "b": "2", "c": "other"},
				{"a": "1", "b": "2", "c": "again", "leak": "solution", ".satchel.yaml": "policy:\n  - {path: a, is: replace}\n  - {path: b, is: replace}\n"},
			} {
				s.repo.commit(f)
				s.sync(y)
			}
			if compact && !s.compact(y) {
				t.Fatal("not compacted")
			}
			w, err := s.withdraw(y, Command{Version: 3})
			must(t, err)
			var paths []string
			for _, pair := range w.Pairs {
				paths = append(paths, pair.Path)
			}
			if got := strings.Join(paths, " "); got != "c leak" {
				t.Errorf("took back %s", got)
			}
		})
	}
}
