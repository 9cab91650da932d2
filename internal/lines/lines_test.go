package lines

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestMergeCases runs testdata: one case a file. There <CR> is a carriage
// return, and <END> the end of a text whose last line has none; git stands for
// what git makes of it, where that is something else.
func TestMergeCases(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txtar")
	if len(files) < 30 {
		t.Fatalf("only %d cases", len(files))
	}
	dir := t.TempDir()
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			part := read(t, file)
			c := trio{part["base"], part["mine"], part["theirs"]}
			got := c.merge()
			if string(got.Text) != part["want"] {
				t.Errorf("got %q\nwant %q", got.Text, part["want"])
			}
			if counts := fmt.Sprintf("clash %d, taken %d\n", got.Clash, got.Taken); counts != part["counts"] {
				t.Errorf("%s, want %s", counts, part["counts"])
			}
			if err := c.promises(); err != nil {
				t.Error(err)
			}
			if strings.Contains(c.base+c.mine+c.theirs, "\r") {
				return // git knows nothing of line endings
			}
			want, clean, err := git(dir, c)
			if err != nil || want != cmp.Or(part["git"], part["want"]) || clean != (got.Clash == 0) {
				t.Errorf("git has %q, clean %v, %v", want, clean, err)
			}
		})
	}
}

func read(t *testing.T, file string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range txtar.Parse(data).Files {
		out[f.Name] = strings.NewReplacer("<CR>", "\r", "<END>\n", "").Replace(string(f.Data))
	}
	return out
}

// TestMergePromises looks for a broken promise in many random cases.
func TestMergePromises(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	fellBack := 0
	const all = 6_000
	for range all {
		c := made(r)
		if r.IntN(4) == 0 {
			c.mine = strings.ReplaceAll(strings.ReplaceAll(c.mine, "\r", ""), "\n", "\r\n")
		}
		if err := c.promises(); err != nil {
			t.Fatal(err)
		}
		j := newJob([]byte(c.base), []byte(c.theirs), endingOf([]byte(c.mine)))
		if string(j.merge([]byte(c.mine)).Text) != string(c.merge().Text) {
			fellBack++
		}
	}
	t.Logf("%d cases; in %d the result was not stable and mine stayed whole", all, fellBack)
	if fellBack > all/25 {
		t.Errorf("in %d of %d cases the result was not stable", fellBack, all)
	}
}

// TestMergeTooLong: more lines than the memory is made for are one clash.
func TestMergeTooLong(t *testing.T) {
	long := strings.Repeat("\n", maxLines)
	a, b := strings.Repeat("a\n", maxLines/2), strings.Repeat("b\n", maxLines/2)
	for name, c := range map[string]trio{
		"base":   {a + "m\n" + b, a + "m\n", "m\n" + b},
		"mine":   {"base\n", "mine" + long, "theirs\n"},
		"theirs": {"base\n", "mine\n", "theirs" + long},
		"result": {"b\nx\n", "mine\nb\nx\n", "b\nx\n" + long[:maxLines-3]},
	} {
		if got := c.merge(); got.Clash != 1 || string(got.Text) != c.mine {
			t.Errorf("%s too long: %d clashes", name, got.Clash)
		}
	}
	c := trio{"base\n", long, long}
	if got := c.merge(); got.Clash != 0 {
		t.Error("equal texts clash")
	}
}
