package students

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"satchel/bundle"
	"satchel/store"
)

var errFault = errors.New("planted fault")

func counted(t *testing.T, st store.Store, kind Kind) (n int64) {
	t.Helper()
	led, _, err := readLedger(context.Background(), st)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range led.Counts {
		if c.Kind == kind {
			n += c.N
		}
	}
	return n
}

func TestTwoSyncersAtOnce(t *testing.T) {
	for _, p := range []Privacy{names, pseud, count} {
		t.Run(p.Mode, func(t *testing.T) {
			st := newMemory()
			for i := range 30 {
				write(t, st, p, noon.Add(time.Duration(i)*time.Second), login(fmt.Sprint("u", i), "", noon), receipt("ana", "", "c", noon))
			}
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					if _, err := Fold(t.Context(), logger(t), st, p, noon.Add(time.Minute)); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if p.Mode == Counts {
				if l, r := counted(t, st, KindLogin), counted(t, st, KindReceipt); l != 30 || r != 30 {
					t.Errorf("%d logins and %d receipts, want 30 each", l, r)
				}
			} else if n := len(all(t, st)); n != 31 {
				t.Errorf("%d students, want 31", n)
			}
			before := st.snapshot("")
			if r := fold(t, st, p, noon.Add(2*time.Minute)); r.Batches != 0 {
				t.Errorf("folded again: %+v", r)
			}
			if d := cmp.Diff(before, st.snapshot("")); d != "" {
				t.Errorf("an idle fold changed something: %s", d)
			}
		})
	}
}

// Each call to the store fails once, before or after it took effect: the next
// fold makes good, and nothing is counted twice.
func TestFaultsAtEachCall(t *testing.T) {
	for _, p := range []Privacy{names, count} {
		for _, done := range []bool{false, true} {
			for at := 0; ; at++ {
				st := newMemory()
				write(t, st, p, noon, login("ana", "", noon), receipt("ana", "", "c", noon))
				write(t, st, p, noon.Add(time.Second), login("bob", "", noon), receipt("bob", "", "c", noon))
				n := 0
				st.fail = func(op, key string, after bool) error {
					if after != done {
						return nil
					}
					if n++; n == at+1 {
						return errFault
					}
					return nil
				}
				_, err := Fold(t.Context(), logger(t), st, p, noon.Add(time.Minute))
				st.fail = nil
				if err != nil && !errors.Is(err, errFault) {
					t.Fatal(err)
				}
				fold(t, st, p, noon.Add(2*time.Minute))
				switch {
				case p.Mode == Counts:
					if got := counted(t, st, KindReceipt); got != 2 {
						t.Fatalf("fault at call %d (done: %v): %d receipts", at, done, got)
					}
				case len(all(t, st)) != 2:
					t.Fatalf("fault at call %d (done: %v): %v", at, done, all(t, st))
				}
				if err == nil {
					break // past the last call
				}
			}
		}
	}
}

func TestCostGrowsWithTheNewLines(t *testing.T) {
	st := newMemory()
	for i := range 3000 {
		write(t, st, names, noon.Add(time.Duration(i)*time.Second), login(fmt.Sprint("u", i), "", noon))
	}
	now := noon.Add(50 * time.Minute)
	if r := fold(t, st, names, now); r.Batches != 3000 {
		t.Fatalf("%+v", r)
	}
	write(t, st, names, now, login("u7", "", now), receipt("u7", "", "c", now))
	clear(st.calls)
	r := fold(t, st, names, now.Add(time.Second))
	if r.Batches != 1 || r.Shards != 1 {
		t.Errorf("%+v", r)
	}
	// One batch, one shard, the ledger, and for late ones the last ten minutes.
	if st.calls["swap"] != 2 || st.calls["get"] > 5 || st.calls["listed"] > 700 {
		t.Errorf("calls: %v", st.calls)
	}
	led, _, _ := readLedger(t.Context(), st)
	if len(led.Runs) > 3001 {
		t.Errorf("%d runs", len(led.Runs))
	}
}

func TestLedgerHoldsRanges(t *testing.T) {
	g := &ledger{}
	for _, n := range []int64{5, 1, 3, 2, 4, 9, 7, 8, 6} {
		g.mark(batchID{Run: "r", N: n}, noon)
	}
	g.mark(batchID{Run: "r", N: 10}, noon.Add(time.Hour))
	want := []span{{1, 9, noon}, {10, 10, noon.Add(time.Hour)}}
	if d := cmp.Diff(want, g.Runs[0].Spans); d != "" {
		t.Error(d)
	}
	for n, done := range map[int64]bool{1: true, 9: true, 10: true, 11: false} {
		if _, ok := g.folded(batchID{Run: "r", N: n}); ok != done {
			t.Errorf("batch %d: %v", n, ok)
		}
	}
}

