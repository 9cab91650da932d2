package hookserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"

	"satchel/bundle"
)

// largeRecipe is where a put-together frame is no longer held in memory.
const largeRecipe = 8 << 20

// recipe says what to make a new frame of: contents, and where each lies, or
// for one content on base the deltas that lead there (joined.go).
type recipe struct {
	course string
	items  []bundle.Item
	from   []place // of each item, or the deltas
	base   bundle.Digest
}

// key names the result: the same contents in the same order give the same
// bytes, whatever course they are of, and the same deltas do.
func (r *recipe) key() bundle.Digest {
	h := sha256.New()
	for _, it := range r.items {
		h.Write(it.Digest[:])
	}
	if !r.base.IsZero() {
		h.Write(r.base[:])
		for _, at := range r.from {
			h.Write(at.bundle[:])
			h.Write(binary.BigEndian.AppendUint64(nil, uint64(at.frame.Offset)))
		}
	}
	return bundle.Digest(h.Sum(nil))
}

// large says that the frame is not held in memory.
func (r *recipe) large() bool { return r.base.IsZero() && r.size() > largeRecipe }

func (r *recipe) size() (n int64) {
	for _, it := range r.items {
		n += it.Size
	}
	return n
}

// assembler puts frames together from parts of stored ones: where a stored
// frame holds what a student may not see, or mostly what they do not need.
//
// It is the dearest thing that a request can ask for. So each guest has one
// turn: what else they ask for at once waits until it is given back, and
// others find a slot.
type assembler struct {
	blobs    *blobs
	guests   *guests
	made     *lru[bundle.Digest, []byte]
	sizes    *lru[bundle.Digest, int64] // of large ones
	making   *flights[[]byte]
	counting *flights[int64]
	slots    chan struct{} // at most one for each processor
	m        *metrics
}

func newAssembler(b *blobs, g *guests, budget int64, m *metrics) *assembler {
	return &assembler{
		blobs: b, guests: g, made: newLRU[bundle.Digest, []byte](budget), sizes: newLRU[bundle.Digest, int64](1 << 20),
		making: newFlights[[]byte](), counting: newFlights[int64](), slots: make(chan struct{}, runtime.GOMAXPROCS(0)), m: m,
	}
}

