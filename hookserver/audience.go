package hookserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"satchel/bundle"
	"satchel/course"
	"satchel/hook"
	"satchel/store"
)

// view is one course as one student may see it now.
type view struct {
	course   string
	who      guest // whose view it is
	shelf    shelf
	channels []*channel // of the shelf's edition; none when there is no edition
	kept     *kept      // bounds what is given while the course is paused (given.go); nil: nothing does
}

// views are the courses of this student by today's configuration, in the
// order of their names.
func (s *Server) views(ctx context.Context, t hook.Ticket) []view {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	var out []view
	for _, c := range s.o.Courses() {
		if c.Audience.Admits(t.User, t.Groups) {
			out = append(out, s.see(ctx, c, t))
		}
	}
	slices.SortFunc(out, func(a, b view) int { return strings.Compare(a.course, b.course) })
	return out
}

// view is one course of this student: errNotFound when it is foreign or
// absent, or nothing was released in it.
func (s *Server) view(ctx context.Context, t hook.Ticket, name string) (view, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	v, err := s.enrolledView(ctx, t, name)
	if err == nil && len(v.channels) == 0 {
		err = errNotFound
	}
	return v, err
}

// enrolledView is view, also where nothing was released to the student.
func (s *Server) enrolledView(ctx context.Context, t hook.Ticket, name string) (view, error) {
	for _, c := range s.o.Courses() {
		if string(c.Name) == name && c.Audience.Admits(t.User, t.Groups) {
			v := s.see(ctx, c, t)
			if v.cold() {
				return v, fmt.Errorf("course %s: %w", name, v.why())
			}
			return v, nil
		}
	}
	return view{}, errNotFound
}

func (s *Server) see(ctx context.Context, c course.Course, t hook.Ticket) view {
	v := view{course: string(c.Name), who: guest{t.User, t.Server}, shelf: s.lib.look(ctx, string(c.Name))}
	if ed := v.shelf.edition; ed != nil {
		for _, ch := range ed.channels {
			if admits(&ch.Channel, t) {
				v.channels = append(v.channels, ch)
			}
		}
	}
	return v
}

// admits says whether a channel is this student's, who is in the course.
func admits(c *store.Channel, t hook.Ticket) bool {
	if len(c.Groups) == 0 && len(c.Users) == 0 {
		return true
	}
	return slices.Contains(c.Users, t.User) ||
		slices.ContainsFunc(t.Groups, func(g string) bool { return slices.Contains(c.Groups, g) })
}

// version is the newest version, 0 for who sees nothing of it: it would tell
// them how often something is published to others.
func (v *view) version() bundle.Version {
	if len(v.channels) == 0 {
		return 0
	}
	return v.shelf.version()
}

// cold says that nothing is known of the course.
func (v *view) cold() bool { return v.shelf.edition == nil && (v.shelf.err != nil || !v.shelf.known) }

// why a course is cold.
func (v *view) why() error {
	if v.shelf.err == nil {
		return store.ErrUnavailable // the first look takes too long
	}
	return v.shelf.err
}

func (v *view) channel(id string) *channel {
	for _, c := range v.channels {
		if c.ID == id {
			return c
		}
	}
	return nil
}

// names says whether the newest manifest of a channel in view names it, and no
// pause holds it back.
func (v *view) names(d bundle.Digest) (content, bool) {
	if v.kept != nil && !v.kept.contents[d] {
		return content{}, false
	}
	for _, ch := range v.channels {
		if c, ok := ch.named[d]; ok {
			return c, true
		}
	}
	return content{}, false
}

// maySend says whether a stored frame holds only what this student may have.
// Of one on a former content that is its result. Unknown kinds are never sent.
func (v *view) maySend(f *bundle.Frame) bool {
	if f.Kind != bundle.Whole && !f.OnBase() {
		return false
	}
	for _, it := range f.Items {
		if _, ok := v.names(it.Digest); !ok {
			return false
		}
	}
	return true
}

// ids names the channels in view, for the keys of caches.
func (v *view) ids() string {
	ids := make([]string, len(v.channels))
	for i, c := range v.channels {
		ids[i] = c.ID
	}
	return strings.Join(ids, ",")
}

// state is what a student without anything is told of the course.
func (v *view) state() string {
	switch {
	case v.cold():
		return hook.StateAway
	case len(v.channels) == 0:
		return hook.StateEmpty
	case v.shelf.edition.record.Paused != nil:
		return hook.StatePaused
	}
	return ""
}

// tag is a digest over what the student sees of the course: manifests,
// settings and message. The version is not in it, for it also moves with
// channels that are not theirs; nor is the time of signing.
func (v *view) tag() string {
	h := sha256.New()
	fmt.Fprintf(h, "%d\n%q %q\n", hook.Format, v.course, v.state())
	if len(v.channels) > 0 {
		head := v.shelf.edition.head
		fmt.Fprintf(h, "%q %q %t %q\n", head.Settings.Folder, head.Settings.Language, head.Settings.WhatIsNew, head.Message)
	}
	for _, c := range v.channels {
		fmt.Fprintf(h, "%q %s\n", c.ID, c.digest)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// etag is over all that a student sees.
func etag(views []view) string {
	h := sha256.New()
	for i := range views {
		fmt.Fprintln(h, views[i].tag())
	}
	return `"` + hex.EncodeToString(h.Sum(nil)[:16]) + `"`
}
