//go:build e2e && linux && amd64

package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// What goes wrong in these tests goes wrong at the N-th call of the
// unmodified agent that reaches the student's disk, in an update of sixty
// files, for every N. CI takes calls that only move bytes in strides, and of
// the errors one for each N in turn; SATCHEL_FULL=1 (make chaos) leaves
// nothing out.
var full = os.Getenv("SATCHEL_FULL") != ""

func stride(n int) int {
	if full {
		return 1
	}
	return n
}

// way is how a call goes wrong.
type way struct {
	name string
	injection
}

var killed = []way{{"kill -9", injection{}}}

var failing = []way{
	{"EIO", injection{Errno: syscall.EIO}},
	{"ENOSPC", injection{Errno: syscall.ENOSPC}},
	{"EROFS", injection{Errno: syscall.EROFS}},
	{"EDQUOT", injection{Errno: syscall.EDQUOT}},
	{"EACCES", injection{Errno: syscall.EACCES}},
	{"EIO from there on", injection{Errno: syscall.EIO, On: true}},
	{"ENOSPC from there on", injection{Errno: syscall.ENOSPC, On: true}},
	{"EROFS from there on", injection{Errno: syscall.EROFS, On: true}},
	{"EDQUOT from there on", injection{Errno: syscall.EDQUOT, On: true}},
}

// TestE2EAgentKilledAtEachStep: after kill -9 before any call that changes the
// disk every file is whole, old or new, each byte of the student's is there,
// the next run ends with the newest, and a further one does nothing.
func TestE2EAgentKilledAtEachStep(t *testing.T) {
	u := newUpdate(t)
	u.strikeEach(t, "names", 1, killed, afterKill)
	u.strikeEach(t, "bytes", stride(4), killed, afterKill)
}

func afterKill(u *update, st *student, out outcome, what string) {
	if out.Code != 128+9 {
		u.t.Errorf("%s: ended with %d, which is no kill:\n%s", what, out.Code, out.Out)
	}
}

// TestE2ESyncedBeforePlaced: kill -9 stands for a power cut but for what is
// not on disk yet. So the order of the calls is looked at as well: each file
// that takes a place in the course's folder was brought to disk after the last
// byte was written to it, and each folder in which names changed is brought to
// disk after that, before the version is recorded.
func TestE2ESyncedBeforePlaced(t *testing.T) {
	u := newUpdate(t)
	st := u.copyOf(u.tmpl, "order")
	out := traced(t, st, st.agent(u.v.login(st.name), "sync"), injection{Calls: "changes", Log: true})
	synced, dirty, placed := map[string]bool{}, map[string]bool{}, 0
	for _, call := range out.Log {
		name, rest, _ := strings.Cut(call, " ")
		from, to, _ := strings.Cut(rest, " to ")
		switch {
		case name == "write" || name == "openat":
			synced[rest] = false
		case name == "fsync":
			synced[rest] = true
			delete(dirty, rest)
		case strings.HasPrefix(name, "rename") || name == "linkat":
			if theirs := strings.HasPrefix(from, "/work/.satchel/") && strings.HasPrefix(to, "/work/scala101/"); theirs {
				placed++
				if !synced[from] && !strings.HasSuffix(from, "-out") {
					t.Errorf("%s was placed before it was on disk", to)
				}
			}
			synced[to] = synced[from]
			if strings.HasPrefix(to, "/work/scala101/") {
				dirty[filepath.Dir(to)] = true
			}
		}
		if strings.Contains(call, "scala101/manifests/") && name == "renameat" && len(dirty) > 0 {
			t.Errorf("the version is recorded while names in %v are not on disk", slices.Collect(maps.Keys(dirty)))
		}
	}
	if placed < 30 {
		t.Errorf("only %d placings were seen in %d calls", placed, len(out.Log))
	}
	t.Logf("%d files were placed, in %d calls", placed, len(out.Log))
}

// TestE2EEachCallFails: the same where a call fails; and the run that met it
// ends with an exit code that the help tells, and does not say that all is
// done when it is not.
func TestE2EEachCallFails(t *testing.T) {
	u := newUpdate(t)
	u.strikeEach(t, "names", stride(2), failing, afterError)
	u.strikeEach(t, "bytes", stride(4), failing, afterError)
}

// TestE2EEachLookFails: the same for calls that only read.
func TestE2EEachLookFails(t *testing.T) {
	u := newUpdate(t)
	u.strikeEach(t, "reads", stride(30), []way{failing[0], failing[4]}, afterError)
}

