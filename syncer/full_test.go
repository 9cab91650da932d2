package syncer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/store"
)

func refs(pairs ...int64) (out []store.BundleRef) {
	for i := 0; i < len(pairs); i += 3 {
		out = append(out, store.BundleRef{From: bundle.Version(pairs[i]), To: bundle.Version(pairs[i+1]), Size: pairs[i+2]})
	}
	sortRefs(out)
	return out
}

func TestWhenAFullBundleIsDue(t *testing.T) {
	many := []int64{0, 1, 1 << 20}
	for v := int64(1); v <= fullSteps; v++ {
		many = append(many, v, v+1, 10)
	}
	for name, c := range map[string]struct {
		since bundle.Version
		refs  []store.BundleRef
		want  bool
	}{
		"only the first":             {1, refs(0, 1, 1000), false},
		"small steps":                {3, refs(0, 1, 1000, 1, 2, 100, 2, 3, 400), false},
		"steps above half of it":     {3, refs(0, 1, 1000, 1, 2, 100, 2, 3, 401), true},
		"steps before it count not":  {3, refs(0, 2, 1000, 1, 2, 5000, 2, 3, 400), false},
		"versions between left out":  {9, refs(0, 1, 1000, 1, 4, 100, 4, 9, 100), false},
		"thirty steps":               {fullSteps + 1, refs(many...), false},
		"thirty-one steps":           {fullSteps + 2, refs(append(many, fullSteps+1, fullSteps+2, 10)...), true},
		"no way at all is no reason": {5, refs(1, 2, 10), false},
	} {
		if got := dueForFull(store.Channel{Since: c.since, Bundles: c.refs}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestChainTakesTheNewestFullBundle(t *testing.T) {
	ch := store.Channel{Since: 9, Bundles: refs(0, 1, 1, 1, 4, 1, 0, 4, 1, 4, 6, 1, 6, 9, 1)}
	for from, want := range map[bundle.Version]string{0: "0-4 4-6 6-9", 4: "4-6 6-9", 1: "1-4 4-6 6-9", 9: "", 5: "none", 8: "none"} {
		got := []string{}
		rs, ok := chain(ch, from)
		for _, r := range rs {
			got = append(got, fmt.Sprintf("%d-%d", r.From, r.To))
		}
		if !ok {
			got = []string{"none"}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("from %d: %v; want %s", from, got, want)
		}
	}
}

// course of some size with one small change each time.
func (s *site) publishMany(y *Syncer, versions int) {
	s.t.Helper()
	big := ""
	for i := range 3000 {
		big += bundle.Sum([]byte(fmt.Sprint(i))).String()
	}
	for i := range versions {
		s.clock.add(time.Minute)
		s.repo.commit(files{"big": big, "n": fmt.Sprint(i)})
		s.sync(y)
	}
}

func TestFullBundleBesideTheWay(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	s.publishMany(y, fullSteps+1)
	if s.compact(y) {
		t.Fatal("a full bundle before it is due")
	}
	if v := s.view(); len(v.record.Named()) != fullSteps+1 {
		t.Fatalf("%d bundles for %d versions", len(v.record.Named()), v.version)
	}
	s.repo.write("n", "the next")
	s.repo.save()
	if out := s.sync(y); !out.Published || !out.fullIsDue {
		t.Errorf("outcome %+v", out)
	}
	os.RemoveAll(s.repo.dir) // all of it is in the store
	if !s.compact(s.syncer()) {
		t.Error("no full bundle was written")
	}
	v := s.view()
	ch := v.record.Channels[0]
	if way, _ := chain(ch, 0); len(way) != 1 || way[0].To != fullSteps+2 || v.files["n"] != "the next" {
		t.Errorf("the way to the newest version is %v", way)
	}
	if way, ok := chain(ch, 1); !ok || len(way) != fullSteps+1 {
		t.Error("whoever has version 1 has no steps any more")
	}
	for _, ref := range ch.Bundles {
		x, err := readIndex(t.Context(), s.st, "scala101", ch.ID, ref)
		if err != nil {
			t.Fatal(err)
		}
		if whole, _ := frameBytes(x); (whole > 0) != (ref.From == 0 && ref.To == v.version) {
			t.Errorf("bundle %d to %d has %d bytes of whole contents", ref.From, ref.To, whole)
		}
	}
	if s.compact(y) {
		t.Error("again")
	}
}

func TestOldStepsLeaveTheRecord(t *testing.T) {
	ch := &store.Channel{Since: 300}
	for v := int64(1); v < 300; v++ {
		ch.Bundles = append(ch.Bundles, refs(v, v+1, 1)...)
	}
	for v := int64(30); v < 300; v += 30 {
		ch.Bundles = append(ch.Bundles, refs(0, v, 1)...)
	}
	sortRefs(ch.Bundles)
	compacted{full: refs(0, 300, 9)[0]}.apply(ch)
	if n := len(ch.Bundles); n != 90+3+1 { // of a hundred steps ten have no full one before them
		t.Errorf("%d bundles are named", n)
	}
	if way, ok := chain(*ch, 210); !ok || len(way) != 90 {
		t.Errorf("from version 210: %d steps, %v", len(way), ok)
	}
	before := len(ch.Bundles)
	compacted{full: refs(0, 250, 9)[0]}.apply(ch)  // another syncer's, older than what is there
	compacted{full: refs(0, 1000, 9)[0]}.apply(ch) // of a version that the record does not lead over
	if len(ch.Bundles) != before || ch.Bundles[0].To != 210 {
		t.Errorf("an older or unknown full bundle was named: %v", ch.Bundles[:4])
	}
}

// While a full bundle is written another syncer publishes: the full bundle is
// still named, for its version is on the way to the newest.
func TestFullBundleOfAVersionThatWasOvertaken(t *testing.T) {
	s := newSite(t)
	other := s.syncer()
	s.publishMany(other, fullSteps+2)
	st := &overtaken{Store: s.st}
	st.then = func() {
		s.repo.write("n", "newest")
		s.repo.save()
		st.then = nil
		s.sync(other)
	}
	if !s.compact(s.syncer(st)) {
		t.Error("no full bundle")
	}
	v := s.view()
	if v.files["n"] != "newest" {
		t.Errorf("students see %q", v.files["n"])
	}
	if way, _ := chain(v.record.Channels[0], 0); len(way) != 2 || way[0].To != fullSteps+2 {
		t.Errorf("the way is %v", way)
	}
}

// overtaken lets then happen before the first swap.
type overtaken struct {
	store.Store
	then func()
}

func (o *overtaken) CompareAndSwap(ctx context.Context, key, etag string, data []byte) (string, error) {
	if o.then != nil {
		o.then()
	}
	return o.Store.CompareAndSwap(ctx, key, etag, data)
}

// A full bundle that cannot be written, or whose parts are damaged, changes
// nothing.
func TestFullBundleThatFails(t *testing.T) {
	s := newSite(t)
	s.publishMany(s.syncer(), fullSteps+2)
	before := s.view()
	if did, err := s.syncer(&noSwaps{Store: s.st}).Compact(t.Context(), &s.c); did || err == nil {
		t.Errorf("%v, %v", did, err)
	}
	if v := s.view(); v.record.Publish != before.record.Publish {
		t.Error("the record changed")
	}
	ref := before.record.Channels[0].Bundles[0]
	body, _, err := s.st.Get(t.Context(), store.BundleKey("scala101", ref.Digest))
	if err != nil {
		t.Fatal(err)
	}
	data, _ := io.ReadAll(body)
	body.Close()
	data[len(data)-20]++
	if err := s.st.Put(t.Context(), store.BundleKey("scala101", ref.Digest), bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if did, err := s.syncer().Compact(t.Context(), &s.c); did || !errors.Is(err, bundle.ErrCorrupt) {
		t.Errorf("of damaged parts: %v, %v", did, err)
	}
}

type noSwaps struct{ store.Store }

func (*noSwaps) CompareAndSwap(context.Context, string, string, []byte) (string, error) {
	return "", errors.New("no more swaps")
}

// What students have stays known when a full bundle is renewed; how much is
// kept for that is bounded.
func TestFormerFullBundlesStay(t *testing.T) {
	for name, c := range map[string]struct {
		had, want []store.BundleRef
		full      store.BundleRef
	}{
		"the newest of them, whatever it holds": {
			refs(0, 1, 90<<20, 1, 2, 1<<20), refs(0, 1, 90<<20, 0, 2, 9<<20, 1, 2, 1<<20), refs(0, 2, 9<<20)[0]},
		"more, together not above a quarter of the new one": {
			refs(0, 1, 4<<20, 1, 2, 1, 0, 2, 5<<20, 2, 3, 1), refs(0, 1, 4<<20, 1, 2, 1, 0, 2, 5<<20, 2, 3, 1, 0, 3, 36<<20), refs(0, 3, 36<<20)[0]},
		"no more than that, and no steps from what nobody can tell": {
			refs(0, 1, 5<<20, 1, 2, 1, 0, 2, 5<<20, 2, 3, 1), refs(0, 2, 5<<20, 2, 3, 1, 0, 3, 36<<20), refs(0, 3, 36<<20)[0]},
		"small ones anyhow": {
			refs(0, 1, 1<<20, 1, 2, 1, 0, 2, 2<<20, 2, 3, 1), refs(0, 1, 1<<20, 1, 2, 1, 0, 2, 2<<20, 2, 3, 1, 0, 3, 10), refs(0, 3, 10)[0]},
		"none from which no step leads on": {
			refs(0, 1, 10, 2, 3, 1), refs(0, 3, 10), refs(0, 3, 10)[0]},
	} {
		ch := &store.Channel{Since: c.full.To, Bundles: c.had}
		compacted{full: c.full}.apply(ch)
		if !slices.Equal(ch.Bundles, c.want) {
			t.Errorf("%s: %v", name, ch.Bundles)
		}
	}
}
