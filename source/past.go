package source

import (
	"context"
	"fmt"
	"io/fs"
	"iter"

	"github.com/go-git/go-git/v5/plumbing"
)

// Past gives the folder as it was in the commits before this one, the newest
// first by way of parents, each different state once, of at most so many
// commits. It is for a look at what clones of the repository may hold. A state
// can be used until t is closed. What is absent or damaged there ends it with
// an error, and says nothing against t.
func (t *Tree) Past(ctx context.Context, most int) iter.Seq2[fs.FS, error] {
	return func(yield func(fs.FS, error) bool) {
		states := map[plumbing.Hash]bool{t.top: true}
		first := plumbing.NewHash(t.commit)
		seen := map[plumbing.Hash]bool{first: true}
		for todo := []plumbing.Hash{first}; len(todo) > 0 && most > 0; most-- {
			hash := todo[0]
			todo = todo[1:]
			c, err := t.objects.commit(hash)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(nil, fmt.Errorf("commit %s: %w", hash, err))
				return
			}
			for _, parent := range c.ParentHashes {
				if !seen[parent] {
					seen[parent] = true
					todo = append(todo, parent)
				}
			}
			was := t.m.newTree(t.objects, hash)
			was.damaged = func(err error) error { return err }
			// A commit without the folder is one more past without our files.
			if was.enter(t.m, hash) == nil && !states[was.top] {
				states[was.top] = true
				if !yield(was, nil) {
					return
				}
			}
		}
	}
}
