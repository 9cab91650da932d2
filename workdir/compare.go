package workdir

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"satchel/bundle"
)

// Compare decides what is to be done at each path, one row of
// docs/work-folder.md a case. It is pure: the same view gives the same
// actions, and a view in which everything is done gives none. Actions come in
// the order of their paths, at most one a path.
func Compare(v View) []Action {
	c := &comparison{View: v, moves: map[string]string{}, carries: map[string]string{}, folders: map[string]bool{}}
	for p := range v.Newest {
		for f, _ := split(p); f != ""; f, _ = split(f) {
			c.folders[f] = true
		}
	}
	c.findMoves()
	c.findCarries()
	c.findOver()
	paths := map[string]bool{}
	for p := range v.Last {
		paths[p] = true
	}
	for p := range v.Newest {
		paths[p] = true
	}
	var out []Action
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		if _, seen := v.Disk[p]; !seen && v.How.Step {
			continue
		}
		if a, ok := c.path(p); ok {
			out = append(out, c.now(a))
		}
	}
	return out
}

type comparison struct {
	View
	moves   map[string]string // new path to the old one that is moved there
	carries map[string]string // new path to the old one that is merged there
	gone    map[string]bool   // old paths of moves and carries
	folders map[string]bool   // folders of the newest version
	over    map[string]bool   // folders that are gone, and come back; "" is the course's own
}

// findMoves pairs paths that the course renamed: hinted, or with an equal
// digest; each old path once. Only where the bytes on disk may simply be
// renamed: the content did not change, and the new name is free.
func (c *comparison) findMoves() {
	c.gone = map[string]bool{}
	old := map[bundle.Digest][]string{}
	for _, p := range sortedKeys(c.Last) {
		if c.movable(p) {
			old[c.Last[p].Digest] = append(old[c.Last[p].Digest], p)
		}
	}
	for _, q := range sortedKeys(c.Newest) {
		n := c.Newest[q]
		if !c.free(q) {
			c.unclear(q, old[n.Digest])
			continue
		}
		from := c.Renamed[q]
		if !slices.Contains(old[n.Digest], from) || c.gone[from] {
			from = ""
			for _, p := range old[n.Digest] {
				if !c.gone[p] {
					from = p
					break
				}
			}
		}
		if from != "" {
			c.moves[q], c.gone[from] = from, true
		}
	}
}

// unclear leaves the old paths of one alone that cannot be looked at now: what
// is there is not known.
func (c *comparison) unclear(q string, old []string) {
	if c.onDisk(q).Err == nil {
		return
	}
	if from := c.Renamed[q]; c.Last[from] != nil && c.movable(from) {
		old = append(slices.Clone(old), from)
	}
	for _, p := range old {
		c.gone[p] = true
	}
}

// findCarries pairs paths that the course renamed and changed, as it hints,
// where the student changed the old one: that is merged into the new place.
func (c *comparison) findCarries() {
	for _, q := range sortedKeys(c.Newest) {
		n, from := c.Newest[q], c.Renamed[q]
		if from == "" || c.moves[q] != "" || c.gone[from] || c.Last[from] == nil || !c.movable(from) {
			continue
		}
		edited := c.Disk[from].Digest != c.Last[from].Digest && c.Disk[from].Digest != n.Digest
		if c.free(q) && edited && mergedBy(n.Policy) {
			c.carries[q], c.gone[from] = from, true
		}
	}
}

// free says that nothing is or was at q, or only what the student undid.
func (c *comparison) free(q string) bool {
	last, f := c.Last[q], c.Disk[q]
	return (last == nil || last.Status == Own && last.Held.held()) && f.Kind == Nothing && f.Err == nil
}

// mergedBy says whether a policy merges what both changed.
func mergedBy(p bundle.Policy) bool { return p != bundle.Once && p != bundle.Replace }

// movable says that the course dropped p and a file of the student's tree is
// still there, for which Satchel put a base.
func (c *comparison) movable(p string) bool {
	last, f := c.Last[p], c.Disk[p]
	_, still := c.Newest[p]
	return !still && f.Err == nil && f.Kind == Regular && !f.blocked(p) && c.Channels[last.Channel] &&
		last.Asleep.IsZero() && last.Status != Own && last.Policy != bundle.Once && !c.withdrawn(p, last.Digest)
}

