package store_test

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"satchel/bundle"
	"satchel/store"
	"satchel/store/storetest"
)

const day = 24 * time.Hour

// record makes the course's record name these bundles.
func (f folder) record(course string, named ...bundle.Digest) {
	f.t.Helper()
	_, tag, _ := store.ReadRecord(f.t.Context(), f, course)
	r := storetest.Record(course, 100, fmt.Sprint(named))
	c := store.Channel{ID: "c1"}
	for i, d := range named {
		c.Bundles = append(c.Bundles, store.BundleRef{From: bundle.Version(i), To: 100, Digest: d, Size: 1})
	}
	r.Channels = []store.Channel{c}
	if _, err := store.SwapRecord(f.t.Context(), f, r, tag); err != nil {
		f.t.Fatal(err)
	}
}

// entry logs a publish of that age.
func (f folder) entry(course string, v bundle.Version, old time.Duration, named ...bundle.Digest) {
	f.t.Helper()
	e := store.Entry{Time: time.Now().Add(-old), Action: "publish", Who: "syncer", Version: v, Bundles: named}
	if err := store.WriteEntry(f.t.Context(), f, course, fmt.Sprint("v", v), e); err != nil {
		f.t.Fatal(err)
	}
}

func (f folder) has(course string, d bundle.Digest) bool {
	_, err := f.Head(f.t.Context(), store.BundleKey(course, d))
	return err == nil
}

func (f folder) prune(course string) (int, error) {
	lg, _ := logger(f.t)
	return store.Prune(f.t.Context(), lg, f, course, time.Now())
}

func TestPrune(t *testing.T) {
	f := newFolder(t)
	keep := map[string]bundle.Digest{
		"named by the record":                     f.bundle("x", "record", 90*day),
		"younger than a day":                      f.bundle("x", "young", 23*time.Hour),
		"named by an entry of six days ago":       f.bundle("x", "week", 90*day),
		"named by one of the last 20 versions":    f.bundle("x", "twenty", 90*day),
		"named by an entry that is not a publish": f.bundle("x", "rollback", 90*day),
		"another course's":                        f.bundle("y", "other", 90*day),
	}
	drop := map[string]bundle.Digest{
		"named by the 21st version before": f.bundle("x", "old", 90*day),
		"never named":                      f.bundle("x", "orphan", 25*time.Hour),
	}
	f.record("x", keep["named by the record"])
	f.entry("x", 79, 60*day, drop["named by the 21st version before"])
	f.entry("x", 80, 50*day, keep["named by one of the last 20 versions"])
	for v := bundle.Version(81); v < 99; v++ {
		f.entry("x", v, 40*day)
	}
	f.entry("x", 99, 6*day, keep["named by an entry of six days ago"])
	f.entry("x", 0, 5*day, keep["named by an entry that is not a publish"])
	put(t, f, store.BundlePrefix("x")+"README", "not ours")
	f.age(store.BundlePrefix("x")+"README", 90*day)

	removed, err := f.prune("x")
	if err != nil || removed != len(drop) {
		t.Errorf("removed %d, %v; want %d", removed, err, len(drop))
	}
	for what, d := range keep {
		course := "x"
		if what == "another course's" {
			course = "y"
		}
		if !f.has(course, d) {
			t.Errorf("removed although %s", what)
		}
	}
	for what, d := range drop {
		if f.has("x", d) {
			t.Errorf("kept although %s", what)
		}
	}
	if _, err := f.Head(t.Context(), store.BundlePrefix("x")+"README"); err != nil {
		t.Errorf("what is no bundle: %v", err)
	}
	if entries, err := store.Entries(t.Context(), f, "x", 100); err != nil || len(entries) != 22 {
		t.Errorf("%d log entries, %v; want all 22", len(entries), err)
	}
	if removed, err := f.prune("x"); removed != 0 || err != nil {
		t.Errorf("again: %d, %v", removed, err)
	}
}

// TestPruneKeepsEverythingItCannotJudge: each of these leaves an orphan where
// it is.
func TestPruneKeepsEverythingItCannotJudge(t *testing.T) {
	logKey := func(old time.Duration) string {
		return store.LogPrefix("x") + time.Now().Add(-old).UTC().Format("20060102T150405.000Z") + "-bad"
	}
	for _, c := range []struct {
		name, key, data string
		quiet           bool
	}{
		{"no record", "", "", true},
		{"a damaged record", store.RecordKey("x"), "{", false},
		{"another course's record", store.RecordKey("x"), `{"format":1,"course":"y"}`, false},
		{"a newer record", store.RecordKey("x"), `{"format":2,"course":"x"}`, false},
		{"a damaged entry of today", logKey(time.Hour), "{", false},
		{"a newer entry of last year", logKey(300 * day), `{"format":2}`, false},
		{"an entry without a time in its key", store.LogPrefix("x") + "newest", `{"format":2}`, false},
	} {
		f := newFolder(t)
		orphan := f.bundle("x", "orphan", 90*day)
		if c.key != "" {
			if c.key != store.RecordKey("x") {
				f.record("x")
			}
			put(t, f, c.key, c.data)
		}
		removed, err := f.prune("x")
		if removed != 0 || (err == nil) != c.quiet || !f.has("x", orphan) {
			t.Errorf("%s: removed %d, %v", c.name, removed, err)
		}
	}
}

