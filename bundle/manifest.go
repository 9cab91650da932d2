package bundle

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
)

// Manifest is all that one channel delivers at one version. Files are sorted
// by path (bytewise), Withdrawn by path and digest.
type Manifest struct {
	Files     []File
	Withdrawn []Pair
	History   Digest // of the channel's History up to and including this version
}

const (
	manifestMagic = "satchel-manifest "
	historyMagic  = "satchel-history "
	textFormat    = 1
)

// Encode gives the canonical text, whose SHA-256 is the manifest's digest:
//
//	satchel-manifest 1
//	history HEX
//	file MODE SIZE HEX POLICY LENGTH:PATH
//	withdrawn HEX LENGTH:PATH
//
// one line each, files then withdrawn pairs, MODE octal, LENGTH the path's
// bytes (so that any name is unambiguous).
func (m *Manifest) Encode() []byte {
	b := make([]byte, 0, 128+m.textSize())
	b = fmt.Appendf(b, "%s%d\nhistory %s\n", manifestMagic, textFormat, m.History)
	for i := range m.Files { // of thousands, several times in a login: without fmt
		f := &m.Files[i]
		b = append(b, "file "...)
		b = strconv.AppendUint(b, uint64(f.Mode), 8)
		b = append(b, ' ')
		b = strconv.AppendInt(b, f.Size, 10)
		b = append(b, ' ')
		b = hex.AppendEncode(b, f.Digest[:])
		b = append(b, ' ')
		b = append(b, f.Policy...)
		b = appendPath(append(b, ' '), f.Path)
	}
	for _, w := range m.Withdrawn {
		b = append(b, "withdrawn "...)
		b = hex.AppendEncode(b, w.Digest[:])
		b = appendPath(append(b, ' '), w.Path)
	}
	return b
}

// appendPath ends a line with a path of any bytes.
func appendPath(b []byte, path string) []byte {
	b = strconv.AppendInt(b, int64(len(path)), 10)
	b = append(b, ':')
	b = append(b, path...)
	return append(b, '\n')
}

// Digest is the SHA-256 of the canonical text.
func (m *Manifest) Digest() Digest { return Sum(m.Encode()) }

