package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// digestOf is a digest that a test can tell apart from others.
func digestOf(s string) Digest { return Sum([]byte(s)) }

func plainFile(path, content string) File {
	return File{Path: path, Mode: 0o644, Size: int64(len(content)), Digest: digestOf(content), Policy: Merge}
}

func manifestOf(files ...File) *Manifest {
	m := &Manifest{Files: files, History: digestOf("history")}
	m.Sort()
	return m
}

// drawManifest makes any manifest that Check accepts.
func drawManifest(t *rapid.T) *Manifest {
	paths := rapid.SliceOfNDistinct(drawPath(), 0, 20, rapid.ID[string]).Draw(t, "paths")
	m := &Manifest{History: digestOf(rapid.String().Draw(t, "history"))}
	for _, p := range paths {
		m.Files = append(m.Files, File{
			Path: p, Mode: rapid.SampledFrom([]uint32{0o644, 0o755}).Draw(t, "mode"),
			Size:   rapid.Int64Range(0, MaxFileSize).Draw(t, "size"),
			Digest: digestOf(rapid.StringN(0, 2, -1).Draw(t, "content")),
			Policy: rapid.SampledFrom([]Policy{Merge, Once, Replace, ReadOnly}).Draw(t, "policy"),
		})
		if rapid.Bool().Draw(t, "withdrawn") {
			m.Withdrawn = append(m.Withdrawn, Pair{p, digestOf("gone" + p)})
		}
	}
	m.Sort()
	return m
}

// drawPath gives files whose names no folder of another has.
func drawPath() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		dir := rapid.SampledFrom([]string{"", "hw1/", "hw1/deep/", "ñandú/"}).Draw(t, "dir")
		return dir + "f-" + rapid.StringMatching(`[a-z \n"é:\\]{0,8}`).Draw(t, "name")
	})
}

func TestManifestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawManifest(t)
		text := m.Encode()
		back, err := DecodeManifest(text)
		if err != nil {
			t.Fatalf("decode: %v\n%q", err, text)
		}
		if !bytes.Equal(back.Encode(), text) {
			t.Fatalf("encoded again: %q\nwant %q", back.Encode(), text)
		}
		if back.Digest() != m.Digest() || back.Size() != m.Size() {
			t.Fatal("another digest or size after the round trip")
		}
	})
}

func TestManifestIsCanonicalWhateverTheOrder(t *testing.T) {
	a, b := plainFile("a", "1"), plainFile("b/c", "2")
	w, v := Pair{"a", digestOf("x")}, Pair{"a", digestOf("y")}
	one := &Manifest{Files: []File{a, b}, Withdrawn: []Pair{w, v}}
	two := &Manifest{Files: []File{b, a}, Withdrawn: []Pair{v, w}}
	one.Sort()
	two.Sort()
	if one.Digest() != two.Digest() {
		t.Error("the digest depends on the order in which files were found")
	}
}

// manifestText is a well-formed manifest with these lines.
func manifestText(lines ...string) []byte {
	return []byte("satchel-manifest 1\nhistory " + digestOf("history").String() + "\n" + strings.Join(lines, ""))
}

func fileLine(path string) string {
	return fmt.Sprintf("file 644 1 %s merge %d:%s\n", digestOf(path), len(path), path)
}

func TestManifestRefusesHostileText(t *testing.T) {
	d := digestOf("x").String()
	cases := map[string][]byte{
		"empty":                         nil,
		"not a manifest":                []byte("hello\n"),
		"format zero":                   []byte("satchel-manifest 0\nhistory " + d + "\n"),
		"format with a leading zero":    []byte("satchel-manifest 01\nhistory " + d + "\n"),
		"format not a number":           []byte("satchel-manifest one\nhistory " + d + "\n"),
		"no history":                    []byte("satchel-manifest 1\n"),
		"upper-case digest":             manifestText("file 644 1 " + strings.ToUpper(d) + " merge 1:a\n"),
		"short digest":                  manifestText("file 644 1 " + d[:62] + " merge 1:a\n"),
		"zero digest":                   manifestText("file 644 1 " + Digest{}.String() + " merge 1:a\n"),
		"path climbs out":               manifestText(fileLine("../etc/passwd")),
		"path climbs out in the middle": manifestText(fileLine("a/../../b")),
		"absolute path":                 manifestText(fileLine("/etc/passwd")),
		"git's folder":                  manifestText(fileLine(".git/hooks/post-checkout")),
		"git's folder on HFS":           manifestText(fileLine(".g\u200cit/config")),
		"our own folder":                manifestText(fileLine(".satchel/state")),
		"NUL in a name":                 manifestText(fileLine("a\x00b")),
		"not UTF-8":                     manifestText(fileLine("a\xff")),
		"the same path twice":           manifestText(fileLine("a"), fileLine("a")),
		"out of order":                  manifestText(fileLine("b"), fileLine("a")),
		"a file and its folder":         manifestText(fileLine("a"), fileLine("a/b")),
		"setuid":                        manifestText("file 4755 1 " + d + " merge 1:a\n"),
		"world-writable":                manifestText("file 666 1 " + d + " merge 1:a\n"),
		"negative size":                 manifestText("file 644 -1 " + d + " merge 1:a\n"),
		"minus zero":                    manifestText("file 644 -0 " + d + " merge 1:a\n"),
		"plus sign":                     manifestText("file 644 +1 " + d + " merge 1:a\n"),
		"size with a leading zero":      manifestText("file 644 01 " + d + " merge 1:a\n"),
		"size past the limit":           manifestText(fmt.Sprintf("file 644 %d %s merge 1:a\n", int64(MaxFileSize)+1, d)),
		"size past int64":               manifestText("file 644 99999999999999999999 " + d + " merge 1:a\n"),
		"policy that is no word":        manifestText("file 644 1 " + d + " over-write 1:a\n"),
		"policy in capitals":            manifestText("file 644 1 " + d + " Merge 1:a\n"),
		"delivered and withdrawn":       manifestText("file 644 1 "+d+" merge 1:a\n", "withdrawn "+d+" 1:a\n"),
		"length longer than the text":   manifestText("file 644 1 " + d + " merge 900:a\n"),
		"length past the limit":         manifestText("file 644 1 " + d + " merge 99999999:a\n"),
		"length shorter than the path":  manifestText("file 644 1 " + d + " merge 1:ab\n"),
		"cut off":                       manifestText(fileLine("a"))[:120],
		"something after the end":       manifestText(fileLine("a"), "and more\n"),
		"files after withdrawals":       manifestText("withdrawn "+d+" 1:a\n", fileLine("a")),
		"withdrawal without a digest":   manifestText("withdrawn " + Digest{}.String() + " 1:a\n"),
		"withdrawal climbs out":         manifestText("withdrawn " + d + " 4:../a\n"),
		"withdrawal twice":              manifestText("withdrawn "+d+" 1:a\n", "withdrawn "+d+" 1:a\n"),
	}
	for name, text := range cases {
		m, err := DecodeManifest(text)
		if !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v, %v; want ErrCorrupt", name, m, err)
		}
	}
}

