//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"satchel/hook"
)

// storming is a way to log in, of which many come at once.
type storming struct {
	name    string
	command func(home string) *exec.Cmd // as one student's server would
	before  func(homes []string)        // what the hub does for them; counted as the server's
	after   func()                      // ends what was left behind
	cpu     func() time.Duration        // that its server took until now; nil: not told
	folder  string                      // below the home
	base    string                      // kind of home: those with the same one share theirs
	links   func(name string) bool      // files of a home that never change in place
}

// gust is one storm that was measured. Latencies count from the moment at
// which all students clicked.
type gust struct {
	Seconds float64 `json:"seconds"` // until the last was done
	P50     float64 `json:"p50"`
	P99     float64 `json:"p99"`
	CPU     float64 `json:"cpu,omitempty"` // seconds of the server, in all
}

// stormResult is one storm with all who were in it, by name.
type stormResult struct {
	Course    string            `json:"course"`
	Situation string            `json:"situation"`
	Students  int               `json:"students"`
	Gusts     map[string][]gust `json:"gusts"`
}

const gitName = "git over http"

// stormReport is what goes to storm.json.
var stormReport struct {
	Storms  []*stormResult `json:"storms"`
	Streams *streamsResult `json:"streams,omitempty"`
	Memory  []memoryResult `json:"memory,omitempty"`
}

func reportStorm(t *testing.T) {
	t.Helper()
	if dir := os.Getenv("BENCH_RESULTS"); dir != "" {
		data, err := json.MarshalIndent(stormReport, "", " ")
		must(t, err)
		write(t, filepath.Join(dir, "storm.json"), string(data))
	}
}

