package syncer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"satchel/bundle"
	"satchel/course"
	"satchel/source"
	"satchel/store"
)

// maxTries bounds how often one pass begins again after a lost swap.
const maxTries = 12

var errAbandoned = errors.New("it took longer than an hour and was abandoned; it will be begun anew")

// Sync makes one pass for a course, and says what it did also when it ends in
// an error. A *Refusal means that somebody has to do something; an error that
// is a *source.Error, that the repository could not be had. Passes for one
// course wait for each other; any number for different courses may run at
// once.
func (s *Syncer) Sync(ctx context.Context, c *course.Course, r Request) (Outcome, error) {
	k, release, err := s.hold(ctx, c.Name)
	if err != nil {
		return Outcome{Course: string(c.Name)}, err
	}
	defer release()
	ctx, cancel := context.WithTimeoutCause(ctx, abandonAfter, errAbandoned)
	defer cancel()
	s.board.begin(string(c.Name))
	p := &pass{Syncer: s, k: k, c: c, r: r, config: c.Digest(), began: s.o.Now()}
	p.st = metered{s.st, &p.out.Stats, new(bool)}
	p.out.Course = string(c.Name)
	err = p.repeat(ctx)
	p.out.Stats.FilesRead, p.out.Stats.BytesRead = int(p.reads.files.Load()), p.reads.bytes.Load()
	p.out.fullIsDue = p.rec != nil && slices.ContainsFunc(p.rec.Channels, dueForFull)
	p.audit(ctx, err)
	if err != nil {
		err = fmt.Errorf("publish %s: %w", c.Name, err)
	}
	s.board.record(p, err)
	if p.out.Published {
		debug.FreeOSMemory() // a publish needs much, and the next may be days away
	}
	return p.out, err
}

// pass is one Sync. rec, etag and head are as last read or written.
type pass struct {
	*Syncer
	st     metered
	k      *known
	c      *course.Course
	r      Request
	config bundle.Digest
	began  time.Time

	rec  *store.Record
	etag string
	head *bundle.Head
	repo repository
	tip  string
	from string        // the commit that is published: the tip, but for a rollback
	lost []bundle.Pair // what was taken back, where a repair cannot read it in the record
	out  Outcome

	selected bool   // out.Notes are of tip
	aside    string // a note of how the files were had

	publishes map[bundle.Version]store.Entry // of the log, once it was read

	reads reads
}

// repeat tries until a swap is won, nothing is to be done, or it is refused.
func (p *pass) repeat(ctx context.Context) error {
	var err error
	for p.out.Stats.Tries = 1; ; p.out.Stats.Tries++ {
		err = p.overtaken(ctx, p.once(ctx))
		if ctx.Err() != nil && err != nil {
			return context.Cause(ctx)
		}
		lost := errors.Is(err, store.ErrChanged) || errors.Is(err, source.ErrMoved)
		if !lost {
			return err
		}
		if p.out.Stats.Tries == maxTries {
			return fmt.Errorf("given up after %d tries; it will be tried again: %w", maxTries, err)
		}
		p.lg.Debug("begun again", "course", p.c.Name, "try", p.out.Stats.Tries, "because", err)
		if err := p.wait(ctx, p.out.Stats.Tries); err != nil {
			return err
		}
	}
}

// overtaken makes a lost swap of a bundle that is gone because somebody else
// moved the record meanwhile: a withdrawal deletes what it replaced at once.
func (p *pass) overtaken(ctx context.Context, err error) error {
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if moved, herr := p.moved(ctx); herr == nil && moved {
		return fmt.Errorf("%w: %w", store.ErrChanged, err)
	}
	return err
}

// moved says whether somebody else has written the record since it was read.
func (p *pass) moved(ctx context.Context) (bool, error) {
	return recordMoved(ctx, p.st, string(p.c.Name), p.etag)
}

// recordMoved says whether a record has another ETag than this ("": was absent).
func recordMoved(ctx context.Context, st store.Store, name, etag string) (bool, error) {
	o, err := st.Head(ctx, store.RecordKey(name))
	if errors.Is(err, store.ErrNotFound) {
		return etag != "", nil
	}
	return err == nil && o.ETag != etag, err
}

