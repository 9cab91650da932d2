package workdir

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"satchel/bundle"
)

// batch is how many paths are done before their folders are brought to disk
// and they are recorded, all at once.
const batch = 256

// Apply does what can be done now of a plan. It goes path by path; what fails
// fails alone, is told as an Event, and is tried again by the next plan. The
// error is for what keeps everything from going on, the context's end among
// it; what was done until then is recorded, and stands in the Result. A plan
// is applied once.
func (c *Course) Apply(ctx context.Context, p *Plan) (*Result, error) {
	a := &applier{
		c: c, p: p, res: &Result{Version: p.version, Events: p.events}, left: map[bundle.Digest]int{},
		dirty: map[string]bool{}, undone: map[string]bool{}, ids: map[string]string{},
		channels: map[string]int{}, stays: p.stays, first: c.firstDelivery(p), based: map[bundle.Digest]bool{}, basing: newPool(hashers),
	}
	if p.applied {
		return nil, errors.New("apply: this plan was applied before")
	}
	p.applied = true
	for _, m := range p.newest.Manifests {
		a.res.Paths += len(m.Files)
	}
	if p.folder == "" {
		a.res.Events = p.events
		return a.res, nil
	}
	a.gather(ctx)
	for _, d := range c.finishPack() {
		a.based[d] = true
	}
	if err := a.open(); err != nil {
		return nil, fmt.Errorf("open the course's folder %s: %w", p.folder, writable(err))
	}
	defer a.close()
	if err := a.run(ctx); err != nil {
		return a.res, err
	}
	return a.res, a.finish()
}

// firstDelivery says whether p goes on with the first version that ever came.
func (c *Course) firstDelivery(p *Plan) bool {
	return !p.partial && c.rec.applied == nil && (c.rec.begun == nil || c.rec.begun.Version == p.version)
}

type applier struct {
	c        *Course
	p        *Plan
	res      *Result
	tree     *dir // nil: there is none, and nothing comes now
	hold     *dir
	ids      map[string]string      // path to hold
	left     map[bundle.Digest]int  // how many paths still need a content
	lines    []line                 // to be recorded once the folders are on disk
	dirty    map[string]bool        // folders to be brought to disk
	undone   map[string]bool        // paths that are not the newest yet
	placed   []*Entry               // freshly delivered, for the base bytes
	based    map[bundle.Digest]bool // of these they are kept already
	basing   pool
	channels map[string]int           // left channels, with their files
	outside  string                   // the folder for many copies; "" means: beside
	renamed  map[bundle.Digest]string // where the bytes of deleted files lie under another name
	first    bool                     // the first delivery goes on
	stays    bool                     // the folder keeps a name that is not the course's; said once
}

// gather brings to the stage what is at hand elsewhere, before anything that
// it may be copied from changes.
func (a *applier) gather(ctx context.Context) {
	s := a.c.stage
	tree, _ := a.c.tree(a.p.folder)
	if tree != nil {
		defer tree.close()
	}
	for _, item := range s.missing() {
		path, ok := a.p.now[item.Digest]
		if !ok || ctx.Err() != nil {
			continue
		}
		if err := a.fetch(tree, path, item); err != nil {
			a.c.home.lg.Info("not at hand any more", "course", a.c.name, "digest", item.Digest, "error", err)
		}
	}
	s.wait()
}

func (a *applier) fetch(tree *dir, path string, item bundle.Item) error {
	if path == "" {
		data, err := a.c.baseBytes(item.Digest)
		if err != nil {
			return err
		}
		return a.c.Stage(bundle.NewVerifier(bytes.NewReader(data), item))
	}
	if tree == nil {
		return fs.ErrNotExist
	}
	folder, name := split(path)
	d, err := tree.descend(folder, nil)
	if err != nil {
		return err
	}
	defer d.close()
	f, _, err := d.open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return a.c.Stage(bundle.NewVerifier(f, item))
}

// open opens the course's folder, renaming it, and the hold.
func (a *applier) open() (err error) {
	c, p := a.c, a.p
	top := c.home.top
	if a.hold, err = c.area.private(holdName); err != nil {
		return err
	}
	if p.aside {
		s, err := top.stat(p.folder)
		if err != nil {
			return err
		}
		to, err := a.carryAside(top, p.folder, s.Kind == Folder, "", func(string) error { return nil })
		if err != nil {
			return err
		}
		a.tell(Event{Kind: MovedAside, Path: p.folder, Other: to, Outside: true})
	}
	if p.rename != "" {
		a.renameFolder(top)
	}
	if a.tree, err = c.tree(p.folder); err != nil {
		return err
	}
	if a.tree == nil || p.comesLater() {
		return nil // run makes it
	}
	return a.name()
}

