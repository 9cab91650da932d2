package agent

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// follow returns when the process has ended, or the context. It is how watch
// ends with the server it belongs to. Where the kernel gives no handle on the
// process, its number is asked for now and then.
func follow(ctx context.Context, pid int) {
	fd, err := pidfd(pid)
	switch {
	case err == nil:
		followHandle(ctx, fd)
	case errors.Is(err, unix.ESRCH):
	default:
		followNumber(ctx, pid)
	}
}

func followHandle(ctx context.Context, fd int) {
	r, w, err := os.Pipe() // wakes the poll when the context ends
	if err != nil {
		unix.Close(fd)
		return
	}
	defer r.Close()
	stop := context.AfterFunc(ctx, func() { w.Close() })
	defer func() {
		if stop() {
			w.Close()
		}
		unix.Close(fd)
	}()
	wait := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(r.Fd()), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(wait, -1)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func followNumber(ctx context.Context, pid int) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		if err := unix.Kill(pid, 0); errors.Is(err, unix.ESRCH) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
