//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/store"
	"satchel/syncer"
)

// termCourse is one course of a term: material that grows, its repository, and
// how many want it.
type termCourse struct {
	*material
	kit  []stock
	rank int // by students, 0 has most
	bare string

	tree    map[string]string // path to git's id, of the branch's tip
	files   map[string]bundle.Item
	paths   []string // of files, sorted
	pushed  int      // commits
	weeks   int      // of new files
	version bundle.Version
	checked time.Time   // by its newest head
	largest int64       // step
	fulls   []time.Time // when full bundles were written
	plan    map[int][]termPush
}

// stock is what a course has of one kind when the term is over: a third of it
// at the beginning.
type stock struct {
	name, ext string
	kind      pieceKind
	n, size   int
}

type termPush int

const pushWeek = termPush(pushPart) + 1 // the new week's files; the others are those of push

// kits are the three sizes: 1.6 MB, about 10 MB, and 66 MB at the term's end.
func kitOf(rank int) (name string, kit []stock) {
	switch {
	case rank == 12:
		return "large", []stock{
			{"lab", ".ipynb", aPlotted, 120, 330_000}, {"text", ".md", aText, 130, 12_000}, {"code", ".scala", aText, 130, 8_000},
			{"table", ".csv", aTable, 16, 400_000}, {"data", ".csv", aTable, 4, 4_200_000},
		}
	case rank%3 == 2:
		return "middle", []stock{
			{"lab", ".ipynb", aPlotted, 24, 200_000}, {"text", ".md", aText, 60, 12_000}, {"code", ".scala", aText, 60, 8_000},
			{"table", ".csv", aTable, 6, 400_000}, {"data", ".csv", aTable, 1, 2_000_000},
		}
	}
	return "small", []stock{{"lab", ".ipynb", aNotebook, 60, 27_000}}
}

func (tm *term) makeCourses() {
	for rank := range tm.size.Courses {
		name, kit := kitOf(rank)
		c := &termCourse{
			material: &material{name: fmt.Sprintf("%c-%s", 'a'+rank, name)}, kit: kit, rank: rank,
			files: map[string]bundle.Item{}, plan: map[int][]termPush{},
		}
		c.bare = tm.site.path("repositories/" + c.name + ".git")
		must(tm.t, os.MkdirAll(filepath.Dir(c.bare), 0o755))
		mustRun(tm.t, exec.Command("git", "init", "-q", "--bare", "-b", "main", c.bare))
		c.planPushes(tm)
		tm.courses = append(tm.courses, c)
	}
}

// planPushes decides what is pushed in which part of which day: about three
// times a week on working days, and in some weeks nothing.
func (c *termCourse) planPushes(tm *term) {
	c.plan[0] = []termPush{pushWeek} // the course as it begins
	for w := range tm.size.Weeks {
		some := tm.random(forPushes, c.rank, w)
		if w > 0 && some.IntN(100) < 7 {
			continue
		}
		add := func(kind termPush, days int) {
			part := w*partsOfWeek + some.IntN(days*partsOfDay)
			if part > 0 {
				c.plan[part] = append(c.plan[part], kind)
			}
		}
		if w > 0 && some.IntN(100) < 85 {
			add(pushWeek, 1)
		}
		for range 1 + some.IntN(3) {
			add(kindOfPush(some), 5)
		}
	}
}

func kindOfPush(some *rand.Rand) termPush {
	switch n := some.IntN(100); {
	case n < 70:
		return termPush(pushCell)
	case n < 85:
		return termPush(pushTenth)
	}
	return termPush(pushPart)
}

// grow makes the files of a week; those of weeks without any come with it.
func (c *termCourse) grow(week int) []*piece {
	before := len(c.material.files)
	for _, s := range c.kit {
		first := max(1, s.n/3)
		has := func(w int) int { return first + (s.n-first)*w/15 }
		n := has(week)
		if c.weeks > 0 {
			n -= has(c.weeks - 1)
		}
		c.add(fmt.Sprintf("week%02d-%s", week, s.name), s.ext, s.kind, n, s.size)
	}
	c.weeks = week + 1
	return c.material.files[before:]
}

