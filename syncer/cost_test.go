package syncer

import (
	"fmt"
	"strings"
	"testing"
)

const costFiles = 6000

// bigRepo has thousands of notebooks of a few kB each.
func bigRepo(t testing.TB, n int) *gitRepo {
	r := newRepo(t)
	all := files{}
	for i := range n {
		all[fmt.Sprintf("week%02d/lab%04d.ipynb", i%30, i)] = lesson(strings.Repeat(fmt.Sprintf("val x%d = %d; ", i, i*i), 100))
	}
	r.commit(all)
	return r
}

// TestCostGrowsWithTheChange: a publish of one changed notebook among 6,000
// reads and writes that notebook.
func TestCostGrowsWithTheChange(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	repo := bigRepo(t, costFiles)
	s := newSiteFor(t, repo)
	y := s.syncer()
	first := s.sync(y)
	repo.write("week00/lab0000.ipynb", lesson(strings.Repeat("one new cell; ", 100)))
	repo.save()
	second := s.sync(y)
	report(t, "first publish", first)
	report(t, "one changed notebook", second)
	if first.Stats.FilesRead < costFiles || !second.Published || second.Changed != 1 {
		t.Fatalf("first %+v, second %+v", first, second)
	}
	if st := second.Stats; st.FilesRead > 4 || st.BytesRead > 20_000 || st.Objects > 3 || st.Written > 20_000 {
		t.Errorf("one changed notebook: %d files read, %d bytes; %d objects written, %d bytes", st.FilesRead, st.BytesRead, st.Objects, st.Written)
	}
	if ch := s.view().record.Channels[0]; len(ch.Bundles) != 2 {
		t.Errorf("bundles %+v", ch.Bundles)
	}
	// After a restart the contents are still known, and only indexes are read
	// from the store.
	z := s.syncer()
	z.o.StateDir = y.o.StateDir
	repo.write("week01/lab0001.ipynb", lesson("another"))
	repo.save()
	third := s.sync(z)
	report(t, "the same after a restart", third)
	if third.Stats.FilesRead > 4 || third.Stats.Written > 20_000 {
		t.Errorf("after a restart: %+v", third.Stats)
	}
	if out := s.sync(z); out.Stats.FilesRead+out.Stats.Objects > 0 || out.Stats.Took("fetch") > 0 {
		t.Errorf("nothing new: %+v", out.Stats)
	}
}

func report(t testing.TB, name string, out Outcome) {
	var b strings.Builder
	for _, s := range out.Stats.Steps {
		fmt.Fprintf(&b, " %s %.0f ms", s.Name, float64(s.Took.Microseconds())/1000)
	}
	t.Logf("%s: %d files and %d bytes read, %d objects and %d bytes written;%s", name,
		out.Stats.FilesRead, out.Stats.BytesRead, out.Stats.Objects, out.Stats.Written, b.String())
}
