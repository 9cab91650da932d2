package agent

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"slices"
	"strings"

	"satchel/bundle"
	"satchel/hook"
)

// Hostile answers that say something wrong of where bytes lie, how many they
// are, or how a content is made of them.

// overlapping are frames and sections that lie over each other, or nowhere.
func overlapping(m *maker, i int) *hostile {
	x := m.answer()
	c := x.course()
	at := m.digest()
	section := func(off, n int64) hook.Section {
		return hook.Section{Bundle: at, Offset: off, Length: n, ETag: `"x"`, URL: "http://127.0.0.1:1/x"}
	}
	switch k := int64(1 + m.IntN(50)); i % 6 {
	case 0:
		c.URLs = []hook.Section{section(0, 100), section(100-k, 100)}
	case 1:
		c.URLs = []hook.Section{section(k, 100), section(0, 100)}
	case 2:
		c.URLs = []hook.Section{section(-k, 100)}
	case 3:
		c.URLs = []hook.Section{section(bundle.MaxBundleSize-k, 100)}
	case 4:
		c.Frames[0].Offset = -k
	case 5: // two frames, the second within the first
		f := c.Frames[0]
		c.Frames[0].Length, f.Length = f.Length-k, k
		c.Frames = append(c.Frames, f)
	}
	return x
}

// zeros is a zstd frame of some kilobytes that gives n MiB of zeros.
func zeros(n int) []byte {
	out := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3}
	for i := range 8 * n {
		head := uint32(128<<10)<<3 | 1<<1 // a byte that is repeated
		if i == 8*n-1 {
			head |= 1
		}
		out = append(out, byte(head), byte(head>>8), byte(head>>16), 0)
	}
	return out
}

func bomb(m *maker, i int) *hostile {
	x := m.answer()
	f := &x.course().Frames[0]
	data := zeros(1024)
	switch i % 6 {
	case 0: // more than was announced
		x.frames = data
		f.Length = f.Size + int64(m.IntN(1000))
	case 1: // as much as was announced, with nothing of use in it
		f.Items = append([]bundle.Item{{Digest: m.digest(), Size: 1 << 30}}, f.Items...)
		f.Size += 1 << 30
		f.Length, x.frames = int64(len(data)), data
	case 2: // in the offer
		x.raw = append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...)
	case 3: // instructions of a delta
		*f = m.delta(m.were["data/b.csv"], m.files["data/b.csv"])
		f.Length, x.frames = int64(len(data)), data
	case 4: // of millions of values, each of which is many bytes in memory
		x.raw = m.millions(`{"format":1,"courses":[{}`, `,{}`, `]}`)
	case 5:
		x.raw = m.millions(`{"format":1,"courses":[{"course":"scala101","frames":[{"items":[{}`, `,{}`, `]}]}]}`)
	}
	return x
}

// millions is an offer that goes on with the same until it has its full size.
func (m *maker) millions(start, more, end string) []byte {
	var b bytes.Buffer
	parts := []io.Reader{strings.NewReader(start)}
	block := strings.Repeat(more, 10_000) // of which only one is in memory
	for n := len(start); n+len(block)+len(end) <= hook.MaxOffer; n += len(block) {
		parts = append(parts, strings.NewReader(block))
	}
	parts = append(parts, strings.NewReader(end))
	if err := bundle.Compress(&b, io.MultiReader(parts...)); err != nil {
		m.t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(b.Len())), b.Bytes()...)
}

// delta is a frame that makes text of base, but for its bytes.
func (m *maker) delta(base, text string) hook.Offered {
	n := int64(len(text))
	return hook.Offered{Frame: bundle.Frame{
		Kind: bundle.Delta, Base: bundle.Sum([]byte(base)), Size: n, Items: []bundle.Item{{Digest: bundle.Sum([]byte(text)), Size: n}},
	}}
}

// packed is data as a zstd frame.
func (m *maker) packed(data []byte) []byte {
	var b bytes.Buffer
	if err := bundle.Compress(&b, bytes.NewReader(data)); err != nil {
		m.t.Fatal(err)
	}
	return b.Bytes()
}

// only puts one frame in the place of all.
func (x *hostile) only(f hook.Offered, data []byte) *hostile {
	f.Length = int64(len(data))
	x.course().Frames, x.frames = []hook.Offered{f}, data
	return x
}

func wrongBase(m *maker, i int) *hostile {
	was, is := m.were["data/b.csv"], m.files["data/b.csv"]
	f := m.delta(was, is)
	run := binary.AppendUvarint([]byte{0}, uint64(len(is)))
	data := m.packed(append(run, 0)) // all of it is one run of the base
	switch i % 6 {
	case 0: // nobody has it
		f.Base = m.digest()
	case 1: // it is here, and shorter
		f.Base = bundle.Sum([]byte(m.were["README.md"]))
	case 2: // itself
		f.Base = f.Items[0].Digest
	case 3: // what is not said to be one is
		f.Kind = bundle.Patch
	case 4:
		f.Kind, f.Base = bundle.Patch, m.digest()
	case 5: // the student's own
		f.Base = bundle.Sum([]byte("also my own\n"))
	}
	return m.answer().only(f, data)
}

func outOfRange(m *maker, i int) *hostile {
	was, is := m.were["data/b.csv"], m.files["data/b.csv"]
	n, k := int64(len(is)), int64(1+m.IntN(1000))
	run := func(n uint64, at int64) []byte { return binary.AppendVarint(binary.AppendUvarint([]byte{0}, n), at) }
	lit := func(n uint64) []byte { return binary.AppendUvarint(nil, n) }
	text := [][]byte{
		run(uint64(n), -k),
		run(uint64(n), k),
		run(uint64(n), math.MaxInt64-k),
		run(uint64(n), math.MinInt64+k),
		run(math.MaxUint64-uint64(k), 0),
		run(uint64(n+k), 0),
		slices.Concat(run(10, 0), run(uint64(n-10), -k)),
		slices.Concat(run(uint64(len(was)), 0), run(10, k)),
		lit(math.MaxUint64),
		append(lit(uint64(n+k)), is...),
		bytes.Repeat([]byte{0}, 5000),
		append(bytes.Repeat([]byte{0xff}, 12), is...),
	}[i%12]
	return m.answer().only(m.delta(was, is), m.packed(text))
}
