//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"satchel/internal/release"
)

// report gathers the checks of one run, and writes docs/e2e-docker.md.
type report struct {
	began  time.Time
	checks []check
	facts  []string // versions, sizes
}

type check struct {
	name   string
	ended  string
	took   time.Duration
	figure string
}

// check runs one; the figure it gives stands beside it.
func (r *report) check(t *testing.T, name string, do func(t *testing.T) (figure string)) bool {
	c := check{name: name, ended: "FAIL"}
	began := time.Now()
	ok := t.Run(name, func(t *testing.T) { c.figure = do(t) })
	if c.took = time.Since(began); ok {
		c.ended = "pass"
	}
	r.checks = append(r.checks, c)
	return ok
}

func (r *report) fact(format string, args ...any) {
	r.facts = append(r.facts, fmt.Sprintf(format, args...))
}

// text is the page. It names no path and no address of the machine.
func (r *report) text() string {
	var b strings.Builder
	failed := 0
	for _, c := range r.checks {
		if c.ended != "pass" {
			failed++
		}
	}
	fmt.Fprintf(&b, "# The compose file on a real Docker engine\n\nWritten by `make e2e-docker`, not by hand: Satchel %s, %s, %d checks, %d failed, %.0f s in all, on %s with %d processors.\n\n",
		release.Version, r.began.UTC().Format("2006-01-02 15:04 UTC"), len(r.checks), failed, time.Since(r.began).Seconds(), runtime.GOOS+"/"+runtime.GOARCH, runtime.NumCPU())
	b.WriteString("The Dockerfiles and the compose file are the project's own. **The base images were stand-ins**, made from Debian's\npackages, PyPI and npm, for no image registry could be reached (`e2e/testdata/docker/README.md`); so the real bases\nwere not tried. **almond was not built**: the Scala 3 kernel is a stand-in too. arm64 images and the `docker compose`\nplugin (v2) were not tried; docker-compose 1.29 was.\n\n")
	for _, f := range r.facts {
		fmt.Fprintf(&b, "- %s\n", f)
	}
	b.WriteString("\n| check | | seconds | |\n|---|---|---|---|\n")
	for _, c := range r.checks {
		fmt.Fprintf(&b, "| %s | %s | %.1f | %s |\n", c.name, c.ended, c.took.Seconds(), c.figure)
	}
	return b.String()
}

// write keeps the page where the whole test ran.
func (r *report) write(t *testing.T) {
	if file := os.Getenv("SATCHEL_DOCKER_REPORT"); file != "" && os.Getenv("SATCHEL_DOCKER_ONLY") == "" {
		must(t, os.WriteFile(filepath.Clean(file), []byte(r.text()), 0o644))
	}
	t.Log("\n" + r.text())
}
