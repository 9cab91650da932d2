package bundle

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
)

// Former is one content that a path had at some version that this channel's
// audience could see. Form is set for notebooks: the digest of the cells
// without outputs, counts and layout (notebook.Form).
type Former struct {
	Path   string `json:"path"`
	Digest Digest `json:"digest"`
	Form   Digest `json:"form,omitzero"`
}

// History is every Former of a channel, the current version's included,
// sorted by path and digest, without doubles.
type History []Former

func compareFormers(a, b Former) int {
	if c := cmp.Compare(a.Path, b.Path); c != 0 {
		return c
	}
	return bytes.Compare(a.Digest[:], b.Digest[:])
}

// Add gives h with more in it, and those of more that h did not have yet.
// Neither argument is changed.
func (h History) Add(more ...Former) (sum, added History) {
	for _, f := range more {
		if _, ok := slices.BinarySearchFunc(h, f, compareFormers); !ok {
			added = append(added, f)
		}
	}
	slices.SortFunc(added, compareFormers)
	added = slices.CompactFunc(added, func(a, b Former) bool { return compareFormers(a, b) == 0 })
	sum = make(History, 0, len(h)+len(added))
	i := 0
	for _, f := range added {
		for i < len(h) && compareFormers(h[i], f) < 0 {
			sum = append(sum, h[i])
			i++
		}
		sum = append(sum, f)
	}
	return append(sum, h[i:]...), added
}

// At gives what path has been.
func (h History) At(path string) History {
	i, _ := slices.BinarySearchFunc(h, path, func(f Former, p string) int { return cmp.Compare(f.Path, p) })
	j := i
	for j < len(h) && h[j].Path == path {
		j++
	}
	return h[i:j]
}

// Encode gives the canonical text, whose SHA-256 a Manifest names:
//
//	satchel-history 1
//	was DIGEST FORM LENGTH:PATH
//
// with FORM "-" where there is none.
func (h History) Encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%d\n", historyMagic, textFormat)
	for _, f := range h {
		form := "-"
		if !f.Form.IsZero() {
			form = f.Form.String()
		}
		fmt.Fprintf(&b, "was %s %s %d:%s\n", f.Digest, form, len(f.Path), f.Path)
	}
	return b.Bytes()
}

// Digest is the SHA-256 of the canonical text.
func (h History) Digest() Digest { return Sum(h.Encode()) }

// DecodeHistory reads the canonical text; errors as DecodeManifest.
func DecodeHistory(data []byte) (History, error) {
	if len(data) > MaxHistorySize {
		return nil, fmt.Errorf("history of %d bytes; the limit is %d", len(data), MaxHistorySize)
	}
	s := &scanner{rest: data}
	if err := s.magic(historyMagic); err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	var h History
	for s.more("was ") {
		f := Former{Digest: s.digest(' ')}
		if !s.more("- ") {
			if f.Form = s.digest(' '); f.Form.IsZero() {
				s.fail("a form, or -")
			}
		}
		f.Path = s.path()
		h = append(h, f)
	}
	if err := s.end(); err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	for i, f := range h {
		if err := CheckPath(f.Path); err != nil {
			return nil, fmt.Errorf("%w: history: %w", ErrCorrupt, err)
		}
		if f.Digest.IsZero() {
			return nil, fmt.Errorf("%w: history: %q without a digest", ErrCorrupt, f.Path)
		}
		if i > 0 && compareFormers(h[i-1], f) >= 0 {
			return nil, fmt.Errorf("%w: history: %q out of order or doubled", ErrCorrupt, f.Path)
		}
	}
	return h, nil
}
