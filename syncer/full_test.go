package syncer

import (
	"context"
	"errors"
	"fmt"
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
	if v := s.view(); len(v.record.Named()) != fullSteps+1 {
		t.Fatalf("%d bundles for %d versions", len(v.record.Named()), v.version)
	}
	s.clock.add(time.Minute)
	s.repo.write("n", "the next")
	s.repo.save()
	out := s.sync(y)
	if !out.Full || !out.Published || out.Version != fullSteps+2 {
		t.Errorf("outcome %+v", out)
	}
	v := s.view()
	ch := v.record.Channels[0]
	if way, _ := chain(ch, 0); len(way) != 1 || way[0].To != fullSteps+2 {
		t.Errorf("the way to the newest version is %v", way)
	}
	if way, ok := chain(ch, 1); !ok || len(way) != fullSteps+1 {
		t.Error("whoever has version 1 has no steps any more")
	}
	if out := s.sync(y); out.Full || out.Stats.Objects > 0 {
		t.Errorf("again: %+v", out)
	}
	s.publishMany(s.syncer(), 2)
	if v := s.view(); v.version != fullSteps+4 {
		t.Errorf("version %d", v.version)
	}
}

func TestOldStepsLeaveTheRecord(t *testing.T) {
	ch := &store.Channel{Since: 300, Bundles: refs(0, 1, 1)}
	for v := int64(1); v < 300; v++ {
		ch.Bundles = append(ch.Bundles, refs(v, v+1, 1)...)
	}
	withFull(ch, refs(0, 300, 9)[0])
	if n := len(ch.Bundles); n != keepSteps+1 {
		t.Errorf("%d bundles are named", n)
	}
	if way, ok := chain(*ch, 200); !ok || len(way) != 100 {
		t.Errorf("from version 200: %d steps, %v", len(way), ok)
	}
	before := len(ch.Bundles)
	withFull(ch, refs(0, 250, 9)[0])  // another syncer's, older than what is there
	withFull(ch, refs(0, 1000, 9)[0]) // of a version that the record does not lead over
	if len(ch.Bundles) != before || ch.Bundles[0].To != 300 {
		t.Errorf("an older or unknown full bundle was named")
	}
}

// While a syncer writes a full bundle another one publishes: the full bundle is
// still named, for its version is on the way to the newest.
func TestFullBundleOfAVersionThatWasOvertaken(t *testing.T) {
	s := newSite(t)
	other := s.syncer()
	s.publishMany(other, fullSteps+1)
	s.repo.write("n", "overtaken")
	s.repo.save()
	st := &overtaken{Store: s.st}
	st.then = func() {
		s.repo.write("n", "newest")
		s.repo.save()
		st.then = nil
		other.known["scala101"].noFull = s.clock.Now().Add(time.Hour)
		s.sync(other)
	}
	out := s.sync(s.syncer(st))
	if !out.Full || out.Version != fullSteps+3 {
		t.Errorf("outcome %+v", out)
	}
	v := s.view()
	if v.files["n"] != "newest" {
		t.Errorf("students see %q", v.files["n"])
	}
	if way, _ := chain(v.record.Channels[0], 0); len(way) != 2 || way[0].To != fullSteps+2 {
		t.Errorf("the way is %v", way)
	}
}

// overtaken lets then happen before the second swap.
type overtaken struct {
	store.Store
	swaps int
	then  func()
}

func (o *overtaken) CompareAndSwap(ctx context.Context, key, etag string, data []byte) (string, error) {
	if o.swaps++; o.swaps == 2 && o.then != nil {
		o.then()
	}
	return o.Store.CompareAndSwap(ctx, key, etag, data)
}

// A full bundle that cannot be written is no failed publish, and is tried again
// after an hour, not at each poll.
func TestFullBundleThatFailsWaits(t *testing.T) {
	s := newSite(t)
	s.publishMany(s.syncer(), fullSteps+1)
	s.repo.write("n", "the next")
	s.repo.save()
	y := s.syncer(&noFullPuts{Store: s.st})
	out := s.sync(y)
	if !out.Published || out.Full {
		t.Errorf("outcome %+v", out)
	}
	if out := s.sync(y); out.Stats.Took("fetch") > 0 {
		t.Error("it is tried again at once")
	}
	s.clock.add(retryFull + time.Minute)
	y.st = s.st
	if out := s.sync(y); !out.Full || out.Published {
		t.Errorf("an hour later: %+v", out)
	}
	if way, _ := chain(s.view().record.Channels[0], 0); len(way) != 1 {
		t.Errorf("the way is %v", way)
	}
}

// noFullPuts takes one bundle, and no second one.
type noFullPuts struct {
	store.Store
	swapped bool
}

func (n *noFullPuts) CompareAndSwap(ctx context.Context, key, etag string, data []byte) (string, error) {
	if n.swapped {
		return "", errors.New("no more swaps")
	}
	n.swapped = true
	return n.Store.CompareAndSwap(ctx, key, etag, data)
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
		"more, together not above the new one": {
			refs(0, 1, 4<<20, 1, 2, 1, 0, 2, 5<<20, 2, 3, 1), refs(0, 1, 4<<20, 1, 2, 1, 0, 2, 5<<20, 2, 3, 1, 0, 3, 9<<20), refs(0, 3, 9<<20)[0]},
		"no more than that": {
			refs(0, 1, 5<<20, 1, 2, 1, 0, 2, 5<<20, 2, 3, 1), refs(1, 2, 1, 0, 2, 5<<20, 2, 3, 1, 0, 3, 9<<20), refs(0, 3, 9<<20)[0]},
		"small ones anyhow": {
			refs(0, 1, 1<<20, 1, 2, 1, 0, 2, 2<<20, 2, 3, 1), refs(0, 1, 1<<20, 1, 2, 1, 0, 2, 2<<20, 2, 3, 1, 0, 3, 10), refs(0, 3, 10)[0]},
		"none from which no step leads on": {
			refs(0, 1, 10, 2, 3, 1), refs(2, 3, 1, 0, 3, 10), refs(0, 3, 10)[0]},
	} {
		ch := &store.Channel{Since: c.full.To, Bundles: c.had}
		withFull(ch, c.full)
		if !slices.Equal(ch.Bundles, c.want) {
			t.Errorf("%s: %v", name, ch.Bundles)
		}
	}
}
