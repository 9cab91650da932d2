package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"satchel/internal/strict"
)

// FuzzLoad: any two files are a configuration, or mistakes that are told with
// file and line.
func FuzzLoad(f *testing.F) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range cases {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		text := map[string]string{}
		for _, x := range a.Files {
			text[filepath.Ext(x.Name)+filepath.Dir(x.Name)] = string(x.Data)
		}
		f.Add(text[".yaml."], text[".yamlcourses.d"])
	}
	f.Add("a: &a [*a, *a]\n", "? [x]\n: y\n")
	f.Add(strings.Repeat("[", 10_000), "\x00")
	dir := f.TempDir()
	main, course := filepath.Join(dir, "satchel.yaml"), filepath.Join(dir, coursesDir, "scala101.yaml")
	if err := os.Mkdir(filepath.Dir(course), 0o755); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		for file, text := range map[string]string{main: one, course: two} {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c, err := Load(main)
		if (c == nil) != (err != nil) {
			t.Fatalf("%v, %v", c, err)
		}
		for _, p := range strict.List(err) {
			if s := p.String(); !strings.HasPrefix(s, dir) || strings.ContainsAny(s, "\n\x00\x1b") {
				t.Errorf("told: %q", s)
			}
		}
	})
}