// TestPrunePassesOverAnOldDamagedEntry: or one bad object would let the store
// grow for ever.
func TestPrunePassesOverAnOldDamagedEntry(t *testing.T) {
	f := newFolder(t)
	orphan := f.bundle("x", "orphan", 90*day)
	f.record("x")
	put(t, f, store.LogPrefix("x")+"20200101T000000.000Z-bad", "{")
	if removed, err := f.prune("x"); removed != 1 || err != nil || f.has("x", orphan) {
		t.Errorf("removed %d, %v", removed, err)
	}
}

// republish writes the bundle again just when prune reads the record, as a
// publish in flight does.
type republish struct {
	store.Store
	between func()
}

func (r republish) List(ctx context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	if strings.HasSuffix(prefix, "/log/") && r.between != nil {
		r.between()
	}
	return r.Store.List(ctx, prefix, after)
}

// TestPruneWhilePublishing: the bundle that prune saw as an old orphan is
// found by a publish, which is to name it.
func TestPruneWhilePublishing(t *testing.T) {
	f := newFolder(t)
	d := f.bundle("x", "content", 90*day)
	f.record("x")
	lg, _ := logger(t)
	s := republish{f, func() {
		if err := store.PutBundle(t.Context(), f, "x", d, strings.NewReader("content")); err != nil {
			t.Error(err)
		}
	}}
	if removed, err := store.Prune(t.Context(), lg, s, "x", time.Now()); removed != 0 || err != nil || !f.has("x", d) {
		t.Errorf("while it is written again: removed %d, %v", removed, err)
	}
	f.age(store.BundleKey("x", d), 90*day)
	s.between = func() { f.record("x", d) }
	if removed, err := store.Prune(t.Context(), lg, s, "x", time.Now()); removed != 0 || err != nil || !f.has("x", d) {
		t.Errorf("while a record comes to name it: removed %d, %v", removed, err)
	}
}

// TestPruneWithAWrongClock: this machine is a year ahead of the store, which
// must not make fresh bundles old.
func TestPruneWithAWrongClock(t *testing.T) {
	s := newS3(t, fakeS3(t, nil))
	prunedAYearAhead(t, s, 0)
	old := gofakes3.FixedTimeSource(time.Now().Add(-48 * time.Hour))
	s = newS3(t, fakeS3On(t, s3mem.New(s3mem.WithTimeSource(old)), nil, gofakes3.WithTimeSource(old), gofakes3.WithTimeSkewLimit(0)))
	prunedAYearAhead(t, s, 1)
}

func prunedAYearAhead(t *testing.T, s store.Store, want int) {
	t.Helper()
	named := bundle.Sum([]byte("named by yesterday's entry"))
	for _, text := range []string{"content", "named by yesterday's entry"} {
		if err := store.PutBundle(t.Context(), s, "x", bundle.Sum([]byte(text)), strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	for v := range bundle.Version(21) {
		e := store.Entry{Time: time.Now().Add(-day), Action: "publish", Version: v + 1}
		if v == 0 {
			e.Bundles = []bundle.Digest{named}
		}
		if err := store.WriteEntry(t.Context(), s, "x", fmt.Sprintf("v%03d", v+1), e); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.SwapRecord(t.Context(), s, storetest.Record("x", 1, "p"), ""); err != nil {
		t.Fatal(err)
	}
	lg, _ := logger(t)
	if removed, err := store.Prune(t.Context(), lg, s, "x", time.Now().Add(365*day)); removed != want || err != nil {
		t.Errorf("removed %d, %v; want %d", removed, err, want)
	}
	if _, err := s.Head(t.Context(), store.BundleKey("x", named)); err != nil {
		t.Errorf("named by an entry of yesterday: %v", err)
	}
}

// TestPruneIsBounded: one pass removes so many, the next ones the rest.
func TestPruneIsBounded(t *testing.T) {
	f := newFolder(t)
	f.record("x")
	f.bundle("x", "first", 90*day) // makes the folder
	dir := filepath.Join(f.path, store.BundlePrefix("x"))
	then := time.Now().Add(-90 * day)
	for i := range 600 {
		path := filepath.Join(dir, bundle.Sum(fmt.Append(nil, i)).String())
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int{500, 101, 0} {
		if removed, err := f.prune("x"); removed != want || err != nil {
			t.Fatalf("removed %d, %v; want %d", removed, err, want)
		}
	}
}
