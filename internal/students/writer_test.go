package students

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestWriterWritesABatchEachFewSecondsAndTheRestAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newMemory()
		w := NewWriter(logger(t), st, names, "hook1")
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.Run(ctx) }()
		now := time.Now()
		w.Add(login("ana", "", now))
		w.Add(login("bob", "", now))
		time.Sleep(flushEvery)
		synctest.Wait()
		if n := len(st.snapshot(receiptsPrefix)); n != 1 {
			t.Errorf("%d batches after %s", n, flushEvery)
		}
		time.Sleep(time.Hour)
		w.Add(login("eve", "", time.Now()))
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if n := len(st.snapshot(receiptsPrefix)); n != 2 {
			t.Errorf("%d batches at the end; an idle hour writes none", n)
		}
		fold(t, st, names, time.Now())
		if n := len(all(t, st)); n != 3 {
			t.Errorf("%d students", n)
		}
	})
}

func TestAddNeverBlocksAndTheLossIsSaid(t *testing.T) {
	st := newMemory()
	w := NewWriter(logger(t), st, names, "hook1") // nobody runs it
	for i := range queueSize + 10 {
		w.Add(login(fmt.Sprint("u", i), "", noon))
	}
	w.Add(login("a\xff", "", noon))
	w.Add(login("", "", noon))
	if w.Dropped() != 10 || w.Refused() != 2 {
		t.Errorf("%d dropped, %d refused", w.Dropped(), w.Refused())
	}
	if s := w.flush(t.Context(), nil); s != nil {
		t.Fatal("not flushed")
	}
	if r := fold(t, st, names, noon.Add(time.Minute)); r.Lines != queueSize {
		t.Errorf("%+v", r)
	}
}

// While the store is away lines wait; a write whose answer was lost is neither
// lost nor written twice; and what Forget took out is not brought back.
func TestWriterOutlivesTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newMemory()
		lost := 0
		st.fail = func(op, key string, done bool) error {
			if op == "put" && done && lost == 0 {
				lost++
				return errFault
			}
			return nil
		}
		w := NewWriter(logger(t), st, count, "hook1")
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.Run(ctx) }()
		w.Add(login("ana", "", time.Now()))
		time.Sleep(3 * flushEvery)
		synctest.Wait()
		fold(t, st, count, time.Now())
		if n := counted(t, st, KindLogin); n != 1 || lost != 1 {
			t.Errorf("%d logins counted", n)
		}
		st.mu.Lock()
		st.fail = func(op, key string, done bool) error { return errFault }
		st.mu.Unlock()
		w.Add(login("bob", "", time.Now()))
		time.Sleep(time.Hour)
		stop()
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "1 lines are lost") {
			t.Errorf("error %v", err)
		}
	})
}

// The answer to a write was lost; before the Writer tries again the student is
// forgotten.
func TestRetryDoesNotBringBackWhatWasForgotten(t *testing.T) {
	st := newMemory()
	w := NewWriter(logger(t), st, names, "hook1")
	w.Add(login("ana-maria", "", noon))
	st.fail = func(op, key string, done bool) error {
		if done {
			return errFault
		}
		return nil
	}
	s := w.flush(t.Context(), nil)
	st.fail = nil
	if s == nil || len(st.contains("ana-maria")) != 1 {
		t.Fatal("the write was to happen, and its answer to be lost")
	}
	if err := Forget(t.Context(), st, names, "ana-maria", noon.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if s = w.flush(t.Context(), s); s != nil {
		t.Error("still waiting")
	}
	if keys := st.contains("ana-maria"); len(keys) > 0 {
		t.Errorf("the name is back in %v", keys)
	}
}

func TestLinesWaitAtMostADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newMemory()
		st.fail = func(op, key string, done bool) error { return errFault }
		w := NewWriter(logger(t), st, names, "hook1")
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go w.Run(ctx)
		w.Add(login("ana", "", time.Now()))
		time.Sleep(staleAfter + time.Hour)
		synctest.Wait()
		if w.Dropped() != 1 {
			t.Errorf("%d dropped", w.Dropped())
		}
	})
}

func TestWriterWithoutAKeyWritesNoName(t *testing.T) {
	st := newMemory()
	for _, p := range []Privacy{{Mode: Pseudonyms}, {Mode: "nmaes"}} {
		write(t, st, p, noon, login("ana-maria", "", noon))
	}
	if keys := st.contains("ana-maria"); len(keys) > 0 {
		t.Errorf("the name stands in %v", keys)
	}
}

func TestBatchesStayBelowTheirLimit(t *testing.T) {
	st := newMemory()
	w := NewWriter(logger(t), st, names, "hook1")
	for i := range 500 {
		l := receipt("ana", "", fmt.Sprint("c", i), noon)
		for range MaxPaths {
			p := strings.Repeat("\x01", MaxPathSum/MaxPaths) // six bytes each in JSON
			l.Merged, l.Kept, l.Failed = append(l.Merged, p), append(l.Kept, p), append(l.Failed, p)
		}
		w.Add(l)
	}
	w.flush(t.Context(), nil)
	for k, data := range st.snapshot(receiptsPrefix) {
		if len(data) > MaxBatch {
			t.Errorf("%s has %d bytes", k, len(data))
		}
	}
	if r := fold(t, st, names, noon.Add(time.Minute)); r.Lines != 500 || r.Refused != 0 {
		t.Errorf("%+v", r)
	}
}

// A "<" is one byte in a batch: no page is made of it, and six would let a
// student's receipt swell.
func TestLinesAreNotEscapedForPages(t *testing.T) {
	l := receipt("ana", "lab", "scala101", noon)
	l.Kept = []string{"a<b>&c.md"}
	b := &batch{header: header{Format: Format, scheme: names.scheme()}, Lines: []Line{l}}
	data, err := b.encode()
	if err != nil || !strings.Contains(string(data), `"a<b>&c.md"`) {
		t.Errorf("%s, %v", data, err)
	}
	if back, err := decodeBatch(data); err != nil || back.Bad > 0 || back.Lines[0].Kept[0] != "a<b>&c.md" {
		t.Errorf("%+v, %v", back, err)
	}
}
