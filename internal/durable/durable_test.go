package durable

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// writerEnv turns this test's binary into a program that writes the named
// file again and again until it is killed.
const writerEnv = "DURABLE_TEST_WRITE"

func TestMain(m *testing.M) {
	if path := os.Getenv(writerEnv); path != "" {
		writeForEver(path)
	}
	os.Exit(m.Run())
}

func writeForEver(path string) {
	for i := 0; ; i++ {
		if err := WriteFile(path, pattern(i), 0o600); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println(i)
	}
}

// pattern is a content that shows whether it is whole: its number, and a body
// that ends where the number says.
func pattern(i int) []byte {
	size := 1 + (i*7919)%200_000
	return append(fmt.Appendf(nil, "%d %d\n", i, size), bytes.Repeat([]byte{byte('a' + i%26)}, size)...)
}

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	for _, c := range []struct {
		data string
		mode fs.FileMode
	}{{"first", 0o600}, {"second, longer", 0o644}, {"", 0o640}, {"last", 0o400}} {
		if err := WriteFile(path, []byte(c.data), c.mode); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != c.data {
			t.Fatalf("read %q, %v; want %q", got, err, c.data)
		}
		if fi, _ := os.Stat(path); fi.Mode() != c.mode {
			t.Errorf("mode %v, want %v in spite of the umask", fi.Mode(), c.mode)
		}
	}
	onlyFile(t, path)
}

func TestWriteFileReplacesALinkAndLeavesItsTarget(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(link, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(target); string(got) != "mine" {
		t.Errorf("the link's target now holds %q", got)
	}
	if fi, _ := os.Lstat(link); !fi.Mode().IsRegular() {
		t.Errorf("the link is still one: %v", fi.Mode())
	}
}

func TestWriteFileThatCannotTakesItsTempAway(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	if err := os.Mkdir(path, 0o700); err != nil { // rename over a folder is refused
		t.Fatal(err)
	}
	if err := WriteFile(path, []byte("x"), 0o600); err == nil {
		t.Fatal("no error where a folder is in the way")
	}
	onlyFile(t, path)
	err := WriteFile(filepath.Join(dir, "absent", "key"), []byte("x"), 0o600)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "absent/key") {
		t.Errorf("error in a folder that is not there: %v", err)
	}
	if err := SyncDir(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("SyncDir of a folder that is not there: %v", err)
	}
}

// onlyFile fails when anything but path lies in its folder.
func onlyFile(t *testing.T, path string) {
	t.Helper()
	all, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(all) != 1 || all[0].Name() != filepath.Base(path) {
		t.Errorf("in the folder: %v, %v; want only %s", all, err, filepath.Base(path))
	}
}

// TestKillAtAnyMoment kills a writer with SIGKILL at 40 moments. After each
// the file is whole, and at least as new as the last write that returned.
func TestKillAtAnyMoment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	for round := range 40 {
		last := killWriter(t, path, round)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("after kill %d: %v", round, err)
		}
		var i, size int
		if _, err := fmt.Sscanf(string(data), "%d %d\n", &i, &size); err != nil || !bytes.Equal(data, pattern(i)) {
			t.Fatalf("after kill %d: half a file of %d bytes: %.40q", round, len(data), data)
		}
		if i < last {
			t.Fatalf("after kill %d: file holds write %d, but %d had returned", round, i, last)
		}
	}
}

// killWriter starts a writer, kills it once it has written round%5+1 times,
// and gives the number of the last write that it said was done.
func killWriter(t *testing.T, path string, round int) (last int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), writerEnv+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	last = -1
	for n := 0; lines.Scan(); n++ {
		if _, err := fmt.Sscan(lines.Text(), &last); err != nil {
			t.Fatalf("writer says %q", lines.Text())
		}
		if n == round%5 {
			cmd.Process.Kill() // the scan goes on: what was said before the kill counts
		}
	}
	cmd.Wait()
	return last
}
