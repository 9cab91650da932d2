package workdir

import (
	"bytes"
	"cmp"
	"io/fs"
	"slices"

	"satchel/bundle"
)

// bases are a course's base bytes, in .satchel/COURSE/base: each content alone
// in a file that has its digest's name, compressed, or together with others in
// a pack. A nil one holds nothing.
type bases struct {
	*dir
	c *Course
}

func (c *Course) bases() (*bases, error) {
	if c.state == nil {
		return nil, fs.ErrNotExist
	}
	d, err := c.state.private(baseName)
	if err != nil {
		return nil, err
	}
	return &bases{d, c}, nil
}

// openBase opens the base bytes; nil where that cannot be.
func (c *Course) openBase() *bases {
	b, err := c.bases()
	if err != nil {
		return nil
	}
	return b
}

// read gives a content, checked. fs.ErrNotExist where there is none.
func (b *bases) read(sum bundle.Digest) ([]byte, error) { return b.readOn(sum, maxDeltas) }

// readOn is read where at most so many deltas may lead to the content. What a
// pack says of a base may lead round in a circle.
func (b *bases) readOn(sum bundle.Digest, deltas int) ([]byte, error) {
	data, err := b.unpack(sum, maxMergeNotebook)
	if err == nil || deltas < 0 {
		return data, err
	}
	if at, ok := b.c.packs.find(b.dir, sum); ok {
		return b.unpackFrom(at, sum, maxMergeNotebook, b.under(deltas))
	}
	return nil, err
}

// under gives what a delta in a pack is made on, where that is the first of at
// most so many.
func (b *bases) under(deltas int) func(bundle.Digest) (bundle.Base, error) {
	return func(sum bundle.Digest) (bundle.Base, error) {
		data, err := b.readOn(sum, deltas-1)
		return bundle.BaseBytes(data), err
	}
}

// deltas is how many deltas lead to a content, at most one more than may;
// that many too where there is nothing to begin with.
func (b *bases) deltas(sum bundle.Digest) (n int) {
	for ; n <= maxDeltas; n++ {
		if b.alone(sum) {
			return n
		}
		at, ok := b.c.packs.find(b.dir, sum)
		switch {
		case !ok:
			return maxDeltas + 1
		case at.frame.Kind == bundle.Whole:
			return n
		}
		sum = at.frame.Base
	}
	return n
}

// holds says whether a content lies here. Only its bytes say so: what merely
// has its name would never be asked of the service.
func (b *bases) holds(sum bundle.Digest) bool {
	if b == nil {
		return false
	}
	_, err := b.read(sum)
	return err == nil
}

// has says whether a content has its name here, at least.
func (b *bases) has(sum bundle.Digest) bool {
	return b != nil && (b.alone(sum) || b.packed(sum))
}

func (b *bases) packed(sum bundle.Digest) bool {
	_, ok := b.c.packs.find(b.dir, sum)
	return ok
}

// alone says whether a content has a file of its own.
func (b *bases) alone(sum bundle.Digest) bool {
	s, err := b.stat(sum.String())
	return err == nil && s.Kind == Regular
}

// pack keeps a content in a file of its own.
func (b *bases) pack(sum bundle.Digest, data []byte) error {
	var packed bytes.Buffer
	if err := bundle.CompressFast(&packed, bytes.NewReader(data)); err != nil {
		return err
	}
	tmp := "new-" + b.do.newName()
	f, err := b.create(tmp, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(packed.Bytes())
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		return moveOver(b.dir, tmp, b.dir, sum.String())
	}
	_ = b.remove(tmp)
	return err
}

// newestFirst sorts names by when they came to lie here.
func (d *dir) newestFirst(names []string) []string {
	at := map[string]int64{}
	for _, name := range names {
		s, _ := d.stat(name)
		at[name] = s.Ctime
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(at[b], at[a]), cmp.Compare(a, b)) })
	return names
}
