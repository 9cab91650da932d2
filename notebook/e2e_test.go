//go:build e2e

package notebook

import (
	"bytes"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"satchel/notebook/notebooktest"
)

// TestValidateAgainstNbformat: over thousands of notebooks, good and broken,
// Validate says what nbformat says.
func TestValidateAgainstNbformat(t *testing.T) {
	files := map[string][]byte{}
	for seed := range int64(6000) {
		r := rand.New(rand.NewSource(seed))
		nb := notebooktest.Random(r, r.Intn(8))
		for range r.Intn(3) {
			nb = step(r, nb)
		}
		if seed%6 > 0 {
			nb = notebooktest.Break(r, nb)
		}
		files[fmt.Sprintf("made-%d", seed)] = nb
	}
	for _, c := range validity() {
		files["table: "+c.name] = []byte(c.text)
	}
	valid, repaired, strict := 0, 0, 0
	for name, says := range notebooktest.Nbformat(t, files) {
		err := Validate(files[name])
		if err == nil {
			valid++
		}
		switch {
		case says.Valid == (err == nil):
		case says.Valid && stricter(files[name]) != "":
			strict++
		default:
			t.Errorf("%s: nbformat %v, Validate %v\n%s", name, says.Valid, err, files[name])
		}
		if says.Repaired && !says.Valid {
			repaired++
		}
		if !says.Repaired && err == nil {
			t.Errorf("%s: nbformat.validate refuses it", name)
		}
	}
	t.Logf("%d of %d valid; %d more only by nbformat's repair of ids; Check is stricter with %d", valid, len(files), repaired, strict)
	if strict > len(files)/100 {
		t.Errorf("%d are too many to be stricter", strict)
	}
	if valid < 1000 || valid > 5000 {
		t.Errorf("%d valid ones are no good test", valid)
	}
}

// stricter gives the reason why Validate refuses what nbformat takes; all of
// them are Check's, which comes first.
func stricter(data []byte) string {
	err := Check(data)
	for what, reason := range map[string]string{
		"has no cell": "an empty cell_type, which a later format may have, is none to it",
		"is not a ":   "it looks at each value of a doubled name, and at known fields of cells of later formats",
		"is not an ":  "the same",
		"deeper than": "its bound on nesting is a little lower",
	} {
		if err != nil && strings.Contains(err.Error(), what) {
			return reason
		}
	}
	return ""
}

// TestMergesValidate: what Merge makes of valid notebooks nbformat takes.
func TestMergesValidate(t *testing.T) {
	files := map[string][]byte{}
	for seed := range int64(3000) {
		base, mine, theirs := history(seed)
		out, err := Merge("lab.ipynb", base, mine, theirs)
		if err == nil && !bytes.Equal(out.Data, mine) && !bytes.Equal(out.Data, theirs) {
			files[fmt.Sprintf("merged-%d", seed)] = out.Data
		}
	}
	if len(files) < 500 {
		t.Fatalf("only %d merges", len(files))
	}
	for name, says := range notebooktest.Nbformat(t, files) {
		if !says.Valid {
			t.Errorf("%s: nbformat refuses it\n%s", name, files[name])
		}
	}
	t.Logf("%d merges", len(files))
}
