package syncer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"satchel/bundle"
	"satchel/source"
	"satchel/store"
)

// A rollback whose commit is gone from the repository takes that version's
// contents out of the store: prune keeps the bundles that the log names for
// the last 20 versions. Nobody signed what the log says; so a path's content
// counts only where the newest head, which we signed, knows it.

// storedVersion is a former version as it lies in the store.
type storedVersion struct {
	files []bundle.File
	from  []bundle.Stored
}

// errNotStored says why a version cannot be had of the store.
type errNotStored struct{ why string }

func (e errNotStored) Error() string { return e.why }

func notStored(format string, args ...any) error { return errNotStored{fmt.Sprintf(format, args...)} }

// rolledBack opens what a rollback publishes: the tree of the former commit,
// or where that is gone what the store has of it, by the rules of the branch's
// tip.
func (p *pass) rolledBack(ctx context.Context, commit string) (tree, error) {
	now, err := p.repo.At(ctx, p.tip)
	if err != nil {
		return nil, err
	}
	was, err := p.repo.At(ctx, commit)
	if errors.Is(err, source.ErrMoved) {
		was, err = p.fromStore(ctx, p.r.Rollback, now)
	}
	var not errNotStored
	if errors.As(err, &not) {
		err = refuse(Gone, "commit %.12s, of which version %d was, is no longer in the repository (a push with force?), and %s. %s", commit, p.r.Rollback, not.why, p.whatCanBeHad(ctx))
	}
	if err != nil {
		now.Close()
		return nil, err
	}
	return ruledBy{was, now}, nil
}

// fromStore opens a former version's files, brought together out of the
// store.
func (p *pass) fromStore(ctx context.Context, v bundle.Version, now tree) (tree, error) {
	s, err := p.stored(ctx, v)
	if err != nil {
		return nil, err
	}
	dir, err := p.workDir()
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	t := storedTree{root.FS(), root, dir, now}
	if err := s.unpack(ctx, root); err != nil {
		t.Close()
		return nil, fmt.Errorf("version %d out of the store: %w", v, err)
	}
	p.aside = fmt.Sprintf("the commit of version %d is no longer in the repository, so its files were taken out of the store", v)
	return t, nil
}

// stored finds what there is of a version, and sees that nothing of it is
// missing but what was withdrawn.
func (p *pass) stored(ctx context.Context, v bundle.Version) (out storedVersion, err error) {
	known, err := p.signedContents(ctx)
	if err != nil {
		return out, err
	}
	lying, err := p.lying(ctx, v)
	if err != nil {
		return out, err
	}
	whole := map[bundle.Digest]bool{}
	for _, b := range lying {
		out.from = append(out.from, b.Stored)
		for _, f := range b.Index.Frames {
			for _, it := range f.Items {
				whole[it.Digest] = whole[it.Digest] || f.Kind == bundle.Whole
			}
		}
	}
	manifests, err := manifestsAt(v, lying)
	if err != nil {
		return out, err
	}
	for _, m := range manifests {
		for _, f := range m.Files {
			pair := bundle.Pair{Path: f.Path, Digest: f.Digest}
			switch {
			case slices.Contains(p.rec.Withdrawn, pair):
			case !known[pair]:
				return out, notStored("the newest version's history does not know what %q was then", f.Path)
			case !whole[f.Digest]:
				return out, notStored("the store no longer has %q as it was then", f.Path)
			default:
				out.files = append(out.files, f)
			}
		}
	}
	return out, nil
}

// signedContents are each path's contents, now and formerly, as far as the
// newest head tells: it must be one that we signed.
func (p *pass) signedContents(ctx context.Context) (map[bundle.Pair]bool, error) {
	var keys []bundle.PublicKey
	for _, k := range p.o.Keys() {
		keys = append(keys, k.Public())
	}
	if _, err := p.rec.Head.Open(keys); err != nil {
		return nil, notStored("the newest version is signed by none of this syncer's keys")
	}
	before, err := p.compose(ctx)
	if err != nil {
		return nil, err
	}
	known := map[bundle.Pair]bool{}
	for _, f := range before {
		for _, w := range f.history {
			known[bundle.Pair{Path: w.Path, Digest: w.Digest}] = true
		}
	}
	return known, nil
}

