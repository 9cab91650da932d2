package syncer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/store"
)

// deed is a publish that is killed at each of its operations on the store.
type deed struct {
	name    string
	before  []files // published in peace, each by a syncer of its own
	wait    time.Duration
	then    files
	version bundle.Version
}

func deeds() []deed {
	big := strings.Repeat("a long text\n", 2000)
	return []deed{
		{"first publish", nil, 0, files{"a": "1", "b.ipynb": lesson("1")}, 1},
		{"change", []files{{"a": "1", "big": big}}, 0, files{"a": "2", "big": big}, 2},
		{"change, and a full bundle after it", []files{{"a": "1"}, {"a": "2"}}, 0, files{"a": "3", "c": big}, 3},
		{"signing anew", []files{{"a": "1"}}, 25 * time.Hour, files{"a": "1"}, 1},
		{"a commit to note", []files{{"a": "1"}}, 0, files{"a": "1", "private/x": "1"}, 1},
	}
}

// TestKilledAtEachOperation: the store is always whole for an agent, either
// before or after; the next pass of a fresh process converges; each version is
// in the log once; what lies around is harmless.
func TestKilledAtEachOperation(t *testing.T) {
	eachDeed(t, func(t *testing.T, s *site, d deed, m *mortal) {
		old := s.view()
		y := s.syncer(m)
		_, err := s.try(y)
		if err == nil {
			_, err = y.Compact(t.Context(), &s.c)
		}
		if !m.reached() {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
		v := s.view()
		if fmt.Sprint(v.files) != fmt.Sprint(old.files) && fmt.Sprint(v.files) != fmt.Sprint(seen(d.then)) {
			t.Fatalf("students see %q, which is neither the old nor the new", v.files)
		}
		if v.version < old.version {
			t.Fatalf("version %d after %d", v.version, old.version)
		}
		s.clock.add(2 * time.Minute)
		again := s.syncer()
		s.sync(again)
		s.sync(again)
		s.compact(again)
		if now := s.want(d.version, seen(d.then)); now.head.Checked.Before(old.checked()) {
			t.Errorf("checked %v", now.head.Checked)
		}
		s.wantEachVersionLogged(d.version)
	})
}

// TestStumbleAtEachOperation: one operation fails, the process lives on. The
// next pass of the same process converges.
func TestStumbleAtEachOperation(t *testing.T) {
	eachDeed(t, func(t *testing.T, s *site, d deed, m *mortal) {
		m.once = true
		y := s.syncer(m)
		_, _ = s.try(y)
		_, _ = y.Compact(t.Context(), &s.c)
		if !m.reached() {
			return
		}
		s.view()
		s.clock.add(2 * time.Minute)
		s.sync(y)
		s.sync(y)
		s.compact(y)
		if v := s.want(d.version, seen(d.then)); slices.ContainsFunc(v.record.Channels, dueForFull) {
			t.Error("a full bundle is due still")
		}
		s.wantEachVersionLogged(d.version)
	})
}

// eachDeed does each deed on a store that dies at operation 1, 2, … until it
// ends before.
func eachDeed(t *testing.T, do func(*testing.T, *site, deed, *mortal)) {
	for _, d := range deeds() {
		repo := newRepo(t)
		var commits []string
		for _, f := range append(slices.Clone(d.before), d.then) {
			commits = append(commits, repo.commit(f))
		}
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, answer lost %v", d.name, after), func(t *testing.T) {
				n := 0
				for reached := true; reached; {
					n++
					s := newSiteFor(t, repo)
					for _, c := range commits[:len(commits)-1] {
						repo.point(c)
						s.sync(s.syncer())
						s.clock.add(2 * time.Minute)
					}
					s.clock.add(d.wait)
					repo.point(commits[len(commits)-1])
					m := &mortal{Store: s.st, left: n, after: after}
					do(t, s, d, m)
					reached = m.reached()
					if t.Failed() {
						t.Fatalf("at operation %d", n)
					}
				}
				t.Logf("%d operations", n-1)
			})
		}
	}
}

// seen is what students see of these files.
func seen(f files) files {
	out := files{}
	for p, c := range f {
		if !strings.HasPrefix(p, "private/") {
			out[p] = c
		}
	}
	return out
}

