package hookserver

import (
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"satchel/bundle"
	"satchel/store"
)

// edition is one version of one course, checked, as requests see it. It is
// never changed after it was made.
type edition struct {
	id       uint64 // tells editions apart in caches
	record   *store.Record
	etag     string // of the record
	head     *bundle.Head
	channels []*channel // in the head's order
	gone     map[bundle.Digest]bool
}

var editions atomic.Uint64

// channel is one audience of a course, with its newest manifest and the
// bundles that lead there.
type channel struct {
	store.Channel
	digest   bundle.Digest // of manifest
	manifest *bundle.Manifest
	indexes  map[bundle.Digest]*bundle.Index // by the bundle's digest; without Former
	named    map[bundle.Digest]content       // contents that the manifest names
	places   map[bundle.Digest][]place       // where these lie
	deltas   map[bundle.Digest][]place       // all that there are, by what they make
	was      map[uint64]bool                 // pathSum of each path that the channel ever named
}

// pathSeed makes pathSum one that nobody outside can compute: a path that
// only looks like a former one cannot be found.
var pathSeed = maphash.MakeSeed()

// pathSum stands for a path where there may be very many of them.
func pathSum(path string) uint64 { return maphash.String(pathSeed, path) }

// everNamed says whether the channel names a path, or ever did.
func (ch *channel) everNamed(path string) bool {
	_, now := ch.manifest.Find(path)
	return now || ch.was[pathSum(path)]
}

// remember keeps the paths of a history, of which the rest is read again
// where it is asked for.
func (ch *channel) remember(h bundle.History) {
	for _, f := range h {
		ch.was[pathSum(f.Path)] = true
	}
}

// content is one content that a manifest names.
type content struct {
	bundle.Item
	rank int // 0 notebooks, 1 other small files, 2 large ones: the order of sending
}

// place is a frame of a stored bundle.
type place struct {
	bundle bundle.Digest
	size   int64 // of the bundle
	frame  *bundle.Frame
}

const largeFile = 256 << 10

// openEdition makes an edition of a record. former, where there is one,
// lends what it has read. Everything is checked: the head's signature, and
// that each channel's bundles give the manifest that the head names, with
// all its contents.
func (l *library) openEdition(ctx context.Context, r *store.Record, etag string, former *edition) (*edition, error) {
	if r.Head == nil {
		return nil, fmt.Errorf("%w: the record has no head", bundle.ErrCorrupt)
	}
	head, err := r.Head.Open(l.keys())
	if err != nil {
		return nil, fmt.Errorf("head: %w", err)
	}
	if head.Course != r.Course || head.Version != r.Version {
		return nil, fmt.Errorf("%w: the head is of %s %d, the record of version %d", bundle.ErrCorrupt, head.Course, head.Version, r.Version)
	}
	ed := &edition{id: editions.Add(1), record: r, etag: etag, head: head}
	for _, at := range head.Channels {
		i := slices.IndexFunc(r.Channels, func(c store.Channel) bool { return c.ID == at.ID })
		if i < 0 {
			return nil, fmt.Errorf("%w: the record lacks channel %s of its head", bundle.ErrCorrupt, at.ID)
		}
		ch := &channel{Channel: r.Channels[i], digest: at.Manifest}
		if err := l.openChannel(ctx, r.Course, ch, former.channel(at.ID)); err != nil {
			return nil, fmt.Errorf("channel %s: %w", at.ID, err)
		}
		ed.channels = append(ed.channels, ch)
	}
	ed.findGone()
	return ed, nil
}

func (ed *edition) channel(id string) *channel {
	if ed == nil {
		return nil
	}
	for _, c := range ed.channels {
		if c.ID == id {
			return c
		}
	}
	return nil
}

// openChannel reads the indexes that former does not have and composes the
// newest manifest.
func (l *library) openChannel(ctx context.Context, course string, ch, former *channel) error {
	ch.indexes = make(map[bundle.Digest]*bundle.Index, len(ch.Bundles))
	ch.was = map[uint64]bool{}
	if former != nil {
		maps.Copy(ch.was, former.was)
	}
	for _, ref := range ch.Bundles {
		if former != nil && former.indexes[ref.Digest] != nil {
			ch.indexes[ref.Digest] = former.indexes[ref.Digest]
			continue
		}
		x, err := l.blobs.index(ctx, course, ref)
		if err != nil {
			return fmt.Errorf("bundle %d to %d: %w", ref.From, ref.To, err)
		}
		if x.Channel != ch.ID || x.From != ref.From || x.To != ref.To {
			return fmt.Errorf("%w: bundle %s is not what the record says", bundle.ErrCorrupt, ref.Digest)
		}
		ch.remember(x.Former)
		x.Former = nil // large, and grows for ever
		ch.indexes[ref.Digest] = x
	}
	if former != nil && former.digest == ch.digest {
		ch.manifest = former.manifest
	} else if err := l.composeNewest(ch, former); err != nil {
		return err
	}
	return ch.find()
}

