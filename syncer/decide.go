package syncer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"satchel/bundle"
	"satchel/course"
	"satchel/store"
)

// What people decide about a course stands in its record, and is moved by the
// same compare-and-swap as a version: so it works from any syncer, happens
// once, and outlives all of them.

// maxRollback is how far back a rollback goes, in versions.
const maxRollback = 20

// Command is a person's decision.
type Command struct {
	Course string `json:"course"`
	Who    string `json:"who"`
	Why    string `json:"why,omitempty"`
	// Version is that of a rollback or a withdrawal.
	Version bundle.Version `json:"version,omitempty"`
	// Path is a file or folder, of a withdrawal; Confirm does it, and does not
	// only list it.
	Path    string `json:"path,omitempty"`
	Confirm bool   `json:"confirm,omitempty"`
	// Listed is the digest of the list that somebody confirmed (Withdrawal):
	// nothing else is taken back. Zero: whatever it is by now.
	Listed bundle.Digest `json:"listed,omitzero"`
}

// check refuses what cannot be written down.
func (c *Command) check() error {
	c.Who = strings.ToValidUTF8(strings.TrimSpace(c.Who), "?")
	c.Why = strings.ToValidUTF8(strings.TrimSpace(c.Why), "?")
	switch {
	case c.Who == "" || len(c.Who) > 200:
		return errors.New("the command must say who asks, in at most 200 bytes")
	case len(c.Why) > 1000:
		return errors.New("the reason is longer than 1,000 bytes")
	case len(c.Path) > bundle.MaxPath || !utf8.ValidString(c.Path):
		return errors.New("that is no path of a course")
	case c.Version < 0 || c.Version > bundle.MaxVersion:
		return errors.New("that is no version")
	}
	return nil
}

// Pause stops giving anything new to students, until Resume: the hookservers
// see it in the record. A course that is paused already stays so, by whoever
// paused it first.
func (s *Syncer) Pause(ctx context.Context, c *course.Course, cmd Command) (Outcome, error) {
	return s.decide(ctx, c, "pause", cmd, func(p *pass, d store.Decision) (*store.Record, error) {
		if p.rec != nil && p.rec.Paused != nil {
			return nil, nil
		}
		rec := p.decided()
		rec.Paused = &d
		return rec, nil
	})
}

// Resume ends a pause and a rollback's pin, and publishes what the repository
// has now.
func (s *Syncer) Resume(ctx context.Context, c *course.Course, cmd Command) (Outcome, error) {
	out, err := s.decide(ctx, c, "resume", cmd, func(p *pass, _ store.Decision) (*store.Record, error) {
		if p.rec == nil || p.rec.Paused == nil && p.rec.Pinned == nil {
			return nil, nil
		}
		rec := p.decided()
		rec.Paused, rec.Pinned = nil, nil
		return rec, nil
	})
	if err != nil {
		return out, err
	}
	after, err := s.Sync(ctx, c, Request{Course: cmd.Course, Who: cmd.Who})
	after.Decided = out.Decided
	if err == nil || !out.Decided {
		return after, err
	}
	const but = "it is resumed, but: "
	if r := isRefusal(err); r != nil {
		told := *r
		told.Sentence = but + r.Sentence
		return after, &told
	}
	return after, fmt.Errorf(but+"%w", err)
}

// decide swaps in a record that make gives (nil: it stands so already), and
// logs the command.
func (s *Syncer) decide(ctx context.Context, c *course.Course, action string, cmd Command, make func(*pass, store.Decision) (*store.Record, error)) (Outcome, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, abandonAfter, errAbandoned)
	defer cancel()
	k, release, err := s.hold(ctx, c.Name)
	if err != nil {
		return Outcome{Course: string(c.Name)}, err
	}
	defer release()
	p := &pass{Syncer: s, k: k, c: c, r: Request{Course: cmd.Course, Who: cmd.Who}, config: c.Digest(), began: s.o.Now()}
	p.st = metered{s.st, &p.out.Stats, new(bool)}
	p.out.Course = string(c.Name)
	d := store.Decision{Time: s.o.Now().UTC(), Who: cmd.Who, Why: cmd.Why}
	unheard := false // a swap was tried whose answer is not known
	for try := 1; ; try++ {
		p.out.Stats.Tries = try
		if err := p.read(ctx); err != nil {
			return p.out, fmt.Errorf("%s %s: %w", action, c.Name, err)
		}
		if err := p.mayPublish(); err != nil {
			return p.out, err
		}
		rec, err := make(p, d)
		if err == nil && rec == nil && unheard {
			break // it landed, and somebody went on from it
		}
		if err != nil || rec == nil {
			return p.out, err
		}
		err = p.swap(ctx, rec, p.head)
		unheard = unheard || !*p.st.lost
		if errors.Is(err, store.ErrChanged) && try < maxTries {
			if err := s.wait(ctx, try); err != nil {
				return p.out, err
			}
			continue
		}
		if err != nil {
			return p.out, fmt.Errorf("%s %s: %w", action, c.Name, err)
		}
		break
	}
	p.out.Decided = true
	p.lg.Info(action, "course", c.Name, "who", cmd.Who)
	p.enter(ctx, p.newID(), store.Entry{Time: d.Time, Action: action, Who: cmd.Who, Why: cmd.Why, Version: p.out.Version, Bundles: p.rec.Named()})
	s.board.decided(p)
	if s.o.Published != nil {
		s.o.Published()
	}
	return p.out, nil
}

