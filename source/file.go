package source

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

var (
	_ fs.ReadDirFS  = (*Tree)(nil)
	_ fs.StatFS     = (*Tree)(nil)
	_ fs.ReadLinkFS = (*Tree)(nil)
)

var (
	errLink      = errors.New("a symbolic link, which is not followed")
	errSubmodule = errors.New("a submodule, which is not read")
)

// Open gives a regular file or a folder.
func (t *Tree) Open(name string) (fs.File, error) {
	e, err := t.lookup("open", name)
	if err != nil {
		return nil, err
	}
	switch e.Mode {
	case filemode.Dir:
		return &openFolder{t: t, name: name, e: e}, nil
	case filemode.Symlink:
		return nil, &fs.PathError{Op: "open", Path: name, Err: errLink}
	case filemode.Submodule:
		return nil, &fs.PathError{Op: "open", Path: name, Err: errSubmodule}
	}
	r, size, err := t.objects.open(plumbing.BlobObject, e.Hash)
	if err != nil {
		return nil, t.fault("open", name, err)
	}
	if size <= maxPointerFile {
		data, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			return nil, t.fault("open", name, err)
		}
		if p, ok := parsePointer(data); ok {
			return t.openLFS(name, e, p)
		}
		r = io.NopCloser(bytes.NewReader(data))
	}
	return &openFile{t: t, name: name, r: r, info: info{e: e, size: size}}, nil
}

// ReadDir lists a folder, sorted by name. An entry's Info looks up the size,
// which costs a look into the pack; all else is in the listing.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	e, err := t.lookup("readdir", name)
	if err != nil {
		return nil, err
	}
	if e.Mode != filemode.Dir {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a folder")}
	}
	entries, err := t.list(e.Hash)
	if err != nil {
		return nil, t.fault("readdir", name, err)
	}
	out := make([]fs.DirEntry, len(entries))
	for i, e := range entries {
		out[i] = entry{t: t, e: e}
	}
	return out, nil
}

// Stat is Lstat: links are not followed.
func (t *Tree) Stat(name string) (fs.FileInfo, error) { return t.Lstat(name) }

// Lstat describes what is at that path.
func (t *Tree) Lstat(name string) (fs.FileInfo, error) {
	e, err := t.lookup("stat", name)
	if err != nil {
		return nil, err
	}
	i, err := t.info(e)
	if err != nil {
		return nil, t.fault("stat", name, err)
	}
	return i, nil
}

// ReadLink gives where a link leads, as it stands in the repository: it may
// lead anywhere.
func (t *Tree) ReadLink(name string) (string, error) {
	e, err := t.lookup("readlink", name)
	if err != nil {
		return "", err
	}
	if e.Mode != filemode.Symlink {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	if size, err := t.objects.size(e.Hash); err == nil && size > maxLink {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: errors.New("its target is too long for a path")}
	}
	target, err := t.objects.read(plumbing.BlobObject, e.Hash, maxLink)
	if err != nil {
		return "", t.fault("readlink", name, err)
	}
	return string(target), nil
}

func (t *Tree) info(e object.TreeEntry) (info, error) {
	if e.Mode == filemode.Dir || e.Mode == filemode.Submodule {
		return info{e: e}, nil
	}
	size, err := t.objects.size(e.Hash)
	if err == nil && e.Mode != filemode.Symlink && size <= maxPointerFile {
		p, ok, perr := t.pointerAt(e.Hash, size)
		if err = perr; ok {
			size = p.size
		}
	}
	return info{e: e, size: size}, err
}

// info describes one entry.
type info struct {
	e    object.TreeEntry
	size int64
}

func (i info) Name() string       { return i.e.Name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return mode(i.e.Mode) }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.e.Mode == filemode.Dir }
func (i info) Sys() any           { return contentID(i.e.Hash) }

// contentID is git's name for a content.
type contentID plumbing.Hash

func (c contentID) ContentID() string { return plumbing.Hash(c).String() }

func mode(m filemode.FileMode) fs.FileMode {
	switch m {
	case filemode.Dir:
		return fs.ModeDir | 0o755
	case filemode.Executable:
		return 0o755
	case filemode.Symlink:
		return fs.ModeSymlink | 0o777
	case filemode.Submodule:
		return fs.ModeIrregular
	}
	return 0o644
}

// entry is one line of a listing.
type entry struct {
	t *Tree
	e object.TreeEntry
}

func (e entry) Name() string      { return e.e.Name }
func (e entry) IsDir() bool       { return e.e.Mode == filemode.Dir }
func (e entry) Type() fs.FileMode { return mode(e.e.Mode).Type() }
func (e entry) String() string    { return fs.FormatDirEntry(e) }

// Mode and ContentID are what Info would tell, from the listing alone.
func (e entry) Mode() fs.FileMode { return mode(e.e.Mode) }
func (e entry) ContentID() string { return contentID(e.e.Hash).ContentID() }

func (e entry) Info() (fs.FileInfo, error) {
	i, err := e.t.info(e.e)
	if err != nil {
		return nil, e.t.fault("stat", e.e.Name, err)
	}
	return i, nil
}

// openFile reads a content.
type openFile struct {
	t    *Tree
	name string
	r    io.ReadCloser
	info info
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return f.r.Close() }

func (f *openFile) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && err != io.EOF {
		return n, f.t.fault("read", f.name, err)
	}
	return n, err
}

// openFolder lists a folder in steps.
type openFolder struct {
	t    *Tree
	name string
	e    object.TreeEntry
	rest []fs.DirEntry
	read bool
}

func (d *openFolder) Stat() (fs.FileInfo, error) { return info{e: d.e}, nil }
func (d *openFolder) Close() error               { return nil }

func (d *openFolder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: errors.New("a folder")}
}

func (d *openFolder) ReadDir(n int) (out []fs.DirEntry, err error) {
	if !d.read {
		if d.rest, err = d.t.ReadDir(d.name); err != nil {
			return nil, err
		}
		d.read = true
	}
	if n <= 0 {
		out, d.rest = d.rest, nil
		return out, nil
	}
	if len(d.rest) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.rest))
	out, d.rest = d.rest[:n], d.rest[n:]
	return out, nil
}
