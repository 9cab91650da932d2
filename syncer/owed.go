package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"satchel/bundle"
	"satchel/course"
	"satchel/internal/durable"
	"satchel/store"
)

// rememberWithdrawn writes down what is taken back, before the record: in this
// syncer's own folder and in the log.
func (p *pass) rememberWithdrawn(ctx context.Context, cmd Command, pairs []bundle.Pair) error {
	if err := p.keepWithdrawn(pairs); err != nil {
		return err
	}
	e := store.Entry{
		Time: p.o.Now().UTC(), Action: "withdraw", Who: cmd.Who, Why: cmd.Why, Version: p.rec.Version,
		Withdrawn: pairs, Bundles: p.rec.Named(),
	}
	for _, w := range pairs {
		e.Notes = append(e.Notes, w.Path)
	}
	return store.WriteEntry(ctx, p.st, string(p.c.Name), store.WithdrawID+p.newID(), e)
}

func withdrawnFile(stateDir string, name course.Name) string {
	return filepath.Join(stateDir, "withdrawn", string(name))
}

// keepWithdrawn adds to the own folder's list.
func (p *pass) keepWithdrawn(pairs []bundle.Pair) error {
	file := withdrawnFile(p.o.StateDir, p.c.Name)
	all := merged(p.keptWithdrawn(), pairs)
	data, err := json.Marshal(all)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o700)
	}
	if err == nil {
		err = durable.WriteFile(file, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("write down what is taken back: %w", err)
	}
	return nil
}

// KeptWithdrawn is what was taken back of a course, as a syncer with this
// folder wrote it down. There is nothing where there was none.
func KeptWithdrawn(stateDir string, name course.Name) (pairs []bundle.Pair, err error) {
	data, err := os.ReadFile(withdrawnFile(stateDir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &pairs)
	}
	return pairs, err
}

func (p *pass) keptWithdrawn() []bundle.Pair {
	pairs, err := KeptWithdrawn(p.o.StateDir, p.c.Name)
	if err != nil {
		p.lg.Warn("the own list of what was taken back cannot be read; the log has it too", "course", p.c.Name, "error", err)
	}
	return pairs
}

// merged is a set of both.
func merged(a, b []bundle.Pair) []bundle.Pair {
	out := slices.Concat(a, b)
	slices.SortFunc(out, comparePairs)
	return slices.Compact(out)
}

// takeBackOwed takes back what is owed (owed): when a process begins, now and
// then (housekeep), where the log has a withdrawal that another may have died
// over (hearWithdrawals), and when the record tells of less than it did, for then
// the store was brought back under our hands.
func (p *pass) takeBackOwed(ctx context.Context) error {
	if p.r.Repair {
		return nil
	}
	if p.head == nil { // no record, or one of decisions alone
		return p.notLost(ctx)
	}
	if err := p.hearWithdrawals(ctx); err != nil {
		return err
	}
	if known := p.k.repaid.Load(); known > 0 && int64(len(p.rec.Withdrawn)) >= known-1 {
		p.k.repaid.Store(1 + int64(len(p.rec.Withdrawn)))
		return nil
	}
	pairs, err := p.owed(ctx)
	if err != nil {
		return fmt.Errorf("what was taken back before is not known: %w", err)
	}
	if len(pairs) > 0 {
		p.lg.Warn("a withdrawal is written down that the record lacks: it is under way, or was broken off, or the store was brought back from before it. It is done now", "course", p.c.Name, "files", len(pairs))
		before, err := p.compose(ctx)
		if err != nil {
			return err
		}
		asked := p.r
		p.r = Request{Course: asked.Course} // this is not what somebody asks for
		err = p.takeBack(ctx, before, pairs)
		p.r, p.out.Published = asked, false
		p.out.Added, p.out.Changed, p.out.Removed = 0, 0, 0
		if p.k.pending != nil {
			p.k.pending.of = nil // should it have landed, or be logged late, it is not what was asked for
		}
		if err != nil {
			return err
		}
		if err := p.keepWithdrawn(pairs); err != nil {
			return err
		}
		p.k.swept.Store(unswept)
	}
	p.k.repaid.Store(1 + int64(len(p.rec.Withdrawn)))
	return nil
}

// lookBack is how far the log is read again, for clocks that differ and for
// entries that wait for a store.
const lookBack = 10 * time.Minute

// hearWithdrawals looks, once a minute, for a withdrawal in the log that this
// process has not seen: a minute after it was written whoever did so has done
// it, or is dead.
func (p *pass) hearWithdrawals(ctx context.Context) error {
	now := p.o.Now()
	if now.Sub(p.k.heard.at).Abs() < settled {
		return nil
	}
	since := p.k.heard.at
	if since.IsZero() || since.After(now) {
		since = now
	}
	keys, err := store.KeysNamed(ctx, p.st, string(p.c.Name), store.WithdrawID, since.Add(-lookBack), now.Add(-settled))
	if err != nil {
		return fmt.Errorf("what was taken back lately is not known: %w", err)
	}
	if slices.ContainsFunc(keys, func(key string) bool { return !slices.Contains(p.k.heard.keys, key) }) {
		p.k.repaid.Store(0)
	}
	p.k.heard.at, p.k.heard.keys = now, keys
	return nil
}

// notLost refuses to begin anew where versions are known: the record is gone,
// and students have what it no longer tells of.
func (p *pass) notLost(ctx context.Context) error {
	v, err := p.newestKnown(ctx)
	if err != nil || v == 0 {
		return err
	}
	moved, err := p.moved(ctx)
	if err != nil {
		return err
	}
	if moved {
		return fmt.Errorf("another syncer published the first version meanwhile: %w", store.ErrChanged)
	}
	return refuse(Lost, "the store's record of %s is gone, and there was a version %d: bring the store back from a backup, or publish above it with `satchel check %s --repair`", p.c.Name, v, p.c.Name)
}

// owed are pairs that were taken back and that the record lacks: it was brought
// back from an older backup. It is asked before anything is published (takeBackOwed).
func (p *pass) owed(ctx context.Context) ([]bundle.Pair, error) {
	all := p.keptWithdrawn()
	entries, err := store.EntriesNamed(ctx, p.st, string(p.c.Name), store.WithdrawID)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		all = merged(all, e.Withdrawn)
	}
	var known []bundle.Pair
	if p.rec != nil {
		known = p.rec.Withdrawn
	}
	return slices.DeleteFunc(merged(all, nil), func(w bundle.Pair) bool { return slices.Contains(known, w) }), nil
}
