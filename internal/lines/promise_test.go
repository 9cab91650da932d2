package lines

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// promises is nil if Merge keeps them all in this case.
func (c trio) promises() error {
	r := c.merge()
	text := string(r.Text)
	again := trio{c.base, text, c.theirs}
	switch {
	case string(again.merge().Text) != text:
		return fmt.Errorf("%v\nmerged %q\nand again %q", c, text, again.merge().Text)
	case !Kept([]byte(c.base), []byte(c.mine), r.Text):
		return fmt.Errorf("%v\nlost a line: %q", c, text)
	case r.Clash == 0 && r.Taken == 0 && text != c.mine:
		return fmt.Errorf("%v\nnothing was taken, yet %q", c, text)
	}
	return errors.Join(c.nothingReturns(text), c.symmetric(), c.neutral())
}

// nothingReturns: of a line that theirs did not write, the result has no more
// than mine.
func (c trio) nothingReturns(text string) error {
	count := func(text string) map[string]int {
		n := map[string]int{}
		count(n, []byte(text), 1)
		return n
	}
	wrote := map[string]bool{}
	e := endingOf([]byte(c.mine))
	base, theirs := splitWith([]byte(c.base), e), splitWith([]byte(c.theirs), e)
	at := 0
	for _, p := range append(Align(base, theirs), [2]int{len(base), len(theirs)}) {
		for ; at < p[1]; at++ {
			wrote[strings.TrimRight(theirs[at], "\r\n")] = true
		}
		at = p[1] + 1
	}
	mine := count(c.mine)
	for line, n := range count(text) {
		if n > mine[line] && !wrote[line] {
			return fmt.Errorf("%v\n%q returns in %q", c, line, text)
		}
	}
	return nil
}

// symmetric: both sides see the same clashes, and a clean text is the same
// from both sides. (Not so for line endings, which are mine's, nor for what
// Merge does against a text that is not stable.)
func (c trio) symmetric() error {
	if strings.Contains(c.base+c.mine+c.theirs, "\r") {
		return nil
	}
	direct := func(mine, theirs string) Merged {
		j := newJob([]byte(c.base), []byte(theirs), lf)
		lines := split([]byte(mine))
		numbers := j.index.numbers(lines)
		pairs, _ := align(j.base, numbers)
		return j.put(lines, numbers, pairs)
	}
	a, b := direct(c.mine, c.theirs), direct(c.theirs, c.mine)
	if a.Clash != b.Clash || a.Clash == 0 && string(a.Text) != string(b.Text) {
		return fmt.Errorf("%v\n%q with %d clashes, the other way round %q with %d", c, a.Text, a.Clash, b.Text, b.Clash)
	}
	return nil
}

// neutral: who changed nothing has no say.
func (c trio) neutral() error {
	plain := func(text string) string { return strings.ReplaceAll(text, "\r", "") }
	b, x := c.base, c.mine
	if got := (trio{b, x, b}).merge(); string(got.Text) != x || got.Clash != 0 {
		return fmt.Errorf("%v\nMerge(b,m,b) is %q", c, got.Text)
	}
	if got := (trio{b, x, x}).merge(); string(got.Text) != x || got.Clash != 0 {
		return fmt.Errorf("%v\nMerge(b,m,m) is %q", c, got.Text)
	}
	if got := (trio{b, b, x}).merge(); plain(string(got.Text)) != plain(x) || got.Clash != 0 {
		return fmt.Errorf("%v\nMerge(b,b,m) is %q", c, got.Text)
	}
	return nil
}

func FuzzMerge(f *testing.F) {
	f.Add("a\nb\nc\n", "a\nB\nc\n", "a\nb\nC\n")
	f.Add("a\r\nb\r\n", "a\nb", "b\r\nb\n")
	f.Add("", "x\n", "y")
	f.Add("x\nx\nx\n", "x\nx\n", "x\ny\nx\nx\nx\n")
	f.Fuzz(func(t *testing.T, base, mine, theirs string) {
		if err := (trio{base, mine, theirs}).promises(); err != nil {
			t.Error(err)
		}
	})
}
