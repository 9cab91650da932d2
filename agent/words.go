package agent

import (
	"strconv"
	"strings"
	"time"

	"satchel/bundle"
	"satchel/notebook"
	"satchel/workdir"
)

// Words speaks one language of the catalogue. Every method gives one line of
// plain text, whatever bytes it was filled with.
type Words struct{ spanish bool }

// WordsFor chooses the language: the course's setting where there is one,
// else the first of the environment's (as LANG has it), else English.
func WordsFor(settings ...string) Words {
	for _, s := range settings {
		s = strings.ToLower(s)
		if s == "" || s == "c" || strings.HasPrefix(s, "c.") || s == "posix" {
			continue
		}
		return Words{spanish: s == "es" || strings.HasPrefix(s, "es_") || strings.HasPrefix(s, "es-") || strings.HasPrefix(s, "es.")}
	}
	return Words{}
}

// say fills a sentence: with holds names and values in turn.
func (w Words) say(k key, with ...string) string {
	s := sentences[k].en
	if w.spanish {
		s = sentences[k].es
	}
	pairs := make([]string, len(with))
	for i := 0; i+1 < len(with); i += 2 {
		pairs[i], pairs[i+1] = "{"+with[i]+"}", Plain(with[i+1])
	}
	return strings.NewReplacer(pairs...).Replace(s)
}

// UpToDate says that nothing was to be done.
func (w Words) UpToDate(v bundle.Version) string { return w.say(kUpToDate, "version", number(v)) }

// Updated counts what a sync brought.
func (w Words) Updated(v bundle.Version, added, changed, removed int) string {
	var parts []string
	for _, c := range []struct {
		n         int
		one, many key
	}{{added, kNewOne, kNew}, {changed, kChangedOne, kChanged}, {removed, kRemovedOne, kRemoved}} {
		switch {
		case c.n == 1:
			parts = append(parts, w.say(c.one, "n", "1"))
		case c.n > 1:
			parts = append(parts, w.say(c.many, "n", strconv.Itoa(c.n)))
		}
	}
	if len(parts) == 0 {
		return w.say(kUpdatedPlain, "version", number(v))
	}
	return w.say(kUpdated, "version", number(v), "changes", strings.Join(parts, ", "))
}

// Merged says which cells (or lines) of the course came into the student's
// file, and which are to be run again.
func (w Words) Merged(path string, cells, run []string) string {
	if len(run) == 0 {
		return w.say(kMerged, "path", path, "cells", w.list(cells))
	}
	return w.say(kMergedRun, "path", path, "cells", w.list(cells), "run", w.list(run))
}

// MergedLines says that the course's lines came into the student's text.
func (w Words) MergedLines(path string) string { return w.say(kMergedLines, "path", path) }

// MergedGone says that cells which the course took out went from the
// student's notebook, where they were untouched.
func (w Words) MergedGone(path string, n int) string {
	return w.say(kMergedGone, "path", path, "n", strconv.Itoa(n))
}

// SameCells says in which cells both changed the same lines.
func (w Words) SameCells(path string, cells []string, copy string) string {
	return w.say(kSameCells, "path", path, "cells", w.list(cells), "copy", copy)
}

// SameLines says that both changed the same lines of a text.
func (w Words) SameLines(path, copy string) string {
	return w.say(kSameLines, "path", path, "copy", copy)
}

// BothChanged says that both changed a file that is not merged.
func (w Words) BothChanged(path, copy string) string {
	return w.say(kBothChanged, "path", path, "copy", copy)
}

// InTheWay says that the student's own file had the name of a new one.
func (w Words) InTheWay(path, copy string) string {
	return w.say(kInTheWay, "path", path, "copy", copy)
}

// RemovedKept says that a changed file left the course and stays.
func (w Words) RemovedKept(path string) string { return w.say(kRemovedKept, "path", path) }

// Moved says that a changed file has the course's new name for it.
func (w Words) Moved(path, was string) string { return w.say(kMoved, "path", path, "name", was) }

// BroughtBack says that a deleted file came back once.
func (w Words) BroughtBack(path string) string { return w.say(kBroughtBack, "path", path) }

// BroughtBackMine is BroughtBack where the student had renamed it.
func (w Words) BroughtBackMine(path, name string) string {
	return w.say(kBroughtBackMine, "path", path, "name", name)
}

// MovedAside says that something of the student's has a new name.
func (w Words) MovedAside(path, copy string) string {
	return w.say(kMovedAside, "path", path, "copy", copy)
}

// SavedBeside says where the student's file went under the policy replace.
func (w Words) SavedBeside(path, copy string) string {
	return w.say(kSavedBeside, "path", path, "copy", copy)
}

// Blocked says that no file is where one should be.
func (w Words) Blocked(path, copy string) string {
	return w.say(kBlocked, "path", path, "copy", copy)
}

