package workdir

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"satchel/bundle"
)

// shelfFor is how long a student's bytes stay on the shelf, at least; that
// one tick was a leap of both clocks is allowed for (tidied after more).
const (
	shelfFor    = 30 * 24 * time.Hour
	tidiedAfter = shelfFor + maxTick
)

const stamp = "20060102T150405Z"

// shelve moves something of the student's from the hold to the shelf, where
// it lies under the time and its path, for a person to find without us.
func (c *Course) shelve(from *dir, name, path string) error {
	shelf, err := c.area.private(shelfName)
	if err != nil {
		return err
	}
	defer shelf.close()
	if err := c.openShelf(shelf); err != nil {
		return err
	}
	folder, base := split(path)
	d, err := shelf.descend(join(c.shelf, folder), func(string) {})
	if err != nil {
		return err
	}
	defer d.close()
	if _, err := placeBeside(from, name, d, base, mySuffix, true); err != nil {
		return err
	}
	return d.sync()
}

// openShelf makes this pass's folder on the shelf: never one that is there
// already, for what lies together grows old together.
func (c *Course) openShelf(shelf *dir) error {
	if c.shelf != "" {
		return nil
	}
	at := later(c.home.now, c.rec.clock.Signed).Format(stamp)
	for n := 1; n <= maxCopies; n++ {
		name := at
		if n > 1 {
			name += "-" + strconv.Itoa(n)
		}
		if c.rec.shelf[name] != nil {
			continue
		}
		err := shelf.mkdir(name, 0o755)
		if err == nil {
			c.shelf = name
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return fmt.Errorf("%q: too many folders of that name on the shelf", at)
}

// shelved is what is remembered of one folder of the shelf. Its name is for
// people only: its age is counted from when it was first seen there.
type shelved struct {
	Name string        `json:"name"`
	From time.Duration `json:"from,omitempty"` // what the clock had counted then
	Gone bool          `json:"gone,omitempty"`
}

// maxShelved bounds what is remembered of the shelf; more than that lies
// there uncounted, until some of it went.
const maxShelved = 10_000

// tidyShelf removes what has been on the shelf for long enough.
func (c *Course) tidyShelf() error {
	shelf, err := c.area.private(shelfName)
	if err != nil {
		return writable(err)
	}
	defer shelf.close()
	names, err := shelf.names()
	if err != nil {
		return err
	}
	here := map[string]bool{}
	for _, name := range names {
		here[name] = onShelf(name)
	}
	var lines []line
	for _, name := range sortedKeys(c.rec.shelf) {
		if !here[name] {
			lines = append(lines, line{Shelf: &shelved{Name: name, Gone: true}})
		}
	}
	for _, name := range sortedKeys(here) {
		if l := c.age(shelf, name); here[name] && l != nil && len(c.rec.shelf)+len(lines) < maxShelved {
			lines = append(lines, line{Shelf: l})
		}
	}
	return c.save(lines...)
}

// onShelf says whether a name on the shelf is one that openShelf gives.
func onShelf(name string) bool {
	at, _, _ := strings.Cut(name, "-")
	_, err := time.Parse(stamp, at)
	return err == nil
}

// age looks at one folder of the shelf, lets it go where it is old enough,
// and gives what is to be remembered of it anew.
func (c *Course) age(shelf *dir, name string) *shelved {
	was := c.rec.shelf[name]
	if was == nil {
		return &shelved{Name: name, From: c.rec.clock.Passed}
	}
	if c.rec.clock.Passed-was.From > tidiedAfter {
		shelf.removeAll(name, 0)
	}
	return nil
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
	if c.state == nil || c.area == nil && c.findArea(tree) != nil {
		return 0, 0
	}
	course = c.state.usage(baseName, 0) + c.area.usage(stageName, 0) + c.area.usage(keptName, 0)
	student = c.area.usage(shelfName, 0)
	hold, err := c.area.sub(holdName)
	if err != nil {
		return course, student
	}
	defer hold.close()
	for _, h := range c.rec.holds { // waits for what an editor may still write into it
		size := hold.usage(inName(h.ID), 0) + hold.usage(outName(h.ID), 0)
		if h.Then == thenShelf || h.Then == thenBeside {
			student += size
		} else {
			course += size
		}
	}
	return course, student
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
