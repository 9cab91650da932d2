package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"satchel/bundle"
)

// Ages of a bundle that no record names yet. They fit together so: a publish
// that takes longer than PublishTime is abandoned by its syncer; a bundle that
// is found is trusted only while younger than rewriteAge, else written again;
// so whatever a record comes to name was written less than rewriteAge +
// PublishTime before. Prune takes nothing younger than pruneAge, and what is
// over is its margin for wrong clocks.
const (
	PublishTime = time.Hour
	rewriteAge  = 6 * time.Hour
	pruneAge    = 24 * time.Hour
)

// PutBundle makes sure that the course's bundle is there, and will be for the
// rest of this publish. Everything that a new record names and the former one
// did not must have come through here (or be written) in the same publish.
func PutBundle(ctx context.Context, st Store, course string, d bundle.Digest, body io.ReadSeeker) error {
	key := BundleKey(course, d)
	err := st.PutIfAbsent(ctx, key, body)
	if errors.Is(err, ErrExists) {
		err = refresh(ctx, st, key, body)
	}
	if err != nil {
		return fmt.Errorf("bundle %s of %s: %w", d, course, err)
	}
	return nil
}

// refresh writes an object again that prune may be about to take, or that is
// not all there.
func refresh(ctx context.Context, st Store, key string, body io.ReadSeeker) error {
	size, err := body.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	o, err := st.Head(ctx, key)
	if err == nil && o.Size == size && clock(o, time.Now()).Sub(o.Modified) < rewriteAge {
		return nil
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return st.Put(ctx, key, body)
}

// clock is the store's own time where it has one: Modified is by it.
func clock(o Object, local time.Time) time.Time {
	if o.Now.IsZero() {
		return local
	}
	return o.Now
}

// LookUp gives those of the wanted bundles that are not there. A syncer asks
// just before it swaps the record, and does not swap when one is missing; and
// once more after it, when it still has the bytes to write a missing one
// again: the time between a prune's last look and its delete is short, but it
// is not nothing.
func LookUp(ctx context.Context, st Store, course string, want []bundle.Digest) (missing []bundle.Digest, err error) {
	listed := map[string]bool{}
	for o, err := range st.List(ctx, BundlePrefix(course), "") {
		if err != nil {
			return nil, fmt.Errorf("bundles of %s: %w", course, err)
		}
		listed[o.Key] = true
	}
	for _, d := range want {
		if listed[BundleKey(course, d)] || slices.Contains(missing, d) {
			continue
		}
		// Some servers' lists lag behind; the object itself does not.
		_, err := st.Head(ctx, BundleKey(course, d))
		switch {
		case errors.Is(err, ErrNotFound):
			missing = append(missing, d)
		case err != nil:
			return nil, fmt.Errorf("bundles of %s: %w", course, err)
		}
	}
	return missing, nil
}
