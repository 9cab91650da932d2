package bundle

// Hint marks renames that equal content does not show. renamed gives, for a
// path that is new, the one that it was. c is what Diff gave for from (nil:
// nothing); as there, only a path that from lacks was renamed, only from one
// that c removes, and each of those is used once. What does not fit is passed
// over: a hint promises nothing.
func (c *Changes) Hint(from *Manifest, renamed map[string]string) {
	if from == nil || len(renamed) == 0 {
		return
	}
	free := make(map[string]bool, len(c.Removed))
	for _, p := range c.Removed {
		free[p] = true
	}
	for _, ch := range c.Set {
		delete(free, ch.RenamedFrom)
	}
	for i := range c.Set {
		ch := &c.Set[i]
		was := renamed[ch.Path]
		if _, had := from.Find(ch.Path); had || ch.RenamedFrom != "" || !free[was] {
			continue
		}
		ch.RenamedFrom = was
		delete(free, was)
	}
}

// Renames follows paths through steps, which lead on from base: for each that
// has another name in the end, the one that base has. Where a path is taken
// away, and later there is one of that name again, that is another file.
func Renames(base *Manifest, steps ...*Index) map[string]string {
	f := follower{base, map[string]string{}}
	for _, x := range steps {
		f.step(x.Changes)
	}
	out := map[string]string{}
	for path, was := range f.moved {
		if was != "" && was != nowhere && was != path {
			out[path] = was
		}
	}
	return out
}

// follower knows where in base each path comes from that a step added or took
// away: "" for one that is new since, nowhere for one that is not there.
type follower struct {
	base  *Manifest
	moved map[string]string
}

const nowhere = "/" // is no path

// origin is where in base the file comes from that is at path now.
func (f *follower) origin(path string) string {
	if was, touched := f.moved[path]; touched {
		return was
	}
	if _, ok := f.base.Find(path); ok {
		return path
	}
	return nowhere
}

func (f *follower) step(c Changes) {
	added := map[string]string{}
	for _, ch := range c.Set {
		if f.origin(ch.Path) != nowhere {
			continue // changed in its place
		}
		added[ch.Path] = ""
		if was := f.origin(ch.RenamedFrom); was != nowhere {
			added[ch.Path] = was
		}
	}
	for _, p := range c.Removed {
		f.moved[p] = nowhere
	}
	for p, was := range added {
		f.moved[p] = was
	}
}