// push commits to the course's repository. It says whether anything changed.
func (tm *term) push(c *termCourse, kind termPush, week int) bool {
	var changed []*piece
	if kind == pushWeek {
		changed = c.grow(week)
	} else {
		changed = c.revise(push(kind))
	}
	if len(changed) == 0 {
		return false
	}
	commit(tm.t, c.bare, "push", c.pushed == 0, changed)
	c.pushed++
	for _, p := range changed {
		data := p.content()
		c.files[p.path] = bundle.Item{Digest: bundle.Sum(data), Size: int64(len(data))}
	}
	c.paths = slices.Sorted(maps.Keys(c.files))
	c.tree = treeOf(tm.t, c.bare)
	return true
}

// treeOf asks git for the paths and ids of what is delivered.
func treeOf(t testing.TB, bare string) map[string]string {
	out := map[string]string{}
	for line := range strings.SplitSeq(mustRun(t, exec.Command("git", "-C", bare, "ls-tree", "-r", "-z", "main:"+courseFolder)), "\x00") {
		if what, path, ok := strings.Cut(line, "\t"); ok {
			out[path] = strings.Fields(what)[2]
		}
	}
	return out
}

// size is that of the files at the branch's tip.
func (c *termCourse) size() (n int64) {
	for _, f := range c.files {
		n += f.Size
	}
	return n
}

// coursesText is the configuration: a group for each course.
func (tm *term) coursesText() string {
	var b strings.Builder
	b.WriteString("limits: {per_address: -1}\ncourses:\n")
	for _, c := range tm.courses {
		fmt.Fprintf(&b, "  - {name: %s, repository: %q, branch: main, folder: %s, audience: {groups: [%s]}}\n", c.name, c.bare, courseFolder, c.name)
	}
	return b.String()
}

func (tm *term) folder(course string) string {
	return filepath.Join(tm.cfg.Store.Dir, "courses", course)
}
func (tm *term) bundles(course string) string { return filepath.Join(tm.folder(course), "bundles") }

// termSyncer is the program of that name, which runs.
type termSyncer struct {
	*process
	orders  *json.Encoder
	answers *json.Decoder
}

// syncerAnswer is what it says of an order.
type syncerAnswer struct {
	Outcome syncer.Outcome `json:"outcome"`
	Full    bool           `json:"full"`
	Pruned  int            `json:"pruned"`
	Lines   int            `json:"lines"`
	CPU     float64        `json:"cpu"`
	Error   string         `json:"error"`
}

func newTermSyncer(tm *term) *termSyncer {
	t := tm.t
	program := tm.site.path("termsyncer")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "satchel/e2e/termsyncer")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	mustRun(t, build)
	c := exec.Command(program, tm.v.config)
	in, err := c.StdinPipe()
	must(t, err)
	answers, w, err := os.Pipe()
	must(t, err)
	s := &termSyncer{process: startPiped(t, tm.site.dir, c, w), orders: json.NewEncoder(in), answers: json.NewDecoder(answers)}
	w.Close()
	return s
}

// order has the syncer do one thing at a simulated time.
func (tm *term) order(what, course string, at time.Time) (a syncerAnswer) {
	tm.t.Helper()
	must(tm.t, tm.syncer.orders.Encode(map[string]any{"what": what, "course": course, "at": at}))
	must(tm.t, tm.syncer.answers.Decode(&a))
	if a.Error != "" {
		tm.t.Fatalf("%s %s: %s", what, course, a.Error)
	}
	return a
}