// Recovered says that a late save was kept.
func (w Words) Recovered(path, copy string) string {
	return w.say(kRecovered, "path", path, "copy", copy)
}

// RecoveredHere says that a late save stands in its place.
func (w Words) RecoveredHere(path string) string { return w.say(kRecoveredHere, "path", path) }

// Withdrawn says that a file was taken back.
func (w Words) Withdrawn(path string) string { return w.say(kWithdrawn, "path", path) }

// Left says that so many files' channel is no longer this student's.
func (w Words) Left(files int) string {
	if files == 1 {
		return w.say(kLeftOne)
	}
	return w.say(kLeft, "n", strconv.Itoa(files))
}

// FolderRenamed says that the course's folder has a new name.
func (w Words) FolderRenamed(from, to string) string {
	return w.say(kFolderRenamed, "path", from, "name", to)
}

// FolderStays says that the folder's new name is taken.
func (w Words) FolderStays(is, wanted string) string {
	return w.say(kFolderStays, "path", is, "name", wanted)
}

// NotHere says that the student has no such file; typed is how they named it.
func (w Words) NotHere(path, typed string) string {
	return w.say(kNotHere, "path", path, "typed", typed)
}

// NotShown says that what lies at a path cannot be compared.
func (w Words) NotShown(path string) string { return w.say(kNotShown, "path", path) }

// NotRestored says that a file could not be brought back; reason as for
// NotWritten.
func (w Words) NotRestored(path, reason, why string) string {
	return w.say(kNotRestored, "path", path, "reason", w.reason(reason, why))
}

// NotWritten says that one path could not be written. reason is one of
// workdir's; why is said where it is none that we have words for.
func (w Words) NotWritten(path, reason, why string) string {
	if reason == workdir.ReasonNoFolder {
		return w.say(kNoFolder, "path", path)
	}
	return w.say(kNotWritten, "path", path, "reason", w.reason(reason, why))
}

func (w Words) reason(reason, why string) string {
	switch reason {
	case workdir.ReasonPermission:
		return w.say(kNoPermission)
	case workdir.ReasonReadOnly:
		return w.say(kReadOnly)
	case workdir.ReasonHistory:
		return w.say(kNoHistory)
	}
	return why
}

// NoSpace says that a file did not fit; sizes are bytes.
func (w Words) NoSpace(path string, need, free int64) string {
	return w.say(kNoSpace, "path", path, "need", Bytes(need), "free", Bytes(free))
}

// Unreachable says that the service does not answer, and what is here.
func (w Words) Unreachable(v bundle.Version, since time.Time) string {
	if v == 0 {
		return w.say(kUnreachableNone)
	}
	return w.say(kUnreachable, "version", number(v), "date", w.date(since))
}

// Busy says that the service asked to come again later.
func (w Words) Busy() string { return w.say(kBusy) }

// Arriving says how far a download is.
func (w Words) Arriving(done, all int, folder string, notebooks bool) string {
	k := kArriving
	if notebooks {
		k = kArrivingNB
	}
	return w.say(k, "done", strconv.Itoa(done), "all", strconv.Itoa(all), "folder", folder)
}

// AndMore says how many more sentences of one kind there would be.
func (w Words) AndMore(n int) string { return w.say(kAndMore, "n", strconv.Itoa(n)) }

// Waiting says which updates wait for an open document.
func (w Words) Waiting(paths []string) string {
	if len(paths) == 1 {
		return w.say(kWaitOne, "paths", paths[0])
	}
	return w.say(kWait, "n", strconv.Itoa(len(paths)), "paths", w.some(paths))
}

// NoCourse says that the student is in no course.
func (w Words) NoCourse(groups []string) string {
	g := w.say(kNoGroups)
	if len(groups) > 0 {
		g = w.some(groups)
	}
	return w.say(kNoCourse, "groups", g)
}

// Empty says that a course has released nothing.
func (w Words) Empty(course string) string { return w.say(kEmpty, "course", course) }

// Paused says that a course gives out nothing now.
func (w Words) Paused(course string) string { return w.say(kPaused, "course", course) }

// PausedHere says that a course is paused, to who has something of it.
func (w Words) PausedHere(course string, v bundle.Version) string {
	return w.say(kPausedHere, "course", course, "version", number(v))
}

// Unverified says that something was not what a trusted key signed.
func (w Words) Unverified() string { return w.say(kUnverified) }

// KeyChanged says that this server's keys are old.
func (w Words) KeyChanged() string { return w.say(kKeyChanged) }

// Newer says that the service speaks a newer format.
func (w Words) Newer() string { return w.say(kNewer) }

// Older says that the service has an older version than this home.
func (w Words) Older(course string, v bundle.Version) string {
	return w.say(kOlder, "course", course, "version", number(v))
}

