package notebook

import (
	"net/url"
	"slices"
	"strings"
)

func sameAttachments(a, b []attachment) bool { return slices.Equal(a, b) }

// named gives the attachments of one file name, of a sorted list.
func named(all []attachment, name string) []attachment {
	byName := func(a attachment, name string) int { return strings.Compare(a.name, name) }
	from, _ := slices.BinarySearchFunc(all, name, byName)
	to := from
	for to < len(all) && all[to].name == name {
		to++
	}
	return all[from:to]
}

// mergeAttachments merges attachments by file name. A clash is one that both
// changed: mine stands. One that theirs took away stays where the source that
// results still shows it.
func mergeAttachments(base, mine, theirs *slice, source string, l layout) (changes []field, clash bool) {
	if sameAttachments(base.attachments, theirs.attachments) || sameAttachments(mine.attachments, theirs.attachments) {
		return nil, false
	}
	b, m, t, ok := threeParts(attachmentsOf(base), attachmentsOf(mine), attachmentsOf(theirs))
	if !ok {
		return nil, true
	}
	var names []field
	for _, name := range fieldKeys(b, t) {
		bs, ms, ts := named(base.attachments, name), named(mine.attachments, name), named(theirs.attachments, name)
		switch {
		case sameAttachments(bs, ts) || sameAttachments(ms, ts):
		case !sameAttachments(bs, ms):
			clash = clash || len(ms) > 0 && len(ts) > 0
		case len(ts) == 0 && shows(source, name):
		default:
			names = append(names, field{name, l.fit(t.value(name), 4)})
		}
	}
	if out := m.with(names, l, 3); out != nil {
		changes = []field{{"attachments", out}}
	}
	return changes, clash
}

func attachmentsOf(c *slice) []byte {
	if v := c.value("attachments"); v != nil {
		return v
	}
	return []byte("{}")
}

// maxShown bounds the search for an attachment's name, in bytes of source.
const maxShown = 1 << 16

// shows says whether a source names an attachment; of a very long one that is
// assumed.
func shows(source, name string) bool {
	return len(source) > maxShown || strings.Contains(source, "attachment:"+name) ||
		strings.Contains(source, "attachment:"+url.PathEscape(name))
}
