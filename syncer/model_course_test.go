package syncer

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
)

// The course of the model: commits of a few paths, each with a few contents
// that come again, also under another path, so that what was withdrawn is
// pushed once more, and rollbacks lead over withdrawals. commits[i] is git's
// name of states[i].
type modelCourse struct {
	repo    *gitRepo
	states  []modelState
	commits []string
}

// modelState is what a commit is to students.
type modelState struct {
	files   files
	message string
	stops   bool // nothing is published of it
	rules   bool // it is the rules that stop it
}

// manyStates are random ones; a few more are of a kind.
const manyStates = 14

func newModelCourse(t testing.TB) *modelCourse {
	c := &modelCourse{repo: newRepo(t)}
	rng := rand.New(rand.NewPCG(1, 1))
	for range manyStates {
		c.add(randomState(rng))
	}
	c.add(modelState{files: files{"a.txt": modelText("a", 1)}})                                   // shrinks, mostly
	c.add(modelState{files: files{}, stops: true})                                                // nothing to deliver
	c.add(modelState{files: files{"a.txt": "a", "id_rsa": modelKey}, stops: true})                // a private key
	c.add(modelState{files: files{"a.txt": modelText("a", 2)}, stops: true, rules: true})         // rules that nobody can read
	c.add(modelState{files: files{"copy.txt": modelText("leak", 1), "a.txt": modelText("a", 3)}}) // what leaked, under another name alone
	c.repo.git("repack", "-adq")                                                                  // loose objects are looked for in each folder
	return c
}

func randomState(rng *rand.Rand) modelState {
	s := modelState{files: files{}}
	for _, p := range []string{"a", "b", "c", "d"} {
		if p == "a" || rng.IntN(8) > 0 {
			s.files[p+".txt"] = modelText(p, 1+rng.IntN(3))
		}
	}
	for _, p := range []string{"leak.txt", "copy.txt", "dir/leak.txt"} {
		if rng.IntN(2) == 0 {
			s.files[p] = modelText("leak", 1+rng.IntN(2))
		}
	}
	if rng.IntN(4) == 0 {
		s.message = fmt.Sprint("message ", rng.IntN(2))
	}
	return s
}

// modelText is content n of a name: much of it is the same in each, so that
// deltas are made, and it does not vanish when it is compressed.
func modelText(name string, n int) string {
	rng := rand.New(rand.NewPCG(uint64(len(name)), uint64(name[0])))
	var b strings.Builder
	for i := range 20 {
		fmt.Fprintf(&b, "%s %d %x\n", name, i, rng.Uint64())
		if i == 10 {
			fmt.Fprintf(&b, "this is number %d\n", n)
		}
	}
	return b.String()
}

func (c *modelCourse) add(s modelState) {
	all := maps.Clone(s.files)
	all["private/plan.txt"] = fmt.Sprint("no two commits are the same: ", len(c.states))
	switch {
	case s.rules:
		all[".satchel.yaml"] = "messsage: [\n"
	case s.message != "":
		all[".satchel.yaml"] = fmt.Sprintf("message: %q\n", s.message)
	}
	c.states, c.commits = append(c.states, s), append(c.commits, c.repo.commit(all))
}

// of gives the number of a commit.
func (c *modelCourse) of(commit string) int {
	for i, h := range c.commits {
		if h == commit {
			return i
		}
	}
	return -1
}

// point moves a worker's own branch.
func (c *modelCourse) point(t testing.TB, branch string, to int) {
	r := *c.repo
	r.t = t
	r.pointBranch(branch, c.commits[to])
}

var modelKey = "-----BEGIN RSA PRIVATE " + "KEY-----\n" + strings.Repeat("MIIEpAIBAAKCAQEA7yn3bRHQ5FHMQ0aBMIIEpAIBAAKCAQEA7yn3bRHQ5FHMQ0aB\n", 4) + "-----END RSA PRIVATE KEY-----\n"
