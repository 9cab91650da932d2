package bundle

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// HeadFormat is the format number of Head.
const HeadFormat = 1

// Head is the one thing that is signed: what a course is at one version. It
// holds no name, no commit and no commit message, only words meant for
// students.
type Head struct {
	Format    int         `json:"format"`
	Course    string      `json:"course"`
	Version   Version     `json:"version"`
	Channels  []ChannelAt `json:"channels"` // sorted by id
	Settings  Settings    `json:"settings"`
	Message   string      `json:"message,omitempty"` // the instructor's, one line
	Published time.Time   `json:"published"`
	Checked   time.Time   `json:"checked"` // last time the repository was seen unchanged; signed anew each day
}

// ChannelAt is one channel's manifest in a Head. The ID is random and says
// nothing about the audience.
type ChannelAt struct {
	ID       string `json:"id"`
	Manifest Digest `json:"manifest"`
}

// Settings are what the course wants of the student's side.
type Settings struct {
	Folder    string `json:"folder"`             // its name in the home, one component
	Language  string `json:"language,omitempty"` // of the sentences; empty: by LANG
	WhatIsNew bool   `json:"what_is_new"`        // whether "What is new.md" is kept
}

// WhatIsNewFile stands beside the courses' folders in a home.
const WhatIsNewFile = "What is new.md"

// Channel gives the manifest digest of the channel with this id.
func (h *Head) Channel(id string) (Digest, bool) {
	for _, c := range h.Channels {
		if c.ID == id {
			return c.Manifest, true
		}
	}
	return Digest{}, false
}

// Fingerprint is the SHA-256 over the manifest digests, cut to 16 bytes, in
// hexadecimal: with the version it says exactly which head an agent applied.
func (h *Head) Fingerprint() string {
	var b bytes.Buffer
	for _, c := range h.Channels {
		b.WriteString(c.ID)
		b.Write(c.Manifest[:])
	}
	return Sum(b.Bytes()).String()[:32]
}

// Check refuses a head that breaks a rule.
func (h *Head) Check() error {
	switch {
	case h.Format > HeadFormat:
		return ErrFormat
	case h.Format != HeadFormat:
		return fmt.Errorf("%w: head: format %d", ErrCorrupt, h.Format)
	case h.Course == "" || len(h.Course) > MaxName:
		return fmt.Errorf("%w: head: no course", ErrCorrupt)
	case h.Version < 1 || h.Version > MaxVersion:
		return fmt.Errorf("%w: head: version %d", ErrCorrupt, h.Version)
	case h.Published.IsZero() || h.Checked.IsZero():
		return fmt.Errorf("%w: head: no time", ErrCorrupt)
	case utf8.RuneCountInString(h.Message) > MaxMessage:
		return fmt.Errorf("%w: head: message longer than %d characters", ErrCorrupt, MaxMessage)
	case strings.ContainsFunc(h.Message, unicode.IsControl):
		return fmt.Errorf("%w: head: message with control characters", ErrCorrupt)
	}
	if err := CheckFolder(h.Settings.Folder); err != nil {
		return fmt.Errorf("%w: head: folder: %w", ErrCorrupt, err)
	}
	for i, c := range h.Channels {
		if !isID(c.ID) || c.Manifest.IsZero() || i > 0 && h.Channels[i-1].ID >= c.ID {
			return fmt.Errorf("%w: head: channel %.40q, or their order", ErrCorrupt, c.ID)
		}
	}
	return nil
}

// NewID is a random id of a channel: 16 lower-case letters and digits that say
// nothing.
func NewID() string { return strings.ToLower(rand.Text()[:16]) }

// isID says whether s is 1 to 32 lower-case letters and digits.
func isID(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 32
}

// CheckFolder refuses a name that cannot be a course's folder in a home.
func CheckFolder(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	switch {
	case name == WhatIsNewFile:
		return errors.New("that is the name of a file that stands beside it")
	case name[0] == '.':
		return errors.New("it begins with a dot")
	case !utf8.ValidString(name):
		return errors.New("it is not valid UTF-8")
	case len(name) > 200:
		return errors.New("it is longer than 200 bytes")
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f || r == '\\' {
			return fmt.Errorf("it holds %q", r)
		}
	}
	return nil
}

// DecodeStrict reads one JSON value of at most limit bytes, without unknown
// fields and with nothing after it: for what is written back, where an unknown
// field would be lost.
func DecodeStrict(data []byte, limit int, v any) error {
	return decode(data, limit, v, (*json.Decoder).DisallowUnknownFields)
}

// DecodeLenient passes over unknown fields: for what a newer Satchel may have
// written with more in it. What an old reader must not miss has a new format
// number.
func DecodeLenient(data []byte, limit int, v any) error {
	return decode(data, limit, v, func(*json.Decoder) {})
}

func decode(data []byte, limit int, v any, how func(*json.Decoder)) error {
	if len(data) > limit {
		return fmt.Errorf("%w: %d bytes; the limit is %d", ErrCorrupt, len(data), limit)
	}
	if err := CheckParts(data); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	how(d)
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("%w: more after the end", ErrCorrupt)
	}
	return nil
}

// maxParts bounds how many values JSON may hold. Of what is large and honest,
// each takes 40 bytes or more, so that 64 MB hold 1.6 million.
const maxParts = 2 << 20

// CheckParts is ErrCorrupt for JSON of so many values that they would take far
// more memory than their text: "{}" makes a struct.
func CheckParts(data []byte) error {
	n := 0
	for _, mark := range []string{"{", "[", ","} {
		n += bytes.Count(data, []byte(mark))
	}
	if n > maxParts {
		return fmt.Errorf("%w: %d values; the limit is %d", ErrCorrupt, n, maxParts)
	}
	return nil
}

// FormatOf reads only the "format" number of a JSON value, so that a newer
// one can be told from a damaged one before its fields are looked at.
func FormatOf(data []byte) int {
	var v struct {
		Format int `json:"format"`
	}
	_ = json.Unmarshal(data, &v)
	return v.Format
}
