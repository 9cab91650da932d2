package hookserver

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"satchel/bundle"
	"satchel/hook"
)

// Limits of what an agent says it has.
const (
	maxHaves    = 200 // courses
	maxChannels = 200 // of one course
	maxKeys     = 16
)

// asked is what a sync request says.
type asked struct {
	have map[string]hook.Have
	keys []string
	urls bool // signed URLs are taken
}

// getSync answers GET and POST /v1/sync, the request of every login.
func (s *Server) getSync(c *gin.Context, t hook.Ticket) error {
	ask, err := readAsked(c)
	if err != nil {
		return err
	}
	s.tellRequest(t, ask.keys)
	views := s.current(c.Request.Context(), t, ask)
	if err := allCold(views); err != nil {
		return err
	}
	s.countKeys(views, ask.keys)
	if tag := setTag(c, views, ask); tag != "" && strings.TrimPrefix(c.GetHeader("If-None-Match"), "W/") == tag {
		c.Status(http.StatusNotModified)
		c.Writer.WriteHeaderNow()
		return nil
	}
	back, err := s.guests.stream(t, false)
	if err != nil {
		return err
	}
	defer back()
	list, err := s.prepareAll(c.Request.Context(), t, views, ask)
	if err != nil {
		return err
	}
	setTag(c, views, ask)
	return s.sendOffer(c, t, list)
}

// setTag tells the tag of what is given out; "" for whoever is ahead: what they
// hold instead is not what it stands for.
func setTag(c *gin.Context, views []view, ask asked) (tag string) {
	if !anyAhead(views, ask) {
		tag = etag(views)
	}
	c.Header("ETag", tag) // "" takes it away
	return tag
}

// prepareAll keeps the fault of one course from the others. It is an error
// when a fault is all that there is to say. Of a course whose bundles went away
// a newer version is looked for, and takes the view's place.
func (s *Server) prepareAll(ctx context.Context, t hook.Ticket, views []view, ask asked) (list []*prepared, err error) {
	some := len(views) == 0
	for i, v := range views {
		p, fault := s.prepareReady(ctx, v, ask)
		if newer, ok := s.overtaken(ctx, t, v, fault); ok {
			views[i], v = newer, newer
			p, fault = s.prepareReady(ctx, v, ask)
		}
		if fault == nil {
			list, some = append(list, p), some || !v.cold()
			continue
		}
		if ctx.Err() == nil {
			s.lg.Error("a course cannot be given out now", "course", v.course, "version", v.shelf.version(), "err", fault)
		}
		err = fault
		if p, fault = s.pack(&hook.CourseOffer{Course: v.course, State: hook.StateAway}, nil); fault != nil {
			return nil, fault
		}
		list = append(list, p)
	}
	if some {
		return list, nil
	}
	return list, err
}

// prepareReady also looks whether the first bytes can be had: after the
// answer's status has gone out it is too late to say that they cannot.
func (s *Server) prepareReady(ctx context.Context, v view, ask asked) (*prepared, error) {
	p, err := s.prepare(ctx, v, ask.have[v.course])
	if err != nil {
		return nil, err
	}
	if ask.urls {
		p = s.signed(ctx, p)
	}
	for f := range p.inside() {
		if f.made == nil {
			r, err := s.lib.blobs.section(ctx, v.course, f.stored, f.offered.Offset, f.offered.Length)
			if err != nil {
				return nil, err
			}
			return p, r.Close()
		}
	}
	return p, nil
}

// current are the student's courses; where the agent claims more than is
// known here the store is looked at again first.
func (s *Server) current(ctx context.Context, t hook.Ticket, ask asked) []view {
	views := s.views(ctx, t)
	if !anyAhead(views, ask) {
		return views
	}
	for i := range views {
		if views[i].ahead(ask.have[views[i].course]) {
			s.lib.refreshSoon(ctx, views[i].course)
		}
	}
	return s.views(ctx, t)
}

