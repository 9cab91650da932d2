package bundle

import (
	"slices"
	"strings"
	"testing"
)

func TestCheckPathRefuses(t *testing.T) {
	for attack, path := range map[string]string{
		"empty":                         "",
		"dot":                           ".",
		"dot dot":                       "..",
		"climbs out":                    "../x",
		"climbs out from below":         "a/../../x",
		"dot in the middle":             "a/./b",
		"absolute":                      "/etc/passwd",
		"trailing slash":                "a/",
		"double slash":                  "a//b",
		"NUL":                           "a\x00.ipynb",
		"not UTF-8":                     "caf\xe9",
		"overlong slash":                "a\xc0\xafb",
		"git":                           ".git/config",
		"git below":                     "a/.git/hooks/x",
		"git in capitals":               ".GIT/config",
		"git with trailing dot (NTFS)":  ".git./config",
		"git with trailing blank":       ".git /config",
		"git as a stream (NTFS)":        ".git::$INDEX_ALLOCATION/config",
		"git by its short name (NTFS)":  "GIT~1/config",
		"git with a joiner (HFS+)":      ".gi\u200dt/config",
		"git with a byte order (HFS+)":  "\ufeff.git/config",
		"git with a direction mark":     ".g\u202eit/config",
		"our folder":                    ".satchel/state",
		"our folder in capitals":        ".Satchel",
		"our folder with a stream":      ".satchel:x",
		"our folder below":              "a/.satchel/x",
		"name too long":                 strings.Repeat("x", MaxName+1),
		"path too long":                 strings.Repeat(strings.Repeat("x", 200)+"/", 6) + "x",
		"too deep":                      strings.Repeat("d/", MaxDepth) + "x",
		"name too long in bytes":        strings.Repeat("ñ", 128),
		"our folder, invisible and dot": "\u200e.satchel.",
	} {
		if err := CheckPath(path); err == nil {
			t.Errorf("%s: %.80q was accepted", attack, path)
		}
	}
}

func TestCheckPathAccepts(t *testing.T) {
	for _, path := range []string{
		"a", "hw1/lab 3.ipynb", "ñandú/é.md", "..a/b..", "a:b", ".gitignore", ".github/x", "git", "satchel", "new\nline",
		"-rf", "~", "con", "日本語.txt", `back\slash`, strings.Repeat("x", MaxName), strings.Repeat("d/", MaxDepth-1) + "x",
	} {
		if err := CheckPath(path); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestCheckTreeNamesAllClashes(t *testing.T) {
	paths := []string{"a", "a/b", "b", "b", "c/d", "c/d/e/f", "c/de"}
	bad := CheckTree(paths)
	var got []string
	for _, err := range bad {
		got = append(got, err.Error())
	}
	want := []string{`"b": doubled`, `"a": a file, and the folder of "a/b"`, `"c/d": a file, and the folder of "c/d/e/f"`}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestCheckFolder(t *testing.T) {
	for _, name := range []string{"scala101", "Álgebra lineal", "a b"} {
		if err := CheckFolder(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for attack, name := range map[string]string{
		"empty": "", "hidden": ".hidden", "up": "..", "two components": "a/b", "backslash": `a\b`, "escape": "a\x1b[2J",
		"line break": "a\nb", "not UTF-8": "a\xff", "too long": strings.Repeat("x", 201), "ours": ".satchel", "delete": "a\x7f",
	} {
		if err := CheckFolder(name); err == nil {
			t.Errorf("%s: %q was accepted", attack, name)
		}
	}
}
