package workdir

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestTheWorkFolderIsALink(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(dir, "real")
	link := filepath.Join(dir, "work")
	os.Mkdir(real, 0o755)
	os.Symlink(real, link)
	if _, err := Open(context.Background(), logger(t), link, day); !errors.Is(err, ErrLink) {
		t.Fatalf("got %v", err)
	}
	if _, err := Open(context.Background(), logger(t), filepath.Join(dir, "none"), day); !errors.Is(err, ErrNoFolder) {
		t.Fatalf("got %v", err)
	}
	if len(tree(t, real)) != 0 {
		t.Fatal("something was written through the link")
	}
}

// outside makes a folder that nothing may reach.
func outside(t *testing.T) (dir string, same func()) {
	dir = t.TempDir()
	os.WriteFile(filepath.Join(dir, "a.txt"), []byte("precious"), 0o644)
	os.WriteFile(filepath.Join(dir, "journal"), []byte("precious"), 0o644)
	return dir, func() {
		t.Helper()
		got := tree(t, dir)
		if len(got) != 2 || got["a.txt"] != "precious" || got["journal"] != "precious" {
			t.Fatalf("outside changed: %v", got)
		}
	}
}

func TestPlantedLinks(t *testing.T) {
	for _, where := range []string{".satchel", ".satchel/scala101", ".satchel/scala101/stage", ".satchel/scala101/hold",
		".satchel/scala101/base", ".satchel/scala101/shelf", ".satchel/scala101/manifests", "scala", "scala/hw"} {
		t.Run(where, func(t *testing.T) {
			w := newWorld(t)
			dir, same := outside(t)
			full := filepath.Join(w.root, where)
			os.MkdirAll(filepath.Dir(full), 0o755)
			os.Symlink(dir, full)
			w.publish("a.txt", "course", "hw/a.txt", "course")
			w.sync()
			w.publish("a.txt", "course 2", "hw/a.txt", "course 2", "hw/b.txt", "new")
			w.sync()
			same()
			if data, _ := os.ReadFile(w.path("a.txt")); string(data) != "course 2" {
				t.Fatalf("a.txt is %q", data)
			}
		})
	}
}

func TestLinkInPlaceOfADeliveredFolder(t *testing.T) {
	w := newWorld(t)
	dir, same := outside(t)
	w.publish("hw/a.txt", "one", "b.txt", "b")
	w.sync()
	w.remove("hw")
	os.Symlink(dir, w.path("hw"))
	w.publish("hw/a.txt", "two", "hw/new.txt", "new", "b.txt", "b2")
	r := w.sync()
	same()
	wantEvents(t, r, "blocked hw/a.txt | scala (course v2)/hw/a.txt", "blocked hw/new.txt | scala (course v2)/hw/new.txt")
	w.has("hw", "-> "+dir, "b.txt", "b2")
	wantEvents(t, w.sync())
}

func TestPlantedFilesOfSatchelsOwn(t *testing.T) {
	w := newWorld(t)
	dir, same := outside(t)
	w.publish("a.txt", "one")
	w.sync()
	journal := filepath.Join(w.root, ".satchel/scala101/journal")
	for _, plant := range []func() error{
		func() error { return os.Symlink(filepath.Join(dir, "journal"), journal) },
		func() error { return os.Link(filepath.Join(dir, "journal"), journal) },
		func() error { return os.Mkdir(journal, 0o755) },
		func() error { return syscall.Mkfifo(journal, 0o644) },
	} {
		os.RemoveAll(journal)
		if err := plant(); err != nil {
			t.Fatal(err)
		}
		w.publish("a.txt", w.files["a.txt"]+"!")
		wantEvents(t, w.sync())
		same()
	}
	w.has("a.txt", "one!!!!")
}

