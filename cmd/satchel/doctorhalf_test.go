//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"iter"
	"testing"

	"satchel/internal/config"
	"satchel/store"
)

// readOnly is the store as the hookserver's own key opens it, or no key (away).
type readOnly struct {
	store.Store
	away error
}

var errDenied = errors.New("the credentials may not do this")

func (readOnly) PutIfAbsent(context.Context, string, io.ReadSeeker) error { return errDenied }

func (r readOnly) List(ctx context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	if r.away == nil {
		return r.Store.List(ctx, prefix, after)
	}
	return func(yield func(store.Object, error) bool) { yield(store.Object{}, r.away) }
}

// A hookserver's key that cannot write is as it must be; the syncer's is not.
func TestDoctorWritesNothingForAHookserver(t *testing.T) {
	dir, err := store.NewDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	for _, f := range []struct {
		half config.Half
		away error
		well bool
		says string
	}{
		{config.Hookserver, nil, true, "can be read"},
		{config.Hookserver, errDenied, false, "may not do this"},
		{config.Syncer, nil, false, "may not do this"},
		{config.Both, nil, false, "may not do this"},
	} {
		c := &checks{}
		c.store(t.Context(), &config.Config{}, readOnly{dir, f.away}, f.half)
		c.one(t, "store", f.well, f.says)
	}
}
