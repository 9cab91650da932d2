package store_test

import (
	"testing"

	"satchel/store"
	"satchel/store/storetest"
)

func newDir(t testing.TB, path string) *store.Dir {
	t.Helper()
	d, err := store.NewDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestDirContract(t *testing.T) {
	storetest.Contract(t, func(t *testing.T) store.Store { return newDir(t, t.TempDir()) })
}
