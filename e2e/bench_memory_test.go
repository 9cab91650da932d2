//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// memoryResult is what the hookserver took at most, since it began.
type memoryResult struct {
	Load  string `json:"load"`
	Bytes int64  `json:"bytes"`
}

// TestBenchStormMemory: what the hookserver holds while many students have
// their first login in course L at once. L has one commit here: its past is
// nothing to a hookserver. Its files are as many as in L and a fifth as long, but
// for four of 50 MB; COURSES=L measures L itself.
func TestBenchStormMemory(t *testing.T) {
	l := materials()[2]
	l.commits = 1
	if !slices.Contains(strings.Split(os.Getenv("COURSES"), ","), "L") {
		l.name = "of L's shape"
		large := 0
		for _, p := range l.files {
			if p.kind == aBinary && large < 4 {
				large++
				continue
			}
			p.size = max(p.size/5, 1000)
		}
	}
	s := newSite(t)
	mustRun(t, exec.Command("rm", "-rf", s.repo.bare))
	mustRun(t, exec.Command("git", "init", "-q", "--bare", "-b", "main", s.repo.bare))
	commit(t, s.repo.bare, "first", true, l.files)
	syncer := s.configure("syncer", "").run("syncer")
	front := s.configure("front", "").run("hookserver")
	w := &weather{arena: &arena{t: t, m: l, dir: s.dir, site: s, bare: s.repo.bare}, front: front}
	w.v = &service{process: front.process, site: s, config: syncer.config, students: front.students, hubs: front.hubs}
	w.published()
	pid := front.cmd.Process.Pid
	note := func(load string) {
		stormReport.Memory = append(stormReport.Memory, memoryResult{load, memoryOf(t, pid, "VmHWM")})
	}
	note("started, course read")
	for _, n := range []int{1, 10, 40} {
		n = min(n, fromEnv("STUDENTS", n))
		w.downloads(n, 0)
		note(fmt.Sprintf("%d first logins at once", n))
	}
	w.downloads(200, 1<<20)
	note("200 at once that hang up after a megabyte")
	sum := 0
	for _, p := range l.files {
		sum += p.size
	}
	fmt.Printf("\nMemory of the hookserver, course %s (%d MB, %d files)\n\n| until | most, MB |\n|---|---|\n", l.name, sum/1_000_000, len(l.files))
	for _, m := range stormReport.Memory {
		fmt.Printf("| %s | %s |\n", m.Load, short(float64(m.Bytes)/1e6))
	}
	reportStorm(t)
}

// downloads are first logins at once whose bytes are read and thrown away, all
// or the first so many.
func (w *weather) downloads(n int, most int64) {
	w.t.Helper()
	var all sync.WaitGroup
	defer all.Wait()
	for i := range n {
		l := w.listener(fmt.Sprintf("first%d-%d", i, time.Now().UnixNano()), i)
		all.Go(func() {
			defer l.http.CloseIdleConnections()
			q, _ := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "http://"+w.v.students+"/v1/sync", nil)
			q.Header.Set("Authorization", "Bearer "+l.ticket)
			resp, err := (&http.Client{Transport: l.http}).Do(q)
			if err != nil {
				w.t.Errorf("a download: %v", err)
				return
			}
			defer resp.Body.Close()
			var body io.Reader = resp.Body
			if most > 0 {
				body = io.LimitReader(body, most)
			}
			got, err := io.Copy(io.Discard, body)
			if err != nil || resp.StatusCode != http.StatusOK || got != resp.ContentLength && most == 0 {
				w.t.Errorf("a download: status %d, %d of %d bytes, %v", resp.StatusCode, got, resp.ContentLength, err)
			}
		})
	}
}
