package syncer

import (
	"maps"
	"slices"

	"satchel/bundle"
	"satchel/course"
)

// shrinks refuses a publish after which more than half of the files would be
// gone for a student of any group, or of none. A file that moved is not gone.
// The files that would go are the findings.
func shrinks(chs []channel, name course.Name, tip string) *Refusal {
	for i := range chs {
		var seen []channel
		for j, c := range chs {
			if i == j || everybody(c) {
				seen = append(seen, c)
			}
		}
		before := union(seen, func(c channel) composed { return c.former })
		gone := missing(before, union(seen, func(c channel) composed { return c.next }))
		if 2*len(gone) <= len(before) {
			continue
		}
		r := refuse(Shrink, "%d of %d files would be removed from the students' folders. If that is meant, say so with `satchel publish %s --confirm-shrink`; else put them back in the repository", len(gone), len(before), name)
		r.Commit = tip
		for _, p := range gone {
			r.Findings = append(r.Findings, course.Finding{Path: p, Reason: "would be removed"})
		}
		return r
	}
	return nil
}

func everybody(c channel) bool { return len(c.groups) == 0 && len(c.users) == 0 }

// missing are the paths of before that are gone, and whose content did not
// turn up under a new name.
func missing(before, after map[string]bundle.File) (gone []string) {
	arrived := map[bundle.Digest]int{}
	for p, f := range after {
		if _, ok := before[p]; !ok {
			arrived[f.Digest]++
		}
	}
	for _, p := range slices.Sorted(maps.Keys(before)) {
		if _, ok := after[p]; ok {
			continue
		}
		if d := before[p].Digest; arrived[d] > 0 {
			arrived[d]--
			continue
		}
		gone = append(gone, p)
	}
	return gone
}
