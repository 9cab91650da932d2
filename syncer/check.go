package syncer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"satchel/bundle"
	"satchel/store"
)

// Fault is one thing in a store that is not as it should be.
type Fault struct {
	Course string `json:"course"`
	Key    string `json:"key,omitempty"` // the object, where it is one's
	Fault  string `json:"fault"`
	Do     string `json:"do,omitempty"`
}

// Checked is what a check of one course came to.
type Checked struct {
	Course  string         `json:"course"`
	Version bundle.Version `json:"version"`
	Bundles int            `json:"bundles"` // that the record names
	Bytes   int64          `json:"bytes"`   // of them
	Read    int64          `json:"read"`    // bytes that were read and hashed
	// Proven is a version that a student's server proved to have, and that the
	// record is behind of; 0: none.
	Proven bundle.Version `json:"proven,omitempty"`
	Faults []Fault        `json:"faults"`
}

// maxChecks bounds how often a check begins again because the record moved.
const maxChecks = 5

// Check looks whether a course's store holds what its record says: the head's
// signature, the way of each channel to the manifest that the head names, that
// each named bundle is there with its size, each content of the newest version
// in one of them, and that nothing newer is known to the log or was proven by a
// student's server. With data every
// named bundle is read and hashed, and each of its whole contents. It changes
// nothing. tell, which may be nil, hears of each bundle that was done.
//
// What is missing because another version, or a withdrawal, took its place
// meanwhile is no fault; so where one is found and the record moved, it begins
// again.
func Check(ctx context.Context, st store.Store, name string, keys []bundle.PublicKey, data bool, tell func(done, all int)) (Checked, error) {
	for try := 1; ; try++ {
		k := &checker{st: st, out: Checked{Course: name, Faults: []Fault{}}, data: data, tell: tell}
		err := k.course(ctx, keys)
		if err != nil || len(k.out.Faults) == 0 {
			return k.out, err
		}
		moved, err := recordMoved(ctx, st, name, k.etag)
		if err != nil || !moved {
			return k.out, err
		}
		if try == maxChecks {
			return k.out, fmt.Errorf("the course changes all the time: its record moved during each of %d looks, so nothing can be said of what they found; check it again when nothing is published or withdrawn: %w", try, store.ErrChanged)
		}
		if err := pause(ctx, try); err != nil {
			return k.out, err
		}
	}
}

// course is one look at all of it.
func (k *checker) course(ctx context.Context, keys []bundle.PublicKey) error {
	o, err := k.st.Head(ctx, store.RecordKey(k.out.Course)) // first: one that cannot be read has an ETag, too
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	k.etag = o.ETag
	rec, etag, err := store.ReadRecord(ctx, k.st, k.out.Course)
	switch {
	case errors.Is(err, store.ErrNotFound):
		k.missing(ctx)
		return k.proven(ctx, keys)
	case errors.Is(err, store.ErrUnavailable), ctx.Err() != nil:
		return err
	case err != nil:
		k.fault(store.RecordKey(k.out.Course), "bring it back from a backup of the store", "the record cannot be read: %v", err)
		return k.proven(ctx, keys)
	}
	k.rec, k.etag = rec, etag
	k.out.Version, k.out.Bundles = rec.Version, len(rec.Named())
	if err := k.record(ctx, keys); err != nil {
		return err
	}
	return errors.Join(k.log(ctx), k.proven(ctx, keys))
}

type checker struct {
	st   store.Store
	rec  *store.Record
	etag string // of the record
	out  Checked
	data bool
	tell func(done, all int)
	done int
}

func (k *checker) fault(key, do, format string, args ...any) {
	k.out.Faults = append(k.out.Faults, Fault{k.out.Course, key, fmt.Sprintf(format, args...), do})
}

const (
	pushAgain  = "`satchel publish` does not mend it: bring the object back from a backup of the store, or let `satchel check COURSE --repair` publish anew what the repository has"
	fromBackup = "bring the store's newest backup back"
)

