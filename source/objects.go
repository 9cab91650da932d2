package source

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

const (
	cacheSize   = 32 * cache.MiByte // with three times that a publish was no faster: docs/performance.md
	streamAbove = 1 << 20           // bytes; larger blobs are read as they are asked for
	maxTreeSize = 64 << 20          // bytes of one listing
	maxCommit   = 4 << 20           // bytes of one commit
)

// errAbsent means: there is no such object here.
var errAbsent = plumbing.ErrObjectNotFound

// errDamaged means: there is, but it is not what its name says.
var errDamaged = errors.New("damaged")

// objects reads git objects by their names, and checks that what it gives has
// that name. It sees the packs that were there when it was opened, so that a
// repository that changes meanwhile is opened anew for each Tree.
type objects struct {
	mu     sync.Mutex // go-git's storage is not safe for concurrent use
	stores []*filesystem.Storage
	// reopen is set for a repository that others repack meanwhile: what is not
	// found is then looked for once more.
	reopen func() ([]*filesystem.Storage, error)
}

// openClone opens a clone of ours.
func openClone(dir string) *objects {
	return &objects{stores: []*filesystem.Storage{openStore(osfs.New(dir, osfs.WithBoundOS()))}}
}

func openStore(dir billy.Filesystem) *filesystem.Storage {
	return filesystem.NewStorageWithOptions(dir, cache.NewObjectLRU(cacheSize), filesystem.Options{
		ExclusiveAccess: true, KeepDescriptors: true, LargeObjectThreshold: streamAbove,
	})
}

// Close lets go of all files.
func (o *objects) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return closeStores(o.stores)
}

func closeStores(stores []*filesystem.Storage) (err error) {
	for _, s := range stores {
		err = errors.Join(err, s.Close())
	}
	return err
}

// each asks one store after the other until one has it, and once more after
// opening them anew where that may help.
func (o *objects) each(ask func(*filesystem.Storage) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := askAll(o.stores, ask)
	if err == nil || o.reopen == nil {
		return err
	}
	fresh, openErr := o.reopen()
	if openErr != nil {
		return err
	}
	closeStores(o.stores)
	o.stores = fresh
	return askAll(o.stores, ask)
}

func askAll(stores []*filesystem.Storage, ask func(*filesystem.Storage) error) error {
	err := errAbsent
	for _, s := range stores {
		got := func() (err error) {
			defer recovered(&err)
			return ask(s)
		}()
		if got == nil {
			return nil
		}
		if !errors.Is(got, errAbsent) && !errors.Is(got, os.ErrNotExist) {
			err = got
		}
	}
	return err
}

// open gives the content of an object, checked against its name as it is read.
func (o *objects) open(kind plumbing.ObjectType, name plumbing.Hash) (r io.ReadCloser, size int64, err error) {
	err = o.each(func(s *filesystem.Storage) error {
		object, err := s.EncodedObject(kind, name)
		if err != nil {
			return err
		}
		size = object.Size()
		r, err = object.Reader()
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	c := &checked{r: r, name: name, left: size, sum: sha1.New()}
	fmt.Fprintf(c.sum, "%s %d\x00", kind, size)
	return c, size, nil
}

// read gives all of a small object.
func (o *objects) read(kind plumbing.ObjectType, name plumbing.Hash, limit int64) ([]byte, error) {
	r, size, err := o.open(kind, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if size > limit {
		return nil, fmt.Errorf("%s %s has %d bytes; the limit is %d", kind, name, size, limit)
	}
	return io.ReadAll(r)
}

// size is the size of a blob, without reading it.
func (o *objects) size(name plumbing.Hash) (size int64, err error) {
	err = o.each(func(s *filesystem.Storage) (err error) {
		size, err = s.EncodedObjectSize(name)
		return err
	})
	return size, err
}

func (o *objects) commit(name plumbing.Hash) (c *object.Commit, err error) {
	defer recovered(&err)
	data, err := o.read(plumbing.CommitObject, name, maxCommit)
	if err != nil {
		return nil, err
	}
	c = new(object.Commit)
	return c, c.Decode(memory(plumbing.CommitObject, data))
}

func (o *objects) tree(name plumbing.Hash) (entries []object.TreeEntry, err error) {
	data, err := o.read(plumbing.TreeObject, name, maxTreeSize)
	if err != nil {
		return nil, err
	}
	return parseTree(data)
}

// parseTree reads the entries of a tree object, with their names as they are.
func parseTree(data []byte) (entries []object.TreeEntry, err error) {
	defer recovered(&err)
	t := new(object.Tree)
	if err := t.Decode(memory(plumbing.TreeObject, data)); err != nil {
		return nil, err
	}
	return t.Entries, nil
}

func memory(kind plumbing.ObjectType, data []byte) plumbing.EncodedObject {
	m := &plumbing.MemoryObject{}
	m.SetType(kind)
	m.Write(data)
	return m
}

// checked reads an object, and gives its last byte only if all of it has the
// name that it was opened by.
type checked struct {
	r    io.ReadCloser
	name plumbing.Hash
	left int64
	sum  hash.Hash
	err  error
}

func (c *checked) Read(p []byte) (n int, err error) {
	if c.err != nil {
		return 0, c.err
	}
	defer func() { c.err = err }()
	defer recovered(&err)
	n, err = c.r.Read(p)
	c.sum.Write(p[:n])
	c.left -= int64(n)
	switch {
	case c.left < 0, c.left > 0 && err == io.EOF:
		return 0, fmt.Errorf("object %s: %w: not as long as it says", c.name, errDamaged)
	case err != nil && err != io.EOF:
		return 0, fmt.Errorf("object %s: %w: %v", c.name, errDamaged, err)
	case c.left == 0 && plumbing.Hash(c.sum.Sum(nil)) != c.name:
		return 0, fmt.Errorf("object %s: %w: its content has another name", c.name, errDamaged)
	}
	return n, err
}

func (c *checked) Close() error { return c.r.Close() }
