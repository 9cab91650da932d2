package students

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"satchel/store"
)

const (
	queueSize  = 16_384           // lines that wait for the next batch
	batchLines = 1_000            // the most lines of one batch that is written
	batchBytes = MaxBatch / 2     // and about the most bytes
	flushEvery = 3 * time.Second  // or when so long has passed
	putTime    = 10 * time.Second // for one attempt to write one
	staleAfter = 24 * time.Hour   // lines that could not be written so long are let go
	sayEvery   = time.Minute      // how often trouble is logged
)

// Writer collects lines and writes them as batches. Privacy is applied when a
// line is added: in mode pseudonyms no name waits in memory or reaches the
// store, in mode counts nothing at all about whose it was.
type Writer struct {
	lg      *slog.Logger
	st      store.Store
	p       Privacy
	by, run string
	queue   chan Line
	dropped atomic.Int64
	refused atomic.Int64

	n    int64 // batches begun
	said time.Time
}

// NewWriter makes a Writer of the hookserver called id. A Privacy that is not
// in order (Privacy.Check) is taken as counts, and said.
func NewWriter(lg *slog.Logger, st store.Store, p Privacy, id string) *Writer {
	return newWriter(lg, st, p, id, queueSize)
}

func newWriter(lg *slog.Logger, st store.Store, p Privacy, id string, queue int) *Writer {
	if err := p.Check(); err != nil {
		lg.Error("nothing but counts is kept of students", "err", err)
		p = Privacy{Mode: Counts}
	}
	run := make([]byte, 8)
	rand.Read(run) // never returns an error
	return &Writer{
		lg: lg, st: st, p: p, by: cutWord(id), run: hex.EncodeToString(run), queue: make(chan Line, queue),
	}
}

// Add takes a line. It never blocks: where the queue is full, because the
// store is away, the line is dropped and counted.
func (w *Writer) Add(l Line) {
	l, err := l.clean()
	if err == nil && l.User == "" {
		err = errIdentity
	}
	if err != nil {
		w.refused.Add(1)
		return
	}
	l, _ = w.p.convert(l, scheme{Mode: Names})
	select {
	case w.queue <- l:
	default:
		w.dropped.Add(1)
	}
}

// Dropped is how many lines were dropped because the queue was full, and
// Refused how many no record can be made of (a name that is no valid text).
func (w *Writer) Dropped() int64 { return w.dropped.Load() }

// Refused: see Dropped.
func (w *Writer) Refused() int64 { return w.refused.Load() }

// Run writes batches until ctx ends, and then what is left. It gives an error
// only when that last batch could not be written.
func (w *Writer) Run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	var pending *sealed
	for {
		select {
		case <-tick.C:
			pending = w.flush(ctx, pending)
			w.say()
		case <-ctx.Done():
			return w.last(context.WithoutCancel(ctx), pending)
		}
	}
}

// sealed is a batch whose key is decided. It keeps the key through all
// attempts, so that one whose answer was lost is not written twice.
type sealed struct {
	id    batchID
	data  []byte
	lines int
}

// flush writes what waits, batch by batch, and gives back the one that could
// not be written.
func (w *Writer) flush(ctx context.Context, s *sealed) *sealed {
	for {
		if s == nil {
			if s = w.seal(time.Now()); s == nil {
				return nil
			}
		}
		if err := w.put(ctx, s); err != nil {
			return w.keep(s, err)
		}
		s = nil
	}
}

// keep decides what becomes of a batch that could not be written.
func (w *Writer) keep(s *sealed, err error) *sealed {
	if time.Since(s.id.Time) < staleAfter {
		w.lg.Debug("receipts wait", "lines", s.lines, "err", err)
		return s
	}
	w.dropped.Add(int64(s.lines))
	return nil
}

// last writes what is left at the end.
func (w *Writer) last(ctx context.Context, s *sealed) error {
	ctx, stop := context.WithTimeout(ctx, putTime)
	defer stop()
	if s = w.flush(ctx, s); s != nil {
		w.dropped.Add(int64(s.lines + len(w.queue)))
		return fmt.Errorf("write the last receipts: %d lines are lost: the store does not take them", s.lines+len(w.queue))
	}
	return nil
}

// seal makes a batch of what waits; nil where nothing does.
func (w *Writer) seal(now time.Time) *sealed {
	b := &batch{header: header{Format: Format, scheme: w.p.scheme(), By: w.by}}
	for size := 0; len(w.queue) > 0 && len(b.Lines) < batchLines && size < batchBytes; {
		l := <-w.queue // there is one: nobody else takes
		b.Lines = append(b.Lines, l)
		size += l.weight()
	}
	if len(b.Lines) == 0 {
		return nil
	}
	data, err := b.encode()
	if err != nil {
		w.dropped.Add(int64(len(b.Lines)))
		return nil
	}
	w.n++
	return &sealed{id: batchID{Time: now.UTC().Truncate(time.Millisecond), Run: w.run, N: w.n}, data: data, lines: len(b.Lines)}
}

// weight is about how many bytes a line takes in a batch, at most: JSON may
// write a byte as six.
func (l Line) weight() int {
	n := 512 + len(l.User) + len(l.Server)
	for _, list := range [][]string{l.Merged, l.Kept, l.Failed} {
		for _, p := range list {
			n += 6 * len(p)
		}
	}
	return n
}

func (w *Writer) put(ctx context.Context, s *sealed) error {
	ctx, stop := context.WithTimeout(ctx, putTime)
	defer stop()
	// Not Put: after a lost answer it would bring back what was taken out of
	// the batch meanwhile (Forget).
	err := w.st.PutIfAbsent(ctx, s.id.key(), bytes.NewReader(s.data))
	if errors.Is(err, store.ErrExists) {
		return nil
	}
	return err
}

// say logs lost lines, at most once a minute.
func (w *Writer) say() {
	lost, bad := w.dropped.Load(), w.refused.Load()
	if lost+bad == 0 || time.Since(w.said) < sayEvery {
		return
	}
	w.said = time.Now()
	w.lg.Warn("lines about students were lost since the start", "queue_full", lost, "refused", bad)
}
