package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

func (d *Dir) Put(ctx context.Context, key string, body io.ReadSeeker) error {
	err := d.write(ctx, key, body, func(temp string) error { return d.root.Rename(temp, key) })
	return dirError("put", key, err)
}

func (d *Dir) PutIfAbsent(ctx context.Context, key string, body io.ReadSeeker) error {
	if d.present(key) { // spares the copy; link decides
		return dirError("put", key, ErrExists)
	}
	err := d.write(ctx, key, body, func(temp string) error { return d.root.Link(temp, key) })
	if errors.Is(err, fs.ErrExist) {
		err = ErrExists
	}
	return dirError("put", key, err)
}

func (d *Dir) present(key string) bool {
	if CheckKey(key) != nil {
		return false
	}
	_, err := d.root.Lstat(filepath.FromSlash(key))
	return err == nil
}

func (d *Dir) CompareAndSwap(ctx context.Context, key, etag string, data []byte) (string, error) {
	if err := d.compare(ctx, key, etag); err != nil { // spares the loser a write
		return "", dirError("swap", key, err)
	}
	err := d.write(ctx, key, bytes.NewReader(data), func(temp string) error {
		if err := d.compare(ctx, key, etag); err != nil {
			return err
		}
		return d.root.Rename(temp, key)
	})
	if err != nil {
		return "", dirError("swap", key, err)
	}
	return etagOf(data), nil
}

// compare is nil when the object still has etag ("" for none).
func (d *Dir) compare(ctx context.Context, key, etag string) error {
	f, o, err := d.open(ctx, key)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrNotFound):
	case err != nil:
		return err
	default:
		f.Close()
	}
	if o.ETag != etag {
		return ErrChanged
	}
	return nil
}

// Delete takes the object away, and the folders that it leaves empty.
func (d *Dir) Delete(ctx context.Context, key string) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	err := d.locked(ctx, func() error {
		fi, err := d.root.Lstat(key)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotDir) || err == nil && fi.IsDir() {
			return nil // there is no such object
		}
		if err == nil {
			err = d.root.Remove(key)
		}
		if err != nil {
			return err
		}
		for _, dir := range slices.Backward(parents(key)) {
			if d.root.Remove(dir) != nil { // not empty
				return d.syncDir(dir)
			}
		}
		return d.syncDir(".")
	})
	return dirError("delete", key, err)
}

// Covered gives nothing: a folder keeps no versions.
func (d *Dir) Covered(context.Context, string) iter.Seq2[Covered, error] {
	return func(func(Covered, error) bool) {}
}

// SignedURL is ErrUnsupported: nobody else serves the folder.
func (d *Dir) SignedURL(_ context.Context, key string, _ Section, _ time.Duration) (string, error) {
	return "", dirError("sign", key, ErrUnsupported)
}

// write brings body to the disk and then, under the lock, to its name by
// place. When place did not happen nothing is left.
func (d *Dir) write(ctx context.Context, key string, body io.ReadSeeker, place func(temp string) error) error {
	if err := errors.Join(CheckKey(key), ctx.Err()); err != nil {
		return err
	}
	temp, err := d.createTemp()
	if err != nil {
		return err
	}
	// Closed only at the end: the lock on it says that its writer lives.
	defer temp.close()
	if err := temp.fill(ctx, body); err != nil {
		return err
	}
	return d.locked(ctx, func() error {
		if err := d.makeParents(key); err != nil {
			return err
		}
		if err := place(temp.name); err != nil {
			return err
		}
		return d.syncDir(path.Dir(key))
	})
}

// makeParents makes the key's folders; each new one is on the disk before
// anything is put into it.
func (d *Dir) makeParents(key string) error {
	for _, p := range parents(key) {
		err := d.root.Mkdir(p, 0o770)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			err = d.syncDir(path.Dir(p))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// locked calls f while this goroutine alone, of all processes, may change
// names.
func (d *Dir) locked(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-d.turn:
		defer func() { d.turn <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	lock, err := d.root.Open(lockFile)
	if err != nil {
		return err
	}
	defer lock.Close() // which unlocks
	if err := flock(ctx, lock); err != nil {
		return err
	}
	return f()
}

// flock asks again and again instead of waiting in the kernel, so that a
// context can end it. Holders need milliseconds.
func flock(ctx context.Context, f *os.File) error {
	for wait := time.Millisecond; ; wait = min(2*wait, 20*time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tempFile is a file in .tmp whose writer holds a lock on it.
type tempFile struct {
	*os.File
	root *os.Root
	name string
}

func (d *Dir) createTemp() (*tempFile, error) {
	name := tempDir + "/" + rand.Text()
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o660)
	if err != nil {
		return nil, err
	}
	t := &tempFile{f, d.root, name}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *tempFile) fill(ctx context.Context, body io.ReadSeeker) error {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := io.Copy(t.File, &patientReader{ctx, body}); err != nil {
		return err
	}
	return t.Sync()
}

// close takes the temporary name away; after a rename there is none.
func (t *tempFile) close() {
	t.root.Remove(t.name)
	t.Close()
}

// youngTemp is the time in which a new file in .tmp may not be locked yet.
const youngTemp = time.Minute

// clearTemp removes the files in .tmp that nobody writes any more.
func (d *Dir) clearTemp(now time.Time) error {
	names, err := d.readDir(tempDir)
	if err != nil {
		return err
	}
	for _, e := range names {
		name := tempDir + "/" + e.Name()
		fi, err := d.root.Lstat(name)
		if err != nil || !fi.Mode().IsRegular() || now.Sub(fi.ModTime()) < youngTemp {
			continue
		}
		f, err := d.root.Open(name)
		if err != nil {
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			d.root.Remove(name)
		}
		f.Close()
	}
	return nil
}
