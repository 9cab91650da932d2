package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Git LFS keeps a file's content elsewhere, and in git a pointer to it
// (github.com/git-lfs/git-lfs, docs/spec.md). A Tree gives the content in the
// pointer's place. Contents are had by our own small client (lfsclient.go),
// which obeys nothing that stands in the repository (`.lfsconfig` is not read),
// and kept beside the clones:
//
//	lfs/<sha256>      one content, complete and checked
//	lfs/part-*        one that is coming
//
// What no tree used for a month goes.

const (
	maxPointerFile = 1024    // bytes; the specification's limit
	maxLFSFile     = 1 << 30 // bytes of one content, as a bundle's largest file
	keepLFS        = 30 * 24 * time.Hour
	lfsFolder      = "lfs"
)

// lfsPointer is what stands in git for a content in LFS.
type lfsPointer struct {
	oid  string // SHA-256, in hexadecimal
	size int64
}

// parsePointer reads a pointer; ok is false for anything else. Keys that are
// not known (extensions) make it none: their content would have to be changed
// by programs that nobody runs here.
func parsePointer(data []byte) (p lfsPointer, ok bool) {
	if len(data) > maxPointerFile || !bytes.HasPrefix(data, []byte("version https://git-lfs.github.com/spec/v1\n")) {
		return p, false
	}
	p.size = -1
	for line := range strings.Lines(string(data)) {
		key, value, found := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch {
		case !found:
			return p, false
		case key == "version":
		case key == "oid":
			hash, is := strings.CutPrefix(value, "sha256:")
			if sum, err := hex.DecodeString(hash); !is || err != nil || len(sum) != sha256.Size || strings.ToLower(hash) != hash {
				return p, false
			}
			p.oid = hash
		case key == "size":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 {
				return p, false
			}
			p.size = n
		default:
			return p, false
		}
	}
	return p, p.oid != "" && p.size >= 0
}

// lfs gives contents of one repository.
type lfs struct {
	m     *Mirror
	local string // the git folder of a local repository, whose contents lie there already
}

func (m *Mirror) lfs() lfs {
	l := lfs{m: m}
	if m.at.local != "" {
		l.local, _ = gitFolder(m.at.local) // where there is none nothing else works
	}
	return l
}

// path is where a content is kept, or is to be.
func (l lfs) path(p lfsPointer) string {
	if l.local != "" {
		return filepath.Join(l.local, lfsFolder, "objects", p.oid[:2], p.oid[2:4], p.oid)
	}
	return filepath.Join(l.m.dir, lfsFolder, p.oid)
}

// open opens a content that is here. What lies in a local repository is
// somebody else's, and is checked as it is read.
func (l lfs) open(p lfsPointer) (*os.File, error) {
	f, err := os.Open(l.path(p))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() != p.size) {
		err = fmt.Errorf("%d bytes where the pointer says %d: %w", info.Size(), p.size, errDamaged)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	if l.local == "" && time.Since(info.ModTime()) > 24*time.Hour {
		now := time.Now()
		_ = os.Chtimes(f.Name(), now, now) // it is in use
	}
	return f, nil
}

// have gives a content, fetched where it is not here.
func (l lfs) have(ctx context.Context, p lfsPointer) (*os.File, error) {
	f, err := l.open(p)
	switch {
	case err == nil:
		return f, nil
	case l.local != "" && errors.Is(err, fs.ErrNotExist):
		return nil, fault(LFS, nil, "its content lies in Git LFS, and %s does not have it; run `git lfs fetch` there (sha256:%.12s…)", l.m.at, p.oid)
	case l.local != "":
		return nil, fault(LFS, err, "its content in Git LFS cannot be read (%s)", said(err.Error()))
	case p.size > maxLFSFile:
		return nil, fault(LFS, nil, "its content in Git LFS has %d bytes; the limit is %d", p.size, int64(maxLFSFile))
	}
	if err := l.fetch(ctx, p); err != nil {
		return nil, err
	}
	return l.open(p)
}

// fetch brings a content here, whole and checked or not at all.
func (l lfs) fetch(ctx context.Context, p lfsPointer) error {
	dir := filepath.Join(l.m.dir, lfsFolder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return l.m.diskOr(err)
	}
	f, err := os.CreateTemp(dir, "part-")
	if err != nil {
		return l.m.diskOr(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	sum := sha256.New()
	to := &counted{w: io.MultiWriter(f, sum)}
	if err := l.m.download(ctx, p, to); err != nil {
		if disk := diskFault(l.m.dir, err); disk != nil {
			return disk
		}
		return err
	}
	if to.n != p.size || hex.EncodeToString(sum.Sum(nil)) != p.oid {
		return fault(LFS, nil, "what %s sent for it from Git LFS is not the content that the repository names; it will be tried again. If this stays, push it anew (git lfs push --all)", l.m.at.hostName())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return l.m.diskOr(err)
	}
	return l.m.diskOr(os.Rename(f.Name(), l.path(p)))
}

type counted struct {
	w io.Writer
	n int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// sweepLFS removes contents that nothing used for long, and parts of dead
// processes.
func (m *Mirror) sweepLFS() {
	dir := filepath.Join(m.dir, lfsFolder)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue
		}
		old := keepLFS
		if strings.HasPrefix(e.Name(), "part-") {
			old = 24 * time.Hour
		}
		if time.Since(info.ModTime()) > old {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// pointerAt reads a blob that may be a pointer.
func (t *Tree) pointerAt(blob plumbing.Hash, size int64) (p lfsPointer, ok bool, err error) {
	if size > maxPointerFile || size < 80 { // the shortest pointer has more
		return p, false, nil
	}
	data, err := t.objects.read(plumbing.BlobObject, blob, maxPointerFile)
	if err != nil {
		return p, false, err
	}
	p, ok = parsePointer(data)
	return p, ok, nil
}

// openLFS opens a content that a path of the tree points to.
func (t *Tree) openLFS(name string, e object.TreeEntry, p lfsPointer) (fs.File, error) {
	f, err := t.content(p)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &lfsFile{f: f, info: info{e: e, size: p.size}, left: p.size, oid: p.oid, sum: sha256.New(), kept: t.m.at.local == ""}, nil
}

// lfsFile reads a content, and gives its last byte only if all of it has the
// name that the pointer says.
type lfsFile struct {
	f    *os.File
	info info
	left int64
	oid  string
	sum  hash.Hash
	kept bool // by us: a damaged one is fetched anew
}

func (f *lfsFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *lfsFile) Close() error               { return f.f.Close() }

func (f *lfsFile) Read(p []byte) (int, error) {
	n, err := f.f.Read(p)
	f.sum.Write(p[:n])
	f.left -= int64(n)
	switch {
	case f.left < 0, f.left > 0 && err == io.EOF, f.left == 0 && hex.EncodeToString(f.sum.Sum(nil)) != f.oid:
		if f.kept {
			_ = os.Remove(f.f.Name())
		}
		return 0, &fs.PathError{Op: "read", Path: f.info.Name(), Err: fault(LFS, errDamaged, "its content, kept from Git LFS, is damaged; it is fetched anew")}
	}
	return n, err
}
