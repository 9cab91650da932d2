package bundle

import (
	"cmp"
	"fmt"
	"slices"
)

// Changes leads from one manifest to another. Withdrawn and History stand
// whole, for they are the result's, not a difference.
type Changes struct {
	Set       []Change `json:"set,omitempty"`
	Removed   []string `json:"removed,omitempty"`
	Withdrawn []Pair   `json:"withdrawn,omitempty"`
	History   Digest   `json:"history,omitzero"`
}

// Change is one file that is new or differs. RenamedFrom is set for a new path
// only: it names the path that went away with the same content, or with half
// of the same lines, each such path once. It is a hint for the student's
// folder, not part of the manifest.
type Change struct {
	File
	RenamedFrom string `json:"renamed_from,omitempty"`
}

// Diff gives the changes from one manifest to another (from may be nil, for
// nothing). Renames of equal content are marked, of several files with one
// content in the order of their paths; Hint marks others.
func Diff(from, to *Manifest) Changes {
	if from == nil {
		from = &Manifest{}
	}
	c := Changes{Withdrawn: to.Withdrawn, History: to.History}
	gone := map[Digest][]string{}
	for _, f := range from.Files {
		if _, ok := to.Find(f.Path); !ok {
			c.Removed = append(c.Removed, f.Path)
			gone[f.Digest] = append(gone[f.Digest], f.Path)
		}
	}
	for _, f := range to.Files {
		old, ok := from.Find(f.Path)
		if ok && old == f {
			continue
		}
		ch := Change{File: f}
		if was := gone[f.Digest]; len(was) > 0 && !ok {
			ch.RenamedFrom, gone[f.Digest] = was[0], was[1:]
		}
		c.Set = append(c.Set, ch)
	}
	return c
}

// Apply gives the manifest to which c leads from m (nil: from nothing). The
// result is checked (Manifest.Check); that it is the right one, only its
// digest can tell.
func (m *Manifest) Apply(c Changes) (*Manifest, error) {
	gone := make(map[string]bool, len(c.Removed)+len(c.Set))
	for _, p := range c.Removed {
		gone[p] = true
	}
	for _, ch := range c.Set {
		gone[ch.Path] = true
	}
	out := &Manifest{Withdrawn: slices.Clone(c.Withdrawn), History: c.History}
	if m != nil {
		for _, f := range m.Files {
			if !gone[f.Path] {
				out.Files = append(out.Files, f)
			}
		}
	}
	for _, ch := range c.Set {
		out.Files = append(out.Files, ch.File)
	}
	slices.SortFunc(out.Files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	if err := out.Check(); err != nil {
		return nil, fmt.Errorf("%w: changes: %w", ErrCorrupt, err)
	}
	return out, nil
}
