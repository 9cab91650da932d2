// Package panics carries one out of goroutines to the one who waits for
// them, where it can be dealt with: left alone it would end the process,
// whatever that was about to do.
package panics

import "sync"

// Catcher keeps the first panic. The zero value is ready.
type Catcher struct {
	mu     sync.Mutex
	caught any
}

// Catch is to be deferred in each goroutine.
func (c *Catcher) Catch() {
	if r := recover(); r != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.caught == nil {
			c.caught = r
		}
	}
}

// Rethrow panics with what was caught, once; it is called when the goroutines
// have ended.
func (c *Catcher) Rethrow() {
	c.mu.Lock()
	r := c.caught
	c.caught = nil
	c.mu.Unlock()
	if r != nil {
		panic(r)
	}
}