func afterError(u *update, st *student, out outcome, what string) {
	switch out.Code {
	case 0:
		if !strings.Contains(out.Out, "wait") {
			u.same(u.endAsSeen(st, out), files(u.t, st.folder()), what+": it says that all is done")
		}
	case 1, 3:
	default:
		u.t.Errorf("%s: exit %d\n%s", what, out.Code, out.Out)
	}
	for _, word := range []string{"panic", "goroutine", "fatal error", "runtime", "fault of this program"} {
		if strings.Contains(out.Out, word) {
			u.t.Errorf("%s: it crashed:\n%s", what, out.Out)
		}
	}
	if strings.TrimSpace(out.Out) == "" {
		u.t.Errorf("%s: exit %d without a word", what, out.Code)
	}
}

// endAsSeen is what lies there in the end. Where a file that the course did not
// change cannot be looked at, nothing is to be done, for it is there, as far
// as is known; that the student deleted it is seen the next time.
func (u *update) endAsSeen(st *student, out outcome) map[string]file {
	end := u.endOf(st, true)
	const deleted = "back/same0.txt"
	if _, err := os.Lstat(filepath.Join(st.folder(), deleted)); err != nil && strings.HasSuffix(out.Hits[0], "/"+deleted) {
		delete(end, deleted)
	}
	return end
}

const (
	workers = 3
	enough  = 30 // failures, before the rest is left out
)

// strikeEach runs the update once for each call of a kind, or each step-th,
// with that call going wrong in one of the ways in turn (SATCHEL_FULL: in each).
func (u *update) strikeEach(t *testing.T, calls string, step int, ways []way, then func(*update, *student, outcome, string)) {
	began := time.Now()
	var strikes, highest, failed atomic.Int64
	t.Run(calls, func(t *testing.T) {
		for w := range workers {
			t.Run(fmt.Sprint(w), func(t *testing.T) {
				t.Parallel()
				for n := 1 + w*step; failed.Load() < enough; n += workers * step {
					for _, way := range ofTurn(ways, n/step) {
						noted := &noting{TB: t}
						if !u.in(noted).strike(calls, n, way, then) {
							return
						}
						strikes.Add(1)
						failed.Add(min(noted.errors.Load(), 1))
						highest.Store(max(highest.Load(), int64(n)))
					}
				}
			})
		}
	})
	t.Logf("%s: %d strikes up to call %d, each %d. call, %d failed, %.0f s", calls, strikes.Load(), highest.Load(), step, failed.Load(), time.Since(began).Seconds())
	if strikes.Load()*int64(step) < 100 {
		t.Errorf("%s: only %d strikes", calls, strikes.Load())
	}
}

func ofTurn(ways []way, turn int) []way {
	if full {
		return ways
	}
	return ways[turn%len(ways):][:1]
}

// noting counts what one strike finds.
type noting struct {
	testing.TB
	errors atomic.Int64
}

func (n *noting) Errorf(format string, args ...any) {
	n.Helper()
	n.errors.Add(1)
	n.TB.Errorf(format, args...)
}

// strike says whether there was an n-th call.
func (u *update) strike(calls string, n int, w way, then func(*update, *student, outcome, string)) bool {
	name := strings.ReplaceAll(fmt.Sprintf("%s-%d-%s", calls, n, w.name), " ", "-")
	st := u.copyOf(u.tmpl, name)
	adm := u.v.login(name)
	in := w.injection
	in.Calls, in.At = calls, n
	out := traced(u.t, st, st.agent(adm, "sync"), in)
	if len(out.Hits) > 0 {
		what := fmt.Sprintf("%s at call %d (%s)", w.name, n, out.Hits[0])
		then(u, st, out, what)
		poor := calls == "reads" || w.Errno == syscall.ENOSPC || w.Errno == syscall.EDQUOT
		u.whole(st, what, poor)
		u.kept(st, what)
		u.converges(st, adm, what, poor)
		if u.t.(*noting).errors.Load() > 0 {
			u.t.Logf("%s: the run that met it: exit %d\n%s", what, out.Code, out.Out)
		}
	}
	must(u.t, os.RemoveAll(st.path("")))
	return len(out.Hits) > 0
}

func init() {
	strikesOn = func(t *testing.T, u *update) {
		u.strikeEach(t, "names", stride(25), killed, afterKill)
	}
}
