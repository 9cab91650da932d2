package syncer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"satchel/bundle"
	"satchel/store"
)

// pending is the log entry of a version whose swap was tried and may have
// landed. Nothing but the log depends on it.
type pending struct {
	store.Entry
	publish string
	steps   []store.BundleRef
	of      *pass  // that tried it
	counts  [3]int // for its outcome
}

const (
	entryTime = 15 * time.Second // for writing an entry, also while stopping
	lastFew   = 30               // entries that are looked through
	settled   = time.Minute      // after it whoever swapped has written its entry, or is dead
)

func (p *pass) who() string {
	if p.r.Who == "" {
		return "syncer"
	}
	return p.r.Who
}

// publishEntry is the log's word on the version that rec is. Its time is the
// head's, so that the log's order is the versions'.
func (p *pass) publishEntry(rec *store.Record, h *bundle.Head, size int64) store.Entry {
	e := store.Entry{
		Time: h.Published, Action: "publish", Who: p.who(), Commit: rec.Commit, Version: rec.Version, Size: size,
		Notes: p.out.Notes, Bundles: rec.Named(),
	}
	switch {
	case p.r.Repair:
		e.Why = "repair: " + p.r.Why
	case p.r.Rollback > 0:
		e.Why = fmt.Sprintf("rollback to version %d: %s", p.r.Rollback, p.r.Why)
	case p.r.ConfirmShrink:
		e.Why = "shrinking confirmed"
	}
	return e
}

// enter writes an entry. It is done also when the pass is being stopped: the
// swap has happened.
func (p *pass) enter(ctx context.Context, id string, e store.Entry) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), entryTime)
	defer cancel()
	if err := store.WriteEntry(ctx, p.st, string(p.c.Name), id, e); err != nil {
		p.lg.Error("not logged", "course", p.c.Name, "action", e.Action, "version", e.Version, "error", err)
		return false
	}
	return true
}

// settleLog writes entries that are owed: of a swap whose answer was lost, or
// of a version whose syncer died between swap and entry. It says whether such
// a swap was this very pass's: then what it was to do is done.
func (p *pass) settleLog(ctx context.Context) (done bool) {
	switch {
	case p.head == nil:
		p.k.pending = nil // no swap landed
	case p.k.pending != nil:
		return p.settlePending(ctx)
	case !p.k.settled && p.o.Now().Sub(p.head.Published) > settled:
		p.k.settled = p.logNewest(ctx) == nil // asked once for each course in a process
	}
	return false
}

// settlePending asks whether our swap landed.
func (p *pass) settlePending(ctx context.Context) (done bool) {
	e := p.k.pending
	landed := p.hasLanded(ctx, e)
	if !landed || p.enter(ctx, store.VersionID(e.Version), e.Entry) {
		p.k.pending = nil
	}
	if !landed || e.of != p {
		return false
	}
	p.out.Published, p.out.Added, p.out.Changed, p.out.Removed = true, e.counts[0], e.counts[1], e.counts[2]
	return true
}

// hasLanded: the record is ours, or has our version with a decision or a full
// bundle on top, or it went on from ours. Then the log tells, by the time that
// the head has, or nobody has logged that version; bundles alone do not, for
// another syncer makes the same of one commit.
func (p *pass) hasLanded(ctx context.Context, e *pending) bool {
	switch {
	case p.rec.Publish == e.publish:
		return true
	case p.rec.Version == e.Version:
		return p.head.Published.Equal(e.Time)
	}
	if p.rec.Version < e.Version || !p.leadsOver(e.steps) {
		return false
	}
	was, err := p.newEntry(ctx, e.Version)
	return err == nil && (was == nil || was.Time.Equal(e.Time))
}

// logNewest sees that the newest version is in the log. What it can say of it is
// little; where whoever published it lives, their own entry takes the place of
// this one.
func (p *pass) logNewest(ctx context.Context) error {
	e := p.publishEntry(p.rec, p.head, 0)
	e.Who, e.Why, e.Notes = "syncer", "logged late: whoever published it was stopped", nil
	return store.WriteEntryLate(ctx, p.st, string(p.c.Name), store.VersionID(e.Version), e)
}

// logFormer is logNewest before another version takes its place: whoever
// published it may have died before its entry, and nobody would know of it any
// more.
func (p *pass) logFormer(ctx context.Context) error {
	if p.head == nil || p.k.entered == p.rec.Version {
		return nil
	}
	return p.logNewest(ctx)
}

// logged says whether there is an entry of that version. When that cannot be
// known there is: an entry too few is better than two.
func (p *pass) logged(ctx context.Context, v bundle.Version) bool {
	e, err := p.newEntry(ctx, v)
	return err != nil || e != nil
}

// newEntry is the log's on a version, among the newest; nil where there is none.
func (p *pass) newEntry(ctx context.Context, v bundle.Version) (*store.Entry, error) {
	es, err := store.Entries(ctx, p.st, string(p.c.Name), lastFew)
	if err != nil {
		return nil, err
	}
	for i := range es {
		if es[i].Action == "publish" && es[i].Version == v {
			return &es[i], nil
		}
	}
	return nil, nil
}

func (p *pass) leadsOver(steps []store.BundleRef) bool {
	named := p.rec.Named()
	for _, r := range steps {
		if !slices.Contains(named, r.Digest) {
			return false
		}
	}
	return true
}

// audit logs how the pass ended, unless it published (published did then):
// each refusal once, and each command.
func (p *pass) audit(ctx context.Context, err error) {
	r := isRefusal(err)
	if p.out.Published || ctx.Err() != nil || r == nil && p.r.Who == "" {
		return
	}
	e := store.Entry{Time: p.o.Now().UTC(), Action: "look", Who: p.who(), Commit: p.tip, Why: "nothing new"}
	if p.rec != nil {
		e.Bundles = p.rec.Named()
	}
	switch {
	case r != nil:
		e.Action, e.Why, e.Notes = "refuse", r.Sentence, notes(r)
		if p.r.Who == "" && p.saidBefore(ctx, r, e) {
			return
		}
	case err != nil:
		e.Why = err.Error()
	case p.r.Rollback > 0: // it is pinned now
		e.Action, e.Version = "rollback", p.out.Version
		e.Why = fmt.Sprintf("to version %d, whose content is there already: %s", p.r.Rollback, p.r.Why)
	}
	p.enter(ctx, p.newID(), e)
}

func notes(r *Refusal) []string {
	var out []string
	for _, f := range r.Findings {
		out = append(out, f.String())
	}
	return out
}

// saidBefore says whether the loop has logged this refusal, or another syncer
// has, since the last publish. Sentences about clocks differ each time and
// count as one.
func (p *pass) saidBefore(ctx context.Context, r *Refusal, e store.Entry) bool {
	key := string(r.Cause) + "\n" + p.tip + "\n" + strings.Join(e.Notes, "\n")
	if p.k.said == key {
		return true
	}
	p.k.said = key
	es, err := store.Entries(ctx, p.st, string(p.c.Name), lastFew)
	if err != nil {
		return false
	}
	for _, o := range es {
		switch {
		case o.Action == "publish":
			return false
		case o.Action == e.Action && o.Commit == e.Commit && o.Why == e.Why && slices.Equal(o.Notes, e.Notes):
			return true
		}
	}
	return false
}