// fromEnv reads a whole number from the environment.
func fromEnv(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// weather is one course with a service in two halves, so that what the
// hookserver takes is what students cost, and a git server beside it.
type weather struct {
	*arena
	front  *service // the hookserver
	git    string   // address
	rounds int      // of each storm but the first logins
	log    *os.File // what clients say
}

func newWeather(t *testing.T, m *material) *weather {
	w := &weather{arena: newArena(t, m), rounds: fromEnv("ROUNDS", 3)}
	w.limits()
	mustRun(t, exec.Command("rm", "-rf", w.site.repo.bare))
	w.site.repo.bare = w.bare
	syncer := w.site.configure("syncer", "").run("syncer")
	w.front = w.site.configure("front", "").run("hookserver")
	w.v = &service{process: w.front.process, site: w.site, config: syncer.config, students: w.front.students, hubs: w.front.hubs}
	w.published()
	w.git = w.startGit()
	var err error
	w.log, err = os.Create(filepath.Join(w.dir, "clients.log"))
	must(t, err)
	t.Cleanup(func() { w.log.Close() })
	return w
}

// startGit starts a git server that is a process of its own; it gives its
// address.
func (w *weather) startGit() (addr string) {
	git := start(w.t, w.dir, nil, filepath.Join(w.dir, "limits"), "git", gitBackend(w.t), w.dir)
	eventually(w.t, time.Minute, "the git server", func() error {
		var whole bool
		if addr, _, whole = strings.Cut(git.output(), "\n"); !whole {
			return fmt.Errorf("no address yet")
		}
		return nil
	})
	return addr
}

// TestBenchStormLogins: hundreds of logins at once, each a process of its own,
// on course M, by three numbers of students. STUDENTS=30, ROUNDS=1 and
// STORMS=nothing,u1 measure less.
func TestBenchStormLogins(t *testing.T) {
	w := newWeather(t, materials()[1])
	students := fromEnv("STUDENTS", 300)
	wanted := func(storm string) bool { return among("STORMS", storm) }
	few := (w.rounds + 2) / 3 // rounds of the long ones
	if wanted("first") {
		for _, n := range numbers(students / 3) {
			w.firsts(n, few)
		}
	}
	homes := map[string][]string{}
	if wanted("nothing") || wanted("u1") {
		homes = w.many(students)
	}
	if wanted("nothing") {
		for _, n := range numbers(students) {
			w.print(w.storm("nothing new", n, w.rounds, homes, nil))
		}
	}
	if wanted("u1") {
		for _, n := range numbers(students / 3) {
			w.print(w.storm("u1", n, w.rounds, homes, func() { w.push(pushCell, nil); w.published() }))
		}
	}
	reportStorm(t)
}

// numbers are by how many students a storm is measured.
func numbers(most int) []int { return []int{max(most/4, 1), max(most/2, 1), max(most, 1)} }

// all are those who storm.
func (w *weather) all() []*storming {
	admitted := map[string]hook.Admission{} // by home
	agent := func(home string, args ...string) *exec.Cmd {
		st := &student{t: w.t, name: filepath.Base(home), root: filepath.Join(home, "work")}
		c := st.agent(admitted[home], args...)
		c.Env = append(c.Env, "SATCHEL_BUDGET=60s")
		return c
	}
	admit := func(homes []string) {
		for _, home := range homes {
			admitted[home] = w.v.login(filepath.Base(home))
		}
	}
	ours := func() time.Duration { return cpuTime(w.t, w.front.cmd.Process.Pid) }
	packs := func(name string) bool {
		return !strings.Contains(name, "/.satchel/") || strings.HasPrefix(filepath.Base(name), "pack-")
	}
	git := w.gits(gitName, w.git, func(addr string) string { return "http://" + addr + "/git/course.git" })
	program := filepath.Join(w.dir, "limits")
	return []*storming{
		{
			name: "**Satchel, start hook**", base: "satchel", folder: "work/scala101", links: packs, before: admit, cpu: ours,
			command: func(home string) *exec.Cmd { return agent(home, "sync", "--hook") },
			after:   func() { endWatches(w.t, filepath.Join(w.dir, "homes")) },
		},
		{
			name: "**Satchel, `sync`**", base: "satchel", folder: "work/scala101", links: packs, before: admit, cpu: ours,
			command: func(home string) *exec.Cmd { return agent(home, "sync") },
		},
		{
			name: gitName, base: "git", folder: git.folder, cpu: func() time.Duration { return w.gitTime() },
			links: func(name string) bool {
				return !strings.Contains(name, "/.git/") || strings.Contains(name, "/objects/")
			},
			command: func(home string) *exec.Cmd { return git.login(home, w.git) },
		},
		{
			name: "limit: `curl` with an ETag", base: "none",
			command: func(home string) *exec.Cmd {
				return w.as(home, nil, "curl", "-sf", "-H", `If-None-Match: "now"`, "http://"+w.git+"/state")
			},
		},
		{
			name: "limit: one conditional GET with its process", base: "none",
			command: func(home string) *exec.Cmd { return w.as(home, nil, program, "get", "http://"+w.git+"/state", `"now"`) },
		},
	}
}

// firsts are first logins, each into an empty home. One way after the other
// has the disk.
func (w *weather) firsts(students, rounds int) {
	out := &stormResult{Course: w.m.name, Situation: "first login", Students: students, Gusts: map[string][]gust{}}
	all := slices.DeleteFunc(w.all(), func(s *storming) bool { return s.folder == "" || s.after != nil })
	for n := range rounds {
		for _, i := range rand.Perm(len(all)) {
			s := all[i]
			var homes []string
			for k := range students {
				homes = append(homes, w.home(fmt.Sprintf("first-%d-%d-%d", n, i, k)))
			}
			out.Gusts[s.name] = append(out.Gusts[s.name], w.gust(s, homes))
			w.compare(s, homes)
			must(w.t, os.RemoveAll(filepath.Join(w.dir, "homes")))
			w.rest()
		}
	}
	w.print(out)
}

// many makes homes in which a first login has been, by kind. A course's files,
// and what else never changes in place, are one file in all of them: else they
// would fill the disk. Each has been logged into once since, so that nobody
// finds other times than they left.
func (w *weather) many(students int) map[string][]string {
	out := map[string][]string{}
	for _, s := range w.all() {
		if out[s.base] != nil || s.after != nil {
			continue
		}
		for k := range students {
			home := w.home(fmt.Sprintf("%s-%d", s.base, k))
			if s.folder == "" {
				out[s.base] = append(out[s.base], home)
				continue
			}
			if k == 0 {
				w.gust(s, []string{home})
			} else {
				w.clone(out[s.base][0], home, s.links)
			}
			out[s.base] = append(out[s.base], home)
		}
		if s.folder != "" {
			w.rest() // what was changed just now is not believed by its times
			for some := range slices.Chunk(out[s.base], 8) {
				w.gust(s, some)
			}
		}
	}
	return out
}

// clone copies a home; what links names is linked.
func (w *weather) clone(from, to string, links func(string) bool) {
	w.t.Helper()
	must(w.t, filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSocket != 0 {
			return err
		}
		rel, _ := filepath.Rel(from, path)
		dest := filepath.Join(to, rel)
		info, err := d.Info()
		switch {
		case err != nil:
			return err
		case d.IsDir():
			err = os.MkdirAll(dest, info.Mode().Perm())
		case links(path):
			return os.Link(path, dest)
		default:
			var data []byte
			if data, err = os.ReadFile(path); err == nil {
				err = os.WriteFile(dest, data, info.Mode().Perm())
			}
		}
		if err == nil && os.Getuid() == 0 {
			err = os.Chown(dest, studentID, studentID)
		}
		return err
	}))
}

// storm lets all come, one way after the other, in any order, in each round.
// between is before each round.
func (w *weather) storm(situation string, students, rounds int, homes map[string][]string, between func()) *stormResult {
	out := &stormResult{Course: w.m.name, Situation: situation, Students: students, Gusts: map[string][]gust{}}
	all := slices.DeleteFunc(w.all(), func(s *storming) bool { return between != nil && s.folder == "" })
	for range rounds {
		for _, i := range rand.Perm(len(all)) {
			if between != nil {
				between() // one release for each: two ways share their homes
			}
			s := all[i]
			out.Gusts[s.name] = append(out.Gusts[s.name], w.gust(s, homes[s.base][:students]))
			if s.after != nil {
				s.after()
			}
			w.compare(s, homes[s.base][:students])
		}
	}
	return out
}

