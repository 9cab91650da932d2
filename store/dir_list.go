package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
)

// List walks the folder in the order of the keys, which is not that of the
// names: "a-b" comes before "a/b", for '-' is less than '/'.
func (d *Dir) List(ctx context.Context, prefix, after string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		if err := checkPrefix(prefix); err != nil {
			yield(Object{}, err)
			return
		}
		w := &walk{d: d, ctx: ctx, prefix: prefix, after: after, yield: yield}
		start := "" // the deepest folder that holds all of prefix
		if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
			start = prefix[:i+1]
		}
		w.folder(start)
	}
}

type walk struct {
	d             *Dir
	ctx           context.Context
	prefix, after string
	yield         func(Object, error) bool
}

// folder walks dir ("" or with a slash at its end) and says whether to go on.
func (w *walk) folder(dir string) bool {
	if err := w.ctx.Err(); err != nil {
		return w.fail(w.prefix, err)
	}
	entries, err := w.d.readDir(path.Join(".", dir))
	if err != nil {
		return w.fail(w.prefix, err)
	}
	keys := make([]string, 0, len(entries)) // a folder's with a slash
	for _, e := range entries {
		key := dir + e.Name()
		if e.IsDir() {
			key += "/"
		}
		if plainName(e.Name()) && w.wanted(key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		if !w.visit(key) {
			return false
		}
	}
	return true
}

// wanted says whether key, or a key in that folder, is asked for.
func (w *walk) wanted(key string) bool {
	if !strings.HasSuffix(key, "/") {
		return strings.HasPrefix(key, w.prefix) && key > w.after
	}
	under := strings.HasPrefix(key, w.prefix) || strings.HasPrefix(w.prefix, key)
	return under && (key > w.after || strings.HasPrefix(w.after, key))
}

func (w *walk) visit(key string) bool {
	if strings.HasSuffix(key, "/") {
		return w.folder(key)
	}
	fi, err := w.d.root.Lstat(key)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !fi.Mode().IsRegular():
		return true // deleted meanwhile
	case err != nil:
		return w.fail(key, err)
	}
	return w.yield(Object{Key: key, Size: fi.Size(), Modified: fi.ModTime()}, nil)
}

func (w *walk) fail(what string, err error) bool {
	w.yield(Object{}, dirError("list", what, err))
	return false
}

// readDir gives a folder's entries; none where it is not there.
func (d *Dir) readDir(name string) ([]fs.DirEntry, error) {
	f, err := d.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotDir) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if errors.Is(err, errNotDir) {
		return nil, nil
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return entries, err
}

func etagOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