// missing is for a course without a record.
func (k *checker) missing(ctx context.Context) {
	entries, err := store.Entries(ctx, k.st, k.out.Course, lastFew)
	if err == nil && slices.ContainsFunc(entries, func(e store.Entry) bool { return e.Version > 0 }) {
		k.fault(store.RecordKey(k.out.Course), fromBackup, "the record is gone, and the log knows versions")
	}
}

func (k *checker) record(ctx context.Context, keys []bundle.PublicKey) error {
	if k.rec.Head == nil {
		return nil // decisions alone
	}
	head, err := k.rec.Head.Open(keys)
	if err != nil {
		k.fault(store.RecordKey(k.out.Course), "see secrets.public_keys, else "+fromBackup, "its head: %v", err)
		return nil
	}
	if head.Course != k.rec.Course || head.Version != k.rec.Version {
		k.fault(store.RecordKey(k.out.Course), fromBackup, "its head is version %d of %s, and it is version %d of %s", head.Version, head.Course, k.rec.Version, k.rec.Course)
	}
	for _, ch := range k.rec.Channels {
		want, ok := head.Channel(ch.ID)
		if !ok {
			k.fault(store.RecordKey(k.out.Course), fromBackup, "channel %s is not in its head", ch.ID)
			continue
		}
		if err := k.channel(ctx, ch, want); err != nil {
			return err
		}
	}
	return nil
}

// channel looks at one channel's bundles.
func (k *checker) channel(ctx context.Context, ch store.Channel, want bundle.Digest) error {
	indexes, whole := map[bundle.Digest]*bundle.Index{}, map[bundle.Digest]bool{}
	for _, ref := range ch.Bundles {
		x, err := k.bundle(ctx, ch, ref)
		if err != nil {
			return err
		}
		if x == nil {
			continue
		}
		indexes[ref.Digest] = x
		for _, f := range x.Frames {
			for _, it := range f.Items {
				whole[it.Digest] = whole[it.Digest] || f.Kind == bundle.Whole
			}
		}
	}
	refs, ok := chain(ch, 0)
	if !ok {
		k.fault(store.RecordKey(k.out.Course), fromBackup, "channel %s: it names no bundles that lead to version %d", ch.ID, ch.Since)
		return nil
	}
	var steps []*bundle.Index
	for _, ref := range refs {
		if indexes[ref.Digest] == nil {
			return nil // said already
		}
		steps = append(steps, indexes[ref.Digest])
	}
	c, err := follow(ch, composed{}, steps, want)
	if err != nil {
		k.fault(store.RecordKey(k.out.Course), fromBackup, "channel %s: %v", ch.ID, err)
		return nil
	}
	for _, f := range c.manifest.Files {
		if !whole[f.Digest] {
			k.fault(store.RecordKey(k.out.Course), pushAgain, "channel %s: no bundle has the content of %q", ch.ID, f.Path)
		}
	}
	return nil
}

// bundle looks at one; nil where it is of no use, which was said.
func (k *checker) bundle(ctx context.Context, ch store.Channel, ref store.BundleRef) (*bundle.Index, error) {
	defer func() {
		if k.done++; k.tell != nil {
			k.tell(k.done, k.out.Bundles)
		}
	}()
	key := store.BundleKey(k.rec.Course, ref.Digest)
	x, err := k.lookAt(ctx, key, ch, ref)
	if errors.Is(err, store.ErrNotFound) {
		k.fault(key, pushAgain, "the bundle of versions %d to %d is gone", ref.From, ref.To)
		return nil, nil
	}
	return x, err
}

func (k *checker) lookAt(ctx context.Context, key string, ch store.Channel, ref store.BundleRef) (*bundle.Index, error) {
	o, err := k.st.Head(ctx, key)
	if err != nil {
		return nil, err
	}
	if o.Size != ref.Size {
		k.fault(key, pushAgain, "the bundle of versions %d to %d has %d bytes, and %d were written", ref.From, ref.To, o.Size, ref.Size)
		return nil, nil
	}
	k.out.Bytes += o.Size
	x, err := readIndex(ctx, k.st, k.rec.Course, ch.ID, ref)
	if errors.Is(err, bundle.ErrCorrupt) {
		k.fault(key, pushAgain, "%v", err)
		return nil, nil
	}
	if err != nil || !k.data {
		return x, err
	}
	return x, k.read(ctx, key, ref, x)
}

