package students

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// eachShard moves all shards that there are.
func (f *folder) eachShard(ctx context.Context, change func(*shard) FoldResult) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for o, err := range f.st.List(ctx, studentsPrefix, "") {
		if err != nil {
			return errors.Join(fmt.Errorf("list %s: %w", studentsPrefix, err), g.Wait())
		}
		if isShardKey(o.Key) {
			g.Go(func() error { return f.update(gctx, o.Key, change) })
		}
	}
	return g.Wait()
}

// sweep deletes the batches whose day is over and, once a day, forgets the
// records whose time is.
func (f *folder) sweep(ctx context.Context, old []string) error {
	for _, key := range old {
		if err := f.delete(ctx, key); err != nil {
			return err
		}
	}
	aged := f.now.Sub(f.led.Aged) >= ageEvery
	if aged {
		err := f.eachShard(ctx, func(sh *shard) FoldResult {
			r := FoldResult{OtherMode: sh.under(f.p.scheme())}
			r.Forgotten = sh.age(f.p, f.now)
			return r
		})
		if err != nil {
			return err
		}
	}
	_, err := updateLedger(ctx, f.st, func(g *ledger) error {
		if err := f.commit(g, nil); err != nil {
			return err
		}
		g.Swept = f.now
		if aged {
			g.Aged = f.now
		}
		g.age(f.p, f.now)
		return nil
	})
	return err
}

func (f *folder) delete(ctx context.Context, key string) error {
	if err := f.st.Delete(ctx, key); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	f.res.Deleted++
	return nil
}
