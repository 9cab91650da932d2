package workdir

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"sync"

	"satchel/bundle"
)

// hashers is how many files are read at once.
const hashers = 4

// look gathers the facts of paths below the course's folder tree (nil: there
// is none). A file that looks exactly as when its digest was last taken is
// not read again.
func (c *Course) look(ctx context.Context, tree *dir, paths []string) (map[string]Fact, error) {
	facts := make(map[string]Fact, len(paths))
	byFolder := map[string][]string{}
	for _, p := range paths {
		folder, name := split(p)
		byFolder[folder] = append(byFolder[folder], name)
	}
	var unknown []string
	for _, folder := range sortedKeys(byFolder) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		unknown = append(unknown, c.lookIn(tree, folder, byFolder[folder], facts)...)
	}
	return facts, c.hashAll(ctx, tree, unknown, facts)
}

// lookIn looks at names in one folder, and gives the paths whose digest is
// not known yet.
func (c *Course) lookIn(tree *dir, folder string, names []string, facts map[string]Fact) (unknown []string) {
	d, err := descendIn(tree, folder)
	if d != nil {
		defer d.close()
	}
	for _, name := range names {
		p := join(folder, name)
		f := Fact{At: p}
		var blocked *blockedError
		switch {
		case errors.As(err, &blocked):
			f.Kind, f.At = blocked.kind, blocked.at
		case errors.Is(err, fs.ErrNotExist):
			f.Gone = true
		case err != nil:
			f.Err = err
		default:
			f.Stat, f.Err = d.stat(name)
			f.Kind = f.Stat.Kind
		}
		if f.Kind == Regular && !f.blocked(p) && f.Err == nil {
			if e := c.rec.files[p]; e != nil && e.Seen != nil && e.Seen.Sure && e.Seen.same(f.Stat) {
				f.Digest = e.Seen.Digest
			} else {
				unknown = append(unknown, p)
			}
		}
		facts[p] = f
	}
	return unknown
}

func descendIn(tree *dir, folder string) (*dir, error) {
	if tree == nil {
		return nil, fs.ErrNotExist
	}
	return tree.descend(folder, nil)
}

func (c *Course) hashAll(ctx context.Context, tree *dir, paths []string, facts map[string]Fact) error {
	var mu sync.Mutex
	each(hashers, paths, func(p string) {
		if ctx.Err() != nil {
			return
		}
		d, s, err := hashPath(ctx, tree, p)
		mu.Lock()
		defer mu.Unlock()
		f := facts[p]
		f.Digest, f.Err = d, err
		if err == nil {
			f.Stat = s
		}
		facts[p] = f
	})
	return ctx.Err()
}

// each does something with every item, n at once.
func each[T any](n int, items []T, do func(T)) {
	var wg sync.WaitGroup
	next := make(chan T)
	for range min(n, len(items)) {
		wg.Go(func() {
			for item := range next {
				do(item)
			}
		})
	}
	for _, item := range items {
		next <- item
	}
	close(next)
	wg.Wait()
}

// hashPath is the digest of the regular file at path.
func hashPath(ctx context.Context, tree *dir, path string) (bundle.Digest, Stat, error) {
	folder, name := split(path)
	d, err := tree.descend(folder, nil)
	if err != nil {
		return bundle.Digest{}, Stat{}, err
	}
	defer d.close()
	return hashName(ctx, d, name)
}

// hashName reads a regular file once. The Stat is that of before the reading:
// a change meanwhile shows against it.
func hashName(ctx context.Context, d *dir, name string) (bundle.Digest, Stat, error) {
	f, s, err := d.open(name)
	if err != nil {
		return bundle.Digest{}, s, err
	}
	defer f.Close()
	h := sha256.New()
	buf := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buf)
	for {
		n, err := f.Read(buf[:])
		h.Write(buf[:n])
		if err == io.EOF {
			return bundle.Digest(h.Sum(nil)), s, nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return bundle.Digest{}, s, fault("read", name, err)
		}
	}
}

// racy is how much older than the filesystem's clock at Open a file's last
// change must be for its times to show the next one.
const racy = 2_000_000_000 // ns

// seen is what is remembered of a fact.
func (h *Home) seen(f Fact) *Seen {
	return &Seen{Stat: f.Stat, Digest: f.Digest, Sure: f.Stat.Ctime+racy < h.clock && f.Stat.Mtime+racy < h.clock}
}

// pool does things beside, so many at once.
type pool struct {
	slots chan struct{}
	wg    *sync.WaitGroup
}

func newPool(n int) pool { return pool{make(chan struct{}, n), &sync.WaitGroup{}} }

// Go waits for a slot, so that no more than so many are held in memory.
func (p pool) Go(do func()) {
	p.slots <- struct{}{}
	p.wg.Go(func() {
		defer func() { <-p.slots }()
		do()
	})
}

func (p pool) wait() { p.wg.Wait() }
