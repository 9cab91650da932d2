package hookserver

import (
	"context"
	"sync"
	"time"
)

const (
	beatEvery = 500 * time.Millisecond
	// sleptAfter without a beat, this process was stopped, or its machine.
	sleptAfter = 3 * time.Second
)

// pulse knows when the process was stopped and goes on: then the record is
// looked at before anything is given out, for what this process knows is old,
// and nobody waits for its word any more.
type pulse struct {
	mu   sync.Mutex
	last time.Time // zero: nobody beats
	woke time.Time
}

// beat goes on until ctx is done.
func (p *pulse) beat(ctx context.Context) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		p.mark(true)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// mark gives when this process last went on after it was stopped. By the
// wall's clock: the other one stands while a machine sleeps.
func (p *pulse) mark(beats bool) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now().Round(0)
	if !p.last.IsZero() && now.Sub(p.last) > sleptAfter {
		p.woke, p.last = time.Now(), now
	}
	if beats {
		p.last = now
	}
	return p.woke
}
