package store_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"

	"satchel/bundle"
	"satchel/store"
)

// folder is a store in a folder whose objects can be made old.
type folder struct {
	*store.Dir
	t    *testing.T
	path string
}

func newFolder(t *testing.T) folder {
	path := t.TempDir()
	return folder{newDir(t, path), t, path}
}

// age makes the object that old.
func (f folder) age(key string, old time.Duration) {
	f.t.Helper()
	then := time.Now().Add(-old)
	if err := os.Chtimes(filepath.Join(f.path, key), then, then); err != nil {
		f.t.Fatal(err)
	}
}

// bundle puts a bundle that old and gives its digest.
func (f folder) bundle(course, data string, old time.Duration) bundle.Digest {
	f.t.Helper()
	d := bundle.Sum([]byte(data))
	if err := store.PutBundle(f.t.Context(), f, course, d, strings.NewReader(data)); err != nil {
		f.t.Fatal(err)
	}
	f.age(store.BundleKey(course, d), old)
	return d
}

func TestPutBundle(t *testing.T) {
	for _, c := range []struct {
		name    string
		age     time.Duration
		there   string
		written bool
	}{
		{"absent", 0, "", true},
		{"young", 5 * time.Hour, "content", false},
		{"older than six hours: prune may be on its way", 7 * time.Hour, "content", true},
		{"young, but not all there", time.Hour, "cont", true},
	} {
		f := newFolder(t)
		d := bundle.Sum([]byte("content"))
		key := store.BundleKey("x", d)
		if c.there != "" {
			put(t, f, key, c.there)
			f.age(key, c.age)
		}
		body := strings.NewReader("content")
		if err := store.PutBundle(t.Context(), f, "x", d, body); err != nil {
			t.Fatal(err)
		}
		r, o, err := f.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		data, _ := io.ReadAll(r)
		r.Close()
		if written := time.Since(o.Modified) < time.Minute; string(data) != "content" || written != c.written {
			t.Errorf("%s: %q of %v; want written: %v", c.name, data, o.Modified, c.written)
		}
	}
}

// TestPutBundleGoesByTheStoresClock: what was written "now" is ten hours old
// to a server whose clock is ten hours ahead, and its prune may be near.
func TestPutBundleGoesByTheStoresClock(t *testing.T) {
	var rec recorder
	c := fakeS3(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", time.Now().Add(10*time.Hour).UTC().Format(http.TimeFormat))
			h.ServeHTTP(w, r)
		})
	}, gofakes3.WithTimeSkewLimit(0))
	c.Wrap = rec.wrap
	s := newS3(t, c)
	d := bundle.Sum([]byte("content"))
	for range 2 {
		if err := store.PutBundle(t.Context(), s, "x", d, strings.NewReader("content")); err != nil {
			t.Fatal(err)
		}
	}
	last := rec.seen[len(rec.seen)-1]
	if last.Method != http.MethodPut || last.Header.Get("If-None-Match") != "" {
		t.Errorf("the last request is %s %v; want it written again", last.Method, last.Header)
	}
}

// vanishing deletes the object between the write that finds it and the look
// at it, as a prune may.
type vanishing struct{ store.Store }

func (v vanishing) Head(ctx context.Context, key string) (store.Object, error) {
	if err := v.Delete(ctx, key); err != nil {
		return store.Object{}, err
	}
	return v.Store.Head(ctx, key)
}

func TestPutBundleThatIsPrunedMeanwhile(t *testing.T) {
	f := newFolder(t)
	d := f.bundle("x", "content", 30*time.Hour)
	if err := store.PutBundle(t.Context(), vanishing{f}, "x", d, strings.NewReader("content")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Head(t.Context(), store.BundleKey("x", d)); err != nil {
		t.Error(err)
	}
}

func TestLookUp(t *testing.T) {
	f := newFolder(t)
	there := []bundle.Digest{f.bundle("x", "a", 0), f.bundle("x", "b", 0)}
	other := f.bundle("y", "c", 0)
	gone := bundle.Sum([]byte("gone"))
	missing, err := store.LookUp(t.Context(), f, "x", append(there, gone, other, gone))
	if err != nil || !slices.Equal(missing, []bundle.Digest{gone, other}) {
		t.Errorf("missing %v, %v; want %v and %v", missing, err, gone, other)
	}
	if missing, err := store.LookUp(t.Context(), f, "x", there); err != nil || missing != nil {
		t.Errorf("missing %v, %v", missing, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.LookUp(ctx, f, "x", there); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
