package syncer

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"satchel/course"
	"satchel/store"
)

const (
	foldEvery  = time.Minute
	pruneEvery = 6 * time.Hour
	firstPrune = 10 * time.Minute // not while everything starts
)

// housekeep does now and then what has no hurry: it brings receipts into the
// students' records, prunes bundles, and forgets hookservers that are long gone.
func (s *Syncer) housekeep(ctx context.Context, courses func() []course.Course) {
	fold, prune := time.NewTimer(jittered(foldEvery/4)), time.NewTimer(jittered(firstPrune))
	defer fold.Stop()
	defer prune.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-fold.C:
			if s.o.Fold != nil {
				s.errand("fold receipts", func() error { return s.o.Fold(ctx) })
			}
			fold.Reset(jittered(foldEvery))
		case <-prune.C:
			for _, c := range courses() {
				s.errand("prune "+string(c.Name), func() error {
					_, err := store.Prune(ctx, s.lg, s.st, string(c.Name), s.o.Now())
					s.lookAgain(c.Name)
					return err
				})
			}
			s.errand("sweep presences", func() error { return store.SweepPresences(ctx, s.st, s.o.Now()) })
			prune.Reset(jittered(pruneEvery))
		}
	}
}

// errand logs what went wrong; it is done again another time.
func (s *Syncer) errand(name string, do func() error) {
	if err := careful(s.lg, do); err != nil {
		s.lg.Warn("not done; it will be tried again", "errand", name, "error", err)
	}
}

// careful makes an error of a panic.
func careful(lg *slog.Logger, do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			lg.Error("panic", "panic", r, "stack", string(debug.Stack()))
			err = fmt.Errorf("a fault of Satchel's: %v", r)
		}
	}()
	return do()
}

// jittered is within a tenth of d.
func jittered(d time.Duration) time.Duration { return d - d/10 + rand.N(d/5+1) }

// lookAgain lets the next pass look for what others left who died in the middle
// of a publish or of a withdrawal.
func (s *Syncer) lookAgain(name course.Name) {
	k := s.knownOf(name)
	k.swept.Store(unswept)
	k.repaid.Store(0)
}