func (v *view) checked() (t time.Time) {
	if v.head != nil {
		t = v.head.Checked
	}
	return t
}

func (s *site) wantEachVersionLogged(newest bundle.Version) {
	s.t.Helper()
	var got []bundle.Version
	for _, e := range s.log() {
		if e.Action == "publish" {
			got = append(got, e.Version)
		}
	}
	slices.Sort(got)
	var want []bundle.Version
	for v := bundle.Version(1); v <= newest; v++ {
		want = append(want, v)
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("the log has versions %v; want each up to %d once", got, newest)
	}
}

// A swap that landed although its answer was lost, and on which another syncer
// has already built: our version is in the log once.
func TestSwapThatLandedAndWasBuiltUpon(t *testing.T) {
	s := newSite(t)
	two := s.syncer()
	s.repo.commit(files{"a": "1"})
	s.sync(two)
	s.repo.commit(files{"a": "2"})
	lost := &lostSwap{Store: s.st}
	lost.then = func() {
		s.repo.commit(files{"a": "3"})
		s.sync(two)
	}
	out := s.sync(s.syncer(lost))
	if out.Version != 3 || out.Stats.Tries != 2 {
		t.Errorf("outcome %+v", out)
	}
	s.want(3, files{"a": "3"})
	s.wantEachVersionLogged(3)
}

// lostSwap loses the answer of one swap that landed, and lets then happen
// before it says so.
type lostSwap struct {
	store.Store
	then func()
}

func (l *lostSwap) CompareAndSwap(ctx context.Context, key, etag string, data []byte) (string, error) {
	tag, err := l.Store.CompareAndSwap(ctx, key, etag, data)
	if then := l.then; then != nil && err == nil {
		l.then = nil
		then()
		return "", store.ErrUnavailable
	}
	return tag, err
}

func TestOrphansAreHarmlessAndPruned(t *testing.T) {
	s := newSite(t)
	s.repo.commit(files{"a": "1"})
	y := s.syncer()
	s.sync(y)
	for n := 1; n < 12; n++ { // whatever a publish leaves when it dies
		s.repo.commit(files{"a": fmt.Sprint("2.", n)})
		_, _ = s.try(s.syncer(&mortal{Store: s.st, left: n}))
		if s.view().version > 1 {
			break
		}
	}
	s.repo.commit(files{"a": "3"})
	s.sync(y)
	v := s.view()
	named := v.record.Named()
	if n := s.bundles(); n <= len(named) {
		t.Fatalf("%d bundles, %d of them named: no orphan was made", n, len(named))
	}
	now := time.Now().Add(30 * 24 * time.Hour)
	if _, err := store.Prune(t.Context(), testLog(t), s.st, "scala101", now); err != nil {
		t.Fatal(err)
	}
	logged := map[bundle.Digest]bool{}
	for _, d := range named {
		logged[d] = true
	}
	for _, e := range s.log() {
		for _, d := range e.Bundles {
			logged[d] = true
		}
	}
	if n := s.bundles(); n != len(logged) {
		t.Errorf("%d bundles are left; want the %d that the record and the log name", n, len(logged))
	}
	s.want(v.version, files{"a": "3"})
}

func (s *site) bundles() (n int) {
	s.t.Helper()
	for _, err := range s.st.List(context.Background(), store.BundlePrefix("scala101"), "") {
		if err != nil {
			s.t.Fatal(err)
		}
		n++
	}
	return n
}

// An orphan may have the very name that a later publish gives its bundle; when
// prune is about to take it, it is written again.
func TestOldOrphanOfTheSameContentIsWrittenAgain(t *testing.T) {
	s := newSite(t)
	big := strings.Repeat("so that the step is small beside the full bundle\n", 1000)
	for i := range 100 {
		big += fmt.Sprint(bundle.Sum([]byte{byte(i)}))
	}
	s.repo.commit(files{"a": "1", "big": big})
	s.sync(s.syncer())
	s.repo.commit(files{"a": "2", "big": big})
	dead := &mortal{Store: s.st, left: 1 << 30}
	y := s.syncer(&swapless{Store: dead})
	if _, err := s.try(y); err == nil {
		t.Fatal("the swap should have failed")
	}
	orphans := s.bundles()
	var puts int
	st := &timed{Store: &putCounter{s.st, &puts}, now: s.clock.Now}
	old := time.Now().Add(7 * time.Hour)
	s.clock.now = old
	s.sync(s.syncer(st))
	if s.bundles() != orphans {
		t.Errorf("%d bundles; want the orphan taken up", s.bundles())
	}
	if puts == 0 {
		t.Error("the orphan of seven hours ago was not written again")
	}
	s.want(2, files{"a": "2", "big": big})
}

