// Package syncer owns the one step from a course repository to the store, and
// the loop round it: Sync makes one pass for one course and says what it did,
// Run repeats it, Control takes commands.
//
// # A pass
//
// In this order: read the record with its etag, list the remote, fetch, select,
// compose what was published before, decide, build, put the bundles, look them
// up, swap the record with that etag. Because the remote is listed after the
// record is read, an older commit never replaces a newer one: whoever published
// meanwhile has moved the record, the swap is lost, and the pass begins again
// at the read. Because bundles are named by their content and nothing refers to
// them before the swap, a crash at any line leaves the old version whole, and
// what it leaves behind is swept by store.Prune.
//
// # Promises
//
// Versions only grow. What is published is a pure function (nextChannels) of
// what was published, the selection and what was withdrawn; time, version and
// signature stand only in the head. A refusal leaves the last good version as
// it is and names every path with its reason. One course never stops another.
// Any number of syncers may work on one store.
//
// # Full bundles
//
// Each publish writes one bundle per changed channel, from its former version.
// A full one is written for a channel's first version, and by Compact, beside
// the passes and from the store alone (an own swap of the record, which changes
// no version), when more than fullSteps bundles lead from the last full one to
// the newest, or their bytes are more than half of it: see dueForFull. What lies
// before it becomes slim: it still tells what students have and which deltas
// lead on from there, and has no content whole. So of a channel whose newest
// full bundle has F bytes a record names F for it, at most F/2 and one step
// since, deltas of at most F/4 (or smallPast) before, and indexes.
//
// It judges no file (package course does), knows no git and no S3, and serves
// no student.
package syncer

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"satchel/bundle"
	"satchel/course"
	"satchel/store"
)

// Options are what a Syncer needs beside the store.
type Options struct {
	// StateDir is the syncer's own folder: mirrors, memos, bundles that are
	// being built, which can be had again; and withdrawn, the second memory of
	// what was taken back, which cannot.
	StateDir string
	// Keys gives the keys that sign heads, as they are now; the first is the
	// newest.
	Keys func() []bundle.SigningKey
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Fold brings receipts into the students' records (students.Fold); nil:
	// somebody else does.
	Fold func(ctx context.Context) error
	// Published is told after each new version, and must not block: so that a
	// hookserver in the same process need not wait for its next look. May be
	// nil.
	Published func()
}

// Syncer publishes courses into one store.
type Syncer struct {
	lg     *slog.Logger
	st     store.Store
	o      Options
	open   func(c *course.Course) (repository, error)
	wait   func(ctx context.Context, try int) error // before another try
	newID  func() string
	heavy  chan struct{} // one token for each pass that may select or build at once
	tidy   chan struct{} // one token: for compacting
	board  board
	claims claims

	mu      sync.Mutex
	known   map[course.Name]*known
	loop    *loop                  // of Run
	courses func() []course.Course // as Run was given them
}

// atOnce is how many courses are selected or built at the same time: each
// takes a core, and memory for its trees.
const atOnce = 4

// New gives a Syncer. It touches nothing yet.
func New(lg *slog.Logger, st store.Store, o Options) *Syncer {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Syncer{lg: lg, st: st, o: o, heavy: make(chan struct{}, atOnce), tidy: make(chan struct{}, 1), known: map[course.Name]*known{}}
	s.open, s.wait, s.newID = s.openMirror, pause, bundle.NewID
	return s
}

// known is what is remembered of one course between passes. All of it can be
// had again, at a cost. turn guards it: one pass at a time for a course.
type known struct {
	turn    chan struct{}
	repo    repository
	repoFor course.Course // what repo was opened for
	memo    *course.FileMemo
	former  map[string]composed // by channel id
	refused remembered
	said    string         // the last refusal that was logged
	pending *pending       // a log entry that may be owed
	settled bool           // the log was compared with the record once
	entered bundle.Version // the version that was last logged from here
	// swept is for how many withdrawn contents the store was swept, by this
	// process: see sweep. Whoever may have put one since sets it to unswept.
	swept atomic.Int64
	// repaid is for how many withdrawn pairs in the record, and 1, it was asked
	// what is owed: see takeBackOwed.
	repaid atomic.Int64
	// heard are the withdrawals of the last look at the log: see hearWithdrawals.
	heard struct {
		at   time.Time
		keys []string
	}
}

const unswept = -1

// hold waits for the course's turn.
func (s *Syncer) hold(ctx context.Context, name course.Name) (*known, func(), error) {
	k := s.knownOf(name)
	select {
	case k.turn <- struct{}{}:
		return k, func() { <-k.turn }, nil
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
}

func (s *Syncer) knownOf(name course.Name) *known {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.known[name]
	if k == nil {
		k = &known{turn: make(chan struct{}, 1)}
		s.known[name] = k
	}
	return k
}

// working waits for one of the few places for heavy work.
func (s *Syncer) working(ctx context.Context) (func(), error) {
	select {
	case s.heavy <- struct{}{}:
		return func() { <-s.heavy }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// memory gives what is known of the course's contents.
func (s *Syncer) memory(k *known, name course.Name) (*course.FileMemo, error) {
	if k.memo != nil {
		return k.memo, nil
	}
	m, err := course.OpenMemo(s.memoDir(name))
	if err != nil {
		return nil, err
	}
	k.memo = m
	return m, nil
}

func (s *Syncer) memoDir(name course.Name) string {
	return filepath.Join(s.o.StateDir, "memos", string(name))
}

// forget throws away what is known of contents, so that all are read again.
func (s *Syncer) forget(k *known, name course.Name) {
	k.memo = nil
	_ = os.RemoveAll(s.memoDir(name))
}

// workDir makes a folder for what one pass builds, after it has taken away
// those that dead processes left.
func (s *Syncer) workDir() (dir string, err error) {
	parent := filepath.Join(s.o.StateDir, "build")
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", err
	}
	old, err := os.ReadDir(parent)
	if err != nil {
		return "", err
	}
	for _, e := range old {
		if fi, err := e.Info(); err == nil && time.Since(fi.ModTime()) > 2*abandonAfter {
			_ = os.RemoveAll(filepath.Join(parent, e.Name()))
		}
	}
	return os.MkdirTemp(parent, "publish-")
}
