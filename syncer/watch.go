package syncer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"satchel/course"
	"satchel/source"
)

// watchAgain is how long after a watch broke it is tried again. Polling is the
// net under it.
const watchAgain = 30 * time.Second

// watch calls hint whenever a branch of a local repository may have moved,
// until ctx ends. For a remote repository it does nothing.
func (s *Syncer) watch(ctx context.Context, c *course.Course, hint func()) {
	if !source.IsLocal(c.Repository) {
		return
	}
	for {
		if repo, err := s.open(c); err == nil && repo.Watch() != "" {
			if err := watchRefs(ctx, repo.Watch(), hint); err != nil && ctx.Err() == nil {
				s.lg.Warn("the repository is not watched; it is looked at each poll interval", "course", c.Name, "error", err)
			}
		}
		t := time.NewTimer(watchAgain)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// watchRefs watches the git folder itself (packed-refs, HEAD) and all folders
// below refs. It returns when the folder goes away.
func watchRefs(ctx context.Context, dir string, hint func()) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.Add(dir); err != nil {
		return err
	}
	for _, below := range []string{"refs", "reftable"} {
		if err := addFolders(w, filepath.Join(dir, below)); err != nil {
			return err
		}
	}
	hint() // what moved before the watch stood
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-w.Errors:
			hint()
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return err
			}
		case e, ok := <-w.Events:
			if !ok || e.Name == dir && e.Has(fsnotify.Remove|fsnotify.Rename) {
				hint()
				return nil
			}
			if e.Has(fsnotify.Create) && strings.HasPrefix(e.Name, filepath.Join(dir, "refs")) {
				_ = addFolders(w, e.Name) // a new branch with a slash; else no folder
			}
			if moved(dir, e) {
				hint()
			}
		}
	}
}

// moved says whether an event can mean that a branch moved: nothing else that
// git writes beside its refs is of interest, and locks are not yet a move.
func moved(dir string, e fsnotify.Event) bool {
	if e.Op == fsnotify.Chmod || strings.HasSuffix(e.Name, ".lock") {
		return false
	}
	in := filepath.Dir(e.Name)
	return in != dir || filepath.Base(e.Name) == "packed-refs" || filepath.Base(e.Name) == "refs"
}

func addFolders(w *fsnotify.Watcher, root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil || !d.IsDir() {
			return err
		}
		return w.Add(path)
	})
}
