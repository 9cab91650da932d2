package syncer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"satchel/course"
	"satchel/store"
)

// paused lets a test act between the list and what follows.
type paused struct {
	repository
	listed func(commit string)
}

func (p *paused) Tip(ctx context.Context) (string, error) {
	tip, err := p.repository.Tip(ctx)
	if err == nil {
		p.listed(tip)
	}
	return tip, err
}

// slow makes y call listed after each look at the remote.
func slow(y *Syncer, listed func(commit string)) {
	open := y.open
	y.open = func(c *course.Course) (repository, error) {
		r, err := open(c)
		return &paused{r, listed}, err
	}
}

// TestSleeperDoesNotPublishOlderContentOverNewer: one syncer lists the remote,
// then sleeps while the other publishes what was pushed meanwhile.
func TestSleeperDoesNotPublishOlderContentOverNewer(t *testing.T) {
	for _, published := range []bool{false, true} {
		s := newSite(t)
		if published {
			s.repo.commit(files{"a": "0", "b": "0"})
			s.sync(s.syncer())
		}
		before := s.view().version
		s.repo.commit(files{"a": "old", "b": "old"})
		sleeper, other := s.syncer(), s.syncer()
		var once sync.Once
		slow(sleeper, func(string) {
			once.Do(func() {
				s.repo.commit(files{"a": "new", "b": "new"})
				s.sync(other)
			})
		})
		out := s.sync(sleeper)
		if out.Stats.Tries != 2 || out.Published {
			t.Errorf("outcome %+v; want one lost swap and nothing new after it", out)
		}
		s.want(before+1, files{"a": "new", "b": "new"})
		s.wantEachVersionLogged(before + 1)
	}
}

// A push with force between list and fetch: the commit that was listed is no
// longer to be had, or is, but either way what is published in the end is new.
func TestForcePushBetweenListAndFetch(t *testing.T) {
	s := newSite(t)
	s.repo.commit(files{"a": "1"})
	y := s.syncer()
	s.sync(y)
	s.repo.commit(files{"a": "2"})
	var once sync.Once
	z := s.syncer()
	slow(z, func(string) {
		once.Do(func() {
			s.repo.git("checkout", "-q", "--orphan", "other")
			s.repo.git("branch", "-D", "main")
			s.repo.git("branch", "-m", "main")
			s.repo.commit(files{"a": "3"})
		})
	})
	s.sync(z)
	s.sync(z)
	if v := s.view(); v.files["a"] != "3" {
		t.Errorf("version %d: %q", v.version, v.files)
	}
}

// manyCommits makes commits 1…n, each with its number in it; every tenth is an
// orphan, as after a push with force.
func (r *gitRepo) manyCommits(n int) []string {
	r.t.Helper()
	var in bytes.Buffer
	for i := 1; i <= n; i++ {
		text := fmt.Sprint(i)
		fmt.Fprintf(&in, "commit refs/heads/all\nmark :%d\ncommitter T <t@example.org> %d +0000\ndata 1\nx\n", i, 1_800_000_000+i)
		if i > 1 && i%10 != 0 {
			fmt.Fprintf(&in, "from :%d\n", i-1)
		}
		fmt.Fprintf(&in, "deleteall\nM 644 inline n\ndata %d\n%s\nM 644 inline dir/f%d\ndata 4\nsame\n", len(text), text, i%7)
		fmt.Fprintf(&in, "M 644 inline always\ndata 6\nalways\n\n")
		if i%10 == 9 {
			fmt.Fprintf(&in, "reset refs/heads/all\n\n")
		}
	}
	marks := r.dir + ".marks"
	c := exec.Command("git", "fast-import", "--quiet", "--force", "--export-marks="+marks)
	c.Dir, c.Env, c.Stdin = r.dir, r.env, &in
	if out, err := c.CombinedOutput(); err != nil {
		r.t.Fatalf("git fast-import: %v\n%s", err, out)
	}
	return r.readMarks(marks, n)
}

func (r *gitRepo) readMarks(file string, n int) []string {
	r.t.Helper()
	out, err := exec.Command("cat", file).Output()
	if err != nil {
		r.t.Fatal(err)
	}
	commits := make([]string, n)
	for line := range strings.Lines(string(out)) {
		var i int
		var hash string
		if _, err := fmt.Sscanf(line, ":%d %s", &i, &hash); err != nil {
			r.t.Fatal(err)
		}
		commits[i-1] = hash
	}
	return commits
}

// TestTwoSyncersMakeOneHistory: hundreds of pushes, two syncers at full speed.
func TestTwoSyncersMakeOneHistory(t *testing.T) {
	const pushes = 200
	s := newSite(t)
	commits := s.repo.manyCommits(pushes)
	order := map[string]int{}
	for i, c := range commits {
		order[c] = i + 1
	}
	s.repo.point(commits[0])
	ctx, stop := context.WithCancel(t.Context())
	published := make(chan struct{}, 1)
	var racers sync.WaitGroup
	for range 2 {
		y := s.syncer()
		racers.Go(func() { keepSyncing(ctx, t, y, s.c, published) })
	}
	for _, c := range commits[1:] {
		select {
		case <-published:
		case <-time.After(time.Minute):
			t.Error("nothing was published for a minute")
		}
		s.clock.add(time.Second)
		s.repo.point(c)
	}
	stop()
	racers.Wait()
	s.sync(s.syncer())
	v := s.view()
	if v.files["n"] != fmt.Sprint(pushes) {
		t.Errorf("the newest version is push %s of %d", v.files["n"], pushes)
	}
	newest := map[int]int{}
	for _, e := range s.log() {
		if e.Action != "publish" {
			t.Errorf("entry %+v", e)
			continue
		}
		if n, twice := newest[int(e.Version)]; twice {
			t.Errorf("version %d is push %d and push %d", e.Version, n, order[e.Commit])
		}
		newest[int(e.Version)] = order[e.Commit]
	}
	for i := 1; i <= int(v.version); i++ {
		if newest[i] <= newest[i-1] {
			t.Errorf("version %d is push %d, version %d before it push %d", i, newest[i], i-1, newest[i-1])
		}
	}
	t.Logf("%d pushes became %d versions; the record names %d bundles", pushes, v.version, len(v.record.Named()))
	if int(v.version) < pushes/2 {
		t.Errorf("only %d versions", v.version)
	}
}

// keepSyncing syncs until ctx ends. A pass that lost its swap maxTries times in a row
// gives up and says so: whoever won each of them did the work.
func keepSyncing(ctx context.Context, t *testing.T, y *Syncer, c course.Course, published chan<- struct{}) {
	for ctx.Err() == nil {
		out, err := y.Sync(ctx, &c, Request{Course: string(c.Name)})
		if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, store.ErrChanged) {
			t.Errorf("sync: %v", err)
		}
		if out.Published {
			select {
			case published <- struct{}{}:
			default:
			}
		}
	}
}
