package hookserver

import (
	"github.com/gin-gonic/gin"

	"satchel/bundle"
	"satchel/hook"
)

// What sync does not give to somebody is not had of the routes that give bytes
// by digest either: while a course is paused, they give what their claim proves
// to be held already. A claim names a version by the fingerprint of its head,
// which whoever was not given that version does not know.

// kept is what a student has of a paused course.
type kept struct {
	version   bundle.Version
	manifests map[string]*bundle.Manifest // by channel
	contents  map[bundle.Digest]bool
}

// given is the view of a route that gives bytes: of the newest version, bounded
// by a pause that sync would answer with.
func (s *Server) given(c *gin.Context, t hook.Ticket) (view, error) {
	v, err := s.view(c.Request.Context(), t, c.Param("course"))
	if err != nil || v.state() == "" {
		return v, err
	}
	var claim hook.Have
	if text := c.Query("have"); text != "" {
		if claim, err = parseHave(text); err != nil {
			return v, err
		}
	}
	h := holding{}
	if claim.Course == v.course {
		h = v.holds(claim)
	}
	if !s.passes(v, h) {
		held := s.heldManifests(v, h)
		v.kept = &kept{h.version, held, heldContents(held)}
	}
	return v, nil
}

// of gives the manifest of a channel that counts, and the version that it is
// of; nil where there is none for this student now.
func (k *kept) of(ch *channel) (*bundle.Manifest, bundle.Version) {
	if k == nil {
		return ch.manifest, ch.newest()
	}
	return k.manifests[ch.ID], ch.at(k.version)
}
