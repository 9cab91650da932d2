//go:build e2e

package e2e

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/syncer"
)

// TestBenchPublishOneNotebook: 6,000 files and 1.2 GB; what a first publish
// costs, and what one changed notebook costs after it. The figures are the
// syncer's own (satchel publish --json) and the wall clock.
func TestBenchPublishOneNotebook(t *testing.T) {
	s := newSite(t)
	largeCourse(t, s.repo, 6000, 1_200_000_000)
	v := s.configure("one", "").run("serve")
	began := time.Now()
	eventually(t, 10*time.Minute, "the first publish", func() error {
		if e := newestEntries(s, v); len(e) == 0 {
			return fmt.Errorf("nothing yet")
		}
		return nil
	})
	first := time.Since(began)
	firstBytes := folderSize(t, s.path("conf/store"))
	v.ready(1)
	fmt.Printf("first publish of 6,000 files, 1.2 GB   %8.2f s   store %9.1f kB\n", first.Seconds(), float64(firstBytes)/1e3)

	for i := range 5 {
		s.repo.set("unit00/lab0.ipynb", notebook(fmt.Sprintf("changed %d", i)))
		s.repo.push("one notebook")
		before := folderSize(t, s.path("conf/store"))
		began := time.Now()
		out := v.publish("--json")
		took := time.Since(began)
		var o syncer.Outcome
		must(t, json.Unmarshal([]byte(out), &o))
		if !o.Published {
			fmt.Println("(the loop was first to publish this one)")
			continue
		}
		written := folderSize(t, s.path("conf/store")) - before
		fmt.Printf("one changed notebook                   %8.2f s   store %9.1f kB   1/%.0f of the time, 1/%.0f of the bytes\n  %d files read, %d bytes; %s\n",
			took.Seconds(), float64(written)/1e3, first.Seconds()/took.Seconds(), float64(firstBytes)/float64(written),
			o.Stats.FilesRead, o.Stats.BytesRead, steps(o.Stats))
	}
}

func steps(st syncer.Stats) string {
	var out []string
	for _, s := range st.Steps {
		out = append(out, fmt.Sprintf("%s %.1f ms", s.Name, s.Took.Seconds()*1e3))
	}
	return strings.Join(out, ", ")
}

func newestEntries(s *site, v *service) (all []logEntry) {
	out, code := s.trySatchel("log", "scala101", "--json", "--config", v.config)
	if code == 0 {
		_ = json.Unmarshal([]byte(out), &all)
	}
	return all
}

// largeCourse fills the delivered folder with files of random bytes (the
// worst case for compression) and a notebook in each unit.
func largeCourse(t *testing.T, r *repository, files int, bytes int64) {
	t.Helper()
	b := make([]byte, bytes/int64(files))
	for i := range files {
		if _, err := rand.Read(b); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(r.work, "notebooks", fmt.Sprintf("unit%02d", i%60), fmt.Sprintf("data%04d.bin", i))
		must(t, os.MkdirAll(filepath.Dir(name), 0o755))
		must(t, os.WriteFile(name, b, 0o644))
	}
	for u := range 60 {
		r.set(fmt.Sprintf("unit%02d/lab0.ipynb", u), notebook("first"))
	}
	r.git("config", "core.compression", "0")
	r.push("large")
}

func notebook(text string) string {
	nb := map[string]any{
		"nbformat": 4, "nbformat_minor": 5, "metadata": map[string]any{},
		"cells": []any{map[string]any{"cell_type": "markdown", "id": "a", "metadata": map[string]any{}, "source": text}},
	}
	data, _ := json.MarshalIndent(nb, "", " ")
	return string(data) + "\n"
}

func folderSize(t *testing.T, dir string) (n int64) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}
