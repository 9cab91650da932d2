package workdir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"

	"satchel/bundle"
)

// Errors of Plan on which a caller decides.
var (
	// ErrOlder means: a lower version than was seen here, or the same number
	// with another content.
	ErrOlder = errors.New("an older version than this folder has seen")
	// ErrMismatch means: the manifests are not those that the head names.
	ErrMismatch = errors.New("the manifests are not those that the head names")
)

// Newest is the newest version as this student may see it. Its head's
// signature was checked by the caller.
type Newest struct {
	Head      *bundle.Head
	Envelope  *bundle.Envelope            // kept for the next time
	Manifests map[string]*bundle.Manifest // of this student's channels
	Left      []string                    // channels that are no longer this student's: every one that Manifests has not is taken as left
	Renamed   map[string]string           // new path to old, from bundle.Change.RenamedFrom; may be nil
	// Keys are those that are trusted now: a version that none of them signed
	// does not count as seen. None: all count.
	Keys []bundle.PublicKey
}

// HistoryFunc gets the history of a channel. It is asked only where a file
// lies that no base explains.
type HistoryFunc func(channel string) (bundle.History, error)

// Plan is what will be done, and which contents that needs.
type Plan struct {
	c         *Course
	newest    Newest
	version   bundle.Version
	actions   []Action
	facts     map[string]Fact
	withdrawn map[bundle.Pair]bool
	folder    string          // the course's folder now, or to be
	rename    string          // what it is to be renamed to
	step      map[string]bool // paths to look at; nil: all
	aside     bool            // something else stands at folder, and makes way
	over      bool            // there is no folder
	undo      bool            // it takes the last pass back, or does it again
	undone    bool            // of these two, the former
	partial   bool            // a restore, an undo: says nothing of the version as a whole
	how       How
	now       map[bundle.Digest]string // contents at hand outside the stage: a path of the tree, or "" for base bytes
	wanted    []bundle.Item
	events    []Event
	stays     bool // the folder's name is not the course's
	applied   bool
}

// Wanted gives the contents that are nowhere at hand, smallest first: neither
// staged, nor among the base bytes, nor in an untouched file.
func (p *Plan) Wanted() []bundle.Item { return p.wanted }

// Actions gives what was decided, for a dry run.
func (p *Plan) Actions() []Action { return p.actions }

// Empty says that there is nothing to do and nothing to say.
func (p *Plan) Empty() bool { return len(p.actions) == 0 && len(p.events) == 0 && p.rename == "" }

// Plan looks at the folder and decides. It first finishes what a run before
// left behind. Errors: ErrOlder, ErrMismatch, and what keeps everything from
// being looked at.
func (c *Course) Plan(ctx context.Context, n Newest, history HistoryFunc, how How) (*Plan, error) {
	if err := c.accept(n); err != nil {
		return nil, err
	}
	newest, err := n.union()
	if err != nil {
		return nil, err
	}
	p := &Plan{c: c, newest: n, version: n.Head.Version, withdrawn: n.withdrawn(), events: c.takeUntold()}
	p.how = how
	tree, err := p.find(n.Head.Settings.Folder)
	p.over = tree == nil
	if err != nil || p.folder == "" {
		return p, err
	}
	if tree != nil {
		defer tree.close()
	}
	if err := c.openArea(tree); err != nil {
		return nil, fmt.Errorf("open %s: %w", ownFolder, writable(err))
	}
	if how.Step && tree != nil && p.rename == "" && p.folder == c.rec.named.Folder && c.settled() {
		if p.step = c.changed(newest); p.startsOver(tree) {
			p.step = nil
		}
	}
	settled, err := c.settle(ctx, tree, p.version, newest, p.step, p.withdrawn)
	if err != nil {
		return nil, err
	}
	p.events = append(p.events, settled...)
	if err := p.look(ctx, tree, newest); err != nil {
		return nil, err
	}
	v := View{
		Last: c.rec.files, Newest: newest, Renamed: p.renamed(), Channels: map[string]bool{},
		Withdrawn: p.withdrawn, Disk: p.facts, Over: tree == nil, How: how, Now: c.home.now,
	}
	for id := range n.Manifests {
		v.Channels[id] = true
	}
	v.Stale = c.stale(ctx, tree, p.facts)
	v.Origin = c.origins(ctx, tree, v, n, history)
	p.actions = Compare(v)
	err = p.supply(ctx, false)
	if err == nil && p.fresh(tree) {
		if err := c.stage.beginFresh(p.actions); err != nil {
			c.home.lg.Info("the folder comes path by path", "course", c.name, "reason", err)
		}
	}
	return p, err
}