// makeTree makes the course's folder.
func (a *applier) makeTree() (err error) {
	top := a.c.home.top
	if err := top.mkdir(a.p.folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if a.tree, err = top.sub(a.p.folder); err != nil {
		return err
	}
	if err := top.sync(); err != nil {
		return err
	}
	return a.name()
}

// renameFolder renames the course's folder once; a name that was taken
// meanwhile stays taken.
func (a *applier) renameFolder(top *dir) {
	err := rename(top, a.p.folder, top, a.p.rename)
	if err == errNoReplace {
		err = moveFolder(top, a.p.folder, top, a.p.rename)
	}
	if err != nil {
		a.stays = true
		a.tell(Event{Kind: FolderStays, Path: a.p.folder, Other: a.p.rename, Outside: true})
		return
	}
	a.tell(Event{Kind: FolderRenamed, Path: a.p.rename, Other: a.p.folder, Outside: true})
	a.p.folder = a.p.rename
}

// name records the course's folder, after it is on disk.
func (a *applier) name() error {
	want := namedLine{Folder: a.p.folder}
	if a.stays && a.p.newest.Head != nil {
		want.Wanted = a.p.newest.Head.Settings.Folder
	}
	if a.c.rec.named == want || a.p.newest.Head == nil {
		return nil
	}
	if a.c.anchored { // else save does it
		if err := a.c.home.top.sync(); err != nil {
			return err
		}
	}
	return a.c.save(line{Named: &want})
}

func (a *applier) close() {
	a.basing.wait()
	for _, d := range []*dir{a.tree, a.hold} {
		if d != nil {
			d.close()
		}
	}
}

func (a *applier) tell(e Event) {
	a.res.Events = append(a.res.Events, e)
	if a.c.name != notesName {
		a.lines = append(a.lines, remembered(e)...)
	}
}

// run does all actions: first what only takes away or makes room, then the
// rest, which may need that room.
func (a *applier) run(ctx context.Context) error {
	for i := range a.p.actions {
		if act := &a.p.actions[i]; act.theirs() { // one that waits needs it too
			a.left[act.File.Digest]++
		}
	}
	if a.manyCopies(ctx) {
		a.outside = a.p.folder + " (" + courseSuffix(a.p.version) + ")"
	}
	if err := a.announce(); err != nil {
		return err
	}
	a.findRenamed(ctx)
	whole, err := a.placeFresh(ctx)
	if whole {
		err = a.name()
	} else if err == nil {
		err = a.comeBack()
	}
	if err != nil {
		return err
	}
	if whole {
		return a.flush(a.c.note)
	}
	for _, room := range []bool{true, false} {
		if err := a.pass(ctx, room); err != nil {
			return err
		}
		if err := a.flush(a.c.note); err != nil {
			return err
		}
		a.tidyFolders()
	}
	return a.flush(a.c.note)
}

// manyCopies says whether more copies will be laid beside than a student
// wants to see there. Only where that may be is merged to find out.
func (a *applier) manyCopies(ctx context.Context) bool {
	sure, perhaps := 0, []*Action(nil)
	for i := range a.p.actions {
		switch act := &a.p.actions[i]; {
		case act.Waits:
		case act.Verb == Beside:
			sure++
		case act.Verb == Merge && act.From == "":
			perhaps = append(perhaps, act)
		}
	}
	for i, act := range perhaps {
		if sure > manyCopies || sure+len(perhaps)-i <= manyCopies || ctx.Err() != nil {
			break
		}
		if a.willClash(ctx, act) {
			sure++
		}
	}
	return sure > manyCopies
}

func makesRoom(act *Action) bool {
	switch act.Verb {
	case Remove, Move, Forget:
		return true
	case Aside:
		return act.File.Path == ""
	}
	return false
}

func (a *applier) pass(ctx context.Context, room bool) error {
	for i := range a.p.actions {
		act := &a.p.actions[i]
		if makesRoom(act) != room {
			continue
		}
		if err := ctx.Err(); err != nil {
			return errors.Join(err, a.flush(a.c.save))
		}
		if err := a.try(ctx, act); err != nil {
			a.failed(act, err)
		}
		if len(a.lines) >= batch {
			if err := a.flush(a.c.save); err != nil {
				return err
			}
		}
	}
	return nil
}

// announce writes down what may come to lie in the hold, before anything
// does: whoever finds it there later knows whose it is.
func (a *applier) announce() error {
	var lines []line
	keep := a.c.note
	for i := range a.p.actions {
		act := &a.p.actions[i]
		h := hold{ID: a.c.home.do.newName(), Path: act.Path, Time: a.c.home.now, New: act.File.Digest, Was: act.Mine.Digest, Then: thenDrop}
		switch {
		case act.Waits:
			continue
		case act.Verb == Save:
			h.Then = thenBeside
		case act.Verb == Remove:
			h.New = bundle.Digest{}
		case act.Verb == Move:
			h.Path, h.To, h.New, h.Was = act.From, act.Path, act.Mine.Digest, bundle.Digest{}
			h.Next = a.entry(act, nil)
			if act.Event != "" {
				h.Tell = &Event{Kind: act.Event, Path: act.Path, Other: act.From}
			}
		case act.Verb == Aside && a.c.home.do.noReplace:
			h.Path, h.New, h.Was = act.Mine.At, bundle.Digest{}, bundle.Digest{}
		case act.Verb != Replace:
			continue
		case a.c.name == notesName: // nothing else would tell it from one that the student wrote
			h.Next = a.entry(act, nil)
		default:
			h.Next = act.Put
		}
		if act.Shelf {
			h.Then = thenShelf
		}
		if act.Erase {
			h.Then = thenErase
		}
		// Without an exchange there is a moment at which the path is missing.
		if !act.plain() || a.c.home.do.noExchange {
			keep = a.c.save
		}
		a.ids[act.Path] = h.ID
		lines = append(lines, line{Hold: &h})
	}
	begun, err := a.begun()
	if err != nil {
		return err
	}
	return keep(slices.Concat(begun, a.passLine(), lines)...)
}

// plain says that an untouched file gives way, no more: what comes out is the
// course's own, and known for that without a line.
func (act *Action) plain() bool {
	return act.Verb == Replace && act.untouched() && act.Put == nil && !act.Erase
}

// try does one action, or says why not.
func (a *applier) try(ctx context.Context, act *Action) error {
	switch {
	case act.Waits:
		a.undone[act.Path] = true
		if !act.Quiet {
			a.res.Waiting++
			a.tell(Event{Kind: Waiting, Path: act.Path})
		}
		return nil
	case act.Verb == Skip:
		if act.Mine.Err == nil {
			return errHistory
		}
		return act.Mine.Err
	case act.theirs() && !a.c.stage.has(act.File.Digest):
		a.missing(act)
		return nil
	case a.openedSince(act):
		return errChanged
	}
	return a.do(ctx, act)
}

// openedSince asks once more whether the student has a file open that is to be
// changed: some time has gone by since the plan.
func (a *applier) openedSince(act *Action) bool {
	switch act.Verb {
	case Record, Forget, Beside:
		return false
	}
	open := a.p.how.Open
	return open != nil && act.Mine.Kind != Nothing && !act.Erase && open(cmp.Or(act.From, act.Path))
}

// missing is a path whose bytes are not here: they did not fit, or are still
// to come.
func (a *applier) missing(act *Action) {
	a.undone[act.Path] = true
	s := a.c.stage
	if need, ok := s.short[act.File.Digest]; ok {
		free, _ := s.free()
		a.tell(Event{Kind: NoSpace, Path: act.Path, Need: need, Free: max(free, 0)})
		return
	}
	if a.p.undo {
		a.tell(Event{Kind: NotUndone, Path: act.Path}) // its former bytes are gone
		return
	}
	item := bundle.Item{Digest: act.File.Digest, Size: act.File.Size}
	if !slices.Contains(a.res.Missing, item) {
		a.res.Missing = append(a.res.Missing, item)
	}
	a.res.MissingPaths = append(a.res.MissingPaths, act.Path)
}

func (a *applier) failed(act *Action, err error) {
	a.undone[act.Path] = true
	ev := Event{Kind: Failed, Path: act.Path, Reason: reason(err), Err: err}
	switch {
	case errors.Is(err, errChanged):
		ev = Event{Kind: Waiting, Path: act.Path}
		a.res.Waiting++
	case isFull(err):
		free, _ := a.c.stage.free()
		ev = Event{Kind: NoSpace, Path: act.Path, Need: act.File.Size, Free: max(free, 0)}
	}
	a.tell(ev)
}

// flush brings the folders to disk, and then records what was done in them:
// record is save or note.
func (a *applier) flush(record func(...line) error) error {
	if len(a.lines) == 0 {
		return nil
	}
	var held error
	var wg sync.WaitGroup
	if a.c.home.do.before != nil { // who counts the changes wants them in one order
		held = a.hold.sync()
	} else { // beside: one commit of the filesystem is enough for all
		wg.Go(func() { held = a.hold.sync() })
	}
	each(syncers, sortedKeys(a.dirty), func(folder string) {
		if d, err := descendIn(a.tree, folder); err == nil {
			if err := d.sync(); err != nil {
				a.c.home.lg.Warn("sync a folder", "course", a.c.name, "folder", folder, "error", err)
			}
			d.close()
		}
	})
	clear(a.dirty)
	a.basing.wait()
	if wg.Wait(); held != nil {
		return held
	}
	lines := a.lines
	a.lines = nil
	return record(lines...)
}
