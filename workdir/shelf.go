package workdir

import (
	"time"

	"satchel/bundle"
)

// shelfFor is how long a student's bytes stay on the shelf, at least.
const shelfFor = 30 * 24 * time.Hour

const stamp = "20060102T150405Z"

// shelve moves something of the student's from the hold to the shelf, where
// it lies under the time and its path, for a person to find without us.
func (c *Course) shelve(from *dir, name, path string) error {
	shelf, err := c.area.private(shelfName)
	if err != nil {
		return err
	}
	defer shelf.close()
	folder, base := split(path)
	d, err := shelf.descend(join(c.home.now.Format(stamp), folder), func(string) {})
	if err != nil {
		return err
	}
	defer d.close()
	if _, err := placeBeside(from, name, d, base, mySuffix, true); err != nil {
		return err
	}
	return d.sync()
}

// tidyShelf removes what has been on the shelf for long enough.
func (c *Course) tidyShelf() {
	shelf, err := c.area.private(shelfName)
	if err != nil {
		return
	}
	defer shelf.close()
	names, _ := shelf.names()
	for _, name := range names {
		t, err := time.Parse(stamp, name)
		if err == nil && c.home.now.Sub(t) > shelfFor {
			shelf.removeAll(name, 0)
		}
	}
}

// removeAll removes what is below a name of Satchel's own, following nothing.
func (d *dir) removeAll(name string, depth int) {
	s, err := d.stat(name)
	if err != nil || depth > bundle.MaxDepth+8 {
		return
	}
	if s.Kind != Folder {
		_ = d.remove(name)
		return
	}
	sub, err := d.sub(name)
	if err != nil {
		return
	}
	names, _ := sub.names()
	for _, n := range names {
		sub.removeAll(n, depth+1)
	}
	sub.close()
	_ = d.rmdir(name)
}

// Usage says how many bytes Satchel holds for this course: of the course's
// (given up when space is short), and of the student's.
func (c *Course) Usage() (course, student int64) {
	tree, _ := c.tree(c.rec.named.Folder)
	if tree != nil {
		defer tree.close()
	}
	if c.state == nil || c.area == nil && c.openArea(tree) != nil {
		return 0, 0
	}
	course = c.state.usage(baseName, 0) + c.area.usage(stageName, 0)
	return course, c.area.usage(shelfName, 0) + c.area.usage(holdName, 0)
}

func (d *dir) usage(name string, depth int) (n int64) {
	s, err := d.stat(name)
	if err != nil || s.Kind != Folder || depth > bundle.MaxDepth+8 {
		return s.Size
	}
	sub, err := d.sub(name)
	if err != nil {
		return 0
	}
	defer sub.close()
	names, _ := sub.names()
	for _, name := range names {
		n += sub.usage(name, depth+1)
	}
	return n
}
