package course

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// oracle is git itself: one repository in which every path is a folder, and
// one in which none exists and git takes them for files.
type oracle struct{ folders, files string }

func newOracle(t testing.TB) oracle {
	o := oracle{t.TempDir(), t.TempDir()}
	for _, repo := range []string{o.folders, o.files} {
		if out, err := exec.Command("git", "init", "-q", repo).CombinedOutput(); err != nil {
			t.Fatalf("git init: %v: %s", err, out)
		}
	}
	return o
}

// hidden asks git check-ignore for all paths at once.
func hidden(t testing.TB, repo string, lines, paths []string) map[string]bool {
	t.Helper()
	if err := os.WriteFile(filepath.Join(repo, ".git", "info", "exclude"), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("git", "-C", repo, "-c", "core.excludesFile=/dev/null", "check-ignore", "--no-index", "-z", "--stdin", "--verbose", "--non-matching")
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null")
	cmd.Stdin = strings.NewReader(strings.Join(paths, "\x00") + "\x00")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("git check-ignore: %v: %s", err, complaint.String())
	}
	said := map[string]bool{}
	fields := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if len(fields) != 4*len(paths) {
		t.Fatalf("git answered %d fields for %d paths", len(fields), len(paths))
	}
	for i := 0; i < len(fields); i += 4 {
		said[fields[i+3]] = fields[i] != "" && !strings.HasPrefix(fields[i+2], "!")
	}
	return said
}

