package workdir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"satchel/bundle"
)

const (
	mySuffix   = "my copy"
	maxCopies  = 1000 // numbered copies of one name
	manyCopies = 20   // more of the course's copies than this in one sync go into a folder of their own
	savedKept  = 3    // newest of the student's files that the policy replace leaves beside
)

// documents take the suffix before the extension, so that they still open;
// in all others it comes last, so that build tools and test runners do not
// collect them.
var documents = []string{".ipynb", ".md", ".txt", ".pdf", ".html", ".csv", ".json",
	".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".bmp", ".tif", ".tiff"}

func courseSuffix(v bundle.Version) string { return fmt.Sprintf("course v%d", v) }

// stemOf cuts a name where the suffix goes in.
func stemOf(name string, folder bool) (stem, ext string) {
	ext = path.Ext(name)
	if folder || ext == name || !slices.Contains(documents, strings.ToLower(ext)) {
		return name, ""
	}
	return strings.TrimSuffix(name, ext), ext
}

// copyName is the n-th name of a copy: "lab3 (course v15) 2.ipynb".
func copyName(name, suffix string, n int, folder bool) string {
	stem, ext := stemOf(name, folder)
	tail := " (" + suffix + ")"
	if n > 1 {
		tail += " " + strconv.Itoa(n)
	}
	return shorten(stem, bundle.MaxName-len(tail)-len(ext)) + tail + ext
}

// shorten cuts s to at most limit bytes, between characters.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// isCopy says whether name is one that a copy of the course's file of that
// name would have, at any version.
func isCopy(name, of string) bool {
	stem, ext := stemOf(of, false)
	rest, ok := strings.CutSuffix(name, ext)
	i := strings.LastIndex(rest, " (course v")
	if !ok || i < 0 {
		return false
	}
	number, n, _ := strings.Cut(rest[i+len(" (course v"):], ")")
	if _, err := strconv.ParseUint(number, 10, 63); err != nil {
		return false
	}
	if n != "" {
		if _, err := strconv.ParseUint(strings.TrimPrefix(n, " "), 10, 31); err != nil || n[0] != ' ' {
			return false
		}
	}
	return rest[:i] == stem || (len(name) > bundle.MaxName-utf8.UTFMax && strings.HasPrefix(stem, rest[:i]))
}

// sameCopy looks in d for a copy of name that holds sum already.
func sameCopy(ctx context.Context, d *dir, name string, want bundle.Item) (string, bool) {
	names, err := d.names()
	if err != nil {
		return "", false
	}
	slices.Sort(names)
	for _, n := range names {
		if !isCopy(n, name) && n != name {
			continue
		}
		if s, err := d.stat(n); err != nil || s.Kind != Regular || s.Size != want.Size {
			continue
		}
		if sum, _, err := hashName(ctx, d, n); err == nil && sum == want.Digest {
			return n, true
		}
	}
	return "", false
}

// placeBeside gives a file of our own folders the first free name of a copy.
// bare tries the name itself first.
func placeBeside(from *dir, a string, to *dir, name, suffix string, bare bool) (string, error) {
	s, err := from.stat(a)
	if err != nil {
		return "", err
	}
	for n := 0; n <= maxCopies; n++ {
		as := name
		if n > 0 {
			as = copyName(name, suffix, n, s.Kind == Folder)
		} else if !bare {
			continue
		}
		if err := moveNew(from, a, to, as); err == nil || !errors.Is(err, fs.ErrExist) {
			return as, err
		}
	}
	return "", fmt.Errorf("%q: too many copies lie beside it", name)
}