// read reads all of a bundle, and each of its whole contents.
func (k *checker) read(ctx context.Context, key string, ref store.BundleRef, x *bundle.Index) error {
	body, _, err := k.st.Get(ctx, key)
	if err != nil {
		return err
	}
	defer body.Close()
	v := bundle.NewVerifier(body, bundle.Item{Digest: ref.Digest, Size: ref.Size})
	n, err := io.Copy(io.Discard, v)
	k.out.Read += n
	if err != nil {
		return err
	}
	if err := v.Check(); err != nil {
		k.fault(key, pushAgain, "the bundle of versions %d to %d is not what its name says: %v", ref.From, ref.To, err)
		return nil
	}
	for _, f := range x.Frames {
		if f.Kind != bundle.Whole {
			continue
		}
		r, _, err := k.st.GetRange(ctx, key, f.Offset, f.Length)
		if err != nil {
			return err
		}
		err = bundle.ReadFrame(f, r, nil, func(_ bundle.Item, v *bundle.Verifier) error {
			_, err := io.Copy(io.Discard, v)
			return err
		})
		r.Close()
		if errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil {
			return err
		}
		if err != nil {
			k.fault(key, pushAgain, "the bundle of versions %d to %d: %v", ref.From, ref.To, err)
		}
	}
	return nil
}

// log compares the record with what the log knows.
func (k *checker) log(ctx context.Context) error {
	entries, err := store.Entries(ctx, k.st, k.out.Course, lastFew)
	if err != nil && len(entries) == 0 {
		return err
	}
	if err != nil {
		k.fault(store.LogPrefix(k.out.Course), "", "entries of the log cannot be read: %v", err)
	}
	for _, e := range entries {
		if e.Action == "publish" && e.Version > k.rec.Version {
			k.fault(store.RecordKey(k.out.Course), fromBackup, "the log knows version %d, and the record has %d: the store went backwards", e.Version, k.rec.Version)
			break
		}
	}
	return nil
}

// proven compares the record with what a student's server proved to have.
func (k *checker) proven(ctx context.Context, keys []bundle.PublicKey) error {
	name, key := k.out.Course, store.ProvenKey(k.out.Course)
	h, err := store.ReadProven(ctx, k.st, name, keys)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case errors.Is(err, store.ErrUnavailable), ctx.Err() != nil:
		return err
	case err != nil:
		k.fault(key, "it makes way by itself when a student's server proves something again", "what a student's server proved cannot be read: %v", err)
		return nil
	}
	has := "none"
	if k.rec != nil {
		has = fmt.Sprint(k.rec.Version)
	}
	if behind(k.rec, h) {
		k.out.Proven = h.Version
		k.fault(key, fromBackup+", or publish above it: `satchel check "+name+" --repair`",
			"the store is older than what students hold (version %d, signed by this service); its record has %s", h.Version, has)
	}
	return nil
}

// Proven is the version that a student's server proved to have and that the
// record is behind of; 0: there is none.
func Proven(ctx context.Context, st store.Store, name string, keys []bundle.PublicKey) (bundle.Version, error) {
	h, err := store.ReadProven(ctx, st, name, keys)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	rec, _, err := store.ReadRecord(ctx, st, name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, err
	}
	if !behind(rec, h) {
		return 0, nil
	}
	return h.Version, nil
}

// behind says whether a record (nil: none) is behind a head that was signed.
func behind(rec *store.Record, proven *bundle.Head) bool {
	if rec == nil || rec.Head == nil {
		return true
	}
	head, err := rec.Head.Peek()
	return err != nil || store.Behind(head, proven)
}
