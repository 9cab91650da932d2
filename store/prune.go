package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"satchel/bundle"
)

// What Prune keeps beside the record's own bundles, and what one pass does at
// most.
const (
	keepLog      = 7 * 24 * time.Hour // bundles that an entry of this time names
	keepVersions = 20                 // and those that entries of so many versions name
	pruneTime    = 15 * time.Minute   // then it stops; the next pass goes on
	pruneMost    = 500                // bundles removed
	pruneEntries = 50_000             // entries read; more, and nothing is removed
)

// Prune deletes the course's bundles that nothing needs: older than 24 hours,
// and named neither by the record, nor by a log entry of the last 7 days, nor
// by one of the last 20 versions. Log entries stay.
//
// Whatever it cannot read it takes for a reason to keep: without the record,
// or with an unreadable entry of the last 7 days, nothing is removed. An older
// unreadable entry is passed over with a warning, or one damaged object would
// let the store grow for ever.
//
// A publish in flight loses nothing: see the ages in publish.go. now is this
// machine's clock; where the store's differs the earlier one holds.
func Prune(ctx context.Context, lg *slog.Logger, st Store, course string, now time.Time) (removed int, err error) {
	ctx, cancel := context.WithTimeout(ctx, pruneTime)
	defer cancel()
	old, now, err := oldBundles(ctx, st, course, now)
	if err != nil || len(old) == 0 {
		return 0, err
	}
	// Only now the record and the log: what was published meanwhile is seen.
	named, err := namedBundles(ctx, lg, st, course, now)
	if errors.Is(err, ErrNotFound) {
		lg.Debug("nothing pruned: there is no record", "course", course)
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("prune %s: nothing is removed: %w", course, err)
	}
	for _, key := range old {
		if removed == pruneMost {
			break
		}
		if named[key] {
			continue
		}
		gone, err := removeOld(ctx, st, key, now)
		if err != nil {
			return removed, fmt.Errorf("prune %s: %w", course, err)
		}
		if gone {
			removed++
		}
	}
	if removed > 0 {
		lg.Info("pruned", "course", course, "bundles", removed)
	}
	return removed, nil
}

// oldBundles gives the keys of the bundles that are old enough, and the time
// by which they are.
func oldBundles(ctx context.Context, st Store, course string, now time.Time) (old []string, _ time.Time, err error) {
	for o, err := range st.List(ctx, BundlePrefix(course), "") {
		if err != nil {
			return nil, now, fmt.Errorf("prune %s: %w", course, err)
		}
		now = earlier(now, o.Now)
		name := strings.TrimPrefix(o.Key, BundlePrefix(course))
		if _, err := bundle.ParseDigest(name); err == nil && now.Sub(o.Modified) > pruneAge {
			old = append(old, o.Key)
		}
	}
	return old, now, nil
}

func earlier(a, b time.Time) time.Time {
	if !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// removeOld looks once more, right before: a publish may have written the
// bundle again.
func removeOld(ctx context.Context, st Store, key string, now time.Time) (bool, error) {
	o, err := st.Head(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil || earlier(now, o.Now).Sub(o.Modified) <= pruneAge {
		return false, err
	}
	return true, st.Delete(ctx, key)
}

// namedBundles gives the keys that the record and the log name. The record is
// read after the log: an entry's bundles that a rollback brings back into the
// record are in one of the two.
func namedBundles(ctx context.Context, lg *slog.Logger, st Store, course string, now time.Time) (map[string]bool, error) {
	named := map[string]bool{}
	if err := nameLogged(ctx, lg, st, course, now, named); err != nil {
		return nil, err
	}
	r, _, err := ReadRecord(ctx, st, course)
	if err != nil {
		return nil, err
	}
	for _, d := range r.Named() {
		named[BundleKey(course, d)] = true
	}
	return named, nil
}

// nameLogged goes back through the log until the entries are older than 7
// days and 20 versions were seen.
func nameLogged(ctx context.Context, lg *slog.Logger, st Store, course string, now time.Time, named map[string]bool) error {
	keys, err := entryKeys(ctx, st, course, "")
	if err != nil {
		return err
	}
	versions := map[bundle.Version]bool{}
	for from := 0; from < len(keys); {
		batch := keys[from:min(from+64, len(keys))]
		from += len(batch)
		if from > pruneEntries {
			return fmt.Errorf("the log of %s has more than %d entries to read", course, pruneEntries)
		}
		entries, errs := readEntries(ctx, st, batch)
		for i, key := range batch {
			recent := now.Sub(timeOfEntry(key)) <= keepLog
			if !recent && len(versions) >= keepVersions {
				return nil
			}
			if err := unreadable(lg, key, errs[i], recent); err != nil {
				return err
			}
			if e := entries[i]; e != nil {
				noteEntry(course, e, versions, named)
			}
		}
	}
	return nil
}

// unreadable is an error unless the entry could be read, or is old and
// damaged.
func unreadable(lg *slog.Logger, key string, err error, recent bool) error {
	damaged := errors.Is(err, bundle.ErrCorrupt) || errors.Is(err, ErrNotFound)
	if err == nil || recent || !damaged {
		return err
	}
	lg.Warn("a damaged log entry is passed over", "key", key, "err", err)
	return nil
}

func noteEntry(course string, e *Entry, versions map[bundle.Version]bool, named map[string]bool) {
	if e.Version > 0 {
		versions[e.Version] = true
	}
	for _, d := range e.Bundles {
		named[BundleKey(course, d)] = true
	}
}
