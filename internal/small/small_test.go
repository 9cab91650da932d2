package small

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const limit = 1000

// TestReadFileIsBounded: what is at the limit comes whole; of what is above it
// nothing is for use, and what is not a file is not waited for.
func TestReadFileIsBounded(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	for size, well := range map[int]bool{0: true, 1: true, limit - 1: true, limit: true, limit + 1: false, 50 * limit: false} {
		want := bytes.Repeat([]byte("x"), size)
		if err := os.WriteFile(file, want, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadFile(file, limit)
		if (err == nil) != well || well && !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %d came, %v", size, len(got), err)
		}
		if len(got) > limit+1 {
			t.Errorf("%d bytes: %d were read", size, len(got))
		}
	}
	if _, err := ReadFile(filepath.Join(dir, "none"), limit); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	if _, err := ReadFile(dir, limit); err == nil {
		t.Error("a folder was read")
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip(err)
	}
	w, err := os.OpenFile(pipe, os.O_RDWR, 0) // so that opening it to read does not wait
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	done := make(chan error, 1)
	go func() { _, err := ReadFile(pipe, limit); done <- err }()
	select {
	case err := <-done:
		if err == nil {
			t.Error("a pipe was read")
		}
	case <-time.After(time.Minute):
		t.Fatal("a pipe is waited for")
	}
}

// TestReadFileThatGrows: a file to which somebody goes on writing, as fast as
// they can, ends at the limit all the same.
func TestReadFileThatGrows(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for n := 0; n < 50<<20; n += 64 {
			select {
			case <-stop:
				return
			default:
				_, _ = f.Write(make([]byte, 64))
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	for above := false; !above; { // it grows to 50 MiB
		got, err := ReadFile(file, limit)
		if len(got) > limit+1 {
			t.Fatalf("%d bytes were read", len(got))
		}
		above = err != nil
	}
	// One that is said to be empty, and is not.
	if got, err := ReadFile("/proc/self/smaps", limit); !errors.Is(err, fs.ErrNotExist) && (err == nil || len(got) > limit+1) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
