package syncer

import (
	"cmp"
	"slices"

	"satchel/bundle"
	"satchel/course"
	"satchel/store"
)

// audience is who may see a set of files. No group and no user is everybody in
// the course.
type audience struct {
	groups, users []string
	files         []bundle.File // sorted by path
}

// channelsOf divides a selection among audiences; each path goes to one. There
// are no rules for groups yet, so everybody sees all of it.
func channelsOf(sel *course.Selection, _ *course.Course) []audience {
	return []audience{{files: sel.Files}}
}

// composed is one channel as it stood at one version, checked against the
// digest that a head names.
type composed struct {
	version  bundle.Version
	manifest *bundle.Manifest
	history  bundle.History
}

// channel is what becomes of one channel.
type channel struct {
	id            string
	groups, users []string
	former        composed // manifest nil: it is new
	next          composed // version is set by who publishes
	added         bundle.History
	changed       bool
	renamed       map[string]string // new path to old, where content alone does not show it
	step          store.BundleRef   // the bundle that leads to next, once it is written
}

// former is a channel of the record with its contents.
type former struct {
	store.Channel
	composed
}

// facts are what is known of contents, besides the files themselves.
type facts struct {
	forms     map[bundle.Digest]bundle.Digest // of notebooks
	past      map[string][]bundle.Former      // by path: what homes may hold from before
	withdrawn []bundle.Pair
}

// nextChannels decides what the channels become, sorted by id. It is pure but
// for newID. A channel stays with its audience; one whose audience has nothing
// any more stays and is empty, so that its files go away.
func nextChannels(before []former, now []audience, known facts, newID func() string) []channel {
	var out []channel
	taken := make([]bool, len(now))
	for _, f := range before {
		ch := channel{id: f.ID, groups: f.Groups, users: f.Users, former: f.composed}
		var files []bundle.File
		if i := slices.IndexFunc(now, func(a audience) bool { return sameAudience(a, f.Channel) }); i >= 0 {
			taken[i] = true
			files = now[i].files
		}
		if f.manifest == nil { // lost, with its salt
			ch.fill(files, known, salt(newID))
		} else {
			ch.fill(files, known)
		}
		out = append(out, ch)
	}
	for i, a := range now {
		if taken[i] {
			continue
		}
		ch := channel{id: newID(), groups: a.groups, users: a.users}
		ch.fill(a.files, known, salt(newID))
		out = append(out, ch)
	}
	slices.SortFunc(out, func(a, b channel) int { return cmp.Compare(a.id, b.id) })
	return out
}

func sameAudience(a audience, c store.Channel) bool {
	return slices.Equal(sorted(a.groups), sorted(c.Groups)) && slices.Equal(sorted(a.users), sorted(c.Users))
}

func sorted(names []string) []string {
	s := slices.Clone(names)
	slices.Sort(s)
	return s
}

// salt is what a channel's history begins with: a content that no path ever
// has. A head tells every student the digests of all manifests, and a manifest
// holds the digest of its history; so whoever guesses what a channel delivers
// that is not theirs cannot try the guess.
func salt(newID func() string) bundle.Former {
	return bundle.Former{Path: "salt", Digest: bundle.Sum([]byte(newID() + newID()))}
}

// fill makes the next manifest and history out of files.
func (ch *channel) fill(files []bundle.File, known facts, also ...bundle.Former) {
	gone := make(map[bundle.Pair]bool, len(known.withdrawn))
	for _, p := range known.withdrawn {
		gone[p] = true
	}
	m := &bundle.Manifest{}
	seen := also
	for _, f := range files {
		if !gone[bundle.Pair{Path: f.Path, Digest: f.Digest}] {
			m.Files = append(m.Files, f)
			seen = append(seen, bundle.Former{Path: f.Path, Digest: f.Digest, Form: known.forms[f.Digest]})
			seen = append(seen, known.past[f.Path]...)
		}
	}
	// Only what this audience has had: the names of others' files are not its
	// business.
	for _, w := range ch.former.history {
		if p := (bundle.Pair{Path: w.Path, Digest: w.Digest}); gone[p] {
			m.Withdrawn = append(m.Withdrawn, p)
		}
	}
	m.Sort()
	ch.next.history, ch.added = ch.former.history.Add(seen...)
	if ch.former.manifest != nil && len(ch.added) == 0 {
		m.History = ch.former.manifest.History
	} else {
		m.History = ch.next.history.Digest()
	}
	ch.next.manifest = m
	ch.changed = ch.former.manifest == nil || ch.former.manifest.Digest() != m.Digest()
}

// counts says what a publish changes, over all channels.
func counts(chs []channel) (added, changed, removed int) {
	before, after := union(chs, func(c channel) composed { return c.former }), union(chs, func(c channel) composed { return c.next })
	for p, f := range after {
		if was, ok := before[p]; !ok {
			added++
		} else if was != f {
			changed++
		}
	}
	for p := range before {
		if _, ok := after[p]; !ok {
			removed++
		}
	}
	return added, changed, removed
}

func union(chs []channel, at func(channel) composed) map[string]bundle.File {
	out := map[string]bundle.File{}
	for _, c := range chs {
		if m := at(c).manifest; m != nil {
			for _, f := range m.Files {
				out[f.Path] = f
			}
		}
	}
	return out
}

// sortRefs brings bundles into the record's order.
func sortRefs(refs []store.BundleRef) {
	slices.SortFunc(refs, func(a, b store.BundleRef) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
}
