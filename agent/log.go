package agent

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// LogFile is where the process left behind writes, below the root.
const LogFile = ".satchel/.log/agent.log"

const (
	logFolder = ".satchel/.log"
	logName   = "agent.log"
	maxLog    = 256 << 10
)

// Log is a file that is begun anew when it is full; the one before it is kept.
// So it never takes more than twice maxLog. Where nothing can be written it
// swallows what comes. Nothing is written through a link of either kind: the
// folder is opened step by step, and a file with a second name is somebody's.
type Log struct {
	mu   sync.Mutex
	dir  *os.File // logFolder
	f    *os.File
	size int64
}

// OpenLog opens the log below root. It does not fail: a log that cannot be
// written is no reason to do nothing.
func OpenLog(root string) *Log {
	l := &Log{}
	at, err := unix.Open(root, openDir, 0)
	for _, name := range strings.Split(logFolder, "/") {
		if err == nil {
			at, err = ownDir(at, name)
		}
	}
	if err != nil {
		return l
	}
	l.dir = os.NewFile(uintptr(at), logFolder)
	l.open()
	return l
}

const openDir = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// ownDir opens a folder of ours in the open folder at, making it where it is
// absent, and closes at. Anything else in its place is an error.
func ownDir(at int, name string) (int, error) {
	defer unix.Close(at)
	if err := unix.Mkdirat(at, name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return -1, err
	}
	return unix.Openat(at, name, openDir, 0)
}

// open opens the file. What is not ours alone (a link, a FIFO, a file with a
// second name) loses the name that it has here, and a new one is begun.
func (l *Log) open() {
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_APPEND | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	for _, extra := range []int{0, unix.O_EXCL} {
		fd, err := unix.Openat(int(l.dir.Fd()), logName, flags|extra, 0o600)
		if err == nil {
			if size, ok := onlyName(fd); ok {
				l.f, l.size = os.NewFile(uintptr(fd), LogFile), size
				return
			}
			unix.Close(fd)
		}
		if err := unix.Unlinkat(int(l.dir.Fd()), logName, 0); err != nil {
			return
		}
	}
}

// onlyName says whether an open file is a regular one without a second name,
// and its size.
func onlyName(fd int) (size int64, ok bool) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, false
	}
	ok = st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink <= 1
	return st.Size, ok && unix.SetNonblock(fd, false) == nil
}

// Write never gives an error.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return len(p), nil
	}
	if l.size+int64(len(p)) > maxLog {
		l.turn()
	}
	if l.f != nil {
		n, _ := l.f.Write(p)
		l.size += int64(n)
	}
	return len(p), nil
}

// turn begins a new file.
func (l *Log) turn() {
	l.f.Close()
	l.f, l.size = nil, 0
	dir := int(l.dir.Fd())
	if err := unix.Renameat(dir, logName, dir, logName+".old"); err != nil {
		if err := unix.Unlinkat(dir, logName, 0); err != nil {
			return
		}
	}
	l.open()
}

// TakeStderr makes a crash of this process write its trace into the log.
func (l *Log) TakeStderr() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f != nil {
		_ = duplicate(int(l.f.Fd()), 2) // without it the trace is lost, no more
	}
}

// Close ends the log.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dir == nil {
		return nil
	}
	err := l.dir.Close()
	if l.f != nil {
		err = errors.Join(err, l.f.Close())
		l.f = nil
	}
	return err
}
