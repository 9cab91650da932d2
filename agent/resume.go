package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"satchel/bundle"
	"satchel/hook"
)

// errAnew means: what was offered is no longer there; ask sync anew.
var errAnew = errors.New("the course has moved on meanwhile")

// broken is an error of the network while bytes were read. It tells it from
// errors of the disk and of the content.
type broken struct{ err error }

func (b *broken) Error() string { return "the download broke off: " + b.err.Error() }
func (b *broken) Unwrap() error { return b.err }

func isBroken(err error) bool {
	var b *broken
	return errors.As(err, &b)
}

// frameBytes reads one frame's bytes, and where they break off goes on at the
// very byte by a ranged request, as long as each try brings something.
type frameBytes struct {
	ctx  context.Context // of one pass; this reader lives within one call of it
	open func(ctx context.Context, off int64) (io.ReadCloser, error)
	r    io.Reader
	body io.Closer // of a ranged request; nil for the first stream
	at   int64
	end  int64
	idle int // tries in a row that brought nothing
	wait backoff
	// failed is the error that ended the reading, for a decoder between may
	// not pass it on.
	failed error
}

// maxIdleTries is how often nothing may come in a row.
const maxIdleTries = 4

// minResumed is the length of frames from which on they are resumed; shorter
// ones are rather asked for anew.
const minResumed = 64 << 10

func (f *frameBytes) Read(p []byte) (int, error) {
	for {
		if f.at == f.end {
			return 0, io.EOF
		}
		n, err := f.r.Read(p)
		f.at += int64(n)
		if n > 0 {
			f.idle = 0
			return n, nil // an error comes again
		}
		if err == nil {
			continue
		}
		if f.failed = f.again(err); f.failed != nil {
			return 0, f.failed
		}
	}
}

// again opens the rest of the frame.
func (f *frameBytes) again(why error) error {
	f.Close()
	if f.open == nil || f.end < minResumed {
		return &broken{why}
	}
	for {
		f.idle++
		if f.idle > maxIdleTries || f.ctx.Err() != nil {
			return &broken{errors.Join(why, f.ctx.Err())}
		}
		if f.idle > 1 {
			sleep(f.ctx, f.wait.after(f.idle-1))
		}
		body, err := f.open(f.ctx, f.at)
		if gone(err) {
			return fmt.Errorf("%w: %w", errAnew, err)
		}
		if err == nil {
			f.r, f.body = body, body
			return nil
		}
		why = err
	}
}

// Close ends the ranged request, if there is one.
func (f *frameBytes) Close() {
	if f.body != nil {
		f.body.Close()
		f.body = nil
	}
}

// resumable reads frame f of a course, first from r.
func (a *Agent) resumable(ctx context.Context, course string, f hook.Offered, r io.Reader) *frameBytes {
	b := &frameBytes{ctx: ctx, r: r, end: f.Length, wait: a.wait}
	if !f.Bundle.IsZero() {
		b.open = func(ctx context.Context, off int64) (io.ReadCloser, error) {
			return a.client.Range(ctx, course, f.Bundle, f.Offset+off, f.Length-off)
		}
	}
	return b
}

// gone says whether the service answered that there is no such thing now.
func gone(err error) bool {
	var e *hook.Error
	return errors.As(err, &e) && (e.Status == http.StatusNotFound || e.Status == http.StatusGone)
}

// wantsFrame says whether taking a frame is worth it: it holds something that
// is wanted, and not much else.
func wantsFrame(f bundle.Frame, want map[bundle.Digest]bundle.Item) bool {
	const ballast = 16 << 20
	if f.Length > f.Size+f.Size>>8+4096 {
		return false // no encoder needs so much: somebody pads
	}
	useful, other := false, int64(0)
	for _, it := range f.Items {
		if w, ok := want[it.Digest]; ok && w.Size == it.Size {
			useful = true
		} else {
			other += it.Size
		}
	}
	return useful && other <= ballast
}

// sleep waits, or until the context ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
