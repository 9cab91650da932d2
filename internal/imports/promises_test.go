package imports

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPromisesNameTestsThatExist: each test that SECURITY.md, the README and
// docs name as holding a promise is there.
func TestPromisesNameTestsThatExist(t *testing.T) {
	root := filepath.Join("..", "..")
	have := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+|Fuzz\w+|Benchmark\w+)\(`)
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == ".cache" {
			return filepath.SkipDir // a Docker engine's, among others
		}
		if err != nil || !strings.HasSuffix(p, "_test.go") {
			return err
		}
		data, err := os.ReadFile(p)
		for _, m := range declared.FindAllSubmatch(data, -1) {
			have[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	papers, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, p := range append(papers, filepath.Join(root, "SECURITY.md"), filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md")) {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`\b(Test[A-Z]\w+|Fuzz[A-Z]\w+)`).FindAllString(string(data), -1) {
			if named++; !have[name] {
				t.Errorf("%s names %s, which is nowhere", filepath.Base(p), name)
			}
		}
	}
	if named < 40 {
		t.Errorf("only %d tests are named", named)
	}
}
