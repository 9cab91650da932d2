package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"satchel/bundle"
	"satchel/hook"
)

// memory is what the agent remembers from one pass to the next, in
// .satchel/.agent.json. Losing it loses an ETag and some words, no more: what
// was delivered is workdir's own record.
type memory struct {
	Format  int               `json:"format"`
	ETag    string            `json:"etag,omitempty"`
	Haves   string            `json:"haves,omitempty"` // what was held when the ETag was given
	Asked   time.Time         `json:"asked,omitzero"`  // last answer of the service, by its clock
	Offline time.Time         `json:"offline,omitzero"`
	Code    string            `json:"code,omitempty"` // why the last pass did not do all
	Error   string            `json:"error,omitempty"`
	Courses map[string]*known `json:"courses,omitempty"`
	Sent    *hook.Receipt     `json:"sent,omitempty"`   // the last receipt that arrived
	Unsent  []hook.Receipt    `json:"unsent,omitempty"` // those that did not
	News    []newsItem        `json:"news,omitempty"`   // newest first
	Page    bool              `json:"page,omitempty"`   // the page could not be written: it lacks some of them
	Glance  *glance           `json:"glance,omitempty"` // for the next login's first question

	was      bundle.Digest // sum of what is on disk
	wasAsked time.Time
	loose    bool // that may be lost by a power cut
}

// known is what is remembered of one course.
type known struct {
	Version   bundle.Version `json:"version"`          // the newest that was verified
	Checked   time.Time      `json:"checked,omitzero"` // its head's
	By        []string       `json:"by,omitempty"`     // the keys known here that signed that head
	Published time.Time      `json:"published,omitzero"`
	Updated   time.Time      `json:"updated,omitzero"`  // when this version came here
	Message   string         `json:"message,omitempty"` // the last of the instructor's that was shown
	Told      bundle.Digest  `json:"told,omitzero"`     // of the last sentences, so that they are news once
	Said      bundle.Version `json:"said,omitempty"`    // the last one that the student was told of; 0: not known
	Failed    []string       `json:"failed,omitempty"`
	Folder    string         `json:"folder,omitempty"` // the name that the course wants for its folder
	Language  string         `json:"language,omitempty"`
	Over      bool           `json:"over,omitempty"`   // the last answer no longer gave it out
	Paused    bool           `json:"paused,omitempty"` // the last answer said so
	Warned    time.Time      `json:"warned,omitzero"`  // the Checked of which the page already says that it is old
}

// unsaid says that a version came here and an agent that died told nobody.
func (m *known) unsaid(v bundle.Version) bool { return m.Said != 0 && m.Said < v }

// standing is said of a course of which nothing new came.
func (m *known) standing(w Words, course string, v bundle.Version) string {
	if m != nil && m.Paused {
		return w.PausedHere(course, v)
	}
	return w.UpToDate(v)
}

const (
	memoryFormat = 1
	memoryFile   = ".satchel/.agent.json" // no course has a name with a dot first
	maxMemory    = 1 << 20
	maxUnsent    = 20
)

// recall reads the memory below root. What cannot be read is forgotten; a
// newer one is an error, for it must be left as it is.
func recall(lg *slog.Logger, root *os.Root) (*memory, error) {
	m := &memory{Format: memoryFormat, Courses: map[string]*known{}}
	data, err := readSmall(root, memoryFile, maxMemory)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err == nil && bundle.FormatOf(data) > memoryFormat {
		return nil, fmt.Errorf("%s: %w", memoryFile, bundle.ErrFormat)
	}
	if err == nil {
		err = json.Unmarshal(data, m)
	}
	if err != nil || m.Format != memoryFormat {
		lg.Warn("memory is not readable; it is begun anew", "error", err)
		m = &memory{Format: memoryFormat}
	}
	if m.Courses == nil {
		m.Courses = map[string]*known{}
	}
	for name, c := range m.Courses {
		if c == nil || c.Version == 0 { // never verified: an answer alone named it
			delete(m.Courses, name)
		}
	}
	m.was, err = m.sum()
	m.wasAsked = m.Asked
	return m, err
}

// askedOften is how often the time of the last answer alone is written down:
// a watch asks each minute, and a home may be on somebody else's disk.
const askedOften = time.Hour

// keep writes the memory, if there is anything new in it. toDisk: also where
// the power is cut a moment later.
func (m *memory) keep(root *os.Root, toDisk bool) error {
	if len(m.Unsent) > maxUnsent {
		m.Unsent = m.Unsent[len(m.Unsent)-maxUnsent:]
	}
	sum, err := m.sum()
	if err != nil || sum == m.was && m.Asked.Sub(m.wasAsked) < askedOften && !(toDisk && m.loose) {
		return err
	}
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err = writeWhole(root, memoryFile, data, 0o600, toDisk); err == nil {
		m.was, m.wasAsked, m.loose = sum, m.Asked, !toDisk
	}
	return err
}

// sum is of all but the time of the last answer.
func (m *memory) sum() (bundle.Digest, error) {
	without := *m
	without.Asked = time.Time{}
	data, err := json.Marshal(&without)
	return bundle.Sum(data), err
}

// of gives what is remembered of a course, for changing.
func (m *memory) of(name string) *known {
	c := m.Courses[name]
	if c == nil {
		c = &known{}
		m.Courses[name] = c
	}
	return c
}

// readSmall reads a regular file below root, and nothing else.
func readSmall(root *os.Root, name string, limit int64) ([]byte, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%s: not a file of at most %d bytes", name, limit)
	}
	return root.ReadFile(name)
}

// writeWhole replaces a file below root by a whole new one.
func writeWhole(root *os.Root, name string, data []byte, mode fs.FileMode, toDisk bool) (err error) {
	temp := ".satchel/.agent.tmp"
	if err := root.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		if err := setAside(root, temp); err != nil {
			return err
		}
	}
	if s, err := root.Lstat(name); err == nil && s.IsDir() {
		if err := setAside(root, name); err != nil {
			return err
		}
	}
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if toDisk {
		err = errors.Join(err, f.Sync())
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = root.Rename(temp, name)
	}
	if err != nil {
		_ = root.Remove(temp)
	}
	return err
}

// setAside renames what is in our way, for it may be somebody's.
func setAside(root *os.Root, name string) (err error) {
	for n := 1; n <= 20; n++ {
		to := fmt.Sprintf("%s (my copy %d)", name, n)
		if _, err = root.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			return root.Rename(name, to)
		}
	}
	return errors.Join(err, fs.ErrExist)
}