// swapless never swaps.
type swapless struct{ store.Store }

func (s *swapless) CompareAndSwap(context.Context, string, string, []byte) (string, error) {
	return "", errDead
}

// Prune may take an object in the moment between the last look and the swap.
func TestBundleThatGoesAwayDuringTheSwapIsWrittenAgain(t *testing.T) {
	s := newSite(t)
	s.repo.commit(files{"a": "1"})
	out := s.sync(s.syncer(&pruned{Store: s.st}))
	if !out.Published {
		t.Errorf("outcome %+v", out)
	}
	s.want(1, files{"a": "1"})
}

// One that goes away before the last look loses the try, not the record.
func TestBundleThatGoesAwayBeforeTheSwapIsBuiltAgain(t *testing.T) {
	s := newSite(t)
	s.repo.commit(files{"a": "1"})
	out := s.sync(s.syncer(&pruned{Store: s.st, early: true}))
	if !out.Published || out.Stats.Tries != 2 {
		t.Errorf("outcome %+v", out)
	}
	s.want(1, files{"a": "1"})
}

// pruned loses all bundles once: at the look before the swap, or at the swap.
type pruned struct {
	store.Store
	early, done bool
}

func (p *pruned) lose(ctx context.Context) error {
	if p.done {
		return nil
	}
	p.done = true
	for o, err := range p.List(ctx, store.BundlePrefix("scala101"), "") {
		if err != nil {
			return err
		}
		if err := p.Delete(ctx, o.Key); err != nil {
			return err
		}
	}
	return nil
}

func (p *pruned) Head(ctx context.Context, key string) (store.Object, error) {
	if p.early && strings.Contains(key, "/bundles/") {
		if err := p.lose(ctx); err != nil {
			return store.Object{}, err
		}
	}
	return p.Store.Head(ctx, key)
}

func (p *pruned) CompareAndSwap(ctx context.Context, key, etag string, data []byte) (string, error) {
	if err := p.lose(ctx); err != nil {
		return "", err
	}
	return p.Store.CompareAndSwap(ctx, key, etag, data)
}

// Whoever published a version may die before it is logged, and another syncer
// publish the next one at once: the log has both, each once. A publisher that
// was only slow has the last word on its own version.
func TestAVersionIsLoggedBeforeTheNext(t *testing.T) {
	for _, dies := range []bool{true, false} {
		s := newSite(t)
		two := s.syncer()
		s.repo.commit(files{"a": "1"})
		s.sync(two)
		s.repo.commit(files{"a": "2"})
		one := s.syncer(&lateEntry{Store: s.st, dies: dies, then: func() {
			s.repo.commit(files{"a": "3"})
			s.sync(two)
		}})
		s.sync(one)
		s.want(3, files{"a": "3"})
		s.wantEachVersionLogged(3)
		for _, e := range s.log() {
			if late := strings.HasPrefix(e.Why, "logged late"); late != (dies && e.Version == 2) {
				t.Errorf("dies %v: version %d: %q", dies, e.Version, e.Why)
			}
		}
	}
}

// lateEntry lets then happen before the first entry of the log is written,
// which dies with its writer or comes after all.
type lateEntry struct {
	store.Store
	then func()
	dies bool
}

func (l *lateEntry) Put(ctx context.Context, key string, body io.ReadSeeker) error {
	if strings.HasPrefix(key, store.LogPrefix("scala101")) && l.then != nil {
		then := l.then
		l.then = nil
		then()
		if l.dies {
			return errors.New("died")
		}
	}
	return l.Store.Put(ctx, key, body)
}
