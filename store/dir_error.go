package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const errNotDir = unix.ENOTDIR

// dirError says what was being done, and what to do where somebody must. nil
// stays nil.
func dirError(op, key string, err error) error {
	if err == nil {
		return nil
	}
	absent := errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotDir)
	if absent && (op == "get" || op == "head") {
		err = ErrNotFound
	}
	return dirCause(err, fmt.Errorf("%s %s: %w", op, key, err))
}

// dirCause says first what can be done about err, then the whole of it.
func dirCause(err, whole error) error {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("the disk (or quota) of the store's folder is full; nothing was stored. Free some space, or move the folder and set store.dir: %w", whole)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("the store's folder is on a read-only filesystem; mount it writable, or set store.dir to another folder: %w", whole)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("this user (uid %d) may not do that in the store's folder. A command is run as the service's user; where this is the service, the folder and all in it must be its own: %w", os.Geteuid(), whole)
	case errors.Is(err, unix.EIO):
		return fmt.Errorf("the disk of the store's folder reports an error; look at the kernel's log, and do not trust that disk: %w", whole)
	}
	return whole
}

// networkFilesystems are refused, by the magic number that statfs(2) gives
// (linux/magic.h). The reason is one for all: several machines, or another
// kernel behind this one, may change the same files, and there flock, link,
// rename and fsync do not promise what Dir builds on: that of two writers one
// wins, and that what was written is on a disk. FUSE is in the list because
// sshfs, s3fs, gcsfuse, rclone and virtiofs all show that number, and nothing
// tells them from a harmless one.
var networkFilesystems = map[uint32]string{
	0x00006969: "NFS",
	0x0000517b: "SMB",
	0xfe534d42: "SMB",
	0xff534d42: "CIFS",
	0x65735546: "FUSE",
	0x01021997: "9p",
	0x5346414f: "AFS",
	0x6b414653: "AFS",
	0x73757245: "Coda",
	0x0000564c: "NCP",
	0x00c36400: "Ceph",
	0x0bd00bd0: "Lustre",
	0x47504653: "GPFS",
	0x19830326: "BeeGFS",
	0xaad7aaea: "PanFS",
	0x7461636f: "OCFS2",
	0x01161970: "GFS2",
	0x786f4256: "a VirtualBox shared folder",
}

func networkError(dir string, magic uint32) error {
	name, ok := networkFilesystems[magic]
	if !ok {
		return nil
	}
	return fmt.Errorf("the store's folder %s is on %s, a network filesystem, where two writers cannot be kept apart safely; set store.dir to a folder on a local disk, or use store.s3",
		filepath.Clean(dir), name)
}