// renamed gives the publisher's hints, and those of an update before that
// waits until now.
func (p *Plan) renamed() map[string]string {
	out := maps.Clone(p.newest.Renamed)
	if out == nil {
		out = map[string]string{}
	}
	known := p.c.rec.latest()
	if known == nil {
		return out
	}
	for q, old := range known.Renamed {
		if out[q] == "" {
			out[q] = old
		}
	}
	for q, from := range p.newest.Renamed {
		if old := known.Renamed[from]; old != "" && p.c.rec.files[from] == nil {
			out[q] = old
		}
	}
	return out
}

// accept refuses a head that goes backwards and manifests that are not its
// own, and remembers the highest.
func (c *Course) accept(n Newest) error {
	if err := c.check(n); err != nil {
		return err
	}
	return c.rise(n)
}

// acceptKnown accepts also what is here: a newer version may have been seen of
// which nothing came.
func (c *Course) acceptKnown(n Newest) error {
	if err := c.check(n); err != nil {
		return err
	}
	if k := c.rec.latest(); k != nil && k.Version == n.Head.Version && k.Fingerprint == n.Head.Fingerprint() {
		return nil
	}
	return c.rise(n)
}

// check looks whether a head and manifests are what they say.
func (c *Course) check(n Newest) error {
	if c.home.look {
		return errors.New("plan: opened for reading only")
	}
	if n.Head == nil {
		return errors.New("plan: no head")
	}
	if err := n.Head.Check(); err != nil {
		return err
	}
	if n.Head.Course != c.name {
		return fmt.Errorf("head of the course %.80q: %w", n.Head.Course, ErrMismatch)
	}
	for id, m := range n.Manifests {
		if want, ok := n.Head.Channel(id); !ok || m.Digest() != want {
			return fmt.Errorf("channel %s: %w", id, ErrMismatch)
		}
		if err := m.Check(); err != nil {
			return fmt.Errorf("channel %s: %w", id, err)
		}
	}
	return nil
}

// union is all channels as one tree.
func (n Newest) union() (map[string]Delivery, error) {
	out := map[string]Delivery{}
	for _, id := range sortedKeys(n.Manifests) {
		for _, f := range n.Manifests[id].Files {
			if other, ok := out[f.Path]; ok {
				return nil, fmt.Errorf("%q comes by two channels, %s and %s: %w", f.Path, other.Channel, id, ErrMismatch)
			}
			out[f.Path] = Delivery{f, id}
		}
	}
	if bad := bundle.CheckTree(sortedKeys(out)); len(bad) > 0 {
		return nil, fmt.Errorf("%w: %w", bad[0], ErrMismatch)
	}
	return out, nil
}

func (n Newest) withdrawn() map[bundle.Pair]bool {
	out := map[bundle.Pair]bool{}
	for _, m := range n.Manifests {
		for _, w := range m.Withdrawn {
			out[w] = true
		}
	}
	return out
}

// find finds the course's folder and what is to become of its name. A plan
// without a folder does nothing but tell why. Where the folder is gone, or
// something else has its name, the student starts over.
func (p *Plan) find(want string) (*dir, error) {
	c := p.c
	p.folder = cmp.Or(c.rec.named.Folder, want)
	tree, err := c.tree(p.folder)
	if c.name == notesName {
		return tree, err
	}
	var blocked *blockedError
	if p.folder != want && tree == nil && (err == nil || errors.As(err, &blocked)) {
		p.folder = want // started over, under the new name
		tree, err = c.tree(want)
	}
	switch {
	case errors.As(err, &blocked):
		p.makeWay()
		return nil, nil
	case err != nil || tree == nil || p.folder == want:
		return tree, err
	}
	if s, err := c.home.top.stat(want); err == nil && s.Kind == Nothing {
		if p.how.starts() {
			p.rename = want
		}
	} else if p.stays = true; c.rec.named.Wanted != want {
		p.events = append(p.events, Event{Kind: FolderStays, Path: p.folder, Other: want, Outside: true})
	}
	return tree, nil
}

