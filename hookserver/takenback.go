package hookserver

import (
	"context"
	"errors"
	"maps"
	"slices"

	"satchel/bundle"
	"satchel/hook"
	"satchel/store"
)

// What was taken back ends at once wherever this service has it: in the disk
// cache (also what is being fetched), and in answers that run.

var errTakenBack = errors.New("what was to be sent was taken back meanwhile")

// findGone fills gone: the contents that were taken back and that no path has,
// nor any bundle that the record names. One that names such a content still
// does so for another path, which a later version took away.
func (ed *edition) findGone() {
	ed.gone = map[bundle.Digest]bool{}
	for _, w := range ed.record.Withdrawn {
		ed.gone[w.Digest] = true
	}
	for _, ch := range ed.channels {
		maps.DeleteFunc(ed.gone, func(d bundle.Digest, _ bool) bool { _, ok := ch.named[d]; return ok })
		for _, x := range ch.indexes {
			ed.notGone(x)
		}
	}
}

// notGone takes out of gone what a bundle holds that the record names.
func (ed *edition) notGone(x *bundle.Index) {
	if len(ed.gone) == 0 {
		return // as in most courses
	}
	for i := range x.Frames {
		for _, it := range x.Frames[i].Items {
			delete(ed.gone, it.Digest)
		}
	}
}

// forgot says whether something is taken back in old and not in ed: the store
// was brought back from a backup.
func (ed *edition) forgot(old *edition) bool {
	return slices.ContainsFunc(old.record.Withdrawn, func(w bundle.Pair) bool { return !slices.Contains(ed.record.Withdrawn, w) })
}

// watch gives what body asks before each chunk of these contents.
func (s *Server) watch(ctx context.Context, course string, items []bundle.Item) func() error {
	asked := uint64(0)
	return func() error {
		ed := s.lib.look(ctx, course).edition
		if ed == nil || ed.id == asked {
			return nil
		}
		if asked = ed.id; slices.ContainsFunc(items, func(it bundle.Item) bool { return ed.gone[it.Digest] }) {
			return errTakenBack
		}
		return nil
	}
}

// overtaken gives the view of a newer version where a bundle of v is gone: a
// withdrawal deletes at once what it replaces, and this service looks at the
// record now and then.
func (s *Server) overtaken(ctx context.Context, t hook.Ticket, v view, fault error) (view, bool) {
	if !errors.Is(fault, store.ErrNotFound) && !errors.Is(fault, errTakenBack) || !s.lib.lookAnew(ctx, v.course) {
		return v, false
	}
	now, err := s.enrolledView(ctx, t, v.course)
	return now, err == nil && now.shelf.edition.id != v.shelf.edition.id
}

// itemsIn are the contents of the frames that a range touches.
func itemsIn(x *bundle.Index, from, to int64) (items []bundle.Item) {
	for i := range x.Frames {
		if f := &x.Frames[i]; f.Offset <= to && from < f.Offset+f.Length {
			items = append(items, f.Items...)
		}
	}
	return items
}

// forbid throws away, of the disk cache, what holds contents of a course that
// were taken back, and lets nothing in that does.
func (c *cache) forbid(course string, gone map[bundle.Digest]bool) {
	c.mu.Lock()
	before := c.gone[course]
	c.gone[course] = gone
	all := slices.Collect(maps.Keys(c.files))
	c.mu.Unlock()
	for d := range gone {
		if !before[d] {
			for _, d := range all {
				c.dropForbidden(course, d)
			}
			return
		}
	}
}

// dropForbidden throws a file away that holds what was taken back, and says
// whether it did.
func (c *cache) dropForbidden(course string, d bundle.Digest) bool {
	c.mu.Lock()
	gone := c.gone[course]
	c.mu.Unlock()
	if len(gone) == 0 {
		return false
	}
	x, err := c.readIndex(d)
	if err == nil && (x.Course != course || !x.Holds(gone)) {
		return false
	}
	c.drop(d) // also what cannot be read: it is had anew
	return true
}