// pause waits a little, longer each time, and never as long as another.
func pause(ctx context.Context, try int) error {
	most := min(20*time.Millisecond<<try, 2*time.Second)
	t := time.NewTimer(rand.N(most))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// once is one try of a pass.
func (p *pass) once(ctx context.Context) error {
	p.selected, p.out.Notes, p.aside = false, nil, ""
	if err := p.timed("read", func() error { return p.read(ctx) }); err != nil {
		return err
	}
	if err := p.ours(); err != nil {
		return err
	}
	if p.settleLog(ctx) {
		return nil
	}
	if err := p.takeBackOwed(ctx); err != nil {
		return err
	}
	p.sweep(ctx)
	if err := p.mayPublish(); err != nil {
		return err
	}
	if err := p.timed("list", func() error { return p.list(ctx) }); err != nil {
		return err
	}
	p.from = p.tip
	if p.r.Rollback > 0 {
		var err error
		if p.from, err = p.commitOf(ctx, p.r.Rollback); err != nil {
			return err
		}
	}
	var refused *Refusal
	if !p.asRecorded() {
		err := p.refusedBefore()
		if err == nil {
			err = p.publish(ctx)
		}
		if err != nil && !errors.As(err, &refused) {
			return err
		}
		p.remember(refused)
	}
	if err := p.freshen(ctx); err != nil {
		return err
	}
	if refused != nil {
		return refused
	}
	return nil
}

// timed adds a step's time to the outcome.
func (p *pass) timed(name string, step func() error) error {
	from := time.Now()
	err := step()
	p.out.Stats.add(name, time.Since(from))
	return err
}

// read gets the record, before anything else is looked at.
func (p *pass) read(ctx context.Context) error {
	rec, etag, err := store.ReadRecord(ctx, p.st, string(p.c.Name))
	if errors.Is(err, store.ErrNotFound) {
		p.rec, p.etag, p.head = nil, "", nil
		if p.r.Repair {
			p.lost, err = p.owed(ctx)
			return err
		}
		return nil
	}
	if err != nil && p.r.Repair && !errors.Is(err, store.ErrUnavailable) {
		return p.readBroken(ctx, err)
	}
	if err != nil {
		return err
	}
	p.rec, p.etag, p.head = rec, etag, nil
	if p.r.Repair { // the record may be from before a withdrawal
		if p.lost, err = p.owed(ctx); err != nil {
			return err
		}
	}
	if rec.Head != nil {
		if p.head, err = rec.Head.Peek(); err != nil {
			return fmt.Errorf("record of %s: %w", p.c.Name, err)
		}
		if p.head.Course != rec.Course || p.head.Version != rec.Version {
			return fmt.Errorf("record of %s: %w: its head is version %d of %s", p.c.Name, bundle.ErrCorrupt, p.head.Version, p.head.Course)
		}
	}
	if p.head != nil {
		p.claims.take(p.head.Settings.Folder, p.c.Name)
	}
	p.out.Version, p.out.Commit = rec.Version, rec.Commit
	return nil
}

// mayPublish refuses where another syncer came with a newer configuration: so
// that the replicas of a roll-out do not undo each other's.
func (p *pass) mayPublish() error {
	if p.rec == nil || p.config == p.rec.Config || p.r.Take {
		return nil
	}
	for _, d := range p.rec.Superseded {
		if d == p.config {
			return refuse(Configuration, "another syncer published %s with a newer configuration (repository, branch or folder) than this one's, so this one publishes nothing for it. Bring this syncer's configuration up to date, or go back to it on purpose with `satchel publish %s --take-configuration`", p.c.Name, p.c.Name)
		}
	}
	return nil
}

// list asks the repository where the branch is.
func (p *pass) list(ctx context.Context) (err error) {
	if p.repo, err = p.repository(p.k, p.c); err != nil {
		return gone(err)
	}
	p.tip, err = p.repo.Tip(ctx)
	p.out.Tip = p.tip
	return gone(err)
}

// gone makes a refusal of what only the course's people can put right, in the
// repository.
func gone(err error) error {
	var e *source.Error
	if errors.As(err, &e) && (e.Kind == source.Branch || e.Kind == source.Folder || e.Kind == source.Empty) {
		return &Refusal{Cause: Gone, Sentence: e.Sentence}
	}
	return err
}

// asRecorded says whether there is nothing to publish: the same commit by the
// same configuration, or the course is pinned.
func (p *pass) asRecorded() bool {
	if p.head == nil || p.r.Rollback > 0 || p.r.Repair {
		return false
	}
	if pin := p.rec.Pinned; pin != nil && (p.r.Who == "" || pin.Tip == p.tip) {
		p.out.Pinned = true
		return true
	}
	return p.rec.Pinned == nil && p.rec.Commit == p.tip && p.rec.Config == p.config
}
