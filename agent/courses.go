package agent

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
)

// maxCourses bounds how many courses one answer may name, and how many of one
// home are open at once.
const maxCourses = 100

// openCourses opens what earlier passes left here.
func (p *pass) openCourses(ctx context.Context) error {
	names, err := p.courseNames(ctx)
	for _, name := range names {
		if len(p.courses) == maxCourses || ctx.Err() != nil {
			break
		}
		if _, err := p.local(name); err != nil {
			p.lg.Warn("course not readable", "course", name, "error", err)
		}
	}
	return err
}

// courseNames lists the folders of courses: those that are remembered first,
// so that no other folder keeps them from being opened.
func (p *pass) courseNames(ctx context.Context) ([]string, error) {
	var others []string
	first := map[string]bool{}
	err := p.eachFolder(ctx, func(name string) {
		switch {
		case !p.hasJournal(name):
		case p.mem.Courses[name] != nil:
			first[name] = true
		default:
			others = append(others, name)
		}
	})
	slices.Sort(others)
	return append(slices.Sorted(maps.Keys(first)), others...), err
}

// eachFolder goes through the folders in .satchel that may be a course's. How
// many lie there is the student's business, so they are read a few at a time.
func (p *pass) eachFolder(ctx context.Context, each func(name string)) error {
	if info, err := p.root.Lstat(".satchel"); err != nil || !info.IsDir() {
		return err
	}
	dir, err := p.root.Open(".satchel")
	if err != nil {
		return err
	}
	defer dir.Close()
	for ctx.Err() == nil {
		entries, err := dir.ReadDir(256)
		for _, e := range entries {
			if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
				each(e.Name())
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// hasJournal says whether something was ever delivered from a course. One
// that cannot be looked at counts: opening it says why.
func (p *pass) hasJournal(name string) bool {
	_, err := p.root.Lstat(".satchel/" + name + "/journal")
	return !errors.Is(err, fs.ErrNotExist)
}

// local opens a course once. It may make the course's folder, so a name that
// only an answer gave must have come with a head that a trusted key signed.
func (p *pass) local(name string) (*local, error) {
	if l := p.courses[name]; l != nil {
		return l, nil
	}
	dir, err := p.home.Course(name)
	if err != nil {
		return nil, err
	}
	l := &local{name: name, dir: dir}
	p.courses[name] = l
	return l, nil
}