func (c *comparison) withdrawn(p string, d bundle.Digest) bool {
	return c.Withdrawn[bundle.Pair{Path: p, Digest: d}]
}

// path decides one path.
func (c *comparison) path(p string) (Action, bool) {
	last := c.Last[p]
	n, has := c.Newest[p]
	f := c.onDisk(p)
	a := Action{Path: p, Was: last, Mine: f, Status: Delivered}
	if has {
		a.File, a.Channel = n.File, n.Channel
	}
	switch {
	case last != nil && c.held(last, n, has):
		return a, false
	case f.Err != nil:
		return c.unseen(a)
	case last == nil, c.moves[p] != "", c.carries[p] != "", has && c.How.All && last.Status == Own && last.Held.held():
		return c.added(a)
	case !has:
		return c.dropped(a)
	}
	return c.kept(a)
}

// onDisk is what lies at p. What stands in its way and could not be looked at
// may be anything: then p could not be looked at either.
func (c *comparison) onDisk(p string) Fact {
	f := c.Disk[p]
	if at := c.Disk[f.At]; f.Err == nil && f.blocked(p) && at.Kind == Other {
		f.Err = at.Err
	}
	return f
}

// held says that the student undid this very update, and nothing new came
// since.
func (c *comparison) held(last *Entry, n Delivery, has bool) bool {
	if c.How.All || c.Over || !last.Held.held() || c.withdrawn(last.Path, last.Digest) {
		return false
	}
	return last.Held.Gone && !has || has && last.Held.Digest == n.Digest
}

// unseen is a path that could not be looked at: it fails alone, unless
// nothing is to be done there.
func (c *comparison) unseen(a Action) (Action, bool) {
	if a.Was != nil && a.File.Path != "" && !c.differs(a) {
		return a, false
	}
	if a.Was != nil && a.File.Path == "" && !c.Channels[a.Was.Channel] {
		return c.left(a)
	}
	return a.do(Skip).say(Failed), true
}

func (a Action) do(v Verb) Action       { a.Verb = v; return a }
func (a Action) say(k EventKind) Action { a.Event = k; return a }
func (a Action) as(s Status) Action     { a.Status = s; return a }

// untouched says that what lies there is what was delivered.
func (a *Action) untouched() bool {
	return a.Mine.Kind == Regular && a.Mine.At == a.Path && a.Was != nil && a.Mine.Digest == a.Was.Digest
}

// differs says whether what is recorded of a path is not the newest.
func (c *comparison) differs(a Action) bool {
	w := a.Was
	if w == nil {
		return true
	}
	return w.Held.held() || w.Digest != a.File.Digest || w.Mode != a.File.Mode || w.Policy != a.File.Policy || w.Channel != a.Channel || !w.Asleep.IsZero()
}

// note records the newest as handled, if that says anything new.
func (c *comparison) note(a Action, s Status) (Action, bool) {
	a = a.do(Record).as(s)
	return a, c.differs(a) || a.Was.Status != s
}

// kept is a path that the course had and has.
func (c *comparison) kept(a Action) (Action, bool) {
	f := a.Mine
	if f.Kind == Nothing {
		return c.missing(a)
	}
	if a.File.Policy == bundle.Once { // the base stays what came once: another policy may follow
		a.File.Digest, a.File.Size = a.Was.Digest, a.Was.Size
	}
	switch {
	case f.Kind == Folder && f.At == a.Path && c.below(a.Path):
		return c.added(a) // the course had a folder there too, since: its own retyping
	case f.Kind != Regular || f.blocked(a.Path):
		return c.otherType(a)
	case a.untouched():
		return c.follow(a)
	case f.Digest == a.File.Digest:
		return c.equal(a)
	case c.staleOver(a, a.Path):
		return c.mergedAgain(a, a.Path), true
	case a.Was.Digest == a.File.Digest:
		return c.changedHereOnly(a)
	}
	return c.changedBoth(a)
}

// equal is a file that holds the newest although Satchel did not put it there:
// it is the course's from now on, permissions included.
func (c *comparison) equal(a Action) (Action, bool) {
	x, w := a.Mine.Stat.perm&0o111 != 0, a.Mine.Stat.perm&0o222 != 0
	if x != (a.File.Mode&0o111 != 0) || w && a.File.Policy == bundle.ReadOnly {
		return a.do(Chmod), a.Was == nil || a.Was.Status != Delivered || c.differs(a)
	}
	return c.note(a, Delivered)
}

