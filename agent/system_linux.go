package agent

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// changedAt is when a file was put there or written.
func changedAt(st *syscall.Stat_t) time.Time { return time.Unix(st.Ctim.Unix()) }

// pidfd is a handle on a process.
func pidfd(pid int) (int, error) { return unix.PidfdOpen(pid, 0) }

func duplicate(fd, to int) error { return unix.Dup3(fd, to, 0) }

// peerUID is the user at the other end of a Unix socket.
func peerUID(fd int) (int, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return -1, err
	}
	return int(cred.Uid), nil
}

func exchangeNames(folder int, a, b string) error {
	return unix.Renameat2(folder, a, folder, b, unix.RENAME_EXCHANGE)
}
