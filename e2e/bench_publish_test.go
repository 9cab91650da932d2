//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/syncer"
)

// published is one publish, measured. Times are seconds.
type published struct {
	Visible float64 `json:"visible"` // from the hint to the hookserver's having it
	Own     float64 `json:"own"`     // of the pass, without asking the git host and fetching
	Git     float64 `json:"git"`     // asking the git host, and fetching
	CPU     float64 `json:"cpu"`     // of the syncer
	Written int64   `json:"written"` // bytes put into the store
	Packed  int64   `json:"packed"`  // bytes of the changed files, compressed whole
	Memory  int64   `json:"memory"`  // bytes, the most that the syncer had
}

// TestBenchPublish measures the publish side: a first publish, and the three
// pushes. Syncer and hookserver are two processes, as at a larger site.
func TestBenchPublish(t *testing.T) {
	for _, m := range materials() {
		if !among("COURSES", m.name) {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			all := newPress(t, m).run()
			printPublished(m.name, all)
			results(t, "publish-"+m.name+".json", all)
		})
	}
}

// press is a syncer and a hookserver on one course.
type press struct {
	*arena
	syncer, server *service
	rounds         int
}

func newPress(t testing.TB, m *material) *press {
	p := &press{arena: newArena(t, m), rounds: fromEnv("ROUNDS", m.rounds)}
	mustRun(t, exec.Command("rm", "-rf", p.site.repo.bare))
	p.site.repo.bare = p.bare
	p.server = p.site.configure("server", "").run("hookserver")
	p.syncer = p.site.configure("syncer", "")
	// The loop must not be first: it would look again while a push is measured.
	data, err := os.ReadFile(p.syncer.config)
	must(t, err)
	write(t, p.syncer.config, strings.Replace(string(data), "poll: 5s", "poll: 1h", 1))
	return p
}

func (p *press) run() map[string][]published {
	out := map[string][]published{}
	began := time.Now()
	p.syncer.run("syncer")
	eventually(p.t, 15*time.Minute, "the first version at the hookserver", func() error { return p.has(1) })
	first := published{Visible: time.Since(began).Seconds(), Written: folderBytes(p.t, p.site.path("conf/store")), Packed: p.packed(p.m.files)}
	first.Memory, first.CPU = p.spent()
	out["first"] = []published{first}
	for kind, name := range pushNames {
		for range p.rounds {
			out[name] = append(out[name], p.one(push(kind)))
		}
	}
	return out
}

// one pushes, hints, and waits until the hookserver has it.
func (p *press) one(kind push) published {
	changed := p.m.revise(kind)
	commit(p.t, p.bare, pushNames[kind], false, changed)
	p.forgetPeak()
	_, cpu := p.spent()
	version := p.server.version()
	began := time.Now()
	var o syncer.Outcome
	must(p.t, json.Unmarshal([]byte(p.syncer.publish("--json")), &o))
	if !o.Published {
		p.t.Fatalf("nothing was published: %+v", o)
	}
	eventually(p.t, time.Minute, "the version at the hookserver", func() error { return p.has(version + 1) })
	x := published{Visible: time.Since(began).Seconds(), Written: o.Stats.Written, Packed: p.packed(changed)}
	for _, s := range o.Stats.Steps {
		if s.Name == "list" || s.Name == "fetch" {
			x.Git += s.Took.Seconds()
		} else {
			x.Own += s.Took.Seconds()
		}
	}
	memory, after := p.spent()
	x.Memory, x.CPU = memory, after-cpu
	p.t.Log(kind, steps(o.Stats))
	return x
}

func (p *press) has(version int) error {
	if got := p.server.version(); got < version {
		return fmt.Errorf("version %d", got)
	}
	return nil
}

// spent is the most memory that the syncer had, and its processor time.
func (p *press) spent() (memory int64, cpu float64) { return processUse(p.t, p.syncer.cmd.Process.Pid) }

// forgetPeak lets the most memory be counted anew from now.
func (p *press) forgetPeak() { forgetPeak(p.syncer.cmd.Process.Pid) }

func forgetPeak(pid int) {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0o200)
}

// processUse is the most memory that a process had, bytes, and its processor
// time, seconds.
func processUse(t testing.TB, pid int) (memory int64, cpu float64) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	for line := range strings.Lines(string(status)) {
		if n := 0; strings.HasPrefix(line, "VmHWM:") {
			_, err := fmt.Sscanf(line, "VmHWM: %d kB", &n)
			must(t, err)
			memory = int64(n) << 10
		}
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(t, err)
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+2:])) // from the state on
	for _, f := range fields[11:13] {                                         // utime and stime, in hundredths of a second
		n, err := strconv.ParseFloat(f, 64)
		must(t, err)
		cpu += n / 100
	}
	return memory, cpu
}

