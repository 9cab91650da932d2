package workdir

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"

	"satchel/bundle"
)

// A pack holds base bytes as they were received: a login that brings much need
// not compress it again. It is
//
//	frames (bundle.Frame, kind whole or delta), one after the other
//	of each frame its index: see appendFrame
//	four bytes, big-endian: the length of that
//	packMagic
//
// and its name is pack-ID. What has no end like that is none. The index is not
// JSON, for each login that brings something reads all of it.
const (
	packPrefix   = "pack-"
	packMagic    = "satpack\x01"
	packTrailer  = 4 + len(packMagic)
	maxPackIndex = 16 << 20
	maxKept      = 4 << 20 // bytes of a frame
)

// packKinds are the frames' kinds, each with its number in an index.
var packKinds = []bundle.Kind{bundle.Whole, bundle.Delta}

// appendFrame adds a frame's index: its kind's number in one byte, as varints
// where it begins and its length, for a delta the 32 bytes of its base, as a
// varint how many contents it has, and of each the digest and, as a varint,
// the size.
func appendFrame(b []byte, f *bundle.Frame) []byte {
	b = append(b, byte(slices.Index(packKinds, f.Kind)))
	b = binary.AppendUvarint(b, uint64(f.Offset))
	b = binary.AppendUvarint(b, uint64(f.Length))
	if f.Kind == bundle.Delta {
		b = append(b, f.Base[:]...)
	}
	b = binary.AppendUvarint(b, uint64(len(f.Items)))
	for _, it := range f.Items {
		b = append(b, it.Digest[:]...)
		b = binary.AppendUvarint(b, uint64(it.Size))
	}
	return b
}

// scanFrames reads what appendFrame wrote; false where it wrote something else.
func scanFrames(text []byte) (frames []bundle.Frame, ok bool) {
	s := &packScan{left: text}
	for len(s.left) > 0 && !s.bad {
		kind := s.left[0]
		s.left = s.left[1:]
		if int(kind) >= len(packKinds) {
			return nil, false
		}
		f := bundle.Frame{Kind: packKinds[kind], Offset: s.number(), Length: s.number()}
		if f.Kind == bundle.Delta {
			f.Base = s.digest()
		}
		n := s.number()
		if n == 0 || n > int64(len(s.left))/int64(len(f.Base)+1) { // else a short text could ask for much memory
			return nil, false
		}
		f.Items = make([]bundle.Item, n)
		for i := range f.Items {
			f.Items[i] = bundle.Item{Digest: s.digest(), Size: s.number()}
			f.Size += f.Items[i].Size
		}
		frames = append(frames, f)
	}
	return frames, !s.bad
}

// packScan reads from left. bad: it ended too early.
type packScan struct {
	left []byte
	bad  bool
}

// number reads one of at most bundle.MaxBundleSize.
func (s *packScan) number() int64 {
	x, n := binary.Uvarint(s.left)
	if n <= 0 || x > bundle.MaxBundleSize {
		s.bad, s.left = true, nil
		return 0
	}
	s.left = s.left[n:]
	return int64(x)
}

func (s *packScan) digest() (d bundle.Digest) {
	if copy(d[:], s.left) < len(d) {
		s.bad, s.left = true, nil
		return d
	}
	s.left = s.left[len(d):]
	return d
}

// packed is where a content lies.
type packed struct {
	pack  string
	frame *bundle.Frame
}

// packs are a course's packs, read when they are first asked for.
type packs struct {
	mu      sync.Mutex
	read    bool
	all     map[string][]bundle.Frame // by name
	at      map[bundle.Digest]packed
	writing *packWriter
}

// load reads the indexes, once; p.mu is held.
func (p *packs) load(base *dir) {
	if p.read {
		return
	}
	p.read, p.all, p.at = true, map[string][]bundle.Frame{}, map[bundle.Digest]packed{}
	names, _ := base.names()
	for _, name := range names {
		if !strings.HasPrefix(name, packPrefix) {
			continue
		}
		if frames, err := base.readPackIndex(name); err == nil {
			p.add(name, frames)
		} else if errors.Is(err, bundle.ErrCorrupt) {
			_ = base.remove(name) // what cannot be read just now stays, and what a later agent wrote
		}
	}
}

func (p *packs) add(name string, frames []bundle.Frame) {
	p.all[name] = frames
	for i := range frames {
		for _, it := range frames[i].Items {
			p.at[it.Digest] = packed{name, &frames[i]}
		}
	}
}

