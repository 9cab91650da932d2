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
	all, clean, clash int
	ambiguous         int // several shortest diffs
	differ            int // of these, where git says otherwise
	unstable          int // of these, because the result was not stable
	wrong             []string
}

func (a *agreement) add(c trio, want string, clean bool) {
	got, vague := c.merge(), c.ambiguous()
	same := (got.Clash == 0) == clean && string(got.Text) == want
	a.Lock()
	defer a.Unlock()
	a.all++
	if clean {
		a.clean++
	} else {
		a.clash++
	}
	switch {
	case vague && !same:
		a.differ++
		if r := newJob([]byte(c.base), []byte(c.theirs), endingOf([]byte(c.mine))).merge([]byte(c.mine)); string(r.Text) == want && (r.Clash == 0) == clean {
			a.unstable++
		}
		fallthrough
	case vague:
		a.ambiguous++
	case !same:
		a.wrong = append(a.wrong, fmt.Sprintf("%v\ngit  %q, clean %v\nours %q, clashes %d", c, want, clean, got.Text, got.Clash))
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
	t.Logf("%d cases: git merges %d, clashes in %d; %d are ambiguous, of these %d differ from git (%d unstable)",
		a.all, a.clean, a.clash, a.ambiguous, a.differ, a.unstable)
	for _, w := range a.wrong[:min(3, len(a.wrong))] {
		t.Error(w)
	}
}
