package hookserver

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"strings"
	"syscall"

	"satchel/bundle"
	"satchel/hook"
)

// packOffer gives what stands before the frames, in parts: the courses' own
// are the prepared ones, which all students share, so that an answer costs no
// memory in the size of a course. Several zstd frames one after the other are
// one stream.
func (s *Server) packOffer(t hook.Ticket, list []*prepared) ([][]byte, error) {
	o := hook.Offer{Format: hook.Format, Now: s.o.Now().UTC(), Courses: []hook.CourseOffer{}, Groups: t.Groups}
	data, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	const none = `"courses":[]`
	before, after, _ := strings.Cut(string(data), none)
	length := make([]byte, 4)
	parts := [][]byte{length}
	plain, packed := int64(0), int64(0)
	add := func(part []byte, n int64) {
		parts = append(parts, part)
		plain, packed = plain+n, packed+int64(len(part))
	}
	// An encoder would take more memory than all that an answer is made of.
	addText := func(text string) { add(bundle.Store(text), int64(len(text))) }
	addText(before + strings.TrimSuffix(none, "]"))
	for i, p := range list {
		add(p.packed, p.plain)
		end := p.end()
		if i < len(list)-1 {
			end += ","
		}
		addText(end)
	}
	addText("]" + after)
	if plain > hook.MaxOffer || packed > hook.MaxPackedOffer {
		return nil, errLargeOffer
	}
	binary.BigEndian.PutUint32(length, uint32(packed))
	return parts, nil
}

// frameSender writes the frames of one course's answer. It keeps the file of
// the last bundle open, for most frames of an answer lie in one; but no longer
// than the bundle has its name: what was withdrawn ends a running answer too.
type frameSender struct {
	s      *Server
	w      *body
	course string
	last   bundle.Digest
	file   *fileSection // of last; nil: none
}

func (f *frameSender) send(ctx context.Context, p piece) error {
	f.w.watch = f.s.watch(ctx, f.course, p.offered.Items)
	defer func() { f.w.watch = nil }()
	if p.made != nil {
		who := guest{f.w.ticket.User, f.w.ticket.Server}
		return f.w.fill("made", p.offered.Length, func(w *body) error { return f.s.mix.send(ctx, who, p.made, w) })
	}
	if f.file != nil && f.last == p.stored.bundle && f.file.named() {
		if err := f.file.move(p.offered.Offset, p.offered.Length); err != nil {
			return err
		}
		return f.w.copy("stored", f.file, p.offered.Length)
	}
	f.close()
	r, err := f.s.lib.blobs.section(ctx, f.course, p.stored, p.offered.Offset, p.offered.Length)
	if err != nil {
		return err
	}
	if file, ok := r.(*fileSection); ok {
		f.file, f.last = file, p.stored.bundle
	} else {
		defer r.Close()
	}
	return f.w.copy("stored", r, p.offered.Length)
}

// close lets go of the file.
func (f *frameSender) close() {
	if f.file != nil {
		f.file.Close()
		f.file = nil
	}
}

// named says whether the file still has a name.
func (s *fileSection) named() bool {
	info, err := s.file.Stat()
	if err != nil {
		return false
	}
	sys, ok := info.Sys().(*syscall.Stat_t)
	return !ok || sys.Nlink > 0
}

// move makes s another part of its file.
func (s *fileSection) move(off, n int64) error {
	s.N = n
	_, err := s.file.Seek(off, io.SeekStart)
	return err
}
