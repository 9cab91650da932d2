package notebook

import (
	"bytes"
	"math/rand"
	"os"
	"regexp"
	"strconv"
	"testing"

	"satchel/notebook/notebooktest"
)

// history makes three notebooks from a seed: base, and what a student and the
// course made of it.
func history(seed int64) (base, mine, theirs []byte) {
	r := rand.New(rand.NewSource(seed))
	base = notebooktest.Random(r, r.Intn(6))
	mine, theirs = base, base
	for range r.Intn(4) {
		mine = step(r, mine)
	}
	for range r.Intn(3) {
		theirs = step(r, theirs)
	}
	return base, mine, theirs
}

func step(r *rand.Rand, nb []byte) []byte {
	switch r.Intn(10) {
	case 0:
		return notebooktest.Layout(r, nb)
	case 1:
		return notebooktest.Upgrade(r, nb)
	case 2, 3:
		return notebooktest.Run(r, nb)
	}
	return notebooktest.Edit(r, nb)
}

// TestHistories merges thousands of random histories and looks at what must
// hold of each. One that fails is named by its seed: SEED=n runs it alone.
func TestHistories(t *testing.T) {
	first, last := int64(0), int64(4000)
	if n, err := strconv.ParseInt(os.Getenv("SEED"), 10, 64); err == nil {
		first, last = n, n+1
	}
	if n, err := strconv.ParseInt(os.Getenv("SEEDS"), 10, 64); err == nil {
		last = n
	}
	refused := map[string]int{}
	for seed := first; seed < last; seed++ {
		base, mine, theirs := history(seed)
		out, err := Merge("lab.ipynb", base, mine, theirs)
		if err != nil {
			refused[err.Error()+string(regexp.MustCompile(`minor": *\d`).Find(base))]++
			if last == first+1 {
				t.Logf("seed %d: %v\n%s\n%s\n%s", seed, err, base, mine, theirs)
			} else {
				t.Logf("seed %d: %v", seed, err)
			}
			continue
		}
		again, err := Merge("lab.ipynb", base, out.Data, theirs)
		if err != nil || !bytes.Equal(again.Data, out.Data) {
			t.Fatalf("seed %d: again: %v", seed, err)
		}
		if err := Validate(out.Data); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	t.Logf("refused: %v", refused)
}
