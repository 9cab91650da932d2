package workdir

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// hands is the one seam through which everything goes that changes the disk.
// Tests stop, fail or forbid single steps here; a program leaves it empty.
type hands struct {
	before func(op, name string) error // called before each change; its error is the change's
	space  func() (free int64)         // instead of asking the filesystem
	base   int64                       // instead of unneededMost
	names  func() string               // instead of chance

	// What this filesystem was found to refuse (or is made to, by a test).
	noExchange, noReplace, noLink, noFlock bool

	probed bool
	claims *dir // for notes of claimed names; nil: none
}

func (h *hands) mostBase() int64 { return cmp.Or(h.base, unneededMost) }

func (h *hands) step(op, name string) error {
	if h.before == nil {
		return nil
	}
	if err := h.before(op, name); err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

// newName is a name, or an ID, that nobody else has.
func (h *hands) newName() string {
	if h.names != nil {
		return h.names()
	}
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Kind is what stands under a name.
type Kind int

// The kinds. Other is a link, FIFO, socket or device: looked at, never opened.
const (
	Nothing Kind = iota
	Regular
	Folder
	Other
)

// Stat is what one look at a name tells. Times are nanoseconds of the
// filesystem's own clock.
type Stat struct {
	Kind  Kind   `json:"-"`
	Size  int64  `json:"size"`
	Mtime int64  `json:"mtime"`
	Ctime int64  `json:"ctime"`
	Inode uint64 `json:"inode"`
	perm  uint32
	links uint64
	dev   uint64
	uid   uint32
}

// same says that nobody can have written to the file between two looks, as
// far as size, both times and inode can tell.
func (s Stat) same(t Stat) bool {
	return s.Size == t.Size && s.Mtime == t.Mtime && s.Ctime == t.Ctime && s.Inode == t.Inode
}

// dir is an open folder. Everything works on one name in an open folder,
// never on a path, so that no folder on the way can be swapped for a link.
// (os.Root alone would follow links that stay below it.)
type dir struct {
	fd int
	do *hands
	at string // its path below the root, for claims only
}

func (d *dir) close() { unix.Close(d.fd) }

// again repeats a call that a signal interrupted (NFS and FUSE do that).
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

func fault(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

func openat(d *dir, name string, flags int, perm uint32) (fd int, err error) {
	err = again(func() error {
		fd, err = unix.Openat(d.fd, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, perm)
		return err
	})
	return fd, fault("open", name, err)
}

// sub opens a folder in d. A link is an error.
func (d *dir) sub(name string) (*dir, error) {
	fd, err := openat(d, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	at := d.at
	if name != "." {
		at = join(at, name)
	}
	return &dir{fd: fd, do: d.do, at: at}, nil
}

// reopen opens d once more.
func (d *dir) reopen() (*dir, error) { return d.sub(".") }

func (d *dir) mkdir(name string, perm uint32) error {
	if err := d.do.step("mkdir", name); err != nil {
		return err
	}
	return fault("mkdir", name, again(func() error { return unix.Mkdirat(d.fd, name, perm) }))
}

// stat looks at a name without following it. An absent one is Nothing.
func (d *dir) stat(name string) (Stat, error) {
	var st unix.Stat_t
	err := again(func() error { return unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	if err == unix.ENOENT {
		return Stat{}, nil
	}
	return statOf(&st), fault("look at", name, err)
}

func (d *dir) self() (Stat, error) { return statFD(d.fd) }

func statFD(fd int) (Stat, error) {
	var st unix.Stat_t
	err := again(func() error { return unix.Fstat(fd, &st) })
	return statOf(&st), fault("look at", "open file", err)
}

func statOf(st *unix.Stat_t) Stat {
	s := Stat{
		Kind: Other, Size: st.Size, Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano(), Inode: st.Ino,
		perm: uint32(st.Mode) & 0o7777, links: uint64(st.Nlink), dev: uint64(st.Dev), uid: st.Uid,
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		s.Kind = Regular
	case unix.S_IFDIR:
		s.Kind = Folder
	}
	return s
}

// errNotRegular means: no plain file; it was not opened.
var errNotRegular = errors.New("not a regular file")

// open opens a regular file for reading, and nothing else: it looks before it
// opens, and O_NONBLOCK covers the moment between.
func (d *dir) open(name string) (*os.File, Stat, error) {
	s, err := d.stat(name)
	switch {
	case err != nil:
		return nil, s, err
	case s.Kind == Nothing:
		return nil, s, fault("open", name, unix.ENOENT)
	case s.Kind != Regular:
		return nil, s, fault("open", name, errNotRegular)
	}
	fd, err := openat(d, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, s, err
	}
	if s, err = statFD(fd); err == nil && s.Kind != Regular {
		err = fault("open", name, errNotRegular)
	}
	if err != nil {
		unix.Close(fd)
		return nil, s, err
	}
	return os.NewFile(uintptr(fd), name), s, nil
}

// read gives a regular file's bytes; more than limit is an error.
func (d *dir) read(name string, limit int64) ([]byte, error) {
	f, s, err := d.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if s.Size > limit {
		return nil, fault("read", name, fmt.Errorf("%d bytes; the limit is %d", s.Size, limit))
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fault("read", name, fmt.Errorf("more than %d bytes", limit))
	}
	return data, err
}

// create makes a new file; an existing name is an error.
func (d *dir) create(name string, perm uint32) (*os.File, error) {
	if err := d.do.step("create", name); err != nil {
		return nil, err
	}
	fd, err := openat(d, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, perm)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// chmod changes the permissions of a regular file that has this one name.
// Of several names it changes none: the others may lie anywhere.
func (d *dir) chmod(name string, perm uint32) error {
	f, s, err := d.open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if s.perm == perm || s.links != 1 {
		return nil
	}
	if err := d.do.step("chmod", name); err != nil {
		return err
	}
	return fault("chmod", name, unix.Fchmod(int(f.Fd()), perm))
}

func (d *dir) remove(name string) error {
	if err := d.do.step("remove", name); err != nil {
		return err
	}
	return fault("remove", name, again(func() error { return unix.Unlinkat(d.fd, name, 0) }))
}

// rmdir removes an empty folder.
func (d *dir) rmdir(name string) error {
	if err := d.do.step("rmdir", name); err != nil {
		return err
	}
	return fault("rmdir", name, again(func() error { return unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR) }))
}

// sync brings the folder's names to disk. Some network filesystems refuse it
// for folders; there the rename itself is all that can be had.
func (d *dir) sync() error {
	if err := d.do.step("sync", "."); err != nil {
		return err
	}
	err := again(func() error { return unix.Fsync(d.fd) })
	if err == unix.EINVAL || err == unix.EBADF || err == unix.EOPNOTSUPP {
		return nil
	}
	return fault("sync", "folder", err)
}

// maxNames bounds how many names of one folder are read.
const maxNames = 200_000

func (d *dir) names() ([]string, error) {
	e, err := d.reopen()
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(e.fd), ".")
	defer f.Close()
	names, err := f.Readdirnames(maxNames)
	if err == io.EOF {
		err = nil
	}
	return names, err
}

// blockedError means: a name on the way to a path is no folder.
type blockedError struct {
	at   string // the path of what stands there
	kind Kind
}

func (b *blockedError) Error() string { return fmt.Sprintf("%q is not a folder", b.at) }

// descend opens the folder at a slash-separated path below d, never through
// a link. "" and "." are d itself. made is told of each folder it makes; nil
// means that an absent one is an error (fs.ErrNotExist).
func (d *dir) descend(path string, made func(path string)) (*dir, error) {
	at, err := d.reopen()
	if err != nil || path == "" || path == "." {
		return at, err
	}
	for name, walked := range components(path) {
		next, err := at.enter(name, walked, made)
		at.close()
		if err != nil {
			return nil, err
		}
		at = next
	}
	return at, nil
}

// components gives each name of a path with the path up to it.
func components(path string) func(func(name, walked string) bool) {
	return func(yield func(string, string) bool) {
		for i := 0; i <= len(path); {
			j := strings.IndexByte(path[i:], '/')
			if j < 0 {
				yield(path[i:], path)
				return
			}
			if !yield(path[i:i+j], path[:i+j]) {
				return
			}
			i += j + 1
		}
	}
}

func (d *dir) enter(name, walked string, made func(string)) (*dir, error) {
	s, err := d.stat(name)
	switch {
	case err != nil:
		return nil, err
	case s.Kind == Nothing && made == nil:
		return nil, fault("open", walked, fs.ErrNotExist)
	case s.Kind == Nothing:
		if err := d.mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		made(walked)
	case s.Kind != Folder:
		return nil, &blockedError{walked, s.Kind}
	}
	return d.sub(name)
}

// split cuts a path into its folder and name.
func split(path string) (folder, name string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}

func join(folder, name string) string {
	if folder == "" || name == "" {
		return folder + name
	}
	return folder + "/" + name
}
