package students

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"satchel/bundle"
	"satchel/store"
)

const (
	keepBatches = 24 * time.Hour   // a batch stays so long after it was folded
	lateBy      = 10 * time.Minute // later batches are found by the next sweep
	sweepEvery  = time.Hour        // a look at all batches, not only at the new
	ageEvery    = 24 * time.Hour   // a look at all records
	future      = 24 * time.Hour   // lines further ahead are refused
	atOnce      = 8                // requests to the store
	chunkCount  = 256              // batches folded together
	chunkBytes  = 16 << 20         // and about how large
)

// FoldResult says what a Fold did.
type FoldResult struct {
	Batches   int // folded now
	Lines     int // in them
	Refused   int // lines, or whole batches, that were not understood
	Newer     int // batches left alone, for a newer Satchel wrote them
	Shards    int // rewritten
	Forgotten int // students whose time was over
	OtherMode int // students removed because the privacy mode or key changed
	Deleted   int // batches whose day was over, or that must not stay
}

// Fold brings new batches into the records and deletes those that were folded
// a day ago. Its cost grows with the new lines; each hour it looks at all
// batches, each day at all records. It may be broken off anywhere, and run by
// several syncers at once.
//
// Records and batches of another privacy mode, or of another pseudonyms key,
// are removed, after what they tell was brought into the present mode where
// that can be done.
func Fold(ctx context.Context, lg *slog.Logger, st store.Store, p Privacy, now time.Time) (FoldResult, error) {
	if err := p.Check(); err != nil {
		return FoldResult{}, err
	}
	f := &folder{lg: lg, st: st, p: p, now: now.UTC()}
	err := f.fold(ctx)
	if err != nil {
		err = fmt.Errorf("fold receipts: %w", err)
	}
	return f.res, err
}

type folder struct {
	lg  *slog.Logger
	st  store.Store
	p   Privacy
	now time.Time
	led *ledger

	mu  sync.Mutex // guards res and gone while shards are written at once
	res FoldResult
}

// found is a batch that lies in the store.
type found struct {
	id   batchID
	key  string
	size int64
}

func (f *folder) fold(ctx context.Context) error {
	if err := f.begin(ctx); err != nil {
		return err
	}
	sweep := f.now.Sub(f.led.Swept) >= sweepEvery
	fresh, old, err := f.list(ctx, sweep)
	if err != nil {
		return err
	}
	for len(fresh) > 0 {
		n, size := 0, int64(0)
		for n < len(fresh) && n < chunkCount && size < chunkBytes {
			size += fresh[n].size
			n++
		}
		if err := f.chunk(ctx, fresh[:n]); err != nil {
			return err
		}
		fresh = fresh[n:]
	}
	if !sweep {
		return nil
	}
	return f.sweep(ctx, old)
}

// begin reads the ledger and, where the mode or key changed, empties what was
// kept under the former one. Only then is the change in the ledger, so that
// one broken off is begun again.
func (f *folder) begin(ctx context.Context) (err error) {
	if f.led, _, err = readLedger(ctx, f.st); err != nil {
		return err
	}
	want := f.p.scheme()
	if f.led.damaged != nil {
		f.lg.Error("the note of what was folded is damaged and begun anew; counts up to now are lost", "err", f.led.damaged)
	}
	if f.led.scheme == want {
		return nil
	}
	err = f.eachShard(ctx, func(sh *shard) FoldResult { return FoldResult{OtherMode: sh.under(want)} })
	if err != nil {
		return err
	}
	f.led, err = updateLedger(ctx, f.st, func(g *ledger) error {
		if g.scheme != want {
			*g = ledger{Format: Format, scheme: want}
		}
		return nil
	})
	if f.res.OtherMode > 0 {
		f.lg.Warn("the privacy settings changed: records kept under the former ones were removed",
			"students", f.res.OtherMode, "mode", want.Mode)
	}
	return err
}

// list gives the batches that were not folded yet, and in a sweep the keys of
// those whose day is over.
func (f *folder) list(ctx context.Context, sweep bool) (fresh []found, old []string, err error) {
	after := ""
	if !sweep && !f.led.Through.IsZero() {
		after = timeKey(f.led.Through.Add(-lateBy))
	}
	for o, err := range f.st.List(ctx, receiptsPrefix, after) {
		if err != nil {
			return nil, nil, fmt.Errorf("list %s: %w", receiptsPrefix, err)
		}
		id, ok := parseBatchKey(o.Key)
		if !ok {
			continue // not ours; left alone
		}
		at, done := f.led.folded(id)
		switch {
		case !done:
			fresh = append(fresh, found{id, o.Key, o.Size})
		// At is the beginning of an hour.
		case sweep && f.now.Sub(at) >= keepBatches+time.Hour:
			old = append(old, o.Key)
		}
	}
	return fresh, old, nil
}

