package syncer

import (
	"os"
	"path/filepath"
	"testing"

	"satchel/bundle"
	"satchel/store"
)

// intrude is what a thief does who may write to the store, and has no key of
// ours: the next version holds what he likes, whole and signed by himself.
func (s *site) intrude(paths ...string) {
	s.t.Helper()
	rec, etag, err := store.ReadRecord(s.t.Context(), s.st, "scala101")
	must(s.t, err)
	head, err := rec.Head.Peek()
	must(s.t, err)
	dir, m, was := s.t.TempDir(), &bundle.Manifest{}, bundle.History(nil)
	for _, path := range paths {
		must(s.t, os.WriteFile(filepath.Join(dir, path), []byte("evil"), 0o600))
		m.Files = append(m.Files, bundle.File{Path: path, Mode: 0o644, Size: 4, Policy: bundle.Merge, Digest: bundle.Sum([]byte("evil"))})
		was, _ = was.Add(bundle.Former{Path: path, Digest: bundle.Sum([]byte("evil"))})
	}
	m.Sort()
	m.History = was.Digest()
	rec.Version, rec.Publish, rec.Channels[0].Since = rec.Version+1, "evil", rec.Version+1
	b, err := bundle.Build(s.t.Context(), s.t.TempDir(), bundle.Spec{Course: "scala101", Channel: rec.Channels[0].ID, To: rec.Version, Manifest: m, Former: was}, os.DirFS(dir))
	must(s.t, err)
	must(s.t, store.PutBundle(s.t.Context(), s.st, "scala101", b.Digest, b.File))
	rec.Channels[0].Bundles = []store.BundleRef{{To: rec.Version, Digest: b.Digest, Size: b.Size}}
	head.Version, head.Channels[0].Manifest = rec.Version, m.Digest()
	thief, err := bundle.NewSigningKey()
	must(s.t, err)
	rec.Head, err = bundle.Sign(head, thief)
	must(s.t, err)
	_, err = store.SwapRecord(s.t.Context(), s.st, rec, etag)
	must(s.t, err)
}

// TestAttackAForeignVersionIsNotBuiltUpon: no way leads from a version that a
// thief put into the store to a signature of ours, and what is refused leaves
// nothing owed; a repair is the way out.
func TestAttackAForeignVersionIsNotBuiltUpon(t *testing.T) {
	none := bundle.Pair{Path: "none", Digest: bundle.Sum([]byte("none"))}
	for name, ask := range map[string]func(s *site, y *Syncer) error{
		"a withdrawal that is written down": func(s *site, y *Syncer) error {
			e := store.Entry{Time: s.clock.Now(), Action: "withdraw", Who: "ana", Withdrawn: []bundle.Pair{none}}
			must(s.t, store.WriteEntry(s.t.Context(), s.st, "scala101", store.WithdrawID+"evil", e))
			_, err := s.try(s.syncer())
			return err
		},
		"a withdrawal": func(s *site, y *Syncer) error { _, err := s.withdraw(y, Command{Path: "a"}); return err },
		"a push":       func(s *site, y *Syncer) error { s.repo.commit(files{"a": "2"}); _, err := s.try(y); return err },
		"a rollback":   func(s *site, y *Syncer) error { _, err := s.command(y, s.rollback, Command{Version: 1}); return err },
		"a look":       func(s *site, y *Syncer) error { _, err := s.try(y); return err },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.repo.commit(files{"a": "1"})
			y := s.syncer()
			s.sync(y)
			s.intrude("a", "b")
			if r := isRefusal(ask(s, y)); r == nil || r.Cause != Unsigned {
				t.Errorf("%v", r)
			}
			rec, _, err := store.ReadRecord(t.Context(), s.st, "scala101")
			must(t, err)
			if _, err := rec.Head.Open([]bundle.PublicKey{s.key.Public()}); err == nil {
				t.Fatal("today's key signed it")
			}
			if kept, err := KeptWithdrawn(y.o.StateDir, "scala101"); err != nil || len(kept) > 0 {
				t.Errorf("written down: %v, %v", kept, err)
			}
			c := s.c
			_, err = y.Repair(t.Context(), &c, Command{Course: "scala101", Who: "ana"})
			must(t, err)
			v := s.view()
			if len(v.files) != 1 || v.files["a"] == "evil" || len(v.history.At("b")) > 0 {
				t.Errorf("version %d: %q", v.version, v.files)
			}
			s.sync(y)
		})
	}
}

// TestAttackSwapSignsNothingForeign: the last door is shut, too.
func TestAttackSwapSignsNothingForeign(t *testing.T) {
	s := newSite(t)
	s.repo.commit(files{"a": "1"})
	y := s.syncer()
	s.sync(y)
	s.intrude("a")
	p := &pass{Syncer: y, k: y.knownOf("scala101"), c: &s.c, began: s.clock.Now()}
	p.st = metered{s.st, &p.out.Stats, new(bool)}
	must(t, p.read(t.Context()))
	h := *p.head
	if r := isRefusal(p.swap(t.Context(), p.same(), &h)); r == nil || r.Cause != Unsigned {
		t.Errorf("%v", r)
	}
}
