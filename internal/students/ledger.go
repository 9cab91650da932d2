package students

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"satchel/bundle"
	"satchel/store"
)

const ledgerKey = studentsPrefix + "folded"

// ledger says what was folded. It holds ranges, not ids: its size grows with
// the number of hookservers' runs in two days, not with the lines.
type ledger struct {
	Format int `json:"format"`
	scheme
	Through time.Time `json:"through,omitzero"` // of the newest batch folded
	Swept   time.Time `json:"swept,omitzero"`   // last look at all batches
	Aged    time.Time `json:"aged,omitzero"`    // last look at all records
	Runs    []run     `json:"runs,omitempty"`   // sorted by run
	Counts  []Count   `json:"counts,omitempty"` // mode counts: sorted by compareCounts

	damaged error // why the one in the store could not be read; this one is empty
}

// run is what was folded of one run of a Writer: ranges of batch numbers,
// ascending, each with the hour in which it was folded.
type run struct {
	Run   string `json:"run"`
	Spans []span `json:"spans"`
}

type span struct {
	First int64     `json:"first"`
	Last  int64     `json:"last"`
	At    time.Time `json:"at"`
}

// Count is how many lines of one kind there were on one day (UTC). Logins and
// requests have no course.
type Count struct {
	Day     string         `json:"day"`
	Kind    Kind           `json:"kind"`
	Course  string         `json:"course,omitempty"`
	Version bundle.Version `json:"version,omitempty"`
	N       int64          `json:"n"`
}

func compareCounts(a, b Count) int {
	return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Kind, b.Kind),
		cmp.Compare(a.Course, b.Course), cmp.Compare(a.Version, b.Version))
}

func (g *ledger) count(l Line) {
	c := Count{Day: l.Time.Format(time.DateOnly), Kind: l.Kind, Course: l.Course, Version: l.Version}
	i, found := slices.BinarySearchFunc(g.Counts, c, compareCounts)
	if !found {
		g.Counts = slices.Insert(g.Counts, i, c)
	}
	g.Counts[i].N++
}

func (g *ledger) findRun(name string) (int, bool) {
	return slices.BinarySearchFunc(g.Runs, name, func(r run, n string) int { return cmp.Compare(r.Run, n) })
}

// folded gives the hour in which a batch was folded.
func (g *ledger) folded(id batchID) (time.Time, bool) {
	i, found := g.findRun(id.Run)
	if !found {
		return time.Time{}, false
	}
	spans := g.Runs[i].Spans
	j, _ := slices.BinarySearchFunc(spans, id.N, func(s span, n int64) int { return cmp.Compare(s.Last, n) })
	if j == len(spans) || spans[j].First > id.N {
		return time.Time{}, false
	}
	return spans[j].At, true
}

// mark notes that a batch was folded.
func (g *ledger) mark(id batchID, now time.Time) {
	if _, done := g.folded(id); done {
		return
	}
	i, found := g.findRun(id.Run)
	if !found {
		g.Runs = slices.Insert(g.Runs, i, run{Run: id.Run})
	}
	s := span{First: id.N, Last: id.N, At: now.UTC().Truncate(time.Hour)}
	spans := g.Runs[i].Spans
	j, _ := slices.BinarySearchFunc(spans, id.N, func(s span, n int64) int { return cmp.Compare(s.Last, n) })
	spans = slices.Insert(spans, j, s)
	if j+1 < len(spans) && spans[j+1].First == s.Last+1 && spans[j+1].At.Equal(s.At) {
		spans[j].Last = spans[j+1].Last
		spans = slices.Delete(spans, j+1, j+2)
	}
	if j > 0 && spans[j-1].Last+1 == s.First && spans[j-1].At.Equal(s.At) {
		spans[j-1].Last = spans[j].Last
		spans = slices.Delete(spans, j, j+1)
	}
	g.Runs[i].Spans = spans
}

// age drops marks of batches that are long deleted, and old counts.
func (g *ledger) age(p Privacy, now time.Time) {
	for i := range g.Runs {
		g.Runs[i].Spans = slices.DeleteFunc(g.Runs[i].Spans, func(s span) bool { return now.Sub(s.At) > tombstoneFor })
	}
	g.Runs = slices.DeleteFunc(g.Runs, func(r run) bool { return len(r.Spans) == 0 })
	first := p.cutoff(now).Format(time.DateOnly)
	g.Counts = slices.DeleteFunc(g.Counts, func(c Count) bool { return c.Day < first })
}

func decodeLedger(data []byte) (*ledger, error) {
	if bundle.FormatOf(data) > Format {
		return nil, bundle.ErrFormat
	}
	g := &ledger{}
	if err := bundle.DecodeStrict(data, MaxLedger, g); err != nil {
		return nil, err
	}
	if g.Format != Format {
		return nil, fmt.Errorf("%w: ledger format %d", bundle.ErrCorrupt, g.Format)
	}
	if err := g.scheme.check(); err != nil {
		return nil, err
	}
	ordered := ascending(g.Runs, func(r run) string { return r.Run })
	for _, r := range g.Runs {
		last := int64(0)
		for _, s := range r.Spans {
			ordered = ordered && s.First > last && s.Last >= s.First
			last = s.Last
		}
	}
	for i := 1; i < len(g.Counts); i++ {
		ordered = ordered && compareCounts(g.Counts[i-1], g.Counts[i]) < 0
	}
	if !ordered {
		return nil, fmt.Errorf("%w: ledger out of order", bundle.ErrCorrupt)
	}
	return g, nil
}

// readLedger gives the ledger; an absent or damaged one is empty, and so begun
// anew by the next Fold.
func readLedger(ctx context.Context, st store.Store) (*ledger, string, error) {
	data, o, err := read(ctx, st, ledgerKey, MaxLedger)
	if errors.Is(err, store.ErrNotFound) {
		return &ledger{}, "", nil
	}
	if err == nil {
		var g *ledger
		if g, err = decodeLedger(data); err == nil {
			return g, o.ETag, nil
		}
		err = fmt.Errorf("%s: %w", ledgerKey, err)
	}
	if errors.Is(err, bundle.ErrCorrupt) {
		return &ledger{damaged: err}, o.ETag, nil
	}
	return nil, "", err
}

// updateLedger is updateShard for the ledger; change may refuse.
func updateLedger(ctx context.Context, st store.Store, change func(*ledger) error) (*ledger, error) {
	for range swaps {
		g, etag, err := readLedger(ctx, st)
		if err != nil {
			return nil, err
		}
		before, err := json.Marshal(g)
		if err != nil {
			return nil, err
		}
		if err := change(g); err != nil {
			return nil, err
		}
		after, err := json.Marshal(g)
		if err != nil || bytes.Equal(before, after) {
			return g, err
		}
		if len(after) > MaxLedger {
			return nil, fmt.Errorf("%s: %d bytes; the limit is %d", ledgerKey, len(after), MaxLedger)
		}
		if _, err = st.CompareAndSwap(ctx, ledgerKey, etag, after); err == nil {
			return g, nil
		}
		if !errors.Is(err, store.ErrChanged) {
			return nil, fmt.Errorf("%s: %w", ledgerKey, err)
		}
	}
	return nil, fmt.Errorf("%s: changed %d times meanwhile; it will be tried again", ledgerKey, swaps)
}
