package syncer

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"satchel/bundle"
	"satchel/course"
	"satchel/store"
)

// What was withdrawn is deleted when it is withdrawn. Some of it may come back,
// or stay: a deletion fails, a publish that began before puts its bundle after,
// or dies between that and its swap. Nobody is given any of it, for no record
// names it; and it is looked for again.

// sweepSoon lets the next pass look whether the store holds what was taken
// back.
func (s *Syncer) sweepSoon(ctx context.Context, c *course.Course) error {
	k, release, err := s.hold(ctx, c.Name)
	if err != nil {
		return err
	}
	defer release()
	k.swept = false
	return nil
}

// sweepWithdrawn looks for it, when a process begins and when there is a
// reason. What goes wrong is tried again in the next pass.
func (p *pass) sweepWithdrawn(ctx context.Context) {
	if p.k.swept || p.rec == nil || p.head == nil || p.r.Repair {
		return
	}
	if len(p.rec.Withdrawn) > 0 {
		if _, err := p.compose(ctx); err != nil {
			return // the pass itself says so
		}
		deleted, err := p.deleteWithdrawn(ctx)
		if err != nil {
			p.lg.Warn("objects that hold what was taken back remain in the store; they are deleted as soon as that works", "course", p.c.Name, "error", err)
			return
		}
		if deleted > 0 {
			p.lg.Info("objects that held what was taken back were deleted", "course", p.c.Name, "objects", deleted)
		}
	}
	p.k.swept = true
}

// deleteWithdrawn deletes the course's objects that hold a content that was
// taken back and that no path has: with all their versions, which ends URLs
// that were signed for them. The record names none of them, and is read again
// before, for the same bytes may go out under another path meanwhile.
func (p *pass) deleteWithdrawn(ctx context.Context) (deleted int, err error) {
	gone := goneContents(p.rec.Withdrawn, slices.Collect(maps.Values(p.k.former)))
	if len(gone) == 0 {
		return 0, nil
	}
	var keys []string
	prefix, named := store.BundlePrefix(string(p.c.Name)), namedKeys(p.rec)
	for o, err := range p.st.List(ctx, prefix, "") {
		if err != nil {
			return 0, err
		}
		_, err := bundle.ParseDigest(strings.TrimPrefix(o.Key, prefix))
		if err == nil && !named[o.Key] && p.holds(ctx, o.Key, gone) {
			keys = append(keys, o.Key)
		}
	}
	rec, _, err := store.ReadRecord(ctx, p.st, string(p.c.Name))
	if err != nil {
		return 0, err
	}
	named = namedKeys(rec)
	var bad error
	for _, key := range keys {
		if named[key] {
			continue
		}
		if err := p.st.Delete(ctx, key); err != nil {
			bad = errors.Join(bad, err)
			continue
		}
		deleted++
	}
	return deleted, bad
}

func namedKeys(rec *store.Record) map[string]bool {
	named := map[string]bool{}
	for _, d := range rec.Named() {
		named[store.BundleKey(rec.Course, d)] = true
	}
	return named
}

// holds says whether an object has one of the contents. What cannot be read is
// of no use to anybody.
func (p *pass) holds(ctx context.Context, key string, gone map[bundle.Digest]bool) bool {
	body, _, err := p.st.Get(ctx, key)
	if err != nil {
		return false
	}
	defer body.Close()
	x, err := bundle.ReadIndex(body)
	return err == nil && x.Holds(gone)
}

// takeAway deletes, of what was put for a swap that was lost, what holds a
// content that was taken back meanwhile: the withdrawal may have looked before
// it was put.
func (p *pass) takeAway(ctx context.Context, on *shelf) {
	rec, _, err := store.ReadRecord(ctx, p.st, string(p.c.Name))
	if err != nil || len(rec.Withdrawn) == 0 {
		return
	}
	gone, named := map[bundle.Digest]bool{}, namedKeys(rec)
	for _, w := range rec.Withdrawn {
		gone[w.Digest] = true
	}
	for _, b := range on.built {
		key := store.BundleKey(rec.Course, b.Digest)
		if named[key] || !b.Index.Holds(gone) {
			continue
		}
		if err := p.st.Delete(ctx, key); err != nil && p.k != nil {
			p.k.swept = false
		}
	}
}