// news is what happens to the courses in one part of a day: pushes, and heads
// that are signed anew because a day is over. It ends when the hookserver has
// all of it.
func (tm *term) news(part int) {
	for i, c := range tm.courses {
		at := tm.at(part).Add(time.Duration(3*i) * time.Minute)
		for _, kind := range c.plan[part] {
			if tm.push(c, kind, part/partsOfWeek) {
				tm.now.Pushes++
				tm.publish(c, at, true)
				at = at.Add(time.Minute)
			}
		}
		// The loop looks each minute, and signs as soon as a day is over.
		if due := c.checked.Add(24*time.Hour + time.Minute); due.Before(tm.at(part).Add(5 * time.Hour)) {
			tm.publish(c, laterOf(at, due), false)
		}
	}
	eventually(tm.t, time.Minute, "the hookserver has what was published", tm.caughtUp)
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// publish is a pass of the syncer, and what its loop does beside.
func (tm *term) publish(c *termCourse, at time.Time, pushed bool) {
	tm.t.Helper()
	a := tm.order("look", c.name, at)
	if a.Outcome.Published != pushed || !pushed && !a.Outcome.Signed {
		tm.t.Fatalf("%s: pushed %v, and the syncer says %+v", c.name, pushed, a.Outcome)
	}
	tm.now.Syncer += a.CPU
	c.version, c.checked = a.Outcome.Version, at
	if c.version > 1 {
		c.largest = max(c.largest, a.Outcome.Stats.Written)
	}
	if a.Full {
		c.fulls = append(c.fulls, at)
		tm.now.Fulls++
	}
	tm.age(c, at)
}

// age gives the bundles that were just written the simulated time.
func (tm *term) age(c *termCourse, at time.Time) {
	list, err := os.ReadDir(tm.bundles(c.name))
	must(tm.t, err)
	for _, e := range list {
		info, err := e.Info()
		must(tm.t, err)
		if info.ModTime().After(at) {
			must(tm.t, os.Chtimes(filepath.Join(tm.bundles(c.name), e.Name()), at, at))
		}
	}
}

// prune is what the syncer does four times a day, once.
func (tm *term) prune(now time.Time) {
	a := tm.order("prune", "", now)
	tm.now.Syncer += a.CPU
	tm.now.Pruned += a.Pruned
}

// caughtUp says what the hookserver lacks of the versions and heads, by its
// metrics.
func (tm *term) caughtUp() error {
	version, age := tm.v.metric("satchel_course_version"), tm.v.metric("satchel_course_head_age_seconds")
	for _, c := range tm.courses {
		label := fmt.Sprintf("{course=%q}", c.name)
		if got := bundle.Version(version[label]); got != c.version {
			return fmt.Errorf("%s: version %d, not %d", c.name, got, c.version)
		}
		if got := age[label]; got > time.Since(c.checked).Seconds()+1 {
			return fmt.Errorf("%s: its head is %.0f s old", c.name, got)
		}
	}
	return nil
}

// metric gives the values of one of the service's metrics, by labels.
func (v *service) metric(name string) map[string]float64 {
	out := map[string]float64{}
	resp, err := http.Get("http://" + v.hubs + "/metrics")
	if err != nil {
		return out
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	_, _ = b.ReadFrom(resp.Body)
	for line := range strings.Lines(b.String()) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		var n float64
		at := strings.LastIndexByte(rest, ' ')
		if _, err := fmt.Sscan(rest[at:], &n); err == nil {
			out[strings.TrimSpace(rest[:at])] = n
		}
	}
	return out
}

// requests are those that the service answered, by route, and again by route
// and status where it is 304.
func (v *service) requests() map[string]int64 {
	out := map[string]int64{}
	for labels, n := range v.metric("satchel_requests_total") {
		var route, status string
		for _, part := range strings.Split(strings.Trim(labels, "{}"), ",") {
			switch name, value, _ := strings.Cut(part, "="); name {
			case "route":
				route = strings.Trim(value, `"`)
			case "status":
				status = strings.Trim(value, `"`)
			}
		}
		out[route] += int64(n)
		if status == "304" {
			out[route+" 304"] += int64(n)
		}
	}
	return out
}

func isStatus(name string) bool { return strings.Contains(name, " ") }

// measureStore weighs the store when the week is over, and checks that it
// holds what is needed and no more.
func (tm *term) measureStore(now time.Time) {
	tm.t.Helper()
	for _, c := range tm.courses {
		tm.now.Material += c.size()
		tm.now.Store += folderBytes(tm.t, tm.folder(c.name))
		rec, _, err := store.ReadRecord(tm.ctx(), tm.st, c.name)
		must(tm.t, err)
		named, most := tm.weighRecord(c, rec)
		tm.now.Named += named
		tm.checkBundles(c, rec, now, most)
	}
}

// weighRecord gives the bytes of the bundles that a record names, and the most
// that they may have with one more step. What may lie after the newest full
// bundle, and what before it, package syncer says.
func (tm *term) weighRecord(c *termCourse, rec *store.Record) (named, most int64) {
	tm.t.Helper()
	const smallPast, indexes = 4 << 20, 1 << 20
	for _, ch := range rec.Channels {
		var full store.BundleRef
		for _, ref := range ch.Bundles {
			if ref.From == 0 && ref.To > full.To {
				full = ref
			}
		}
		var before, since, steps int64
		for _, ref := range ch.Bundles {
			switch named += ref.Size; {
			case ref.From >= full.To:
				since, steps = since+ref.Size, steps+1
			case ref != full:
				before += ref.Size
			}
		}
		past := 2*max(full.Size/4, smallPast) + indexes // deltas, and former full bundles that are slim
		if since > full.Size/2 || steps > 30 {
			tm.t.Errorf("%s: %d steps of %d bytes lie after a full bundle of %d", c.name, steps, since, full.Size)
		}
		if before > past {
			tm.t.Errorf("%s: %d bytes lie before a full bundle of %d; at most %d may", c.name, before, full.Size, past)
		}
		most += full.Size + full.Size/2 + past + c.largest
	}
	return named, most
}

// checkBundles compares the bundles that are there with those that the record
// and the log name: entries of the last 7 days, and of the last 20 versions.
// What those are together has a bound, too: what a record names, once more for
// each full bundle that was written in this time, and each publish's step.
func (tm *term) checkBundles(c *termCourse, rec *store.Record, now time.Time, most int64) {
	tm.t.Helper()
	needed := map[string]bool{}
	for _, d := range rec.Named() {
		needed[d.String()] = true
	}
	entries, err := store.Entries(tm.ctx(), tm.st, c.name, 100_000)
	must(tm.t, err)
	versions := map[bundle.Version]bool{}
	since, added := now, int64(0)
	for _, e := range entries {
		if now.Sub(e.Time) > 7*24*time.Hour && len(versions) >= 20 {
			break
		}
		since, added = e.Time, added+e.Size
		if e.Version > 0 {
			versions[e.Version] = true
		}
		for _, d := range e.Bundles {
			needed[d.String()] = true
		}
	}
	bound := most + added
	for _, at := range c.fulls {
		if !at.Before(since) {
			bound += most
		}
	}
	var bytes int64
	list, err := os.ReadDir(tm.bundles(c.name))
	must(tm.t, err)
	for _, e := range list {
		info, err := e.Info()
		must(tm.t, err)
		bytes += info.Size()
		if !needed[e.Name()] && now.Sub(info.ModTime()) > 24*time.Hour {
			tm.t.Errorf("%s: bundle %.12s of %s is in the store and nothing needs it", c.name, e.Name(), info.ModTime().Format(time.DateOnly))
		}
		delete(needed, e.Name())
	}
	for _, d := range rec.Named() {
		if needed[d.String()] {
			tm.t.Errorf("%s: bundle %s is named by the record and not in the store", c.name, d)
		}
	}
	if bytes > bound {
		tm.t.Errorf("%s: %d bytes of bundles; at most %d can be needed", c.name, bytes, bound)
	}
}
