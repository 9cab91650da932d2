//go:build e2e

package notebook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"satchel/notebook/notebooktest"
)

const nbformat = "nbformat==5.11.1"

// judge reads a file of notebooks by name, as texts, and prints what nbformat
// says of each.
const judge = `
import json, sys, warnings
warnings.simplefilter("ignore")
from nbformat import validate
from nbformat.validator import isvalid

def says(check, text):
    try:
        return check(json.loads(text)) is not False
    except Exception:
        return False

with open(sys.argv[1], encoding="utf-8") as f:
    notebooks = json.load(f)
print(json.dumps({name: [says(isvalid, text), says(validate, text)] for name, text in notebooks.items()}))
`

// python gives the Python of an environment that has nbformat.
func python(t *testing.T) string {
	t.Helper()
	env, err := filepath.Abs("../.cache/venv-nbformat")
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(env, "bin", "python")
	if exec.Command(bin, "-c", "import nbformat; assert nbformat.__version__ == '"+strings.TrimPrefix(nbformat, "nbformat==")+"'").Run() == nil {
		return bin
	}
	for _, args := range [][]string{{"python3", "-m", "venv", env}, {bin, "-m", "pip", "install", "--quiet", nbformat}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("this test needs Python 3 with venv, and its package registry: %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	return bin
}

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
	for name, says := range ask(t, files) {
		err := Validate(files[name])
		if err == nil {
			valid++
		}
		switch {
		case says[0] == (err == nil):
		case says[0] && stricter(files[name]) != "":
			strict++
		default:
			t.Errorf("%s: nbformat %v, Validate %v\n%s", name, says[0], err, files[name])
		}
		if says[1] && !says[0] {
			repaired++
		}
		if !says[1] && err == nil {
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
	for name, says := range ask(t, files) {
		if !says[0] {
			t.Errorf("%s: nbformat refuses it\n%s", name, files[name])
		}
	}
	t.Logf("%d merges", len(files))
}

// ask gives nbformat's verdicts: isvalid, and validate (which repairs ids).
func ask(t *testing.T, files map[string][]byte) map[string][2]bool {
	t.Helper()
	texts := map[string]string{}
	for name, data := range files {
		texts[name] = string(data)
	}
	all, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "notebooks.json")
	if err := os.WriteFile(file, all, 0o644); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	c := exec.Command(python(t), "-c", judge, file)
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		t.Fatalf("nbformat: %v\n%s", err, &said)
	}
	verdicts := map[string][2]bool{}
	if err := json.Unmarshal(out, &verdicts); err != nil {
		t.Fatal(err)
	}
	if len(verdicts) != len(files) {
		t.Fatalf("%d verdicts of %d files", len(verdicts), len(files))
	}
	return verdicts
}
