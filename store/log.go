package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"satchel/bundle"

	"golang.org/x/sync/errgroup"
)

// Written limits of an Entry.
const (
	MaxEntry = 4 << 20 // bytes of its JSON
	MaxNotes = 1000    // more are cut, and counted in a last note
	maxNote  = 2000    // bytes of one
)

// entryTime is the form of the time in an entry's key: keys sort by it.
const entryTime = "20060102T150405.000Z"

// WriteEntry appends to a course's log. id must be unique and a plain name
// (CheckKey); the same id and time twice is one entry. Notes beyond MaxNotes
// are cut: a repository with fifty thousand findings must not lose its entry.
func WriteEntry(ctx context.Context, s Store, course, id string, e Entry) error {
	return writeEntry(ctx, course, id, e, s.Put)
}

// WriteEntryLate is WriteEntry for whoever did not do what the entry tells of:
// one that is there already, whose id begins with this one, knows better and
// stays.
func WriteEntryLate(ctx context.Context, s Store, course, id string, e Entry) error {
	for _, err := range s.List(ctx, entryKey(course, id, e.Time), "") {
		return err
	}
	err := writeEntry(ctx, course, id, e, s.PutIfAbsent)
	if errors.Is(err, ErrExists) {
		return nil
	}
	return err
}

func writeEntry(ctx context.Context, course, id string, e Entry, put func(context.Context, string, io.ReadSeeker) error) error {
	e.Format = RecordFormat
	e.Notes = cutNotes(e.Notes)
	data, err := json.Marshal(e)
	if err == nil && len(data) > MaxEntry {
		err = fmt.Errorf("%d bytes; the limit is %d", len(data), MaxEntry)
	}
	if err == nil {
		err = put(ctx, entryKey(course, id, e.Time), bytes.NewReader(data))
	}
	if err != nil {
		return fmt.Errorf("log of %s: %w", course, err)
	}
	return nil
}

// NewestLogged is the highest version of which the log has a publish, by the
// keys: nothing is read.
func NewestLogged(ctx context.Context, s Store, course string) (newest bundle.Version, err error) {
	for o, err := range s.List(ctx, LogPrefix(course), "") {
		if err != nil {
			return newest, fmt.Errorf("log of %s: %w", course, err)
		}
		_, id, _ := strings.Cut(strings.TrimPrefix(o.Key, LogPrefix(course)), "-")
		digits, _, _ := strings.Cut(id, "-")
		if v, err := strconv.ParseInt(digits, 10, 64); err == nil && len(digits) == versionDigits {
			newest = max(newest, bundle.Version(v))
		}
	}
	return newest, nil
}

// VersionID is the id of a version's entry: those of one millisecond sort by it.
func VersionID(v bundle.Version) string { return fmt.Sprintf("%0*d", versionDigits, v) }

const versionDigits = 16

func entryKey(course, id string, t time.Time) string {
	return LogPrefix(course) + t.UTC().Format(entryTime) + "-" + id
}

func cutNotes(notes []string) []string {
	out := make([]string, 0, min(len(notes), MaxNotes+1))
	for i, n := range notes {
		if i == MaxNotes {
			return append(out, fmt.Sprintf("… and %d more", len(notes)-i))
		}
		if len(n) > maxNote {
			n = strings.ToValidUTF8(n[:maxNote], "") + "…"
		}
		out = append(out, n)
	}
	return out
}

// DecodeEntry reads and checks an entry's JSON.
func DecodeEntry(data []byte) (*Entry, error) {
	if bundle.FormatOf(data) > RecordFormat {
		return nil, bundle.ErrFormat
	}
	e := &Entry{}
	if err := bundle.DecodeStrict(data, MaxEntry, e); err != nil {
		return nil, err
	}
	if e.Format != RecordFormat || e.Time.IsZero() || e.Action == "" || e.Version < 0 || e.Version > bundle.MaxVersion {
		return nil, fmt.Errorf("%w: entry: format %d, version %d, action %.80q", bundle.ErrCorrupt, e.Format, e.Version, e.Action)
	}
	return e, nil
}

