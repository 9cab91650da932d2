//go:build e2e

package notebooktest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// nbformat is the version that the Makefile installs.
const nbformat = "5.11.1"

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
print(json.dumps({name: {"valid": says(isvalid, text), "repaired": says(validate, text)} for name, text in notebooks.items()}))
`

// Verdict is what nbformat says of a notebook.
type Verdict struct {
	Valid    bool // as it is
	Repaired bool // with its own repair of ids
}

// Nbformat asks nbformat about notebooks, by name.
func Nbformat(t testing.TB, files map[string][]byte) map[string]Verdict {
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
	verdicts := map[string]Verdict{}
	if err := json.Unmarshal(out, &verdicts); err != nil {
		t.Fatal(err)
	}
	if len(verdicts) != len(files) {
		t.Fatalf("%d verdicts of %d files", len(verdicts), len(files))
	}
	return verdicts
}

// python gives the Python of the environment that make e2e makes.
func python(t testing.TB) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	env := cmp.Or(os.Getenv("JUPYTER_VENV"), filepath.Join(filepath.Dir(here), "../../.cache/venv-jupyter"))
	bin := filepath.Join(env, "bin", "python")
	if out, err := exec.Command(bin, "-c", "import nbformat; print(nbformat.__version__)").Output(); err != nil || string(out) != nbformat+"\n" {
		t.Fatalf("no nbformat %s in %s (%q, %v): make e2e installs it", nbformat, env, out, err)
	}
	return bin
}
