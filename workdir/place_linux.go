package workdir

import (
	"os"

	"golang.org/x/sys/unix"
)

func renameNoReplace(from int, a string, to int, b string) error {
	return unix.Renameat2(from, a, to, b, unix.RENAME_NOREPLACE)
}

func renameExchange(from int, a string, to int, b string) error {
	return unix.Renameat2(from, a, to, b, unix.RENAME_EXCHANGE)
}

// renamesWell says that a filesystem is one of those that know both flags.
// (The number is ext4's and ext2's: on the latter an exchange is refused when
// it is tried.)
func renamesWell(fd int) bool {
	var fs unix.Statfs_t
	if again(func() error { return unix.Fstatfs(fd, &fs) }) != nil {
		return false
	}
	switch fs.Type {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC:
		return true
	}
	return false
}

// reserve takes size bytes of disk for f before they are written: statfs
// knows no quotas, so this is the only way to know.
func reserve(f *os.File, size int64) error {
	return again(func() error { return unix.Fallocate(int(f.Fd()), 0, 0, size) })
}

// beginWriting has the kernel begin to write f to disk, and waits for nothing:
// that it is there only an fsync says.
func beginWriting(f *os.File) {
	_ = unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
}

// ofdLock is a lock of fcntl's kind that belongs to the open file, so that
// the kernel lets it go with its holder.
func ofdLock(f *os.File) error {
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
}

// touch sets a file's times to the filesystem's own now.
func touch(folder int, name string) error {
	now := unix.Timespec{Nsec: unix.UTIME_NOW}
	return unix.UtimesNanoAt(folder, name, []unix.Timespec{now, now}, unix.AT_SYMLINK_NOFOLLOW)
}
