package agent

import (
	"path"
	"strings"

	"satchel/hook"
	"satchel/workdir"
)

// say shows one sentence. course is "" for what concerns none in particular.
// During a session what the pass before said is not said again.
func (p *pass) say(course, text string) {
	if course != "" && p.several() {
		text = Plain(course) + ": " + text
	}
	if p.said[text] {
		return // a question that was put again is answered alike
	}
	p.said[text] = true
	if p.o.Mode == workdir.Session && p.a.said[text] {
		return
	}
	p.a.show(Event{Kind: Sentence, Text: text, Course: course})
	p.lg.Info("said", "course", course, "text", text)
}

// several says whether a sentence must name its course.
func (p *pass) several() bool { return p.offered > 1 || p.mem != nil && len(p.mem.Courses) > 1 }

// sentenceOf makes words of what workdir did at one path. "" where nothing is
// to be said of it alone.
func sentenceOf(w Words, e workdir.Event) string {
	switch e.Kind {
	case workdir.Merged:
		return merged(w, e)
	case workdir.SameLines:
		return sameLines(w, e)
	case workdir.NotUndone:
		return w.NotUndone(e.Path)
	case workdir.Kept:
		return w.BothChanged(e.Path, beside(e))
	case workdir.InTheWay:
		return w.InTheWay(e.Path, beside(e))
	case workdir.Blocked:
		return w.Blocked(e.Path, beside(e))
	case workdir.MovedAside:
		return w.MovedAside(e.Path, beside(e))
	case workdir.Saved:
		return w.SavedBeside(e.Path, beside(e))
	case workdir.Stays:
		return w.RemovedKept(e.Path)
	case workdir.Moved:
		return w.Moved(e.Path, e.Other)
	case workdir.Returned:
		if e.Other != "" {
			return w.BroughtBackMine(e.Path, e.Other)
		}
		return w.BroughtBack(e.Path)
	case workdir.Withdrawn:
		return w.Withdrawn(e.Path)
	case workdir.Failed:
		return w.NotWritten(e.Path, e.Reason, plainError(e.Err))
	case workdir.NoSpace:
		return w.NoSpace(e.Path, e.Need, e.Free)
	case workdir.LeftChannel:
		return w.Left(e.Count)
	case workdir.FolderRenamed:
		return w.FolderRenamed(e.Other, e.Path)
	case workdir.FolderStays:
		return w.FolderStays(e.Path, e.Other)
	case workdir.Recovered:
		if e.Other == "" {
			return w.RecoveredHere(e.Path)
		}
		return w.Recovered(e.Path, beside(e))
	}
	return ""
}

// merged says what of the course's came into a file of the student's.
func merged(w Words, e workdir.Event) string {
	switch {
	case len(e.Cells) > 0:
		return w.Merged(e.Path, w.cells(e.Cells), w.cells(e.Run))
	case e.Gone > 0:
		return w.MergedGone(e.Path, e.Gone)
	}
	return w.MergedLines(e.Path)
}

// sameLines names the copy in which the course's changes are, and for a
// notebook the cells.
func sameLines(w Words, e workdir.Event) string {
	if len(e.Clash) == 0 {
		return w.SameLines(e.Path, beside(e))
	}
	return w.SameCells(e.Path, w.cells(e.Clash), beside(e))
}

// beside names a copy as the student finds it: by its name alone where it
// lies in the same folder.
func beside(e workdir.Event) string {
	if e.Outside || path.Dir(e.Other) != path.Dir(e.Path) {
		return e.Other
	}
	return path.Base(e.Other)
}

func plainError(err error) string {
	if err == nil {
		return "?"
	}
	return Plain(err.Error())
}

// maxAlike is how many sentences of one kind are said at once.
const maxAlike = 20

// told are the sentences of one course's result: what it came to, then each
// thing that the student should know. Of very many of one kind the rest is
// only logged.
func (p *pass) told(course string, r *workdir.Result, changed bool) (out []string) {
	w := p.words(course)
	if changed {
		out = append(out, w.Updated(r.Version, r.Added, r.Changed, r.Removed))
	}
	var order []workdir.EventKind
	said := map[workdir.EventKind][]string{}
	for _, e := range r.Events {
		if s := sentenceOf(w, e); s != "" {
			if said[e.Kind] == nil {
				order = append(order, e.Kind)
			}
			said[e.Kind] = append(said[e.Kind], s)
		}
	}
	for _, k := range order {
		all := said[k]
		out = append(out, all[:min(len(all), maxAlike)]...)
		if len(all) <= maxAlike {
			continue
		}
		out = append(out, w.AndMore(len(all)-maxAlike))
		for _, s := range all[maxAlike:] {
			p.lg.Info("not said", "course", course, "text", s)
		}
	}
	if paths := pathsOf(r, workdir.Waiting); len(paths) > 0 {
		out = append(out, w.Waiting(paths))
	}
	return out
}

// steady are the sentences of a result but for how much space is free, which
// changes while nothing else does.
func steady(w Words, text []string, r *workdir.Result) string {
	all := strings.Join(text, "\n")
	for _, e := range r.Events {
		if e.Kind == workdir.NoSpace {
			all = strings.ReplaceAll(all, sentenceOf(w, e), string(e.Kind)+" "+e.Path)
		}
	}
	return all
}

// pathsOf are the paths of all events of some kinds.
func pathsOf(r *workdir.Result, kinds ...workdir.EventKind) (out []string) {
	for _, e := range r.Events {
		for _, k := range kinds {
			if e.Kind == k && e.Path != "" {
				out = append(out, e.Path)
			}
		}
	}
	return out
}

// maxNamed bounds each list of paths in a receipt.
const maxNamed = 100

// receipt makes what the service is told: counts, and paths of the course.
func (a *Agent) receipt(course string, r *workdir.Result, code string) hook.Receipt {
	return hook.Receipt{
		Format: hook.Format, Course: course, Version: r.Version, Agent: agentVersion, Image: a.s.Image,
		Added: r.Added, Changed: r.Changed, Removed: r.Removed, Waiting: r.Waiting,
		Merged: named(pathsOf(r, workdir.Merged, workdir.Moved)),
		Kept:   named(pathsOf(r, workdir.SameLines, workdir.Kept, workdir.InTheWay, workdir.Blocked, workdir.Stays, workdir.Saved)),
		Failed: named(pathsOf(r, workdir.Failed, workdir.NoSpace)),
		Code:   code,
	}
}

// named bounds a list: so many paths, and so many bytes, as a receipt holds.
func named(paths []string) []string {
	size := 0
	for i, p := range paths {
		if size += len(p); i == maxNamed || size > hook.MaxReceipt/8 {
			return paths[:i]
		}
	}
	return paths
}