// lying are the bundles of which a version can be made: those that its log
// entry names, and, for a withdrawal deletes some and puts others in their
// place, those of the record.
func (p *pass) lying(ctx context.Context, v bundle.Version) (all []readBundle, err error) {
	e, err := p.entryOf(ctx, v)
	if err != nil {
		return nil, err
	}
	missing, instead := 0, 0
	for _, d := range e.Bundles {
		x, err := p.indexOf(ctx, d)
		if errors.Is(err, store.ErrNotFound) {
			missing++
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, p.lies(store.BundleRef{From: x.From, To: x.To, Digest: d}, x))
	}
	for _, ch := range p.rec.Channels {
		for _, ref := range ch.Bundles {
			if slices.Contains(e.Bundles, ref.Digest) {
				continue
			}
			x, err := readIndex(ctx, p.st, p.rec.Course, ch.ID, ref)
			if err != nil {
				return nil, err
			}
			if all = append(all, p.lies(ref, x)); ref.To <= v {
				instead++
			}
		}
	}
	if missing > instead { // perhaps all of a channel's that is no more: nothing would tell
		return nil, notStored("the store no longer has all bundles of it")
	}
	return all, nil
}

func (p *pass) lies(ref store.BundleRef, x *bundle.Index) readBundle {
	return readBundle{ref, bundle.Stored{Index: x, Open: p.opener(ref)}}
}

// indexOf reads the beginning of a bundle that only the log names.
func (p *pass) indexOf(ctx context.Context, d bundle.Digest) (*bundle.Index, error) {
	x, err := p.indexAt(ctx, store.BundleKey(p.rec.Course, d))
	if errors.Is(err, bundle.ErrCorrupt) || err == nil && x.Course != p.rec.Course {
		return nil, notStored("bundle %s is damaged", d)
	}
	return x, err
}

// manifestsAt are those of all channels at a version.
func manifestsAt(v bundle.Version, lying []readBundle) (out []*bundle.Manifest, err error) {
	at := map[string]*store.Channel{}
	indexes := map[bundle.Digest]*bundle.Index{}
	for _, b := range lying {
		if indexes[b.ref.Digest] = b.Index; b.ref.To > v {
			continue
		}
		ch := at[b.Index.Channel]
		if ch == nil {
			ch = &store.Channel{ID: b.Index.Channel}
			at[ch.ID] = ch
		}
		ch.Since = max(ch.Since, b.ref.To)
		ch.Bundles = append(ch.Bundles, b.ref)
	}
	for _, ch := range at {
		sortRefs(ch.Bundles)
		way, ok := chain(*ch, 0)
		if !ok {
			return nil, notStored("the store's bundles no longer lead to it")
		}
		var steps []*bundle.Index
		for _, ref := range way {
			steps = append(steps, indexes[ref.Digest])
		}
		c, err := follow(*ch, composed{}, steps, steps[len(steps)-1].Manifest)
		if err != nil {
			return nil, notStored("the store's bundles do not lead to it: %v", err)
		}
		out = append(out, c.manifest)
	}
	if len(out) == 0 {
		return nil, notStored("the store has no bundles of it")
	}
	return out, nil
}

// fewVersions are named: to know of each costs requests for all its bundles.
const fewVersions = 3

// whatCanBeHad says which versions a rollback could go to instead, the newest
// few.
func (p *pass) whatCanBeHad(ctx context.Context) string {
	list, found := "", 0
	for v := p.rec.Version - 1; v >= max(1, p.rec.Version-maxRollback) && found < fewVersions && ctx.Err() == nil; v-- {
		if v != p.r.Rollback && p.canBeHad(ctx, v) {
			list += fmt.Sprintf(", %d", v)
			found++
		}
	}
	if list == "" {
		return "None of the other versions can be had either; push a commit with that content"
	}
	return "What can be had is version" + list[1:] + "; or push that commit again on a branch"
}

func (p *pass) canBeHad(ctx context.Context, v bundle.Version) bool {
	if _, err := p.stored(ctx, v); err == nil {
		return true
	}
	commit, err := p.commitOf(ctx, v)
	if err != nil {
		return false
	}
	t, err := p.repo.At(ctx, commit)
	return err == nil && t.Close() == nil
}