// slot waits for one of the slots.
func (a *assembler) slot(ctx context.Context) (back func(), err error) {
	select {
	case a.slots <- struct{}{}:
		return func() { <-a.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// length is how many bytes the frame of r will have.
func (a *assembler) length(ctx context.Context, who guest, r *recipe) (int64, error) {
	if !r.large() {
		data, err := a.frame(ctx, who, r)
		return int64(len(data)), err
	}
	key := r.key()
	if n, ok := a.sizes.get(key); ok {
		return n, nil
	}
	back, err := a.guests.turn(ctx, who)
	if err != nil {
		return 0, err
	}
	defer back()
	return a.counting.do(ctx, key.String(), func(ctx context.Context) (int64, error) { return a.count(ctx, r) })
}

// count makes a large frame to see how long it gets.
func (a *assembler) count(ctx context.Context, r *recipe) (int64, error) {
	back, err := a.slot(ctx)
	if err != nil {
		return 0, err
	}
	defer back()
	n := &counter{w: io.Discard}
	err = a.stream(ctx, r, n)
	if errors.Is(err, bundle.ErrCorrupt) && a.blobs.cache != nil { // thrown away by stream, had anew here
		n.n = 0
		err = a.stream(ctx, r, n)
	}
	if err != nil {
		return 0, err
	}
	a.sizes.put(r.key(), n.n, 64)
	return n.n, nil
}

// send writes the frame of r. A large one takes the guest's turn but no slot:
// its reader sets the pace, and must not keep others waiting.
func (a *assembler) send(ctx context.Context, who guest, r *recipe, w io.Writer) error {
	if r.large() {
		back, err := a.guests.turn(ctx, who)
		if err != nil {
			return err
		}
		defer back()
		return a.stream(ctx, r, w)
	}
	data, err := a.frame(ctx, who, r)
	if err == nil {
		_, err = w.Write(data)
	}
	return err
}

// frame makes a small frame, or gives it from memory. Several at once are one.
func (a *assembler) frame(ctx context.Context, who guest, r *recipe) ([]byte, error) {
	key := r.key()
	if data, ok := a.made.get(key); ok {
		return data, nil
	}
	back, err := a.guests.turn(ctx, who)
	if err != nil {
		return nil, err
	}
	defer back()
	return a.making.do(ctx, key.String(), func(ctx context.Context) ([]byte, error) { return a.makeOnce(ctx, key, r) })
}

// makeOnce makes a frame and keeps it in memory.
func (a *assembler) makeOnce(ctx context.Context, key bundle.Digest, r *recipe) ([]byte, error) {
	back, err := a.slot(ctx)
	if err != nil {
		return nil, err
	}
	defer back()
	if data, ok := a.made.get(key); ok { // made while this waited
		return data, nil
	}
	data, err := a.make(ctx, r)
	if err != nil {
		return nil, err
	}
	a.m.made.Inc()
	a.made.put(key, data, int64(len(data)))
	return data, nil
}

func (a *assembler) make(ctx context.Context, r *recipe) ([]byte, error) {
	if !r.base.IsZero() {
		return a.join(ctx, r)
	}
	contents, err := a.collect(ctx, r)
	if err != nil {
		return nil, err
	}
	in := make([]io.Reader, len(r.items))
	for i, it := range r.items {
		in[i] = bytes.NewReader(contents[it.Digest])
	}
	var out bytes.Buffer
	err = bundle.Compress(&out, untilDone{ctx, io.MultiReader(in...)})
	return out.Bytes(), err
}

// collect reads the contents of r. A stored frame is decoded once, for all of
// r that lies in it.
func (a *assembler) collect(ctx context.Context, r *recipe) (map[bundle.Digest][]byte, error) {
	contents := make(map[bundle.Digest][]byte, len(r.items))
	wanted := make(map[bundle.Digest]bool, len(r.items))
	for _, it := range r.items {
		wanted[it.Digest] = true
	}
	for i, it := range r.items {
		if _, ok := contents[it.Digest]; ok {
			continue
		}
		err := a.read(ctx, r.course, r.from[i], func(got bundle.Item, body *bundle.Verifier) error {
			if !wanted[got.Digest] {
				_, err := io.Copy(io.Discard, body)
				return err
			}
			data := bytes.NewBuffer(make([]byte, 0, got.Size))
			_, err := io.Copy(data, body)
			contents[got.Digest] = data.Bytes()
			return err
		})
		if err != nil {
			return nil, err
		}
		if _, ok := contents[it.Digest]; !ok {
			return nil, fmt.Errorf("%w: content %s is not where it was said to be", bundle.ErrCorrupt, it.Digest)
		}
	}
	return contents, nil
}

// stream makes a frame of large contents without holding it. The encoder is
// deterministic, so it has the length that was counted before.
func (a *assembler) stream(ctx context.Context, r *recipe, w io.Writer) error {
	pr, pw := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		pw.CloseWithError(safely(func() error { return a.pour(ctx, r, pw) }))
	}()
	err := bundle.Compress(w, untilDone{ctx, pr})
	pr.Close()
	<-ended
	return err
}

// pour writes the contents of r, one after the other.
func (a *assembler) pour(ctx context.Context, r *recipe, w io.Writer) error {
	for i, it := range r.items {
		err := a.readOnce(ctx, r.course, r.from[i], func(got bundle.Item, body *bundle.Verifier) error {
			to := io.Discard
			if got.Digest == it.Digest {
				to = w
			}
			_, err := io.Copy(to, body)
			return err
		})
		if errors.Is(err, bundle.ErrCorrupt) {
			a.blobs.doubt(r.from[i].bundle)
		}
		if err != nil {
			return fmt.Errorf("bundle %s: %w", r.from[i].bundle, err)
		}
	}
	return nil
}

// read decodes a stored whole frame.
func (a *assembler) read(ctx context.Context, course string, at place, place func(bundle.Item, *bundle.Verifier) error) error {
	return a.again(at, func() error { return a.readOnce(ctx, course, at, place) })
}

// again is for what reads a stored frame: what the cache held damaged is had
// anew, once.
func (a *assembler) again(at place, read func() error) error {
	err := read()
	if errors.Is(err, bundle.ErrCorrupt) && a.blobs.cache != nil {
		a.blobs.doubt(at.bundle)
		err = read()
	}
	if err != nil {
		return fmt.Errorf("bundle %s: %w", at.bundle, err)
	}
	return nil
}

func (a *assembler) readOnce(ctx context.Context, course string, at place, place func(bundle.Item, *bundle.Verifier) error) error {
	r, err := a.blobs.section(ctx, course, at, at.frame.Offset, at.frame.Length)
	if err != nil {
		return err
	}
	defer r.Close()
	return bundle.ReadFrame(*at.frame, untilDone{ctx, r}, nil, place)
}

// untilDone is a reader that ends with its context: files and pipes know none.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
