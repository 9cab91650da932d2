package notebook

import (
	"bytes"
	"math/rand"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"satchel/internal/lines"
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

// maxRefused is how many of a thousand histories Merge may refuse: rare ones,
// nearly all without ids, in which a second merge could not tell equal cells
// apart. Theirs then goes beside.
const maxRefused = 5

// TestHistories merges thousands of random histories and looks at what must
// hold of each. One that fails is named by its seed: SEED=n runs it alone,
// SEEDS=n runs so many.
func TestHistories(t *testing.T) {
	first, last := int64(0), int64(2000)
	if n, err := strconv.ParseInt(os.Getenv("SEED"), 10, 64); err == nil {
		first, last = n, n+1
	} else if n, err := strconv.ParseInt(os.Getenv("SEEDS"), 10, 64); err == nil {
		last = n
	}
	refused, merges := int64(0), int64(0)
	for seed := first; seed < last && !t.Failed(); seed++ {
		base, mine, theirs := history(seed)
		out, err := Merge("lab.ipynb", base, mine, theirs)
		if err != nil {
			t.Logf("seed %d: %v", seed, err)
			refused++
			continue
		}
		if !bytes.Equal(out.Data, mine) && !bytes.Equal(out.Data, theirs) {
			merges++
		}
		checkMerged(t, seed, base, mine, theirs, out)
		checkWholes(t, seed, base, mine, theirs)
	}
	t.Logf("%d histories, %d with changes on both sides, %d refused", last-first, merges, refused)
	if last-first > 1 && 1000*refused > maxRefused*(last-first) {
		t.Errorf("%d of %d refused", refused, last-first)
	}
}

func checkMerged(t *testing.T, seed int64, base, mine, theirs []byte, out Merged) {
	again, err := Merge("lab.ipynb", base, out.Data, theirs)
	if err != nil || !bytes.Equal(again.Data, out.Data) {
		t.Errorf("seed %d: merged again: %v", seed, err)
	}
	if err := Validate(out.Data); err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
	if !lines.Kept(sources(t, base), sources(t, mine), sources(t, out.Data)) {
		t.Errorf("seed %d: a line of mine is missing", seed)
	}
	result, own := cellsOf(t, out.Data), cellsOf(t, mine)
	for _, p := range slices.Concat(out.Taken, out.Run, out.Clash) {
		if c := result[p.Number-1]; c.place(p.Number) != p {
			t.Errorf("seed %d: %v names %v", seed, p, c.place(p.Number))
		}
	}
	for _, p := range out.Run {
		if c := result[p.Number-1]; !slices.Contains(out.Taken, p) || c.kind != "code" || !c.ran() {
			t.Errorf("seed %d: %v is not to be run again", seed, p)
		}
	}
	for _, p := range out.Clash {
		c := result[p.Number-1]
		if !slices.ContainsFunc(own, func(m slice) bool { return m.content() == c.content() }) {
			t.Errorf("seed %d: %v clashes, but is not mine's", seed, p)
		}
	}
}

// checkWholes looks at merges in which one side did nothing.
func checkWholes(t *testing.T, seed int64, base, mine, theirs []byte) {
	r := rand.New(rand.NewSource(seed))
	relaid := notebooktest.Layout(r, base)
	for name, c := range map[string]struct{ base, mine, theirs, want []byte }{
		"(b, b, t)":    {base, base, theirs, theirs},
		"(b, m, b)":    {base, mine, base, mine},
		"(b, x, x)":    {base, mine, mine, mine},
		"mine saved":   {base, relaid, theirs, pick(bytes.Equal(base, theirs), relaid, theirs)},
		"theirs saved": {base, mine, relaid, pick(isUntouched(t, base, mine) && !bytes.Equal(base, relaid), relaid, mine)},
	} {
		out, err := Merge("lab.ipynb", c.base, c.mine, c.theirs)
		if err != nil || !bytes.Equal(out.Data, c.want) {
			t.Errorf("seed %d: %s: %v", seed, name, err)
		}
	}
	out, err := Merge("lab.ipynb", base, notebooktest.Run(r, base), theirs)
	if err == nil && !bytes.Equal(sources(t, out.Data), sources(t, theirs)) {
		t.Errorf("seed %d: only run, but not theirs:\n%s\nwant\n%s", seed, sources(t, out.Data), sources(t, theirs))
	}
	if err != nil {
		t.Logf("seed %d: run: %v", seed, err)
	}
}

func pick(first bool, a, b []byte) []byte {
	if first {
		return a
	}
	return b
}

func isUntouched(t *testing.T, base, mine []byte) bool {
	b, err := open(base)
	m, err2 := open(mine)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	return untouched(b, m)
}

func cellsOf(t *testing.T, data []byte) []slice {
	t.Helper()
	b, err := open(data)
	if err != nil {
		t.Fatal(err)
	}
	return b.cells
}

// sources gives all cells of a notebook as one text.
func sources(t *testing.T, data []byte) []byte {
	var b strings.Builder
	for _, c := range cellsOf(t, data) {
		b.WriteString("-- " + c.kind + "\n" + c.source + "\n")
	}
	return []byte(b.String())
}

// TestDiffOfHistories: a diff leads from the old notebook to the new one.
func TestDiffOfHistories(t *testing.T) {
	for seed := range int64(1000) {
		base, mine, _ := history(seed)
		changes, err := Diff(base, mine)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		old, now := cellsOf(t, base), cellsOf(t, mine)
		added := 0
		for _, c := range changes {
			switch c.Kind {
			case "added":
				added++
			case "removed":
				added--
			}
			if c.Kind != "added" && old[c.Old.Number-1].source != c.OldSource || c.Kind != "removed" && now[c.New.Number-1].source != c.NewSource {
				t.Errorf("seed %d: %+v", seed, c)
			}
		}
		if len(now)-len(old) != added {
			t.Errorf("seed %d: %d cells became %d by %+v", seed, len(old), len(now), changes)
		}
		if same := bytes.Equal(sources(t, base), sources(t, mine)); len(changes) == 0 && !same {
			t.Errorf("seed %d: no changes", seed)
		}
	}
}
