package config

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// seen is what a watch said.
type seen struct {
	c   *Config
	err error
}

// watch starts one and gives what it says; the first is what is there.
func watch(t *testing.T, path string) <-chan seen {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	said, done := make(chan seen, 100), make(chan error, 1)
	lg := slog.New(slog.NewTextHandler(testLog{t}, nil))
	go func() { done <- Watch(ctx, lg, path, func(c *Config, err error) { said <- seen{c, err} }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("watch: %v", err)
		}
	})
	return said
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func next(t *testing.T, said <-chan seen) seen {
	t.Helper()
	select {
	case s := <-said:
		return s
	case <-time.After(10 * time.Second):
		t.Fatal("the watch says nothing")
	}
	return seen{}
}

func TestWatchSeesEveryKindOfChange(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "satchel.yaml")
	write(t, path, small)
	said := watch(t, path)
	if s := next(t, said); s.err != nil || len(s.c.Courses) != 1 {
		t.Fatalf("at first: %v", s.err)
	}
	steps := []struct {
		name  string
		do    func()
		check func(s seen) bool
	}{
		{"written in place", func() { write(t, path, small+"id: two\n") }, func(s seen) bool { return s.c != nil && s.c.ID == "two" }},
		{"replaced by a rename", func() {
			write(t, path+".new", small+"id: three\n")
			os.Rename(path+".new", path)
		}, func(s seen) bool { return s.c != nil && s.c.ID == "three" }},
		{"broken", func() { write(t, path, "id: [\n") }, func(s seen) bool { return s.c == nil && s.err != nil }},
		{"mended", func() { write(t, path, small) }, func(s seen) bool { return s.err == nil }},
		{"a folder of courses, later", func() {
			write(t, filepath.Join(dir, "courses.d/b.yaml"), "{name: b, repository: /srv/b, audience: {users_file: users}}\n")
		}, func(s seen) bool { return s.c != nil && len(s.c.Courses) == 2 }},
		{"a file that it names", func() {
			write(t, filepath.Join(dir, "courses.d/users"), "x\n")
			write(t, filepath.Join(dir, "users"), "ana\n")
		},
			func(s seen) bool { return s.c != nil && s.c.Courses[1].Audience.Admits("ana", nil) }},
		{"a key made in a folder that was not there", func() { write(t, filepath.Join(dir, "secrets/hook"), "x") }, func(s seen) bool { return s.err == nil }},
		{"a key rotated", func() { write(t, filepath.Join(dir, "secrets/hook"), "y") }, func(s seen) bool { return s.err == nil }},
		{"a course gone", func() { os.Remove(filepath.Join(dir, "courses.d/b.yaml")) }, func(s seen) bool { return s.c != nil && len(s.c.Courses) == 1 }},
	}
	for _, step := range steps {
		step.do()
		for s := next(t, said); !step.check(s); s = next(t, said) {
			t.Logf("%s: not yet (%v)", step.name, s.err)
		}
	}
}

// TestWatchKubernetes: a mounted ConfigMap changes by one rename of a link
// beside the links that are read.
func TestWatchKubernetes(t *testing.T) {
	dir := t.TempDir()
	mount := func(stamp, text string) {
		write(t, filepath.Join(dir, stamp, "satchel.yaml"), text)
		os.Symlink(stamp, filepath.Join(dir, "..data_tmp"))
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	mount("..2026_1", small)
	path := filepath.Join(dir, "satchel.yaml")
	if err := os.Symlink("..data/satchel.yaml", path); err != nil {
		t.Fatal(err)
	}
	said := watch(t, path)
	next(t, said)
	for _, id := range []string{"two", "three"} {
		mount("..2026_"+id, small+"id: "+id+"\n")
		if s := next(t, said); s.err != nil || s.c.ID != id {
			t.Fatalf("%v, %+v", s.err, s.c)
		}
	}
}

// TestWatchIsQuiet: what changes nothing is not told, and a storm of writes
// is told as few changes.
func TestWatchIsQuiet(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "satchel.yaml")
	write(t, path, small)
	said := watch(t, path)
	next(t, said)
	for range 50 {
		write(t, filepath.Join(dir, "unrelated"), "x")
		write(t, path, small)
	}
	write(t, path, small+"id: last\n")
	count := 1
	for s := next(t, said); s.c == nil || s.c.ID != "last"; s = next(t, said) {
		count++
	}
	if count > 5 {
		t.Errorf("told %d times", count)
	}
	if len(said) > 0 {
		t.Errorf("and %d more", len(said))
	}
}
