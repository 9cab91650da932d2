package hookserver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"satchel/bundle"
	"satchel/hook"
)

// prepared is the answer for one course, from what an agent has to the
// newest. It is the same for all students with the same channels who have
// the same, so it is kept; but for left, which echoes what the agent said.
type prepared struct {
	course string
	packed []byte // zstd of the CourseOffer's JSON, without its last brace
	plain  int64  // its length before
	pieces []piece
	runs   []run          // of pieces, for which URLs may be signed (redirect.go)
	left   []string       // CourseOffer.Left
	urls   []hook.Section // CourseOffer.URLs; signed for one answer, never kept
}

// with is p for an agent that has left these channels.
func (p prepared) with(left []string) *prepared {
	p.left = left
	return &p
}

// end is the rest of the CourseOffer's JSON.
func (p *prepared) end() (rest string) {
	if len(p.left) > 0 {
		list, _ := json.Marshal(p.left) // of strings: never an error
		rest += `,"left":` + string(list)
	}
	if len(p.urls) > 0 {
		urls, _ := json.Marshal(p.urls) // as above
		rest += `,"urls":` + string(urls)
	}
	return rest + "}"
}

// cost is what keeping p costs.
func (p *prepared) cost() int64 {
	n := int64(len(p.packed)) + 500 + 50*int64(len(p.runs))
	for _, f := range p.pieces {
		n += 200 + 80*int64(len(f.offered.Items))
	}
	return n
}

// holding is what an agent has of a course: known only where its version and
// fingerprint are a head that the course had.
type holding struct {
	claim   hook.Have
	version bundle.Version // 0: nothing that is known here
}

// holds judges an agent's claim.
func (v *view) holds(claim hook.Have) holding {
	h := holding{claim: claim}
	ed := v.shelf.edition
	if ed == nil || claim.Version == 0 || claim.Version > ed.record.Version {
		return h
	}
	seen, ok := v.shelf.seen[claim.Fingerprint]
	if ok && seen == claim.Version || claim.Fingerprint == ed.fingerprintAt(claim.Version) {
		h.version = claim.Version
	}
	return h
}

// bases are the channels in view that the agent has, each with the version
// from which its changes lead: what of a claim makes an answer differ. Names
// made up, doubled or turned round make none.
func (v *view) bases(h holding) (out []string) {
	for _, ch := range v.channels {
		if t := ch.at(h.version); t > 0 && slices.Contains(h.claim.Channels, ch.ID) {
			out = append(out, fmt.Sprintf("%s %d", ch.ID, t))
		}
	}
	return out
}

// ahead says that the agent claims a newer version than this service has. For
// who sees nothing of the course it is never so: the answer would tell them
// its version.
func (v *view) ahead(claim hook.Have) bool {
	return len(v.channels) > 0 && claim.Version > v.shelf.version()
}

// other says that the agent claims another head of this very version.
func (v *view) other(claim hook.Have) bool {
	ed := v.shelf.edition
	return len(v.channels) > 0 && claim.Version == ed.head.Version && claim.Fingerprint != ed.head.Fingerprint()
}

// left are the channels that the agent has and the student may not see.
func (v *view) left(claim hook.Have) (out []string) {
	for _, id := range claim.Channels {
		if v.channel(id) == nil {
			out = append(out, id)
		}
	}
	return out
}

// prepare gives the answer for one course.
func (s *Server) prepare(ctx context.Context, v view, claim hook.Have) (*prepared, error) {
	h := v.holds(claim)
	if v.ahead(claim) {
		return s.pack(&hook.CourseOffer{Course: v.course, State: v.stale(), Prove: v.shelf.err == nil}, nil)
	}
	var p *prepared
	var err error
	if state := v.state(); state != "" && !s.passes(v, h) {
		p, err = s.pack(&hook.CourseOffer{Course: v.course, State: state}, nil)
	} else {
		p, err = s.newest(ctx, v, h)
	}
	if err != nil {
		return nil, err
	}
	return p.with(v.left(claim)), nil
}

