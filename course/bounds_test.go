package course

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"satchel/bundle"
)

// TestSelectionBuilds: what Select gives is what bundle.Build takes, links
// included.
func TestSelectionBuilds(t *testing.T) {
	tree := fstest.MapFS{
		"a.txt": {Data: []byte("x"), Mode: 0o644}, "run": {Data: []byte("y"), Mode: 0o755}, "empty": {Mode: 0o644},
		"data/d": {Data: []byte("z"), Mode: 0o600}, "link": {Data: []byte("data"), Mode: fs.ModeSymlink | 0o777}, "drafts/x": {Data: []byte("no")},
		".satchel.yaml": {Data: []byte("hide: [drafts/]")},
	}
	s, err := Select(context.Background(), tree, nil)
	if err != nil || len(s.Notes()) > 0 {
		t.Fatal(err, s.Notes())
	}
	m := &bundle.Manifest{Files: s.Files}
	b, err := bundle.Build(context.Background(), t.TempDir(), bundle.Spec{Course: "c", Channel: "1", To: 1, Manifest: m}, s.FS())
	if err != nil {
		t.Fatal(err)
	}
	b.Discard()
	for _, not := range []string{"drafts/x", ".satchel.yaml", "data", "..", "link"} {
		if f, err := s.FS().Open(not); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s can be opened: %v, %v", not, f, err)
		}
	}
	f, err := s.FS().Open("link/d")
	if err != nil {
		t.Fatal(err)
	}
	if data, _ := io.ReadAll(f); string(data) != "z" {
		t.Errorf("%q", data)
	}
}

// TestLinkBomb: links that multiply end at the ceiling, before any content is
// read.
func TestLinkBomb(t *testing.T) {
	tree := fstest.MapFS{}
	for i := range 30 {
		for _, twin := range []string{"l", "r"} {
			tree[fmt.Sprintf("d%d/%s", i, twin)] = &fstest.MapFile{Data: []byte(fmt.Sprintf("../d%d", i+1)), Mode: fs.ModeSymlink | 0o777}
		}
	}
	tree["d30/f"] = &fstest.MapFile{Data: []byte("x")}
	s, err := Select(context.Background(), tree, nil)
	if err != nil || len(s.Stops) == 0 || !strings.Contains(s.Stops[0].Reason, "more than") {
		t.Fatalf("%v, %v", err, s.Stops)
	}
}

func TestTooManyFiles(t *testing.T) {
	tree := fstest.MapFS{}
	for i := range bundle.MaxFiles + 1 {
		tree[fmt.Sprintf("%d/%d", i%100, i)] = &fstest.MapFile{Mode: 0o644}
	}
	opened := map[string]int{}
	s, err := Select(context.Background(), countingFS{tree, opened, new(int)}, nil)
	if err != nil || len(s.Stops) != 1 || len(opened) > 0 {
		t.Fatalf("%v, %v, %d contents read", err, s.Stops, len(opened))
	}
}

func TestDeepFolders(t *testing.T) {
	s, err := Select(context.Background(), fstest.MapFS{strings.Repeat("d/", 70) + "f": {Data: []byte("x")}, "a": {}}, nil)
	if err != nil || len(s.Stops) != 1 || !strings.Contains(s.Stops[0].Reason, "deeper than 64") {
		t.Errorf("%v, %v", err, s.Stops)
	}
}

func TestSelectEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Select(ctx, fstest.MapFS{"a": {}}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// failingFS cannot read one thing.
type failingFS struct {
	fstest.MapFS
	open, dir string
}

var errDisk = errors.New("disk on fire")

func (f failingFS) Open(name string) (fs.File, error) {
	if name == f.open {
		return nil, errDisk
	}
	return f.MapFS.Open(name)
}

func (f failingFS) ReadDir(name string) ([]fs.DirEntry, error) {
	if name == f.dir {
		return nil, errDisk
	}
	return f.MapFS.ReadDir(name)
}

// TestUnreadableIsAnError: half a tree is never a selection.
func TestUnreadableIsAnError(t *testing.T) {
	tree := fstest.MapFS{"a/b": {Data: []byte("x")}, ".satchel.yaml": {Data: []byte("hide: [nothing]")}}
	for _, f := range []failingFS{{tree, "a/b", ""}, {tree, "", "a"}, {tree, "", "."}, {tree, RulesFile, ""}} {
		if s, err := Select(context.Background(), f, nil); !errors.Is(err, errDisk) {
			t.Errorf("%s%s: %v, %v", f.open, f.dir, s, err)
		}
	}
}

func TestFindingsEnd(t *testing.T) {
	tree := fstest.MapFS{"a": {}}
	for i := range maxFindings + 100 {
		tree[fmt.Sprintf("%d/solution.md", i)] = &fstest.MapFile{}
	}
	s, err := Select(context.Background(), tree, nil)
	if err != nil || len(s.Withheld) != maxFindings+1 || len(s.Notes()) != 1 || !strings.Contains(s.Notes()[0], "/solution.md and many more (a name") {
		t.Errorf("%v, %d, %q", err, len(s.Withheld), s.Notes())
	}
}
