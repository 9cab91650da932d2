package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"satchel/bundle"
	"satchel/store"
)

// compose gives each channel of the record as it was published, from bundles
// in the store; what is remembered from the last pass is not read again.
// Everything is checked by digest against the head.
func (p *pass) compose(ctx context.Context) ([]former, error) {
	if p.rec == nil {
		return nil, nil
	}
	if p.r.Repair { // what was is taken for lost, but for who sees it
		var out []former
		for _, ch := range p.rec.Channels {
			out = append(out, former{Channel: ch})
		}
		return out, nil
	}
	now := make(map[string]composed, len(p.rec.Channels))
	out := make([]former, 0, len(p.rec.Channels))
	for _, ch := range p.rec.Channels {
		want, ok := p.head.Channel(ch.ID)
		if !ok {
			return nil, fmt.Errorf("%w: channel %s of the record is not in its head", bundle.ErrCorrupt, ch.ID)
		}
		c, err := p.composeChannel(ctx, ch, want)
		if err != nil {
			return nil, err
		}
		now[ch.ID] = c
		out = append(out, former{ch, c})
	}
	p.k.former = now
	return out, nil
}

func (p *pass) composeChannel(ctx context.Context, ch store.Channel, want bundle.Digest) (composed, error) {
	have, known := p.k.former[ch.ID]
	if known && have.version == ch.Since && have.manifest.Digest() == want {
		return have, nil
	}
	if known {
		if refs, ok := chain(ch, have.version); ok {
			if c, err := p.walk(ctx, ch, have, refs, want); err == nil {
				return c, nil
			}
		}
	}
	refs, ok := chain(ch, 0)
	if !ok {
		return composed{}, fmt.Errorf("version %d: the record names no bundles that lead to it; bring the record back from a backup of the store", ch.Since)
	}
	return p.walk(ctx, ch, composed{}, refs, want)
}

// chain are the bundles that lead to the channel's newest version: steps from
// version from, or with 0 the newest full bundle and the steps after it.
func chain(ch store.Channel, from bundle.Version) ([]store.BundleRef, bool) {
	var refs []store.BundleRef
	for at := ch.Since; at != from; {
		i := slices.IndexFunc(ch.Bundles, func(r store.BundleRef) bool {
			return r.To == at && r.From < at && (r.From > 0 || from == 0)
		})
		if i < 0 {
			return nil, false
		}
		refs = append(refs, ch.Bundles[i])
		at = ch.Bundles[i].From
	}
	slices.Reverse(refs)
	return refs, true
}

// walk applies bundles to start and checks what comes out.
func (p *pass) walk(ctx context.Context, ch store.Channel, start composed, refs []store.BundleRef, want bundle.Digest) (composed, error) {
	steps, err := p.steps(ctx, ch, refs)
	if err != nil {
		return composed{}, err
	}
	return follow(ch, start, steps, want)
}

// steps reads what bundles say of themselves, but for their frames.
func (p *pass) steps(ctx context.Context, ch store.Channel, refs []store.BundleRef) (steps []*bundle.Index, err error) {
	for _, ref := range refs {
		x, err := readIndex(ctx, p.st, p.rec.Course, ch.ID, ref)
		if err != nil {
			return nil, err
		}
		x.Frames = nil // large, and nobody asks
		steps = append(steps, x)
	}
	return steps, nil
}

// follow applies steps to start and checks what comes out.
func follow(ch store.Channel, start composed, steps []*bundle.Index, want bundle.Digest) (composed, error) {
	m, err := bundle.Compose(start.manifest, steps...)
	if err != nil {
		return composed{}, err
	}
	h := start.history
	for _, x := range steps {
		if x.From == 0 {
			h = nil
		}
		h, _ = h.Add(x.Former...)
	}
	switch {
	case m == nil || m.Digest() != want:
		return composed{}, fmt.Errorf("%w: version %d: the bundles of channel %s lead to another manifest than the head names", bundle.ErrCorrupt, ch.Since, ch.ID)
	case h.Digest() != m.History:
		return composed{}, fmt.Errorf("%w: version %d: the bundles of channel %s lead to another history than the manifest names", bundle.ErrCorrupt, ch.Since, ch.ID)
	}
	return composed{ch.Since, m, h}, nil
}

// readIndex reads the beginning of a bundle.
func readIndex(ctx context.Context, st store.Store, course, channel string, ref store.BundleRef) (*bundle.Index, error) {
	body, _, err := st.Get(ctx, store.BundleKey(course, ref.Digest))
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("the bundle of versions %d to %d is no longer in the store; bring %s back from a backup: %w", ref.From, ref.To, store.BundleKey(course, ref.Digest), err)
	}
	if err != nil {
		return nil, fmt.Errorf("bundle of versions %d to %d: %w", ref.From, ref.To, err)
	}
	defer body.Close()
	x, err := bundle.ReadIndex(body)
	if err != nil {
		return nil, fmt.Errorf("bundle of versions %d to %d: %w", ref.From, ref.To, err)
	}
	if x.Course != course || x.Channel != channel || x.From != ref.From || x.To != ref.To {
		return nil, fmt.Errorf("%w: bundle of versions %d to %d says that it is %d to %d of %s", bundle.ErrCorrupt, ref.From, ref.To, x.From, x.To, x.Course)
	}
	return x, nil
}
