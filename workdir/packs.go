package workdir

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"

	"satchel/bundle"
)

// A pack holds base bytes as they were received: a login that brings much need
// not compress it again. It is
//
//	frames (bundle.Frame, kind whole), one after the other
//	zstd of JSON {"format":1,"frames":[…]}
//	four bytes, big-endian: the length of that
//	packMagic
//
// and its name is pack-ID. What has no end like that is none.
const (
	packPrefix   = "pack-"
	packMagic    = "satpack\x01"
	packFormat   = 1
	packTrailer  = 4 + len(packMagic)
	maxPackIndex = 16 << 20
	maxKept      = 4 << 20 // bytes of a frame
)

type packIndex struct {
	Format int            `json:"format"`
	Frames []bundle.Frame `json:"frames"`
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
	all     map[string]*packIndex // by name
	at      map[bundle.Digest]packed
	writing *packWriter
}

// load reads the indexes, once; p.mu is held.
func (p *packs) load(base *dir) {
	if p.read {
		return
	}
	p.read, p.all, p.at = true, map[string]*packIndex{}, map[bundle.Digest]packed{}
	names, _ := base.names()
	for _, name := range names {
		if !strings.HasPrefix(name, packPrefix) {
			continue
		}
		if x, err := base.readPackIndex(name); err == nil {
			p.add(name, x)
		} else if errors.Is(err, bundle.ErrCorrupt) {
			_ = base.remove(name) // what cannot be read just now stays, and what a later agent wrote
		}
	}
}

func (p *packs) add(name string, x *packIndex) {
	p.all[name] = x
	for i := range x.Frames {
		for _, it := range x.Frames[i].Items {
			p.at[it.Digest] = packed{name, &x.Frames[i]}
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

func (d *dir) readPackIndex(name string) (*packIndex, error) {
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
	frames := s.Size - int64(len(end)) - size
	if frames < 0 || size > maxPackIndex {
		return nil, none
	}
	x := &packIndex{}
	var text []byte
	err = bundle.Decompress(io.NewSectionReader(f, frames, size), maxPackIndex, func(r io.Reader) (err error) {
		text, err = io.ReadAll(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(text, x) != nil {
		return nil, none
	}
	for i := range x.Frames {
		fr := &x.Frames[i]
		if fr.Kind != bundle.Whole && fr.Kind != bundle.Delta || fr.Check() != nil || fr.Length > maxKept || fr.Offset+fr.Length > frames {
			return nil, none
		}
	}
	return x, nil
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
	d     *dir
	name  string
	f     *os.File
	at    int64
	index packIndex
}

func newPackWriter(base *dir) (*packWriter, error) {
	w := &packWriter{d: base, name: "new-" + base.do.newName(), index: packIndex{Format: packFormat}}
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
		w.index.Frames = append(w.index.Frames, f)
	}
	return err
}

func (w *packWriter) discard() {
	w.f.Close()
	_ = w.d.remove(w.name)
}

// finish gives the pack its name; none where it holds nothing.
func (w *packWriter) finish() (name string, err error) {
	if len(w.index.Frames) == 0 {
		w.discard()
		return "", nil
	}
	text, err := json.Marshal(w.index)
	if err != nil {
		w.discard()
		return "", err
	}
	end := bundle.Store(text)
	end = binary.BigEndian.AppendUint32(end, uint32(len(end)))
	end = append(end, packMagic...)
	_, err = w.f.WriteAt(end, w.at)
	if cerr := w.f.Truncate(w.at + int64(len(end))); err == nil {
		err = cerr // behind it may be a frame that did not fit
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
