package syncer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"satchel/bundle"
	"satchel/store"
)

// during is a store on which something happens before each operation on a
// bundle, which hears the operation's number.
type during struct {
	store.Store
	then func(n int)
	n    int
}

func (m *during) before(key string) {
	if strings.Contains(key, "/bundles/") {
		m.n++
		m.then(m.n)
	}
}

func (m *during) Head(ctx context.Context, key string) (store.Object, error) {
	m.before(key)
	return m.Store.Head(ctx, key)
}

func (m *during) Get(ctx context.Context, key string) (io.ReadCloser, store.Object, error) {
	m.before(key)
	return m.Store.Get(ctx, key)
}

func (m *during) GetRange(ctx context.Context, key string, off, n int64) (io.ReadCloser, store.Object, error) {
	m.before(key)
	return m.Store.GetRange(ctx, key, off, n)
}

// checkOn reads all data of a store on which things happen.
func (s *site) checkOn(then func(n int)) (Checked, *during, error) {
	m := &during{Store: s.st, then: then}
	c, err := Check(context.Background(), m, string(s.c.Name), []bundle.PublicKey{s.key.Public()}, true, nil)
	return c, m, err
}

// What a withdrawal deletes while a check reads is no fault, whenever it comes.
func TestACheckBesideAWithdrawal(t *testing.T) {
	for at := 1; ; at++ {
		s := leaky(t)
		y := s.syncer()
		withdrawn := false
		c, m, err := s.checkOn(func(n int) {
			if n != at {
				return
			}
			withdrawn = true
			s.mustWithdraw(y, "leak.txt")
		})
		if err != nil || len(c.Faults) > 0 {
			t.Fatalf("withdrawn before operation %d of %d: %+v, %v", at, m.n, c.Faults, err)
		}
		if withdrawn {
			if v := s.view(); c.Version > v.version || s.stored()["secret"] {
				t.Errorf("checked version %d of %d", c.Version, v.version)
			}
			continue
		}
		if at < 5 {
			t.Fatalf("this test says nothing: %d operations", m.n)
		}
		return
	}
}

// A bundle that goes away under a check and that the record still names is one.
func TestABundleThatVanishesUnderACheck(t *testing.T) {
	s := newSite(t)
	s.repo.commit(files{"a": "a"})
	s.sync(s.syncer())
	full := filepath.Join(s.dir, "courses", "scala101", "bundles", s.view().record.Channels[0].Bundles[0].Digest.String())
	good, err := os.ReadFile(full)
	must(t, err)
	for at := 1; ; at++ {
		c, m, err := s.checkOn(func(n int) {
			if n == at {
				must(t, os.Remove(full))
			}
		})
		if m.n < at {
			if at < 5 {
				t.Errorf("this test says nothing: %d operations", m.n)
			}
			return
		}
		if err != nil || len(c.Faults) != 1 || !strings.Contains(c.Faults[0].Fault, "is gone") || c.Faults[0].Do == "" {
			t.Errorf("gone before operation %d: %+v, %v", at, c.Faults, err)
		}
		must(t, os.WriteFile(full, good, 0o600))
	}
}

// lacking is a store without bundles, whose record moves in each look.
type lacking struct {
	store.Store
	move  func()
	moved bool
	looks int
}

func (l *lacking) Get(ctx context.Context, key string) (io.ReadCloser, store.Object, error) {
	if strings.HasSuffix(key, "/record") {
		l.looks++
		l.moved = false
	}
	return l.Store.Get(ctx, key)
}

func (l *lacking) Head(ctx context.Context, key string) (store.Object, error) {
	if !strings.Contains(key, "/bundles/") {
		return l.Store.Head(ctx, key)
	}
	if !l.moved {
		l.move()
		l.moved = true
	}
	return store.Object{}, store.ErrNotFound
}

// Where the record moves during each look nothing is said of the store; and
// where it does not, what is missing is said at once.
func TestACheckOfACourseThatChangesAllTheTime(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	version := 0
	publish := func() {
		version++
		s.repo.commit(files{"a": fmt.Sprint(version)})
		s.sync(y)
	}
	publish()
	keys := []bundle.PublicKey{s.key.Public()}
	l := &lacking{Store: s.st, move: publish}
	_, err := Check(t.Context(), l, "scala101", keys, false, nil)
	if !errors.Is(err, store.ErrChanged) || !strings.Contains(err.Error(), "changes all the time") || l.looks != maxChecks {
		t.Errorf("%v after %d looks", err, l.looks)
	}
	l = &lacking{Store: s.st, move: func() {}}
	if c, err := Check(t.Context(), l, "scala101", keys, false, nil); err != nil || len(c.Faults) == 0 || l.looks != 1 {
		t.Errorf("%+v, %v after %d looks", c.Faults, err, l.looks)
	}
}

// breaking is a store that breaks off in the middle of each part of an object.
type breaking struct{ store.Store }

func (l breaking) GetRange(ctx context.Context, key string, off, n int64) (io.ReadCloser, store.Object, error) {
	body, o, err := l.Store.GetRange(ctx, key, off, n)
	if err != nil {
		return body, o, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(body, n/2), iotest.ErrReader(store.ErrUnavailable)), body}, o, nil
}

// A store that does not answer has no fault for that.
func TestACheckOfAStoreThatBreaksOff(t *testing.T) {
	s := leaky(t)
	c, err := Check(t.Context(), breaking{s.st}, "scala101", []bundle.PublicKey{s.key.Public()}, true, nil)
	if !errors.Is(err, store.ErrUnavailable) || len(c.Faults) > 0 {
		t.Errorf("%+v, %v", c.Faults, err)
	}
}
