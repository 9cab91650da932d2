package hookserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/singleflight"
	"golang.org/x/sys/unix"

	"satchel/bundle"
	"satchel/store"
)

// CacheLimits bound the disk cache.
type CacheLimits struct {
	Size      int64 // bytes in all; 0 is 10 GB
	FreeFloor int64 // bytes of the disk that stay free; 0 is 1 GB, negative none
}

func (c *CacheLimits) complete() {
	if c.Size == 0 {
		c.Size = 10 << 30
	}
	if c.FreeFloor == 0 {
		c.FreeFloor = 1 << 30
	}
}

// errNoRoom means: not cached, read it from the store.
var errNoRoom = errors.New("no room in the cache")

// downloadTime bounds one download of a bundle.
const downloadTime = 15 * time.Minute

// cache keeps whole bundles in a folder, named by their digest. A file is
// handed out only after its bytes were hashed by this process, and again
// whenever its time or size is not what it was then: what does not fit is
// thrown away and had anew. Whoever still reads a file that is thrown away
// reads to its end.
type cache struct {
	lg     *slog.Logger
	store  store.Store
	dir    string
	limits CacheLimits

	records string // folder of kept records, see keep

	m      *metrics
	flight singleflight.Group
	// running counts the downloads, which go on when the students who asked
	// for them are gone.
	running sync.WaitGroup

	mu      sync.Mutex
	files   map[bundle.Digest]*cached
	gone    map[string]map[bundle.Digest]bool // by course: contents that were taken back
	used    int64
	counter uint64
}

type cached struct {
	size  int64
	used  uint64 // counter at the last use
	stamp stamp  // of the file when it was hashed
}

// stamp tells whether a file is the one that was hashed.
type stamp struct {
	mtime time.Time
	size  int64
	inode uint64
}

func newCache(lg *slog.Logger, st store.Store, dir string, limits CacheLimits, m *metrics) (*cache, error) {
	c := &cache{lg: lg, store: st, dir: filepath.Join(dir, "bundles"), records: filepath.Join(dir, "records"),
		limits: limits, m: m, files: map[bundle.Digest]*cached{}, gone: map[string]map[bundle.Digest]bool{}}
	for _, d := range []string{c.dir, c.records} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("cache: %w", err)
		}
	}
	list, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	for _, e := range list {
		d, err := bundle.ParseDigest(e.Name())
		info, err2 := e.Info()
		if err != nil || err2 != nil || !info.Mode().IsRegular() {
			os.Remove(filepath.Join(c.dir, e.Name())) // a download that a crash left
			continue
		}
		c.files[d] = &cached{size: info.Size()}
		c.used += info.Size()
	}
	return c, nil
}

func (c *cache) path(d bundle.Digest) string { return filepath.Join(c.dir, d.String()) }

func (c *cache) has(d bundle.Digest) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.files[d] != nil
}

