package storetest

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"satchel/store"
)

// ordered stands in the order of the bytes of whole keys. '+' < '-' < '.' <
// '/' < '0', so what lies in a folder comes between keys that begin with the
// folder's name: a walk that sorts names gives another order.
var ordered = []string{
	"a+b", "a-b", "a-c/x", "a.b", "a/b", "a/b-c", "a/b.c/d", "a0", "aa", "b/c-d", "b/c/d", "b/c0",
}

func testListOrder(t *testing.T, s store.Store) {
	for _, i := range []int{5, 2, 11, 7, 0, 9, 4, 10, 1, 8, 3, 6} {
		put(t, s, ordered[i], "x")
	}
	wantKeys(t, s, "", "", ordered...)
	wantKeys(t, s, "a/", "", "a/b", "a/b-c", "a/b.c/d")
}

func testListAfter(t *testing.T, s store.Store) {
	for _, key := range []string{"l/a", "l/b/x", "l/b/y", "l/c", "m/a", "la/a"} {
		put(t, s, key, "x")
	}
	wantKeys(t, s, "l/", "", "l/a", "l/b/x", "l/b/y", "l/c")
	wantKeys(t, s, "l", "", "l/a", "l/b/x", "l/b/y", "l/c", "la/a")
	wantKeys(t, s, "l/b", "", "l/b/x", "l/b/y")
	wantKeys(t, s, "l/", "l/a", "l/b/x", "l/b/y", "l/c")
	wantKeys(t, s, "l/", "l/b", "l/b/x", "l/b/y", "l/c")
	wantKeys(t, s, "l/", "l/b/x", "l/b/y", "l/c")
	wantKeys(t, s, "l/", "l/bz", "l/c")
	wantKeys(t, s, "l/", "l/c")
	wantKeys(t, s, "l/", "z")
	wantKeys(t, s, "l/", "a", "l/a", "l/b/x", "l/b/y", "l/c")
	n := 0
	for _, err := range s.List(t.Context(), "l/", "") {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("broken off after 2, but %d came", n)
	}
}

// testListPages lists more than the thousand keys that S3 gives at once.
func testListPages(t *testing.T, s store.Store) {
	var want []string
	var g errgroup.Group
	g.SetLimit(32)
	for i := range 1050 {
		key := fmt.Sprintf("pages/%05d", i)
		want = append(want, key)
		g.Go(func() error { return s.Put(t.Context(), key, strings.NewReader("")) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, s, "pages/", "", want...)
	wantKeys(t, s, "pages/", want[20], want[21:]...)
}
