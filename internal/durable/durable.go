// Package durable writes files that are still there, and whole, after a crash
// or a power cut. It is for the service's own few files (configuration,
// secrets, keys); a student's folder and the store do the same through os.Root.
//
// Which system call gives what:
//
//   - write(2) puts bytes into the kernel's memory. They survive the process,
//     not the machine.
//   - fsync(2) on a file returns when its bytes and its size are on the disk.
//     Its name need not be.
//   - rename(2) puts one name in the place of another in one step: whoever
//     opens the name finds the old file or the new one, never neither. After a
//     power cut it may not have happened. And without the fsync before it, the
//     new name may come back with an empty file.
//   - fsync(2) on the folder returns when the names in it are on the disk: from
//     then on the rename has happened.
//
// An fsync that fails is not tried again: Linux forgets which bytes it could
// not write, and a second fsync would say that all is well
// (https://wiki.postgresql.org/wiki/Fsync_Errors).
package durable

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile makes path hold exactly data with exactly mode, whatever the
// umask. When it returns nil that is on the disk; when it returns an error, or
// never returns, path is whole: what it was before, or data. Never at any
// moment are the bytes readable by more than mode allows. A link at path is
// replaced, not followed.
//
// A writer that was killed may leave a file .NAME.RANDOM.tmp beside path. It
// is in nobody's way.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	dir, name := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	temp := filepath.Join(dir, "."+name+"."+rand.Text()[:12]+".tmp")
	if err := writeSynced(temp, data, mode); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), remove(temp))
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), remove(temp))
	}
	if err := SyncDir(dir); err != nil {
		return fmt.Errorf("write %s: it is in place, but may not outlive a power cut: %w", path, err)
	}
	return nil
}

func writeSynced(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode&0o700)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// SyncDir returns when the names in the folder are on the disk.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