// newest leads from what the agent holds to the newest version. Who asks for the
// same at once, as a class does after a release, waits for one making of it.
func (s *Server) newest(ctx context.Context, v view, h holding) (*prepared, error) {
	other := v.other(h.claim)
	key := fmt.Sprintf("%d %s %t %q", v.shelf.edition.id, v.ids(), other, v.bases(h))
	if p, ok := s.prepared.get(key); ok {
		return p, nil
	}
	return s.preparing.do(ctx, key, func(ctx context.Context) (*prepared, error) {
		if p, ok := s.prepared.get(key); ok { // by who was here a moment ago
			return p, nil
		}
		p, err := s.lead(ctx, v, h, other)
		if err == nil {
			s.prepared.put(key, p, p.cost()+int64(len(key)))
		}
		return p, err
	})
}

// lead makes the answer that newest gives.
func (s *Server) lead(ctx context.Context, v view, h holding, other bool) (*prepared, error) {
	c := &hook.CourseOffer{Course: v.course, Head: v.shelf.edition.record.Head, Prove: other}
	held := s.heldManifests(v, h)
	for _, ch := range v.channels {
		c.Channels = append(c.Channels, s.channelOffer(ch, held[ch.ID], h.version))
	}
	pieces, err := s.choose(ctx, v, wanted(v, held), held)
	if err != nil {
		return nil, err
	}
	p, err := s.pack(c, pieces)
	if err == nil {
		p.runs = runs(pieces)
	}
	return p, err
}

// stale is StateAway while the store does not answer: then an agent that has
// more than this service is no wonder.
func (v *view) stale() string {
	if v.shelf.err != nil {
		return hook.StateAway
	}
	return ""
}

// passes says whether a paused course's newest version goes out to somebody
// who has something: when it is a rollback, decided after the pause, or takes
// back a content that they have.
func (s *Server) passes(v view, h holding) bool {
	if v.state() != hook.StatePaused || h.version == 0 || len(v.channels) == 0 {
		return false
	}
	r := v.shelf.edition.record
	if r.Pinned != nil && r.Pinned.Time.After(r.Paused.Time) {
		return true
	}
	held := s.heldManifests(v, h)
	for _, ch := range v.channels {
		if m := held[ch.ID]; m != nil {
			for _, w := range ch.manifest.Withdrawn {
				if f, ok := m.Find(w.Path); ok && f.Digest == w.Digest {
					return true
				}
			}
		}
	}
	return false
}

// heldManifests are those of the channels in view that the agent has.
func (s *Server) heldManifests(v view, h holding) map[string]*bundle.Manifest {
	out := map[string]*bundle.Manifest{}
	if h.version == 0 {
		return out
	}
	for _, id := range h.claim.Channels {
		if ch := v.channel(id); ch != nil {
			if m, err := s.lib.manifestAt(ch, h.version); err == nil {
				out[id] = m
			}
		}
	}
	return out
}

// channelOffer leads from base (nil: nothing) to the channel's newest.
func (s *Server) channelOffer(ch *channel, base *bundle.Manifest, at bundle.Version) hook.ChannelOffer {
	o := hook.ChannelOffer{ID: ch.ID, Changes: bundle.Diff(base, ch.manifest)}
	if base == nil {
		return o
	}
	o.Base = base.Digest()
	if steps, ok := ch.path(ch.at(at), ch.newest()); ok {
		o.Changes.Hint(base, bundle.Renames(base, steps...))
	}
	return o
}

// wanted are the contents in view that no held manifest names.
func wanted(v view, held map[string]*bundle.Manifest) map[bundle.Digest]content {
	has := heldContents(held)
	out := map[bundle.Digest]content{}
	for _, ch := range v.channels {
		for d, c := range ch.named {
			if old, ok := out[d]; ok {
				c.rank = min(c.rank, old.rank)
			}
			if !has[d] {
				out[d] = c
			}
		}
	}
	return out
}

func heldContents(held map[string]*bundle.Manifest) map[bundle.Digest]bool {
	has := map[bundle.Digest]bool{}
	for _, m := range held {
		for _, f := range m.Files {
			has[f.Digest] = true
		}
	}
	return has
}

// pack finishes an answer but for its end.
func (s *Server) pack(c *hook.CourseOffer, pieces []piece) (*prepared, error) {
	for i := range pieces {
		c.Frames = append(c.Frames, pieces[i].offered)
	}
	data, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	data = data[:len(data)-1]
	var packed bytes.Buffer
	if err := bundle.Compress(&packed, bytes.NewReader(data)); err != nil {
		return nil, err
	}
	return &prepared{course: c.Course, packed: packed.Bytes(), plain: int64(len(data)), pieces: pieces}, nil
}
