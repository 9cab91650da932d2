package hookserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"

	"golang.org/x/sync/singleflight"

	"satchel/bundle"
)

// largeRecipe is where a put-together frame is no longer held in memory.
const largeRecipe = 8 << 20

// recipe says which contents to put into one new frame, and where each lies.
type recipe struct {
	course string
	items  []bundle.Item
	from   []place // of each item
}

// key names the result: the same contents in the same order give the same
// bytes, whatever course they are of.
func (r *recipe) key() bundle.Digest {
	h := sha256.New()
	for _, it := range r.items {
		h.Write(it.Digest[:])
	}
	return bundle.Digest(h.Sum(nil))
}

func (r *recipe) size() (n int64) {
	for _, it := range r.items {
		n += it.Size
	}
	return n
}

// assembler puts frames together from parts of stored ones: where a stored
// frame holds what a student may not see, or mostly what they do not need.
type assembler struct {
	blobs  *blobs
	made   *lru[bundle.Digest, []byte]
	sizes  *lru[bundle.Digest, int64] // of large ones
	flight singleflight.Group
	slots  chan struct{} // at most one for each processor
	m      *metrics
}

func newAssembler(b *blobs, budget int64, m *metrics) *assembler {
	return &assembler{
		blobs: b, made: newLRU[bundle.Digest, []byte](budget), sizes: newLRU[bundle.Digest, int64](1 << 20),
		slots: make(chan struct{}, runtime.GOMAXPROCS(0)), m: m,
	}
}

// length is how many bytes the frame of r will have.
func (a *assembler) length(ctx context.Context, r *recipe) (int64, error) {
	if r.size() <= largeRecipe {
		data, err := a.frame(ctx, r)
		return int64(len(data)), err
	}
	if n, ok := a.sizes.get(r.key()); ok {
		return n, nil
	}
	n := &counter{w: io.Discard}
	err := a.stream(ctx, r, n)
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

// send writes the frame of r.
func (a *assembler) send(ctx context.Context, r *recipe, w io.Writer) error {
	if r.size() > largeRecipe {
		return a.stream(ctx, r, w)
	}
	data, err := a.frame(ctx, r)
	if err == nil {
		_, err = w.Write(data)
	}
	return err
}

// frame makes a small frame, or gives it from memory. Several at once are one.
func (a *assembler) frame(ctx context.Context, r *recipe) ([]byte, error) {
	key := r.key()
	if data, ok := a.made.get(key); ok {
		return data, nil
	}
	done := a.flight.DoChan(key.String(), func() (any, error) {
		a.slots <- struct{}{}
		defer func() { <-a.slots }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), downloadTime)
		defer cancel()
		var data []byte
		err := safely(func() (err error) { data, err = a.make(ctx, r); return err })
		if err != nil {
			return nil, err
		}
		a.m.made.Inc()
		a.made.put(key, data, int64(len(data)))
		return data, nil
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case res := <-done:
		if res.Err != nil {
			return nil, res.Err
		}
		return res.Val.([]byte), nil
	}
}

func (a *assembler) make(ctx context.Context, r *recipe) ([]byte, error) {
	contents := map[bundle.Digest][]byte{}
	for i, it := range r.items {
		if _, ok := contents[it.Digest]; ok {
			continue
		}
		err := a.read(ctx, r.course, r.from[i], func(got bundle.Item, body io.Reader) error {
			if !r.wants(got.Digest) {
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
	}
	var in []io.Reader
	for _, it := range r.items {
		data, ok := contents[it.Digest]
		if !ok {
			return nil, fmt.Errorf("%w: content %s is not where it was said to be", bundle.ErrCorrupt, it.Digest)
		}
		in = append(in, bytes.NewReader(data))
	}
	var out bytes.Buffer
	err := bundle.Compress(&out, io.MultiReader(in...))
	return out.Bytes(), err
}

func (r *recipe) wants(d bundle.Digest) bool {
	for _, it := range r.items {
		if it.Digest == d {
			return true
		}
	}
	return false
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
	err := bundle.Compress(w, pr)
	pr.Close()
	<-ended
	return err
}

// pour writes the contents of r, one after the other.
func (a *assembler) pour(ctx context.Context, r *recipe, w io.Writer) error {
	for i, it := range r.items {
		err := a.readOnce(ctx, r.course, r.from[i], func(got bundle.Item, body io.Reader) error {
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

// read decodes a stored whole frame. What the cache held damaged is had anew,
// once.
func (a *assembler) read(ctx context.Context, course string, at place, place func(bundle.Item, io.Reader) error) error {
	err := a.readOnce(ctx, course, at, place)
	if errors.Is(err, bundle.ErrCorrupt) && a.blobs.cache != nil {
		a.blobs.doubt(at.bundle)
		err = a.readOnce(ctx, course, at, place)
	}
	if err != nil {
		return fmt.Errorf("bundle %s: %w", at.bundle, err)
	}
	return nil
}

func (a *assembler) readOnce(ctx context.Context, course string, at place, place func(bundle.Item, io.Reader) error) error {
	r, err := a.blobs.section(ctx, course, at, at.frame.Offset, at.frame.Length)
	if err != nil {
		return err
	}
	defer r.Close()
	return bundle.ReadFrame(*at.frame, r, nil, place)
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
