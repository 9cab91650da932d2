package bundle

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// magic begins every bundle; its last byte is the format number.
const magic = "satchel\x01"

const (
	groupSize = 1 << 20   // small files are grouped to about this many bytes
	smallSize = 256 << 10 // larger files have a frame of their own
)

// Spec says what to build. Base is nil for a full bundle; Former is what To
// adds to the history, or all of it in a full bundle. Contents that Base holds
// at any path need no frame. Renamed may be nil; it gives for new paths those
// that they were, where content alone does not show it (Changes.Hint). Before
// may be nil; it has the files of Base, by their paths, for deltas.
type Spec struct {
	Course, Channel string
	From, To        Version
	Base, Manifest  *Manifest
	Former          History
	Renamed         map[string]string
	Before          fs.FS
}

// Built is a finished bundle in a temporary file, which the caller closes and
// removes (Discard).
type Built struct {
	File   *os.File
	Digest Digest
	Size   int64
	Index  *Index
}

// Discard closes and removes the temporary file.
func (b *Built) Discard() { b.File.Close(); os.Remove(b.File.Name()) }

// Build makes a bundle in dir, reading contents from fsys by their paths. It
// checks each against the manifest: a file that changed meanwhile is an error,
// not a bundle. What makes a delta is read once more, and the former content;
// where that cannot be had, or it gains nothing, there is none.
func Build(ctx context.Context, dir string, s Spec, fsys fs.FS) (*Built, error) {
	return s.build(dir, func(w *frameWriter) error {
		contents := newContents(s)
		if err := w.addAll(ctx, contents, fsys); err != nil {
			return err
		}
		return w.addDeltas(ctx, s, contents, fsys)
	})
}

// build makes a bundle with the frames that write writes.
func (s Spec) build(dir string, write func(*frameWriter) error) (*Built, error) {
	if err := s.Manifest.Check(); err != nil {
		return nil, err
	}
	x := &Index{
		Format: IndexFormat, Course: s.Course, Channel: s.Channel, From: s.From, To: s.To,
		Manifest: s.Manifest.Digest(), Changes: Diff(s.Base, s.Manifest), Former: s.Former,
	}
	x.Changes.Hint(s.Base, s.Renamed)
	if s.Base != nil {
		x.Base = s.Base.Digest()
	}
	return x.build(dir, write)
}

// build makes a bundle of an index without frames, and those that write writes.
func (x *Index) build(dir string, write func(*frameWriter) error) (*Built, error) {
	frames, err := os.CreateTemp(dir, "frames-*")
	if err != nil {
		return nil, err
	}
	defer func() { frames.Close(); os.Remove(frames.Name()) }()
	w := &frameWriter{dir: dir, w: frames, index: x}
	if err := write(w); err != nil {
		return nil, err
	}
	if _, err := frames.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return assemble(dir, x, io.LimitReader(frames, w.at)) // behind it may be a delta that was given up
}

// newContents are the files whose content the base has nowhere, each content
// once: notebooks first, so that they arrive first, then by path.
func newContents(s Spec) []File {
	had := map[Digest]bool{}
	if s.Base != nil {
		for _, f := range s.Base.Files {
			had[f.Digest] = true
		}
	}
	var out []File
	for _, f := range s.Manifest.Files {
		if !had[f.Digest] {
			had[f.Digest] = true
			out = append(out, f)
		}
	}
	slices.SortStableFunc(out, func(a, b File) int { return cmp.Compare(rank(a), rank(b)) })
	return out
}

func rank(f File) int {
	switch {
	case f.Size > smallSize:
		return 2
	case strings.HasSuffix(f.Path, ".ipynb"):
		return 0
	}
	return 1
}

// groups splits files into frames.
func groups(files []File) (out [][]File) {
	size := int64(0)
	for i, f := range files {
		if i == 0 || f.Size > smallSize || size+f.Size > groupSize {
			out = append(out, nil)
			size = 0
		}
		out[len(out)-1] = append(out[len(out)-1], f)
		size += f.Size
	}
	return out
}

// frameWriter appends frames to w. Offsets are relative to the first frame
// until assemble knows the index's length.
type frameWriter struct {
	dir   string
	w     io.WriteSeeker
	index *Index
	at    int64
}

// addAll writes whole frames of files, whose contents fsys has by their paths.
func (w *frameWriter) addAll(ctx context.Context, files []File, fsys fs.FS) error {
	for _, group := range groups(files) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.add(group, fsys); err != nil {
			return err
		}
	}
	return nil
}

func (w *frameWriter) add(group []File, fsys fs.FS) error {
	f := Frame{Kind: Whole, Offset: w.at}
	var readers []io.Reader
	for _, file := range group {
		f.Items = append(f.Items, Item{file.Digest, file.Size})
		f.Size += file.Size
		readers = append(readers, &checkedFile{fsys: fsys, file: file})
	}
	count := &counter{w: w.w}
	if err := Compress(count, io.MultiReader(readers...)); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	w.wrote(f, count.n)
	return nil
}

func (w *frameWriter) wrote(f Frame, n int64) {
	f.Length = n
	w.at += n
	w.index.Frames = append(w.index.Frames, f)
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

// checkedFile opens its file at the first read and checks it at the last.
type checkedFile struct {
	fsys fs.FS
	file File
	open fs.File
	v    *Verifier
}

func (c *checkedFile) Read(p []byte) (int, error) {
	if c.open == nil {
		f, err := c.fsys.Open(c.file.Path)
		if err != nil {
			return 0, err
		}
		c.open = f
		c.v = NewVerifier(f, Item{c.file.Digest, c.file.Size})
	}
	n, err := c.v.Read(p)
	if err != nil {
		c.open.Close()
	}
	if err == io.EOF {
		if bad := c.v.Check(); bad != nil {
			return n, fmt.Errorf("%s: %w", c.file.Path, bad)
		}
	}
	return n, err
}

// assemble writes magic, index and frames into a new file in dir. The index
// holds offsets into the object, and they depend on the index's own length:
// so they are written relative to the first frame, and Open adds it.
func assemble(dir string, x *Index, frames io.Reader) (b *Built, err error) {
	data, err := x.encode()
	if err != nil {
		return nil, err
	}
	index, err := pack(data)
	if err != nil {
		return nil, err
	}
	former, err := pack(x.Former.Encode())
	if err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(dir, "bundle-*")
	if err != nil {
		return nil, err
	}
	b = &Built{File: file, Index: x}
	defer func() {
		if err != nil {
			b.Discard()
		}
	}()
	head := binary.BigEndian.AppendUint32([]byte(magic), uint32(len(index)))
	head = binary.BigEndian.AppendUint32(head, uint32(len(former)))
	for _, r := range []io.Reader{bytes.NewReader(head), bytes.NewReader(index), bytes.NewReader(former), frames} {
		if _, err = io.Copy(file, r); err != nil {
			return nil, err
		}
	}
	if _, err = file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	if b.Digest, b.Size, err = SumReader(file); err != nil {
		return nil, err
	}
	if b.Size > MaxBundleSize {
		return nil, fmt.Errorf("bundle of %d bytes; the limit is %d", b.Size, int64(MaxBundleSize))
	}
	x.shift(int64(len(head) + len(index) + len(former)))
	return b, nil
}

// pack is data as one zstd frame.
func pack(data []byte) ([]byte, error) {
	var b bytes.Buffer
	err := Compress(&b, bytes.NewReader(data))
	return b.Bytes(), err
}
