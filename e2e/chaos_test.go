//go:build e2e && linux && amd64

package e2e

import (
	"fmt"
	"os"
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
	u.strikeEach(t, "reads", stride(40), []way{failing[0], failing[4]}, afterError)
}

func afterError(u *update, st *student, out outcome, what string) {
	switch out.Code {
	case 0:
		if now := files(u.t, st.folder()); !strings.Contains(out.Out, "wait") {
			u.same(u.end, now, what+": it says that all is done")
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

const workers = 3

// strikeEach runs the update once for each call of a kind, or each step-th,
// with that call going wrong in one of the ways in turn (SATCHEL_FULL: in each).
func (u *update) strikeEach(t *testing.T, calls string, step int, ways []way, then func(*update, *student, outcome, string)) {
	began := time.Now()
	var strikes, highest atomic.Int64
	t.Run(calls, func(t *testing.T) {
		for w := range workers {
			t.Run(fmt.Sprint(w), func(t *testing.T) {
				t.Parallel()
				for n := 1 + w*step; !t.Failed(); n += workers * step {
					turn := n / step
					for i := range ways {
						if i != 0 && !full {
							break
						}
						if !u.in(t).strike(calls, n, ways[(turn+i)%len(ways)], then) {
							return
						}
						strikes.Add(1)
						highest.Store(max(highest.Load(), int64(n)))
					}
				}
			})
		}
	})
	t.Logf("%s: %d strikes up to call %d, each %d. call, %.0f s", calls, strikes.Load(), highest.Load(), step, time.Since(began).Seconds())
	if strikes.Load()*int64(step) < 50 {
		t.Errorf("%s: only %d strikes", calls, strikes.Load())
	}
}

// in is the same update, failing in t.
func (u *update) in(t *testing.T) *update {
	v := *u
	v.t = t
	return &v
}

// strike says whether there was an n-th call.
func (u *update) strike(calls string, n int, w way, then func(*update, *student, outcome, string)) bool {
	name := strings.ReplaceAll(fmt.Sprintf("%s-%d-%s", calls, n, w.name), " ", "-")
	st := u.copyOf(u.tmpl, name)
	adm := u.v.login(name)
	in := w.injection
	in.Calls, in.At = calls, n
	out := traced(u.t, st, st.agent(adm, "sync"), in)
	if len(out.Hits) == 0 {
		must(u.t, os.RemoveAll(st.path("")))
		return false
	}
	what := fmt.Sprintf("%s before call %d (%s)", w.name, n, strings.Join(out.Hits[:1], ""))
	then(u, st, out, what)
	u.whole(st, what)
	u.kept(st, what)
	u.converges(st, adm, what)
	if u.t.Failed() {
		u.t.Logf("%s: the run that met it: exit %d\n%s", what, out.Code, out.Out)
	} else {
		must(u.t, os.RemoveAll(st.path("")))
	}
	return true
}
