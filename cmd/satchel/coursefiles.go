//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"satchel/internal/config"
	"satchel/internal/secret"
)

// absolute makes what was typed mean the same to the service, which reads
// relative paths beside satchel.yaml and not where the command was typed.
func (n *newCourse) absolute() {
	for _, f := range []*string{&n.knownHosts, &n.key, &n.token} {
		*f = absolute(*f)
	}
	if strings.HasPrefix(n.url, "./") || strings.HasPrefix(n.url, "../") {
		n.url = absolute(n.url)
	}
}

// absolute is a file's path from the root; what stands in the environment, and
// nothing at all, stays.
func absolute(file string) string {
	if file == "" || strings.HasPrefix(file, secret.EnvPrefix) {
		return file
	}
	abs, err := filepath.Abs(file)
	if err != nil { // the current folder is gone
		return file
	}
	return abs
}

// thereAlready says how to come by another name, and how to change or remove
// the course that has it.
func thereAlready(cfg *config.Config, name string) error {
	file := filepath.Join("courses.d", name+".yaml")
	if _, err := os.Stat(filepath.Join(cfg.Dir, file)); err != nil {
		return fmt.Errorf("there is a course %q already; choose another --name, or edit the course where it stands, in %s or courses.d", name, cfg.File)
	}
	return fmt.Errorf("there is a course %q already; choose another --name, or edit %s, or delete it: the course is then no longer given out, and what students have stays", name, file)
}