func TestLateBatches(t *testing.T) {
	st := newMemory()
	write(t, st, names, noon, login("ana", "", noon))
	fold(t, st, names, noon.Add(time.Minute))
	write(t, st, names, noon.Add(-9*time.Minute), login("slow", "", noon))
	if r := fold(t, st, names, noon.Add(90*time.Second)); r.Batches != 1 {
		t.Fatalf("nine minutes late: %+v", r)
	}
	write(t, st, names, noon.Add(-5*time.Hour), login("late", "", noon.Add(-5*time.Hour)))
	if r := fold(t, st, names, noon.Add(2*time.Minute)); r.Batches != 0 {
		t.Fatalf("%+v", r)
	}
	if r := fold(t, st, names, noon.Add(62*time.Minute)); r.Batches != 1 {
		t.Fatalf("%+v", r)
	}
}

func TestBatchesAreDeletedADayAfterTheyWereFolded(t *testing.T) {
	for _, p := range []Privacy{names, count} {
		st := newMemory()
		write(t, st, p, noon, login("ana", "", noon))
		folded := noon.Add(72 * time.Hour) // the syncer was away
		fold(t, st, p, folded)
		if fold(t, st, p, folded.Add(23*time.Hour)); len(st.snapshot(receiptsPrefix)) != 1 {
			t.Error("deleted before its day was over")
		}
		if r := fold(t, st, p, folded.Add(26*time.Hour)); r.Deleted != 1 || len(st.snapshot(receiptsPrefix)) != 0 {
			t.Errorf("not deleted: %+v", r)
		}
		fold(t, st, p, folded.Add(80*time.Hour))
		if led, _, _ := readLedger(t.Context(), st); len(led.Runs) != 0 {
			t.Errorf("marks stay for ever: %v", led.Runs)
		}
	}
}

func TestKeep(t *testing.T) {
	p := names
	p.Keep = 30 * 24 * time.Hour
	st := newMemory()
	write(t, st, p, noon, login("gone", "", noon), receipt("ana", "", "old", noon))
	fold(t, st, p, noon.Add(time.Minute))
	day20 := noon.AddDate(0, 0, 20)
	write(t, st, p, day20, receipt("ana", "", "new", day20))
	fold(t, st, p, day20)
	if n := len(all(t, st)); n != 2 {
		t.Fatalf("%d students after 20 days", n)
	}
	// No new line: the daily look at all records does it.
	r := fold(t, st, p, noon.AddDate(0, 0, 31))
	s := all(t, st)
	if r.Forgotten != 1 || len(s) != 1 || s[0].User != "ana" || len(s[0].Servers[0].Courses) != 1 || s[0].Servers[0].Courses[0].Course != "new" {
		t.Errorf("%+v, %+v", r, s)
	}
	if keys := st.contains("gone"); len(keys) > 0 {
		t.Errorf("the forgotten name stands in %v", keys)
	}
	fold(t, st, p, noon.AddDate(1, 0, 0))
	if n := len(all(t, st)); n != 0 {
		t.Errorf("%d students after a year", n)
	}
}

// After a change of mode nothing of the former one is left, batches included;
// what the last day told is kept where it can be brought over.
func TestChangingTheMode(t *testing.T) {
	other := Privacy{Mode: Pseudonyms, Key: bytes.Repeat([]byte{8}, 32)}
	for _, c := range []struct {
		from, to Privacy
		want     int // students, or counted logins
	}{
		{names, pseud, 1}, {names, count, 1}, {pseud, names, 0}, {pseud, count, 1},
		{pseud, other, 0}, {count, names, 0}, {count, pseud, 0},
	} {
		t.Run(c.from.Mode+" to "+c.to.Mode, func(t *testing.T) {
			st := newMemory()
			write(t, st, c.from, noon, login("ana-maria", "", noon))
			fold(t, st, c.from, noon.Add(time.Minute))
			write(t, st, c.from, noon.Add(2*time.Minute), login("ana-maria", "", noon.Add(2*time.Minute)))
			r := fold(t, st, c.to, noon.Add(3*time.Minute))
			if c.from.Mode != Counts && r.OtherMode != 1 {
				t.Errorf("%+v", r)
			}
			if c.to.Mode == Counts {
				if n := counted(t, st, KindLogin); n != 2 {
					t.Errorf("%d logins counted", n)
				}
			} else if n := len(all(t, st)); n != c.want {
				t.Errorf("%d students, want %d", n, c.want)
			}
			for _, trace := range []string{"ana-maria", c.from.Pseudonym("ana-maria")} {
				if keys := st.contains(trace); len(keys) > 0 && trace != c.to.Pseudonym("ana-maria") {
					t.Errorf("%s stands in %v", trace, keys)
				}
			}
			if n := len(st.snapshot(receiptsPrefix)); n != 0 {
				t.Errorf("%d batches of the former mode are left", n)
			}
		})
	}
}

