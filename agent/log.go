package agent

import (
	"errors"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// LogFile is where the process left behind writes, below the root.
const LogFile = ".satchel/.log/agent.log"

const (
	logFolder = ".satchel/.log"
	oldLog    = LogFile + ".old"
	maxLog    = 256 << 10
)

// Log is a file that is begun anew when it is full; the one before it is kept.
// So it never takes more than twice maxLog. Where nothing can be written it
// swallows what comes.
type Log struct {
	mu   sync.Mutex
	root *os.Root
	f    *os.File
	size int64
}

// OpenLog opens the log below root. It does not fail: a log that cannot be
// written is no reason to do nothing.
func OpenLog(root string) *Log {
	l := &Log{}
	r, err := os.OpenRoot(root)
	if err != nil {
		return l
	}
	for _, dir := range []string{".satchel", logFolder} {
		if err := ownDir(r, dir); err != nil {
			r.Close()
			return l
		}
	}
	l.root = r
	l.open()
	return l
}

// ownDir makes a folder of ours, and refuses anything else in its place.
func ownDir(r *os.Root, dir string) error {
	if err := r.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := r.Lstat(dir)
	if err == nil && !info.IsDir() {
		err = errors.New(dir + " is not a folder")
	}
	return err
}

func (l *Log) open() {
	if info, err := l.root.Lstat(LogFile); err == nil && !info.Mode().IsRegular() {
		return
	}
	f, err := l.root.OpenFile(LogFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return
	}
	if info, err := f.Stat(); err == nil {
		l.size = info.Size()
	}
	l.f = f
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
	if err := l.root.Rename(LogFile, oldLog); err != nil {
		if err := l.root.Remove(LogFile); err != nil {
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
		_ = unix.Dup3(int(l.f.Fd()), 2, 0) // without it the trace is lost, no more
	}
}

// Close ends the log.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.root == nil {
		return nil
	}
	err := l.root.Close()
	if l.f != nil {
		err = errors.Join(err, l.f.Close())
		l.f = nil
	}
	return err
}
