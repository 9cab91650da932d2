// Package bundle owns the format in which course content is published, and
// the words everybody uses for it: Version, Digest, File, Manifest, History,
// Head, Bundle.
//
// It reads content from an fs.FS and writes bytes; it knows nothing of git,
// of stores, of servers, or of a student's folder.
//
// # What is trusted
//
// Only the Head is signed. It names, for each channel, the digest of that
// channel's Manifest; a Manifest names each file's digest, and the digest of
// the channel's History. Everything else (bundles, frames, changes) is checked
// against those digests by whoever uses it, so it needs no signature.
//
// # Encodings
//
// Manifest and History have one canonical text each (see Manifest.Encode),
// because their digest must be the same wherever it is computed. Head, Index
// and Changes are JSON, because nobody computes a digest over a re-encoding of
// them. A bundle is one immutable object:
//
//	"satchel\x01"                      8 bytes, magic and format number
//	length of the index, big endian    4 bytes
//	length of the former, big endian   4 bytes
//	index                              zstd of JSON (Index)
//	former                             zstd of the canonical text of a History:
//	                                   what this version adds to it, all of it
//	                                   in a full bundle
//	frames                             each independent, or on one former
//	                                   content; Index says where
//
// All formats carry a number; a reader refuses one that it does not know with
// ErrFormat.
package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// Written limits (SECURITY.md, promise 10). Past one of them is a refusal.
const (
	MaxFiles        = 50_000
	MaxFileSize     = 1 << 30
	MaxBundleSize   = 4 << 30
	MaxPath         = 1024
	MaxDepth        = 64
	MaxName         = 255
	MaxManifestSize = 32 << 20
	MaxHistorySize  = 256 << 20
	MaxIndexSize    = 64 << 20
	MaxHeadSize     = 1 << 20
	MaxMessage      = 2000 // characters of the instructor's message
)

// ErrFormat means: made by a newer Satchel than this one. Nothing was read
// further, nothing was changed.
var ErrFormat = errors.New("made by a newer Satchel than this one; update this program")

// ErrCorrupt means: the bytes are not what they claim to be.
var ErrCorrupt = errors.New("corrupt")

// Version numbers the publishes of one course. It only grows; 0 is "nothing".
type Version int64

// MaxVersion is the largest Version: 2^53, so that JSON numbers keep it.
const MaxVersion Version = 1 << 53

// Digest is a SHA-256. Its text form is 64 lower-case hexadecimal digits.
type Digest [sha256.Size]byte

// Sum is the Digest of data.
func Sum(data []byte) Digest { return sha256.Sum256(data) }

// SumReader is the Digest and length in bytes of all that r gives.
func SumReader(r io.Reader) (Digest, int64, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	return Digest(h.Sum(nil)), n, err
}

// ParseDigest reads the text form.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if len(s) != 2*len(d) {
		return d, fmt.Errorf("%w: digest %.80q is not 64 hexadecimal digits", ErrCorrupt, s)
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return Digest{}, fmt.Errorf("%w: digest %q is not 64 lower-case hexadecimal digits", ErrCorrupt, s)
		}
	}
	_, err := hex.Decode(d[:], []byte(s))
	return d, err
}

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero says whether d was never set.
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText gives the text form; the zero Digest is empty.
func (d Digest) MarshalText() ([]byte, error) {
	if d.IsZero() {
		return nil, nil
	}
	return []byte(d.String()), nil
}

// UnmarshalText reads the text form; empty is the zero Digest.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = Digest{}
		return nil
	}
	v, err := ParseDigest(string(text))
	*d = v
	return err
}

// Policy is what the instructor wants done where a student changed a file.
type Policy string

// The policies; docs/work-folder.md says what each does.
const (
	Merge    Policy = "merge"
	Once     Policy = "once"
	Replace  Policy = "replace"
	ReadOnly Policy = "readonly"
)

// word says whether p could be a policy, of this Satchel or of a later one.
// A reader takes one that it does not know as Merge.
func (p Policy) word() bool {
	for _, c := range []byte(p) {
		if c < 'a' || c > 'z' {
			return false
		}
	}
	return len(p) > 0 && len(p) <= 16
}

// Known says whether p is one of the policies; a publisher refuses others.
func (p Policy) Known() bool {
	switch p {
	case Merge, Once, Replace, ReadOnly:
		return true
	}
	return false
}

// File is one delivered file. Mode is 0o644 or 0o755; Size is in bytes.
type File struct {
	Path   string `json:"path"`
	Mode   uint32 `json:"mode"`
	Size   int64  `json:"size"`
	Digest Digest `json:"digest"`
	Policy Policy `json:"policy"`
}

// Pair is one content at one path, as withdrawals name it.
type Pair struct {
	Path   string `json:"path"`
	Digest Digest `json:"digest"`
}

// check refuses a File that no manifest may hold.
func (f File) check() error {
	if err := CheckPath(f.Path); err != nil {
		return err
	}
	switch {
	case f.Mode != 0o644 && f.Mode != 0o755:
		return fmt.Errorf("%q: mode %o is neither 644 nor 755", f.Path, f.Mode)
	case f.Size < 0 || f.Size > MaxFileSize:
		return fmt.Errorf("%q: %d bytes; the limit is %d", f.Path, f.Size, int64(MaxFileSize))
	case f.Digest.IsZero():
		return fmt.Errorf("%q: no digest", f.Path)
	case !f.Policy.word():
		return fmt.Errorf("%q: %.40q is no policy", f.Path, f.Policy)
	}
	return nil
}
