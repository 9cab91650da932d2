package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"satchel/bundle"
)

// Dir is the store in a folder of this machine. An object is a file under its
// key's name; its etag is the SHA-256 of its content. Several processes may
// use one folder at once.
//
// How a write goes: the bytes go into a file of their own in .tmp and are
// fsync'd; then, under the lock, the file gets its name by link (where there
// must be none) or rename, and the folder is fsync'd. So a reader, who takes
// no lock, opens a whole object or none; an object that is open stays as it
// was. The lock is a flock on .lock: the kernel lets go of it when its holder
// dies. What a dead writer left in .tmp is taken away when the store is next
// opened.
type Dir struct {
	path  string
	root  *os.Root
	turn  chan struct{} // holds one token: this process's turn at the lock
	etags etagCache
}

// Not keys: no plain name begins with a dot.
const (
	lockFile = ".lock"
	tempDir  = ".tmp"
)

// NewDir opens the store in the folder, which is made where it is missing. It
// refuses a network filesystem.
func NewDir(dir string) (*Dir, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o770); err != nil {
		return nil, dirError("open", dir, err)
	}
	if err := refuseNetwork(dir); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, dirError("open", dir, err)
	}
	d := &Dir{path: dir, root: root, turn: make(chan struct{}, 1)}
	d.turn <- struct{}{}
	if err := d.prepare(); err != nil {
		root.Close()
		return nil, dirError("open", dir, err)
	}
	return d, nil
}

// Close lets go of the folder. Readers that are open may be read to their end.
func (d *Dir) Close() error { return d.root.Close() }

// prepare makes .lock and .tmp and clears what dead writers left.
func (d *Dir) prepare() error {
	if err := d.root.Mkdir(tempDir, 0o770); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := d.root.OpenFile(lockFile, os.O_RDONLY|os.O_CREATE, 0o660)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := d.syncDir("."); err != nil {
		return err
	}
	return d.clearTemp(time.Now())
}

func (d *Dir) Get(ctx context.Context, key string) (io.ReadCloser, Object, error) {
	f, o, err := d.open(ctx, key)
	if err != nil {
		return nil, o, dirError("get", key, err)
	}
	return &section{io.NewSectionReader(f, 0, o.Size), f}, o, nil
}

func (d *Dir) GetRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Object, error) {
	f, o, err := d.openPlain(ctx, key)
	if err == nil {
		if err = checkRange(o.Size, offset, length); err != nil {
			f.Close()
		}
	}
	if err != nil {
		return nil, o, dirError("get", key, err)
	}
	return &section{io.NewSectionReader(f, offset, length), f}, o, nil
}

func (d *Dir) Head(ctx context.Context, key string) (Object, error) {
	f, o, err := d.open(ctx, key)
	if err != nil {
		return o, dirError("head", key, err)
	}
	return o, f.Close()
}

// open opens the object and describes it, with its etag.
func (d *Dir) open(ctx context.Context, key string) (*os.File, Object, error) {
	f, o, err := d.openPlain(ctx, key)
	if err != nil {
		return nil, Object{}, err
	}
	if _, err := bundle.ParseDigest(path.Base(key)); err == nil {
		// Named by its content; whether it is that, whoever reads it checks.
		o.ETag = path.Base(key)
		return f, o, nil
	}
	fi, err := f.Stat()
	if err == nil {
		o.ETag, err = d.etags.of(ctx, key, f, fi)
	}
	if err != nil {
		f.Close()
		return nil, Object{}, err
	}
	return f, o, nil
}

// openPlain is open without the etag, which costs reading the whole object:
// ranges are asked of bundles, whose name says what they are.
func (d *Dir) openPlain(ctx context.Context, key string) (*os.File, Object, error) {
	if err := errors.Join(CheckKey(key), ctx.Err()); err != nil {
		return nil, Object{}, err
	}
	f, err := d.root.Open(filepath.FromSlash(key))
	if err != nil {
		return nil, Object{}, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = ErrNotFound
	}
	if err != nil {
		f.Close()
		return nil, Object{}, err
	}
	return f, Object{Key: key, Size: fi.Size(), Modified: fi.ModTime()}, nil
}

// section reads a part of a file, with all of SectionReader's methods (a
// server may want to seek), and closes it.
type section struct {
	*io.SectionReader
	file *os.File
}

func (s *section) Close() error { return s.file.Close() }

func checkRange(size, offset, length int64) error {
	if offset < 0 || length < 0 || offset > size || length > size-offset {
		return fmt.Errorf("%d bytes from %d are beyond the end at %d", length, offset, size)
	}
	return nil
}

// syncDir returns when the names in the folder are on the disk.
func (d *Dir) syncDir(name string) error {
	f, err := d.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// parents gives the folders of a key, outermost first.
func parents(key string) (out []string) {
	for p := path.Dir(key); p != "."; p = path.Dir(p) {
		out = append([]string{p}, out...)
	}
	return out
}
