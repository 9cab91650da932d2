package course

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// maxHops bounds a chain of links, as Linux does.
const maxHops = 40

// maxTarget bounds the text of one link, in bytes.
const maxTarget = 4096

// resolve follows the link at name within fsys, and the links on its way. It
// gives the file or folder at its end and no link on the path to it, or the
// reason why there is none.
func resolve(fsys fs.FS, name string) (target string, info fs.FileInfo, reason string, err error) {
	text, err := fs.ReadLink(fsys, name)
	if err != nil {
		return "", nil, "", fmt.Errorf("read the link %s: %w", name, err)
	}
	r := &route{fsys: fsys, at: path.Dir(name)}
	if info, err = fs.Lstat(fsys, r.at); err != nil {
		return "", nil, "", fmt.Errorf("read %s: %w", r.at, err)
	}
	for reason = r.turn(text); reason == "" && len(r.todo) > 0 && err == nil; {
		info, reason, err = r.step()
	}
	if err != nil {
		return "", nil, "", fmt.Errorf("follow the link %s: %w", name, err)
	}
	if reason == "" && info.IsDir() {
		info, err = fs.Lstat(fsys, r.at) // ".." may have ended it
	}
	return r.at, info, reason, err
}

// route is a walk along links: where it is, a folder without links on its
// path, and the names to go.
type route struct {
	fsys fs.FS
	at   string
	todo []string
	hops int
}

// turn puts a link's text before what is still to go.
func (r *route) turn(text string) (reason string) {
	r.hops++
	switch {
	case r.hops > maxHops:
		return "a link that leads back to itself"
	case text == "" || len(text) > maxTarget || strings.Contains(text, "\x00"):
		return "a link to nothing"
	case strings.HasPrefix(text, "/"):
		return "a link that leaves the folder (an absolute path); put the file itself here"
	}
	r.todo = append(strings.Split(text, "/"), r.todo...)
	return ""
}

func (r *route) step() (info fs.FileInfo, reason string, err error) {
	name := r.todo[0]
	r.todo = r.todo[1:]
	switch name {
	case "", ".":
		info, err = fs.Lstat(r.fsys, r.at)
		return info, "", err
	case "..":
		if r.at == "." {
			return nil, "a link that leaves the folder; put the file itself here", nil
		}
		r.at = path.Dir(r.at)
		info, err = fs.Lstat(r.fsys, r.at)
		return info, "", err
	}
	next := join(r.at, name)
	if !fs.ValidPath(next) {
		return nil, "a link to nothing (" + plainPath(next) + ")", nil
	}
	info, err = fs.Lstat(r.fsys, next)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, "a link to nothing (" + plainPath(next) + " is not there)", nil
	case err != nil:
		return nil, "", err
	case info.Mode()&fs.ModeSymlink != 0:
		text, err := fs.ReadLink(r.fsys, next)
		if err != nil {
			return nil, "", err
		}
		return info, r.turn(text), nil
	case !info.IsDir() && len(r.todo) > 0:
		return nil, "a link to nothing (" + plainPath(next) + " is no folder)", nil
	}
	r.at = next
	return info, "", nil
}
