package course

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"satchel/bundle"
)

var update = flag.Bool("update", false, "write what Select says into testdata/select")

// TestSelect runs one file per case. Its files are the tree, but for "want",
// which holds what is delivered and found. Lines of the comment that begin
// with a word below add what txtar cannot say. @@KIND@@ in a content is a
// secret of that kind (made up; written out it would alarm scanners).
func TestSelect(t *testing.T) {
	cases, err := filepath.Glob("testdata/select/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Select(context.Background(), tree(t, a), nil)
			if err != nil {
				t.Fatal(err)
			}
			got := report(s)
			if *update {
				keepWant(t, file, a, got)
			}
			if diff := cmp.Diff(want(a), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func report(s *Selection) string {
	var b strings.Builder
	for _, f := range s.Files {
		mark := ""
		if f.Mode == 0o755 {
			mark += " (runs)"
		}
		if !s.Forms[f.Digest].IsZero() {
			mark += " (notebook)"
		}
		if f.Policy != bundle.Merge {
			mark += fmt.Sprintf(" (%s)", f.Policy)
		}
		if s.from[f.Path] != "" {
			mark += " from " + s.from[f.Path]
		}
		fmt.Fprintf(&b, "%s%s\n", plainPath(f.Path), mark)
	}
	for _, n := range s.Notes() {
		b.WriteString("- " + n + "\n")
	}
	return b.String()
}

func want(a *txtar.Archive) string {
	for _, f := range a.Files {
		if f.Name == "want" {
			return string(f.Data)
		}
	}
	return ""
}

func keepWant(t *testing.T, file string, a *txtar.Archive, got string) {
	for i, f := range a.Files {
		if f.Name == "want" {
			a.Files[i].Data = []byte(got)
		}
	}
	if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}

var secrets = strings.NewReplacer(
	"@@PEM@@", "-----BEGIN RSA PRIVATE "+"KEY-----\n"+strings.Repeat("MIIEpAIBAAKCAQEA7yn3bRHQ5FHMQ0aBMIIEpAIBAAKCAQEA7yn3bRHQ5FHMQ0aB\n", 4)+"-----END RSA PRIVATE KEY-----",
	"@@PEMJSON@@", "-----BEGIN OPENSSH PRIVATE "+`KEY-----\n",`+"\n"+strings.Repeat(`"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gt\n",`+"\n", 4)+`"-----END OPENSSH PRIVATE KEY-----\n`,
	"@@GITHUB@@", "ghp"+"_16C7e42F292c6912E7710c838347Ae178B4a",
	"@@GITLAB@@", "glpat"+"-zY3xq9Lm2Kp7Rt5Vw8Nb",
	"@@AWS@@", "AKIA"+"2E0A8F3B244C9986",
	"@@SLACK@@", "xoxb"+"-123456789012-1234567890123-AbCdEfGhIjKlMnOp",
	"@@BOM@@", "\xef\xbb\xbf", "@@LATIN1@@", "a\xf1o", "@@NUL@@", "\x00", "@@TAB@@", "\t", "@@CR@@", "\r",
)

// tree makes the file system of one case.
func tree(t *testing.T, a *txtar.Archive) fs.FS {
	fsys := fstest.MapFS{}
	for _, f := range a.Files {
		if f.Name != "want" {
			fsys[f.Name] = &fstest.MapFile{Data: []byte(secrets.Replace(string(f.Data))), Mode: 0o644}
		}
	}
	var names []rawEntry
	for line := range strings.Lines(string(a.Comment)) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "link": // link NAME TARGET
			name, target, _ := strings.Cut(rest, " ")
			fsys[name] = &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
		case "runs": // runs NAME
			fsys[rest].Mode = 0o755
		case "submodule": // submodule NAME
			fsys[rest] = &fstest.MapFile{Mode: fs.ModeIrregular}
		case "pipe":
			fsys[rest] = &fstest.MapFile{Mode: fs.ModeNamedPipe}
		case "raw": // raw "QUOTED NAME": an entry at the top that only git can hold
			name, err := strconv.Unquote(rest)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, rawEntry{name, 1})
		case "file": // file "QUOTED NAME"
			name, err := strconv.Unquote(rest)
			if err != nil {
				t.Fatal(err)
			}
			fsys[name] = &fstest.MapFile{Mode: 0o644}
		case "sized": // sized BYTES NAME
			size, name, _ := strings.Cut(rest, " ")
			n, _ := strconv.ParseInt(size, 10, 64)
			names = append(names, rawEntry{name, n})
		case "big": // big BYTES NAME: of zeros, before what stands there
			size, name, _ := strings.Cut(rest, " ")
			n, _ := strconv.Atoi(size)
			fsys[name].Data = []byte(strings.ReplaceAll(string(fsys[name].Data), "@@FILL@@", strings.Repeat("0", n)))
		}
	}
	return &rawFS{fsys, names}
}

// rawFS adds entries that fstest.MapFS refuses to hold.
type rawFS struct {
	fstest.MapFS
	extra []rawEntry
}

type rawEntry struct {
	name string
	size int64
}

func (e rawEntry) Name() string               { return e.name }
func (e rawEntry) IsDir() bool                { return false }
func (e rawEntry) Type() fs.FileMode          { return 0 }
func (e rawEntry) Info() (fs.FileInfo, error) { return rawInfo{e}, nil }

type rawInfo struct{ rawEntry }

func (i rawInfo) Size() int64        { return i.size }
func (i rawInfo) Mode() fs.FileMode  { return 0o644 }
func (i rawInfo) Sys() any           { return nil }
func (i rawInfo) ModTime() time.Time { return time.Time{} }

func (r *rawFS) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := r.MapFS.ReadDir(name)
	if name == "." {
		for _, e := range r.extra {
			entries = append(entries, e)
		}
	}
	return entries, err
}
