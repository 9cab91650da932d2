package syncer

import (
	"context"
	"io/fs"
	"slices"
	"time"

	"satchel/bundle"
	"satchel/course"
	"satchel/store"
)

// publish brings the record to the branch's tip: with a new version where
// something differs, else by noting the commit.
func (p *pass) publish(ctx context.Context) error {
	var t tree
	err := p.timed("fetch", func() (err error) { t, err = p.open(ctx); return err })
	if err != nil {
		return gone(err)
	}
	defer t.Close()
	release, err := p.working(ctx)
	if err != nil {
		return err
	}
	defer release()
	var sel *course.Selection
	if err := p.timed("select", func() (err error) { sel, err = p.selectFiles(ctx, t); return err }); err != nil {
		return err
	}
	var before []former
	if err := p.timed("compose", func() (err error) { before, err = p.compose(ctx); return err }); err != nil {
		return err
	}
	now := channelsOf(sel, p.c)
	var past map[string][]bundle.Former
	_ = p.timed("past", func() error { past = p.past(ctx, t, before, now); return nil })
	chs := nextChannels(before, now, facts{sel.Forms, past, p.withdrawn()}, p.newID)
	if err := p.checkFolder(sel); err != nil {
		return err
	}
	if err := p.check(chs); err != nil {
		return err
	}
	if p.differs(chs, sel) {
		return p.newVersion(ctx, t, chs, sel)
	}
	return p.noteCommit(ctx)
}

// open opens what is published.
func (p *pass) open(ctx context.Context) (tree, error) {
	if p.r.Rollback > 0 {
		return p.rolledBack(ctx, p.from)
	}
	return p.repo.At(ctx, p.from)
}

// selectFiles asks package course what is delivered. What stops the publish
// is the refusal.
func (p *pass) selectFiles(ctx context.Context, t tree) (*course.Selection, error) {
	memo, err := p.memory(p.k, p.c.Name)
	if err != nil {
		return nil, err
	}
	sel, err := course.Select(ctx, counting{t, &p.reads}, memo)
	if err != nil {
		return nil, err
	}
	if err := memo.Save(); err != nil {
		p.lg.Warn("all files are read again after a restart", "course", p.c.Name, "error", err)
	}
	p.selected, p.out.Notes = true, sel.Notes()
	if p.aside != "" {
		p.out.Notes = append([]string{p.aside}, p.out.Notes...)
	}
	if len(sel.Stops) > 0 {
		r := refuse(Content, "nothing was published of commit %.12s; the last good version stays", p.from)
		r.Commit, r.Findings, r.passing = p.from, sel.Stops, sel.Away
		return nil, r
	}
	if len(sel.Files) == 0 {
		r := refuse(Empty, "commit %.12s has no file to deliver, so nothing was published; put at least one file into the course's folder", p.from)
		r.Commit = p.from
		return nil, r
	}
	return sel, nil
}

func (p *pass) withdrawn() []bundle.Pair {
	if p.rec == nil {
		return p.lost
	}
	return merged(p.rec.Withdrawn, p.lost)
}

// check refuses manifests that no reader would take, and a shrinking that
// nobody confirmed.
func (p *pass) check(chs []channel) error {
	for _, ch := range chs {
		if err := ch.next.manifest.Check(); err != nil {
			return &Refusal{Cause: Content, Commit: p.tip, Sentence: "nothing was published: " + err.Error()}
		}
	}
	if r := shrinks(chs, p.c.Name, p.tip); r != nil && !p.confirmed() {
		return r
	}
	return nil
}

func (p *pass) confirmed() bool {
	if p.r.ConfirmShrink || p.r.Rollback > 0 || p.r.Repair {
		return true
	}
	return p.rec != nil && p.rec.Confirmed != nil && p.rec.Confirmed.Commit == p.tip
}

// differs says whether there is a new version: a manifest, a setting or the
// message is another.
func (p *pass) differs(chs []channel, sel *course.Selection) bool {
	if p.head == nil || p.r.Repair || p.head.Settings != settings(p.c, sel) || p.head.Message != sel.Rules.Message {
		return true
	}
	return slices.ContainsFunc(chs, func(c channel) bool { return c.changed })
}

func settings(c *course.Course, sel *course.Selection) bundle.Settings {
	folder := sel.Rules.FolderName
	if folder == "" {
		folder = string(c.Name)
	}
	return bundle.Settings{Folder: folder, Language: sel.Rules.Language, WhatIsNew: true}
}

