package syncer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"satchel/bundle"
	"satchel/store"
)

// shelf holds the bundles that one publish built, until its record is swapped.
type shelf struct {
	dir   string
	built []*bundle.Built
}

func (s *Syncer) newShelf() (*shelf, error) {
	dir, err := s.workDir()
	return &shelf{dir: dir}, err
}

func (s *shelf) discard() {
	for _, b := range s.built {
		b.Discard()
	}
	os.RemoveAll(s.dir)
}

// writeBundle builds one bundle and puts it.
func (p *pass) writeBundle(ctx context.Context, on *shelf, files fs.FS, spec bundle.Spec) (store.BundleRef, error) {
	var b *bundle.Built
	err := p.timed("build", func() (err error) {
		b, err = bundle.Build(ctx, on.dir, spec, files)
		return err
	})
	if errors.Is(err, bundle.ErrCorrupt) {
		// Git's objects do not change: so what is remembered of them is wrong.
		p.forget(p.k, p.c.Name)
		return store.BundleRef{}, fmt.Errorf("build version %d: %w; all files will be read again", spec.To, err)
	}
	if err != nil {
		return store.BundleRef{}, fmt.Errorf("build version %d: %w", spec.To, err)
	}
	return p.put(ctx, on, spec.From, b)
}

// put puts a bundle that was built.
func (p *pass) put(ctx context.Context, on *shelf, from bundle.Version, b *bundle.Built) (store.BundleRef, error) {
	on.built = append(on.built, b)
	err := p.timed("put", func() error { return store.PutBundle(ctx, p.st, b.Index.Course, b.Digest, b.File) })
	return store.BundleRef{From: from, To: b.Index.To, Digest: b.Digest, Size: b.Size}, err
}

// lookUp sees that what was put is there, just before the swap, and compares
// clocks by the answers. Without any bundle it asks for the record.
func (p *pass) lookUp(ctx context.Context, on *shelf) error {
	var keys []string
	for _, b := range on.built {
		keys = append(keys, store.BundleKey(string(p.c.Name), b.Digest))
	}
	if len(keys) == 0 && p.etag != "" {
		keys = []string{store.RecordKey(string(p.c.Name))}
	}
	for _, key := range keys {
		o, err := p.st.Head(ctx, key)
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("%s went away again (%w)", key, store.ErrChanged)
		}
		if err != nil {
			return fmt.Errorf("look up %s: %w", key, err)
		}
		if err := sameClock(p.o.Now(), o); err != nil {
			return err
		}
	}
	return nil
}

// putAgain writes what a prune took between the last look and the swap: for a
// moment it cannot know that the object is wanted again.
func (p *pass) putAgain(ctx context.Context, on *shelf) {
	for _, b := range on.built {
		key := store.BundleKey(string(p.c.Name), b.Digest)
		_, err := p.st.Head(ctx, key)
		if !errors.Is(err, store.ErrNotFound) {
			continue // there, or not to be known now
		}
		if err := p.st.Put(ctx, key, b.File); err != nil {
			p.lg.Error("a bundle that the record names is missing and could not be written again", "course", p.c.Name, "bundle", b.Digest, "error", err)
		}
	}
}

// metered counts what is written to a store, and remembers how the last swap
// really ended.
type metered struct {
	store.Store
	stats *Stats
	lost  *bool // the last swap wrote nothing, for sure
}

func (m metered) Put(ctx context.Context, key string, body io.ReadSeeker) error {
	return m.count(body, m.Store.Put(ctx, key, body))
}

func (m metered) PutIfAbsent(ctx context.Context, key string, body io.ReadSeeker) error {
	return m.count(body, m.Store.PutIfAbsent(ctx, key, body))
}

func (m metered) CompareAndSwap(ctx context.Context, key, etag string, data []byte) (string, error) {
	tag, err := m.Store.CompareAndSwap(ctx, key, etag, data)
	*m.lost = errors.Is(err, store.ErrChanged)
	if err == nil {
		m.stats.Objects++
		m.stats.Written += int64(len(data))
	}
	return tag, err
}

func (m metered) count(body io.ReadSeeker, err error) error {
	if err != nil {
		return err
	}
	if n, err := body.Seek(0, io.SeekEnd); err == nil {
		m.stats.Objects++
		m.stats.Written += n
	}
	return nil
}
