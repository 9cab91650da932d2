package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
)

// Stored is a bundle where it lies. Open gives n of its bytes, from off on.
type Stored struct {
	Index *Index
	Open  func(ctx context.Context, off, n int64) (io.ReadCloser, error)
}

// Gather makes a bundle as Build does, but of contents that stored bundles
// have. Frames are copied as they are where all of their contents are wanted
// and they are not small; what lies in others is compressed anew. All of it
// is checked: a stored content that is not what its digest says is ErrCorrupt,
// as is one that none of them has whole.
func Gather(ctx context.Context, dir string, s Spec, from []Stored) (*Built, error) {
	return s.build(dir, func(w *frameWriter) error {
		g := gatherer{frameWriter: w, left: map[Digest]File{}}
		for _, f := range newContents(s) {
			g.left[f.Digest] = f
		}
		return g.run(ctx, from)
	})
}

// gatherer collects contents.
type gatherer struct {
	*frameWriter
	left map[Digest]File // not found yet
	here spool           // found in frames that are not copied
}

func (g *gatherer) run(ctx context.Context, from []Stored) error {
	file, err := os.CreateTemp(g.dir, "contents-*")
	if err != nil {
		return err
	}
	defer func() { file.Close(); os.Remove(file.Name()) }()
	g.here = spool{file: file, at: map[string]*io.SectionReader{}}
	for _, b := range from {
		for i := range b.Index.Frames {
			if err := g.take(ctx, b, &b.Index.Frames[i]); err != nil {
				return fmt.Errorf("bundle %d to %d: %w", b.Index.From, b.Index.To, err)
			}
		}
	}
	for _, f := range g.left {
		return fmt.Errorf("%w: no stored bundle has %q", ErrCorrupt, f.Path)
	}
	slices.SortStableFunc(g.here.files, func(a, b File) int { return rank(a) - rank(b) })
	return g.addAll(ctx, g.here.files, &g.here)
}

// take takes from a frame what is wanted.
func (g *gatherer) take(ctx context.Context, b Stored, f *Frame) error {
	wanted := 0
	for _, it := range f.Items {
		if _, ok := g.left[it.Digest]; ok {
			wanted++
		}
	}
	if f.Kind != Whole || wanted == 0 {
		return nil
	}
	r, err := b.Open(ctx, f.Offset, f.Length)
	if err != nil {
		return err
	}
	defer r.Close()
	if wanted == len(f.Items) && (f.Size >= groupSize/2 || wanted == 1 && f.Size > smallSize) {
		return g.copyChecked(*f, r)
	}
	return ReadFrame(*f, r, nil, func(it Item, content *Verifier) error {
		file, ok := g.left[it.Digest]
		if !ok {
			_, err := io.Copy(io.Discard, content)
			return err
		}
		delete(g.left, it.Digest)
		return g.here.add(file, content)
	})
}

// copyChecked appends a frame as it is, and looks into it meanwhile.
func (g *gatherer) copyChecked(f Frame, r io.Reader) error {
	count := &counter{w: g.w}
	tee := io.TeeReader(r, count)
	err := ReadFrame(f, tee, nil, func(it Item, content *Verifier) error {
		delete(g.left, it.Digest)
		_, err := io.Copy(io.Discard, content)
		return err
	})
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, tee); err != nil {
		return err
	}
	if count.n != f.Length {
		return fmt.Errorf("%w: a frame of %d bytes has %d", ErrCorrupt, f.Length, count.n)
	}
	g.wrote(Frame{Kind: Whole, Offset: g.at, Size: f.Size, Items: f.Items}, count.n)
	return nil
}

// spool has contents one after the other in a temporary file, and gives them
// by path.
type spool struct {
	file  *os.File
	size  int64
	at    map[string]*io.SectionReader
	files []File
}

func (s *spool) add(f File, content io.Reader) error {
	n, err := io.Copy(io.NewOffsetWriter(s.file, s.size), content)
	s.at[f.Path] = io.NewSectionReader(s.file, s.size, n)
	s.files = append(s.files, f)
	s.size += n
	return err
}

// Open is for fs.FS.
func (s *spool) Open(path string) (fs.File, error) {
	f, ok := s.at[path]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return spooled{f}, nil
}

// spooled is a file of a spool, read once.
type spooled struct{ *io.SectionReader }

func (spooled) Close() error               { return nil }
func (spooled) Stat() (fs.FileInfo, error) { return nil, errors.ErrUnsupported }

// Slim makes a bundle that says what a stored one says and has no content
// whole: only its deltas, where they are wanted. For who has the content
// before it, or only asks what was changed, that is enough.
func Slim(ctx context.Context, dir string, from Stored, deltas bool) (*Built, error) {
	x := *from.Index
	x.Frames = nil
	return x.build(dir, func(w *frameWriter) error {
		for _, f := range from.Index.Frames {
			if !deltas || f.Kind != Delta {
				continue
			}
			if err := w.copy(ctx, from, f); err != nil {
				return err
			}
		}
		return nil
	})
}

// copy appends a frame, unread: on a base it can only be judged with that.
func (w *frameWriter) copy(ctx context.Context, from Stored, f Frame) error {
	r, err := from.Open(ctx, f.Offset, f.Length)
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.CopyN(w.w, r, f.Length); err != nil {
		return unexpected(err)
	}
	f.Offset = w.at
	w.wrote(f, f.Length)
	return nil
}

// Holds says whether a bundle has one of these contents, whole or as what a
// delta makes.
func (x *Index) Holds(gone map[Digest]bool) bool {
	return slices.ContainsFunc(x.Frames, func(f Frame) bool { return f.holds(gone) })
}

func (f *Frame) holds(gone map[Digest]bool) bool {
	return slices.ContainsFunc(f.Items, func(it Item) bool { return gone[it.Digest] })
}

// Without makes a bundle that says what a stored one says, and has none of
// these contents. Frames that have none of them are copied as they are; of one
// that mixes, the other contents are compressed anew.
func Without(ctx context.Context, dir string, from Stored, gone map[Digest]bool) (*Built, error) {
	x := *from.Index
	x.Frames = nil
	return x.build(dir, func(w *frameWriter) error {
		g := gatherer{frameWriter: w, left: map[Digest]File{}}
		var mixed []int
		for i := range from.Index.Frames {
			f := &from.Index.Frames[i]
			if !f.holds(gone) {
				if err := w.copy(ctx, from, *f); err != nil {
					return err
				}
				continue
			}
			if f.Kind == Whole {
				mixed = append(mixed, i)
			}
			for _, it := range f.Items {
				if f.Kind == Whole && !gone[it.Digest] {
					g.left[it.Digest] = File{Path: it.Digest.String(), Digest: it.Digest, Size: it.Size}
				}
			}
		}
		only := *from.Index
		only.Frames = nil
		for _, i := range mixed {
			only.Frames = append(only.Frames, from.Index.Frames[i])
		}
		return g.run(ctx, []Stored{{Index: &only, Open: from.Open}})
	})
}
