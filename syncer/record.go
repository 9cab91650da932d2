package syncer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"satchel/bundle"
	"satchel/course"
	"satchel/store"
)

// maxSuperseded is how many former configurations a record remembers.
const maxSuperseded = 256

func (p *pass) nextHead(version bundle.Version, chs []channel, sel *course.Selection, published time.Time) *bundle.Head {
	h := &bundle.Head{
		Format: bundle.HeadFormat, Course: string(p.c.Name), Version: version,
		Settings: settings(p.c, sel), Message: sel.Rules.Message, Published: published, Checked: published,
	}
	for _, ch := range chs {
		h.Channels = append(h.Channels, bundle.ChannelAt{ID: ch.id, Manifest: ch.next.manifest.Digest()})
	}
	return h
}

// nextRecord is the record of the next version, without its head.
func (p *pass) nextRecord(version bundle.Version, chs []channel) *store.Record {
	rec := p.noted()
	rec.Version = version
	rec.Channels = nil
	for _, ch := range chs {
		c := store.Channel{ID: ch.id, Groups: ch.groups, Users: ch.users, Since: ch.next.version}
		if was := p.channel(ch.id); was != nil && !p.r.Repair {
			c.Bundles = slices.Clone(was.Bundles)
		}
		if ch.changed {
			c.Bundles = append(c.Bundles, ch.step)
			sortRefs(c.Bundles)
		}
		rec.Channels = append(rec.Channels, c)
	}
	return rec
}

// noted is the record with what this pass decided, but no new version.
func (p *pass) noted() *store.Record {
	rec := &store.Record{Format: store.RecordFormat, Course: string(p.c.Name), Config: p.config}
	if p.rec != nil {
		r := *p.rec
		rec = &r
		rec.Pinned = nil
		if p.rec.Config != p.config {
			old := slices.DeleteFunc(slices.Clone(p.rec.Superseded), func(d bundle.Digest) bool { return d == p.config })
			old = append(old, p.rec.Config)
			rec.Superseded = old[max(0, len(old)-maxSuperseded):]
			rec.Config = p.config
		}
	}
	rec.Commit, rec.Publish = p.from, p.newID()
	rec.Withdrawn = p.withdrawn()
	if p.r.Rollback > 0 {
		rec.Pinned = &store.Pin{Decision: store.Decision{Time: p.o.Now().UTC(), Who: p.who(), Why: p.r.Why}, Version: p.r.Rollback, Tip: p.tip}
	}
	if p.r.ConfirmShrink {
		rec.Confirmed = &store.Confirmation{Decision: store.Decision{Time: p.o.Now().UTC(), Who: p.who()}, Commit: p.tip}
	}
	return rec
}

// noteCommit writes down a commit that changes nothing for students.
func (p *pass) noteCommit(ctx context.Context) error {
	if p.rec.Commit == p.from && p.rec.Config == p.config && p.rec.Pinned == nil && p.r.Rollback == 0 || p.pinnedAlready() {
		return nil
	}
	return p.swap(ctx, p.noted(), p.head)
}

// pinnedAlready says whether this very rollback is in the record: its swap
// landed, and the answer was lost.
func (p *pass) pinnedAlready() bool {
	pin := p.rec.Pinned
	return pin != nil && p.r.Rollback == pin.Version && p.who() == pin.Who && p.r.Why == pin.Why && p.tip == pin.Tip && !pin.Time.Before(p.began.UTC())
}

// channel gives the record's channel with this id.
func (p *pass) channel(id string) *store.Channel {
	if p.rec == nil {
		return nil
	}
	for i := range p.rec.Channels {
		if p.rec.Channels[i].ID == id {
			return &p.rec.Channels[i]
		}
	}
	return nil
}

// swap signs h, where it is another than the record's, and moves the record.
// Nothing is signed in the place of what is not ours, whoever asks.
// Afterwards the pass goes on from what it wrote.
func (p *pass) swap(ctx context.Context, rec *store.Record, h *bundle.Head) error {
	*p.st.lost = true // until it is tried
	if age := p.o.Now().Sub(p.began); age > abandonAfter || age < -maxSkew {
		return errAbandoned
	}
	if h != p.head {
		if err := p.ours(); err != nil {
			return err
		}
		env, err := bundle.Sign(h, p.o.Keys()...)
		if err != nil {
			return fmt.Errorf("sign version %d: %w", rec.Version, err)
		}
		rec.Head = env
	}
	err := p.timed("swap", func() error {
		tag, err := store.SwapRecord(ctx, p.st, rec, p.etag)
		if err == nil {
			p.etag = tag
		}
		return err
	})
	if err != nil {
		return err
	}
	p.rec, p.head = rec, h
	p.out.Version, p.out.Commit = rec.Version, rec.Commit
	return nil
}
