package syncer

import (
	"context"
	"errors"
	"slices"
	"time"

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
	// smallFulls is up to how many bytes former full bundles stay named,
	// however small the newest is.
	smallFulls = 4 << 20
	// retryFull is when a full bundle that could not be made is tried again.
	retryFull = time.Hour
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

func (p *pass) fullIsDue() bool {
	return p.o.Now().After(p.k.noFull) && slices.ContainsFunc(p.rec.Channels, dueForFull)
}

// addFull writes full bundles of the version that the record has, where they
// are due, and then names them in the record. Where that cannot be done the
// version stays what it is, and it is tried again later.
func (p *pass) addFull(ctx context.Context, sel *course.Selection) error {
	if !p.fullIsDue() {
		return nil
	}
	err := p.newFull(ctx, sel)
	if err != nil {
		p.k.noFull = p.o.Now().Add(retryFull)
		p.lg.Warn("no full bundle was written; it is tried again in an hour", "course", p.c.Name, "version", p.rec.Version, "error", err)
		return ctx.Err()
	}
	p.out.Full = true
	return nil
}

func (p *pass) newFull(ctx context.Context, sel *course.Selection) error {
	on, err := p.newShelf()
	if err != nil {
		return err
	}
	defer on.discard()
	refs := map[string]store.BundleRef{} // by channel id
	for _, ch := range p.rec.Channels {
		c, ok := p.k.former[ch.ID]
		if !dueForFull(ch) || !ok || c.version != ch.Since {
			continue
		}
		refs[ch.ID], err = p.writeBundle(ctx, on, sel, bundle.Spec{
			Course: p.rec.Course, Channel: ch.ID, To: c.version, Manifest: c.manifest, Former: c.history,
		})
		if err != nil {
			return err
		}
	}
	if err := p.lookUp(ctx, on); err != nil {
		return err
	}
	if err := p.nameFull(ctx, refs); err != nil {
		return err
	}
	p.putAgain(ctx, on)
	return nil
}

// nameFull puts the full bundles into the record, also into one that went on
// meanwhile, as long as the version they hold is on its way.
func (p *pass) nameFull(ctx context.Context, refs map[string]store.BundleRef) error {
	for try := 1; ; try++ {
		rec := p.same()
		rec.Channels = slices.Clone(rec.Channels)
		for i := range rec.Channels {
			if ref, ok := refs[rec.Channels[i].ID]; ok {
				withFull(&rec.Channels[i], ref)
			}
		}
		err := p.swap(ctx, rec, p.head)
		if !errors.Is(err, store.ErrChanged) || try == maxTries {
			return err
		}
		if err := errors.Join(pause(ctx, try), p.read(ctx)); err != nil {
			return err
		}
		if p.rec == nil {
			return store.ErrNotFound
		}
	}
}

// withFull names ref as the channel's newest full bundle, and lets go what is
// old.
func withFull(ch *store.Channel, ref store.BundleRef) {
	if ref.To != ch.Since && !slices.ContainsFunc(ch.Bundles, func(r store.BundleRef) bool { return r.From == ref.To }) {
		return // nothing leads on from there
	}
	var fulls, steps []store.BundleRef
	for _, r := range ch.Bundles {
		if r.From > 0 {
			steps = append(steps, r)
		} else if fulls = append(fulls, r); r.To >= ref.To {
			return // there is a newer one
		}
	}
	sortRefs(steps)
	if n := len(steps) - keepSteps; n > 0 {
		steps = steps[n:]
	}
	ch.Bundles = slices.Concat(keepFulls(fulls, ref, steps), steps)
	sortRefs(ch.Bundles)
}

// keepFulls gives ref and the former full bundles that stay. What a student
// has is known by a full bundle and the steps after it; without one they would
// be answered as somebody who has nothing. So the newest of the former stays,
// and others as long as all of them are together not larger than ref, or small.
func keepFulls(former []store.BundleRef, ref store.BundleRef, steps []store.BundleRef) []store.BundleRef {
	sortRefs(former)
	slices.Reverse(former)
	kept, size := []store.BundleRef{ref}, int64(0)
	for i, r := range former {
		leads := slices.ContainsFunc(steps, func(s store.BundleRef) bool { return s.From == r.To })
		if size += r.Size; !leads || i > 0 && size > max(ref.Size, smallFulls) {
			break
		}
		kept = append(kept, r)
	}
	return kept
}
