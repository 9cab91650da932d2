package syncer

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/store"
)

// shapeOf is what a random course is made of: files of a few sizes, that no
// compression makes smaller.
type shapeOf struct {
	rng   *rand.Rand
	files files
	next  int
}

func (c *shapeOf) bytes(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(c.rng.Uint32())
	}
	return string(b)
}

func (c *shapeOf) add() {
	c.next++
	c.files[fmt.Sprintf("f%03d", c.next)] = c.bytes([]int{2_000, 60_000, 400_000, 1_500_000}[c.rng.IntN(4)])
}

// push changes some of it: a little in a file, all of one, a new one, one that
// goes.
func (c *shapeOf) push() {
	for range 1 + c.rng.IntN(3) {
		names := slices.Sorted(maps.Keys(c.files))
		name := names[c.rng.IntN(len(names))]
		text := c.files[name]
		switch c.rng.IntN(8) {
		case 0:
			c.files[name] = c.bytes(len(text))
		case 1:
			c.add()
		case 2:
			if len(names) > 8 {
				delete(c.files, name)
			}
		default:
			at := c.rng.IntN(len(text))
			c.files[name] = text[:at] + c.bytes(1+c.rng.IntN(300)) + text[at:]
		}
	}
}

// However a course's history goes, what its record names is bounded (package
// documentation), and whoever has one of the last versions is known.
func TestWhatARecordNamesIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("pushes for half a minute")
	}
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			y := s.syncer()
			c := &shapeOf{rng: rand.New(rand.NewPCG(seed, 1)), files: files{}}
			for range 12 {
				c.add()
			}
			was := map[bundle.Version]bundle.Digest{}
			compacted, all, most := 0, int64(0), 0.0
			var last files
			for range 70 {
				s.clock.add(time.Minute)
				s.repo.commit(c.files)
				last = maps.Clone(c.files)
				out := s.sync(y)
				all += out.Stats.Written
				if out.fullIsDue && s.compact(y) {
					compacted++
				}
				rec, _, err := store.ReadRecord(t.Context(), s.st, "scala101")
				if err != nil {
					t.Fatal(err)
				}
				ch := rec.Channels[0]
				head, _ := rec.Head.Peek()
				was[ch.Since], _ = head.Channel(ch.ID)
				named, bound := s.sizes(ch)
				if most = max(most, float64(named)/float64(bound)); named > bound {
					t.Fatalf("version %d: the record names %d bytes, the bound is %d: %v", rec.Version, named, bound, ch.Bundles)
				}
				s.wantKnown(ch, was)
				c.push()
			}
			if v := s.view(); !maps.Equal(v.files, last) {
				t.Errorf("students see %v; want %v", slices.Sorted(maps.Keys(v.files)), slices.Sorted(maps.Keys(last)))
			}
			t.Logf("%d full bundles, %d MB published; at most %.0f %% of the bound were named", compacted, all>>20, 100*most)
			if compacted < 2 || all < 30<<20 {
				t.Errorf("only %d full bundles and %d bytes: too little for a test", compacted, all)
			}
		})
	}
}

// sizes are the bytes that a channel names, and their bound.
func (s *site) sizes(ch store.Channel) (named, bound int64) {
	s.t.Helper()
	full, last := store.BundleRef{}, store.BundleRef{}
	indexes := int64(0)
	for _, ref := range ch.Bundles {
		x, err := readIndex(s.t.Context(), s.st, "scala101", ch.ID, ref)
		if err != nil {
			s.t.Fatal(err)
		}
		whole, deltas := frameBytes(x)
		named += ref.Size
		indexes += ref.Size - whole - deltas
		if ref.From == 0 && ref.To > full.To {
			full = ref
		}
		if ref.To > last.To {
			last = ref
		}
	}
	return named, full.Size + full.Size/2 + last.Size + max(full.Size/4, smallPast) + indexes
}

// wantKnown composes the manifest of each version of the last fullSteps from
// what the channel names.
func (s *site) wantKnown(ch store.Channel, was map[bundle.Version]bundle.Digest) {
	s.t.Helper()
	for v := max(1, ch.Since-fullSteps+1); v <= ch.Since; v++ {
		want, ok := was[v]
		if !ok {
			continue
		}
		before := ch
		before.Since = v
		way, ok := chain(before, 0)
		if !ok {
			s.t.Fatalf("version %d: nobody knows what version %d was", ch.Since, v)
		}
		var m *bundle.Manifest
		for _, ref := range way {
			x, err := readIndex(s.t.Context(), s.st, "scala101", ch.ID, ref)
			if err == nil {
				m, err = bundle.Compose(m, x)
			}
			if err != nil {
				s.t.Fatal(err)
			}
		}
		if m.Digest() != want {
			s.t.Fatalf("version %d became another", v)
		}
	}
}
