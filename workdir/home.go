// Package workdir owns the student's folder: it decides what is to change
// there (Compare, a pure function), and changes it (Plan, Stage, Apply), and
// remembers under .satchel what it delivered. It neither asks servers nor
// checks signatures: what it is given as Newest was verified by its caller.
// It makes no sentences: Events are typed, with paths of the course.
//
// # What it promises
//
//   - No byte of a student's is lost, whatever dies at whatever moment. A file
//     that exists is never written to: a whole new one takes its place in one
//     step, what came out is looked at, and is kept a while.
//   - Each file is old or new, never half. What was delivered is recorded file
//     by file, after the file is on disk; a run that died is finished by the
//     next.
//   - Nothing is reached through a link, nothing but regular files is opened,
//     nothing outside the course's folder, .satchel and what is placed by
//     PlaceNote changes.
//   - One bad path fails alone.
//
// # What lies where
//
//	.satchel/.lock                 held while somebody works here
//	.satchel/COURSE/journal        what was delivered (journal.go)
//	.satchel/COURSE/manifests/     canonical texts by digest, compressed
//	.satchel/COURSE/base/          course bytes for later merges, by digest; given up first
//	.satchel/COURSE/stage/         contents on their way, by digest, complete and synced
//	.satchel/COURSE/hold/          what was exchanged out, until it is surely nobody's any more
//	.satchel/COURSE/kept/          course bytes that undo may bring back, by digest; given up first
//	.satchel/COURSE/shelf/         a student's bytes that made way, 30 days at least, by time and path
//	.satchel/.notes/               the same for files of PlaceNote
//
// Where the course's folder is a filesystem of its own, stage, hold, kept and
// shelf are in a .satchel inside it, for names can only be exchanged within one.
package workdir

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"satchel/bundle"
)

// Errors on which a caller decides.
var (
	ErrLocked   = errors.New("another update of this folder is running")
	ErrLink     = errors.New("it is a link, and Satchel follows none: put a real folder there")
	ErrReadOnly = errors.New("nothing can be written there")
	ErrNoFolder = errors.New("there is no such folder")
)

const (
	ownFolder = ".satchel"
	lockName  = ".lock"
	notesName = ".notes"
)

// Home is an open and locked root folder, usually ~/work. It is for one
// goroutine, and for one pass: open it, work, close it.
type Home struct {
	lg     *slog.Logger
	path   string
	root   *os.Root
	top    *dir // root's own handle
	own    *dir // .satchel; nil in a Home from Look where there is none
	lock   *os.File
	do     *hands
	now    time.Time
	clock  int64           // the filesystem's time at Open, ns
	signed time.Time       // the newest time that a signed head told in this pass
	ctx    context.Context // the pass's
	look   bool
	id     string // of this pass
	behind sync.WaitGroup
}

// Open opens root and locks it, waiting for another holder until ctx ends
// (or, where ctx has no deadline, for two seconds): ErrLocked. ctx is the
// pass's: its end also ends the reading of a large state in Course. now is
// the time of all that this Home records. Errors: ErrNoFolder, ErrLink,
// ErrReadOnly, ErrLocked.
func Open(ctx context.Context, lg *slog.Logger, root string, now time.Time) (*Home, error) {
	return open(ctx, lg, root, now, &hands{})
}

func open(ctx context.Context, lg *slog.Logger, root string, now time.Time, do *hands) (*Home, error) {
	h, err := openRoot(lg, root, now, do)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", root, err)
	}
	h.ctx = ctx
	if err := h.take(ctx); err != nil {
		h.Close()
		return nil, fmt.Errorf("open %s: %w", root, err)
	}
	return h, nil
}

// Pass names what is done through h, for undo, and makes it go on with a
// former pass of that name, unless that is "".
func (h *Home) Pass(name string) string {
	if name != "" {
		h.id = name
	}
	return h.id
}

// Look opens root without a lock, to read states only. What is read may be a
// moment old while somebody else works there.
func Look(lg *slog.Logger, root string, now time.Time) (*Home, error) {
	h, err := openRoot(lg, root, now, &hands{})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", root, err)
	}
	h.look = true
	if s, err := h.top.stat(ownFolder); err == nil && s.Kind == Folder {
		h.own, _ = h.top.sub(ownFolder)
	}
	return h, nil
}