// gust lets them all log in at once and waits for the last.
func (w *weather) gust(s *storming, homes []string) gust {
	w.t.Helper()
	cpu := func() time.Duration { return 0 }
	if s.cpu != nil {
		cpu = s.cpu
	}
	took := cpu()
	if s.before != nil {
		s.before(homes)
	}
	commands := make([]*exec.Cmd, len(homes))
	for i, home := range homes {
		commands[i] = s.command(home)
		commands[i].Stdout, commands[i].Stderr = w.log, w.log
		if commands[i].SysProcAttr == nil {
			commands[i].SysProcAttr = &syscall.SysProcAttr{}
		}
		// As in a container, each competes for the processors on its own: the
		// kernel shares them out by session (sched_autogroup).
		commands[i].SysProcAttr.Setsid = true
	}
	seconds := make([]float64, len(homes))
	var wg sync.WaitGroup
	begin := make(chan time.Time)
	for i, c := range commands {
		wg.Go(func() {
			clicked := <-begin
			err := c.Run()
			seconds[i] = time.Since(clicked).Seconds()
			if err != nil {
				w.t.Errorf("%s: %v", s.name, err)
			}
		})
	}
	clicked := time.Now()
	for range commands {
		begin <- clicked
	}
	wg.Wait()
	if w.t.Failed() {
		said, _ := os.ReadFile(w.log.Name())
		w.t.Fatalf("clients said:\n%s", tail(string(said), 3000))
	}
	slices.Sort(seconds)
	g := gust{Seconds: seconds[len(seconds)-1], P50: seconds[len(seconds)/2], P99: seconds[len(seconds)*99/100]}
	g.CPU = (cpu() - took).Seconds()
	return g
}

// compare sees that those who logged in have the newest: some of them.
func (w *weather) compare(s *storming, homes []string) {
	w.t.Helper()
	if s.folder == "" {
		return
	}
	for _, i := range []int{0, len(homes) / 2, len(homes) - 1} {
		if out, code := runProgram(w.t, exec.Command("diff", "-rq", w.tree, filepath.Join(homes[i], s.folder))); code != 0 {
			w.t.Fatalf("%s has not the newest:\n%s", s.name, tail(out, 500))
		}
	}
}

// gitTime is what git's processes took at the server.
func (w *weather) gitTime() time.Duration {
	w.t.Helper()
	resp, err := http.Get("http://" + w.git + "/cpu")
	must(w.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(w.t, err)
	seconds, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
	must(w.t, err)
	return time.Duration(seconds * float64(time.Second))
}

// cpuTime is what a process took until now; the kernel counts it in hundredths
// of a second.
func cpuTime(t testing.TB, pid int) time.Duration {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(t, err)
	_, rest, _ := strings.Cut(string(data), ") ") // the name may hold blanks
	fields := strings.Fields(rest)
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// endWatches ends all that start hooks left behind in homes below a folder.
func endWatches(t testing.TB, below string) {
	t.Helper()
	eventually(t, time.Minute, "the end of the watches", func() error {
		running := 0
		all, _ := filepath.Glob("/proc/[0-9]*/environ")
		for _, p := range all {
			env, err := os.ReadFile(p)
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(p), "cmdline"))
			if err == nil && strings.Contains(string(env), "SATCHEL_ROOT="+below+"/") && strings.Contains(string(line), "watch") {
				pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(p)))
				_ = syscall.Kill(pid, syscall.SIGTERM)
				running++
			}
		}
		if running > 0 {
			return fmt.Errorf("%d are running", running)
		}
		return nil
	})
}

// print shows a storm. The ratio is that of each round to git in the same one.
func (w *weather) print(out *stormResult) {
	stormReport.Storms = append(stormReport.Storms, out)
	fmt.Printf("\n%d students at once, course %s, %s (medians of %d)\n\n| | all done, s | p50, s | p99, s | git's time to this | server's CPU, ms a login | of git's |\n|---|---|---|---|---|---|---|\n",
		out.Students, out.Course, out.Situation, len(out.Gusts[gitName]))
	git := out.Gusts[gitName]
	for _, s := range w.all() {
		all := out.Gusts[s.name]
		if len(all) == 0 {
			continue
		}
		var times, cpus []float64
		for i, g := range all {
			times = append(times, git[i].Seconds/g.Seconds)
			cpus = append(cpus, g.CPU/max(git[i].CPU, 1e-6)*100)
		}
		of := func(f func(gust) float64) float64 {
			var x []float64
			for _, g := range all {
				x = append(x, f(g))
			}
			return middle(x)
		}
		cpu, share := "", ""
		if s.cpu != nil {
			cpu = short(of(func(g gust) float64 { return g.CPU }) / float64(out.Students) * 1e3)
			share = short(middle(cpus)) + " %"
		}
		fmt.Printf("| %s | %s | %s | %s | %s × | %s | %s |\n", s.name, short(of(func(g gust) float64 { return g.Seconds })),
			short(of(func(g gust) float64 { return g.P50 })), short(of(func(g gust) float64 { return g.P99 })), short(middle(times)), cpu, share)
	}
}

// middle is the median.
func middle(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}
