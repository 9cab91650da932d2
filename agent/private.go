package agent

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"satchel/bundle"
)

// errRunning means: another watch has the lock.
var errRunning = errors.New("another watch runs for this folder")

// RuntimeDir gives the folder for what lives as long as this container: xdg
// (the value of XDG_RUNTIME_DIR) where that is private, else one of our own
// below temp. It is never on the student's volume.
func RuntimeDir(xdg, temp string, uid int) (string, error) {
	if xdg != "" && filepath.IsAbs(xdg) && private(xdg, uid) == nil {
		return xdg, nil
	}
	dir := filepath.Join(temp, fmt.Sprintf("satchel-%d", uid))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return dir, private(dir, uid)
}

// private refuses a folder that others can enter, or that somebody else put
// there.
func private(dir string, uid int) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder", dir)
	case !ok || int(st.Uid) != uid:
		return fmt.Errorf("%s belongs to somebody else", dir)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s is open to others", dir)
	}
	return nil
}

// runtimeFile names a file for this root in the runtime folder; where there is
// none, one that cannot be made. The name is short, for a socket's path has
// 108 bytes.
func (s Settings) runtimeFile(ending string) string {
	if s.Runtime == "" {
		return "/proc/no-runtime-folder"
	}
	sum := bundle.Sum([]byte(s.Root))
	return filepath.Join(s.Runtime, "satchel-"+hex.EncodeToString(sum[:6])+ending)
}

// only takes the lock that one watch for each root holds. The kernel lets it
// go with its holder. errRunning when it is taken.
func only(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errRunning
		}
		return nil, err
	}
	return f, nil
}