func (l *library) composeNewest(ch, former *channel) error {
	newest := ch.newest()
	if former != nil {
		if steps, ok := ch.path(former.newest(), newest); ok && len(steps) > 0 {
			m, err := bundle.Compose(former.manifest, steps...)
			if err == nil && m.Digest() == ch.digest {
				ch.manifest = m
				return nil
			}
		}
	}
	m, err := ch.compose(newest)
	if err != nil {
		return err
	}
	if m.Digest() != ch.digest {
		return fmt.Errorf("%w: its bundles give another manifest than the head names", bundle.ErrCorrupt)
	}
	ch.manifest = m
	return nil
}

// find fills named and places, and refuses a channel whose bundles lack a
// content that its manifest names.
func (ch *channel) find() error {
	ch.named = make(map[bundle.Digest]content, len(ch.manifest.Files))
	for _, f := range ch.manifest.Files {
		rank := 1
		switch {
		case f.Size > largeFile:
			rank = 2
		case strings.HasSuffix(f.Path, ".ipynb"):
			rank = 0
		}
		if old, ok := ch.named[f.Digest]; ok {
			rank = min(rank, old.rank)
		}
		ch.named[f.Digest] = content{bundle.Item{Digest: f.Digest, Size: f.Size}, rank}
	}
	whole := map[bundle.Digest]bool{}
	ch.places, ch.deltas = make(map[bundle.Digest][]place, len(ch.named)), map[bundle.Digest][]place{}
	for _, ref := range ch.sources() {
		x := ch.indexes[ref.Digest]
		for i := range x.Frames {
			f := &x.Frames[i]
			if f.Kind == bundle.Delta {
				d := f.Items[0].Digest
				ch.deltas[d] = append(ch.deltas[d], place{ref.Digest, ref.Size, f})
			}
			for _, it := range f.Items {
				if c, ok := ch.named[it.Digest]; ok && c.Size == it.Size {
					ch.places[it.Digest] = append(ch.places[it.Digest], place{ref.Digest, ref.Size, f})
					whole[it.Digest] = whole[it.Digest] || f.Kind == bundle.Whole
				}
			}
		}
	}
	for _, f := range ch.manifest.Files {
		if !whole[f.Digest] {
			return fmt.Errorf("%w: no bundle holds %q", bundle.ErrCorrupt, f.Path)
		}
	}
	return nil
}

// sources are the bundles that contents are taken from: the newest full one
// and all steps. Older full ones only tell what students have.
func (ch *channel) sources() []store.BundleRef {
	full := bundle.Version(0)
	for _, ref := range ch.Bundles {
		if ref.From == 0 {
			full = max(full, ref.To)
		}
	}
	return slices.DeleteFunc(slices.Clone(ch.Bundles), func(r store.BundleRef) bool { return r.From == 0 && r.To < full })
}

// newest is the version at which the manifest last changed.
func (ch *channel) newest() (v bundle.Version) {
	for _, ref := range ch.Bundles {
		v = max(v, ref.To)
	}
	return v
}

// at is the version at which the manifest that held at v was made; 0 when
// the channel's bundles know none.
func (ch *channel) at(v bundle.Version) (t bundle.Version) {
	for _, ref := range ch.Bundles {
		if ref.To <= v {
			t = max(t, ref.To)
		}
	}
	return t
}

// digestAt is the digest of the manifest that held at v, as the bundles say.
func (ch *channel) digestAt(v bundle.Version) (bundle.Digest, bool) {
	t := ch.at(v)
	for _, ref := range ch.Bundles {
		if ref.To == t && t > 0 {
			return ch.indexes[ref.Digest].Manifest, true
		}
	}
	return bundle.Digest{}, false
}

// compose gives the manifest that was made at version t.
func (ch *channel) compose(t bundle.Version) (*bundle.Manifest, error) {
	steps, ok := ch.path(0, t)
	if !ok || len(steps) == 0 {
		return nil, fmt.Errorf("%w: no bundles lead to version %d", bundle.ErrCorrupt, t)
	}
	return bundle.Compose(nil, steps...)
}

// path is the fewest bundles that lead from one version to another.
func (ch *channel) path(from, to bundle.Version) ([]*bundle.Index, bool) {
	came := map[bundle.Version]*bundle.Index{from: nil}
	for edge := []bundle.Version{from}; len(edge) > 0 && came[to] == nil && from != to; {
		var next []bundle.Version
		for _, ref := range ch.Bundles {
			if _, seen := came[ref.To]; !seen && slices.Contains(edge, ref.From) {
				came[ref.To] = ch.indexes[ref.Digest]
				next = append(next, ref.To)
			}
		}
		edge = next
	}
	var steps []*bundle.Index
	for v := to; v != from; {
		x := came[v]
		if x == nil {
			return nil, false
		}
		steps = append(steps, x)
		v = x.From
	}
	slices.Reverse(steps)
	return steps, true
}

// fingerprintAt is the fingerprint of the head at version v, as far as
// today's channels know it.
func (ed *edition) fingerprintAt(v bundle.Version) string {
	h := bundle.Head{}
	for _, ch := range ed.channels {
		if d, ok := ch.digestAt(v); ok {
			h.Channels = append(h.Channels, bundle.ChannelAt{ID: ch.ID, Manifest: d})
		}
	}
	return h.Fingerprint()
}
