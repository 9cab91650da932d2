package workdir

import (
	"time"

	"satchel/bundle"
)

// Mode says how much may happen now.
type Mode int

const (
	// Start is the start of a server: everything.
	Start Mode = iota
	// Session is a running server: files are only added, and replaced where
	// the student neither changed nor has them open. The rest waits.
	Session
)

// How says what may happen, and to which files not.
type How struct {
	Mode Mode
	Open func(path string) bool // whether the student has that path of the course open now; nil: none
	// Since is for a pass with the rights of a start while a session runs:
	// files that changed after it wait, and so does a new name of the
	// course's folder. Zero: none.
	Since time.Time
	// All ends what undo holds back.
	All bool
	// Step looks only at what the newest version changes, where nothing else
	// is known to be left to do: a pass that looks at everything follows.
	Step bool
}

// starts says that nobody works in the course's folder yet.
func (h How) starts() bool { return h.Mode == Start && h.Since.IsZero() }

// quiet is how long a file must not have changed in a session.
const quiet = 2 * time.Minute

// asleepFor is how long the base of a left channel is kept.
const asleepFor = 180 * 24 * time.Hour

// Fact is what lies at one path of the course's folder now.
type Fact struct {
	Kind   Kind
	At     string        // the path of what is there: the path itself, or a parent that is no folder
	Digest bundle.Digest // of a Regular file
	Stat   Stat
	Gone   bool  // Nothing, and its folder is gone too
	Err    error // it could not be looked at or read
}

// blocked says that a parent is no folder.
func (f Fact) blocked(path string) bool { return f.Kind != Nothing && f.At != path }

// Delivery is a file of the newest version and the channel it comes by.
type Delivery struct {
	bundle.File
	Channel string
}

// Origin is what the course's history knows of bytes that no base explains.
type Origin int

const (
	// Theirs: no former version of that path; the student's.
	Theirs Origin = iota
	// Former: a former version of that path, by its bytes.
	Former
	// FormerRun: a former version of that notebook, run: only its outputs
	// differ.
	FormerRun
	// NewestRun: the newest notebook, run: only its outputs differ.
	NewestRun
	// Unasked: the history could not be had now.
	Unasked
)

// View is everything that Compare decides by.
type View struct {
	Last      map[string]*Entry   // what was last delivered or handled, by path
	Newest    map[string]Delivery // the newest version, all channels in one tree
	Renamed   map[string]string   // new path to old, as the publisher hints
	Channels  map[string]bool     // those of this student now
	Withdrawn map[bundle.Pair]bool
	Disk      map[string]Fact    // for each path of Last and Newest
	Origin    map[string]Origin  // where it was asked
	Stale     map[string]Merging // where an old text was saved over a merge, by path: that merge
	Over      bool               // the course's folder is not there: it starts over
	How       How
	Now       time.Time
}

// Verb is what is to be done at one path.
type Verb string

const (
	Record  Verb = "record"  // nothing on disk; what is known of the path changes
	Forget  Verb = "forget"  // nothing on disk; the path is the student's now, or nobody's
	Add     Verb = "add"     // a name that is free gets theirs
	Replace Verb = "replace" // an untouched file gives way to theirs
	Remove  Verb = "remove"  // an untouched file goes
	Move    Verb = "move"    // From is renamed to Path, bytes as they are
	Chmod   Verb = "chmod"   // only the permissions change
	Beside  Verb = "beside"  // mine stays, theirs is laid beside
	Merge   Verb = "merge"   // what both changed (From: that of the path before) is merged, as far as it can be
	Save    Verb = "save"    // mine is laid beside, theirs takes its place
	Aside   Verb = "aside"   // what stands at At is renamed out of the way; theirs, if any, comes
	Skip    Verb = "skip"    // nothing can be decided now; said as an Event
)

// Action is one decision. Of a Waiting one nothing is done now.
type Action struct {
	Verb    Verb
	Path    string
	From    string // Move, Merge: the path before
	Was     *Entry // what was recorded, nil for nothing
	File    bundle.File
	Channel string
	Mine    Fact   // what was on disk when this was decided (at From, where that is set)
	Status  Status // to be recorded
	Event   EventKind
	Shelf   bool          // what comes out was recognised by history only: to the student's shelf
	Erase   bool          // what comes out was withdrawn: no shelf, no hold
	Waits   bool          // not now: the student has it in hand
	Quiet   bool          // of that, nothing is said: it waits for a start, not for the student
	Return  bool          // it is brought back once
	Sleep   bool          // its channel is left
	Loose   bool          // a copy beside: nothing is recorded of it
	Put     *Entry        // to be recorded as it is, in the place of what follows from the rest
	Self    bool          // Merge: mine is its own base, for only its outputs are the student's
	Again   bool          // Merge: once more, for an old text was saved over the first result
	Base    bundle.Digest // Merge, of that: what the old text began with
}

// theirs says whether the action needs the bytes of File.
func (a *Action) theirs() bool {
	switch a.Verb {
	case Add, Replace, Beside, Save, Merge:
		return true
	case Aside, Skip:
		return a.File.Path != ""
	}
	return false
}

// perm is the permission bits that f is delivered with.
func perm(f bundle.File) uint32 {
	if f.Policy == bundle.ReadOnly {
		return f.Mode &^ 0o222
	}
	return f.Mode
}

func (a *Action) item() bundle.Item { return bundle.Item{Digest: a.File.Digest, Size: a.File.Size} }

func (a *Action) oldCopies() []Copy {
	if a.Was == nil {
		return nil
	}
	return a.Was.Copies
}
