//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// handOver gives new files below dir to dir's owner, who is the service's user
// where root runs this command: they could not read what is root's. Where that
// cannot be done it warns.
func (a *app) handOver(dir string, files ...string) {
	folder, err := os.Stat(dir)
	if err != nil {
		return
	}
	uid, gid := ownerOf(folder)
	for _, f := range files {
		if below, err := filepath.Rel(dir, f); err != nil || !filepath.IsLocal(below) {
			continue
		}
		if err := giveTo(f, uid, gid); err != nil {
			fmt.Fprintf(a.err, "warning: %s belongs to another user than %s does: see that the service's user can read it (chown --reference=%s %s)\n", f, dir, dir, f)
		}
	}
}

// giveTo makes a file its owner's, unless it is already. The folder may be
// another user's, who may put something else in the file's place meanwhile: so
// it is opened, no link is followed, and what has a second name stays.
func giveTo(file string, uid, gid int) error {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if have, _ := ownerOf(info); have == uid {
		return nil
	}
	if s := info.Sys().(*syscall.Stat_t); !info.IsDir() && s.Nlink != 1 {
		return errors.New("it has a second name")
	}
	return f.Chown(uid, gid)
}

func ownerOf(info os.FileInfo) (uid, gid int) {
	s := info.Sys().(*syscall.Stat_t)
	return int(s.Uid), int(s.Gid)
}
