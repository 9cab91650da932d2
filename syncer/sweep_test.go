package syncer

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"satchel/store"
)

// A full bundle that was made while something was taken back is not named, and
// the next pass deletes it.
func TestFullBundleFromBeforeAWithdrawal(t *testing.T) {
	s := newSite(t)
	other := s.syncer()
	s.publishMany(other, fullSteps+2)
	s.repo.write("leak.txt", "secret")
	s.repo.save()
	s.sync(other)
	st := &overtaken{Store: s.st}
	st.then = func() {
		st.then = nil
		if _, err := s.withdraw(other, Command{Path: "leak.txt"}); err != nil {
			t.Error(err)
		}
	}
	c := s.c
	y := s.syncer(st)
	if did, err := y.Compact(t.Context(), &c); did || err != nil {
		t.Errorf("%v, %v", did, err)
	}
	s.sync(y)
	if s.view(); s.stored()["secret"] {
		t.Error("the store holds what was taken back")
	}
	if !s.compact(s.syncer()) || s.stored()["secret"] {
		t.Error("no full bundle, or one with what was taken back")
	}
}

// late lets then happen before the first bundle is put.
type late struct {
	store.Store
	then func()
}

func (l *late) PutIfAbsent(ctx context.Context, key string, body io.ReadSeeker) error {
	if then := l.then; then != nil && strings.Contains(key, "/bundles/") {
		l.then = nil
		then()
	}
	return l.Store.PutIfAbsent(ctx, key, body)
}

// A publisher that slept from before a publish until after the withdrawal puts
// the bundle that was deleted, loses its swap, and takes it away again; where it
// dies before that, the next process does.
func TestPublishFromBeforeAWithdrawal(t *testing.T) {
	for name, dies := range map[string]bool{"it goes on": false, "it dies": true} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			other := s.syncer()
			s.repo.commit(files{"a": "a", "b": "b"})
			s.sync(other)
			s.repo.commit(files{"a": "a", "b": "b", "leak.txt": "secret"})
			ctx, die := context.WithCancel(t.Context())
			defer die()
			st := &late{Store: s.st}
			st.then = func() {
				s.sync(other)
				if _, err := s.withdraw(other, Command{Path: "leak.txt"}); err != nil {
					t.Error(err)
				}
				s.stored() // readable, all of it
			}
			slow := &dying{late: st, die: die}
			if !dies {
				slow.die = func() {}
			}
			c := s.c
			_, err := s.syncer(slow).Sync(ctx, &c, Request{Course: "scala101"})
			if (err != nil) != dies {
				t.Fatalf("%v", err)
			}
			if dies {
				if !s.stored()["secret"] {
					t.Fatal("this test says nothing")
				}
				s.sync(s.syncer())
			}
			if s.stored()["secret"] {
				t.Error("the store holds what was taken back")
			}
			s.want(3, files{"a": "a", "b": "b"})
		})
	}
}

// dying ends its caller after the first bundle is put.
type dying struct {
	*late
	die func()
}

func (d *dying) PutIfAbsent(ctx context.Context, key string, body io.ReadSeeker) error {
	err := d.late.PutIfAbsent(ctx, key, body)
	d.die()
	return err
}

// clinging is a store that deletes nothing for a while.
type clinging struct {
	store.Store
	fails int
}

func (c *clinging) Delete(ctx context.Context, key string) error {
	if c.fails > 0 {
		c.fails--
		return store.ErrUnavailable
	}
	return c.Store.Delete(ctx, key)
}

// What could not be deleted is deleted as soon as that works.
func TestDeletionsThatFailAreDoneAgain(t *testing.T) {
	s := newSite(t)
	st := &clinging{Store: s.st, fails: 2}
	y := s.syncer(st)
	s.repo.commit(files{"a": "a", "leak.txt": "secret"})
	s.sync(y)
	if w, err := s.withdraw(y, Command{Path: "leak.txt"}); err == nil || !w.Done || !strings.Contains(err.Error(), "as soon as that works") {
		t.Errorf("%+v, %v", w, err)
	}
	if s.sync(y); !s.stored()["secret"] {
		t.Fatal("this test says nothing")
	}
	if s.sync(y); s.stored()["secret"] {
		t.Error("it remains")
	}
}

// A store that is brought back while the syncer runs is noticed, also by whom
// it is repaired.
func TestAStoreThatIsBroughtBackUnderARunningSyncer(t *testing.T) {
	for name, repair := range map[string]bool{"a push": false, "a repair": true} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			y := s.syncer()
			s.repo.commit(files{"a": "a", "leak.txt": "secret"})
			s.sync(y)
			s.sync(y) // what is owed is asked once, and not before each pass
			root := filepath.Join(s.dir, "courses")
			backup := t.TempDir()
			must(t, os.CopyFS(backup, os.DirFS(root)))
			if _, err := s.withdraw(y, Command{Path: "leak.txt"}); err != nil {
				t.Fatal(err)
			}
			s.sync(y)
			must(t, errors.Join(os.RemoveAll(filepath.Join(root, "scala101")), os.CopyFS(root, os.DirFS(backup))))
			s.repo.commit(files{"a": "a2", "leak.txt": "secret"})
			if repair {
				c := s.c
				if _, err := y.Repair(t.Context(), &c, Command{Course: "scala101", Who: "ana", Version: 10}); err != nil {
					t.Fatal(err)
				}
				// At once: the pass that follows would mend it too, a moment later.
				if v := s.view(); v.version != 11 || v.files["leak.txt"] != "" || v.files["a"] != "a2" {
					t.Errorf("repaired, version %d: %q", v.version, v.files)
				}
			}
			s.sync(y)
			if v := s.view(); v.files["leak.txt"] != "" || v.files["a"] != "a2" || s.stored()["secret"] {
				t.Errorf("version %d: %q", v.version, v.files)
			}
		})
	}
}