// nextVersion is the one after the record's; of a repair, above all that are
// known. The log may know more because the record has just moved: then a
// bundle of that number would be taken for one by who knew that record.
func (p *pass) nextVersion(ctx context.Context) (bundle.Version, error) {
	next := bundle.Version(1)
	if p.rec != nil {
		next = p.rec.Version + 1
	}
	if !p.r.Repair {
		return next, nil
	}
	known, _ := p.newestKnown(ctx) // what cannot be read tells nothing
	known++
	if known <= next {
		return next, nil
	}
	moved, err := p.moved(ctx)
	if err == nil && moved {
		err = store.ErrChanged
	}
	return known, err
}

// newVersion builds and puts the bundles of the next version and swaps the
// record.
func (p *pass) newVersion(ctx context.Context, t tree, chs []channel, sel *course.Selection) error {
	version, err := p.nextVersion(ctx)
	if err != nil {
		return err
	}
	before := time.Time{}
	if p.head != nil {
		before = p.head.Published
	}
	if _, err := publishTime(p.o.Now(), before); err != nil {
		return err // before anything is built
	}
	was := p.before(t)
	_ = p.timed("build", func() error { p.findRenames(ctx, was, chs, sel); return nil })
	on, err := p.newShelf()
	if err != nil {
		return err
	}
	defer on.discard()
	steps, err := p.writeSteps(ctx, on, version, chs, sel, was)
	if err == nil {
		err = p.logFormer(ctx)
	}
	if err != nil {
		return err
	}
	published, err := publishTime(p.o.Now(), before)
	if err != nil {
		return err
	}
	rec, h := p.nextRecord(version, chs), p.nextHead(version, chs, sel, published)
	p.pend(rec, h, chs, sizeOf(steps))
	if err := p.swap(ctx, rec, h); err != nil {
		if *p.st.lost {
			p.k.pending = nil // else it may have landed: settleLog finds out
		}
		return err
	}
	if p.r.Repair {
		p.k.swept.Store(unswept)
		p.k.repaid.Store(0)
	}
	p.published(ctx, chs)
	p.putAgain(ctx, on)
	return nil
}

// writeSteps builds and puts one bundle for each changed channel, and looks
// them all up: after this, only the swap comes.
func (p *pass) writeSteps(ctx context.Context, on *shelf, version bundle.Version, chs []channel, sel *course.Selection, was fs.FS) (refs []store.BundleRef, err error) {
	for i := range chs {
		if err := p.writeStep(ctx, on, version, &chs[i], sel.FS(), was); err != nil {
			return nil, err
		}
		if chs[i].changed {
			refs = append(refs, chs[i].step)
		}
	}
	return refs, p.lookUp(ctx, on)
}

// writeStep builds and puts the bundle of one channel, where that changed.
func (p *pass) writeStep(ctx context.Context, on *shelf, version bundle.Version, ch *channel, files, was fs.FS) (err error) {
	ch.next.version = ch.former.version
	if !ch.changed {
		return nil
	}
	ch.next.version = version
	ch.step, err = p.writeBundle(ctx, on, files, bundle.Spec{
		Course: string(p.c.Name), Channel: ch.id, From: ch.former.version, To: version,
		Base: ch.former.manifest, Manifest: ch.next.manifest, Former: ch.added, Renamed: ch.renamed, Before: was,
	})
	return err
}

// pend notes what is owed to the log if the swap lands.
func (p *pass) pend(rec *store.Record, h *bundle.Head, chs []channel, size int64) {
	e := &pending{Entry: p.publishEntry(rec, h, size), publish: rec.Publish, of: p}
	for _, ch := range chs {
		if ch.changed {
			e.steps = append(e.steps, ch.step)
		}
	}
	e.counts[0], e.counts[1], e.counts[2] = counts(chs)
	p.k.pending = e
}

func sizeOf(refs []store.BundleRef) (n int64) {
	for _, r := range refs {
		n += r.Size
	}
	return n
}

// published remembers and reports a version that was swapped in.
func (p *pass) published(ctx context.Context, chs []channel) {
	p.k.former = make(map[string]composed, len(chs))
	for _, ch := range chs {
		p.k.former[ch.id] = ch.next
	}
	p.out.Published = true
	p.out.Added, p.out.Changed, p.out.Removed = counts(chs)
	p.lg.Info("published", "course", p.c.Name, "version", p.rec.Version, "commit", p.rec.Commit,
		"added", p.out.Added, "changed", p.out.Changed, "removed", p.out.Removed, "bytes", p.k.pending.Size)
	if e := p.k.pending; p.enter(ctx, store.VersionID(e.Version), e.Entry) {
		p.k.pending, p.k.entered = nil, e.Version
	}
	p.k.settled, p.k.said = true, ""
	if p.o.Published != nil {
		p.o.Published()
	}
}