// open gives a bundle's checked file, fetching it first when it is not there.
func (c *cache) open(ctx context.Context, course string, ref store.BundleRef) (*os.File, error) {
	if f, ok := c.hit(ref); ok {
		c.m.cache.WithLabelValues("hit").Inc()
		return f, nil
	}
	c.m.cache.WithLabelValues("miss").Inc()
	done := c.flight.DoChan(ref.Digest.String(), func() (any, error) {
		c.running.Add(1)
		defer c.running.Done()
		// Others wait for the same: it goes on when this student is gone.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), downloadTime)
		defer cancel()
		return nil, safely(func() error { return c.settle(ctx, course, ref) })
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-done:
		if r.Err != nil {
			return nil, r.Err
		}
	}
	f, ok := c.hit(ref)
	if !ok {
		return nil, errNoRoom // evicted at once: the cache is too small
	}
	return f, nil
}

// hit opens a file that is still the one that was hashed.
func (c *cache) hit(ref store.BundleRef) (*os.File, bool) {
	c.mu.Lock()
	e := c.files[ref.Digest]
	if e != nil {
		c.counter++
		e.used = c.counter
	}
	c.mu.Unlock()
	if e == nil {
		return nil, false
	}
	f, err := os.Open(c.path(ref.Digest))
	if err != nil {
		c.drop(ref.Digest)
		return nil, false
	}
	c.mu.Lock()
	good := stampOf(f) == e.stamp && e.stamp.size == ref.Size
	c.mu.Unlock()
	if !good {
		f.Close()
		return nil, false
	}
	return f, true
}

// settle makes the file good: hashes what is there, or fetches it.
func (c *cache) settle(ctx context.Context, course string, ref store.BundleRef) error {
	if c.has(ref.Digest) {
		if st, ok := c.hash(ref); ok {
			c.add(ref, st)
			return nil
		}
		c.lg.Warn("a cached bundle is damaged; it is fetched again", "course", course, "bundle", ref.Digest)
		c.drop(ref.Digest)
	}
	if err := c.makeRoom(ref.Size); err != nil {
		return err
	}
	return c.fetch(ctx, course, ref)
}

func (c *cache) readIndex(d bundle.Digest) (*bundle.Index, error) {
	f, err := os.Open(c.path(d))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return bundle.ReadIndex(f)
}

func (c *cache) hash(ref store.BundleRef) (stamp, bool) {
	f, err := os.Open(c.path(ref.Digest))
	if err != nil {
		return stamp{}, false
	}
	defer f.Close()
	st := stampOf(f)
	d, n, err := bundle.SumReader(f)
	return st, err == nil && d == ref.Digest && n == ref.Size && stampOf(f) == st
}

// fetch downloads to a temporary name, checks, and renames.
func (c *cache) fetch(ctx context.Context, course string, ref store.BundleRef) error {
	r, _, err := c.store.Get(ctx, store.BundleKey(course, ref.Digest))
	if err != nil {
		return err
	}
	defer r.Close()
	tmp, err := os.CreateTemp(c.dir, "fetch-*")
	if err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	v := bundle.NewVerifier(io.LimitReader(r, ref.Size+1), bundle.Item{Digest: ref.Digest, Size: ref.Size})
	if _, err := io.Copy(tmp, v); err != nil {
		if errors.Is(err, syscall.ENOSPC) {
			return errNoRoom
		}
		return fmt.Errorf("%w: bundle %s: %w", store.ErrUnavailable, ref.Digest, err)
	}
	if err := v.Check(); err != nil {
		return fmt.Errorf("bundle %s in the store: %w", ref.Digest, err)
	}
	if err := os.Rename(tmp.Name(), c.path(ref.Digest)); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	c.add(ref, stampOf(tmp))
	if c.dropForbidden(course, ref.Digest) {
		return fmt.Errorf("bundle %s: %w", ref.Digest, errTakenBack)
	}
	return nil
}

func (c *cache) add(ref store.BundleRef, st stamp) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.files[ref.Digest]; old != nil {
		c.used -= old.size
	}
	c.counter++
	c.files[ref.Digest] = &cached{size: ref.Size, used: c.counter, stamp: st}
	c.used += ref.Size
}

// drop throws a file away.
func (c *cache) drop(d bundle.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(d)
}

func (c *cache) remove(d bundle.Digest) {
	if e := c.files[d]; e != nil {
		os.Remove(c.path(d))
		c.used -= e.size
		delete(c.files, d)
	}
}

// makeRoom evicts what was used longest ago until size more bytes fit.
func (c *cache) makeRoom(size int64) error {
	if size > c.limits.Size {
		return errNoRoom
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.used+size > c.limits.Size || !c.diskHas(size) {
		oldest, found := bundle.Digest{}, false
		for d, e := range c.files {
			if !found || e.used < c.files[oldest].used {
				oldest, found = d, true
			}
		}
		if !found {
			return errNoRoom
		}
		c.remove(oldest)
	}
	return nil
}

func (c *cache) diskHas(size int64) bool {
	var fs unix.Statfs_t
	if c.limits.FreeFloor < 0 || unix.Statfs(c.dir, &fs) != nil {
		return true
	}
	return int64(fs.Bavail)*int64(fs.Bsize)-size >= c.limits.FreeFloor
}

// prefetch fetches a bundle where that evicts nothing.
func (c *cache) prefetch(ctx context.Context, course string, ref store.BundleRef) {
	c.mu.Lock()
	fits := c.files[ref.Digest] == nil && c.used+ref.Size <= c.limits.Size && c.diskHas(ref.Size)
	c.mu.Unlock()
	if !fits || ctx.Err() != nil {
		return
	}
	f, err := c.open(ctx, course, ref)
	if err != nil {
		c.lg.Debug("prefetch", "course", course, "bundle", ref.Digest, "err", err)
		return
	}
	f.Close()
}

func stampOf(f *os.File) stamp {
	info, err := f.Stat()
	if err != nil {
		return stamp{}
	}
	st := stamp{mtime: info.ModTime(), size: info.Size()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		st.inode = sys.Ino
	}
	return st
}
