package workdir

import (
	"context"
	"strings"

	"satchel/bundle"
	"satchel/notebook"
)

// stale finds the files over which an editor that had been open before a merge
// saved its old text: what lies there comes from the mine of before, and holds
// nothing of what the merge brought. It reads only files that were merged
// within the last days and changed since.
func (c *Course) stale(ctx context.Context, tree *dir, facts map[string]Fact) map[string]Merging {
	out := map[string]Merging{}
	if tree == nil {
		return out
	}
	base := c.openBase()
	if base == nil {
		return out
	}
	defer base.close()
	for _, p := range sortedKeys(facts) {
		f, e := facts[p], c.rec.files[p]
		if e == nil || len(e.Merges) == 0 || f.Kind != Regular || f.blocked(p) || f.Err != nil || f.Digest == e.Digest {
			continue
		}
		if ctx.Err() != nil {
			return out
		}
		if e.mergeTo(f.Digest) != nil || f.Stat.Size > maxMergeNotebook {
			continue
		}
		for _, m := range e.Merges {
			if c.home.now.Sub(m.Time).Abs() <= mergesFor && c.savedOver(tree, base, p, m.Mine, e.Merges[len(e.Merges)-1].Result) {
				out[p] = m
				break
			}
		}
	}
	return out
}

// savedOver says that what lies at p is what mine was before a merge, and has
// nothing of what came by that merge and by those since.
func (c *Course) savedOver(tree *dir, base *bases, p string, mine, merged bundle.Digest) bool {
	var texts [3][]string
	for i, sum := range []bundle.Digest{mine, merged, {}} {
		data, err := base.read(sum)
		if i == 2 {
			data, err = readPath(tree, p, maxMergeNotebook)
		}
		if err != nil {
			return false
		}
		texts[i] = written(p, data)
	}
	return overwritten(texts[0], texts[1], texts[2])
}

// written gives the lines that a person wrote in a file: of a notebook those
// of its cells.
func written(p string, data []byte) (out []string) {
	if !isNotebook(p) {
		return strings.Split(string(data), "\n")
	}
	cells, err := notebook.Look(data, nil)
	if err != nil {
		return nil
	}
	for _, c := range cells {
		out = append(out, strings.Split(c.Source, "\n")...)
	}
	return out
}

// overwritten says that now is what mine became without the merge: nothing
// that the merge added is in it, all that the merge took away is there again,
// and most of it is mine's.
func overwritten(mine, merged, now []string) bool {
	was, is, left := count(mine), count(merged), count(now)
	changed, shared := false, 0
	for line, n := range is {
		if n > was[line] {
			if changed = true; left[line] > was[line] {
				return false
			}
		}
	}
	for line, n := range was {
		if n > is[line] {
			if changed = true; left[line] < n {
				return false
			}
		}
		shared += min(n, left[line])
	}
	return changed && 2*shared >= len(mine)
}

func count(lines []string) map[string]int {
	out := map[string]int{}
	for _, l := range lines {
		out[strings.TrimSuffix(l, "\r")]++
	}
	return out
}