// Overtaken says that a version counts no more, for its key was dropped.
func (w Words) Overtaken(course string, was, now bundle.Version) string {
	return w.say(kOvertaken, "course", course, "was", number(was), "version", number(now))
}

// Stale says that a head is old.
func (w Words) Stale(course string, since time.Time) string {
	return w.say(kStale, "course", course, "date", w.date(since))
}

// Over says that a course is no longer given out to this student.
func (w Words) Over(course string) string { return w.say(kOver, "course", course) }

// ClocksDiffer says that two clocks are more than a day apart.
func (w Words) ClocksDiffer() string { return w.say(kClocksDiffer) }

// NoService says that there is no service here.
func (w Words) NoService() string { return w.say(kNoService) }

// NoTicket says that the hub gave no ticket.
func (w Words) NoTicket() string { return w.say(kNoTicket) }

// TicketOver says that the service no longer takes the ticket.
func (w Words) TicketOver() string { return w.say(kTicketOver) }

// NoKeys says that no key is known here.
func (w Words) NoKeys() string { return w.say(kNoKeys) }

// BadSetting says that an environment variable is wrong.
func (w Words) BadSetting(name, reason string) string {
	return w.say(kBadSetting, "name", name, "reason", reason)
}

// Locked says that somebody else updates this folder.
func (w Words) Locked() string { return w.say(kLocked) }

// RootLink says that the root is a link.
func (w Words) RootLink(path string) string { return w.say(kRootLink, "path", path) }

// RootReadOnly says that the root takes no writing.
func (w Words) RootReadOnly(path string) string { return w.say(kRootReadOnly, "path", path) }

// RootBroken says that the root is of no use for another reason.
func (w Words) RootBroken(path, reason string) string {
	return w.say(kRootBroken, "path", path, "reason", reason)
}

// StateNewer says that a newer agent's state lies here.
func (w Words) StateNewer(path string) string { return w.say(kStateNewer, "path", path) }

// AsRoot says that the agent does not act as root.
func (w Words) AsRoot() string { return w.say(kAsRoot) }

// Restored says that a file has the course's bytes again; copy names what was
// there, if anything.
func (w Words) Restored(path string, v bundle.Version, copy string) string {
	if copy == "" {
		return w.say(kRestored, "path", path, "version", number(v))
	}
	return w.say(kRestoredAside, "path", path, "version", number(v), "copy", copy)
}

// RestoredVersion says that a file has an older version's bytes again.
func (w Words) RestoredVersion(path string, v bundle.Version, copy string) string {
	if copy == "" {
		return w.say(kRestoredVersion, "path", path, "version", number(v))
	}
	return w.say(kRestoredVersionAside, "path", path, "version", number(v), "copy", copy)
}

// NoVersion says that a version of a file is not here any more.
func (w Words) NoVersion(path string, v bundle.Version) string {
	return w.say(kNoVersion, "path", path, "version", number(v))
}

// RestoredAll says how many files have the course's bytes again.
func (w Words) RestoredAll(n int, v bundle.Version) string {
	return w.say(kRestoredAll, "n", strconv.Itoa(n), "version", number(v))
}

// Undone says that the last update was taken back.
func (w Words) Undone(v bundle.Version, n int) string {
	return w.say(one(n, kUndoneOne, kUndone), "version", number(v), "n", strconv.Itoa(n))
}

// Redone says that what was taken back was done again.
func (w Words) Redone(v bundle.Version, n int) string {
	return w.say(one(n, kRedoneOne, kRedone), "version", number(v), "n", strconv.Itoa(n))
}

// one gives the sentence for one thing, or for several.
func one(n int, single, several key) key {
	if n == 1 {
		return single
	}
	return several
}

// NotUndone says that a file was left as it is.
func (w Words) NotUndone(path string) string { return w.say(kNotUndone, "path", path) }

// NothingToUndo says that no update can be taken back.
func (w Words) NothingToUndo() string { return w.say(kNothingToUndo) }

// NoDifference says that a file is the course's.
func (w Words) NoDifference(path string, v bundle.Version) string {
	return w.say(kNoDifference, "path", path, "version", number(v))
}

// Differs begins a list of differences.
func (w Words) Differs(path string, v bundle.Version) string {
	return w.say(kDiffers, "path", path, "version", number(v))
}

// DiffersUnshown says that two files differ in what is not shown.
func (w Words) DiffersUnshown(path string, v bundle.Version) string {
	return w.say(kDiffersUnshown, "path", path, "version", number(v))
}

// OnlyYours, OnlyCourses, CellChanged and CellMoved name a cell that differs.
func (w Words) OnlyYours(cell string) string   { return w.say(kOnlyYours, "cell", cell) }
func (w Words) OnlyCourses(cell string) string { return w.say(kOnlyCourses, "cell", cell) }
func (w Words) CellChanged(cell string) string { return w.say(kCellChanged, "cell", cell) }
func (w Words) CellMoved(cell string) string   { return w.say(kCellMoved, "cell", cell) }