// Entries gives the newest n entries of a course's log, newest first. An
// entry that cannot be read (damaged, or of a newer Satchel) is left out and
// named in the error; the others are given all the same.
func Entries(ctx context.Context, st Store, course string, n int) ([]Entry, error) {
	keys, err := entryKeys(ctx, st, course, "")
	if err != nil {
		return nil, err
	}
	if len(keys) > n {
		keys = keys[:n]
	}
	read, errs := readEntries(ctx, st, keys)
	var out []Entry
	for _, e := range read {
		if e != nil {
			out = append(out, *e)
		}
	}
	return out, errors.Join(errs...)
}

// WithdrawID begins the ids of withdrawals' entries: they are found by it.
const WithdrawID = "withdraw-"

// EntriesNamed gives the entries whose id begins so, newest first. One that
// cannot be read is an error: what is asked for so must not be missed.
func EntriesNamed(ctx context.Context, st Store, course, id string) ([]Entry, error) {
	keys, err := entryKeys(ctx, st, course, "")
	if err != nil {
		return nil, err
	}
	keys = named(keys, id)
	read, errs := readEntries(ctx, st, keys)
	var out []Entry
	for _, e := range read {
		if e != nil {
			out = append(out, *e)
		}
	}
	return out, errors.Join(errs...)
}

func named(keys []string, id string) []string {
	return slices.DeleteFunc(keys, func(key string) bool {
		_, name, _ := strings.Cut(key[strings.LastIndexByte(key, '/')+1:], "-")
		return !strings.HasPrefix(name, id)
	})
}

// KeysNamed gives the keys of the entries between two times, by the clocks of
// who wrote them, whose id begins so, newest first. Nothing is read.
func KeysNamed(ctx context.Context, st Store, course, id string, since, before time.Time) ([]string, error) {
	keys, err := entryKeys(ctx, st, course, entryKey(course, "", since))
	end := entryKey(course, "", before)
	return slices.DeleteFunc(named(keys, id), func(key string) bool { return key >= end }), err
}

// entryKeys gives the keys of a course's log that come after one, newest first.
func entryKeys(ctx context.Context, st Store, course, after string) ([]string, error) {
	var keys []string
	for o, err := range st.List(ctx, LogPrefix(course), after) {
		if err != nil {
			return nil, fmt.Errorf("log of %s: %w", course, err)
		}
		keys = append(keys, o.Key)
	}
	slices.Reverse(keys)
	return keys, nil
}

// timeOfEntry reads the time out of an entry's key; zero where there is none.
func timeOfEntry(key string) time.Time {
	stamp, _, _ := strings.Cut(key[strings.LastIndexByte(key, '/')+1:], "-")
	t, err := time.Parse(entryTime, stamp)
	if err != nil {
		return time.Time{}
	}
	return t
}

// readEntries reads entries, some at once. Both slices are as long as keys;
// an entry is nil where its error is not.
func readEntries(ctx context.Context, st Store, keys []string) ([]*Entry, []error) {
	entries, errs := make([]*Entry, len(keys)), make([]error, len(keys))
	var g errgroup.Group
	g.SetLimit(8)
	for i, key := range keys {
		g.Go(func() error {
			entries[i], errs[i] = readEntry(ctx, st, key)
			return nil
		})
	}
	_ = g.Wait() // never an error: errs holds them
	return entries, errs
}

func readEntry(ctx context.Context, st Store, key string) (*Entry, error) {
	data, _, err := getSmall(ctx, st, key, MaxEntry)
	if err != nil {
		return nil, fmt.Errorf("entry %s: %w", key, err)
	}
	e, err := DecodeEntry(data)
	if err != nil {
		return nil, fmt.Errorf("entry %s: %w", key, err)
	}
	return e, nil
}