// decided is the record for a decision: as it is, or a first one of a course
// that has published nothing.
func (p *pass) decided() *store.Record {
	if p.rec == nil {
		return &store.Record{Format: store.RecordFormat, Course: string(p.c.Name), Config: p.config, Publish: p.newID()}
	}
	return p.same()
}

// Rollback publishes the content of a former version as a new one, and pins
// the course to it: pushes wait until the branch has moved and somebody says
// publish, or resume. Today's rules hold, and what was withdrawn stays out.
func (s *Syncer) Rollback(ctx context.Context, c *course.Course, cmd Command) (Outcome, error) {
	return s.Sync(ctx, c, Request{Course: cmd.Course, Who: cmd.Who, Why: cmd.Why, Rollback: cmd.Version})
}

// commitOf finds what a version was made of, for a rollback.
func (p *pass) commitOf(ctx context.Context, v bundle.Version) (string, error) {
	if p.head == nil {
		return "", refuse(Gone, "nothing was published of %s yet, so there is nothing to go back to", p.c.Name)
	}
	if p.rec.Version == 1 {
		return "", refuse(Gone, "%s has version 1 alone, so there is nothing to go back to", p.c.Name)
	}
	if v >= p.rec.Version || v < max(1, p.rec.Version-maxRollback) {
		return "", refuse(Gone, "%s has version %d; a rollback goes to one of the %d before it, %d to %d", p.c.Name, p.rec.Version, maxRollback, max(1, p.rec.Version-maxRollback), p.rec.Version-1)
	}
	e, err := p.entryOf(ctx, v)
	return e.Commit, err
}

// entryOf is a version's publish, in the log, which is read once in a pass.
func (p *pass) entryOf(ctx context.Context, v bundle.Version) (store.Entry, error) {
	var err error
	if p.publishes == nil {
		var entries []store.Entry
		entries, err = store.Entries(ctx, p.st, string(p.c.Name), logMost)
		p.publishes = map[bundle.Version]store.Entry{}
		for _, e := range slices.Backward(entries) {
			if e.Action == "publish" && e.Commit != "" {
				p.publishes[e.Version] = e
			}
		}
	}
	if e, ok := p.publishes[v]; ok {
		return e, nil
	}
	if err != nil {
		p.publishes = nil
		return store.Entry{}, fmt.Errorf("the log of %s: %w", p.c.Name, err)
	}
	return store.Entry{}, refuse(Gone, "the log of %s does not say of which commit version %d was; if it was published a moment ago, try again", p.c.Name, v)
}

// ruledBy is a tree with the rules of another, closed together.
type ruledBy struct{ was, now tree }

// of is the tree that a name is of.
func (r ruledBy) of(name string) tree {
	if name == course.RulesFile {
		return r.now
	}
	return r.was
}

func (r ruledBy) Open(name string) (fs.File, error)      { return r.of(name).Open(name) }
func (r ruledBy) Stat(name string) (fs.FileInfo, error)  { return fs.Stat(r.of(name), name) }
func (r ruledBy) Lstat(name string) (fs.FileInfo, error) { return fs.Lstat(r.of(name), name) }
func (r ruledBy) ReadLink(name string) (string, error)   { return fs.ReadLink(r.of(name), name) }
func (r ruledBy) Before(commit string) (fs.FS, error)    { return r.was.Before(commit) }
func (r ruledBy) Close() error                           { return errors.Join(r.was.Close(), r.now.Close()) }

// ReadDir leaves out a file of rules that there is no longer: a rollback has
// none then.
func (r ruledBy) ReadDir(name string) ([]fs.DirEntry, error) {
	all, err := fs.ReadDir(r.was, name)
	if name != "." || err != nil {
		return all, err
	}
	if _, err := fs.Lstat(r.now, course.RulesFile); !errors.Is(err, fs.ErrNotExist) {
		return all, err
	}
	return slices.DeleteFunc(all, func(e fs.DirEntry) bool { return e.Name() == course.RulesFile }), nil
}

func (r ruledBy) Past(ctx context.Context, most int) iter.Seq2[fs.FS, error] {
	return r.was.Past(ctx, most)
}
