package syncer

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"satchel/bundle"
	"satchel/store"
)

// clean says that nothing went wrong during the call but what others did.
func (c *call) clean() bool { return c.faults == 0 && !c.died }

// effects counts the swaps that are what the call is for.
func (c *call) effects(m *model) (n int) {
	for _, l := range c.landed {
		was := m.before(l).rec
		switch c.kind {
		case "pause":
			n += one(was.Paused == nil && l.rec.Paused != nil)
		case "resume":
			n += one(was.Version == l.rec.Version && was.Commit == l.rec.Commit && !(same(was.Paused, l.rec.Paused) && same(was.Pinned, l.rec.Pinned)))
		case "rollback":
			n += one(l.rec.Pinned != nil && !same(was.Pinned, l.rec.Pinned))
		case "withdraw":
			n += one(len(l.rec.Withdrawn) > len(was.Withdrawn))
		case "publish", "loop", "repair":
			n += one(l.rec.Version > was.Version && len(l.rec.Withdrawn) == len(was.Withdrawn))
		}
	}
	return n
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// judgeCall holds the answer against what happened: it took effect once, or
// the error says why not. Only where something went wrong meanwhile may an
// error mean that it is not known.
func (m *model) judgeCall(c *call) string {
	if c.kind == "push" || c.kind == "clock" || c.kind == "compact" && c.err == nil {
		return ""
	}
	n := c.effects(m)
	switch {
	case n > 1:
		return fmt.Sprintf("it took effect %d times", n)
	case c.died:
		return ""
	case c.err != nil:
		return m.judgeError(c, n)
	}
	at := m.during(c)
	ever := func(yes func(*landed) bool) bool { return slices.ContainsFunc(at, yes) }
	switch c.kind {
	case "pause":
		if c.out.Decided != (n == 1) || n == 0 && !ever(func(l *landed) bool { return l.rec.Paused != nil }) {
			return fmt.Sprintf("it took effect %d times", n)
		}
	case "resume":
		if c.out.Decided != (n == 1) || n == 0 && !ever(func(l *landed) bool { return l.rec.Paused == nil && l.rec.Pinned == nil }) {
			return fmt.Sprintf("it took effect %d times", n)
		}
	case "rollback":
		if n != 1 {
			return "it did not take effect"
		}
	case "withdraw":
		return m.judgeTaken(c)
	case "publish", "loop", "repair":
		if !c.out.Pinned && c.out.Commit != c.out.Tip {
			return "it did not take effect"
		}
	}
	if c.kind != "pause" && !ever(func(l *landed) bool { return l.rec.Version == c.out.Version && l.rec.Commit == c.out.Commit }) {
		return "there was no such version"
	}
	return ""
}

// judgeTaken: what the answer lists is taken back, and was to be.
func (m *model) judgeTaken(c *call) string {
	at := m.during(c)
	last := at[len(at)-1]
	if !c.taken.Done || !containsAll(last.rec.Withdrawn, c.taken.Pairs) {
		return "it did not take effect"
	}
	if !slices.ContainsFunc(at, func(l *landed) bool { return slices.Equal(m.toTake(l, c), c.taken.Pairs) }) {
		return fmt.Sprintf("it took %v", c.taken.Pairs)
	}
	return ""
}

// toTake is what a withdrawal is to take back, asked at that record.
func (m *model) toTake(at *landed, c *call) (out []bundle.Pair) {
	pairs := map[bundle.Pair]bool{}
	is := func(p string) bool { return p == c.path || strings.HasPrefix(p, c.path+"/") }
	if c.path == "" {
		v, before := m.version(c.version), m.version(c.version-1)
		if v == nil || c.version > at.rec.Version {
			return nil
		}
		for p, text := range v.files {
			if before == nil || before.files[p] != text {
				pairs[pairOf(p, text)] = true
			}
		}
	} else {
		for k := range at.history {
			if now, has := at.files[k[0]]; is(k[0]) && (!has || now == k[1]) {
				pairs[pairOf(k[0], k[1])] = true
			}
		}
	}
	for _, w := range at.rec.Withdrawn {
		delete(pairs, w)
	}
	return slices.SortedFunc(maps.Keys(pairs), comparePairs)
}

// judgeError: a refusal has its reason, and nothing else stops a command where
// nothing goes wrong.
func (m *model) judgeError(c *call, n int) string {
	r := isRefusal(c.err)
	switch {
	case c.err.Error() == "":
		return "it does not say why"
	case r != nil && n > 0 && c.kind != "resume":
		return "it was refused, and took effect"
	case r != nil:
		return m.judgeRefusal(c, r)
	case !c.clean(), errors.Is(c.err, errAbandoned) && m.tally["clock"] > 0:
		return ""
	case errors.Is(c.err, store.ErrChanged) && strings.Contains(c.err.Error(), "tries"):
		return ""
	}
	return "nothing went wrong"
}

// judgeRefusal: what the refusal says was so at some time of the call.
func (m *model) judgeRefusal(c *call, r *Refusal) string {
	at := m.during(c)
	ever := func(yes func(*landed) bool) bool { return slices.ContainsFunc(at, yes) }
	tip := func(yes func(modelState) bool) bool {
		return slices.ContainsFunc(c.tips, func(n int) bool { return yes(m.course.states[n]) })
	}
	ok := false
	switch r.Cause {
	case Content, Empty:
		ok = tip(func(s modelState) bool { return s.stops })
	case Shrink:
		ok = tip(func(s modelState) bool {
			return ever(func(l *landed) bool { return lessThanHalf(l.files, without(s.files, l.rec.Withdrawn)) })
		})
	case Gone:
		ok = c.kind == "rollback" && ever(func(l *landed) bool { return c.version >= l.rec.Version }) ||
			c.kind == "rollback" && strings.Contains(r.Sentence, "does not say") && m.mayLackEntry(c) ||
			c.kind == "withdraw" && (m.tally["repair"] > 0 || ever(func(l *landed) bool { return len(m.toTake(l, c)) == 0 }))
	}
	if !ok {
		return "that was never so"
	}
	return ""
}

// mayLackEntry says whether the version that a rollback goes to may have had no
// entry in the log: who made it was just about to write it, or was disturbed.
func (m *model) mayLackEntry(c *call) bool {
	v := m.version(c.version)
	return v != nil && (v.by.ended >= c.began || !v.by.clean())
}

// during are the records of the time of a call, with the one that it found.
func (m *model) during(c *call) (out []*landed) {
	for i, l := range m.journal {
		if i+1 < len(m.journal) && m.journal[i+1].seq <= c.began {
			continue
		}
		if l.seq > c.ended {
			break
		}
		if len(out) == 0 && l.seq > c.began {
			out = append(out, m.before(l))
		}
		out = append(out, l)
	}
	if len(out) == 0 {
		out = append(out, &landed{rec: &store.Record{}})
	}
	return out
}

// before is the record that a swap replaced.
func (m *model) before(l *landed) *landed {
	if i := slices.Index(m.journal, l); i > 0 {
		return m.journal[i-1]
	}
	return &landed{rec: &store.Record{}}
}
