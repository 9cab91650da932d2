package syncer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"satchel/bundle"
	"satchel/store"
)

// judgeLog: each version is there once, in order, by who made it.
func (m *model) judgeLog() string {
	entries, err := store.Entries(context.Background(), m.site.st, "scala101", 100_000)
	if err != nil {
		return err.Error()
	}
	slices.Reverse(entries)
	count, newest := map[bundle.Version]int{}, bundle.Version(0)
	for _, e := range entries {
		if e.Action != "publish" {
			continue
		}
		count[e.Version]++
		l := m.version(e.Version)
		switch {
		case e.Version <= newest:
			return fmt.Sprintf("the log has version %d after version %d", e.Version, newest)
		case l == nil || l.rec.Commit != e.Commit:
			return fmt.Sprintf("the log has version %d of another commit", e.Version)
		case e.Who != l.by.who && e.Who != "syncer":
			return fmt.Sprintf("the log says that %s made version %d", e.Who, e.Version)
		}
		newest = e.Version
	}
	for i, l := range m.journal {
		if (i == 0 || l.rec.Version > m.journal[i-1].rec.Version) && l.rec.Version > 0 && count[l.rec.Version] == 0 && l.by.clean() {
			return fmt.Sprintf("version %d is not in the log", l.rec.Version)
		}
	}
	return m.judgeAudit(entries)
}

// judgeAudit: what people decided is in the log, each once.
func (m *model) judgeAudit(entries []store.Entry) string {
	for _, c := range m.calls {
		var actions []string
		for _, e := range entries {
			if c.who != "" && e.Who == c.who {
				actions = append(actions, e.Action)
			}
		}
		times := func(action string) (n int) {
			for _, a := range actions {
				if a == action {
					n++
				}
			}
			return n
		}
		action, did := c.kind, c.effects(m) > 0
		switch c.kind {
		case "pause", "resume":
		case "rollback":
			if times("publish") > 0 {
				action = "publish"
			}
			if len(actions) > 1 {
				return fmt.Sprintf("%s: the log has %q", c.answer(), actions)
			}
		case "withdraw":
			did = c.taken.Done
		default:
			continue
		}
		if n := times(action); n > 1 || n == 0 && did && c.clean() {
			return fmt.Sprintf("%s: the log has it %d times: %q", c.answer(), n, actions)
		}
	}
	return ""
}

// judgeEnd: when all has come to rest, students have what the branch holds, or
// what they are held at.
func (m *model) judgeEnd() string {
	if len(m.journal) == 0 {
		return ""
	}
	last := m.journal[len(m.journal)-1]
	rec, _, err := store.ReadRecord(context.Background(), m.site.st, "scala101")
	if err != nil || rec.Publish != last.rec.Publish {
		return fmt.Sprintf("the record is not what was swapped last (%v)", err)
	}
	tip := m.tips[len(m.tips)-1].state
	s := m.course.states[tip]
	want := without(s.files, rec.Withdrawn)
	switch {
	case rec.Pinned != nil, s.stops, len(s.files) == 0:
	case rec.Commit == m.course.commits[tip]:
		if !maps.Equal(last.files, want) {
			return fmt.Sprintf("at the end there is %v; want %v of commit %d", names(last.files), names(want), tip)
		}
	case !lessThanHalf(last.files, want):
		return fmt.Sprintf("commit %d is at the tip, and commit %d was published", tip, m.course.of(rec.Commit))
	}
	return ""
}

// judgeStore: the store holds all of the newest version, and nothing of what
// was withdrawn.
func (m *model) judgeStore() string {
	checked, err := Check(context.Background(), m.site.st, "scala101", []bundle.PublicKey{m.site.key.Public()}, true, nil)
	if err != nil || len(checked.Faults) > 0 {
		return fmt.Sprintf("satchel check: %v %v", checked.Faults, err)
	}
	if len(m.journal) == 0 {
		return ""
	}
	for o, err := range m.site.st.List(context.Background(), store.BundlePrefix("scala101"), "") {
		if err != nil {
			return err.Error()
		}
		if bad := m.judgeObject(o); bad != "" {
			return bad
		}
	}
	return ""
}

// judgeObject: it holds nothing that was withdrawn, but for another path.
func (m *model) judgeObject(o store.Object) string {
	d, err := bundle.ParseDigest(o.Key[strings.LastIndexByte(o.Key, '/')+1:])
	contents := map[bundle.Digest]string{}
	if err != nil {
		return err.Error()
	}
	x, err := m.site.readBundle(context.Background(), store.BundleRef{Digest: d, Size: o.Size}, contents)
	if err != nil {
		return err.Error()
	}
	for d, text := range contents {
		at, path := m.lastTaken(d)
		if path == "" || m.deliveredSince(at, text) || x.To > m.journal[at].rec.Version && m.pushedElsewhere(text) {
			continue
		}
		return fmt.Sprintf("the store holds %s, which was withdrawn: %.40q", path, text)
	}
	return ""
}

// lastTaken is when a content was last withdrawn from a path, as a place in
// the journal.
func (m *model) lastTaken(d bundle.Digest) (at int, path string) {
	n := 0
	for i, l := range m.journal {
		of := slices.DeleteFunc(slices.Clone(l.rec.Withdrawn), func(p bundle.Pair) bool { return p.Digest != d })
		if len(of) > n {
			n, at, path = len(of), i, of[0].Path
		}
	}
	return at, path
}

// deliveredSince says whether some path has had the content since: then it may
// stay.
func (m *model) deliveredSince(at int, text string) bool {
	return slices.ContainsFunc(m.journal[at:], func(l *landed) bool {
		return slices.Contains(slices.Collect(maps.Values(l.files)), text)
	})
}

// pushedElsewhere says whether the branch had the content at a path of which
// it was not withdrawn: somebody who knew was about to publish that.
func (m *model) pushedElsewhere(text string) bool {
	gone := m.journal[len(m.journal)-1].rec.Withdrawn
	return slices.ContainsFunc(m.tips, func(t tipAt) bool {
		return slices.Contains(slices.Collect(maps.Values(without(m.course.states[t.state].files, gone))), text)
	})
}