func (p *packs) find(base *dir, sum bundle.Digest) (packed, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.load(base)
	at, ok := p.at[sum]
	return at, ok
}

// forget has the packs read again.
func (p *packs) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read = false
}

func (d *dir) readPackIndex(name string) ([]bundle.Frame, error) {
	f, s, err := d.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	none := fault("read", name, fmt.Errorf("%w: no pack", bundle.ErrCorrupt))
	end := make([]byte, packTrailer)
	if s.Size < int64(len(end)) {
		return nil, none
	}
	if _, err := f.ReadAt(end, s.Size-int64(len(end))); err != nil {
		return nil, err
	}
	size := int64(binary.BigEndian.Uint32(end))
	switch magic := string(end[4:]); {
	case magic == packMagic:
	case magic[:len(magic)-1] == packMagic[:len(magic)-1] && magic > packMagic:
		return nil, bundle.ErrFormat
	default:
		return nil, none
	}
	at := s.Size - int64(len(end)) - size // behind the frames
	if at < 0 || size > maxPackIndex {
		return nil, none
	}
	text := make([]byte, size)
	if _, err := f.ReadAt(text, at); err != nil {
		return nil, err
	}
	frames, whole := scanFrames(text)
	if !whole {
		return nil, none
	}
	for i := range frames {
		fr := &frames[i]
		if fr.Check() != nil || fr.Length > maxKept || fr.Offset+fr.Length > at {
			return nil, none
		}
	}
	return frames, nil
}

// maxDeltas is how many deltas may lead to a content that is kept as one.
const maxDeltas = 8

// unpackFrom gives a content of a pack, checked; base gives what a delta is
// made on.
func (d *dir) unpackFrom(at packed, sum bundle.Digest, limit int64, base func(bundle.Digest) (bundle.Base, error)) (data []byte, err error) {
	f, _, err := d.open(at.pack)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	found := errors.New("found")
	err = bundle.ReadFrame(*at.frame, io.NewSectionReader(f, at.frame.Offset, at.frame.Length), base, func(it bundle.Item, v *bundle.Verifier) error {
		if it.Digest != sum {
			_, err := io.Copy(io.Discard, v)
			return err
		}
		if it.Size > limit {
			return fs.ErrNotExist
		}
		b := bytes.NewBuffer(make([]byte, 0, it.Size))
		if _, err := io.Copy(b, v); err != nil {
			return err
		}
		data = b.Bytes()
		return errors.Join(v.Check(), found)
	})
	switch {
	case err == nil:
		return nil, fs.ErrNotExist
	case errors.Is(err, found) && !errors.Is(err, bundle.ErrCorrupt):
		return data, nil
	}
	return nil, err
}

// packWriter writes a pack, under another name until it is whole.
type packWriter struct {
	d      *dir
	name   string
	f      *os.File
	at     int64
	frames []bundle.Frame
	toDisk bool // it takes the place of others: it must be there before they go
}

func newPackWriter(base *dir) (*packWriter, error) {
	w := &packWriter{d: base, name: "new-" + base.do.newName()}
	f, err := base.create(w.name, 0o600)
	if err != nil {
		return nil, err
	}
	w.f = f
	return w, nil
}

func (w *packWriter) add(f bundle.Frame, data []byte) error {
	_, err := w.f.WriteAt(data, w.at)
	if err == nil {
		f.Offset = w.at
		w.at += f.Length
		w.frames = append(w.frames, f)
	}
	return err
}

func (w *packWriter) discard() {
	w.f.Close()
	_ = w.d.remove(w.name)
}

// finish gives the pack its name; none where it holds nothing.
func (w *packWriter) finish() (name string, err error) {
	if len(w.frames) == 0 {
		w.discard()
		return "", nil
	}
	var end []byte
	for i := range w.frames {
		end = appendFrame(end, &w.frames[i])
	}
	end = binary.BigEndian.AppendUint32(end, uint32(len(end)))
	end = append(end, packMagic...)
	_, err = w.f.WriteAt(end, w.at)
	if cerr := w.f.Truncate(w.at + int64(len(end))); err == nil {
		err = cerr // behind it may be a frame that did not fit
	}
	if err == nil && w.toDisk {
		err = w.f.Sync()
	}
	if cerr := w.f.Close(); err == nil {
		err = cerr
	}
	name = packPrefix + w.d.do.newName()
	if err == nil {
		err = move(w.d, w.name, w.d, name)
	}
	if err != nil {
		_ = w.d.remove(w.name)
		return "", err
	}
	return name, nil
}
