package syncer

import (
	"strings"
	"sync"

	"satchel/course"
)

// claims says which course has which folder in the students' homes: two
// courses in one folder would take each other's files for the student's own.
// Capitals do not make two folders out of one, for some homes do not see them.
type claims struct {
	mu sync.Mutex
	by map[string]course.Name
}

// take claims a folder for a course, in place of what it had, and gives
// whoever has it now: another course keeps what it claimed first.
func (c *claims) take(folder string, name course.Name) (holder course.Name) {
	c.mu.Lock()
	defer c.mu.Unlock()
	folder = strings.ToLower(folder)
	if holder, taken := c.by[folder]; taken && holder != name {
		return holder
	}
	if c.by == nil {
		c.by = map[string]course.Name{}
	}
	for f, n := range c.by {
		if n == name {
			delete(c.by, f)
		}
	}
	c.by[folder] = name
	return name
}

// drop gives a removed course's folder free.
func (c *claims) drop(name course.Name) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for f, n := range c.by {
		if n == name {
			delete(c.by, f)
		}
	}
}

// checkFolder refuses a folder that is another course's.
func (p *pass) checkFolder(sel *course.Selection) error {
	folder := settings(p.c, sel).Folder
	holder := p.claims.take(folder, p.c.Name)
	if holder == p.c.Name {
		return nil
	}
	r := refuse(Content, "nothing was published: the folder %q in the students' homes is course %s's already; give one of the two another folder_name in its %s", folder, holder, course.RulesFile)
	r.Commit = p.tip
	return r
}