// follow is an untouched file: it takes what is new.
func (c *comparison) follow(a Action) (Action, bool) {
	switch {
	case a.Was.Digest != a.File.Digest:
		a.Erase = c.withdrawn(a.Path, a.Was.Digest)
		return a.do(Replace), true
	case perm(a.Was.file()) != perm(a.File):
		return a.do(Chmod), true
	}
	return c.note(a, Delivered)
}

// changedHereOnly is the student's edit of a file that the course left as it
// was: nothing, but that the x bit follows the course.
func (c *comparison) changedHereOnly(a Action) (Action, bool) {
	s := Mine
	if a.Was.Status == Own {
		s = Own
	}
	if a.Was.Mode != a.File.Mode && s == Mine {
		return a.do(Chmod).as(s), true
	}
	return c.note(a, s)
}

// staleOver says that an old text was saved over what a merge had made, at
// the path or at the one that the course renamed to it.
func (c *comparison) staleOver(a Action, at string) bool {
	_, stale := c.Stale[at]
	return stale && mergedBy(a.File.Policy)
}

// mergedAgain merges once more from what the old text at a path began with.
func (c *comparison) mergedAgain(a Action, at string) Action {
	a.Base, a.Again = c.Stale[at].Base, true
	return a.do(Merge).as(Mine)
}

// changedBoth is where merging belongs. Bytes that a former version had are
// no edit (a home restored from a backup); outputs alone are none either.
func (c *comparison) changedBoth(a Action) (Action, bool) {
	switch {
	case c.Origin[a.Path] == Former:
		return c.recognised(a), true
	case c.Origin[a.Path] == FormerRun:
		return c.ranOnly(a)
	case c.Origin[a.Path] == NewestRun:
		return c.note(a, Mine)
	case a.File.Policy == bundle.Replace:
		return a.do(Save).say(Saved), true
	case a.Was.Status == Own:
		return a.do(Beside).as(Own).say(InTheWay), true
	}
	return a.do(Merge).as(Mine), true
}

// ranOnly is a notebook of which a former version was run, and nothing known
// of what was delivered explains it: the outputs alone are the student's.
func (c *comparison) ranOnly(a Action) (Action, bool) {
	switch a.File.Policy {
	case bundle.Once:
		return c.note(a, Mine)
	case bundle.Replace:
		return c.recognised(a), true
	}
	a.Self = true
	return a.do(Merge).as(Mine), true
}

// recognised is a file that its history explains: untouched, but kept on the
// shelf all the same, for nothing proves that the student did not want it.
func (c *comparison) recognised(a Action) Action {
	a.Erase = c.withdrawn(a.Path, a.Mine.Digest)
	a.Shelf = !a.Erase
	return a.do(Replace)
}

// otherType is a folder, link or the like where a file was delivered.
func (c *comparison) otherType(a Action) (Action, bool) {
	if a.Was.Digest == a.File.Digest {
		return c.note(a, a.Was.Status)
	}
	return a.do(Beside).as(Mine).say(Blocked), true
}

// missing is a file that is not there any more.
func (c *comparison) missing(a Action) (Action, bool) {
	switch {
	case a.Was.Status == Own || a.Mine.Gone:
		return a.do(Add), true // never had it, or starts over
	case a.File.Policy == bundle.Once, a.Was.Returned, a.Was.Status == Away:
		return c.note(a, Away)
	}
	a.Return = true
	return a.do(Add).say(Returned), true
}

// added is a path that the course has now and Satchel never handled.
func (c *comparison) added(a Action) (Action, bool) {
	f, p := a.Mine, a.Path
	if from, ok := c.moves[p]; ok {
		return c.moved(a, from), true
	}
	if from, ok := c.carries[p]; ok {
		a.From, a.Was, a.Mine = from, c.Last[from], c.Disk[from]
		if c.staleOver(a, from) {
			return c.mergedAgain(a, from), true
		}
		return a.do(Merge).as(Mine), true
	}
	switch {
	case f.Kind == Nothing:
		return a.do(Add), true
	case f.blocked(p) && c.wasOurs(f.At):
		return a.do(Beside).as(Own).say(Blocked), true
	case f.blocked(p), f.Kind == Folder:
		return a.do(Aside).say(MovedAside), true
	case f.Kind == Other:
		return a.do(Beside).as(Own).say(InTheWay), true
	case f.Digest == a.File.Digest:
		return c.equal(a)
	}
	switch c.Origin[p] {
	case Former:
		return c.recognised(a), true
	case FormerRun:
		return c.ranOnly(a)
	case NewestRun:
		return a.do(Record).as(Mine), true
	case Unasked:
		return a.do(Skip).say(Failed), true
	}
	if a.File.Policy == bundle.Replace {
		return a.do(Save).say(Saved), true
	}
	return a.do(Beside).as(Own).say(InTheWay), true
}

