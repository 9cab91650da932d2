//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/store"
)

// raceReport holds the log and the record against what people were told.
type raceReport struct {
	t      *testing.T
	s      *site
	st     store.Store
	typed  []*typed
	log    []store.Entry // oldest first
	record *store.Record
}

// rest brings the course to rest: not paused, not pinned, at the branch's tip.
func (r *raceReport) rest(syncers []*service) {
	r.t.Helper()
	tip := r.s.repo.git("rev-parse", "HEAD")
	eventually(r.t, time.Minute, "the course at rest", func() error {
		for _, args := range [][]string{{"resume"}, {"publish", "--confirm-shrink"}} {
			args = append([]string{args[0], "scala101", "--config", syncers[0].config}, args[1:]...)
			if out, code := r.s.trySatchel(args...); code != 0 {
				return errors.New(out)
			}
		}
		var err error
		if r.record, _, err = store.ReadRecord(r.t.Context(), r.st, "scala101"); err != nil {
			return err
		}
		if rec := r.record; rec.Commit != tip || rec.Paused != nil || rec.Pinned != nil {
			return fmt.Errorf("commit %s, paused %v, pinned %v", rec.Commit, rec.Paused, rec.Pinned)
		}
		return nil
	})
	var err error
	r.log, err = store.Entries(r.t.Context(), r.st, "scala101", 100_000)
	must(r.t, err)
	slices.Reverse(r.log)
}

func (r *raceReport) judge(any *service) {
	r.t.Helper()
	r.judgeVersions()
	for _, c := range r.typed {
		if bad := r.judgeCommand(c); bad != "" {
			r.t.Errorf("%s\n%s", bad, c)
		}
	}
	r.judgePins()
	r.judgeWithdrawn()
	if out, code := r.s.trySatchel("check", "scala101", "--read-data", "--config", any.config); code != 0 {
		r.t.Errorf("satchel check: exit %d\n%s", code, out)
	}
}

// judgeVersions: each is in the log once, in order.
func (r *raceReport) judgeVersions() {
	next := bundle.Version(1)
	for _, e := range r.log {
		if e.Action != "publish" {
			continue
		}
		if e.Version != next {
			r.t.Errorf("the log has version %d where %d is to come", e.Version, next)
		}
		next = e.Version + 1
	}
	if r.record.Version != next-1 {
		r.t.Errorf("the record has version %d, the log %d", r.record.Version, next-1)
	}
}

// judgeCommand: it took effect once, or said why not. Only whoever was cut off
// from its syncer does not know.
func (r *raceReport) judgeCommand(c *typed) string {
	action := c.kind()
	if action == "rollback" {
		action = "publish"
	}
	times := 0
	for _, e := range r.log {
		if e.Action == action && (e.Why == c.why || strings.HasSuffix(e.Why, ": "+c.why)) {
			times++
		}
	}
	switch {
	case times > 1:
		return fmt.Sprintf("it is in the log %d times", times)
	case c.code != 0:
		return r.judgeFailure(c, times)
	case c.kind() == "withdraw":
		for _, p := range c.withdrawal.Pairs {
			if !slices.Contains(r.record.Withdrawn, p) {
				return p.Path + " is not withdrawn"
			}
		}
		if !c.withdrawal.Done || times != 1 {
			return fmt.Sprintf("it is in the log %d times", times)
		}
	case c.kind() == "rollback" && c.outcome.Published != (times == 1), c.kind() == "pause" && c.outcome.Decided != (times == 1), c.kind() == "resume" && c.outcome.Decided != (times == 1):
		return fmt.Sprintf("it is in the log %d times", times)
	case c.kind() == "publish" && !c.outcome.Pinned && c.outcome.Commit != c.outcome.Tip:
		return "it did not take effect"
	}
	return ""
}

// judgeFailure: a sentence, and no effect where it was refused.
func (r *raceReport) judgeFailure(c *typed, times int) string {
	cut := strings.Contains(c.printed, "EOF") || strings.Contains(c.printed, "no syncer answers") || strings.Contains(c.printed, "connection reset")
	refused := c.code == 3
	switch {
	case strings.TrimSpace(c.printed) == "" || strings.Contains(c.printed, "fault of Satchel"):
		return "it does not say why not"
	case !cut && !refused && !strings.Contains(c.printed, "tries"):
		return "nothing went wrong"
	case times > 0 && !cut && c.kind() != "resume" && c.kind() != "withdraw":
		return "it failed, and took effect"
	}
	return ""
}

// judgePins: after a rollback no loop publishes before somebody ended the pin.
func (r *raceReport) judgePins() {
	var pinned *store.Entry
	for i, e := range r.log {
		if e.Action != "publish" {
			continue
		}
		if pinned != nil && e.Who == "syncer" && !strings.HasPrefix(e.Why, "logged late") && !r.ended(pinned.Time, e.Time) {
			r.t.Errorf("version %d, a rollback, was overwritten by version %d of %s, and nobody said so", pinned.Version, e.Version, e.Who)
		}
		if pinned = nil; strings.HasPrefix(e.Why, "rollback to") {
			pinned = &r.log[i]
		}
	}
}

// ended says whether a command may have ended a pin in that time, or taken
// something back, which any syncer's loop may have done for it.
func (r *raceReport) ended(from, to time.Time) bool {
	return slices.ContainsFunc(r.typed, func(c *typed) bool {
		return (c.kind() == "resume" || c.kind() == "publish" || c.kind() == "withdraw") && !c.to.Before(from) && !c.from.After(to)
	})
}

// judgeWithdrawn: no version after a withdrawal brings what it took back.
func (r *raceReport) judgeWithdrawn() {
	since := map[bundle.Pair]bundle.Version{}
	for _, c := range r.typed {
		for _, p := range c.withdrawal.Pairs {
			if v, known := since[p]; c.withdrawal.Done && (!known || c.withdrawal.Version < v) {
				since[p] = c.withdrawal.Version
			}
		}
	}
	for _, ch := range r.record.Channels {
		for _, ref := range ch.Bundles {
			body, _, err := r.st.Get(r.t.Context(), store.BundleKey("scala101", ref.Digest))
			must(r.t, err)
			x, err := bundle.ReadIndex(body)
			body.Close()
			must(r.t, err)
			for _, f := range x.Changes.Set {
				if v, gone := since[bundle.Pair{Path: f.Path, Digest: f.Digest}]; gone && ref.To >= v {
					r.t.Errorf("version %d brings %s, which version %d took back", ref.To, f.Path, v)
				}
			}
		}
	}
}

// kinds says how many there were of each, and how many did something.
func (r *raceReport) kinds() string {
	all, did := map[string]int{}, map[string]int{}
	for _, c := range r.typed {
		all[c.kind()]++
		if c.code == 0 {
			did[c.kind()]++
		}
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(all)) {
		out = append(out, fmt.Sprintf("%d %s, %d of them done", all[k], k, did[k]))
	}
	return strings.Join(out, "; ")
}
