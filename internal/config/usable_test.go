package config

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestABrokenFileIsSetAside: LoadUsable leaves a broken file of courses.d out
// as a whole, and says so; Load refuses it, and both a broken satchel.yaml.
func TestABrokenFileIsSetAside(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "satchel.yaml")
	write(t, file, small)
	write(t, filepath.Join(dir, "courses.d", "a.yaml"), "name: algebra\nrepository: /srv/a.git\naudience: everyone\n")
	write(t, filepath.Join(dir, "courses.d", "b.yaml"), "- {name: good, repository: /srv/g.git, audience: everyone}\n- {name: bad, repository: /srv/b.git}\n")
	write(t, filepath.Join(dir, "courses.d", "c.yaml"), "name: [\n")
	if _, err := Load(file); err == nil || !strings.Contains(err.Error(), "b.yaml") {
		t.Errorf("Load: %v", err)
	}
	c, err := LoadUsable(file)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, k := range c.Courses {
		names = append(names, string(k.Name))
	}
	if got := strings.Join(names, " "); got != "scala101 algebra" {
		t.Errorf("courses %s", got)
	}
	if len(c.Broken) != 2 || c.Broken[0].Line != 2 || filepath.Base(c.Broken[0].File) != "b.yaml" || filepath.Base(c.Broken[1].File) != "c.yaml" {
		t.Errorf("broken %v", c.Broken)
	}
	write(t, file, "urll: http://satchel:8484\n")
	if _, err := LoadUsable(file); err == nil || !strings.Contains(err.Error(), "urll") || !strings.Contains(err.Error(), "b.yaml") {
		t.Errorf("with a broken satchel.yaml: %v", err)
	}
}
