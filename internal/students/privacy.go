package students

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"satchel/bundle"
)

// The modes of Privacy.
const (
	Names      = "names"      // records under the hub's user names
	Pseudonyms = "pseudonyms" // records under a keyed digest of the name
	Counts     = "counts"     // no records; numbers per day, course and version
)

// DefaultKeep is how long a record stays after its last line.
const DefaultKeep = 180 * 24 * time.Hour

// MinKey is the shortest Privacy.Key for pseudonyms, in bytes.
const MinKey = 32

// Privacy says what is kept about students.
//
// A pseudonym is "p-" and the first 32 hexadecimal digits of HMAC-SHA256 with
// Key over the length-prefixed name; a server's name, which its owner chose,
// becomes "s-" and as many of one over user and server. Whoever has Key and a
// name can compute it; nobody can compute the name. Another Key makes other
// pseudonyms: the records under the old ones could no longer be found by name,
// so the next Fold removes them, as after a change of Mode.
type Privacy struct {
	Mode string        // "" is names
	Keep time.Duration // 0 is DefaultKeep
	Key  []byte        // needed for pseudonyms; used for tombstones where it is there
}

// Check refuses an unknown mode, and pseudonyms without a key.
func (p Privacy) Check() error {
	switch p.mode() {
	case Names, Counts:
		return nil
	case Pseudonyms:
		if len(p.Key) < MinKey {
			return fmt.Errorf("privacy: pseudonyms need a key of at least %d bytes; set secrets.pseudonyms", MinKey)
		}
		return nil
	}
	return fmt.Errorf("privacy: students: %.40q is none of names, pseudonyms, counts", p.Mode)
}

// String hides the key.
func (p Privacy) String() string { return p.mode() }

// GoString hides the key.
func (p Privacy) GoString() string { return p.mode() }

func (p Privacy) mode() string {
	if p.Mode == "" {
		return Names
	}
	return p.Mode
}

func (p Privacy) cutoff(now time.Time) time.Time {
	if p.Keep <= 0 {
		return now.Add(-DefaultKeep)
	}
	return now.Add(-p.Keep)
}

// scheme says how the students in an object are named. Key tells one
// pseudonyms key from another and says nothing about it.
type scheme struct {
	Mode string `json:"mode"`
	Key  string `json:"key,omitempty"`
}

func (s scheme) check() error {
	switch {
	case s.Mode == Names && s.Key == "", s.Mode == Counts && s.Key == "", s.Mode == Pseudonyms && s.Key != "":
		return nil
	}
	return fmt.Errorf("%w: mode %.40q", bundle.ErrCorrupt, s.Mode)
}

func (p Privacy) scheme() scheme {
	s := scheme{Mode: p.mode()}
	if s.Mode == Pseudonyms {
		s.Key = p.mac("satchel students: key id", 16)
	}
	return s
}

// mac is the first digits of HMAC-SHA256 over tag and parts, each with its
// length before it: no two lists of parts have the same input.
func (p Privacy) mac(tag string, digits int, parts ...string) string {
	h := hmac.New(sha256.New, p.Key)
	writeParts(h, tag, parts...)
	return hex.EncodeToString(h.Sum(nil))[:digits]
}

func writeParts(h hash.Hash, tag string, parts ...string) {
	for _, s := range append([]string{tag}, parts...) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
		h.Write([]byte(s))
	}
}

// Pseudonym is what user is called in mode pseudonyms.
func (p Privacy) Pseudonym(user string) string {
	return "p-" + p.mac("satchel students: user", 32, user)
}

func (p Privacy) serverPseudonym(user, server string) string {
	if server == "" {
		return ""
	}
	return "s-" + p.mac("satchel students: server", 32, user, server)
}

// name is what user is called under s; false where this Privacy cannot know.
func (p Privacy) name(s scheme, user string) (string, bool) {
	switch s.Mode {
	case Names:
		return user, true
	case Pseudonyms:
		q := Privacy{Mode: Pseudonyms, Key: p.Key}
		if len(p.Key) >= MinKey && q.scheme() == s {
			return p.Pseudonym(user), true
		}
	}
	return "", false
}

// convert brings a line that was written under another scheme under p's, where
// that can be done: names to pseudonyms, anything to counts.
func (p Privacy) convert(l Line, from scheme) (Line, bool) {
	switch {
	case from == p.scheme():
		return l, true
	case p.mode() == Counts:
		return l.anonymous(), true
	case p.mode() == Pseudonyms && from.Mode == Names:
		l.User, l.Server = p.Pseudonym(l.User), p.serverPseudonym(l.User, l.Server)
		return l, true
	}
	return Line{}, false
}

// anonymous is what mode counts keeps of a line.
func (l Line) anonymous() Line {
	return Line{Kind: l.Kind, Time: l.Time.Truncate(time.Hour), Course: l.Course, Version: l.Version}
}

var errIdentity = errors.New("no usable user or server name")

// clean refuses a line that no record can be made of and cuts the rest to the
// limits. A name is never cut or mended, for two names could become one.
func (l Line) clean() (Line, error) {
	for _, s := range []string{l.User, l.Server} {
		if len(s) > MaxIdentity || !utf8.ValidString(s) {
			return l, errIdentity
		}
	}
	switch l.Kind {
	case KindLogin:
		l.Course, l.Version, l.Keys = "", 0, nil
	case KindRequest:
		l.Course, l.Version = "", 0
	case KindReceipt:
		if l.Course == "" {
			return l, errors.New("a receipt without a course")
		}
	default:
		return l, fmt.Errorf("unknown kind %.40q", l.Kind)
	}
	if y := l.Time.Year(); y < 2000 || y > 9999 {
		return l, errors.New("no time")
	}
	if l.Version < 0 || l.Version > bundle.MaxVersion || l.Login < 0 {
		return l, errors.New("version or login out of range")
	}
	l.Time = l.Time.UTC().Truncate(time.Millisecond)
	for _, s := range []*string{&l.Image, &l.Course, &l.Agent, &l.Code} {
		*s = cutWord(*s)
	}
	l.Keys = cutKeys(l.Keys)
	for _, n := range []*int{&l.Added, &l.Changed, &l.Removed, &l.Waiting, &l.Cut} {
		*n = min(max(*n, 0), bundle.MaxFiles)
	}
	for _, list := range []*[]string{&l.Merged, &l.Kept, &l.Failed} {
		kept := cutPaths(*list)
		l.Cut = min(l.Cut+len(*list)-len(kept), bundle.MaxFiles)
		*list = kept
	}
	return l, nil
}

func cutWord(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= MaxWord {
		return s
	}
	return strings.ToValidUTF8(s[:MaxWord], "")
}

// cutKeys sorts key ids; anything that is none is dropped.
func cutKeys(list []string) []string {
	var out []string
	for _, k := range list {
		if len(out) < MaxKeys && isHex(k, 16) {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// cutPaths keeps the first paths, as many as the limits allow.
func cutPaths(list []string) []string {
	var out []string
	sum := 0
	for _, p := range list {
		sum += len(p)
		if len(out) == MaxPaths || sum > MaxPathSum {
			break
		}
		if utf8.ValidString(p) {
			out = append(out, p)
		}
	}
	return out
}
