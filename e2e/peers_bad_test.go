//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// scripted is a bad tool: a command in the student's home.
type scripted struct{ does, repos string }

func (s scripted) name() string            { return s.does }
func (scripted) pushed(*testing.T, string) {}
func (scripted) ended(code int) bool       { return code == 0 }
func (s scripted) login(_ *testing.T, d *desk, _ bool) *exec.Cmd {
	return d.as(exec.Command("sh", "-ec", s.does), "REPOSITORY="+filepath.Join(s.repos, d.course+".git"), "GIT_CONFIG_SYSTEM="+s.repos+"/trust")
}

const (
	overwrites = `mkdir -p $COURSE; git --git-dir $REPOSITORY archive main | tar x -C $COURSE`
	onlyOnce   = `[ -e $COURSE ] || { mkdir $COURSE; git --git-dir $REPOSITORY archive main | tar x -C $COURSE; }`
	marks      = onlyOnce + `; cd $COURSE; for f in *; do printf '<<<<<<< HEAD\n' >> $f; done`
	fails      = onlyOnce + `; false`
)

// TestPeersStoriesAreJudged: tools that overwrite, that deliver only once,
// that leave markers or that fail are found out.
func TestPeersStoriesAreJudged(t *testing.T) {
	dir := t.TempDir()
	for p := dir; p != os.TempDir(); p = filepath.Dir(p) {
		must(t, os.Chmod(p, 0o755))
	}
	write(t, filepath.Join(dir, "trust"), "[safe]\n\tdirectory = *\n")
	s := readStory(t, "testdata/stories/070-text-different-lines.txtar")
	mustRun(t, exec.Command("git", "init", "-q", "--bare", "-b", "main", filepath.Join(dir, s.name+".git")))
	var peers []peer
	for _, does := range []string{overwrites, onlyOnce, marks, fails} {
		peers = append(peers, scripted{does, dir})
	}
	p := newPlay(t, s, filepath.Join(dir, "homes"), dir, peers)
	p.run()
	v := p.finish()
	if len(v[0].lost) != 1 || len(v[0].missing) > 0 || v[0].stuck != "" {
		t.Errorf("what overwrites: %s", v[0])
	}
	if len(v[1].lost) > 0 || len(v[1].missing) != 1 || v[1].stuck == "" {
		t.Errorf("what delivers once: %s", v[1])
	}
	if len(v[2].broken) == 0 {
		t.Errorf("what leaves markers: %s", v[2])
	}
	if v[3].stuck == "" {
		t.Errorf("what fails: %s", v[3])
	}
}
