//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"satchel/bundle"
)

// TestE2EOneHistoryThatOnlyGoesForward: two syncers and two hookservers on one
// bucket, behind a real sshd; a thousand pushes, some by force; syncers that
// are stopped in the middle of a pass while the other publishes. E2E_PUSHES
// sets another number.
func TestE2EOneHistoryThatOnlyGoesForward(t *testing.T) {
	pushes := 1000
	if n, err := strconv.Atoi(os.Getenv("E2E_PUSHES")); err == nil {
		pushes = n
	}
	s := newSite(t).onS3()
	commits := manyCommits(t, s.repo, pushes)
	syncers := []*service{s.configure("s0", "").run("syncer"), s.configure("s1", "").run("syncer")}
	fronts := []*service{s.configure("h0", "").run("hookserver"), s.configure("h1", "").run("hookserver")}
	for _, f := range fronts {
		f.ready(1)
	}
	began := time.Now()
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, v := range syncers {
		wg.Add(1)
		go func() { defer wg.Done(); keepPublishing(ctx, v) }()
	}
	var students []*student
	for i := range 4 {
		st := s.student(fmt.Sprintf("student%d", i))
		students = append(students, st)
		wg.Add(1)
		go func() { defer wg.Done(); keepSyncing(ctx, t, st, fronts) }()
	}
	wg.Add(1)
	go func() { defer wg.Done(); keepFreezing(ctx, syncers) }()

	published := pushAll(t, s, commits, syncers[0])
	stop()
	wg.Wait()
	for _, v := range syncers {
		v.signal(syscall.SIGCONT)
	}
	versions := checkHistory(t, s, syncers[0])
	last := commits[len(commits)-1]
	eventually(t, time.Minute, "the newest commit", func() error {
		syncers[0].publish()
		if e := logEntries(t, s, syncers[0])[0]; e.Commit != last {
			return fmt.Errorf("the newest version is of %s", e.Commit)
		}
		return nil
	})
	newest := versions
	for _, f := range fronts {
		f.ready(newest)
	}
	for i, st := range students {
		st.sync(fronts[i%2].login(st.name))
		equalFolder(t, s, st)
	}
	t.Logf("%d pushes (%d waited for), %d versions, %.0f s", pushes, published, versions, time.Since(began).Seconds())
}

// manyCommits makes commits on top of the first by git fast-import; every
// tenth is an orphan or goes back, as a force-push does.
func manyCommits(t *testing.T, r *repository, n int) []string {
	t.Helper()
	var in bytes.Buffer
	base := r.git("rev-parse", "HEAD")
	for i := 1; i <= n; i++ {
		from := fmt.Sprintf(":%d", i-1)
		if i == 1 {
			from = base
		}
		if i%10 == 0 {
			from = base // everything since is gone
		}
		body := fmt.Sprintf("version %d\n%s", i, bytes.Repeat([]byte("text\n"), i%50))
		fmt.Fprintf(&in, "commit refs/heads/gen\nmark :%d\ncommitter I <i@example.org> %d +0000\ndata 2\nc\n", i, 1_700_000_000+i)
		fmt.Fprintf(&in, "from %s\nM 100644 inline notebooks/lab1/n%d.txt\ndata %d\n%s\nM 100644 inline notebooks/count.txt\ndata %d\n%d\n",
			from, i%4, len(body), body, len(strconv.Itoa(i)), i)
	}
	c := exec.Command("git", "fast-import", "--quiet", "--force", "--export-marks="+r.bare+"/marks")
	c.Dir = r.bare
	c.Stdin = &in
	mustRun(t, c)
	marks, err := os.ReadFile(r.bare + "/marks")
	must(t, err)
	out := make([]string, n)
	for line := range bytes.Lines(marks) {
		var i int
		var hash string
		if _, err := fmt.Sscanf(string(line), ":%d %s", &i, &hash); err != nil {
			t.Fatal(err)
		}
		out[i-1] = hash
	}
	return out
}

// pushAll moves the branch through all commits; for one in four it waits
// until it is published.
func pushAll(t *testing.T, s *site, commits []string, any *service) (waited int) {
	r := s.repo
	for i, c := range commits {
		mustRun(t, exec.Command("git", "-C", r.bare, "update-ref", "refs/heads/main", c))
		if rand.IntN(4) == 0 || i == len(commits)-1 {
			eventually(t, 2*time.Minute, "commit "+c, func() error { return newestIs(t, s, any, c) })
			waited++
		}
	}
	r.git("fetch", "-q", "origin", "main")
	r.git("reset", "-q", "--hard", "FETCH_HEAD")
	return waited
}

// keepPublishing asks one syncer to look, again and again.
func keepPublishing(ctx context.Context, v *service) {
	for ctx.Err() == nil {
		c := exec.CommandContext(ctx, binary(v.site.t, "satchel"), "publish", "scala101", "--config", v.config)
		_ = c.Run()
	}
}

// keepFreezing stops a syncer wherever it is, while the other goes on.
func keepFreezing(ctx context.Context, syncers []*service) {
	for ctx.Err() == nil {
		v := syncers[rand.IntN(len(syncers))]
		v.signal(syscall.SIGSTOP)
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(rand.IntN(1500)) * time.Millisecond):
		}
		v.signal(syscall.SIGCONT)
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(rand.IntN(500)) * time.Millisecond):
		}
	}
}

// keepSyncing logs a student in, again and again, at either hookserver; the
// version told must never fall.
func keepSyncing(ctx context.Context, t *testing.T, st *student, fronts []*service) {
	last := 0
	tick := time.NewTicker(500 * time.Millisecond) // one student's server may ask ten times a second
	defer tick.Stop()
	for range tick.C {
		if ctx.Err() != nil {
			return
		}
		out, code := runProgram(t, st.agent(fronts[rand.IntN(2)].login(st.name), "sync"))
		if code != 0 {
			t.Errorf("%s: exit %d\n%s", st.name, code, out)
			return
		}
		var v int
		for _, form := range []string{"Updated to version %d", "Course material is up to date (version %d"} {
			if i := bytes.Index([]byte(out), []byte(form[:12])); i >= 0 {
				_, _ = fmt.Sscanf(out[i:], form, &v)
			}
		}
		if v > 0 && v < last {
			t.Errorf("%s went from version %d back to %d", st.name, last, v)
		}
		last = max(last, v)
	}
}

type logEntry struct {
	Action  string         `json:"action"`
	Version bundle.Version `json:"version"`
	Commit  string         `json:"commit"`
	Time    time.Time      `json:"time"`
}

// logEntries are the newest publishes first.
func logEntries(t *testing.T, s *site, v *service) (out []logEntry) {
	t.Helper()
	var all []logEntry
	if err := json.Unmarshal([]byte(s.satchel("log", "scala101", "--json", "-n", "100000", "--config", v.config)), &all); err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if e.Action == "publish" {
			out = append(out, e)
		}
	}
	return out
}

// checkHistory fails unless each version was published once, in order.
func checkHistory(t *testing.T, s *site, v *service) (newest int) {
	t.Helper()
	seen := map[bundle.Version]string{}
	for _, e := range logEntries(t, s, v) {
		if c, twice := seen[e.Version]; twice && c != e.Commit {
			t.Errorf("version %d was published of %s and of %s", e.Version, c, e.Commit)
		}
		seen[e.Version] = e.Commit
		newest = max(newest, int(e.Version))
	}
	for v := 1; v <= newest; v++ {
		if seen[bundle.Version(v)] == "" {
			t.Errorf("version %d of %d is not in the log", v, newest)
		}
	}
	return newest
}
