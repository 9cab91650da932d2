package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"

	"satchel/bundle"
	"satchel/hook"
)

const (
	// crewSize is how many frames are worked on at once: more than processors,
	// for some wait for the disk.
	crewSize = 4
	// smallFrame is up to how many bytes a frame is read whole, and smallSize
	// up to how many are in it: with what a delta is made on, so many times the
	// crew may be in memory.
	smallFrame = 2 << 20
	smallSize  = 8 << 20
)

// crew works on frames that have been read.
type crew struct {
	slots chan []byte // each with a place for a frame
	wg    sync.WaitGroup
	mu    sync.Mutex
	bad   error
}

func newCrew() *crew {
	c := &crew{slots: make(chan []byte, crewSize)}
	for range crewSize {
		c.slots <- nil
	}
	return c
}

func (c *crew) wait() { c.wg.Wait() }

// failed notes that a frame was bad.
func (c *crew) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bad = err
}

// takeFrame stages what is wanted of one frame, which r begins with. An error
// is the connection's.
func (a *Agent) takeFrame(ctx context.Context, c *crew, h *haul, f hook.Offered, r io.Reader) error {
	rest := a.resumable(ctx, h.course, f, r)
	defer rest.Close()
	return a.takeBytes(c, h, f, rest)
}

func (a *Agent) takeBytes(c *crew, h *haul, f hook.Offered, rest *frameBytes) error {
	if f.Length > smallFrame || f.Size > smallSize {
		return a.judge(c, h, f, a.unpack(h, f, rest), rest.failed)
	}
	data := <-c.slots
	if int64(cap(data)) < f.Length {
		data = make([]byte, f.Length, min(2*f.Length, smallFrame))
	}
	data = data[:f.Length]
	if n, err := io.ReadFull(rest, data); err != nil {
		_ = a.unpack(h, f, bytes.NewReader(data[:n])) // what is whole of it need not come again
		c.slots <- data
		return a.judge(c, h, f, err, rest.failed)
	}
	c.wg.Go(func() {
		defer func() { c.slots <- data }()
		err := a.unpack(h, f, bytes.NewReader(data))
		if err == nil {
			h.dir.KeepFrame(f.Frame, data)
		}
		_ = a.judge(c, h, f, err, nil)
	})
	return nil
}

// judge tells a bad frame, of which the contents are asked for by digest, from
// a connection that ended.
func (a *Agent) judge(c *crew, h *haul, f hook.Offered, err, network error) error {
	if err == nil {
		return nil
	}
	if network != nil {
		err = network // the decoder's words hide the network's
	}
	if isBroken(err) || errors.Is(err, errAnew) {
		return err
	}
	a.lg.Warn("frame not taken; its contents are asked for by digest", "course", h.course, "kind", f.Kind, "error", err)
	c.failed(err)
	return nil
}

// unpack stages what is wanted of a frame's bytes.
func (a *Agent) unpack(h *haul, f hook.Offered, r io.Reader) error {
	var n tally
	err := bundle.ReadFrame(f.Frame, r, h.dir.Base, func(it bundle.Item, v *bundle.Verifier) error {
		return a.takeItem(h, it, v, &n)
	})
	if err != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.got += n.kept - n.passed
	}
	return err
}

// tally is what one frame brought: wanted bytes that passed, and those of them
// that were whole contents. A frame that is bad each time it comes must not
// seem to bring something for ever.
type tally struct{ passed, kept int64 }

// takeItem stages one content, or reads past it.
func (a *Agent) takeItem(h *haul, it bundle.Item, v *bundle.Verifier, sum *tally) error {
	if !h.missing(it) {
		_, err := io.Copy(io.Discard, v)
		return err
	}
	v.Watch(func(n int) { sum.passed += int64(n); a.passed(h, it.Digest, n) })
	err := h.dir.Stage(v)
	switch {
	case v.ReadError() != nil:
		return v.ReadError() // of the stream, not of the disk
	case errors.Is(err, bundle.ErrCorrupt):
		return err
	}
	sum.kept += it.Size
	a.took(h, it.Digest, err)
	if err != nil {
		a.lg.Warn("content not kept", "course", h.course, "path", h.where[it.Digest], "error", err)
		_, err = io.Copy(io.Discard, v)
	}
	return err
}

// took notes a content that is staged, or could not be kept.
func (a *Agent) took(h *haul, d bundle.Digest, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if delete(h.want, d); err != nil {
		h.here[d] = err
		return
	}
	a.progress(h, d, len(h.want) == 0)
}

func (h *haul) missing(it bundle.Item) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	w, ok := h.want[it.Digest]
	return ok && w.Size == it.Size
}

// passed counts bytes that arrived.
func (a *Agent) passed(h *haul, at bundle.Digest, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got += int64(n)
	a.progress(h, at, false)
}
