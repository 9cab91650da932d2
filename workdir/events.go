package workdir

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"

	"satchel/bundle"
	"satchel/notebook"
)

// EventKind names what a student is told. The agent's catalogue makes the
// sentences.
type EventKind string

const (
	Merged        EventKind = "merged"         // both changed Path: the course's changes came into the student's
	SameLines     EventKind = "same_lines"     // the same, but that both changed the same lines, or Clash; the student's stand, and the course's is in Other
	Kept          EventKind = "kept"           // both changed Path: the student's stays, the course's is in Other
	InTheWay      EventKind = "in_the_way"     // a new file of the course has the name of one of theirs; the course's is in Other
	Blocked       EventKind = "blocked"        // another kind of thing is at Path; it was left, the course's is in Other
	MovedAside    EventKind = "moved_aside"    // a file and a folder clashed: the student's Path is now Other
	Saved         EventKind = "saved"          // the policy replace: the student's Path is saved in Other
	Stays         EventKind = "stays"          // removed from the course, changed by the student: it stays
	Moved         EventKind = "moved"          // the course renamed Other to Path; the student's changes went along
	Returned      EventKind = "returned"       // had been deleted; brought back once. Other: the student's file with the same bytes
	Withdrawn     EventKind = "withdrawn"      // taken back by the teacher and removed
	Waiting       EventKind = "waiting"        // waits until the student closes it, or the next start
	Failed        EventKind = "failed"         // could not be updated: Reason
	NoSpace       EventKind = "no_space"       // Need bytes are needed, Free are free
	LeftChannel   EventKind = "left"           // Count files are of a channel that is no longer the student's; they stay
	FolderRenamed EventKind = "folder_renamed" // the course's folder was Other and is Path
	FolderStays   EventKind = "folder_stays"   // the course's folder should be Other, but that name is taken; it stays Path
	Recovered     EventKind = "recovered"      // bytes that an editor wrote late are kept: in Path, with the course's in Other; or in Other; without one, in Path, and the course's are merged at the next start
	NotUndone     EventKind = "not_undone"     // the student did something at Path since, or its former bytes are gone: it stays as it is
	Restored      EventKind = "restored"       // Path is the newest again; what was there is in Other, if anything
)

// Reasons of Failed.
const (
	ReasonPermission = "permission" // no right to write or read there
	ReasonReadOnly   = "read_only"  // the filesystem is read-only
	ReasonHistory    = "history"    // the course's history could not be had
	ReasonNoFolder   = "no_folder"  // what has the name of the course's folder is none; the next start moves it aside
	ReasonOther      = "other"      // Err says
)

// Event is one thing to be told. Paths are relative to the course's folder
// (for FolderRenamed and FolderStays: to the root).
type Event struct {
	Kind    EventKind        `json:"kind"`
	Path    string           `json:"path,omitempty"`
	Other   string           `json:"other,omitempty"`   // see the kinds
	Outside bool             `json:"outside,omitempty"` // Other is relative to the root
	Count   int              `json:"count,omitempty"`
	Need    int64            `json:"-"`
	Free    int64            `json:"-"`
	Reason  string           `json:"-"`
	Err     error            `json:"-"`
	Cells   []notebook.Place `json:"cells,omitempty"` // Merged, of a notebook: cells that came or changed by the course
	Run     []notebook.Place `json:"run,omitempty"`   // of those, the ones to be run again
	Clash   []notebook.Place `json:"clash,omitempty"` // cells that both changed in the same lines; the student's stand
	Gone    int              `json:"gone,omitempty"`  // cells that the course took away
}

// Result is what an Apply did. Complete means that the newest version is in
// place but for what the student decided otherwise. Missing are contents that
// are still to be staged.
type Result struct {
	Version                 bundle.Version
	Added, Changed, Removed int
	Waiting                 int
	Complete                bool
	Missing                 []bundle.Item
	MissingPaths            []string
	Paths                   int // of the newest version
	Events                  []Event
}

func reason(err error) string {
	switch {
	case errors.Is(err, unix.EROFS):
		return ReasonReadOnly
	case errors.Is(err, fs.ErrPermission):
		return ReasonPermission
	case errors.Is(err, errHistory):
		return ReasonHistory
	}
	return ReasonOther
}

func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
