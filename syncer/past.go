package syncer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"satchel/bundle"
	"satchel/notebook"
)

// What a look at a repository's past costs at most, once for a course.
const (
	maxPastCommits  = 5000
	maxPastContents = 100_000
	maxPastBytes    = 8 << 30
)

// past are the contents that each of the paths had in former commits: what
// homes may hold in which this repository was cloned before Satchel came
// (adopt). It is looked at when a channel is new, or the course's entry is;
// later, the history remembers. What cannot be read is a note and no more: a
// file that then matches nothing is taken for the student's.
func (p *pass) past(ctx context.Context, t tree, before []former, now []audience) map[string][]bundle.Former {
	if !p.c.Adopt || p.rec != nil && p.rec.Config == p.config && !anyNew(before, now) {
		return nil
	}
	l := pastLook{p: p, seen: map[string]bool{}, at: map[string][]bundle.Former{}}
	for was, err := range t.Past(ctx, maxPastCommits) {
		if err == nil {
			err = l.look(ctx, counting{was, &p.reads}, now)
		}
		if err != nil {
			p.out.Notes = append(p.out.Notes, "adopt: the repository's past was read in part, so older files in homes count as the students' own: "+err.Error())
			break
		}
	}
	p.lg.Info("former contents found in the repository's past", "course", p.c.Name, "contents", l.contents, "bytes", l.bytes)
	return l.at
}

// anyNew says whether some audience has no channel yet.
func anyNew(before []former, now []audience) bool {
	return slices.ContainsFunc(now, func(a audience) bool {
		return !slices.ContainsFunc(before, func(f former) bool { return sameAudience(a, f.Channel) })
	})
}

// pastLook gathers former contents, each once.
type pastLook struct {
	p        *pass
	seen     map[string]bool // path and git's name for the content
	at       map[string][]bundle.Former
	contents int
	bytes    int64
}

var errPastTooLong = fmt.Errorf("there are more than %d former contents, or %d GiB of them; the newest are known", maxPastContents, maxPastBytes>>30)

// look takes one former state of the folder.
func (l *pastLook) look(ctx context.Context, was fs.FS, now []audience) error {
	for _, a := range now {
		for _, f := range a.files {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := l.take(was, f.Path); err != nil {
				return err
			}
		}
	}
	return nil
}

// take takes one path's content in that state.
func (l *pastLook) take(was fs.FS, path string) error {
	info, err := fs.Stat(was, path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > bundle.MaxFileSize {
		return nil // it was not there, or no file that could have been delivered
	}
	id := path + "\x00"
	if named, ok := info.Sys().(interface{ ContentID() string }); ok {
		id += named.ContentID()
	}
	if l.seen[id] {
		return nil
	}
	l.seen[id] = true
	if l.contents++; l.contents > maxPastContents || l.bytes+info.Size() > maxPastBytes {
		return errPastTooLong
	}
	l.bytes += info.Size()
	f, err := formerOf(was, path, info.Size())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	l.at[path] = append(l.at[path], f)
	return nil
}

// formerOf reads a content. A notebook's form is known too, for a student has
// run it.
func formerOf(fsys fs.FS, path string, size int64) (f bundle.Former, err error) {
	f.Path = path
	if strings.HasSuffix(path, ".ipynb") && size <= notebook.MaxSize {
		data, err := fs.ReadFile(fsys, path)
		if err != nil {
			return f, err
		}
		if form, err := notebook.Form(data); err == nil {
			f.Form = form
		}
		f.Digest = bundle.Sum(data)
		return f, nil
	}
	r, err := fsys.Open(path)
	if err != nil {
		return f, err
	}
	h := sha256.New()
	_, err = io.Copy(h, r)
	copy(f.Digest[:], h.Sum(nil))
	return f, errors.Join(err, r.Close())
}
