package syncer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"

	"satchel/bundle"
	"satchel/course"
	"satchel/store"
)

const (
	// fullSteps is how many steps may lead from the newest full bundle to the
	// newest version.
	fullSteps = 30
	// keepSteps is how many steps a record names at most, whatever full ones
	// there are: somebody whose version is older takes the full one.
	keepSteps = 100
	// smallPast is up to how many bytes what is past stays named, however
	// small the newest full bundle is.
	smallPast = 4 << 20
)

// dueForFull says whether a channel should get a new full bundle: more than
// fullSteps steps lead from the last one to the newest version, or together
// they are larger than half of it.
func dueForFull(ch store.Channel) bool {
	refs, ok := chain(ch, 0)
	if !ok || len(refs) < 2 {
		return false
	}
	steps := int64(0)
	for _, r := range refs[1:] {
		steps += r.Size
	}
	return len(refs)-1 > fullSteps || steps > refs[0].Size/2
}

// Compact writes full bundles of the version that the record has, where they
// are due, from what lies in the store, and makes slim what lies before them.
// It changes no version and needs no repository, so publishes go on meanwhile.
// It says whether there was anything to do.
func (s *Syncer) Compact(ctx context.Context, c *course.Course) (did bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, abandonAfter, errAbandoned)
	defer cancel()
	p := &pass{Syncer: s, c: c, began: s.o.Now()}
	p.st = metered{s.st, &p.out.Stats, new(bool)}
	if err := p.read(ctx); err != nil || p.rec == nil || !slices.ContainsFunc(p.rec.Channels, dueForFull) {
		return false, err
	}
	// Who published the newest version knows by its bundles that it did: they
	// stay what they are until that is in the log.
	if !p.logged(ctx, p.rec.Version) && (p.o.Now().Sub(p.head.Published) <= settled || p.logNewest(ctx) != nil) {
		return false, nil
	}
	err = p.overtaken(ctx, p.compact(ctx))
	if err != nil { // what it put may hold what was withdrawn meanwhile
		s.knownOf(c.Name).swept.Store(unswept)
	}
	if errors.Is(err, store.ErrChanged) {
		return false, nil // it is due still, and the next pass says so
	}
	if err != nil {
		return false, fmt.Errorf("full bundle of %s %d: %w", c.Name, p.rec.Version, err)
	}
	return true, nil
}

