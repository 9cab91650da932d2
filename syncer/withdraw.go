package syncer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"satchel/bundle"
	"satchel/course"
	"satchel/store"
)

// Withdrawal is what a withdrawal takes back, or took.
type Withdrawal struct {
	Course  string         `json:"course"`
	Pairs   []bundle.Pair  `json:"pairs"`   // path and content
	Listed  bundle.Digest  `json:"listed"`  // of the pairs, for who confirms just these
	Version bundle.Version `json:"version"` // the newest now
	Done    bool           `json:"done"`    // else it is only the list
	Deleted int            `json:"deleted"` // objects that held one of the contents
	// Servers are the hookservers that give out a version without it;
	// Unconfirmed those that are there and did not say so in time.
	Servers     []string `json:"servers,omitempty"`
	Unconfirmed []string `json:"unconfirmed,omitempty"`
	// Silent are those that were there within a day and were not heard of for some
	// minutes: where one still runs, cut off from the store, it goes on with what
	// it has. They are not waited for.
	Silent []SilentServer `json:"silent,omitempty"`
}

// SilentServer is a hookserver that stopped saying that it is there.
type SilentServer struct {
	ID    string    `json:"id"`
	Heard time.Time `json:"heard"` // last
}

// Withdraw takes contents back: path's, or what came in with a version. Where
// confirm is not set it only says which. Else, in this order: the log entry
// and this syncer's own folder, so that a store brought back from an older
// backup learns of it again; the record, with a new version without them; the
// objects that hold them. Nothing is read of the repository.
func (s *Syncer) Withdraw(ctx context.Context, c *course.Course, cmd Command) (Withdrawal, error) {
	k, release, err := s.hold(ctx, c.Name)
	if err != nil {
		return Withdrawal{Course: string(c.Name)}, err
	}
	defer release()
	p := &pass{Syncer: s, k: k, c: c, r: Request{Course: cmd.Course, Who: cmd.Who, Why: cmd.Why}, config: c.Digest(), began: s.o.Now()}
	p.st = metered{s.st, &p.out.Stats, new(bool)}
	p.out.Course = string(c.Name)
	w := Withdrawal{Course: string(c.Name)}
	for try := 1; ; try++ {
		err := p.overtaken(ctx, p.withdraw(ctx, cmd, &w))
		if errors.Is(err, store.ErrChanged) && try < maxTries {
			if err := s.wait(ctx, try); err != nil {
				return w, err
			}
			continue
		}
		if err != nil {
			return w, p.broken(cmd, w, err)
		}
		break
	}
	w.Version = p.out.Version
	if !cmd.Confirm || len(w.Pairs) == 0 {
		return w, nil
	}
	w.Done = true
	if s.o.Published != nil {
		s.o.Published()
	}
	w.Deleted, err = p.deleteWithdrawn(ctx)
	s.board.decided(p)
	p.waitForServers(ctx, &w)
	if err != nil {
		return w, fmt.Errorf("withdraw from %s: it is done, but objects that hold it remain in the store, and are deleted as soon as that works: %w", c.Name, err)
	}
	return w, nil
}

// broken is why a withdrawal was not done. Where it was written down, the next
// pass does what is owed.
func (p *pass) broken(cmd Command, w Withdrawal, err error) error {
	if !cmd.Confirm || len(w.Pairs) == 0 {
		return fmt.Errorf("withdraw from %s: %w", p.c.Name, err)
	}
	p.k.repaid.Store(0)
	return fmt.Errorf("withdraw from %s: not done yet; this syncer's next look at the course tries again: %w", p.c.Name, err)
}

// withdraw is one try.
func (p *pass) withdraw(ctx context.Context, cmd Command, w *Withdrawal) error {
	if err := p.read(ctx); err != nil {
		return err
	}
	if err := p.ours(); err != nil {
		return err // before anything is written down
	}
	p.settleLog(ctx)
	if p.head == nil {
		return refuse(Gone, "nothing was published of %s yet, so there is nothing to take back", p.c.Name)
	}
	before, err := p.compose(ctx)
	if err != nil {
		return err
	}
	if w.Pairs == nil { // decided once: a second try takes back the same
		pairs, err := p.toWithdraw(ctx, before, cmd)
		if err != nil {
			return err
		}
		digest := listed(pairs)
		if cmd.Confirm && !cmd.Listed.IsZero() && cmd.Listed != digest {
			return refuse(Unclear, "what would be taken back of %s changed meanwhile, so nothing was taken back; look again: the same command lists it", p.c.Name)
		}
		if w.Pairs, w.Listed = pairs, digest; !cmd.Confirm {
			return nil
		}
		if err := p.rememberWithdrawn(ctx, cmd, w.Pairs); err != nil {
			return err
		}
	}
	if len(merged(p.rec.Withdrawn, w.Pairs)) == len(merged(p.rec.Withdrawn, nil)) {
		return nil // somebody else took back the same, or did what was written down
	}
	return p.takeBack(ctx, before, w.Pairs)
}