// makeWay deals with what has the name of the course's folder and is none. A
// new folder comes at once; where there was one, the student put a link or a
// file in its place, and may be working through it: that waits for a start.
func (p *Plan) makeWay() {
	if p.c.rec.named.Folder == "" || p.how.starts() {
		p.aside = true
		return
	}
	p.events = append(p.events, Event{Kind: Failed, Path: p.folder, Outside: true, Reason: ReasonNoFolder})
	p.folder = ""
}

// look gathers the facts of all paths of base and newest.
func (p *Plan) look(ctx context.Context, tree *dir, newest map[string]Delivery) (err error) {
	all := p.step
	if all == nil {
		all = map[string]bool{}
		for path := range newest {
			all[path] = true
		}
		for path := range p.c.rec.files {
			all[path] = true
		}
	}
	p.facts, err = p.c.look(ctx, tree, sortedKeys(all))
	if tree == nil || p.folder == p.c.rec.named.Folder || p.c.name == notesName {
		return err
	}
	for path, f := range p.facts { // another folder than the one that is gone
		f.Gone = f.Kind == Nothing
		p.facts[path] = f
	}
	return err
}

// startsOver says that a folder is gone in which the course had files: what is
// placed there would hide that.
func (p *Plan) startsOver(tree *dir) bool {
	had, gone := map[string]bool{}, map[string]bool{}
	for path := range p.c.rec.files {
		for f, _ := split(path); f != "" && !had[f]; f, _ = split(f) {
			had[f] = true
		}
	}
	for path := range p.step {
		for f, _ := split(path); f != ""; f, _ = split(f) {
			if !had[f] {
				continue
			}
			is, seen := gone[f]
			if !seen {
				d, err := tree.descend(f, nil)
				if err == nil {
					d.close()
				}
				is = err != nil
				gone[f] = is
			}
			if is {
				return true
			}
		}
	}
	return false
}

// settled says that all of a version is in place, as far as is known without
// a look at the files.
func (c *Course) settled() bool {
	for _, h := range c.rec.holds {
		if !h.Done {
			return false
		}
	}
	return c.rec.applied != nil && c.rec.begun == nil && len(c.rec.applied.Waiting) == 0
}

// changed gives the paths at which the newest version is not what was last
// handled, and those that had the same contents.
func (c *Course) changed(newest map[string]Delivery) map[string]bool {
	out, sums := map[string]bool{}, map[bundle.Digest]bool{}
	for path, n := range newest {
		if e := c.rec.files[path]; e == nil || e.Held.held() || !e.Asleep.IsZero() || e.Channel != n.Channel || e.file() != n.File {
			out[path], sums[n.Digest] = true, true
		}
	}
	for path, e := range c.rec.files {
		if _, still := newest[path]; !still || sums[e.Digest] {
			out[path] = true
		}
	}
	return out
}

// supply finds out which contents the actions need and which of them are at
// hand.
func (p *Plan) supply(ctx context.Context, keep bool) error {
	need, merging := map[bundle.Digest]int64{}, map[bundle.Digest]mayMerge{}
	for i := range p.actions {
		if a := &p.actions[i]; a.theirs() {
			need[a.File.Digest] = a.File.Size
			if mergeable(a.File.Path, a.File.Size) {
				merging[a.File.Digest] = max(merging[a.File.Digest], mergesAs(a.File.Path))
			}
		}
	}
	if err := p.c.openStage(ctx, need, keep); err != nil {
		return fmt.Errorf("open %s/%s: %w", ownFolder, stageName, writable(err))
	}
	p.c.stage.merging = merging
	p.now = map[bundle.Digest]string{}
	onDisk := map[bundle.Digest]string{}
	for path, f := range p.facts {
		if f.Kind == Regular && f.Err == nil && !f.blocked(path) {
			onDisk[f.Digest] = path
		}
	}
	base := p.c.openBase()
	if base != nil {
		defer base.close()
	}
	for _, item := range p.c.stage.missing() {
		if path, ok := onDisk[item.Digest]; ok {
			p.now[item.Digest] = path
		} else if base.holds(item.Digest) {
			p.now[item.Digest] = ""
		} else {
			p.wanted = append(p.wanted, item)
		}
	}
	p.wanted = p.c.stage.mayFit(p.wanted)
	return nil
}
