package syncer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"

	"satchel/bundle"
)

// unpack writes the version's files below root.
func (s *storedVersion) unpack(ctx context.Context, root *os.Root) error {
	at := map[bundle.Digest][]bundle.File{}
	for _, f := range s.files {
		at[f.Digest] = append(at[f.Digest], f)
	}
	for _, b := range s.from {
		for i := range b.Index.Frames {
			f := &b.Index.Frames[i]
			wanted := slices.ContainsFunc(f.Items, func(it bundle.Item) bool { return at[it.Digest] != nil })
			if f.Kind != bundle.Whole || !wanted {
				continue
			}
			if err := unpackFrame(ctx, root, b, f, at); err != nil {
				return err
			}
		}
	}
	for _, left := range at {
		return fmt.Errorf("%w: no bundle holds %q", bundle.ErrCorrupt, left[0].Path)
	}
	return nil
}

func unpackFrame(ctx context.Context, root *os.Root, b bundle.Stored, f *bundle.Frame, at map[bundle.Digest][]bundle.File) error {
	r, err := b.Open(ctx, f.Offset, f.Length)
	if err != nil {
		return err
	}
	defer r.Close()
	return bundle.ReadFrame(*f, r, nil, func(it bundle.Item, content *bundle.Verifier) error {
		files := at[it.Digest]
		delete(at, it.Digest)
		if len(files) == 0 {
			_, err := io.Copy(io.Discard, content)
			return err
		}
		if err := writeBelow(root, files[0], content); err != nil {
			return err
		}
		for _, same := range files[1:] {
			if err := copyBelow(root, files[0], same); err != nil {
				return err
			}
		}
		return nil
	})
}

func copyBelow(root *os.Root, from, to bundle.File) error {
	r, err := root.Open(from.Path)
	if err != nil {
		return err
	}
	defer r.Close()
	return writeBelow(root, to, r)
}

func writeBelow(root *os.Root, f bundle.File, content io.Reader) error {
	if err := root.MkdirAll(path.Dir(f.Path), 0o700); err != nil {
		return err
	}
	w, err := root.OpenFile(f.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fs.FileMode(f.Mode).Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(w, content)
	return errors.Join(err, w.Close())
}

// storedTree is a version out of the store. What a repository tells beside,
// that of now tells.
type storedTree struct {
	fs.FS
	root *os.Root
	dir  string
	now  tree
}

func (t storedTree) Before(commit string) (fs.FS, error) { return t.now.Before(commit) }
func (t storedTree) Close() error                        { return errors.Join(t.root.Close(), os.RemoveAll(t.dir)) }

func (t storedTree) Past(ctx context.Context, most int) iter.Seq2[fs.FS, error] {
	return t.now.Past(ctx, most)
}