// toWithdraw lists what is meant: of a path what is delivered now (where it is
// gone, all that ever was), of a version what came in with it.
func (p *pass) toWithdraw(ctx context.Context, before []former, cmd Command) (pairs []bundle.Pair, err error) {
	have := map[bundle.Pair]bool{}
	add := func(path string, d bundle.Digest) { have[bundle.Pair{Path: path, Digest: d}] = true }
	switch {
	case cmd.Path != "":
		p.pairsOfPath(before, cmd.Path, add)
	default:
		if err := p.pairsOfVersion(ctx, cmd.Version, add); err != nil {
			return nil, err
		}
	}
	for _, old := range p.rec.Withdrawn {
		delete(have, old)
	}
	for pair := range have {
		pairs = append(pairs, pair)
	}
	slices.SortFunc(pairs, comparePairs)
	if len(pairs) == 0 {
		return nil, refuse(Gone, "there is nothing to take back: %s has no such path or version, or it was taken back already. `satchel log %s` lists versions", p.c.Name, p.c.Name)
	}
	return pairs, nil
}

// pairsOfPath takes a file, or all below a folder.
func (p *pass) pairsOfPath(before []former, path string, add func(string, bundle.Digest)) {
	path = strings.Trim(path, "/")
	is := func(name string) bool { return name == path || strings.HasPrefix(name, path+"/") }
	now := map[string]bool{}
	for _, f := range before {
		for _, file := range f.manifest.Files {
			if is(file.Path) {
				now[file.Path] = true
				add(file.Path, file.Digest)
			}
		}
	}
	for _, f := range before {
		for _, w := range f.history {
			if is(w.Path) && !now[w.Path] {
				add(w.Path, w.Digest)
			}
		}
	}
}

// pairsOfVersion takes what the steps to that version brought: not what only
// changed its mode or policy with it.
func (p *pass) pairsOfVersion(ctx context.Context, v bundle.Version, add func(string, bundle.Digest)) error {
	for _, ch := range p.rec.Channels {
		ref, ok := stepTo(ch, v)
		if !ok {
			continue
		}
		x, err := readIndex(ctx, p.st, p.rec.Course, ch.ID, ref)
		if err != nil {
			return err
		}
		before, err := p.manifestBefore(ctx, ch, ref)
		if err != nil {
			return err
		}
		for _, c := range x.Changes.Set {
			if had, ok := before.Find(c.Path); !ok || had.Digest != c.Digest {
				add(c.Path, c.Digest)
			}
		}
	}
	return nil
}

// manifestBefore is the manifest that a step goes on from; empty where the
// bundles that the record names do not lead there: then all that the step sets
// is taken for new.
func (p *pass) manifestBefore(ctx context.Context, ch store.Channel, step store.BundleRef) (*bundle.Manifest, error) {
	none := &bundle.Manifest{}
	ch.Since = step.From
	refs, ok := chain(ch, 0)
	if step.From == 0 || !ok {
		return none, nil
	}
	steps, err := p.steps(ctx, ch, refs)
	if err != nil {
		return nil, err
	}
	m, err := bundle.Compose(nil, steps...)
	if err != nil {
		p.lg.Warn("what was before a version is not known", "course", p.c.Name, "version", step.To, "error", err)
		return none, nil
	}
	return m, nil
}

// stepTo is the bundle that leads to a version: from the one before it, or,
// of a channel's first version, from nothing. A full bundle of a later one does
// not tell what came in with that.
func stepTo(ch store.Channel, v bundle.Version) (first store.BundleRef, ok bool) {
	for _, r := range ch.Bundles { // sorted by From
		switch {
		case r.To == v && r.From > 0:
			return r, true
		case r.To == v && v == 1:
			first, ok = r, true
		}
	}
	return first, ok
}

// listed is the digest of a list, which is sorted.
func listed(pairs []bundle.Pair) bundle.Digest {
	var text []byte
	for _, w := range pairs {
		text = fmt.Appendf(text, "%d:%s%s", len(w.Path), w.Path, w.Digest)
	}
	return bundle.Sum(text)
}

