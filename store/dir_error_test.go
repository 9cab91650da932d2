package store

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDirErrorSaysWhatToDo(t *testing.T) {
	for errno, want := range map[error]string{
		unix.ENOSPC: "is full", unix.EDQUOT: "is full", unix.EROFS: "read-only", unix.EIO: "kernel's log",
		unix.EACCES: "service's user", unix.EPERM: "service's user",
	} {
		err := dirError("put", "a/b", &fs.PathError{Op: "write", Path: "x", Err: errno})
		if said, rest, ok := strings.Cut(err.Error(), ": put a/b: "); !ok || rest == "" || !strings.Contains(said, want) || !errors.Is(err, errno) {
			t.Errorf("%v: %v", errno, err)
		}
	}
	if dirError("put", "a/b", nil) != nil {
		t.Error("nil became an error")
	}
}

func TestNetworkFilesystemsAreRefused(t *testing.T) {
	for magic, name := range map[uint32]string{
		unix.NFS_SUPER_MAGIC: "NFS", unix.SMB_SUPER_MAGIC: "SMB", unix.SMB2_SUPER_MAGIC: "SMB",
		unix.CIFS_SUPER_MAGIC: "CIFS", unix.FUSE_SUPER_MAGIC: "FUSE", unix.V9FS_MAGIC: "9p", unix.CEPH_SUPER_MAGIC: "Ceph",
	} {
		err := networkError("/srv/store", magic)
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "/srv/store") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, magic := range []uint32{
		unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC, 0x2fc12fc1, // ZFS
	} {
		if err := networkError("/srv/store", magic); err != nil {
			t.Errorf("%#x: %v", magic, err)
		}
	}
}
