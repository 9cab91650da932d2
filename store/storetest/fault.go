package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"satchel/bundle"
	"satchel/store"
)

// Fault says how a write of a Faulty store goes wrong.
type Fault int32

// The faults come in pairs: the caller cannot tell them apart.
const (
	None        Fault = iota
	NothingKept       // an error, and nothing was stored
	KeptUnheard       // an error, and yet it was stored
)

// ErrInjected is the error of a Faulty store, beside store.ErrUnavailable.
var ErrInjected = errors.New("injected")

// Faulty is a store whose next writes (Put, PutIfAbsent, CompareAndSwap) go
// wrong once each time Next is set.
type Faulty struct {
	store.Store
	next atomic.Int32
}

// Next makes the next write go wrong.
func (f *Faulty) Next(fault Fault) { f.next.Store(int32(fault)) }

func (f *Faulty) write(what string, do func() error) error {
	injected := fmt.Errorf("%s: %w: %w", what, store.ErrUnavailable, ErrInjected)
	switch Fault(f.next.Swap(int32(None))) {
	case NothingKept:
		return injected
	case KeptUnheard:
		if err := do(); err != nil {
			return err
		}
		return injected
	}
	return do()
}

func (f *Faulty) Put(ctx context.Context, key string, body io.ReadSeeker) error {
	return f.write("put "+key, func() error { return f.Store.Put(ctx, key, body) })
}

func (f *Faulty) PutIfAbsent(ctx context.Context, key string, body io.ReadSeeker) error {
	return f.write("put "+key, func() error { return f.Store.PutIfAbsent(ctx, key, body) })
}

func (f *Faulty) CompareAndSwap(ctx context.Context, key, etag string, data []byte) (tag string, err error) {
	err = f.write("swap "+key, func() (err error) {
		tag, err = f.Store.CompareAndSwap(ctx, key, etag, data)
		return err
	})
	if err != nil {
		return "", err
	}
	return tag, nil
}

// Record is a record that can be stored, made by the publish with this id.
func Record(course string, v bundle.Version, publish string) *store.Record {
	return &store.Record{Format: store.RecordFormat, Course: course, Version: v, Publish: publish}
}

func testSwapRecord(t *testing.T, s store.Store) {
	ctx := t.Context()
	_, _, err := store.ReadRecord(ctx, s, "scala101")
	wantErr(t, "ReadRecord before the first publish", err, store.ErrNotFound)
	first, err := store.SwapRecord(ctx, s, Record("scala101", 1, "p1"), "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.SwapRecord(ctx, s, Record("scala101", 1, "p2"), "")
	wantErr(t, "two first publishes", err, store.ErrChanged)
	if _, err = store.SwapRecord(ctx, s, Record("scala101", 2, "p3"), first); err != nil {
		t.Fatal(err)
	}
	_, err = store.SwapRecord(ctx, s, Record("scala101", 2, "p4"), first)
	wantErr(t, "a swap with a former etag", err, store.ErrChanged)
	r, tag, err := store.ReadRecord(ctx, s, "scala101")
	if err != nil || r.Publish != "p3" || tag == first {
		t.Errorf("record %+v, etag %q, %v", r, tag, err)
	}
}

// testSwapFaults swaps a record where the store's answer is an error: at the
// first publish and at a later one, with nothing stored and yet stored, alone
// and with somebody else's swap after it.
func testSwapFaults(t *testing.T, s store.Store) {
	ctx := t.Context()
	f := &Faulty{Store: s}
	for v, fault := range []Fault{NothingKept, KeptUnheard, NothingKept, KeptUnheard} {
		course := fmt.Sprintf("course%d", v)
		etag := ""
		if v >= 2 {
			var err error
			if etag, err = store.SwapRecord(ctx, s, Record(course, 1, "before"), ""); err != nil {
				t.Fatal(err)
			}
		}
		f.Next(fault)
		tag, err := store.SwapRecord(ctx, f, Record(course, 2, "mine"), etag)
		now, nowTag, rerr := store.ReadRecord(ctx, s, course)
		switch fault {
		case KeptUnheard:
			if err != nil || tag != nowTag || now.Publish != "mine" {
				t.Errorf("yet stored (%s): %q, %v; want it settled as mine", course, tag, err)
			}
		case NothingKept:
			if !errors.Is(err, ErrInjected) || errors.Is(err, store.ErrChanged) {
				t.Errorf("nothing stored (%s): error %v; want the store's own", course, err)
			}
			if etag == "" {
				wantErr(t, "record after nothing stored", rerr, store.ErrNotFound)
			} else if rerr != nil || now.Publish != "before" {
				t.Errorf("nothing stored (%s): now %+v, %v", course, now, rerr)
			}
		}
	}
}

// cancelling stores what is swapped, and then its caller gives up waiting for
// the answer.
type cancelling struct {
	store.Store
	cancel context.CancelFunc
}

func (c cancelling) CompareAndSwap(ctx context.Context, key, etag string, data []byte) (string, error) {
	if _, err := c.Store.CompareAndSwap(ctx, key, etag, data); err != nil {
		return "", err
	}
	c.cancel()
	return "", ctx.Err()
}

func testSwapCancelled(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	tag, err := store.SwapRecord(ctx, cancelling{s, cancel}, Record("scala101", 1, "mine"), "")
	_, now, rerr := store.ReadRecord(t.Context(), s, "scala101")
	if err != nil || rerr != nil || tag != now {
		t.Errorf("swap: %q, %v; record: %q, %v; want it settled although the context is over", tag, err, now, rerr)
	}
}
