package hookserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"satchel/bundle"
	"satchel/store"
)

// blobs reads parts of stored bundles: straight from a folder store, else
// through the disk cache where there is one.
type blobs struct {
	store store.Store
	cache *cache // nil: none
}

func newBlobs(lg *slog.Logger, o Options, m *metrics) (*blobs, error) {
	b := &blobs{store: o.Store}
	if _, folder := o.Store.(*store.Dir); folder || o.CacheDir == "" {
		return b, nil
	}
	c, err := newCache(lg, o.Store, o.CacheDir, o.Cache, m)
	b.cache = c
	return b, err
}

// section opens n bytes at off of a bundle that is size bytes long. With a
// file below, the reader is a *fileSection.
func (b *blobs) section(ctx context.Context, course string, at place, off, n int64) (io.ReadCloser, error) {
	if off < 0 || n < 0 || off > at.size || n > at.size-off {
		return nil, fmt.Errorf("%w: bundle %s: %d bytes at %d of %d", bundle.ErrCorrupt, at.bundle, n, off, at.size)
	}
	if b.cache != nil {
		f, err := b.cache.open(ctx, course, store.BundleRef{Digest: at.bundle, Size: at.size})
		if err == nil {
			return newFileSection(f, off, n)
		}
		if !errors.Is(err, errNoRoom) {
			return nil, err
		}
	}
	r, _, err := b.store.GetRange(ctx, store.BundleKey(course, at.bundle), off, n)
	if err != nil {
		return nil, err
	}
	// A folder store's reader is an io.SectionReader over the file.
	if s, ok := r.(interface {
		Outer() (io.ReaderAt, int64, int64)
	}); ok {
		at, off, n := s.Outer()
		if f, ok := at.(*os.File); ok {
			return newFileSection(f, off, n)
		}
	}
	return r, nil
}

// index reads a bundle's index, from the cache when the whole is there, else
// only the object's beginning.
func (b *blobs) index(ctx context.Context, course string, ref store.BundleRef) (*bundle.Index, error) {
	if b.cache != nil && b.cache.has(ref.Digest) {
		if f, err := b.cache.open(ctx, course, ref); err == nil {
			defer f.Close()
			return checkedIndex(f, course)
		}
	}
	r, o, err := b.store.Get(ctx, store.BundleKey(course, ref.Digest))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if o.Size != ref.Size {
		return nil, fmt.Errorf("%w: the object has %d bytes, the record says %d", bundle.ErrCorrupt, o.Size, ref.Size)
	}
	return checkedIndex(r, course)
}

func checkedIndex(r io.Reader, course string) (*bundle.Index, error) {
	x, err := bundle.ReadIndex(r)
	if err == nil && x.Course != course {
		err = fmt.Errorf("%w: it is a bundle of %s", bundle.ErrCorrupt, x.Course)
	}
	return x, err
}

// doubt throws away what the cache has of a bundle that did not read well.
func (b *blobs) doubt(d bundle.Digest) {
	if b.cache != nil {
		b.cache.drop(d)
	}
}

func (b *blobs) prefetch(ctx context.Context, course string, ref store.BundleRef) {
	if b.cache != nil {
		b.cache.prefetch(ctx, course, ref)
	}
}

// fileSection is a part of a file, for sendfile.
type fileSection struct {
	io.LimitedReader
	file *os.File
}

func newFileSection(f *os.File, off, n int64) (*fileSection, error) {
	if _, err := f.Seek(off, io.SeekStart); err != nil {
		f.Close()
		return nil, err
	}
	return &fileSection{io.LimitedReader{R: f, N: n}, f}, nil
}

func (s *fileSection) Close() error { return s.file.Close() }
