package store_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"satchel/store"
)

// workerEnv turns this test's binary into another process on the same folder:
// "count N DIR" adds N to a counter, "write DIR" writes until it is killed,
// "fill DIR" fills the disk, "put DIR" writes a bundle and a record.
const workerEnv = "STORE_TEST_WORKER"

func TestMain(m *testing.M) {
	if job := os.Getenv(workerEnv); job != "" {
		if err := work(strings.Fields(job)); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func work(job []string) error {
	root := job[len(job)-1]
	if job[0] == "fill" {
		return fill(root)
	}
	d, err := store.NewDir(root)
	if err != nil {
		return err
	}
	switch job[0] {
	case "write":
		return writeForEver(d)
	case "put":
		if err := d.PutIfAbsent(context.Background(), "courses/x/bundle", strings.NewReader("x")); err != nil {
			return err
		}
		_, err := d.CompareAndSwap(context.Background(), "courses/x/record", "", []byte("y"))
		return err
	}
	n, err := strconv.Atoi(job[1])
	for range n {
		if err = errors.Join(err, count(context.Background(), d)); err != nil {
			return err
		}
	}
	return err
}

// count adds one to the counter by compare-and-swap, as often as it loses.
func count(ctx context.Context, s store.Store) error {
	for {
		n, tag := 0, ""
		r, o, err := s.Get(ctx, "counter")
		if err == nil {
			data, rerr := io.ReadAll(r)
			r.Close()
			tag = o.ETag
			n, err = strconv.Atoi(string(data))
			err = errors.Join(rerr, err)
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		_, err = s.CompareAndSwap(ctx, "counter", tag, []byte(strconv.Itoa(n+1)))
		if !errors.Is(err, store.ErrChanged) {
			return err
		}
	}
}

// writeForEver puts whole objects of one letter and says each time it has.
func writeForEver(d *store.Dir) error {
	for i := 0; ; i++ {
		body := bytes.Repeat([]byte{byte('a' + i%26)}, 300_000+i)
		if err := d.Put(context.Background(), "courses/x/record", bytes.NewReader(body)); err != nil {
			return err
		}
		fmt.Println(len(body))
	}
}

// fill puts more into the store than its disk has room for, and says what
// came of it.
func fill(root string) error {
	ctx := context.Background()
	d, err := store.NewDir(root)
	if err != nil {
		return err
	}
	old := bytes.Repeat([]byte("o"), 600_000)
	if err := d.Put(ctx, "courses/x/record", bytes.NewReader(old)); err != nil {
		fmt.Println(err)
		return nil // on the read-only disk
	}
	for range 2 {
		fmt.Println(d.Put(ctx, "courses/x/record", bytes.NewReader(make([]byte, 600_000))))
	}
	r, _, err := d.Get(ctx, "courses/x/record")
	if err != nil {
		return err
	}
	defer r.Close()
	if data, _ := io.ReadAll(r); bytes.Equal(data, old) {
		fmt.Println("the old object is whole")
	}
	if left, _ := os.ReadDir(filepath.Join(root, ".tmp")); len(left) == 0 {
		fmt.Println("nothing in .tmp")
	}
	return nil
}

func worker(t *testing.T, job string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), workerEnv+"="+job)
	return cmd
}

func TestDirTwoProcessesCountTogether(t *testing.T) {
	root := t.TempDir()
	d := newDir(t, root)
	const each = 40
	var wg sync.WaitGroup
	for range 2 {
		cmd := worker(t, fmt.Sprintf("count %d %s", each, root))
		wg.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("worker: %v: %s", err, out)
			}
		})
	}
	for range each {
		if err := count(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	r, _, err := d.Get(t.Context(), "counter")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if data, _ := io.ReadAll(r); string(data) != strconv.Itoa(3*each) {
		t.Errorf("three processes counted %d each and came to %s", each, data)
	}
}

// TestDirKillAWriter kills a writing process again and again. What is read is
// whole and at least as new as the last write that returned; the lock is free;
// what lies in .tmp goes away when the store is opened once it is old.
func TestDirKillAWriter(t *testing.T) {
	root := t.TempDir()
	d := newDir(t, root)
	for round := range 12 {
		last := killWriter(t, root, round%4)
		r, o, err := d.Get(t.Context(), "courses/x/record")
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		r.Close()
		if err != nil || int64(len(data)) != o.Size || len(data) < last || len(bytes.Trim(data, string(data[:1]))) > 0 {
			t.Fatalf("after kill %d: %d bytes of %d, %v; %d had returned", round, len(data), o.Size, err, last)
		}
		put(t, d, "courses/x/other", "the lock is free")
	}
	plantTemp(t, root, "leftover")
	newDir(t, root) // clears
	if left, _ := os.ReadDir(filepath.Join(root, ".tmp")); len(left) != 0 {
		t.Errorf("in .tmp remain %v", left)
	}
}

// plantTemp makes everything in .tmp old, and one file more.
func plantTemp(t *testing.T, root, name string) string {
	t.Helper()
	path := filepath.Join(root, ".tmp", name)
	if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	all, _ := filepath.Glob(filepath.Join(root, ".tmp", "*"))
	old := time.Now().Add(-time.Hour)
	for _, p := range all {
		if err := os.Chtimes(p, old, old); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func killWriter(t *testing.T, root string, writes int) (last int) {
	t.Helper()
	cmd := worker(t, "write "+root)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		if last, err = strconv.Atoi(lines.Text()); err != nil {
			t.Fatalf("worker says %q", lines.Text())
		}
		if n == writes {
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	return last
}

// TestDirKeepsTheTempOfALivingWriter: old it may be, but somebody holds it.
func TestDirKeepsTheTempOfALivingWriter(t *testing.T) {
	root := t.TempDir()
	newDir(t, root)
	path := plantTemp(t, root, "slow")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	newDir(t, root)
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the living writer's file: %v", err)
	}
}

// TestDirWaitsForTheLockNoLongerThanItsContext: reads go on meanwhile.
func TestDirWaitsForTheLockNoLongerThanItsContext(t *testing.T) {
	root := t.TempDir()
	d := newDir(t, root)
	put(t, d, "a/b", "x")
	held, err := os.Open(filepath.Join(root, ".lock"))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(held.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := d.Put(ctx, "a/b", strings.NewReader("y")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Put while another process holds the lock: %v", err)
	}
	if _, err := d.Head(t.Context(), "a/b"); err != nil {
		t.Errorf("Head while another process holds the lock: %v", err)
	}
	held.Close()
	put(t, d, "a/b", "y")
}
