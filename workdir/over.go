package workdir

import "slices"

// Starting over: the student threw the course's folder away, or one in it. It
// comes back at a start, whole. In a session nothing is put where it was, and
// nothing new either: in a folder that is there again, each file that is not
// would look as if the student had deleted just that.

// findOver finds the folders that are gone, and whose files are to come back.
func (c *comparison) findOver() {
	c.over = map[string]bool{}
	for p, e := range c.Last {
		if _, has := c.Newest[p]; has && e.Status != Own && c.Disk[p].Gone {
			folder, _ := split(p)
			c.over[folder] = true
		}
	}
}

// hides says that a new file would make a folder again that is gone.
func (c *comparison) hides(a Action) bool {
	if !a.Mine.Gone || len(c.over) == 0 {
		return false
	}
	f, _ := split(a.Path)
	for f != "" && !c.over[f] {
		f, _ = split(f)
	}
	return c.Over || c.over[f]
}

// comesLater says that the course's folder is not there, or another than the
// one that is gone, and that what was in it waits for a start. Made or named
// before that, it would hide that the student starts over.
func (p *Plan) comesLater() bool {
	return (p.over || p.folder != p.c.rec.named.Folder) &&
		slices.ContainsFunc(p.actions, func(a Action) bool { return a.Waits && a.Mine.Gone })
}

// comeBack makes the course's folder, where it is not there and something
// comes. Of what comes back with a folder it first says that it is not here:
// whatever ends the run then, or keeps one of the files away (the network, the
// disk), no file is missing in that folder because the student deleted it.
func (a *applier) comeBack() error {
	var lines []line
	for i := range a.p.actions {
		act := &a.p.actions[i]
		if act.Verb != Add || act.Waits || !act.Mine.Gone || act.Was == nil || act.Put != nil || act.Loose {
			continue
		}
		e := *act.Was
		e.Status, e.Returned, e.Seen, e.Held = Own, false, nil, Held{} // as one that the student never got
		lines = append(lines, line{File: &e})
	}
	if len(lines) > 0 {
		if err := a.c.save(lines...); err != nil {
			return err
		}
	}
	if a.tree == nil && !a.p.comesLater() {
		return a.makeTree()
	}
	return nil
}
