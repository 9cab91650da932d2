package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"
)

func TestPast(t *testing.T) {
	r := newRepo(t)
	r.write("other", "before there was a folder")
	r.commit()
	for i := range 3 {
		r.write("n/f", fmt.Sprint("state ", i))
		r.commit()
	}
	r.write("other", "not in the folder")
	r.commit()
	r.git("checkout", "-q", "-b", "side", "HEAD~2")
	r.write("n/f", "on the side")
	r.commit()
	r.git("checkout", "-q", "main")
	r.git("merge", "-q", "-s", "ours", "-m", "m", "side")
	r.write("n/f", "now")
	r.commit()
	for name, remote := range bothWays(t, r) {
		t.Run(name, func(t *testing.T) {
			remote.Folder = "n"
			tree := newest(t, newMirror(t, remote))
			var got []string
			for was, err := range tree.Past(t.Context(), 100) {
				if err != nil {
					t.Fatal(err)
				}
				data, err := fs.ReadFile(was, "f")
				if err != nil {
					t.Error(err)
				}
				got = append(got, string(data))
			}
			slices.Sort(got)
			if want := []string{"on the side", "state 0", "state 1", "state 2"}; !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
			n := 0
			for range tree.Past(t.Context(), 3) { // this commit, the merge, one more
				n++
			}
			if n != 1 {
				t.Errorf("%d states in three commits", n)
			}
			ctx, stop := context.WithCancel(t.Context())
			stop()
			for _, err := range tree.Past(ctx, 100) {
				if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			}
			if data, err := fs.ReadFile(tree, "f"); string(data) != "now" {
				t.Errorf("afterwards, the tree reads %q, %v", data, err)
			}
		})
	}
}
