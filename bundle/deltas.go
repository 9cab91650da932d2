package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

const (
	// inMemory is up to which size a content is compared in memory.
	inMemory = 8 << 20
	// minDelta is the smallest content of which a delta is made: what names
	// one has some hundred bytes itself.
	minDelta = 1 << 10
)

// addDeltas appends a delta for each content whose path, or the path it was
// renamed from, had another one in the base: where it has at most four fifths
// of the bytes that the content has in its whole frame.
func (w *frameWriter) addDeltas(ctx context.Context, s Spec, contents []File, fsys fs.FS) error {
	if s.Base == nil || s.Before == nil {
		return nil
	}
	withdrawn := map[Pair]bool{}
	for _, p := range s.Manifest.Withdrawn {
		withdrawn[p] = true
	}
	packed := packedSizes(w.index.Frames)
	for _, f := range contents {
		if err := ctx.Err(); err != nil {
			return err
		}
		was, ok := formerOf(s, f.Path)
		if !ok || f.Size < minDelta || withdrawn[Pair{was.Path, was.Digest}] {
			continue
		}
		if err := w.addDelta(file{s.Before, was}, file{fsys, f}, packed[f.Digest]*4/5); err != nil {
			return err
		}
	}
	return nil
}

func formerOf(s Spec, path string) (File, bool) {
	if f, ok := s.Base.Find(path); ok {
		return f, true
	}
	return s.Base.Find(s.Renamed[path])
}

// packedSizes is about how many bytes of a whole frame each content takes.
func packedSizes(frames []Frame) map[Digest]int64 {
	out := map[Digest]int64{}
	for _, f := range frames {
		for _, it := range f.Items {
			out[it.Digest] = int64(float64(f.Length) * float64(it.Size) / float64(max(f.Size, 1)))
		}
	}
	return out
}

// file is one, and where its content is.
type file struct {
	fsys fs.FS
	File
}

// addDelta appends one delta of at most most bytes, or none.
func (w *frameWriter) addDelta(was, f file, most int64) error {
	base, err := openContent(w.dir, was)
	if err != nil {
		return nil // it is only a saving
	}
	defer base.Close()
	content, err := openContent(w.dir, f)
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	defer content.Close()
	count := &counter{w: w.w}
	err = WriteDelta(count, content, base, most)
	if errors.Is(err, ErrNoGain) {
		_, err = w.w.Seek(w.at, io.SeekStart)
		return err
	}
	if err != nil {
		return fmt.Errorf("bundle: delta for %s: %w", f.Path, err)
	}
	w.wrote(Frame{Kind: Delta, Offset: w.at, Size: f.Size, Base: was.Digest, Items: []Item{{f.Digest, f.Size}}}, count.n)
	return nil
}

// openContent gives a file's content if it is what its digest says: in
// memory, or in a temporary file in dir.
func openContent(dir string, f file) (Base, error) {
	r := &checkedFile{fsys: f.fsys, file: f.File}
	if f.Size <= inMemory {
		data, err := io.ReadAll(r)
		return BaseBytes(data), err
	}
	tmp, err := os.CreateTemp(dir, "content-*")
	if err != nil {
		return nil, err
	}
	t := tempFile{tmp, f.Size}
	if _, err := io.Copy(tmp, r); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// tempFile is a file that is gone once it is closed.
type tempFile struct {
	*os.File
	size int64
}

func (t tempFile) Size() int64 { return t.size }

func (t tempFile) Close() error {
	os.Remove(t.Name())
	return t.File.Close()
}
