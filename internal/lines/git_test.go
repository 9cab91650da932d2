package lines

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var cases = flag.Int("cases", 1500, "how many cases are compared with git merge-file")

// git is what `git merge-file -p` makes of a case: its text, that of --ours
// where it clashes.
func git(dir string, c trio) (text string, clean bool, err error) {
	for name, data := range map[string]string{"base": c.base, "mine": c.mine, "theirs": c.theirs} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			return "", false, err
		}
	}
	run := func(args ...string) ([]byte, error) {
		cmd := exec.Command("git", append([]string{"merge-file", "-p"}, append(args, "mine", "base", "theirs")...)...)
		cmd.Dir = dir
		return cmd.Output()
	}
	out, err := run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() < 128 {
		out, err = run("--ours")
		return string(out), false, err
	}
	return string(out), true, err
}

// agreement counts how cases compare with git.
type agreement struct {
	sync.Mutex
	all, clean, ambiguous int
	// Of the ambiguous ones, what is not as in git:
	onlyGit, onlyOurs int // one of the two merges, the other clashes
	bothClean         int // other bytes
	bothClash         int // other bytes
	fellBack          int // of all these: git's result is not stable, so mine stayed whole
	wrong             []string
}

func (a *agreement) add(c trio, want string, clean bool) {
	got, vague := c.merge(), c.ambiguous()
	text := string(got.Text)
	j := newJob([]byte(c.base), []byte(c.theirs), endingOf([]byte(c.mine)))
	stable := string(j.merge([]byte(c.mine)).Text) == text
	a.Lock()
	defer a.Unlock()
	a.all++
	if clean {
		a.clean++
	}
	if vague {
		a.ambiguous++
	}
	switch ours := got.Clash == 0; {
	case ours == clean && text == want:
		return
	case !vague:
		a.wrong = append(a.wrong, fmt.Sprintf("%v\ngit  %q, clean %v\nours %q, clashes %d", c, want, clean, text, got.Clash))
	case clean && !ours:
		a.onlyGit++
	case ours && !clean:
		a.onlyOurs++
	case clean:
		a.bothClean++
	default:
		a.bothClash++
	}
	if !stable {
		a.fellBack++
	}
}

// TestMergeAsGit: where there is one shortest diff, the merge is git's to the
// byte; else it may differ in few cases.
func TestMergeAsGit(t *testing.T) {
	var a agreement
	var work sync.WaitGroup
	for worker := range 2 {
		dir := t.TempDir()
		work.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(worker)))
			for range *cases / 2 {
				c := made(r)
				want, clean, err := git(dir, c)
				if err != nil {
					t.Errorf("git merge-file: %v", err)
					return
				}
				a.add(c, want, clean)
			}
		})
	}
	work.Wait()
	t.Logf("%d cases: git merges %d, clashes in %d; %d are ambiguous", a.all, a.clean, a.all-a.clean, a.ambiguous)
	t.Logf("not as in git, among the ambiguous: only git merges %d, only we merge %d, both merge %d, both clash %d; in %d git's result is not stable",
		a.onlyGit, a.onlyOurs, a.bothClean, a.bothClash, a.fellBack)
	for _, w := range a.wrong[:min(3, len(a.wrong))] {
		t.Error(w)
	}
	if a.all < 1000 {
		return // too few for shares
	}
	if verdict := a.onlyGit + a.onlyOurs; verdict*50 > a.ambiguous {
		t.Errorf("in %d ambiguous cases git says otherwise; at most 2 of 100 may", verdict)
	}
	if other := a.bothClean + a.bothClash; other*12 > a.ambiguous {
		t.Errorf("in %d ambiguous cases git has other bytes; at most 8 of 100 may", other)
	}
}
