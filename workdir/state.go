package workdir

import (
	"cmp"
	"slices"
	"time"

	"satchel/bundle"
)

// Status says how a path stands between course and student.
type Status string

const (
	// Delivered: Satchel put these bytes there.
	Delivered Status = "delivered"
	// Mine: handled, but the student's bytes stayed; the base is the course's.
	Mine Status = "mine"
	// Own: the student had a file of that name before the course did.
	Own Status = "own"
	// Away: the student deleted it a second time; it stays away.
	Away Status = "away"
)

// Entry is the base of one path: what Satchel last put there, or last handled
// there without touching the student's bytes.
type Entry struct {
	Path     string         `json:"path"`
	Digest   bundle.Digest  `json:"digest"`
	Size     int64          `json:"size"`
	Mode     uint32         `json:"mode"`
	Policy   bundle.Policy  `json:"policy"`
	Channel  string         `json:"channel,omitempty"`
	Status   Status         `json:"status"`
	Returned bool           `json:"returned,omitempty"` // was brought back once
	Asleep   time.Time      `json:"asleep,omitzero"`    // since when its channel is no longer the student's
	Seen     *Seen          `json:"seen,omitempty"`
	Copies   []Copy         `json:"copies,omitempty"` // the course's, laid beside
	Saved    []Copy         `json:"saved,omitempty"`  // the student's, saved beside by the policy replace; oldest first
	Merges   []Merging      `json:"merges,omitempty"` // of the last days, oldest first
	Since    bundle.Version `json:"since,omitempty"`  // the version that brought Digest here
	Past     []Past         `json:"past,omitempty"`   // what came before, oldest first
	Held     Held           `json:"held,omitzero"`    // the student undid this update
}

// Merging is one update of a file that may have been open in an editor: for a
// week its old text may be saved over what came of it.
type Merging struct {
	Base   bundle.Digest `json:"base"`   // what the student had begun with
	Mine   bundle.Digest `json:"mine"`   // what they had made of it
	Result bundle.Digest `json:"result"` // what took its place
	Time   time.Time     `json:"time"`
}

// Past is a content that a path had since a version, for restore.
type Past struct {
	Version bundle.Version `json:"version"`
	Digest  bundle.Digest  `json:"digest"`
	Size    int64          `json:"size"`
}

// Held is what an undone update had brought: while that is the newest,
// nothing happens at the path. Gone means: it had taken the file away.
type Held struct {
	Digest bundle.Digest  `json:"digest,omitzero"`
	Since  bundle.Version `json:"since,omitempty"` // the version that brought Digest
	Gone   bool           `json:"gone,omitempty"`
}

func (h Held) held() bool { return h.Gone || !h.Digest.IsZero() }

// Seen is what a file's bytes were when it looked like that. Sure means that
// its last change was old enough then to show in ctime if it came again.
type Seen struct {
	Stat
	Digest bundle.Digest `json:"digest"`
	Sure   bool          `json:"sure,omitempty"`
}

// Copy is a file laid beside. Outside means: Path is below the root, in the
// folder for many copies, not below the course's folder.
type Copy struct {
	Path    string        `json:"path"`
	Digest  bundle.Digest `json:"digest"`
	Outside bool          `json:"outside,omitempty"`
}

// file is the entry as the course's file.
func (e *Entry) file() bundle.File {
	return bundle.File{Path: e.Path, Mode: e.Mode, Size: e.Size, Digest: e.Digest, Policy: e.Policy}
}

// hold is one thing that may lie in the hold: as ID-in, what is to go to Path
// (Was new, not yet exchanged) or what came out of there; as ID-out, what was
// taken away from there.
type hold struct {
	ID   string        `json:"id"`
	Path string        `json:"path"`
	To   string        `json:"to,omitempty"` // where what came out was to go
	Was  bundle.Digest `json:"was,omitzero"` // expected to come out; zero: whatever it is, it is the student's
	New  bundle.Digest `json:"new,omitzero"` // to go in
	Then fate          `json:"then"`
	Time time.Time     `json:"time"`
	Look time.Time     `json:"look,omitzero"`  // the first look after ten minutes
	Next *Entry        `json:"next,omitempty"` // a merge: to be recorded of Path once New lies there
	Tell *Event        `json:"tell,omitempty"` // what a run that died before it could record that would have told
	Seen *Seen         `json:"seen,omitempty"` // what it looked like when it was read last
	Done bool          `json:"done,omitempty"` // the exchange is over and its path recorded
	Gone bool          `json:"gone,omitempty"` // nothing is left of it
}