// packed is what the files have when each is compressed as a bundle does it.
func (p *press) packed(files []*piece) (n int64) {
	for _, f := range files {
		var b bytes.Buffer
		must(p.t, bundle.Compress(&b, bytes.NewReader(f.content())))
		n += int64(b.Len())
	}
	return n
}

func folderBytes(t testing.TB, dir string) (n int64) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			info, err := d.Info()
			if err == nil {
				n += info.Size()
			}
			return err
		}
		return err
	}))
	return n
}

func steps(st syncer.Stats) string {
	var out []string
	for _, s := range st.Steps {
		out = append(out, fmt.Sprintf("%s %.1f ms", s.Name, s.Took.Seconds()*1e3))
	}
	return strings.Join(out, ", ")
}

func printPublished(course string, all map[string][]published) {
	fmt.Printf("\nA publish, course %s (medians)\n\n| | visible ms | git ms | ours ms | CPU ms | written kB | changed files packed kB | memory MB |\n|---|---|---|---|---|---|---|---|\n", course)
	for _, name := range append([]string{"first"}, pushNames...) {
		median := func(of func(published) float64) string { return short(medianOf(all[name], of)) }
		fmt.Printf("| %s | %s | %s | %s | %s | %s | %s | %s |\n", name,
			median(func(x published) float64 { return x.Visible * 1e3 }), median(func(x published) float64 { return x.Git * 1e3 }),
			median(func(x published) float64 { return x.Own * 1e3 }), median(func(x published) float64 { return x.CPU * 1e3 }),
			median(func(x published) float64 { return float64(x.Written) / 1e3 }), median(func(x published) float64 { return float64(x.Packed) / 1e3 }),
			median(func(x published) float64 { return float64(x.Memory) / 1e6 }))
	}
}

func medianOf[T any](all []T, of func(T) float64) float64 {
	var values []float64
	for _, x := range all {
		values = append(values, of(x))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// results writes what was measured as JSON, for plots and tables.
func results(t testing.TB, name string, all any) {
	t.Helper()
	if dir := os.Getenv("BENCH_RESULTS"); dir != "" {
		data, err := json.MarshalIndent(all, "", " ")
		must(t, err)
		must(t, os.MkdirAll(dir, 0o755))
		write(t, filepath.Join(dir, name), string(data))
	}
}

func newestEntries(s *site, v *service) (all []logEntry) {
	out, code := s.trySatchel("log", "scala101", "--json", "--config", v.config)
	if code == 0 {
		_ = json.Unmarshal([]byte(out), &all)
	}
	return all
}

// TestBenchBehind measures a student who was away for thirty versions: what
// one answer brings, beside what it brings where the thirty came as one. Three of
// them changed a tenth of the files, the others a cell.
func TestBenchBehind(t *testing.T) {
	if !among("COURSES", "M") {
		t.Skip("course M is not asked for")
	}
	m := materials()[1]
	r := &race{arena: newArena(t, m), out: &figures{}}
	r.limits() // builds what tells the memory
	agents := r.satchels()
	agents[0].pushed()
	away := func(name string) string {
		home := r.home(name)
		r.measure(agents[1], agents[1].login(home, r.v.students))
		return home
	}
	many, direct := away("many"), away("direct")
	all := map[string]measured{}
	for i := range 30 {
		kind := pushCell
		if i%10 == 9 {
			kind = pushTenth
		}
		r.push(kind, agents[:1])
	}
	all["30 steps"] = r.count(agents[1], many)
	r.compare(agents[1], many)
	// The same difference as one step: the service's store is made anew, with
	// the first version and the last one.
	last := strings.TrimSpace(mustRun(t, exec.Command("git", "-C", r.bare, "rev-parse", "main")))
	r.v.kill()
	mustRun(t, exec.Command("rm", "-rf", r.site.path("conf/store"), r.site.path("state-one")))
	must(t, os.MkdirAll(r.site.path("conf/store"), 0o700))
	mustRun(t, exec.Command("git", "-C", r.bare, "update-ref", "refs/heads/main", last+"~30"))
	r.v.run("serve")
	r.published()
	mustRun(t, exec.Command("rm", "-rf", direct))
	direct = away("direct")
	mustRun(t, exec.Command("git", "-C", r.bare, "update-ref", "refs/heads/main", last))
	r.published()
	all["direct"] = r.count(agents[1], direct)
	r.compare(agents[1], direct)
	fmt.Printf("\nThirty versions behind, course M\n\n| | kB on the wire | requests |\n|---|---|---|\n")
	for _, name := range []string{"30 steps", "direct"} {
		fmt.Printf("| %s | %s | %d |\n", name, short(float64(all[name].Bytes)/1e3), all[name].Requests)
	}
	fmt.Printf("\nratio %.2f\n", float64(all["30 steps"].Bytes)/float64(all["direct"].Bytes))
	results(t, "behind.json", all)
}
