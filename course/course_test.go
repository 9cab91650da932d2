package course

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/internal/strict"
)

func TestParseName(t *testing.T) {
	for _, good := range []string{"a", "0", "scala101", "cs-101_2026.b", strings.Repeat("a", 63)} {
		if n, err := ParseName(good); err != nil || string(n) != good {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", ".", "..", "-a", "_a", ".a", "A", "a b", "a/b", "a\x00", "ñ", "a\n", strings.Repeat("a", 64)} {
		if _, err := ParseName(bad); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func good() Course {
	return Course{Name: "a", Repository: "/srv/a.git", Audience: Audience{Everyone: true}}
}

func TestRepositoryAddresses(t *testing.T) {
	for _, r := range []string{
		"/srv/a", "git@github.com:school/scala101.git", "git@host:~/x", "git@[::1]:x.git", "me.you+x@host.example:/abs/path",
		"https://github.com/a/b.git", "https://deploy@host:8443/a/b", "ssh://git@host/x.git", "ssh://host:2222/x", "ssh://git@[::1]:22/a/b",
	} {
		if err := checkRepository(r); err != nil {
			t.Errorf("%q: %v", r, err)
		}
	}
	for r, want := range map[string]string{
		"": "missing", "http://github.com/a/b": "only https and ssh", "git://h/x": "only https and ssh", "file:///srv/a": "without file://", "srv/a": "no address", "ftp://h/x": "no address",
		"ssh://git:pw@host/x": "password", "ssh://host": "path of the repository", "ssh://host/": "path of the repository", "ssh:///x": "not an address",
		"ssh://host/x?a=b": "no ?", "ssh://host/x#a": "no ?", "ssh://-oProxyCommand=x/y": "not an address", "ssh://-l@host/y": "dash",
		"-u@host:x": "no address", "git@-oProxyCommand=x:y": "no address", "git@host:-x": "no address", "git@host:a b": "no address", "a\nb": "characters", "/a\x00": "characters",
	} {
		if err := checkRepository(r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", r, err, want)
		}
	}
}

func TestBranchNames(t *testing.T) {
	for _, b := range []string{"", "main", "term/2026", "a.b", "feature/ñ", "refs"} {
		if err := checkBranch(b); err != nil {
			t.Errorf("%q: %v", b, err)
		}
	}
	for _, b := range []string{"refs/heads/main", "-x", "a..b", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[", `a\b`, "@", "@{-1}", "a.lock", "a/.b", "/a", "a/", "a//b", "a.", "a\x7f", "a\tb"} {
		if err := checkBranch(b); err == nil {
			t.Errorf("%q passes", b)
		}
	}
}

func TestValidateTellsAll(t *testing.T) {
	c := Course{Name: "A", Repository: "git@h:x", Branch: "-", Folder: "../x", Poll: time.Second, Webhook: &Webhook{Host: "github"}}
	var ps strict.Problems
	if err := c.Validate(); !errors.As(err, &ps) {
		t.Fatalf("%v", err)
	}
	fields := map[string]bool{}
	for _, p := range ps {
		fields[p.Field] = true
	}
	for _, want := range []string{"name", "branch", "folder", "poll", "webhook", "deploy_key_file", "known_hosts_file", "audience"} {
		if !fields[want] {
			t.Errorf("nothing is said of %s:\n%v", want, ps)
		}
	}
	fine := good()
	if err := fine.Validate(); err != nil {
		t.Error(err)
	}
}

// TestDigest: it must stay what it is, for records hold it; and it says what
// decides the content, however that is written.
func TestDigest(t *testing.T) {
	c := good()
	if want := bundle.Sum([]byte("satchel-course 1\n10:/srv/a.git\n4:main\n0:\n")); c.Digest() != want {
		t.Errorf("%s, want %s", c.Digest(), want)
	}
	same, other := c, c
	same.Branch, same.Folder, same.Poll, same.Name, same.Audience = "main", "/", time.Hour, "b", Audience{Groups: []string{"x"}}
	if same.Digest() != c.Digest() {
		t.Error("what does not decide the content counts")
	}
	for name, change := range map[string]func(*Course){
		"repository": func(c *Course) { c.Repository += "x" }, "branch": func(c *Course) { c.Branch = "x" }, "folder": func(c *Course) { c.Folder = "x" },
	} {
		other = c
		if change(&other); other.Digest() == c.Digest() {
			t.Errorf("%s does not count", name)
		}
	}
	if c.Branch != "" {
		t.Error("Digest changed the course")
	}
}

func TestAdmits(t *testing.T) {
	all := Audience{Everyone: true, Except: []string{"bob"}}
	some := Audience{Groups: []string{"g"}, Users: []string{"ana"}, Except: []string{"eve"}}
	for _, c := range []struct {
		a      Audience
		user   string
		groups string
		want   bool
	}{
		{all, "ana", "", true}, {all, "bob", "g", false}, {all, "", "g", false},
		{some, "ana", "", true}, {some, "zoe", "g", true}, {some, "zoe", "G", false}, {some, "Ana", "", false}, {some, "eve", "g", false}, {some, "", "g", false},
		{Audience{}, "ana", "g", false},
	} {
		if got := c.a.Admits(c.user, strings.Fields(c.groups)); got != c.want {
			t.Errorf("%+v %q %q: %v", c.a, c.user, c.groups, got)
		}
	}
}

func TestUsersFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	load := func(text string) (Audience, error) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		a := Audience{UsersFile: file}
		return a, a.Load()
	}
	a, err := load("\xef\xbb\xbfzoe\r\n\r\n# comment\n  ana  \nana\nmaría josé\n")
	if err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string]bool{"zoe": true, "ana": true, "maría josé": true, "# comment": false, "": false, "bob": false} {
		if a.Admits(user, nil) != want {
			t.Errorf("%q admitted: %v", user, !want)
		}
	}
	for text, want := range map[string]string{
		"ana\nbob,eve\n": ":2: ", "a\xffb": "no name has", strings.Repeat("x", 300): "longer than a name", strings.Repeat("a\n", maxUsersFile): "larger than 8 MB",
	} {
		if a, err := load(text); err == nil || !strings.Contains(err.Error(), want) || a.Admits("ana", nil) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
	a.UsersFile = file + "-gone"
	if err := a.Load(); err == nil || a.Admits("ana", nil) {
		t.Errorf("a missing file: %v, still admits: %v", err, a.Admits("ana", nil))
	}
}

func TestShrinks(t *testing.T) {
	file := func(path, text string) bundle.File { return bundle.File{Path: path, Digest: bundle.Sum([]byte(text))} }
	old := []bundle.File{file("a", "1"), file("b", "2"), file("c", "3"), file("d", "4")}
	for _, c := range []struct {
		name string
		new  []bundle.File
		gone int
		many bool
	}{
		{"the same", old, 0, false},
		{"half", old[:2], 2, false},
		{"more than half", old[:1], 3, true},
		{"all", nil, 4, true},
		{"all moved", []bundle.File{file("x/a", "1"), file("x/b", "2"), file("x/c", "3"), file("x/d", "4")}, 0, false},
		{"all changed", []bundle.File{file("a", "5"), file("b", "6"), file("c", "7"), file("d", "8")}, 0, false},
		{"all others", []bundle.File{file("w", "5"), file("x", "6"), file("y", "7"), file("z", "8")}, 4, true},
	} {
		gone, of, many := Shrinks(old, c.new)
		if gone != c.gone || of != 4 || many != c.many {
			t.Errorf("%s: %d of %d, %v", c.name, gone, of, many)
		}
	}
	if gone, of, many := Shrinks(nil, old); gone != 0 || of != 0 || many {
		t.Error("from nothing nothing goes")
	}
}

func TestFolderTwins(t *testing.T) {
	twins := FolderTwins(map[Name]string{"a": "scala", "b": "Scala", "c": "c", "d": "python"})
	if len(twins) != 2 || twins["a"] != "b" || twins["b"] != "a" {
		t.Errorf("%v", twins)
	}
}
