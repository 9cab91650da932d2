//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/internal/config"
	"satchel/store"
)

// TestBenchTerm plays a term with the real parts: repositories, a syncer on a
// folder store whose clock begins so many weeks ago, a hookserver in a process
// of its own, and students who speak the protocol over loopback. Chosen by
// STUDENTS, WEEKS, COURSES_TERM and SEED; every choice follows from the seed.
func TestBenchTerm(t *testing.T) {
	tm := newTerm(t)
	tm.describe()
	for w := range tm.size.Weeks {
		tm.week(w)
	}
	tm.checkRequests()
	tm.report.Alone = tm.alone()
	tm.report.print()
	results(t, "term.json", tm.report)
}

// termSize is how large a term is.
type termSize struct {
	Courses  int    `json:"courses"`
	Students int    `json:"students"`
	Weeks    int    `json:"weeks"`
	Seed     uint64 `json:"seed"`
}

func termSizeOf(t testing.TB) termSize {
	number := func(name string, otherwise int) int {
		text := os.Getenv(name)
		if text == "" {
			return otherwise
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("%s=%s is no number from 1 on", name, text)
		}
		return n
	}
	return termSize{
		Courses: min(20, number("COURSES_TERM", 20)), Students: number("STUDENTS", 5000),
		Weeks: number("WEEKS", 15), Seed: uint64(number("SEED", 1)),
	}
}

// term is a school's term.
type term struct {
	t        testing.TB
	size     termSize
	begin    time.Time // of the first day
	site     *site
	v        *service // the hookserver
	cfg      *config.Config
	st       *store.Dir
	syncer   *termSyncer
	courses  []*termCourse
	students []*attendee
	line     *termLine
	seen     *heldBytes // of the students who keep every byte
	report   *termReport
	now      *termWeek // that is being played
}

// A day has two parts, each of which begins with pushes and goes on with
// logins.
const (
	partsOfDay  = 2
	partsOfWeek = 7 * partsOfDay
)

// random gives numbers that only the seed and the words decide.
func (tm *term) random(what, i, j int) *rand.Rand {
	return rand.New(rand.NewPCG(tm.size.Seed<<32|uint64(what), uint64(i)<<32|uint64(j)))
}

// What random numbers are for.
const (
	forCourse = iota
	forPushes
	forEnrolment
	forSchedule
	forLogins
	forSample
)

func newTerm(t testing.TB) *term {
	tm := &term{t: t, size: termSizeOf(t), site: newSiteWithoutSSH(t)}
	tm.begin = time.Now().Add(-time.Duration(tm.size.Weeks) * 7 * 24 * time.Hour)
	tm.report = &termReport{Size: tm.size}
	tm.seen = &heldBytes{known: map[bundle.Digest]*content{}}
	tm.makeCourses()
	tm.v = tm.site.configure("term", tm.coursesText())
	var err error
	tm.cfg, err = config.Load(tm.v.config)
	must(t, err)
	tm.st, err = store.NewDir(tm.cfg.Store.Dir)
	must(t, err)
	t.Cleanup(func() { tm.st.Close() })
	tm.syncer = newTermSyncer(tm)
	tm.line = newTermLine(t, tm.v, tm.cfg)
	tm.makeStudents()
	tm.v.run("hookserver")
	return tm
}

// at is when a part of a day begins.
func (tm *term) at(part int) time.Time {
	hours := 8
	if part%partsOfDay == 1 {
		hours = 14
	}
	return tm.begin.Add(time.Duration(24*(part/partsOfDay)+hours) * time.Hour)
}

func (tm *term) week(w int) {
	tm.now = &termWeek{Week: w + 1}
	forgetPeak(tm.v.cmd.Process.Pid)
	forgetPeak(tm.syncer.cmd.Process.Pid)
	before, began := tm.line.count.read(), time.Now()
	for part := w * partsOfWeek; part < (w+1)*partsOfWeek; part++ {
		tm.now.ServiceNews += tm.spentIn(func() { tm.news(part) })
		tm.now.ServiceLogins += tm.spentIn(func() { tm.logins(part) })
		if part%partsOfDay == 1 {
			tm.prune(tm.at(part).Add(10 * time.Hour))
		}
	}
	tm.now.termCounts = tm.line.count.read().minus(before)
	tm.now.Memory, _ = processUse(tm.t, tm.v.cmd.Process.Pid)
	tm.now.SyncerMemory, _ = processUse(tm.t, tm.syncer.cmd.Process.Pid)
	tm.measureStore(tm.at((w+1)*partsOfWeek - 1).Add(10 * time.Hour))
	tm.seen.forget(tm.students)
	tm.now.Seconds = time.Since(began).Seconds()
	tm.report.Weeks = append(tm.report.Weeks, tm.now)
	fmt.Printf("%s\n", tm.now.row())
}

// spentIn is the service's processor time while something is done, seconds.
func (tm *term) spentIn(do func()) float64 {
	_, before := processUse(tm.t, tm.v.cmd.Process.Pid)
	do()
	_, after := processUse(tm.t, tm.v.cmd.Process.Pid)
	return after - before
}

// checkRequests compares what the service counted with what was asked: each
// login is one request, and others are receipts and contents by digest.
func (tm *term) checkRequests() {
	tm.t.Helper()
	mine, theirs := tm.line.count.read(), tm.v.requests()
	want := map[string]int64{
		"sync": mine.Logins, "sync 304": mine.NotModified, "receipt": mine.Receipts, "files": mine.Asked, "login": mine.Posted,
	}
	for _, name := range slices.Sorted(maps.Keys(theirs)) {
		if _, ok := want[name]; !ok && theirs[name] > 0 && !isStatus(name) {
			tm.t.Errorf("the service answered %d requests of route %q, which a login does not need", theirs[name], name)
		}
	}
	for name, n := range want {
		if theirs[name] != n {
			tm.t.Errorf("%s: the service counted %d requests, the students asked %d", name, theirs[name], n)
		}
	}
	if played := tm.planned(); mine.Logins != played {
		tm.t.Errorf("%d requests for %d logins; each login is one", mine.Logins, played)
	}
	if mine.Limited > 0 {
		tm.t.Logf("a limit of the service answered %d times", mine.Limited)
	}
}

// planned is how many logins the students' plans have.
func (tm *term) planned() (n int64) {
	for _, s := range tm.students {
		n += int64(len(s.parts))
	}
	return n
}

func (tm *term) ctx() context.Context { return tm.t.Context() }
