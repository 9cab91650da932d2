package workdir

import (
	"errors"
	"io"
	"maps"
	"os"
	"strings"

	"satchel/bundle"
)

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
		p.add(name, w.frames)
	}
	for _, f := range w.frames {
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
func (b *bases) snapshot() map[string][]bundle.Frame {
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
			for _, f := range x {
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
		for _, f := range x {
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

// manyPacks is how many packs may lie here before small ones become one: each
// login that brings something reads the indexes of all. smallPack is how long
// the frames of a small one are at most.
const (
	manyPacks = 16
	smallPack = 1 << 20
)

// tidyPacks writes packs anew of which less than half is needed, or that hold
// what is to be erased, and makes one of many small ones; needed says what
// stays.
func (b *bases) tidyPacks(needed, erase func(bundle.Digest) bool) {
	packs := b.snapshot()
	var small []string
	for _, name := range sortedKeys(packs) {
		var all, live int64
		must := false
		for _, f := range packs[name] {
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
		switch {
		case must || live*2 < all:
			b.renew(packs, needed, erase, name)
		case all <= smallPack:
			small = append(small, name)
		}
	}
	if len(packs) > manyPacks && len(small) > 1 {
		b.renew(packs, needed, erase, small...)
	}
}

// renew puts what stays of some packs into a new one.
func (b *bases) renew(packs map[string][]bundle.Frame, needed, erase func(bundle.Digest) bool, names ...string) {
	w, err := newPackWriter(b.dir)
	if err == nil {
		w.toDisk = true
		for _, name := range names {
			if err = b.transfer(w, name, packs[name], func(d bundle.Digest) bool { return needed(d) && !erase(d) }); err != nil {
				w.discard()
				break
			}
		}
	}
	if err == nil {
		_, err = w.finish()
	}
	if err == nil { // else a power cut could take all of them
		err = b.sync()
	}
	for _, name := range names {
		if err == nil {
			err = b.remove(name)
		}
	}
	if err != nil {
		b.c.home.lg.Info("base bytes stay as they are", "course", b.c.name, "packs", names, "error", err)
	}
	b.c.packs.forget()
}

// transfer puts what stays of a pack into w: whole frames as they are, else
// the contents one by one into files of their own.
func (b *bases) transfer(w *packWriter, name string, frames []bundle.Frame, stays func(bundle.Digest) bool) error {
	old, _, err := b.open(name)
	if err != nil {
		return err
	}
	defer old.Close()
	for _, f := range frames {
		n := 0
		for _, it := range f.Items {
			if stays(it.Digest) {
				n++
			}
		}
		switch n {
		case 0:
		case len(f.Items):
			data := make([]byte, f.Length)
			if _, err = old.ReadAt(data, f.Offset); err == nil {
				err = w.add(f, data)
			}
		default:
			err = b.takeApart(f, old, stays)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// takeApart keeps some contents of a frame, each in a file of its own. What is
// damaged was worth nothing.
func (b *bases) takeApart(f bundle.Frame, pack *os.File, stays func(bundle.Digest) bool) error {
	err := bundle.ReadFrame(f, io.NewSectionReader(pack, f.Offset, f.Length), b.under(maxDeltas+1), func(it bundle.Item, v *bundle.Verifier) error {
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
