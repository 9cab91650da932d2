package config

import (
	"path/filepath"

	"satchel/course"
)

// LoadUsable is Load for whoever can go on without some courses: files of
// courses.d with a mistake are set aside as a whole, and what is wrong with
// them stands in Broken. A mistake in satchel.yaml is an error all the same.
func LoadUsable(path string) (*Config, error) {
	l, err := readAll(path)
	if err != nil {
		return nil, err
	}
	l.setAside()
	return l.done()
}

// setAside takes the broken files of courses.d out, where nothing else is
// broken.
func (l *loader) setAside() {
	broken := map[string]bool{}
	for _, p := range l.problems {
		if filepath.Dir(p.File) != filepath.Join(l.c.Dir, coursesDir) {
			return
		}
		broken[p.File] = true
	}
	var good []course.Course
	for i, at := range l.places {
		if !broken[at.file] {
			good = append(good, l.c.Courses[i])
		}
	}
	l.c.Courses, l.c.Broken, l.problems = good, l.problems, nil
}
