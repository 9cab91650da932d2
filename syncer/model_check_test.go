package syncer

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"satchel/bundle"
	"satchel/store"
)

// judge says what is wrong with what happened, "" if nothing is.
func (m *model) judge() string {
	for i, l := range m.journal {
		if l.bad != "" {
			return fmt.Sprintf("operation %d: %s", l.seq, l.bad)
		}
		before := &landed{rec: &store.Record{}}
		if i > 0 {
			before = m.journal[i-1]
		}
		l.remember(before)
		if bad := m.judgeSwap(before, l); bad != "" {
			return fmt.Sprintf("operation %d, by %s: %s", l.seq, l.by, bad)
		}
	}
	for _, c := range m.calls {
		if bad := m.judgeCall(c); bad != "" {
			return fmt.Sprintf("%s (operations %d to %d): %s", c.answer(), c.began, c.ended, bad)
		}
	}
	for _, judge := range []func() string{m.judgeLog, m.judgeEnd, m.judgeStore} {
		if bad := judge(); bad != "" {
			return bad
		}
	}
	return ""
}

// remember adds to what students may have of each path.
func (l *landed) remember(before *landed) {
	l.history = maps.Clone(before.history)
	if l.history == nil || l.by.kind == "repair" && l.rec.Version > before.rec.Version {
		l.history = map[[2]string]bool{}
	}
	for p, text := range l.files {
		l.history[[2]string{p, text}] = true
	}
}

// judgeSwap holds one swap against what its call may do: the record before it,
// with the effect of just this call, must be the record after it.
func (m *model) judgeSwap(was, is *landed) string {
	w, r := was.rec, is.rec
	grew := len(r.Withdrawn) > len(w.Withdrawn)
	switch {
	case r.Version != w.Version && r.Version != w.Version+1:
		return fmt.Sprintf("version %d after version %d", r.Version, w.Version)
	case !containsAll(r.Withdrawn, w.Withdrawn):
		return "something is no longer withdrawn"
	case (w.Paused == nil) != (r.Paused == nil) && !(r.Paused != nil && is.by.kind == "pause" && r.Paused.Who == is.by.who) && !(r.Paused == nil && is.by.kind == "resume"):
		return "it is no call that pauses or resumes"
	}
	for p, text := range is.files {
		if slices.Contains(r.Withdrawn, pairOf(p, text)) {
			return fmt.Sprintf("version %d has %s, which was withdrawn", r.Version, p)
		}
	}
	switch {
	case grew && is.by.kind != "repair": // which does what is owed with the rest
		return m.judgeWithdrawal(was, is)
	case r.Version > w.Version:
		return m.judgeVersion(was, is)
	}
	return m.judgeNote(was, is)
}

// judgeWithdrawal: what was taken back is gone, and nothing else changes.
func (m *model) judgeWithdrawal(was, is *landed) string {
	w, r := was.rec, is.rec
	switch {
	case r.Version == w.Version:
		return "contents are withdrawn without a version"
	case r.Commit != w.Commit || !same(r.Pinned, w.Pinned) || !same(r.Confirmed, w.Confirmed) || is.message() != was.message():
		return "a withdrawal changed something else"
	case !maps.Equal(is.files, without(was.files, r.Withdrawn)):
		return fmt.Sprintf("after a withdrawal there is %v; want %v", names(is.files), names(without(was.files, r.Withdrawn)))
	case is.by.kind == "pause" || is.by.kind == "compact":
		return "it withdraws nothing"
	}
	return ""
}

// judgeVersion: a version is its commit without what was withdrawn, and has a
// reason.
func (m *model) judgeVersion(was, is *landed) string {
	r, n := is.rec, m.course.of(is.rec.Commit)
	if n < 0 {
		return "of no commit"
	}
	rules, want := m.course.states[n], without(m.course.states[n].files, r.Withdrawn)
	switch is.by.kind {
	case "rollback":
		if bad := m.judgePin(was, is); bad != "" {
			return bad
		}
		rules = m.course.states[m.course.of(r.Pinned.Tip)]
	case "loop", "publish", "resume", "repair":
		if r.Pinned != nil {
			return "it is pinned, and nobody went back"
		}
		if bad := m.judgeCommit(was, is); bad != "" {
			return bad
		}
	default:
		return "it publishes nothing"
	}
	switch {
	case m.course.states[n].stops && is.by.kind != "rollback" || rules.rules:
		return "that commit stops a publish"
	case !maps.Equal(is.files, want) || is.message() != rules.message:
		return fmt.Sprintf("version %d of commit %d has %v, %q; want %v, %q", r.Version, n, names(is.files), is.message(), names(want), rules.message)
	case was.head != nil && maps.Equal(is.files, was.files) && is.message() == was.message() && is.by.kind != "repair":
		return fmt.Sprintf("version %d has nothing new", r.Version)
	case lessThanHalf(was.files, is.files) && !is.by.confirm && is.by.kind != "rollback" && is.by.kind != "repair" && !(r.Confirmed != nil && r.Confirmed.Commit == r.Commit):
		return "it shrank, and nobody confirmed it"
	}
	return ""
}

