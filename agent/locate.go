package agent

import (
	"os"
	"path/filepath"
	"strings"
)

// found is one file of one course.
type found struct {
	l    *local
	path string
}

// locate finds the file of a course that a typed name means: as every program
// takes it, from the folder wd, and else, where nothing lies there, by its
// name in the one course that has it. A nil course: none is meant, and it is
// said why; command is what was typed before the name.
func (p *pass) locate(wd, file, command string) (*local, string) {
	full := file
	if !filepath.IsAbs(full) {
		full = filepath.Join(wd, file)
	}
	if at := p.lyingAt(p.a.s.Root, full); at.l != nil {
		return at.l, at.path
	}
	if root, real, ok := realPaths(p.a.s.Root, full); ok {
		if at := p.lyingAt(root, real); at.l != nil {
			return at.l, at.path
		}
	}
	named := p.namedSo(filepath.Clean(file))
	_, err := os.Lstat(full)
	own := file != "" && err == nil
	switch {
	case len(named) == 0:
		p.say("", p.a.words.NotInCourse(file))
	case len(named) > 1:
		p.which(p.a.words.InSeveral(file, coursesOf(named)), command, named)
	case own:
		p.which(p.a.words.OnesOwn(file, named[0].l.name), command, named)
	default:
		return named[0].l, named[0].path
	}
	p.out.Code = CodeFolder
	return nil, ""
}

// realPaths are root and a path without links on their way, for a shell may
// have come into a folder by another name. The file itself need not be there.
func realPaths(root, full string) (realRoot, real string, ok bool) {
	realRoot, err := filepath.EvalSymlinks(root)
	if err != nil {
		return "", "", false
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(full))
	return realRoot, filepath.Join(dir, filepath.Base(full)), err == nil
}

// lyingAt is the course's file whose place is at a full path.
func (p *pass) lyingAt(root, full string) found {
	for _, l := range p.inOrder() {
		folder := l.dir.State().Folder
		if folder == "" {
			continue
		}
		if rel, err := filepath.Rel(filepath.Join(root, folder), full); err == nil && filepath.IsLocal(rel) && l.has(rel) {
			return found{l, rel}
		}
	}
	return found{}
}

// namedSo are the courses' files that have a path in their course.
func (p *pass) namedSo(path string) (out []found) {
	for _, l := range p.inOrder() {
		if l.dir.State().Folder != "" && l.has(path) {
			out = append(out, found{l, path})
		}
	}
	return out
}

// has says whether the newest version here has a path.
func (l *local) has(path string) bool {
	for _, m := range l.dir.State().Latest.Manifests {
		if _, ok := m.Find(path); ok {
			return true
		}
	}
	return false
}

func coursesOf(places []found) (names []string) {
	for _, at := range places {
		names = append(names, at.l.name)
	}
	return names
}

// which says that a name leaves open what is meant, and what to type.
func (p *pass) which(sentence, command string, places []found) {
	p.say("", sentence)
	for _, at := range places {
		full := filepath.Join(p.a.s.Root, at.l.dir.State().Folder, at.path)
		p.say("", "  satchel-agent "+command+" "+Plain(inShell(full)))
	}
}

// inShell writes a name as it is typed in a shell.
func inShell(name string) string {
	const plain = "/._-+=:,@%"
	odd := func(r rune) bool {
		return r < 0x80 && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune(plain, r)
	}
	if !strings.ContainsFunc(name, odd) {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}
