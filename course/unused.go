package course

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"satchel/internal/strict"
)

// warnUnused warns of patterns that match nothing at all, with the nearest
// path that exists: a typing mistake there publishes what was to be hidden, or
// lets a student's work go the wrong way.
func (w *walker) warnUnused() error {
	if !w.hide.idle() && !w.policy.idle() {
		return nil
	}
	paths, err := w.everything(".", nil)
	if err != nil {
		return err
	}
	for _, a := range []*asked{w.hide, w.policy} {
		for i, p := range a.patterns {
			if !a.used[i] {
				w.s.warn(Finding{Path: RulesFile, Line: p.line, Reason: unusedReason(a.key, p, paths)})
			}
		}
	}
	return nil
}

// idle says whether one of the patterns matched nothing yet.
func (a *asked) idle() bool { return slices.Contains(a.used, false) }

func unusedReason(key string, p pattern, paths []string) string {
	reason := fmt.Sprintf("%s: %q matches nothing", key, p.text)
	if near := nearestPath(p, paths); near != "" {
		reason += fmt.Sprintf("; did you mean %q?", near)
	}
	return reason
}

// everything lists all paths of the tree, those of hidden folders too, and
// tells the patterns of each; folders end with a slash.
func (w *walker) everything(dir string, paths []string) ([]string, error) {
	if err := w.ctx.Err(); err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(w.fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", dir, err)
	}
	for _, e := range entries {
		path := join(dir, e.Name())
		if !fs.ValidPath(path) || len(paths) > maxEntries {
			continue
		}
		w.hidden(path, e.IsDir())
		w.ruled(-1, path, e.IsDir())
		if !e.IsDir() {
			paths = append(paths, path)
			continue
		}
		if paths, err = w.everything(path, append(paths, path+"/")); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// nearestPath compares a pattern with whole paths where it is anchored, else
// with names.
func nearestPath(p pattern, paths []string) string {
	want := strings.Trim(strings.TrimPrefix(p.text, "!"), "/ ")
	best, at := "", max(1, len(want)/3)+1
	for _, path := range paths {
		plain := strings.TrimSuffix(path, "/")
		if !p.anchored {
			plain = plain[strings.LastIndexByte(plain, '/')+1:]
		}
		d := strict.Distance(strings.ToLower(want), strings.ToLower(plain), at-1)
		if p.dirOnly && d == 0 && plain == path { // a file where a folder was meant
			d = 1
		}
		if d < at {
			best, at = path, d
		}
	}
	return best
}
