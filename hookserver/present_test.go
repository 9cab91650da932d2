package hookserver

import (
	"context"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/store"
)

// deaf is a store that does not take some words.
type deaf struct {
	store.Store
	fails atomic.Int32
}

func (d *deaf) Put(ctx context.Context, key string, body io.ReadSeeker) error {
	if strings.HasPrefix(key, "receipts/servers/") && d.fails.Load() > 0 {
		d.fails.Add(-1)
		return store.ErrUnavailable
	}
	return d.Store.Put(ctx, key, body)
}

// A hookserver says that it is there and what it gives out: at once when more
// was taken back, and no more when it has stopped.
func TestPresence(t *testing.T) {
	st := &deaf{}
	w := newWorld(t, func(o *Options) {
		o.ID, o.Now = "replica-1", time.Now
		st.Store, o.Store = o.Store, st
	})
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"a": "1", "leak": "secret"}))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { w.srv.presence(ctx) })
	says := func(want bundle.Version) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			all, err := store.Presences(t.Context(), w.dir, time.Now())
			if err == nil && len(all) == 1 && all[0].ID == "replica-1" && all[0].Courses["scala"] == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%+v, %v; want version %d", all, err, want)
			}
		}
	}
	says(1)
	st.fails.Store(1) // what is not heard at once is said again, long before the next minute
	w.publish("scala", everyone(map[string]string{"a": "1"}), func(r *store.Record) {
		r.Withdrawn = []bundle.Pair{{Path: "leak", Digest: bundle.Sum([]byte("secret"))}}
	})
	says(2)
	if st.fails.Load() != 0 {
		t.Error("this test says nothing")
	}
	cancel()
	wg.Wait()
	if all, err := store.Presences(t.Context(), w.dir, time.Now()); err != nil || len(all) > 0 {
		t.Errorf("%+v, %v", all, err)
	}
}
