package workdir

import (
	"errors"
	"io/fs"
	"strings"
)

// Where names must be claimed, a run that dies between the claim and what was
// to take its place leaves an empty file, which would count as the student's.
// So the name is noted in .satchel first; whoever opens the home next takes
// the empty file away, if it is empty still and as old as the note. An inode
// would tell no more: FUSE gives them anew. No note is brought to disk: a
// power cut may at worst leave an empty file.
const (
	claimPrefix = ".claim-" // no course has a name with a dot first
	maxClaim    = 8 << 10
	sameMoment  = 2_000_000_000 // ns: the coarsest clock of a filesystem
)

// noteClaim notes that the name b in to is about to be claimed for a. done
// removes the note.
func noteClaim(from *dir, a string, to *dir, b string) (done func(), err error) {
	notes, name := to.do.claims, claimPrefix+to.do.newName()
	s, err := from.stat(a)
	if err != nil || s.Size == 0 || notes == nil { // an empty one left behind is as good as ours
		return func() {}, err
	}
	f, err := notes.create(name, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString(join(to.at, b))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, notes.remove(name))
	}
	return func() { _ = notes.remove(name) }, nil
}

// unclaim takes away what runs that died have claimed and not used. What
// cannot be done now stays noted.
func (h *Home) unclaim() {
	names, _ := h.own.names()
	for _, name := range names {
		if !strings.HasPrefix(name, claimPrefix) {
			continue
		}
		err := h.unclaimOne(name)
		if err == nil {
			err = h.own.remove(name)
		}
		if err != nil {
			h.lg.Warn("a claimed name stays", "note", name, "error", err)
		}
	}
}

func (h *Home) unclaimOne(note string) error {
	noted, err := h.own.stat(note)
	if err != nil || noted.Kind != Regular || noted.Size > maxClaim {
		return err
	}
	path, err := h.own.read(note, maxClaim)
	if err != nil || !fs.ValidPath(string(path)) {
		return err
	}
	folder, name := split(string(path))
	d, err := h.top.descend(folder, nil)
	var blocked *blockedError
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, &blocked) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.close()
	return h.removeClaim(d, name, noted.Mtime)
}

// removeClaim removes an empty file that is as old as the note of it. What is
// written into it in this very moment comes to lie there all the same.
func (h *Home) removeClaim(d *dir, name string, noted int64) error {
	f, s, err := d.open(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotRegular) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if s.Size > 0 || max(s.Mtime, noted)-min(s.Mtime, noted) > sameMoment {
		return nil
	}
	if err := d.remove(name); err != nil {
		return err
	}
	if s, err = statFD(int(f.Fd())); err != nil || s.Size == 0 {
		return err
	}
	return keepLate(f, h.own, d, name)
}
