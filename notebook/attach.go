package notebook

import (
	"net/url"
	"slices"
	"strings"
)

func sameAttachments(a, b []attachment) bool { return slices.Equal(a, b) }

// named gives the attachments of one file name.
func named(all []attachment, name string) (of []attachment) {
	for _, a := range all {
		if a.name == name {
			of = append(of, a)
		}
	}
	return of
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

// shows says whether a source names an attachment.
func shows(source, name string) bool {
	return strings.Contains(source, "attachment:"+name) || strings.Contains(source, "attachment:"+url.PathEscape(name))
}
