//go:build e2e

package e2e

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

// TestE2EDownloadCutEvery5Seconds: 48 MB at 4 MB/s, the line cut every five
// seconds, two large files and many small: it ends, and downloads little twice.
func TestE2EDownloadCutEvery5Seconds(t *testing.T) {
	s := newSite(t)
	noise := rand.NewChaCha8([32]byte{1})
	for _, name := range []string{"data/big.bin", "data/huge.bin"} {
		b := make([]byte, 24<<20)
		_, _ = noise.Read(b)
		s.repo.set(name, string(b))
	}
	s.repo.push("large")
	v := s.configure("one", "").run("serve")
	v.ready(1)
	p := startProxy(t, v.students)
	p.limit, p.cut = rate.NewLimiter(4<<20, 1<<20), 5*time.Second
	ana := s.student("ana")
	adm := v.login("ana")
	adm.URL = strings.Replace(adm.URL, v.students, p.addr, 1)
	began := time.Now()
	eventually(t, 3*time.Minute, "all 48 MB", func() error {
		out, _ := runProgram(t, ana.agent(adm, "sync", "--all"))
		if _, err := os.Stat(filepath.Join(ana.folder(), "data/huge.bin")); err != nil {
			t.Log(out)
			return err
		}
		return nil
	})
	equalFolder(t, s, ana)
	p.mu.Lock()
	defer p.mu.Unlock()
	t.Logf("%.0f s, %d cuts, %.1f MB on the wire for 48 MB", time.Since(began).Seconds(), p.cuts, float64(p.recorded.Len())/1e6)
	if p.cuts < 2 {
		t.Errorf("only %d cuts: nothing was tried", p.cuts)
	}
	if p.recorded.Len() > 75<<20 {
		t.Errorf("%d bytes on the wire: what had arrived was not kept", p.recorded.Len())
	}
}