func TestCountsHoldNobody(t *testing.T) {
	st := newMemory()
	w := write(t, st, count, noon, login("ana-maria", "her-lab", noon), request("ana-maria", "her-lab", noon, 9),
		receipt("ana-maria", "her-lab", "scala101", noon))
	fold(t, st, count, noon.Add(time.Minute))
	for _, trace := range []string{"ana-maria", "her-lab", "hw1.ipynb", "scala:1"} {
		if keys := st.contains(trace); len(keys) > 0 {
			t.Errorf("%s stands in %v", trace, keys)
		}
	}
	led, _, _ := readLedger(t.Context(), st)
	want := []Count{{"2026-11-23", KindLogin, "", 0, 1}, {"2026-11-23", KindReceipt, "scala101", 15, 1}, {"2026-11-23", KindRequest, "", 0, 1}}
	if d := cmp.Diff(want, led.Counts); d != "" {
		t.Error(d)
	}
	if _, ok := led.folded(w); !ok {
		t.Error("the batch is not marked")
	}
	fold(t, st, count, noon.AddDate(0, 0, 181))
	if n := counted(t, st, KindLogin); n != 0 {
		t.Errorf("%d logins after 181 days", n)
	}
}

func TestSyncersWithDifferentModesStop(t *testing.T) {
	st := newMemory()
	write(t, st, names, noon, login("ana", "", noon))
	fold(t, st, names, noon)
	write(t, st, names, noon.Add(time.Second), login("bob", "", noon))
	st.fail = func(op, key string, done bool) error {
		if op == "swap" && key == ledgerKey && !done { // another syncer, just before
			g := &ledger{Format: Format, scheme: pseud.scheme()}
			st.set(ledgerKey, []byte(encode(t, g)))
			st.fail = nil
		}
		return nil
	}
	_, err := Fold(t.Context(), logger(t), st, names, noon.Add(time.Minute))
	if err == nil || !strings.Contains(err.Error(), "other privacy settings") {
		t.Errorf("error %v", err)
	}
}

func TestNewerFormatsAreLeftAlone(t *testing.T) {
	st := newMemory()
	id := batchID{noon, "0123456789abcdef", 1}
	st.set(id.key(), []byte(`{"format":2,"mode":"names","shape":"new"}`+"\n"))
	before := maps.Clone(st.snapshot(receiptsPrefix))
	for i := range 3 {
		if r := fold(t, st, names, noon.Add(time.Duration(i)*time.Hour)); r.Newer != 1 || r.Batches != 0 {
			t.Fatalf("%+v", r)
		}
	}
	if d := cmp.Diff(before, st.snapshot(receiptsPrefix)); d != "" {
		t.Error(d)
	}
	write(t, st, names, noon, login("ana", "", noon))
	st.set(shardKey("ana"), []byte(`{"format":2}`))
	if _, err := Fold(t.Context(), logger(t), st, names, noon.Add(4*time.Hour)); !errors.Is(err, bundle.ErrFormat) {
		t.Errorf("a newer shard: %v", err)
	}
	if got := st.snapshot("")[shardKey("ana")]; got != `{"format":2}` {
		t.Errorf("a newer shard was rewritten: %s", got)
	}
}

func TestDamageStopsNobodyElse(t *testing.T) {
	st := newMemory()
	id := batchID{noon, "0123456789abcdef", 1}
	st.set(id.key(), []byte("garbage"))
	st.set("receipts/elsewhere", []byte("not ours"))
	write(t, st, names, noon, login("ana", "", noon), login("bob", "", noon))
	st.set(shardKey("ana"), []byte("{"))
	st.set(ledgerKey, []byte("]"))
	r := fold(t, st, names, noon.Add(time.Minute))
	if r.Refused != 1 || len(all(t, st)) != 2 {
		t.Errorf("%+v, %v", r, all(t, st))
	}
	if _, ok := st.snapshot("")["receipts/elsewhere"]; !ok {
		t.Error("what is not ours was deleted")
	}
}

func TestLinesFromTheFutureAreRefused(t *testing.T) {
	st := newMemory()
	write(t, st, names, noon, login("ana", "", noon), login("ana", "", noon.AddDate(50, 0, 0)))
	if r := fold(t, st, names, noon.Add(time.Minute)); r.Refused != 1 || !all(t, st)[0].Servers[0].Login.Time.Equal(noon) {
		t.Errorf("%+v", r)
	}
}