// wasOurs says that the course had its own file or folder where something
// else stands now: the student put it there on purpose.
func (c *comparison) wasOurs(at string) bool {
	if c.Last[at] != nil {
		return c.Disk[at].Kind == Other // a file of ours goes, or makes way, by its own row
	}
	return c.below(at)
}

// below says that something was delivered below a folder.
func (c *comparison) below(folder string) bool {
	for p := range c.Last {
		if strings.HasPrefix(p, folder) && len(p) > len(folder) && p[len(folder)] == '/' {
			return true
		}
	}
	return false
}

// moved is a path under its new name, edits and all.
func (c *comparison) moved(a Action, from string) Action {
	a.From, a.Was, a.Mine = from, c.Last[from], c.Disk[from]
	if c.staleOver(a, from) {
		return c.mergedAgain(a, from)
	}
	if a.Mine.Digest != a.Was.Digest {
		a = a.as(Mine).say(Moved)
	}
	return a.do(Move)
}

// dropped is a path that the course does not have any more.
func (c *comparison) dropped(a Action) (Action, bool) {
	w, f := a.Was, a.Mine
	switch {
	case c.gone[a.Path]:
		return a, false // the new path's Move takes it along
	case !c.Channels[w.Channel] && !c.withdrawn(a.Path, w.Digest):
		return c.left(a)
	case f.Kind == Nothing, w.Status == Own:
		return a.do(Forget), true
	case c.withdrawn(a.Path, w.Digest) && a.untouched():
		a.Erase = true
		return a.do(Remove).say(Withdrawn), true
	case c.folders[a.Path] && f.Kind == Regular && !a.untouched():
		return a.do(Aside).say(MovedAside), true
	case f.Kind != Regular || f.blocked(a.Path), w.Policy == bundle.Once:
		return a.do(Forget), true
	case a.untouched():
		return a.do(Remove), true
	}
	return a.do(Forget).say(Stays), true
}

// left is a path of a channel that is no longer the student's: it stays, its
// base sleeps, and is forgotten in the end.
func (c *comparison) left(a Action) (Action, bool) {
	if a.Was.Asleep.IsZero() {
		a.Sleep = true
		return a.do(Record).as(a.Was.Status).say(LeftChannel), true
	}
	return a.do(Forget), c.Now.Sub(a.Was.Asleep) > asleepFor
}

// now holds back what may not happen while the student works.
func (c *comparison) now(a Action) Action {
	switch {
	case a.Verb == Record, a.Verb == Forget, a.Verb == Skip, a.Erase && a.Verb == Remove:
		return a
	case a.Mine.Kind == Nothing && (a.Was == nil || a.Was.Status == Own) && !c.hides(a):
		return a // a new name is nobody's
	case c.busy(a):
		a.Waits = true
	case c.How.Mode == Start:
		return a
	case (a.Verb == Replace && !a.Shelf || a.Verb == Chmod) && a.untouched():
		return a
	default:
		a.Waits = true
	}
	a.Quiet = a.Mine.Kind == Nothing
	return a
}

// busy says that the student has the file in hand. Times that Satchel itself
// left there are no sign of that.
func (c *comparison) busy(a Action) bool {
	if a.Mine.Kind == Nothing {
		return false
	}
	at := cmp.Or(a.From, a.Path)
	if c.How.Open != nil && c.How.Open(at) {
		return true
	}
	if a.Was != nil && a.Was.Seen != nil && a.Was.Seen.same(a.Mine.Stat) {
		return false
	}
	if c.How.Mode == Session && c.Now.UnixNano()-a.Mine.Stat.Mtime < int64(quiet) {
		return true
	}
	return !c.How.Since.IsZero() && a.Mine.Stat.Mtime > c.How.Since.UnixNano()
}
