package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/store"
	"satchel/store/storetest"
)

func newDir(t testing.TB, path string) *store.Dir {
	t.Helper()
	d, err := store.NewDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func put(t testing.TB, s store.Store, key, data string) {
	t.Helper()
	if err := s.Put(t.Context(), key, strings.NewReader(data)); err != nil {
		t.Fatal(err)
	}
}

func TestDirContract(t *testing.T) {
	storetest.Contract(t, func(t *testing.T) store.Store { return newDir(t, t.TempDir()) })
}

func TestDirHasNoSignedURL(t *testing.T) {
	d := newDir(t, t.TempDir())
	put(t, d, "a/b", "x")
	if _, err := d.SignedURL(t.Context(), "a/b", store.Section{ETag: `"x"`, Length: 1}, time.Minute); !errors.Is(err, store.ErrUnsupported) {
		t.Errorf("SignedURL: %v; want ErrUnsupported", err)
	}
}

// TestDirLeavesNothingBehind looks at the folder itself: after writes that
// succeed, lose and are refused only objects lie there, and no empty folder.
func TestDirLeavesNothingBehind(t *testing.T) {
	root := t.TempDir()
	d := newDir(t, root)
	put(t, d, "a/b/c", "x")
	if err := d.PutIfAbsent(t.Context(), "a/b/c", strings.NewReader("y")); !errors.Is(err, store.ErrExists) {
		t.Fatal(err)
	}
	if _, err := d.CompareAndSwap(t.Context(), "a/b/c", "wrong", []byte("z")); !errors.Is(err, store.ErrChanged) {
		t.Fatal(err)
	}
	if err := d.Put(t.Context(), "a/b/c/below", strings.NewReader("y")); err == nil {
		t.Fatal("an object below an object")
	}
	put(t, d, "d/e/f", "x")
	if err := d.Delete(t.Context(), "d/e/f"); err != nil {
		t.Fatal(err)
	}
	var found []string
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, path)
		found = append(found, rel)
		return err
	})
	want := ". .lock .tmp a a/b a/b/c"
	if got := strings.Join(found, " "); err != nil || got != want {
		t.Errorf("in the folder: %s, %v; want %s", got, err, want)
	}
}

func TestDirIsNotForOthers(t *testing.T) {
	root := t.TempDir()
	d := newDir(t, root)
	put(t, d, "a/b", "x")
	for _, path := range []string{".tmp", ".lock", "a", "a/b"} {
		fi, err := os.Stat(filepath.Join(root, path))
		if err != nil || fi.Mode()&0o007 != 0 {
			t.Errorf("%s: %v, %v; want nothing for others", path, fi.Mode(), err)
		}
	}
}

// TestDirSymlinkPlantedInTheFolder: links inside the folder lead nowhere
// outside it, for reading, writing, listing and deleting.
func TestDirSymlinkPlantedInTheFolder(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	d := newDir(t, root)
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"file": secret, "folder": outside, "rel": "../" + filepath.Base(outside)} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"file", "folder/secret", "rel/secret"} {
		if r, _, err := d.Get(t.Context(), key); err == nil {
			r.Close()
			t.Errorf("Get %s reads outside", key)
		}
	}
	for _, key := range []string{"folder/new", "rel/new", "folder/secret"} {
		if err := d.Put(t.Context(), key, strings.NewReader("x")); err == nil {
			t.Errorf("Put %s writes outside", key)
		}
		if err := d.Delete(t.Context(), key); err == nil {
			t.Errorf("Delete %s goes outside", key)
		}
	}
	for o, err := range d.List(t.Context(), "", "") {
		t.Errorf("List shows %v, %v", o, err)
	}
	all, _ := os.ReadDir(outside)
	if data, _ := os.ReadFile(secret); len(all) != 1 || string(data) != "secret" {
		t.Errorf("outside changed: %v, %q", all, data)
	}
}

// TestDirReaderKeepsItsObject: what was opened is read to its end, although
// the object is replaced and deleted meanwhile.
func TestDirReaderKeepsItsObject(t *testing.T) {
	d := newDir(t, t.TempDir())
	put(t, d, "a/b", "first")
	r, _, err := d.Get(t.Context(), "a/b")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	put(t, d, "a/b", "second, and longer")
	if err := d.Delete(t.Context(), "a/b"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := r.Read(buf); string(buf[:n]) != "first" {
		t.Errorf("read %q, %v", buf[:n], err)
	}
}

// TestDirETagOfAReplacedLargeFile: the etag of a large file is remembered, and
// must still follow each replacement, also one of the same size and time.
func TestDirETagOfAReplacedLargeFile(t *testing.T) {
	root := t.TempDir()
	d := newDir(t, root)
	path := filepath.Join(root, "large")
	old := time.Now().Add(-time.Hour)
	seen := map[string]bool{}
	for i := range 4 {
		put(t, d, "large", strings.Repeat(string(rune('a'+i)), 200_000))
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
		var tags [2]string
		for j := range tags { // the second time it is remembered
			o, err := d.Head(t.Context(), "large")
			if err != nil {
				t.Fatal(err)
			}
			tags[j] = o.ETag
		}
		if tags[0] != tags[1] || seen[tags[0]] {
			t.Errorf("content %d: etags %v", i, tags)
		}
		seen[tags[0]] = true
	}
}

func TestDirSentences(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.NewDir(filepath.Join(file, "store")); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a store below a file: %v", err)
	}
	root := t.TempDir()
	d := newDir(t, root)
	if err := os.Remove(filepath.Join(root, ".tmp")); err != nil {
		t.Fatal(err)
	}
	if err := d.Put(t.Context(), "a/b", strings.NewReader("x")); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("Put without .tmp: %v; want an error, but not ErrNotFound", err)
	}
}
