//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// file is one file as a look at it tells.
type file struct {
	sum   string // SHA-256 in hex; of what is no file its kind
	perm  os.FileMode
	inode uint64
	mtime int64
	links uint64
}

// like says whether two are the same for whoever uses them.
func (f file) like(g file) bool { return f.sum == g.sum && f.perm == g.perm }

// files is everything below a folder, links not followed, folders left out.
func files(t testing.TB, folder string) map[string]file {
	t.Helper()
	out := map[string]file{}
	err := filepath.WalkDir(folder, func(p string, d os.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && p != folder {
			return nil // it went meanwhile
		}
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(folder, p)
		f, err := lookAt(p)
		if err == nil {
			out[rel] = f
		}
		return err
	})
	must(t, err)
	return out
}

func lookAt(p string) (file, error) {
	info, err := os.Lstat(p)
	if err != nil {
		return file{}, err
	}
	st := info.Sys().(*syscall.Stat_t)
	f := file{sum: info.Mode().Type().String(), perm: info.Mode().Perm(), inode: st.Ino, mtime: info.ModTime().UnixNano(), links: uint64(st.Nlink)}
	if info.Mode().IsRegular() {
		data, err := os.ReadFile(p)
		if err != nil {
			return f, err
		}
		sum := sha256.Sum256(data)
		f.sum = hex.EncodeToString(sum[:])
	}
	return f, nil
}
