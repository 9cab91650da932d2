package syncer

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"satchel/bundle"
	"satchel/store"
)

// sweep deletes what holds withdrawn contents, where this process has not done
// that since it learned of them: who was about to publish or to compact while
// somebody withdrew may have put such an object after that one's look. What
// does not work is tried again by the next pass.
func (p *pass) sweep(ctx context.Context) {
	if p.head == nil || p.k.swept.Load() == int64(len(p.rec.Withdrawn)) {
		return
	}
	if _, err := p.compose(ctx); err != nil {
		p.lg.Warn("not swept of withdrawn contents yet", "course", p.c.Name, "error", err)
		return
	}
	if _, err := p.deleteWithdrawn(ctx); err != nil {
		p.lg.Warn("objects that hold withdrawn contents remain in the store; they are deleted as soon as that works", "course", p.c.Name, "error", err)
	}
}

// deleteWithdrawn deletes the course's objects that hold a content that was
// taken back and that no path has: with all their versions, which ends URLs
// that were signed for them.
func (p *pass) deleteWithdrawn(ctx context.Context) (deleted int, err error) {
	p.k.swept.Store(int64(len(p.rec.Withdrawn))) // first: who puts one during this says so
	defer func() {
		if err != nil {
			p.k.swept.Store(unswept)
		}
	}()
	gone := goneContents(p.rec.Withdrawn, slices.Collect(maps.Values(p.k.former)))
	if len(gone) == 0 {
		return 0, nil
	}
	doomed, err := p.holding(ctx, gone)
	for _, key := range doomed {
		if derr := p.st.Delete(ctx, key); derr != nil {
			err = errors.Join(err, derr)
			continue
		}
		deleted++
	}
	return deleted, err
}

// holding gives the keys of the objects that hold one of the contents, but for
// what a record names, or is about to: a bundle that leads to a version after
// ours was made by who knew of the withdrawal, and has the content for another
// path; and so has what is made of bundles that our record names. What somebody
// began to delete and did not get to its end is among them.
func (p *pass) holding(ctx context.Context, gone map[bundle.Digest]bool) (keys []string, err error) {
	named := map[bundle.Digest]bool{}
	for _, d := range p.rec.Named() {
		named[d] = true
	}
	found := map[string]*bundle.Index{}
	look := func(o store.Covered) error {
		d, err := bundle.ParseDigest(strings.TrimPrefix(o.Key, store.BundlePrefix(string(p.c.Name))))
		if err != nil {
			return nil
		}
		x, err := indexIfAny(ctx, o.Open)
		switch {
		case err != nil:
			return err
		case x == nil || !x.Holds(gone):
		case named[d]:
			maps.DeleteFunc(gone, func(d bundle.Digest, _ bool) bool { return x.Holds(map[bundle.Digest]bool{d: true}) })
		case x.To <= p.rec.Version:
			found[o.Key] = x
		}
		return nil
	}
	if err := p.eachObject(ctx, look); err != nil {
		return nil, err
	}
	// One that cannot be read (an archive, say) keeps nothing else.
	var unread []error
	for o, err := range p.st.Covered(ctx, store.BundlePrefix(string(p.c.Name))) {
		if err == nil {
			err = look(o)
		}
		unread = append(unread, err)
	}
	for key, x := range found {
		if x.Holds(gone) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, errors.Join(unread...)
}

// eachObject looks at each object of the course.
func (p *pass) eachObject(ctx context.Context, look func(store.Covered) error) error {
	for o, err := range p.st.List(ctx, store.BundlePrefix(string(p.c.Name)), "") {
		if err != nil {
			return err
		}
		open := func(ctx context.Context) (io.ReadCloser, error) {
			body, _, err := p.st.Get(ctx, o.Key)
			return body, err
		}
		if err := look(store.Covered{Key: o.Key, Open: open}); err != nil {
			return err
		}
	}
	return nil
}

// indexIfAny reads what an object holds; nil where it is gone, or is no bundle,
// and of no use to anybody.
func indexIfAny(ctx context.Context, open func(context.Context) (io.ReadCloser, error)) (*bundle.Index, error) {
	body, err := open(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer body.Close()
	x, err := bundle.ReadIndex(body)
	if errors.Is(err, bundle.ErrCorrupt) || errors.Is(err, bundle.ErrFormat) {
		return nil, nil
	}
	return x, err
}

func (p *pass) indexAt(ctx context.Context, key string) (*bundle.Index, error) {
	body, _, err := p.st.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return bundle.ReadIndex(body)
}

// goneContents are the contents that no path of now has any more: the same
// bytes under another path stay.
func goneContents(pairs []bundle.Pair, now []composed) map[bundle.Digest]bool {
	gone := map[bundle.Digest]bool{}
	for _, w := range pairs {
		gone[w.Digest] = true
	}
	for _, c := range now {
		for _, f := range c.manifest.Files {
			delete(gone, f.Digest)
		}
	}
	return gone
}