func (o oracle) compare(t testing.TB, lines, paths []string) {
	t.Helper()
	ps, err := ParsePatterns(lines)
	if err != nil {
		t.Fatalf("%q: %v", lines, err)
	}
	for _, p := range paths {
		if err := os.MkdirAll(filepath.Join(o.folders, p), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	folders, files := hidden(t, o.folders, lines, paths), hidden(t, o.files, lines, paths)
	for _, p := range paths {
		if got := ps.Hidden(p, true); got != folders[p] {
			t.Errorf("patterns %q, folder %q: hidden %v, git says %v", lines, p, got, folders[p])
		}
		if got := ps.Hidden(p, false); got != files[p] {
			t.Errorf("patterns %q, file %q: hidden %v, git says %v", lines, p, got, files[p])
		}
	}
}

var oraclePaths = []string{
	"a", "b", "a/b", "a/b/c", "b/a", "b/a/c", "c/a/b", "a/x/b", "a/x/y/b", "x/a/y/b/c",
	"foo", "foo/bar", "foo/x/bar", "foox/bar", "foox/y/bar", "bar", "x/foo/bar", "fo", "f", "foo.key", "x/foo.key", ".key", "key",
	"abc", "a-c", "a]c", "a^c", "a!c", "a*c", "a?c", `a\c`, "a c", "a ", " a", "#a", "!a", "aXc", "a5c", "a_c", "ab", "é", "xé", ".hidden", "dir/.hidden",
	"hw1/solution.ipynb", "hw1/sub/solution.ipynb", "data", "data/x.csv", "x/data", "x/data/y", "deep/a/b/c/d/e/f",
}

// TestPatternsAgreeWithGit is the oracle: patterns by hand, each alone.
func TestPatternsAgreeWithGit(t *testing.T) {
	git := newOracle(t)
	for _, line := range []string{
		"a", "a/", "/a", "/a/", "a/b", "/a/b", "a/b/", "*", "/*", "*/", "**", "**/", "/**", "**/a", "a/**", "a/**/b", "a/**/", "**/a/**", "a/**/**/b", "**/b/c",
		"*.key", "foo*", "*foo", "f*o", "f*", "foo/*", "foo/*/bar", "foo/**/bar", "foo**/bar", "foo/**bar", "foo/b**r", "f**", "***/a", "a/***/b", "?", "a?c", "??", "a/?",
		"[ab]", "a[bX]c", "a[!b]c", "a[^b]c", "a[a-z]c", "a[A-Z]c", "a[0-9]c", "a[]]c", "a[!]]c", "a[]-]c", "a[-x]c", "a[x-]c", "a[z-a]c", "a[[:digit:]]c", "a[[:alpha:]_]c",
		"a[[:upper:][:digit:]]c", `a[\]]c`, `a[\\]c`, `a[a\-z]c`, `a[b/]c`, `a\*c`, `a\?c`, `a\\c`, `a\c`, `\a`, `\#a`, `\!a`, "a ", `a\ `, ` a`, "a  ", `a c`, "é", "?é", "*é", "x?",
		".*", ".hidden", "solution*", "hw1/solution*", "**/solution.ipynb", "data/", "/data/", "data/*", "x/data", "deep/**/e", "deep/*/b", "deep/**/c/**/f", `foo\/bar`, `a/**\/b`,
		"a//", "//a", "/a//b", "a/", "foo/", "x*/", "[", "a/*/**", "**/*/b", "*/**/b", "*/*", "/*/*",
	} {
		if _, err := parsePattern(line); err != nil {
			continue // refused: nobody is misled
		}
		git.compare(t, []string{line}, oraclePaths)
	}
}

// TestNegatedPatternsAgreeWithGit: several lines, the last match decides.
func TestNegatedPatternsAgreeWithGit(t *testing.T) {
	git := newOracle(t)
	for _, lines := range [][]string{
		{"*", "!*/", "!a"}, {"*", "!foo"}, {"foo/", "!foo/bar"}, {"foo/*", "!foo/bar"}, {"*.key", "!foo.key"}, {"!a", "a"}, {"a", "!a", "a"},
		{"/*", "!/a", "/a/*", "!/a/b"}, {"**/b", "!a/b"}, {"data/**", "!data/**/", "!data/x.csv"}, {`\!a`, "!b"}, {"a*", "!a?c", "a-c"},
	} {
		git.compare(t, lines, oraclePaths)
	}
}

// TestRandomPatternsAgreeWithGit makes up patterns and paths of few letters.
func TestRandomPatternsAgreeWithGit(t *testing.T) {
	git := newOracle(t)
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	pick := func(of []string, n int) string {
		var b strings.Builder
		for range 1 + rnd.IntN(n) {
			b.WriteString(of[rnd.IntN(len(of))])
		}
		return b.String()
	}
	for round := range 15 {
		var lines, paths []string
		for range 1 + rnd.IntN(3) {
			line := pick([]string{"a", "b", "*", "**", "/", "?", "[ab]", "[!a]", "**/", "/**/", ".", "!", `\*`, "[a-b]"}, 6)
			if _, err := parsePattern(line); err == nil {
				lines = append(lines, line)
			}
		}
		seen := map[string]bool{}
		for range 60 {
			p := strings.Trim(pick([]string{"a", "b", "/", "ab", "c", ".", "*"}, 8), "/")
			if clean := filepath.Clean(p); p == "" || clean != p || strings.Contains(p, "..") || p == "." || seen[p] {
				continue
			}
			seen[p] = true
			paths = append(paths, p)
		}
		if git.compare(t, lines, paths); t.Failed() {
			t.Fatalf("round %d, seed %d", round, seed)
		}
	}
}

func TestPatternMistakes(t *testing.T) {
	for line, want := range map[string]string{
		"": "empty", "   ": "empty", "# x": "comment", "!": "names nothing", "/": "names nothing", "!/": "names nothing", "a[b": "without its ]",
		`a\`: "backslash", `a\/b`: "backslash", "foo**/bar": "two stars", "a/b**": "two stars", "a\nb": "line break", "[[:nix:]]": "without its ]", strings.Repeat("a", 600): "longer than",
	} {
		if _, err := ParsePatterns([]string{line}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", line, err, want)
		}
	}
}

// TestHostilePattern: no pattern makes a match slow.
func TestHostilePattern(t *testing.T) {
	ps, err := ParsePatterns([]string{strings.Repeat("*a", 200) + "b", strings.Repeat("**/a*a/", 50) + "b", strings.Repeat("a*", 240)})
	if err != nil {
		t.Fatal(err)
	}
	path := strings.Repeat(strings.Repeat("a", 15)+"/", 60) + strings.Repeat("a", 200)
	for range 20 {
		ps.Hidden(path, false)
	}
}

func FuzzPatterns(f *testing.F) {
	for i, line := range []string{"a/**/b", "[!a-z]*", `\*[[:alpha:]]`, "!x/", "**"} {
		f.Add(line, oraclePaths[i*3])
	}
	f.Fuzz(func(t *testing.T, line, path string) {
		p, err := parsePattern(line)
		if err != nil || path == "" {
			return
		}
		ps := Patterns{p}
		file, folder := ps.Hidden(path, false), ps.Hidden(path, true)
		if file && !folder {
			t.Fatalf("%q hides %q only as a file", line, path)
		}
		if p.negated && (file || folder) {
			t.Fatalf("%q hides %q", line, path)
		}
		if folder && !ps.Hidden(path+"/x", false) {
			t.Fatalf("%q hides the folder %q, but not what lies in it", line, path)
		}
	})
}

func BenchmarkHidden(b *testing.B) {
	ps, _ := ParsePatterns([]string{"drafts/", "*.key", "/data/**/*.tmp", "solution*", "**/build/"})
	paths := make([]string, 1000)
	for i := range paths {
		paths[i] = fmt.Sprintf("unit%d/lesson%d/lab.ipynb", i%10, i)
	}
	for b.Loop() {
		for _, p := range paths {
			ps.Match(p, false, nil)
		}
	}
}
