package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrSilent means: the service took longer than ClientOptions.Idle to say its
// next byte.
var ErrSilent = errors.New("the service is silent")

// idleWatch cancels a request that waits for the service and hears
// nothing for too long. A slow download lives as long as it goes on, and a
// slow reader of it too.
type idleWatch struct {
	idle   time.Duration
	timer  *time.Timer
	cancel context.CancelCauseFunc
	cause  func() error
}

func watchIdle(ctx context.Context, idle time.Duration) (context.Context, *idleWatch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &idleWatch{idle: idle, cancel: cancel, cause: func() error { return context.Cause(ctx) }}
	w.timer = time.AfterFunc(idle, func() { cancel(fmt.Errorf("%w for %s", ErrSilent, idle)) })
	return ctx, w
}

// waits begins a wait for the service, heard ends it.
func (w *idleWatch) waits() { w.timer.Reset(w.idle) }
func (w *idleWatch) heard() { w.timer.Stop() }

func (w *idleWatch) stop() {
	w.timer.Stop()
	w.cancel(context.Canceled)
}

// explain puts ErrSilent in the place of the cancellation that it caused.
func (w *idleWatch) explain(err error) error {
	if cause := w.cause(); errors.Is(cause, ErrSilent) {
		return cause
	}
	return err
}

// idleBody watches over each read.
type idleBody struct {
	io.ReadCloser
	watch *idleWatch
}

func (b *idleBody) Read(p []byte) (int, error) {
	b.watch.waits()
	n, err := b.ReadCloser.Read(p)
	b.watch.heard()
	if err != nil && err != io.EOF {
		err = b.watch.explain(err)
	}
	return n, err
}

func (b *idleBody) Close() error {
	b.watch.stop()
	return b.ReadCloser.Close()
}
