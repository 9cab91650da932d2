package syncer

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"satchel/bundle"
	"satchel/store"
)

func (s *site) check(data bool) Checked {
	s.t.Helper()
	c, err := Check(context.Background(), s.st, string(s.c.Name), []bundle.PublicKey{s.key.Public()}, data, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func TestCheck(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	if c := s.check(true); len(c.Faults) > 0 || c.Version != 0 {
		t.Errorf("nothing was published: %+v", c)
	}
	s.repo.commit(map[string]string{"a.txt": "one", "b.txt": strings.Repeat("b", 100_000)})
	s.sync(y)
	s.repo.commit(map[string]string{"a.txt": "two", "b.txt": strings.Repeat("b", 100_000)})
	s.sync(y)
	c := s.check(true)
	if len(c.Faults) > 0 || c.Version != 2 || c.Bundles != 2 || c.Read != c.Bytes || c.Bytes == 0 {
		t.Errorf("%+v", c)
	}
	if c := s.check(false); c.Read != 0 || len(c.Faults) > 0 {
		t.Errorf("%+v", c)
	}
	course := filepath.Join(s.dir, "courses", "scala101")
	rec := s.view().record
	full := filepath.Join(course, "bundles", rec.Channels[0].Bundles[0].Digest.String())
	good, err := os.ReadFile(full)
	if err != nil {
		t.Fatal(err)
	}
	for name, harm := range map[string]struct {
		do   func()
		says string
		data bool // only by reading
	}{
		"a bundle is gone":        {func() { os.Remove(full) }, "is gone", false},
		"it is shorter":           {func() { os.WriteFile(full, good[:len(good)-1], 0o600) }, "bytes, and", false},
		"its beginning is broken": {func() { os.WriteFile(full, append([]byte("x"), good[1:]...), 0o600) }, "not a bundle", false},
		"a content is broken": {func() {
			bad := bytes.Clone(good)
			bad[len(bad)-3] ^= 1
			os.WriteFile(full, bad, 0o600)
		}, "not what its name says", true},
	} {
		t.Run(name, func(t *testing.T) {
			harm.do()
			defer os.WriteFile(full, good, 0o600)
			c := s.check(true)
			if len(c.Faults) == 0 || !strings.Contains(c.Faults[0].Fault, harm.says) || c.Faults[0].Do == "" {
				t.Errorf("%+v", c.Faults)
			}
			if found := len(s.check(false).Faults) > 0; found == harm.data {
				t.Errorf("without reading the data: found %v", found)
			}
		})
	}
	other, err := bundle.NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	if c, err := Check(t.Context(), s.st, "scala101", []bundle.PublicKey{other.Public()}, false, nil); err != nil || len(c.Faults) != 1 || !strings.Contains(c.Faults[0].Fault, "its head") {
		t.Errorf("another key: %+v, %v", c, err)
	}
	if err := os.WriteFile(filepath.Join(course, "record"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c := s.check(false); len(c.Faults) != 1 || !strings.Contains(c.Faults[0].Fault, "cannot be read") {
		t.Errorf("a broken record: %+v", c)
	}
	if err := s.st.Delete(t.Context(), store.RecordKey("scala101")); err != nil {
		t.Fatal(err)
	}
	if c := s.check(false); len(c.Faults) != 1 || !strings.Contains(c.Faults[0].Fault, "the record is gone") {
		t.Errorf("no record: %+v", c)
	}
}

// A record from a backup is behind the log.
func TestCheckAfterABackup(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(map[string]string{"a.txt": "one"})
	s.sync(y)
	file := filepath.Join(s.dir, "courses", "scala101", "record")
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s.repo.commit(map[string]string{"a.txt": "two"})
	s.sync(y)
	if err := os.WriteFile(file, old, 0o600); err != nil {
		t.Fatal(err)
	}
	if c := s.check(false); len(c.Faults) != 1 || !strings.Contains(c.Faults[0].Fault, "went backwards") {
		t.Errorf("%+v", c)
	}
}

// What a store lost is published anew, above every version that is known.
func TestRepair(t *testing.T) {
	for name, harm := range map[string]func(course string, full string){
		"a bundle is gone": func(_, full string) { os.Remove(full) },
		"all bundles are gone": func(course, _ string) {
			os.RemoveAll(filepath.Join(course, "bundles"))
			os.Mkdir(filepath.Join(course, "bundles"), 0o700)
		},
		"the record is broken": func(course, _ string) { os.WriteFile(filepath.Join(course, "record"), []byte("{"), 0o600) },
		"the record is gone":   func(course, _ string) { os.Remove(filepath.Join(course, "record")) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			y := s.syncer()
			s.repo.commit(map[string]string{"a.txt": "one", "leak.txt": "secret", "b.txt": "b"})
			s.sync(y)
			s.repo.commit(map[string]string{"a.txt": "two", "leak.txt": "secret", "b.txt": "b"})
			s.sync(y)
			if _, err := s.withdraw(y, Command{Path: "leak.txt"}); err != nil {
				t.Fatal(err)
			}
			course := filepath.Join(s.dir, "courses", "scala101")
			harm(course, filepath.Join(course, "bundles", s.view().record.Channels[0].Bundles[0].Digest.String()))
			if c := s.check(false); len(c.Faults) == 0 {
				t.Fatal("nothing is wrong")
			}
			y = s.syncer()
			if name == "the record is gone" { // students have what it no longer tells of
				s.refused(y, Lost)
			}
			out, err := s.command(y, func(y *Syncer, ctx context.Context, cmd Command) (Outcome, error) {
				c := s.c
				return y.Repair(ctx, &c, cmd)
			}, Command{Why: "lost", Version: 41})
			if err != nil || !out.Published || out.Version != 42 {
				t.Fatalf("%+v, %v", out, err)
			}
			if c := s.check(true); len(c.Faults) > 0 {
				t.Errorf("%+v", c.Faults)
			}
			if v := s.view(); v.files["a.txt"] != "two" || v.files["b.txt"] != "b" || v.files["leak.txt"] != "" || s.stored()["secret"] {
				t.Errorf("%q", v.files)
			}
			s.repo.commit(map[string]string{"a.txt": "three", "leak.txt": "secret", "b.txt": "b"})
			if out := s.sync(y); !out.Published || out.Version != 43 || s.view().files["leak.txt"] != "" {
				t.Errorf("%+v: %q", out, s.view().files)
			}
		})
	}
}

// A store from a backup that brought its log back too: what a student's server
// proved is above all that it tells of.
func TestCheckAndRepairAboveWhatStudentsProved(t *testing.T) {
	for _, name := range []string{"the record is older", "the record is gone", "another version 2"} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.repo.commit(map[string]string{"a.txt": "one"})
			s.sync(s.syncer())
			courses, backup := filepath.Join(s.dir, "courses"), filepath.Join(t.TempDir(), "backup")
			if err := os.CopyFS(backup, os.DirFS(courses)); err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{"two", "three"} {
				s.repo.commit(map[string]string{"a.txt": text})
				s.sync(s.syncer())
				if name == "another version 2" {
					break
				}
			}
			held := s.view().record
			if err := os.RemoveAll(courses); err != nil {
				t.Fatal(err)
			}
			if name != "the record is gone" {
				if err := os.CopyFS(courses, os.DirFS(backup)); err != nil {
					t.Fatal(err)
				}
			}
			if name == "another version 2" {
				s.repo.commit(map[string]string{"a.txt": "two, again"})
				s.sync(s.syncer())
			}
			if c := s.check(true); len(c.Faults) > 0 {
				t.Fatalf("before anybody proved anything: %+v", c)
			}
			keys := []bundle.PublicKey{s.key.Public()}
			if err := store.WriteProven(t.Context(), s.st, store.Proven{Course: "scala101", Head: held.Head}, keys); err != nil {
				t.Fatal(err)
			}
			c := s.check(false)
			if len(c.Faults) != 1 || c.Proven != held.Version || !strings.Contains(c.Faults[0].Fault, "the store is older than what students hold") {
				t.Fatalf("%+v", c)
			}
			y := s.syncer()
			if name == "the record is gone" {
				s.refused(y, Lost)
			}
			out, err := s.command(y, func(y *Syncer, ctx context.Context, cmd Command) (Outcome, error) {
				c := s.c
				return y.Repair(ctx, &c, cmd)
			}, Command{Why: "restored"})
			if err != nil || !out.Published || out.Version != held.Version+1 {
				t.Fatalf("%+v, %v", out, err)
			}
			if c := s.check(true); len(c.Faults) > 0 || c.Proven != 0 {
				t.Errorf("repaired: %+v", c)
			}
		})
	}
}

// What lies there and is signed by nobody known is told, and counts for nothing.
func TestWhatIsNotProvenCountsForNothing(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.repo.commit(map[string]string{"a.txt": "one"})
	s.sync(y)
	strange, err := bundle.NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	h, err := s.view().record.Head.Peek()
	if err != nil {
		t.Fatal(err)
	}
	h.Version = bundle.MaxVersion - 1
	forged, err := bundle.Sign(h, strange)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.WriteProven(t.Context(), s.st, store.Proven{Course: "scala101", Head: forged}, []bundle.PublicKey{strange.Public()}); err != nil {
		t.Fatal(err)
	}
	if c := s.check(false); len(c.Faults) != 1 || c.Proven != 0 || !strings.Contains(c.Faults[0].Fault, "cannot be read") {
		t.Errorf("%+v", c)
	}
	out, err := s.command(y, func(y *Syncer, ctx context.Context, cmd Command) (Outcome, error) {
		c := s.c
		return y.Repair(ctx, &c, cmd)
	}, Command{})
	if err != nil || out.Version != 2 {
		t.Errorf("%+v, %v", out, err)
	}
}