func comparePairs(a, b bundle.Pair) int {
	if c := strings.Compare(a.Path, b.Path); c != 0 {
		return c
	}
	return slices.Compare(a.Digest[:], b.Digest[:])
}

// takeBack swaps in the record and a version without the pairs. Bundles that
// hold their contents are replaced by ones that do not.
func (p *pass) takeBack(ctx context.Context, before []former, pairs []bundle.Pair) error {
	all := merged(p.rec.Withdrawn, pairs)
	var now []audience
	for _, f := range before {
		now = append(now, audience{groups: f.Groups, users: f.Users, files: f.manifest.Files})
	}
	chs := nextChannels(before, now, facts{withdrawn: all}, p.newID)
	on, err := p.newShelf()
	if err != nil {
		return err
	}
	defer on.discard()
	p.from, p.tip = p.rec.Commit, p.rec.Commit
	version := p.rec.Version + 1
	var delivered []composed
	for i := range chs {
		if err := p.writeStep(ctx, on, version, &chs[i], nothing{}, nil); err != nil {
			return err
		}
		delivered = append(delivered, chs[i].next)
	}
	published, err := publishTime(p.o.Now(), p.head.Published)
	if err != nil {
		return err
	}
	pinned := p.rec.Pinned
	rec := p.nextRecord(version, chs)
	rec.Pinned, rec.Withdrawn = pinned, all
	rec.Config, rec.Superseded, rec.Confirmed = p.rec.Config, p.rec.Superseded, p.rec.Confirmed // of what is published, which this does not change
	if err := p.replaceHolding(ctx, on, rec, goneContents(all, delivered)); err != nil {
		return err
	}
	h := *p.head
	h.Version, h.Published, h.Checked, h.Channels = version, published, published, nil
	for _, ch := range chs {
		h.Channels = append(h.Channels, bundle.ChannelAt{ID: ch.id, Manifest: ch.next.manifest.Digest()})
	}
	if err := errors.Join(p.lookUp(ctx, on), p.logFormer(ctx)); err != nil {
		return err
	}
	p.pend(rec, &h, chs, 0)
	if err := p.swap(ctx, rec, &h); err != nil {
		if *p.st.lost {
			p.k.pending = nil
		}
		return err
	}
	p.published(ctx, chs)
	p.putAgain(ctx, on)
	return nil
}

// confirmTime is how long a withdrawal waits for the hookservers.
const confirmTime = 10 * time.Second

// waitForServers waits until each hookserver that is there gives out the
// version without what was taken back, and tells which do, and which may be
// there though they are silent.
func (p *pass) waitForServers(ctx context.Context, w *Withdrawal) {
	ctx, cancel := context.WithTimeout(ctx, confirmTime)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		all, silent, err := store.PresencesAndSilent(ctx, p.st, p.o.Now())
		if err == nil {
			w.Servers, w.Unconfirmed, w.Silent = nil, nil, nil
			for _, s := range silent {
				w.Silent = append(w.Silent, SilentServer{s.ID, s.Heard})
			}
			for _, s := range all {
				if s.Courses[string(p.c.Name)] >= w.Version {
					w.Servers = append(w.Servers, s.ID)
				} else {
					w.Unconfirmed = append(w.Unconfirmed, s.ID)
				}
			}
			if len(w.Unconfirmed) == 0 {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// replaceHolding puts, for each bundle that the record names and that holds
// one of the contents, one that does not.
func (p *pass) replaceHolding(ctx context.Context, on *shelf, rec *store.Record, gone map[bundle.Digest]bool) error {
	for i := range rec.Channels {
		ch := &rec.Channels[i]
		ch.Bundles = slices.Clone(ch.Bundles)
		for j, ref := range ch.Bundles {
			if slices.ContainsFunc(on.built, func(b *bundle.Built) bool { return b.Digest == ref.Digest }) {
				continue // of this very version
			}
			x, err := readIndex(ctx, p.st, rec.Course, ch.ID, ref)
			if err != nil {
				return err
			}
			if !x.Holds(gone) {
				continue
			}
			made, err := bundle.Without(ctx, on.dir, bundle.Stored{Index: x, Open: p.opener(ref)}, gone)
			if err != nil {
				return err
			}
			if ch.Bundles[j], err = p.put(ctx, on, ref.From, made); err != nil {
				return err
			}
		}
	}
	return nil
}

// nothing is a tree without any file.
type nothing struct{}

func (nothing) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}
