package notebook

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// addNotebooks seeds a fuzz test with the golden merges.
func addNotebooks(f *testing.F) {
	files, _ := filepath.Glob("testdata/merge/*.txtar")
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(ar.Files[0].Data, ar.Files[1].Data, ar.Files[2].Data)
	}
}

// FuzzMerge: whatever the bytes are, Merge does not panic; what it gives is
// valid where all three were, and stays as it is when it is merged again.
func FuzzMerge(f *testing.F) {
	addNotebooks(f)
	f.Fuzz(func(t *testing.T, base, mine, theirs []byte) {
		out, err := Merge("a/lab.ipynb", base, mine, theirs)
		if err != nil {
			return
		}
		if Check(out.Data) != nil {
			t.Fatalf("the result: %v", Check(out.Data))
		}
		if Validate(mine) == nil && Validate(theirs) == nil && Validate(out.Data) != nil {
			t.Fatalf("the result: %v", Validate(out.Data))
		}
		again, err := Merge("a/lab.ipynb", base, out.Data, theirs)
		if err != nil || !bytes.Equal(again.Data, out.Data) {
			t.Fatalf("again: %v\n%s\n%s", err, out.Data, again.Data)
		}
		for _, c := range []struct{ base, mine, theirs, want []byte }{
			{base, base, theirs, theirs}, {base, mine, base, mine}, {base, mine, mine, mine},
		} {
			if out, err := Merge("lab.ipynb", c.base, c.mine, c.theirs); err != nil || !bytes.Equal(out.Data, c.want) {
				t.Fatalf("a side that did nothing: %v", err)
			}
		}
	})
}

// FuzzMergeHistory does the same with histories, which the fuzzer cannot make.
func FuzzMergeHistory(f *testing.F) {
	f.Fuzz(func(t *testing.T, seed int64) {
		base, mine, theirs := history(seed)
		if out, err := Merge("lab.ipynb", base, mine, theirs); err == nil {
			checkMerged(t, seed, base, mine, theirs, out)
			checkWholes(t, seed, base, mine, theirs)
		}
	})
}

func FuzzDiff(f *testing.F) {
	addNotebooks(f)
	f.Fuzz(func(t *testing.T, base, mine, theirs []byte) {
		changes, err := Diff(base, mine)
		if err == nil && bytes.Equal(base, mine) && len(changes) > 0 {
			t.Fatalf("a notebook differs from itself: %v", changes)
		}
		Diff(mine, theirs)
	})
}