func TestManifestOfANewerFormatIsLeftAlone(t *testing.T) {
	if _, err := DecodeManifest([]byte("satchel-manifest 2\nsomething new\n")); !errors.Is(err, ErrFormat) {
		t.Errorf("%v; want ErrFormat", err)
	}
	if _, err := DecodeHistory([]byte("satchel-history 7\n")); !errors.Is(err, ErrFormat) {
		t.Errorf("%v; want ErrFormat", err)
	}
}

func TestManifestLimits(t *testing.T) {
	if _, err := DecodeManifest(make([]byte, MaxManifestSize+1)); err == nil {
		t.Error("a manifest larger than the limit was read")
	}
	m := &Manifest{}
	for i := range MaxFiles + 1 {
		m.Files = append(m.Files, plainFile(fmt.Sprintf("f%06d", i), "x"))
	}
	if err := m.Check(); err == nil || !strings.Contains(err.Error(), "50001 files") {
		t.Errorf("%d files: %v", len(m.Files), err)
	}
	m.Files = m.Files[1:]
	if err := m.Check(); err != nil {
		t.Errorf("%d files: %v", len(m.Files), err)
	}
}

func TestDiffAndApplyAreInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := drawManifest(t), drawManifest(t)
		got, err := from.Apply(Diff(from, to))
		if err != nil {
			t.Fatal(err)
		}
		if got.Digest() != to.Digest() {
			t.Fatalf("applied: %s\nwant: %s", got.Encode(), to.Encode())
		}
		if fresh, err := (*Manifest)(nil).Apply(Diff(nil, to)); err != nil || fresh.Digest() != to.Digest() {
			t.Fatalf("from nothing: %v", err)
		}
	})
}

func TestDiffMarksRenames(t *testing.T) {
	same := plainFile("old.ipynb", "cells")
	from := manifestOf(same, plainFile("a", "1"), plainFile("twin", "cells"))
	moved := same
	moved.Path = "new.ipynb"
	c := Diff(from, manifestOf(moved, plainFile("a", "2"), plainFile("twin", "cells")))
	if len(c.Set) != 2 || c.Set[1].Path != "new.ipynb" || c.Set[1].RenamedFrom != "old.ipynb" {
		t.Errorf("set %+v", c.Set)
	}
	if c.Set[0].Path != "a" || c.Set[0].RenamedFrom != "" {
		t.Errorf("a changed file was marked as renamed: %+v", c.Set[0])
	}
	if len(c.Removed) != 1 || c.Removed[0] != "old.ipynb" {
		t.Errorf("removed %q", c.Removed)
	}
}

func TestApplyRefusesHostileChanges(t *testing.T) {
	m := manifestOf(plainFile("a", "1"))
	for name, c := range map[string]Changes{
		"climbs out":            {Set: []Change{{File: plainFile("../x", "1")}}},
		"the same path twice":   {Set: []Change{{File: plainFile("b", "1")}, {File: plainFile("b", "2")}}},
		"a file and its folder": {Set: []Change{{File: plainFile("a/b", "1")}}},
		"no policy":             {Set: []Change{{File: File{Path: "b", Mode: 0o644, Digest: digestOf("1")}}}},
		"withdrawals unsorted":  {Withdrawn: []Pair{{"b", digestOf("1")}, {"a", digestOf("1")}}},
	} {
		if got, err := m.Apply(c); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, %v; want ErrCorrupt", name, got, err)
		}
	}
	if len(m.Files) != 1 {
		t.Error("Apply changed its receiver")
	}
}

// TestPolicyOfALaterSatchelIsRead: an old agent takes it as merge.
func TestPolicyOfALaterSatchelIsRead(t *testing.T) {
	m, err := DecodeManifest(manifestText("file 644 1 " + digestOf("x").String() + " overlay 1:a\n"))
	if err != nil || m.Files[0].Policy != "overlay" || m.Files[0].Policy.Known() {
		t.Errorf("%v, %v", m, err)
	}
}