// over is h once the exchange is over and its path recorded.
func (h *hold) over() *hold {
	out := *h
	out.Done, out.Next, out.Tell = true, nil, nil
	return &out
}

// fate is what becomes of bytes that came out as expected.
type fate string

const (
	thenDrop   fate = "drop"   // the course's own bytes
	thenErase  fate = "erase"  // the same, withdrawn: at once
	thenShelf  fate = "shelf"  // recognised by history: to the student's shelf
	thenBeside fate = "beside" // the student's: beside, as "(my copy)"
	thenAside  fate = "aside"  // nothing comes to lie in the hold: Path is renamed to To
)

// applied is the head that was applied last: every path of it is in place, or
// waits with its bytes at hand.
type applied struct {
	Version     bundle.Version           `json:"version"`
	Fingerprint string                   `json:"fingerprint"`
	Manifests   map[string]bundle.Digest `json:"manifests"` // by channel
	Envelope    *bundle.Envelope         `json:"envelope,omitempty"`
	Waiting     []string                 `json:"waiting,omitempty"`
	Renamed     map[string]string        `json:"renamed,omitempty"` // of those that wait: new path to old, as the publisher hinted
}

// latest is the newest head of which anything was placed; nil where there is
// none.
func (r *record) latest() *applied { return cmp.Or(r.begun, r.applied) }

// highest is the newest head that was ever planned from, of those that counted
// then, and the signed ones that tell what counts with which keys (floor.go).
type highest struct {
	Version     bundle.Version     `json:"version"`
	Fingerprint string             `json:"fingerprint"`
	Heads       []*bundle.Envelope `json:"heads,omitempty"`
}

// folderLine records a folder below the course's that Satchel made.
type folderLine struct {
	Path string `json:"path"`
	Gone bool   `json:"gone,omitempty"`
}

// namedLine records the course's folder, and the name the course wants where
// that one was taken.
type namedLine struct {
	Folder string `json:"folder"`
	Wanted string `json:"wanted,omitempty"`
}

// record is everything that the journal holds, newest line wins.
type record struct {
	files   map[string]*Entry
	folders map[string]bool
	holds   map[string]*hold
	shelf   map[string]*shelved
	clock   counted
	pass    Pass
	changes map[string]*change // of pass, by path
	untold  []Event
	applied *applied
	begun   *applied // the newest of which anything was placed, where it is newer than applied
	highest highest
	named   namedLine
	lines   int                        // lines read or written since the last compaction
	bySeen  map[bundle.Digest][]string // paths by the content that was last seen there; nil: not reckoned
}

func newRecord() *record {
	return &record{files: map[string]*Entry{}, folders: map[string]bool{}, holds: map[string]*hold{}, shelf: map[string]*shelved{}, changes: map[string]*change{}}
}

// line is one line of the journal: exactly one field is set.
type line struct {
	File    *Entry      `json:"file,omitempty"`
	Forget  string      `json:"forget,omitempty"`
	Folder  *folderLine `json:"folder,omitempty"`
	Hold    *hold       `json:"hold,omitempty"`
	Applied *applied    `json:"applied,omitempty"`
	Begun   *applied    `json:"begun,omitempty"`
	Highest *highest    `json:"highest,omitempty"`
	Named   *namedLine  `json:"named,omitempty"`
	Clock   *counted    `json:"clock,omitempty"`
	Shelf   *shelved    `json:"shelf,omitempty"`
	Pass    *Pass       `json:"pass,omitempty"`
	Change  *change     `json:"change,omitempty"`
	Event   *Event      `json:"event,omitempty"`
	Told    bool        `json:"told,omitempty"` // all events until here
}