func anyAhead(views []view, ask asked) bool {
	for i := range views {
		claim := ask.have[views[i].course]
		if views[i].ahead(claim) || views[i].other(claim) {
			return true
		}
	}
	return false
}

// allCold is an error when nothing at all can be told.
func allCold(views []view) error {
	for i := range views {
		if !views[i].cold() {
			return nil
		}
	}
	if len(views) == 0 {
		return nil
	}
	return views[0].why()
}

// countKeys counts agents that trust none of the keys of a course's head.
func (s *Server) countKeys(views []view, keys []string) {
	if len(keys) == 0 {
		return
	}
	for _, v := range views {
		if ed := v.shelf.edition; ed != nil && !signedByAny(ed.record.Head, keys) {
			s.metrics.strange.Inc()
			return
		}
	}
}

func signedByAny(e *bundle.Envelope, keys []string) bool {
	for _, sig := range e.Signatures {
		for _, k := range keys {
			if sig.KeyID == k {
				return true
			}
		}
	}
	return false
}

// readAsked reads the query, or the body of a POST with the same form.
func readAsked(c *gin.Context) (asked, error) {
	query := c.Request.URL.RawQuery
	if len(query) > maxQuery {
		return asked{}, tooLarge{maxQuery}
	}
	if c.Request.Method == http.MethodPost {
		body, err := readBody(c, maxSyncBody)
		if err != nil {
			return asked{}, err
		}
		query = string(body)
	}
	return parseAsked(query)
}

func parseAsked(query string) (asked, error) {
	q, err := url.ParseQuery(query)
	if err != nil || len(q["have"]) > maxHaves || len(q["keys"]) > maxKeys {
		return asked{}, bad("have and keys are not understood")
	}
	out := asked{have: map[string]hook.Have{}, keys: q["keys"], urls: q.Get("urls") == "1"}
	for _, k := range out.keys {
		if len(k) > 64 {
			return asked{}, bad("keys are ids of public keys")
		}
	}
	for _, text := range q["have"] {
		h, err := parseHave(text)
		if err != nil {
			return asked{}, err
		}
		if _, twice := out.have[h.Course]; twice {
			return asked{}, bad("have names a course twice")
		}
		out.have[h.Course] = h
	}
	return out, nil
}

func parseHave(text string) (hook.Have, error) {
	h, err := hook.ParseHave(text)
	if err != nil || len(h.Channels) > maxChannels || len(h.Fingerprint) > 64 {
		return hook.Have{}, bad("have is not COURSE:VERSION:FINGERPRINT:CHANNELS")
	}
	for _, id := range h.Channels {
		if id == "" || len(id) > 64 {
			return hook.Have{}, bad("have names a channel that cannot be")
		}
	}
	return h, nil
}

// sendOffer writes an answer of type hook.OfferType: the offer, then the
// bytes of its frames, but of those that lie behind its URLs.
func (s *Server) sendOffer(c *gin.Context, t hook.Ticket, list []*prepared) error {
	head, err := s.packOffer(t, list)
	if err != nil {
		return err
	}
	total := int64(0)
	for _, part := range head {
		total += int64(len(part))
	}
	for _, p := range list {
		for f := range p.inside() {
			total += f.offered.Length
		}
	}
	c.Header("Content-Type", hook.OfferType)
	c.Header("Content-Length", strconv.FormatInt(total, 10))
	c.Status(http.StatusOK)
	w := s.newBody(c, t)
	defer w.close()
	for _, part := range head {
		if err := w.bytes("offer", part); err != nil {
			return err
		}
	}
	for _, p := range list {
		w.elsewhere(p.outside())
		if err := s.sendFrames(c.Request.Context(), w, p); err != nil {
			return err
		}
	}
	return nil
}

// sendFrames writes the frames of one course.
func (s *Server) sendFrames(ctx context.Context, w *body, p *prepared) error {
	to := frameSender{s: s, w: w, course: p.course}
	defer to.close()
	for f := range p.inside() {
		if err := to.send(ctx, f); err != nil {
			return err
		}
	}
	return nil
}
