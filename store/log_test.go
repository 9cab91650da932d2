package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/store"
)

func TestEntriesNewestFirst(t *testing.T) {
	f := newFolder(t)
	if got, err := store.Entries(t.Context(), f, "x", 5); len(got) != 0 || err != nil {
		t.Errorf("of a course without a log: %v, %v", got, err)
	}
	begin := time.Date(2026, 11, 20, 9, 59, 59, 0, time.FixedZone("", 3600))
	for _, i := range []int{3, 1, 0, 4, 2} { // written in any order
		e := store.Entry{Time: begin.Add(time.Duration(i) * 300 * time.Millisecond), Action: "publish", Who: "syncer", Version: bundle.Version(i + 1)}
		if err := store.WriteEntry(t.Context(), f, "x", "id", e); err != nil {
			t.Fatal(err)
		}
	}
	for n, want := range map[int][]bundle.Version{0: nil, 2: {5, 4}, 5: {5, 4, 3, 2, 1}, 50: {5, 4, 3, 2, 1}} {
		entries, err := store.Entries(t.Context(), f, "x", n)
		var got []bundle.Version
		for _, e := range entries {
			got = append(got, e.Version)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("newest %d: %v, %v; want %v", n, got, err, want)
		}
	}
}

// TestEntriesGiveTheOthers: one that cannot be read hides no other.
func TestEntriesGiveTheOthers(t *testing.T) {
	f := newFolder(t)
	f.entry("x", 1, 3*time.Hour)
	put(t, f, store.LogPrefix("x")+"20261119T000000.000Z-newer", `{"format":2,"time":"2026-11-19T00:00:00Z","action":"teleport"}`)
	f.entry("x", 2, time.Hour)
	entries, err := store.Entries(t.Context(), f, "x", 10)
	if len(entries) != 2 || !errors.Is(err, bundle.ErrFormat) || !strings.Contains(err.Error(), "-newer") {
		t.Errorf("%d entries, %v; want 2 and the third named", len(entries), err)
	}
}

func TestWriteEntryCutsNotes(t *testing.T) {
	f := newFolder(t)
	e := store.Entry{Time: time.Now(), Action: "refuse", Who: "syncer"}
	for i := range 5_000 {
		e.Notes = append(e.Notes, fmt.Sprintf("%d %s", i, strings.Repeat("é", 3000)))
	}
	if err := store.WriteEntry(t.Context(), f, "x", "id", e); err != nil {
		t.Fatal(err)
	}
	got, err := store.Entries(t.Context(), f, "x", 1)
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	notes := got[0].Notes
	if len(notes) != store.MaxNotes+1 || notes[store.MaxNotes] != "… and 4000 more" || len(notes[0]) > 2010 {
		t.Errorf("%d notes, the first of %d bytes, the last %q", len(notes), len(notes[0]), notes[len(notes)-1])
	}
	if len(e.Notes) != 5_000 {
		t.Error("the caller's notes were cut")
	}
}
