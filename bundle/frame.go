package bundle

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// ErrKind means: a kind of frame that this reader does not know. The file is
// to be had whole elsewhere.
var ErrKind = errors.New("unknown kind of frame")

// maxPatchBase is the largest former content that a Patch is applied to.
const maxPatchBase = 8 << 20

// window bounds the decoder's memory: the largest window that the encoder
// ever chooses at the default level is 8 MiB; patches need their base's size.
const window = 32 << 20

// Pictures in notebooks are base64: without a match, and yet a quarter of their
// bytes can be saved (AllLitEntropyCompression). A larger window saves nothing
// that was measured, and costs a reader its size. What is read is checked by
// its digest, so it needs no checksum.
var encoders, fastEncoders = encodersAt(zstd.SpeedDefault), encodersAt(zstd.SpeedFastest)

func encodersAt(level zstd.EncoderLevel) *sync.Pool {
	return &sync.Pool{New: func() any {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20),
			zstd.WithAllLitEntropyCompression(true), zstd.WithEncoderCRC(false))
		if err != nil {
			panic(err) // only wrong options
		}
		return e
	}}
}

var decoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window), zstd.WithDecoderLowmem(true))
	if err != nil {
		panic(err)
	}
	return d
}}

// Compress writes all of r to w as one zstd frame.
func Compress(w io.Writer, r io.Reader) error { return compressFrom(encoders, w, copyFrom(r)) }

// CompressFast is Compress for what is written once and seldom read, on a
// machine that has other things to do.
func CompressFast(w io.Writer, r io.Reader) error { return compressFrom(fastEncoders, w, copyFrom(r)) }

// Store gives data as a zstd frame in which nothing is compressed: an encoder's
// tables cost a login more than some kilobytes on its disk.
func Store[T ~string | ~[]byte](data T) []byte {
	const block = 128 << 10
	out := make([]byte, 0, len(data)+3*(len(data)/block+1)+6)
	out = append(out, 0x28, 0xb5, 0x2f, 0xfd, 0, 7<<3) // magic; no size, no checksum; a window of one block
	for {
		n := min(len(data), block)
		head := uint32(n) << 3 // of a raw block
		if n == len(data) {
			head |= 1 // the last
		}
		out = append(out, byte(head), byte(head>>8), byte(head>>16))
		out = append(out, data[:n]...)
		if data = data[n:]; len(data) == 0 {
			return out
		}
	}
}

func copyFrom(r io.Reader) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.Copy(w, r)
		return err
	}
}

// compressFrom writes what from writes to w as one zstd frame.
func compressFrom(pool *sync.Pool, w io.Writer, from func(io.Writer) error) error {
	e := pool.Get().(*zstd.Encoder)
	defer pool.Put(e)
	e.Reset(w)
	err := from(e)
	return errors.Join(err, e.Close())
}

// Decompress gives at most limit bytes of the zstd stream r to use; more is
// ErrCorrupt when it is read, as is anything that is no zstd. Errors of r
// itself stay what they are.
func Decompress(r io.Reader, limit int64, use func(io.Reader) error) error {
	return decompress(&wire{r: r, left: -1}, limit, use)
}

func decompress(w *wire, limit int64, use func(io.Reader) error) error {
	d := decoders.Get().(*zstd.Decoder)
	defer decoders.Put(d)
	defer d.Reset(nil)
	if err := d.Reset(w); err != nil {
		return w.cause(err)
	}
	return use(&limited{r: d, wire: w, left: limit})
}

// wire is the compressed side of a decoder. It tells bytes that did not come
// (go on where it stopped) from bytes that are wrong (ErrCorrupt), and it
// hides what r is: the decoder would take a bytes.Buffer in one go, without
// any limit.
type wire struct {
	r    io.Reader
	left int64 // bytes that must still come; negative: unknown
	err  error // of r
}

func (w *wire) Read(p []byte) (int, error) {
	if w.left == 0 {
		return 0, io.EOF
	}
	if w.left > 0 && int64(len(p)) > w.left {
		p = p[:w.left]
	}
	n, err := w.r.Read(p)
	if w.left > 0 {
		w.left -= int64(n)
	}
	if err == io.EOF && w.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF && w.left != 0 {
		w.err = err
	}
	return n, err
}

// cause makes an error of the decoder one of the wire, or ErrCorrupt.
func (w *wire) cause(err error) error {
	if w.err != nil {
		return w.err
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// limited is an io.LimitReader that says so when there is more.
type limited struct {
	r    io.Reader
	wire *wire
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if int64(n) > l.left {
		return int(l.left), fmt.Errorf("%w: more bytes than were announced", ErrCorrupt)
	}
	l.left -= int64(n)
	if err != nil && (err != io.EOF || l.wire.err != nil) {
		err = l.wire.cause(err)
	}
	return n, err
}

// ReadFrame decodes one frame's bytes, read from r, and gives each item to
// place, which must read it to its end. open gives a former content, for a
// frame on one (f.OnBase, else it may be nil); it need not be checked, for the
// item is.
// Every item's digest is checked when it has been read: on ErrCorrupt what
// place took of the last item is to be thrown away. Where r ends too early the
// error is io.ErrUnexpectedEOF, or r's own: the items that were placed are
// good. ErrKind means that nothing was read.
func ReadFrame(f Frame, r io.Reader, open func(Digest) (Base, error), place func(Item, *Verifier) error) error {
	if err := f.Check(); err != nil {
		return err
	}
	items := func(r io.Reader) error {
		for _, it := range f.Items {
			if err := readItem(it, r, place); err != nil {
				return err
			}
		}
		return nil
	}
	w := &wire{r: r, left: f.Length}
	switch f.Kind {
	case Whole:
		return decompress(w, f.Size, items)
	case Delta, Patch:
		base, err := open(f.Base)
		if err != nil {
			return err
		}
		defer base.Close()
		if f.Kind == Patch {
			return readPatch(f, w, base, items)
		}
		return decompress(w, maxInstructions(f.Size), func(r io.Reader) error {
			return items(newDeltaReader(r, base, f.Size))
		})
	}
	return fmt.Errorf("%w %q", ErrKind, f.Kind)
}

// readPatch decodes a Patch. No Satchel has made one yet; that format 1 has
// them is all that this is for.
func readPatch(f Frame, w *wire, base Base, items func(io.Reader) error) error {
	if base.Size() > maxPatchBase {
		return fmt.Errorf("%w: a patch on %d bytes", ErrCorrupt, base.Size())
	}
	dict, err := io.ReadAll(io.NewSectionReader(base, 0, base.Size()))
	if err != nil {
		return err
	}
	if Sum(dict) != f.Base {
		return fmt.Errorf("%w: the patch's base is another content", ErrCorrupt)
	}
	d, err := zstd.NewReader(w, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window),
		zstd.WithDecoderLowmem(true), zstd.WithDecoderDictRaw(1, dict))
	if err != nil {
		return w.cause(err)
	}
	defer d.Close()
	return items(&limited{r: d, wire: w, left: f.Size})
}

// readItem gives one item to place and checks it.
func readItem(it Item, r io.Reader, place func(Item, *Verifier) error) error {
	v := NewVerifier(io.LimitReader(r, it.Size), it)
	if err := place(it, v); err != nil {
		return err
	}
	return v.Check()
}