// compactInTurn is Compact, for one course at a time: it reads and writes much.
func (s *Syncer) compactInTurn(ctx context.Context, c *course.Course) (bool, error) {
	select {
	case s.tidy <- struct{}{}:
		defer func() { <-s.tidy }()
		return s.Compact(ctx, c)
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

func (p *pass) compact(ctx context.Context) error {
	on, err := p.newShelf()
	if err != nil {
		return err
	}
	defer on.discard()
	var done []compacted
	for _, ch := range p.rec.Channels {
		if dueForFull(ch) {
			d, err := p.compactChannel(ctx, on, ch)
			if err != nil {
				return err
			}
			done = append(done, d)
		}
	}
	if err := p.lookUp(ctx, on); err != nil {
		return err
	}
	if err := p.nameFull(ctx, done); err != nil {
		return err
	}
	p.putAgain(ctx, on)
	return nil
}

// compacted is what becomes of a channel's bundles: a new full one, and for
// those before it slim ones.
type compacted struct {
	channel string
	full    store.BundleRef
	slim    map[bundle.Digest]store.BundleRef // in place of
}

// readBundle is one whose index was read.
type readBundle struct {
	ref store.BundleRef
	bundle.Stored
}

func (p *pass) compactChannel(ctx context.Context, on *shelf, ch store.Channel) (out compacted, err error) {
	var all []readBundle // newest first
	for _, ref := range ch.Bundles {
		x, err := readIndex(ctx, p.st, p.rec.Course, ch.ID, ref)
		if err != nil {
			return out, err
		}
		all = append(all, readBundle{ref, bundle.Stored{Index: x, Open: p.opener(ref)}})
	}
	slices.SortStableFunc(all, func(a, b readBundle) int { return int(b.ref.To - a.ref.To) })
	out = compacted{channel: ch.ID, slim: map[bundle.Digest]store.BundleRef{}}
	if out.full, err = p.gather(ctx, on, ch, all); err != nil {
		return out, err
	}
	room := max(out.full.Size/4, smallPast)
	for _, b := range all {
		whole, deltas := frameBytes(b.Index)
		keep := b.ref.From > 0 && deltas <= room
		if keep {
			room -= deltas
		}
		if whole == 0 && (keep || deltas == 0) {
			continue
		}
		made, err := bundle.Slim(ctx, on.dir, b.Stored, keep)
		if err != nil {
			return out, err
		}
		if out.slim[b.ref.Digest], err = p.put(ctx, on, b.ref.From, made); err != nil {
			return out, err
		}
	}
	return out, nil
}

// gather makes the full bundle of the channel's newest manifest.
func (p *pass) gather(ctx context.Context, on *shelf, ch store.Channel, all []readBundle) (ref store.BundleRef, err error) {
	want, _ := p.head.Channel(ch.ID)
	way, _ := chain(ch, 0) // it is due, so there is one
	var indexes []*bundle.Index
	var from []bundle.Stored
	for _, ref := range way {
		i := slices.IndexFunc(all, func(b readBundle) bool { return b.ref == ref })
		indexes = append(indexes, all[i].Index)
		from = append(from, all[i].Stored)
	}
	c, err := follow(ch, composed{}, indexes, want)
	if err != nil {
		return ref, err
	}
	slices.Reverse(from)
	made, err := bundle.Gather(ctx, on.dir, bundle.Spec{
		Course: p.rec.Course, Channel: ch.ID, To: ch.Since, Manifest: c.manifest, Former: c.history,
	}, from)
	if err != nil {
		return ref, err
	}
	return p.put(ctx, on, 0, made)
}

func (p *pass) opener(ref store.BundleRef) func(context.Context, int64, int64) (io.ReadCloser, error) {
	return func(ctx context.Context, off, n int64) (io.ReadCloser, error) {
		r, _, err := p.st.GetRange(ctx, store.BundleKey(p.rec.Course, ref.Digest), off, n)
		return r, err
	}
}

// frameBytes are those of whole contents, and those of deltas.
func frameBytes(x *bundle.Index) (whole, deltas int64) {
	for _, f := range x.Frames {
		if f.Kind == bundle.Delta {
			deltas += f.Length
		} else {
			whole += f.Length
		}
	}
	return whole, deltas
}

// nameFull puts the full bundles into the record, also into one that went on
// meanwhile, as long as the version they hold is on its way, and nothing was
// withdrawn that they may hold.
func (p *pass) nameFull(ctx context.Context, done []compacted) error {
	known := len(p.rec.Withdrawn)
	for try := 1; ; try++ {
		if len(p.rec.Withdrawn) != known {
			return fmt.Errorf("something was withdrawn meanwhile: %w", store.ErrChanged)
		}
		rec := p.same()
		rec.Channels = slices.Clone(rec.Channels)
		for i := range rec.Channels {
			for _, d := range done {
				if d.channel == rec.Channels[i].ID {
					d.apply(&rec.Channels[i])
				}
			}
		}
		if reflect.DeepEqual(rec.Channels, p.rec.Channels) {
			return nil // another syncer's are there
		}
		err := p.swap(ctx, rec, p.head)
		if !errors.Is(err, store.ErrChanged) || try == maxTries {
			return err
		}
		if err := errors.Join(p.wait(ctx, try), p.read(ctx)); err != nil {
			return err
		}
		if p.rec == nil {
			return store.ErrNotFound
		}
	}
}

// apply names the channel's new full bundle and the slim ones, and lets go
// what is old: more than keepSteps steps, former full ones that are together
// larger than a quarter of the new one (but for the newest), and steps before
// the first full one, for nobody can tell what those lead from.
func (d compacted) apply(ch *store.Channel) {
	if d.full.To != ch.Since && !slices.ContainsFunc(ch.Bundles, func(r store.BundleRef) bool { return r.From == d.full.To }) {
		return // nothing leads on from there
	}
	var fulls, steps []store.BundleRef
	for _, r := range ch.Bundles {
		if slim, ok := d.slim[r.Digest]; ok {
			r = slim
		}
		if r.From > 0 {
			steps = append(steps, r)
		} else if fulls = append(fulls, r); r.To >= d.full.To {
			return // there is a newer one
		}
	}
	sortRefs(steps)
	if n := len(steps) - keepSteps; n > 0 {
		steps = steps[n:]
	}
	fulls = keepFulls(fulls, d.full, steps)
	first := fulls[len(fulls)-1].To
	steps = slices.DeleteFunc(steps, func(r store.BundleRef) bool { return r.From < first })
	ch.Bundles = slices.Concat(fulls, steps)
	sortRefs(ch.Bundles)
}

// keepFulls gives ref and the former full bundles that stay, newest first.
// What a student has is known by a full bundle and the steps after it; without
// one they would be answered as somebody who has nothing.
func keepFulls(former []store.BundleRef, ref store.BundleRef, steps []store.BundleRef) []store.BundleRef {
	sortRefs(former)
	slices.Reverse(former)
	kept, size := []store.BundleRef{ref}, int64(0)
	for i, r := range former {
		leads := slices.ContainsFunc(steps, func(s store.BundleRef) bool { return s.From == r.To })
		if size += r.Size; !leads || i > 0 && size > max(ref.Size/4, smallPast) {
			break
		}
		kept = append(kept, r)
	}
	return kept
}
