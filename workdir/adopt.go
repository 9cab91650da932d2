package workdir

import (
	"context"
	"errors"
	"fmt"

	"satchel/bundle"
	"satchel/notebook"
)

var errHistory = errors.New("the course's history could not be had")

// origins asks the course's history about each file that no base explains: of
// a lost .satchel, a home restored from a backup, a folder left by git clone
// or by a tarball. Nothing is guessed: what no former version explains is the
// student's.
func (c *Course) origins(ctx context.Context, tree *dir, v View, n Newest, history HistoryFunc) map[string]Origin {
	out := map[string]Origin{}
	var all []bundle.History
	asked, known := false, false
	base := c.openBase()
	if base != nil {
		defer base.close()
	}
	for _, p := range sortedKeys(v.Newest) {
		if !unexplained(v, p) {
			continue
		}
		if !asked {
			asked = true
			var err error
			all, err = histories(n, history)
			if known = err == nil; !known {
				c.home.lg.Warn("no history", "course", c.name, "error", err)
			}
		}
		if !known {
			out[p] = Unasked
			continue
		}
		if ctx.Err() == nil {
			out[p] = originOf(tree, v.Newest[p].File, v.Disk[p], all)
			if last := v.Last[p]; last != nil && out[p] == FormerRun && base.holds(last.Digest) {
				out[p] = Theirs // what was delivered is the better base
			}
		}
	}
	return out
}

// unexplained says that a regular file lies at p which is neither what was
// delivered nor the newest, and that it matters whose it is.
func unexplained(v View, p string) bool {
	f, n, last := v.Disk[p], v.Newest[p], v.Last[p]
	if f.Kind != Regular || f.blocked(p) || f.Err != nil || f.Digest == n.Digest {
		return false
	}
	return last == nil || f.Digest != last.Digest && last.Digest != n.Digest
}

// histories gets those of all channels, for a path may have come by another
// one before. Each is checked against its manifest.
func histories(n Newest, history HistoryFunc) (all []bundle.History, err error) {
	for _, id := range sortedKeys(n.Manifests) {
		want := n.Manifests[id].History
		if want.IsZero() {
			continue
		}
		if history == nil {
			return nil, errHistory
		}
		h, err := history(id)
		if err == nil && h.Digest() != want {
			err = fmt.Errorf("channel %s: %w", id, bundle.ErrCorrupt)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errHistory, err)
		}
		all = append(all, h)
	}
	return all, nil
}

// originOf looks for mine among the former contents of one path: by its
// bytes, or for a notebook by its cells without outputs and counts.
func originOf(tree *dir, f bundle.File, mine Fact, all []bundle.History) Origin {
	var former bundle.History
	for _, h := range all {
		former = append(former, h.At(f.Path)...)
	}
	newest := bundle.Digest{}
	for _, was := range former {
		if was.Digest == mine.Digest {
			return Former
		}
		if was.Digest == f.Digest {
			newest = was.Form
		}
	}
	if !isNotebook(f.Path) || len(former) == 0 || mine.Stat.Size > maxMergeNotebook {
		return Theirs
	}
	data, err := readPath(tree, f.Path, maxMergeNotebook)
	if err != nil || bundle.Sum(data) != mine.Digest {
		return Theirs
	}
	form, err := notebook.Form(data)
	switch {
	case err != nil:
		return Theirs
	case form == newest:
		return NewestRun
	}
	for _, was := range former {
		if !was.Form.IsZero() && was.Form == form {
			return FormerRun
		}
	}
	return Theirs
}