// Sort brings m into canonical order.
func (m *Manifest) Sort() {
	slices.SortFunc(m.Files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	slices.SortFunc(m.Withdrawn, comparePairs)
}

func comparePairs(a, b Pair) int {
	if c := cmp.Compare(a.Path, b.Path); c != 0 {
		return c
	}
	return bytes.Compare(a.Digest[:], b.Digest[:])
}

// Find gives the file at path.
func (m *Manifest) Find(path string) (File, bool) {
	i, ok := slices.BinarySearchFunc(m.Files, path, func(f File, p string) int { return cmp.Compare(f.Path, p) })
	if !ok {
		return File{}, false
	}
	return m.Files[i], true
}

// Size is the sum of all files, in bytes.
func (m *Manifest) Size() (n int64) {
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

// Check refuses a manifest that breaks a rule or a limit: an unsafe or doubled
// path, wrong order, too many files.
func (m *Manifest) Check() error {
	if len(m.Files) > MaxFiles {
		return fmt.Errorf("%d files; the limit is %d", len(m.Files), MaxFiles)
	}
	paths := make([]string, len(m.Files))
	for i, f := range m.Files {
		if err := f.check(); err != nil {
			return err
		}
		if i > 0 && paths[i-1] >= f.Path {
			return fmt.Errorf("%q: out of order or doubled", f.Path)
		}
		paths[i] = f.Path
	}
	if bad := CheckTree(paths); len(bad) > 0 {
		return bad[0]
	}
	if n := m.textSize(); n > MaxManifestSize {
		return fmt.Errorf("manifest of %d bytes; the limit is %d", n, MaxManifestSize)
	}
	return m.checkWithdrawn()
}

// textSize is not less than the length of the canonical text.
func (m *Manifest) textSize() (n int) {
	n = 200
	for _, f := range m.Files {
		n += 120 + len(f.Path)
	}
	for _, w := range m.Withdrawn {
		n += 90 + len(w.Path)
	}
	return n
}

func (m *Manifest) checkWithdrawn() error {
	for i, w := range m.Withdrawn {
		if err := CheckPath(w.Path); err != nil {
			return err
		}
		if w.Digest.IsZero() {
			return fmt.Errorf("%q: a withdrawal without a digest", w.Path)
		}
		if i > 0 && comparePairs(m.Withdrawn[i-1], w) >= 0 {
			return fmt.Errorf("%q: withdrawals out of order or doubled", w.Path)
		}
		if f, ok := m.Find(w.Path); ok && f.Digest == w.Digest {
			return fmt.Errorf("%q: delivered and withdrawn", w.Path)
		}
	}
	return nil
}

// DecodeManifest reads the canonical text and checks it (see Check). It gives
// ErrFormat for a newer format and ErrCorrupt for anything else that Encode
// would not have written.
func DecodeManifest(data []byte) (*Manifest, error) {
	if len(data) > MaxManifestSize {
		return nil, fmt.Errorf("manifest of %d bytes; the limit is %d", len(data), MaxManifestSize)
	}
	s := &scanner{rest: data}
	if err := s.magic(manifestMagic); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	m := &Manifest{}
	s.literal("history ")
	m.History = s.digest('\n')
	for s.more("file ") {
		m.Files = append(m.Files, File{
			Mode: uint32(s.number(8, ' ')), Size: s.number(10, ' '), Digest: s.digest(' '),
			Policy: Policy(s.word(' ')), Path: s.path(),
		})
	}
	for s.more("withdrawn ") {
		m.Withdrawn = append(m.Withdrawn, Pair{Digest: s.digest(' '), Path: s.path()})
	}
	if err := s.end(); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("%w: manifest: %w", ErrCorrupt, err)
	}
	return m, nil
}

// scanner reads the canonical texts. The first mistake sticks, and end tells.
type scanner struct {
	rest []byte
	bad  error
}

func (s *scanner) fail(what string) {
	if s.bad == nil {
		s.bad = fmt.Errorf("%w: %s expected at %.40q", ErrCorrupt, what, s.rest)
	}
	s.rest = nil
}

func (s *scanner) magic(m string) error {
	s.literal(m)
	n := s.number(10, '\n')
	switch {
	case s.bad == nil && n > textFormat:
		return ErrFormat
	case s.bad == nil && n != textFormat:
		s.fail("a format number")
	}
	return s.bad
}

func (s *scanner) literal(l string) {
	rest, ok := bytes.CutPrefix(s.rest, []byte(l))
	if !ok {
		s.fail(strconv.Quote(l))
		return
	}
	s.rest = rest
}

// more says whether another line of this kind follows, and steps past its tag.
func (s *scanner) more(tag string) bool {
	rest, ok := bytes.CutPrefix(s.rest, []byte(tag))
	if ok {
		s.rest = rest
	}
	return ok
}

func (s *scanner) word(end byte) string {
	i := bytes.IndexByte(s.rest, end)
	if i < 0 || i > 80 {
		s.fail("a word")
		return ""
	}
	w := string(s.rest[:i])
	s.rest = s.rest[i+1:]
	return w
}

func (s *scanner) number(base int, end byte) int64 {
	w := s.word(end)
	n, err := strconv.ParseInt(w, base, 64)
	if err != nil || w != strconv.FormatInt(n, base) || n < 0 {
		s.fail("a number")
		return 0
	}
	return n
}

func (s *scanner) digest(end byte) Digest {
	w := s.word(end)
	d, err := ParseDigest(w)
	if err != nil {
		s.fail("a digest")
	}
	return d
}

func (s *scanner) path() string {
	n := s.number(10, ':')
	if n > MaxPath || int64(len(s.rest)) < n+1 || s.rest[n] != '\n' {
		s.fail("a path")
		return ""
	}
	p := string(s.rest[:n])
	s.rest = s.rest[n+1:]
	return p
}

func (s *scanner) end() error {
	if s.bad == nil && len(s.rest) > 0 {
		s.fail("the end")
	}
	return s.bad
}