func TestSpecialFilesAreNeverOpened(t *testing.T) {
	w := newWorld(t)
	w.publish("fifo", "x", "sock", "x", "b.txt", "b")
	if err := os.MkdirAll(w.path("."), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(w.path("fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	t.Chdir(w.path("."))
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: "sock"}); err != nil {
		t.Fatal(err)
	}
	done := make(chan *Result, 1)
	go func() { done <- w.sync() }()
	select {
	case r := <-done:
		wantEvents(t, r, "in_the_way fifo | fifo (course v1)", "in_the_way sock | sock (course v1)")
	case <-time.After(20 * time.Second):
		t.Fatal("a FIFO was opened")
	}
}

func TestHardLinksAreBrokenNotWrittenThrough(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one", "run.sh", "x")
	w.sync()
	keep := filepath.Join(w.root, "keep")
	keepRun := filepath.Join(w.root, "keep.sh")
	os.Link(w.path("a.txt"), keep)
	os.Link(w.path("run.sh"), keepRun)
	w.modes["run.sh"] = 0o755
	w.publish("a.txt", "two")
	w.sync()
	if data, _ := os.ReadFile(keep); string(data) != "one" {
		t.Fatalf("the other name holds %q", data)
	}
	if s, _ := os.Stat(keepRun); s.Mode().Perm() != 0o644 {
		t.Fatalf("the other name's mode is %v", s.Mode())
	}
	if data, _ := os.ReadFile(w.path("a.txt")); string(data) != "two" {
		t.Fatalf("the course's file holds %q", data)
	}
}

// A folder is swapped for a link and back, all the time, while updates run.
func TestAFolderSwappedForALinkInARace(t *testing.T) {
	w := newWorldAt(silent{t}, quickDir(t))
	dir, same := outside(t)
	files := func(v string) (out []string) {
		for _, p := range []string{"hw/a.txt", "hw/b.txt", "hw/sub/c.txt", "hw/journal"} {
			out = append(out, p, v)
		}
		return out
	}
	w.publish(files("v0")...)
	w.sync()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		hw, aside := w.path("hw"), w.path("aside")
		for {
			select {
			case <-stop:
				return
			default:
			}
			if os.Rename(hw, aside) == nil {
				os.Symlink(dir, hw)
				os.Remove(hw)
				os.Rename(aside, hw)
			}
		}
	})
	for n := range 40 {
		w.publish(files(string(rune('a' + n%26)))...)
		if _, err := w.trySync(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
	same()
}

// The looks before are only the first wall; each opening refuses links by
// itself.
func TestOpeningALinkIsRefusedByTheKernel(t *testing.T) {
	w := newWorld(t)
	dir, _ := outside(t)
	os.Symlink(dir, filepath.Join(w.root, "folder"))
	os.Symlink(filepath.Join(dir, "a.txt"), filepath.Join(w.root, "file"))
	h := w.open()
	defer h.Close()
	if d, err := h.top.sub("folder"); err == nil {
		d.close()
		t.Error("a folder was opened through a link")
	}
	for _, flags := range []int{os.O_RDONLY, os.O_WRONLY | os.O_CREATE, os.O_WRONLY | os.O_APPEND} {
		if fd, err := openat(h.top, "file", flags, 0o600); err == nil {
			syscall.Close(fd)
			t.Errorf("a file was opened through a link with flags %x", flags)
		}
	}
}

// Whoever waits to write into a FIFO would see somebody open it.
func TestAFIFOIsLookedAtNotOpened(t *testing.T) {
	w := newWorld(t)
	fifo := filepath.Join(w.root, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	go func() {
		f, err := os.OpenFile(fifo, os.O_WRONLY, 0)
		if err == nil {
			f.Close()
		}
		opened <- err
	}()
	h := w.open()
	defer h.Close()
	for start := time.Now(); time.Since(start) < 200*time.Millisecond; {
		if _, _, err := h.top.open("fifo"); !errors.Is(err, errNotRegular) {
			t.Fatalf("got %v", err)
		}
	}
	select {
	case <-opened:
		t.Error("it was opened")
	default:
		r, err := os.OpenFile(fifo, os.O_RDONLY, 0) // let the writer go
		if err != nil {
			t.Fatal(err)
		}
		<-opened
		r.Close()
	}
}

func TestAJournalWithASecondNameIsNotWrittenThrough(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one")
	w.sync()
	other := filepath.Join(w.root, "other name")
	if err := os.Link(filepath.Join(w.root, ".satchel/scala101/journal"), other); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(other)
	w.publish("a.txt", "two")
	w.sync()
	if after, _ := os.ReadFile(other); string(after) != string(before) {
		t.Fatal("the other name was written to")
	}
}
