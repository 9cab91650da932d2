package workdir

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockWait is how long Open waits where its context has no deadline.
const lockWait = 2 * time.Second

// acquire takes the lock, and reads the filesystem's clock from it.
func (h *Home) acquire(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, lockWait)
		defer stop()
	}
	f, err := h.own.lockFile()
	if err != nil {
		return writable(err)
	}
	h.lock = f
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		err := h.tryLock()
		if !errors.Is(err, ErrLocked) {
			return err
		}
		select {
		case <-ctx.Done():
			return ErrLocked
		case <-time.After(wait):
		}
	}
}

// lockFile opens the lock's file, which is empty for ever. Something else
// under its name, or a second name of it, is moved aside.
func (d *dir) lockFile() (*os.File, error) {
	for range 3 {
		fd, err := openat(d, lockName, unix.O_RDWR|unix.O_CREAT|unix.O_NONBLOCK, 0o600)
		if err == nil {
			s, err := statFD(fd)
			if err == nil && s.Kind == Regular && s.links == 1 && s.Size == 0 {
				return os.NewFile(uintptr(fd), lockName), nil
			}
			unix.Close(fd)
		} else if errors.Is(err, unix.EACCES) && unix.Fchmodat(d.fd, lockName, 0o600, 0) == nil {
			continue
		} else if !errors.Is(err, unix.ELOOP) && !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.ENXIO) {
			return nil, err
		}
		if _, err := d.setAside(lockName); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return nil, ErrLocked
}

// tryLock tries once. flock is refused on some network filesystems, then
// fcntl's kind is tried, and where that is refused too there is none: every
// single step is safe against another agent's, only more often in vain.
func (h *Home) tryLock() error {
	err := unix.EOPNOTSUPP
	if !h.do.noFlock {
		err, _ = again(func() error { return unix.Flock(int(h.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) }).(unix.Errno)
	}
	if err != 0 && err != unix.EWOULDBLOCK {
		err, _ = again(func() error { return ofdLock(h.lock) }).(unix.Errno)
	}
	switch err {
	case 0:
	case unix.EWOULDBLOCK, unix.EACCES:
		return ErrLocked
	default:
		h.lg.Warn("no lock to be had in this folder", "error", err)
	}
	return h.readClock()
}

// readClock touches the lock's file: its time is the filesystem's own now,
// which may differ from ours.
func (h *Home) readClock() error {
	if err := touch(h.own.fd, lockName); err != nil {
		return writable(err)
	}
	s, err := statFD(int(h.lock.Fd()))
	h.clock = s.Mtime
	return err
}
