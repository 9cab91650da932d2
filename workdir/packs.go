package workdir

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
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
	if errors.Is(err, found) && !errors.Is(err, bundle.ErrCorrupt) {
		return data, nil
	}
	return nil, cmpError(err)
}

func cmpError(err error) error {
	if err == nil {
		return fs.ErrNotExist
	}
	return err
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
	var end bytes.Buffer
	err = bundle.Compress(&end, bytes.NewReader(text))
	end.Write(binary.BigEndian.AppendUint32(nil, uint32(end.Len())))
	end.WriteString(packMagic)
	if err == nil {
		_, err = w.f.WriteAt(end.Bytes(), w.at)
	}
	if cerr := w.f.Truncate(w.at + int64(end.Len())); err == nil {
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

// KeepFrame keeps a frame's bytes for the next merge of what it holds, after
// Stage took that. Where it holds mostly what cannot be merged, or space is
// short, it keeps nothing: then Apply keeps what is needed. It may be called
// from several goroutines.
func (c *Course) KeepFrame(f bundle.Frame, data []byte) {
	if f.Kind != bundle.Whole && f.Kind != bundle.Delta || int64(len(data)) != f.Length || f.Length > maxKept || c.name == notesName || c.stage == nil || !c.stage.worthKeeping(f) {
		return
	}
	base, err := c.bases()
	if err != nil {
		return
	}
	if f.Kind == bundle.Delta && base.deltas(f.Base) >= maxDeltas {
		base.close()
		return
	}
	p := &c.packs
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.writing == nil {
		base.dropUnfinished()
		w, err := newPackWriter(base.dir)
		if err != nil {
			base.close()
			return
		}
		p.writing = w
	} else {
		base.close()
	}
	if err := p.writing.add(f, data); err != nil {
		c.home.lg.Info("base bytes not kept as they came", "course", c.name, "error", err)
	}
}

// dropUnfinished removes what writers that died left behind.
func (d *dir) dropUnfinished() {
	names, _ := d.names()
	for _, name := range names {
		if strings.HasPrefix(name, "new-") {
			_ = d.remove(name)
		}
	}
}

// finishPack has what KeepFrame kept count, and gives it.
func (c *Course) finishPack() (kept []bundle.Digest) {
	p := &c.packs
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.writing
	if w == nil {
		return nil
	}
	p.writing = nil
	defer w.d.close()
	name, err := w.finish()
	if err != nil {
		c.home.lg.Info("base bytes not kept as they came", "course", c.name, "error", err)
	}
	if name == "" {
		return nil
	}
	if p.read {
		p.add(name, &w.index)
	}
	for _, f := range w.index.Frames {
		for _, it := range f.Items {
			kept = append(kept, it.Digest)
		}
	}
	return kept
}

// dropPack gives up the pack that is being written.
func (c *Course) dropPack() bool {
	p := &c.packs
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.writing == nil {
		return false
	}
	p.writing.discard()
	p.writing.d.close()
	p.writing = nil
	return true
}

// snapshot gives the packs as they are.
func (b *bases) snapshot() map[string]*packIndex {
	p := &b.c.packs
	p.mu.Lock()
	defer p.mu.Unlock()
	p.load(b.dir)
	return maps.Clone(p.all)
}

// lean gives each base that a delta is made on, of the contents that are kept
// as nothing else, the need of the content.
func (b *bases) lean(needs map[bundle.Digest]need) {
	packs := b.snapshot()
	for changed := true; changed; {
		changed = false
		for _, x := range packs {
			for _, f := range x.Frames {
				n := needs[f.Items[0].Digest]
				if f.Kind == bundle.Delta && n > needs[f.Base] && !b.alone(f.Items[0].Digest) {
					needs[f.Base], changed = n, true
				}
			}
		}
	}
}

// free keeps alone what is kept as a delta on something that is to be erased.
func (b *bases) free(needs map[bundle.Digest]need, erase func(bundle.Digest) bool) {
	for _, x := range b.snapshot() {
		for _, f := range x.Frames {
			sum := f.Items[0].Digest
			if f.Kind != bundle.Delta || !erase(f.Base) || needs[sum] == unneeded || b.alone(sum) {
				continue
			}
			data, err := b.read(sum)
			if err == nil {
				err = b.pack(sum, data)
			}
			if err != nil {
				b.c.home.lg.Info("base bytes are lost", "course", b.c.name, "error", err)
			}
		}
	}
}

// tidyPacks writes packs anew of which less than half is needed, or that hold
// what is to be erased; needed says what stays.
func (b *bases) tidyPacks(needed, erase func(bundle.Digest) bool) {
	packs := b.snapshot()
	for _, name := range sortedKeys(packs) {
		var all, live int64
		must := false
		for _, f := range packs[name].Frames {
			some := false
			for _, it := range f.Items {
				some = some || needed(it.Digest)
				must = must || erase(it.Digest)
			}
			all += f.Length
			if some {
				live += f.Length
			}
		}
		if !must && live*2 >= all {
			continue
		}
		if err := b.rewrite(name, packs[name], func(d bundle.Digest) bool { return needed(d) && !erase(d) }); err != nil {
			b.c.home.lg.Info("base bytes stay as they are", "course", b.c.name, "pack", name, "error", err)
		}
		b.c.packs.forget()
	}
}

// rewrite puts what stays of a pack into a new one: whole frames as they are,
// else the contents one by one.
func (b *bases) rewrite(name string, x *packIndex, stays func(bundle.Digest) bool) error {
	old, _, err := b.open(name)
	if err != nil {
		return err
	}
	defer old.Close()
	w, err := newPackWriter(b.dir)
	if err != nil {
		return err
	}
	for _, f := range x.Frames {
		n := 0
		for _, it := range f.Items {
			if stays(it.Digest) {
				n++
			}
		}
		if n == 0 {
			continue
		}
		if n == len(f.Items) {
			data := make([]byte, f.Length)
			if _, err = old.ReadAt(data, f.Offset); err == nil {
				err = w.add(f, data)
			}
		} else {
			err = b.takeApart(f, old, stays)
		}
		if err != nil {
			w.discard()
			return err
		}
	}
	if _, err := w.finish(); err != nil {
		return err
	}
	return b.remove(name)
}

// takeApart keeps some contents of a frame, each in a file of its own. What is
// damaged was worth nothing.
func (b *bases) takeApart(f bundle.Frame, pack *os.File, stays func(bundle.Digest) bool) error {
	err := bundle.ReadFrame(f, io.NewSectionReader(pack, f.Offset, f.Length), b.base, func(it bundle.Item, v *bundle.Verifier) error {
		if !stays(it.Digest) || b.alone(it.Digest) {
			_, err := io.Copy(io.Discard, v)
			return err
		}
		data, err := io.ReadAll(v)
		if err == nil {
			err = v.Check()
		}
		if err == nil {
			err = b.pack(it.Digest, data)
		}
		return err
	})
	if errors.Is(err, bundle.ErrCorrupt) {
		return nil
	}
	return err
}
