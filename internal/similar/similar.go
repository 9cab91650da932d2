// Package similar finds out which file is another one under a new name, a
// little changed: by their lines, as many times as each occurs, in any order.
// It reads bytes and gives a guess. What it costs is the lines of each file,
// once for each file of the other side: whoever calls it bounds both.
package similar

import (
	"bytes"
	"cmp"
	"context"
	"hash/maphash"
	"path"
	"slices"
	"unicode/utf8"

	"satchel/notebook"
)

// maxText is the largest text that is compared, in bytes; for a notebook it is
// notebook.MaxSize.
const maxText = 5 << 20

// Sketch is a file for comparing: the sums of its lines, sorted. Blank lines
// and line endings do not count.
type Sketch struct {
	Path  string
	lines []uint64
}

// Len is how many lines there are.
func (s *Sketch) Len() int { return len(s.lines) }

// Fits says whether a file of that many bytes is compared at all.
func Fits(name string, size int64) bool {
	if IsNotebook(name) {
		return size > 0 && size <= notebook.MaxSize
	}
	return size > 0 && size <= maxText
}

// IsNotebook says whether a file's lines are those of its cells.
func IsNotebook(name string) bool { return path.Ext(name) == ".ipynb" }

var seed = maphash.MakeSeed()

// Of makes the sketch of a file: of a notebook the lines of its cells' sources
// (not of what they put out), of any other text its lines. false: it is
// neither.
func Of(name string, data []byte) (Sketch, bool) {
	s := Sketch{Path: name}
	switch {
	case !Fits(name, int64(len(data))):
		return s, false
	case IsNotebook(name):
		cells, err := notebook.Look(data, nil)
		if err != nil {
			return s, false
		}
		for _, c := range cells {
			s.add([]byte(c.Source))
		}
	case bytes.IndexByte(data, 0) >= 0 || !utf8.Valid(data):
		return s, false
	default:
		s.add(data)
	}
	slices.Sort(s.lines)
	return s, true
}

func (s *Sketch) add(text []byte) {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimRight(line, "\r\n"); len(bytes.TrimSpace(line)) > 0 {
			s.lines = append(s.lines, maphash.Bytes(seed, line))
		}
	}
}

// Matcher pairs files. Compared counts the lines that it looked at.
type Matcher struct{ Compared int }

// pair is two files that are alike: how many lines are the same, of how many
// that the longer one has.
type pair struct {
	old, now     *Sketch
	common, most int
}

// Match gives for files of now the one of old that each was: one with the same
// extension, where at least half of the lines of the longer one are the same.
// The most alike come first, then those with the same name in another folder,
// then the order of paths; each file is used once.
func (m *Matcher) Match(ctx context.Context, old, now []Sketch) map[string]string {
	var found []pair
	for i := range old {
		if ctx.Err() != nil {
			return nil
		}
		for j := range now {
			if p, ok := m.compare(&old[i], &now[j]); ok {
				found = append(found, p)
			}
		}
	}
	slices.SortFunc(found, func(a, b pair) int {
		return cmp.Or(cmp.Compare(b.common*a.most, a.common*b.most), a.otherName()-b.otherName(),
			cmp.Compare(a.old.Path, b.old.Path), cmp.Compare(a.now.Path, b.now.Path))
	})
	was, used := map[string]string{}, map[string]bool{}
	for _, p := range found {
		if _, paired := was[p.now.Path]; !paired && !used[p.old.Path] {
			was[p.now.Path], used[p.old.Path] = p.old.Path, true
		}
	}
	return was
}

// compare is false where two files are not alike, which their lengths alone
// may say.
func (m *Matcher) compare(old, now *Sketch) (pair, bool) {
	a, b := old.lines, now.lines
	p := pair{old: old, now: now, most: max(len(a), len(b))}
	if path.Ext(old.Path) != path.Ext(now.Path) || 2*min(len(a), len(b)) < p.most {
		return p, false
	}
	for len(a) > 0 && len(b) > 0 {
		m.Compared++
		switch {
		case a[0] < b[0]:
			a = a[1:]
		case a[0] > b[0]:
			b = b[1:]
		default:
			a, b = a[1:], b[1:]
			p.common++
		}
	}
	return p, p.common > 0 && 2*p.common >= p.most
}

// otherName is 0 where only the folder is another.
func (p pair) otherName() int {
	if path.Base(p.old.Path) == path.Base(p.now.Path) {
		return 0
	}
	return 1
}
