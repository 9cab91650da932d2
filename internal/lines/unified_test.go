package lines

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestUnified(t *testing.T) {
	const old, changed = "a\nb\nc\nd\ne\nf\ng\nh\ni\n", "a\nB\nc\nd\ne\nf\ng\ni\nj"
	for n, want := range map[int]string{
		1: "--- x\n+++ y\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n@@ -7,3 +7,3 @@\n g\n-h\n i\n+j\n\\ No newline at end of file\n",
		3: "--- x\n+++ y\n@@ -1,9 +1,9 @@\n a\n-b\n+B\n c\n d\n e\n f\n g\n-h\n i\n+j\n\\ No newline at end of file\n",
		0: "--- x\n+++ y\n@@ -2 +2 @@\n-b\n+B\n@@ -8 +7,0 @@\n-h\n@@ -9,0 +9 @@\n+j\n\\ No newline at end of file\n",
	} {
		if got := Unified("x", "y", []byte(old), []byte(changed), n); got != want {
			t.Errorf("context %d:\n%s\nwant\n%s", n, got, want)
		}
	}
	if got := Unified("x", "y", []byte(old), []byte(old), 3); got != "" {
		t.Errorf("equal texts: %q", got)
	}
	if got := Unified("x", "y", nil, []byte("a\n"), -1); got != "--- x\n+++ y\n@@ -0,0 +1 @@\n+a\n" {
		t.Errorf("new text: %q", got)
	}
}

// TestUnifiedApplies: git makes new of old with it.
func TestUnifiedApplies(t *testing.T) {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(5, 5))
	for range 60 {
		c := made(r)
		if c.base == "" || c.mine == "" || c.base == c.mine {
			continue // git names a file that is made or removed /dev/null
		}
		patch := Unified("a/f", "b/f", []byte(c.base), []byte(c.mine), 1+r.IntN(4))
		if err := os.WriteFile(filepath.Join(dir, "f"), []byte(c.base), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("git", "apply", "--whitespace=nowarn", "-")
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(patch)
		cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
		out, err := cmd.CombinedOutput()
		got, _ := os.ReadFile(filepath.Join(dir, "f"))
		if err != nil || string(got) != c.mine {
			t.Fatalf("%v\n%v %s\n%s\nmade %q", c, err, out, patch, got)
		}
	}
}