// openRoot opens the folder itself, which must be no link; that a folder
// above it is one is the administrator's business.
func openRoot(lg *slog.Logger, path string, now time.Time, do *hands) (*Home, error) {
	was, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, ErrNoFolder
	case err != nil:
		return nil, err
	case was.Mode()&os.ModeSymlink != 0:
		return nil, ErrLink
	case !was.IsDir():
		return nil, ErrNoFolder
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	is, err := root.Stat(".")
	if err == nil && !os.SameFile(was, is) {
		err = ErrLink // swapped between the look and the opening
	}
	var fd int
	if err == nil {
		fd, err = handleOf(root)
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	return &Home{lg: lg, path: path, root: root, top: &dir{fd: fd, do: do}, do: do, now: now.UTC().Round(0), ctx: context.Background(), id: do.newName()}, nil
}

func handleOf(root *os.Root) (int, error) {
	f, err := root.Open(".")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
}

// take opens .satchel and locks it. Somebody may throw .satchel away between
// the two; then it begins anew.
func (h *Home) take(ctx context.Context) error {
	for range 5 {
		if err := h.openOwn(); err != nil {
			return err
		}
		if err := h.acquire(ctx); err != nil {
			return err
		}
		inside, err1 := h.own.self()
		named, err2 := h.top.stat(ownFolder)
		if err1 == nil && err2 == nil && inside.Inode == named.Inode && inside.dev == named.dev {
			h.do.claims = h.own
			h.unclaim()
			return nil
		}
		h.release()
	}
	return fmt.Errorf("%s changes all the time: %w", ownFolder, ErrLocked)
}

func (h *Home) openOwn() error {
	own, err := h.top.private(ownFolder)
	if err != nil {
		return writable(err)
	}
	h.own = own
	return nil
}

// writable makes ErrReadOnly of what a read-only place answers.
func writable(err error) error {
	if errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	return err
}

// private opens a folder of Satchel's own, making it where it is absent. What
// else stands there (a link, a file, somebody else's folder) is moved aside,
// not followed: it may be anything.
func (d *dir) private(name string) (*dir, error) {
	s, err := d.stat(name)
	if err != nil {
		return nil, err
	}
	if s.Kind != Nothing && (s.Kind != Folder || int(s.uid) != os.Geteuid()) {
		if _, err := d.setAside(name); err != nil {
			return nil, err
		}
		s.Kind = Nothing
	}
	if s.Kind == Nothing {
		if err := d.mkdir(name, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, err
		}
	}
	if s.Kind == Folder && s.perm&0o700 != 0o700 { // nobody else is helped by that
		if err := unix.Fchmodat(d.fd, name, 0o700, 0); err != nil {
			return nil, fault("chmod", name, err)
		}
	}
	sub, err := d.sub(name)
	if err != nil {
		return nil, err
	}
	if s, err = sub.self(); err == nil && s.perm&0o077 != 0 {
		err = fault("chmod", name, unix.Fchmod(sub.fd, 0o700))
	}
	if err != nil {
		sub.close()
		return nil, err
	}
	return sub, nil
}

// setAside renames something in d to the first free "NAME (my copy)".
func (d *dir) setAside(name string) (string, error) {
	s, err := d.stat(name)
	if err != nil {
		return "", err
	}
	for n := 1; n <= maxCopies; n++ {
		to := copyName(name, mySuffix, n, s.Kind == Folder)
		err := moveNew(d, name, d, to)
		if err == nil || !errors.Is(err, os.ErrExist) {
			return to, err
		}
	}
	return "", fmt.Errorf("%q: too many copies lie beside it", name)
}

func (h *Home) release() {
	if h.lock != nil {
		h.lock.Close()
		h.lock = nil
	}
	if h.own != nil {
		h.own.close()
		h.own, h.do.claims = nil, nil
	}
}

// beside does something that nobody has to wait for but Close.
func (h *Home) beside(do func()) {
	if h.do.before != nil { // who counts the changes wants them in one order
		do()
		return
	}
	h.behind.Go(do)
}

// Close lets the lock go, once all is on disk.
func (h *Home) Close() {
	h.behind.Wait()
	h.release()
	h.top.close()
	h.root.Close()
}

// Course opens the state of one course; where there is none yet, nothing is
// made before something is remembered. Errors: bundle.ErrFormat when a newer
// Satchel wrote it (it is left as it is).
func (h *Home) Course(name string) (*Course, error) {
	if err := bundle.CheckFolder(name); err != nil {
		return nil, fmt.Errorf("course %q: %w", name, err)
	}
	return h.course(h.ctx, name)
}