// take applies one line. A line that names what no manifest could is ignored:
// nothing in the home may lead us anywhere.
func (r *record) take(l line) {
	r.lines++
	switch {
	case l.File != nil:
		if bundle.CheckPath(l.File.Path) == nil && l.File.valid() {
			r.files[l.File.Path], r.bySeen = l.File, nil
		}
	case l.Forget != "":
		delete(r.files, l.Forget)
		r.bySeen = nil
	case l.Folder != nil:
		if l.Folder.Gone {
			delete(r.folders, l.Folder.Path)
		} else if bundle.CheckPath(l.Folder.Path) == nil {
			r.folders[l.Folder.Path] = true
		}
	case l.Hold != nil:
		if l.Hold.Gone {
			delete(r.holds, l.Hold.ID)
		} else if l.Hold.valid() {
			r.holds[l.Hold.ID] = l.Hold
		}
	case l.Applied != nil:
		if r.applied = l.Applied; r.begun != nil && r.begun.Version <= r.applied.Version {
			r.begun = nil
		}
	case l.Begun != nil:
		r.begun = l.Begun
	case l.Highest != nil:
		r.rise(l.Highest)
	case l.Named != nil:
		if bundle.CheckFolder(l.Named.Folder) == nil {
			r.named = *l.Named
		}
	case l.Clock != nil:
		if l.Clock.valid() {
			r.clock = *l.Clock
		}
	case l.Pass != nil:
		r.pass, r.changes = *l.Pass, map[string]*change{}
	case l.Event != nil:
		if len(r.untold) < maxUntold {
			r.untold = append(r.untold, *l.Event)
		}
	case l.Told:
		r.untold = nil
	case l.Change != nil:
		r.changed(l.Change)
	case l.Shelf != nil:
		if l.Shelf.Gone {
			delete(r.shelf, l.Shelf.Name)
		} else if onShelf(l.Shelf.Name) && l.Shelf.From >= 0 {
			r.shelf[l.Shelf.Name] = l.Shelf
		}
	}
}

// rise takes what was planned from. What was begun of a version that does not
// count any more is begun no more.
func (r *record) rise(h *highest) {
	r.highest = *h
	r.highest.Heads = slices.DeleteFunc(slices.Clone(h.Heads), func(e *bundle.Envelope) bool { return e == nil })
	if len(r.highest.Heads) == 0 {
		r.highest.Heads = nil
	}
	if r.begun != nil && r.begun.Version > h.Version {
		r.begun = nil
	}
}

// seen gives the paths at which a content was last seen.
func (r *record) seen(d bundle.Digest) []string {
	if r.bySeen == nil {
		r.bySeen = make(map[bundle.Digest][]string, len(r.files))
		for p, e := range r.files {
			if e.Seen != nil {
				r.bySeen[e.Seen.Digest] = append(r.bySeen[e.Seen.Digest], p)
			}
		}
	}
	return r.bySeen[d]
}

// changed takes a change into the last pass: of several at one path the first
// tells what was before.
func (r *record) changed(c *change) {
	if !c.valid() {
		return
	}
	again := *c
	if was := r.changes[c.Path]; was != nil {
		again = *was
		again.Has = c.Has
	}
	r.changes[c.Path] = &again
}

func (e *Entry) valid() bool {
	for _, c := range [][]Copy{e.Copies, e.Saved} {
		for _, x := range c {
			if bundle.CheckPath(x.Path) != nil {
				return false
			}
		}
	}
	return e.Policy.Known() && !e.Digest.IsZero() && e.Mode&^0o777 == 0 && e.Size >= 0
}

func (h *hold) valid() bool {
	return validID(h.ID) && bundle.CheckPath(h.Path) == nil && (h.To == "" || bundle.CheckPath(h.To) == nil) &&
		(h.Next == nil || bundle.CheckPath(h.Next.Path) == nil && h.Next.valid())
}

func validID(id string) bool {
	if len(id) != 16 {
		return false
	}
	for _, c := range []byte(id) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// all gives the lines that say what r holds, for a compacted journal.
func (r *record) all() []line {
	out := []line{{Highest: &r.highest}}
	if r.named.Folder != "" {
		out = append(out, line{Named: &r.named})
	}
	if r.applied != nil {
		out = append(out, line{Applied: r.applied})
	}
	if r.begun != nil {
		out = append(out, line{Begun: r.begun})
	}
	if r.pass.ID != "" {
		out = append(out, line{Pass: &r.pass})
	}
	out = append(out, remembered(r.untold...)...)
	for _, p := range sortedKeys(r.changes) {
		out = append(out, line{Change: r.changes[p]})
	}
	for _, p := range sortedKeys(r.folders) {
		out = append(out, line{Folder: &folderLine{Path: p}})
	}
	for _, p := range sortedKeys(r.files) {
		out = append(out, line{File: r.files[p]})
	}
	for _, id := range sortedKeys(r.holds) {
		out = append(out, line{Hold: r.holds[id]})
	}
	if !r.clock.Signed.IsZero() {
		out = append(out, line{Clock: &r.clock})
	}
	for _, name := range sortedKeys(r.shelf) {
		out = append(out, line{Shelf: r.shelf[name]})
	}
	return out
}
