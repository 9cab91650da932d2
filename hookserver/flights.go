package hookserver

import (
	"context"
	"sync"
)

// flights let all who ask for the same work wait for one doing of it. The
// work belongs to those who wait: when the last has gone it is given up, for
// else hanging up would be a way to leave work behind.
type flights[V any] struct {
	mu sync.Mutex
	at map[string]*flight[V]
}

type flight[V any] struct {
	waiting int
	cancel  context.CancelFunc
	done    chan struct{}
	val     V // with err, once done is closed
	err     error
}

func newFlights[V any]() *flights[V] { return &flights[V]{at: map[string]*flight[V]{}} }

// do gives what work gives, of this call or of one that runs already.
func (f *flights[V]) do(ctx context.Context, key string, work func(context.Context) (V, error)) (V, error) {
	fl := f.join(ctx, key, work)
	defer f.leave(key, fl)
	select {
	case <-fl.done:
		return fl.val, fl.err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}

func (f *flights[V]) join(ctx context.Context, key string, work func(context.Context) (V, error)) *flight[V] {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl := f.at[key]
	if fl == nil {
		// Not of the one who comes first: leave ends it for all of them.
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), downloadTime)
		fl = &flight[V]{cancel: cancel, done: make(chan struct{})}
		f.at[key] = fl
		go f.run(own, key, fl, work)
	}
	fl.waiting++
	return fl
}

func (f *flights[V]) run(ctx context.Context, key string, fl *flight[V], work func(context.Context) (V, error)) {
	defer close(fl.done)
	fl.err = safely(func() (err error) { fl.val, err = work(ctx); return err })
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forget(key, fl)
}

func (f *flights[V]) leave(key string, fl *flight[V]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl.waiting--; fl.waiting == 0 {
		fl.cancel()
		f.forget(key, fl) // who comes now begins anew
	}
}

// forget lets go of fl, unless another has its place already; f.mu is held.
func (f *flights[V]) forget(key string, fl *flight[V]) {
	if f.at[key] == fl {
		delete(f.at, key)
	}
}
