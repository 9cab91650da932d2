package hookserver

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"satchel/bundle"
	"satchel/hook"
	"satchel/store"
)

// getBundle answers GET /v1/courses/{course}/bundles/{digest} with one range,
// all of it in frames that this student may have. Anything else is absent.
func (s *Server) getBundle(c *gin.Context, t hook.Ticket) error {
	from, to, err := oneRange(c.Request.Header)
	if err != nil {
		return err
	}
	v, err := s.given(c, t)
	if err != nil {
		return err
	}
	d, err := bundle.ParseDigest(c.Param("digest"))
	if err != nil {
		return errNotFound
	}
	at, ok := v.area(d, from, to)
	if !ok {
		return errNotFound
	}
	back, err := s.guests.stream(t, false)
	if err != nil {
		return err
	}
	defer back()
	n := to - from + 1
	r, err := s.lib.blobs.section(c.Request.Context(), v.course, at, from, n)
	if _, ok := s.overtaken(c.Request.Context(), t, v, err); ok {
		return errNotFound // sync is asked anew
	}
	if err != nil {
		return err
	}
	defer r.Close()
	c.Header("Content-Type", "application/octet-stream")
	c.Header("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, at.size))
	c.Header("Content-Length", strconv.FormatInt(n, 10))
	c.Status(http.StatusPartialContent)
	w := s.newBody(c, t)
	defer w.close()
	if x := v.index(d); x != nil {
		w.watch = s.watch(c.Request.Context(), v.course, itemsIn(x, from, to))
	}
	return w.copy("stored", r, n)
}

// oneRange reads "bytes=FROM-TO", the only form that agents send.
func oneRange(h http.Header) (from, to int64, err error) {
	wrong := bad("ask for one range, as Range: bytes=FROM-TO")
	if len(h["Range"]) != 1 {
		return 0, 0, wrong
	}
	text, ok := strings.CutPrefix(h["Range"][0], "bytes=")
	a, b, dash := strings.Cut(text, "-")
	from, err = parseOffset(a)
	to, err2 := parseOffset(b)
	if !ok || !dash || err != nil || err2 != nil || to < from {
		return 0, 0, wrong
	}
	return from, to, nil
}

func parseOffset(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 33) // MaxBundleSize is 2^32
	return int64(n), err
}

// area says where a range lies, if every byte of it is in a frame that the
// student may have.
func (v *view) area(d bundle.Digest, from, to int64) (place, bool) {
	for _, ch := range v.channels {
		for _, ref := range ch.Bundles {
			if ref.Digest != d {
				continue
			}
			return place{bundle: d, size: ref.Size}, v.covers(ch.indexes[d], from, to)
		}
	}
	return place{}, false
}

func (v *view) index(d bundle.Digest) *bundle.Index {
	for _, ch := range v.channels {
		if x := ch.indexes[d]; x != nil {
			return x
		}
	}
	return nil
}

func (v *view) covers(x *bundle.Index, from, to int64) bool {
	at := from
	for i := range x.Frames {
		f := &x.Frames[i]
		if f.Offset <= at && at < f.Offset+f.Length {
			if !v.maySend(f) {
				return false
			}
			at = f.Offset + f.Length
		}
		if at > to {
			return true
		}
	}
	return false
}

// postFiles answers POST /v1/courses/{course}/files: of the contents asked
// for, those that the newest manifests of this student name and no pause holds
// back.
func (s *Server) postFiles(c *gin.Context, t hook.Ticket) error {
	var ask hook.Ask
	if err := readJSON(c, maxAskBody, &ask); err != nil {
		return err
	}
	if len(ask.Digests) == 0 || len(ask.Digests) > hook.MaxAsked {
		return bad("ask for 1 to %d contents", hook.MaxAsked)
	}
	v, err := s.given(c, t)
	if err != nil {
		return err
	}
	want := map[bundle.Digest]content{}
	for _, d := range ask.Digests {
		if named, ok := v.names(d); ok {
			want[d] = named
		}
	}
	if len(want) == 0 {
		return errNotFound
	}
	back, err := s.guests.stream(t, false)
	if err != nil {
		return err
	}
	defer back()
	pieces, err := s.choose(c.Request.Context(), v, want, nil)
	if _, ok := s.overtaken(c.Request.Context(), t, v, err); ok {
		return errNotFound
	}
	if err != nil {
		return err
	}
	p, err := s.pack(&hook.CourseOffer{Course: v.course}, pieces)
	if err != nil {
		return err
	}
	if ask.URLs {
		p.runs = runs(pieces)
		p = s.signed(c.Request.Context(), p)
	}
	return s.sendOffer(c, t, []*prepared{p})
}

// getHistory answers GET /v1/courses/{course}/history?channel=ID with zstd of
// the history's text; while the course is paused, of the version that is held.
func (s *Server) getHistory(c *gin.Context, t hook.Ticket) error {
	v, err := s.given(c, t)
	if err != nil {
		return err
	}
	ch := v.channel(c.Query("channel"))
	if ch == nil {
		return errNotFound
	}
	m, at := v.kept.of(ch)
	if m == nil {
		return errNotFound
	}
	back, err := s.guests.stream(t, false)
	if err != nil {
		return err
	}
	defer back()
	packed, err := s.history(c.Request.Context(), v.course, ch, at, m.History)
	if err != nil {
		return err
	}
	c.Header("Content-Type", "application/zstd")
	c.Header("Content-Length", strconv.Itoa(len(packed)))
	c.Status(http.StatusOK)
	w := s.newBody(c, t)
	defer w.close()
	return w.bytes("history", packed)
}

// history gives the packed history that a channel had at a version, read anew
// from its bundles and checked against want, which its manifest named.
func (s *Server) history(ctx context.Context, course string, ch *channel, at bundle.Version, want bundle.Digest) ([]byte, error) {
	if packed, ok := s.mix.made.get(want); ok {
		return packed, nil
	}
	packed, err := s.mix.making.do(ctx, "history "+want.String(), func(ctx context.Context) ([]byte, error) {
		packed, err := s.readHistory(ctx, course, ch, at, want)
		if err == nil {
			s.mix.made.put(want, packed, int64(len(packed)))
		}
		return packed, err
	})
	if err != nil {
		return nil, fmt.Errorf("history of %s: %w", course, err)
	}
	return packed, nil
}

func (s *Server) readHistory(ctx context.Context, course string, ch *channel, at bundle.Version, want bundle.Digest) ([]byte, error) {
	steps, ok := ch.path(0, at)
	if !ok {
		return nil, fmt.Errorf("%w: no bundles lead to version %d", bundle.ErrCorrupt, at)
	}
	var h bundle.History
	for _, step := range steps {
		x, err := s.lib.blobs.index(ctx, course, ch.ref(step))
		if err != nil {
			return nil, err
		}
		h, _ = h.Add(x.Former...)
	}
	text := h.Encode()
	if bundle.Sum(text) != want {
		return nil, fmt.Errorf("%w: the bundles give another history than the manifest names", bundle.ErrCorrupt)
	}
	var packed bytes.Buffer
	err := bundle.Compress(&packed, bytes.NewReader(text))
	return packed.Bytes(), err
}

// ref is the record's entry for an index of this channel.
func (ch *channel) ref(x *bundle.Index) store.BundleRef {
	for _, r := range ch.Bundles {
		if ch.indexes[r.Digest] == x {
			return r
		}
	}
	return store.BundleRef{}
}