// NotInCourse says that no course has such a file.
func (w Words) NotInCourse(path string) string { return w.say(kNotInCourse, "path", path) }

// InSeveral says that several courses have a file of a name; what to type
// follows.
func (w Words) InSeveral(path string, courses []string) string {
	return w.say(kInSeveral, "path", path, "courses", w.list(courses))
}

// OnesOwn says that a file is no course's, though one has its name; what to
// type for that one follows.
func (w Words) OnesOwn(path, course string) string {
	return w.say(kOnesOwn, "path", path, "course", course)
}

// NeedsNetwork says that a file's bytes are not here.
func (w Words) NeedsNetwork(path string) string { return w.say(kNeedsNetwork, "path", path) }

// Background says that the rest goes on without anybody waiting.
func (w Words) Background() string { return w.say(kBackground) }

// NothingSent says that no receipt was sent.
func (w Words) NothingSent() string { return w.say(kNothingSent) }

// NothingHere says that no course is here.
func (w Words) NothingHere(root string) string { return w.say(kNothingHere, "path", root) }

// Have says what is here of a course, and since when.
func (w Words) Have(course string, v bundle.Version, folder string, since time.Time) string {
	if since.IsZero() {
		return w.say(kHave, "course", course, "version", number(v), "path", folder)
	}
	return w.say(kHaveSince, "course", course, "version", number(v), "path", folder, "date", w.date(since.Local()))
}

// HaveInPart says of which version something is missing.
func (w Words) HaveInPart(course string, v bundle.Version, folder string) string {
	return w.say(kHaveInPart, "course", course, "version", number(v), "path", folder)
}

// NotYet says that a path will be tried again.
func (w Words) NotYet(path string) string { return w.say(kNotYet, "path", path) }

// KeptHere says how much .satchel takes.
func (w Words) KeptHere(size int64) string { return w.say(kKeptHere, "size", Bytes(size)) }

// KeptMine says how much of that made way for the course's, and where it is.
func (w Words) KeptMine(size int64, path string) string {
	return w.say(kKeptMine, "size", Bytes(size), "path", path)
}

// HeldBack says which updates the student took back.
func (w Words) HeldBack(paths []string) string { return w.say(kHeldBack, "paths", w.some(paths)) }

// CanUndo says that the last update can be taken back.
func (w Words) CanUndo() string { return w.say(kCanUndo) }

// OfflineSince says since when the service does not answer.
func (w Words) OfflineSince(t time.Time) string {
	return w.say(kOfflineSince, "date", w.date(t), "time", t.Format("15:04"))
}

// LastTrouble gives what went wrong last, in the program's own words.
func (w Words) LastTrouble(reason string) string { return w.say(kLastTrouble, "reason", reason) }

// LogIs says where the log is.
func (w Words) LogIs(path string) string { return w.say(kLogIs, "path", path) }

// NoLog says where the log will be.
func (w Words) NoLog(path string) string { return w.say(kNoLog, "path", path) }

// NewsTitle is the title of "What is new.md".
func (w Words) NewsTitle() string { return w.say(kNewsTitle) }

// NewsIntro is the line below it.
func (w Words) NewsIntro() string { return w.say(kNewsIntro) }

// Teacher gives the instructor's message.
func (w Words) Teacher(message string) string { return w.say(kTeacher, "message", message) }

// cell names a cell by its place and its heading or first line.
func (w Words) cell(p notebook.Place) string {
	if p.Title == "" {
		return w.say(kCell, "n", strconv.Itoa(p.Number))
	}
	return w.say(kCellTitled, "n", strconv.Itoa(p.Number), "title", p.Title)
}

// mostCells is how many cells one sentence names.
const mostCells = 6

func (w Words) cells(places []notebook.Place) (out []string) {
	for i, p := range places {
		if i == mostCells {
			return append(out, w.say(kMoreCells, "n", strconv.Itoa(len(places)-i)))
		}
		out = append(out, w.cell(p))
	}
	return out
}

// list joins all of the values.
func (w Words) list(values []string) string {
	n := len(values)
	switch n {
	case 0:
		return ""
	case 1:
		return values[0]
	}
	return w.say(kAnd, "a", strings.Join(values[:n-1], ", "), "b", values[n-1])
}

// some names at most eight of the values, joined by commas.
func (w Words) some(values []string) string {
	const most = 8
	if len(values) <= most {
		return strings.Join(values, ", ")
	}
	return w.say(kMore, "a", strings.Join(values[:most], ", "), "n", strconv.Itoa(len(values)-most))
}

func number(v bundle.Version) string { return strconv.FormatInt(int64(v), 10) }
