package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/sys/unix"

	"satchel/internal/durable"
)

// A mirror's folder holds one clone, and for a moment two:
//
//	lock              held (flock) by whoever fetches
//	clone-000007/     a bare repository as git knows it (git fsck works in it)
//	    satchel.json  which repository it is of, and how large it was at first
//	    in-use        held, shared, by each Tree that reads here
//	    HEAD          the commit that was fetched last
//	    damaged       set by a Tree that could not read something
//
// HEAD is written last, by a rename, when all that it needs is on the disk: a
// clone without it was never finished. The newest finished one counts. A fetch
// adds packs, then moves HEAD, so that a fetch that died leaves a pack that
// nobody misses. All locks are released by the kernel.
const cloneFormat = 1

// Past these, a clone is worn.
const (
	maxPacks = 50
	mayGrow  = 64 << 20 // bytes that are not worth a fresh clone
)

type clone struct {
	dir   string
	tip   plumbing.Hash // zero before the first fetch
	birth birth
}

// birth is satchel.json.
type birth struct {
	Format int    `json:"format"`
	URL    string `json:"url"`
	Size   int64  `json:"size"` // bytes of packs after the first fetch
}

// lock waits until nobody else changes the mirror's folder.
func (m *Mirror) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return nil, m.diskOr(err)
	}
	f, err := os.OpenFile(filepath.Join(m.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, m.diskOr(err)
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock the mirror in %s: %w", m.dir, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// cloneFolders are the clones' folders, the newest first.
func (m *Mirror) cloneFolders() []string {
	found, _ := filepath.Glob(filepath.Join(m.dir, "clone-[0-9][0-9][0-9][0-9][0-9][0-9]"))
	slices.Sort(found)
	slices.Reverse(found)
	return found
}

// newestClone is the newest finished clone of this very repository, nil where
// there is none that can be used.
func (m *Mirror) newestClone() *clone {
	for _, dir := range m.cloneFolders() {
		c := &clone{dir: dir}
		head, err := os.ReadFile(filepath.Join(dir, "HEAD"))
		if err != nil {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, "satchel.json"))
		if err != nil || json.Unmarshal(data, &c.birth) != nil || c.birth.Format != cloneFormat || c.birth.URL != m.at.String() {
			return nil
		}
		text := strings.TrimSpace(string(head))
		if _, err := os.Stat(filepath.Join(dir, "damaged")); err == nil || !plumbing.IsHash(text) {
			return nil
		}
		c.tip = plumbing.NewHash(text)
		return c
	}
	return nil
}

// newClone makes an empty repository with the next number.
func (m *Mirror) newClone() (*clone, error) {
	number := 1
	if dirs := m.cloneFolders(); len(dirs) > 0 {
		last, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dirs[0]), "clone-"))
		if err != nil {
			return nil, err
		}
		number = last + 1
	}
	c := &clone{dir: filepath.Join(m.dir, fmt.Sprintf("clone-%06d", number)), birth: birth{Format: cloneFormat, URL: m.at.String()}}
	for _, sub := range []string{"objects/pack", "refs/heads"} {
		if err := os.MkdirAll(filepath.Join(c.dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	for name, text := range map[string]string{"config": "[core]\n\tbare = true\n", "in-use": ""} {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// haves are commits that are here with all that they need: the last tip and
// some of its ancestors, so that the server finds one after a force-push too.
func (c *clone) haves() ([]plumbing.Hash, error) {
	if c.tip.IsZero() {
		return nil, nil
	}
	o := openClone(c.dir)
	defer o.Close()
	const most = 256
	haves := []plumbing.Hash{c.tip}
	for i := 0; i < len(haves); i++ {
		commit, err := o.commit(haves[i])
		if errors.Is(err, errAbsent) && i > 0 { // the repository itself is shallow
			haves = slices.Delete(haves, i, i+1)
			i--
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, parent := range commit.ParentHashes {
			if len(haves) < most && !slices.Contains(haves, parent) {
				haves = append(haves, parent)
			}
		}
	}
	return haves, nil
}

// take stores a pack and moves the clone to its tip.
func (c *clone) take(pack io.Reader, tip plumbing.Hash) error {
	if err := c.tidy(); err != nil {
		return err
	}
	if err := storePack(c.packDir(), pack); err != nil {
		return errors.Join(err, c.tidy())
	}
	if c.tip.IsZero() {
		var err error
		if _, c.birth.Size, err = c.weigh(); err != nil {
			return err
		}
		data, err := json.Marshal(c.birth)
		if err != nil {
			return err
		}
		if err := durable.WriteFile(filepath.Join(c.dir, "satchel.json"), data, 0o600); err != nil {
			return err
		}
	}
	if err := durable.WriteFile(filepath.Join(c.dir, "HEAD"), []byte(tip.String()+"\n"), 0o600); err != nil {
		return err
	}
	c.tip = tip
	return nil
}

// use marks the clone as being read, until the file is closed.
func (c *clone) use() (*os.File, error) {
	f, err := os.Open(filepath.Join(c.dir, "in-use"))
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// sweep removes all clones but one (or all, for nil), except those that
// somebody still reads: they go at a later sweep.
func (m *Mirror) sweep(keep *clone) {
	m.sweepLFS()
	for _, dir := range m.cloneFolders() {
		if keep != nil && dir == keep.dir {
			continue
		}
		if err := (&clone{dir: dir}).remove(); err != nil {
			m.lg.Warn("an old clone stays", "clone", dir, "error", err)
		}
	}
}

// remove deletes the clone if nobody reads it: first HEAD, so that a half
// deleted one does not count.
func (c *clone) remove() error {
	f, err := os.Open(filepath.Join(c.dir, "in-use"))
	if err == nil {
		defer f.Close()
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
			return nil // in use
		}
	}
	if err := os.Remove(filepath.Join(c.dir, "HEAD")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.RemoveAll(c.dir)
}