// chunk folds some batches: first the records, then the ledger. Broken off in
// between, the same batches are folded again, which changes nothing. Counts
// stand in the ledger itself, and so are counted once.
func (f *folder) chunk(ctx context.Context, list []found) error {
	c, err := f.load(ctx, list)
	if err != nil {
		return err
	}
	if f.p.mode() != Counts {
		if err := f.foldShards(ctx, c); err != nil {
			return err
		}
	}
	f.led, err = updateLedger(ctx, f.st, func(g *ledger) error { return f.commit(g, c) })
	if err != nil {
		return err
	}
	for _, b := range c {
		f.res.Batches++
		f.res.Lines += len(b.lines)
		f.res.Refused += b.refused
		if b.gone {
			if err := f.delete(ctx, b.key); err != nil {
				return err
			}
		}
	}
	return nil
}

// commit notes a chunk in the ledger.
func (f *folder) commit(g *ledger, c []*loaded) error {
	if g.scheme != f.p.scheme() {
		return errors.New("another syncer folds with other privacy settings; give all of them the same")
	}
	for _, b := range c {
		if _, done := g.folded(b.id); done {
			continue
		}
		g.mark(b.id, f.now)
		if t := b.id.Time; t.After(g.Through) && !t.After(f.now) {
			g.Through = t
		}
		if g.Mode == Counts {
			for _, l := range b.lines {
				g.count(l)
			}
		}
	}
	return nil
}

// loaded is a batch ready to be folded. Gone says that it must not stay for a
// day: it names somebody in a way that is not the present one, or somebody who
// was forgotten.
type loaded struct {
	found
	lines   []Line
	refused int
	gone    bool
}

// load reads batches, several at once. One that vanished, or that a newer
// Satchel wrote, is left out.
func (f *folder) load(ctx context.Context, list []found) ([]*loaded, error) {
	all := make([]*loaded, len(list))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, b := range list {
		g.Go(func() (err error) {
			all[i], err = f.loadOne(ctx, b)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var out []*loaded
	for _, b := range all {
		if b != nil {
			out = append(out, b)
		}
	}
	return out, nil
}

func (f *folder) loadOne(ctx context.Context, b found) (*loaded, error) {
	data, _, err := readBatch(ctx, f.st, b.key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case errors.Is(err, bundle.ErrFormat):
		f.lg.Warn("a batch of receipts is left for a newer Satchel", "err", err)
		f.add(FoldResult{Newer: 1})
		return nil, nil
	case errors.Is(err, bundle.ErrCorrupt):
		f.lg.Warn("a batch of receipts is damaged and was skipped", "err", err)
		return &loaded{found: b, refused: 1}, nil
	case err != nil:
		return nil, err
	}
	out := &loaded{found: b, refused: data.Bad, gone: data.scheme != f.p.scheme()}
	for _, l := range data.Lines {
		l, ok := f.p.convert(l, data.scheme)
		if !ok || l.Time.Sub(f.now) > future {
			out.refused++
			continue
		}
		out.lines = append(out.lines, l)
	}
	return out, nil
}

// foldShards brings the lines into the shards that they concern.
func (f *folder) foldShards(ctx context.Context, c []*loaded) error {
	type from struct {
		line Line
		b    *loaded
	}
	byShard := map[string][]from{}
	for _, b := range c {
		for _, l := range b.lines {
			key := shardKey(l.User)
			byShard[key] = append(byShard[key], from{l, b})
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for key, lines := range byShard {
		g.Go(func() error {
			return f.update(ctx, key, func(sh *shard) (r FoldResult) {
				r.OtherMode = sh.under(f.p.scheme())
				for _, x := range lines {
					if !x.line.Time.After(sh.buried(f.p, x.line.User)) {
						f.drop(x.b)
						continue
					}
					sh.take(x.line)
				}
				r.Forgotten = sh.age(f.p, f.now)
				return r
			})
		})
	}
	return g.Wait()
}

func (f *folder) drop(b *loaded) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b.gone = true
}

func (f *folder) add(r FoldResult) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.res.Newer += r.Newer
	f.res.Shards += r.Shards
	f.res.Forgotten += r.Forgotten
	f.res.OtherMode += r.OtherMode
}

// update moves one shard and counts what change did the last time it ran. A
// shard that is full loses the new lines, loudly: it must not stop the others.
func (f *folder) update(ctx context.Context, key string, change func(*shard) FoldResult) error {
	var r FoldResult
	written, err := updateShard(ctx, f.st, key, func(sh *shard) {
		if sh.damaged != nil {
			f.lg.Error("a damaged shard of student records is begun anew", "err", sh.damaged)
		}
		r = change(sh)
	})
	if errors.Is(err, errFull) {
		f.lg.Error("receipts are lost", "err", err)
		return nil
	}
	if written {
		r.Shards = 1
		f.add(r)
	}
	return err
}
