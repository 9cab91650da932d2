package main

import (
	"sync"

	"satchel/course"
	"satchel/internal/config"
)

// live is the configuration as it is now. Readers take what they need each
// time; changed wakes the syncer's loop.
type live struct {
	mu      sync.RWMutex
	cfg     *config.Config
	changed chan struct{}
}

func newLive(cfg *config.Config) *live {
	return &live{cfg: cfg, changed: make(chan struct{}, 1)}
}

func (l *live) get() *config.Config {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.cfg
}

func (l *live) set(cfg *config.Config) {
	l.mu.Lock()
	l.cfg = cfg
	l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

func (l *live) courses() []course.Course { return l.get().Courses }