// judgePin: a rollback has the commit of its version, and says so.
func (m *model) judgePin(was, is *landed) string {
	r := is.rec
	if r.Pinned == nil || r.Pinned.Who != is.by.who || r.Pinned.Version != is.by.version {
		return "a rollback without its pin"
	}
	if v := m.version(r.Pinned.Version); v == nil || v.rec.Commit != r.Commit {
		return fmt.Sprintf("a rollback to version %d has another commit", r.Pinned.Version)
	}
	if n := m.course.of(r.Pinned.Tip); !m.wasTip(n, was.seq, is.seq) {
		return fmt.Sprintf("commit %d was not the tip when it was pinned", n)
	}
	return ""
}

// judgeCommit: the branch was there after the record before was written, so no
// older commit comes over a newer one; and a pin holds it.
func (m *model) judgeCommit(was, is *landed) string {
	n := m.course.of(is.rec.Commit)
	switch pin := was.rec.Pinned; {
	case !m.wasTip(n, was.seq, is.seq):
		return fmt.Sprintf("commit %d was not the tip any more", n)
	case pin != nil && is.by.kind != "repair" && (is.by.kind == "loop" || pin.Tip == is.rec.Commit):
		return "the course is pinned"
	}
	return ""
}

// judgeNote: without a version nothing changes for students.
func (m *model) judgeNote(was, is *landed) string {
	w, r := was.rec, is.rec
	decided := !same(r.Paused, w.Paused) || !same(r.Pinned, w.Pinned)
	switch {
	case !maps.Equal(is.files, was.files) || is.message() != was.message():
		return "students see something else without a new version"
	case !same(r.Pinned, w.Pinned) && r.Pinned != nil:
		return m.judgePin(was, is)
	case r.Commit != w.Commit:
		if n := m.course.of(r.Commit); !maps.Equal(without(m.course.states[n].files, r.Withdrawn), is.files) || m.course.states[n].stops {
			return fmt.Sprintf("commit %d is noted, and is another content", n)
		}
		return m.judgeCommit(was, is)
	case !same(r.Pinned, w.Pinned) && is.by.kind != "resume" && is.by.kind != "publish":
		return "nobody took the pin away"
	case !decided && is.head != nil && is.head.Checked.Equal(was.head.Checked) && same(r.Channels, w.Channels) && same(r.Confirmed, w.Confirmed):
		return "a swap for nothing"
	}
	return ""
}

func (l *landed) message() string {
	if l.head == nil {
		return ""
	}
	return l.head.Message
}

func pairOf(path, text string) bundle.Pair {
	return bundle.Pair{Path: path, Digest: bundle.Sum([]byte(text))}
}

func without(f files, gone []bundle.Pair) files {
	out := files{}
	for p, text := range f {
		if !slices.Contains(gone, pairOf(p, text)) {
			out[p] = text
		}
	}
	return out
}

// names is files in short.
func names(f files) string {
	var out []string
	for _, p := range slices.Sorted(maps.Keys(f)) {
		_, n, _ := strings.Cut(f[p], "number ")
		out = append(out, fmt.Sprintf("%s=%.1s", p, n))
	}
	return strings.Join(out, " ")
}

func containsAll(all, some []bundle.Pair) bool {
	return !slices.ContainsFunc(some, func(p bundle.Pair) bool { return !slices.Contains(all, p) })
}

// same compares parts of records.
func same(a, b any) bool { return fmt.Sprintf("%+v", deref(a)) == fmt.Sprintf("%+v", deref(b)) }

func deref(v any) any {
	switch v := v.(type) {
	case *store.Pin:
		if v != nil {
			return *v
		}
	case *store.Decision:
		if v != nil {
			return *v
		}
	case *store.Confirmation:
		if v != nil {
			return *v
		}
	default:
		return v
	}
	return nil
}

// lessThanHalf says whether more than half of the files are gone; one that
// moved is not.
func lessThanHalf(was, is files) bool {
	arrived := map[string]int{}
	for p, text := range is {
		if _, had := was[p]; !had {
			arrived[text]++
		}
	}
	gone := 0
	for p, text := range was {
		if _, has := is[p]; has {
			continue
		}
		if arrived[text] > 0 {
			arrived[text]--
			continue
		}
		gone++
	}
	return 2*gone > len(was)
}

// version is the swap that made a version.
func (m *model) version(v bundle.Version) *landed {
	i := slices.IndexFunc(m.journal, func(l *landed) bool { return l.rec.Version == v })
	if v < 1 || i < 0 {
		return nil
	}
	return m.journal[i]
}

// wasTip says whether the branch was at a state at some time between two
// operations.
func (m *model) wasTip(state, from, to int) bool {
	for i, t := range m.tips {
		until := m.seq
		if i+1 < len(m.tips) {
			until = m.tips[i+1].seq
		}
		if t.state == state && t.seq <= to && until >= from {
			return true
		}
	}
	return false
}
