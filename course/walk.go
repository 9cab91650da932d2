package course

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"satchel/bundle"
)

// maxEntries bounds what a walk looks at, hidden entries and those reached
// through links included.
const maxEntries = 4 * bundle.MaxFiles

// withheld are the names that never go out without a rule that names them.
// They are compared in lower case: Solution.ipynb is one, too.
var withheld = mustPatterns(
	"solution*", "*_solution*", "*-solution*", "solutions/", "private/", "instructor/",
	".git*", RulesFile, ".satchel.*", ".ipynb_checkpoints")

func mustPatterns(lines ...string) Patterns {
	ps, err := ParsePatterns(lines)
	if err != nil {
		panic(err) // only these constants
	}
	return ps
}

// withheldReason says why a name is withheld, "" where it is not.
func withheldReason(name string, dir bool) string {
	low := strings.ToLower(name)
	hidden, _ := withheld.Match(low, dir, nil)
	switch {
	case !hidden:
		return ""
	case low == ".ipynb_checkpoints":
		return "Jupyter's own copies; never delivered"
	case strings.HasPrefix(low, ".git"):
		return "a file for git or its host; never delivered"
	case strings.HasPrefix(low, ".satchel"):
		return "a file for Satchel; never delivered"
	}
	return notReleased
}

const notReleased = "cannot be released yet; rename it to deliver it"

// walker goes through the names. It opens no content.
type walker struct {
	ctx     context.Context
	fsys    fs.FS
	memo    Memo // nil: none
	s       *Selection
	hide    *asked
	policy  *asked
	found   []candidate
	entries int
	size    int64
	tooMuch bool // a ceiling was met: what was found is not all
}

// candidate is a file that the names let through.
type candidate struct {
	path string // as delivered
	real string // in the tree; another where a link led there
	mode fs.FileMode
	id   string // of the content, for the memo; "" where it has none
	rule int    // the last rule of policy that names it, or a folder above it; -1: none
}

// place is a folder being walked: where it stands in the tree, where it is
// delivered, the folders of the tree that led to it, and the last rule of
// policy that names it or a folder above it (-1: none).
type place struct {
	real, path string
	above      []string
	rule       int
}

// asked are the patterns under one key of RulesFile, and which of them matched
// anything.
type asked struct {
	key      string
	patterns Patterns
	used     []bool
}

func ask(key string, ps Patterns) *asked { return &asked{key, ps, make([]bool, len(ps))} }

// use notes that the i-th pattern matched something.
func (a *asked) use(i int) { a.used[i] = true }

func newWalker(ctx context.Context, fsys fs.FS, memo Memo, s *Selection) *walker {
	return &walker{
		ctx: ctx, fsys: fsys, memo: memo, s: s,
		hide: ask("hide", s.Rules.hide), policy: ask("policy: path", s.Rules.policy),
	}
}

func (w *walker) walk() error { return w.folder(place{real: ".", path: ".", rule: -1}) }

func join(dir, name string) string {
	if dir == "." {
		return name
	}
	return dir + "/" + name
}

func (w *walker) folder(p place) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	entries, err := fs.ReadDir(w.fsys, p.real)
	if err != nil {
		return fmt.Errorf("read %s: %w", p.real, err)
	}
	seen := map[string]bool{}
	for _, e := range entries {
		if w.tooMuch {
			return nil
		}
		if w.entries++; w.entries > maxEntries {
			w.ceiling(fmt.Sprintf("more than %d files and folders", maxEntries))
			return nil
		}
		if seen[e.Name()] {
			w.s.stop(Finding{Path: join(p.path, e.Name()), Reason: "stands in the folder twice; the repository is damaged"})
			continue
		}
		seen[e.Name()] = true
		if err := w.entry(p, e); err != nil {
			return err
		}
	}
	return nil
}

// ceiling stops the publish, and the walk.
func (w *walker) ceiling(reason string) {
	w.tooMuch = true
	w.s.stop(Finding{Reason: reason})
}

func (w *walker) entry(p place, e fs.DirEntry) error {
	path, real := join(p.path, e.Name()), join(p.real, e.Name())
	if path == RulesFile || w.hidden(path, e.IsDir()) || real != path && w.hidden(real, e.IsDir()) {
		return nil
	}
	if err := bundle.CheckName(e.Name()); err != nil {
		w.s.stop(Finding{Path: path, Reason: "unsafe name: " + err.Error() + "; rename it"})
		return nil
	}
	if err := bundle.CheckPath(path); err != nil {
		w.s.stop(Finding{Path: path, Reason: "unsafe path: " + err.Error()})
		return nil
	}
	if reason := withheldReason(e.Name(), e.IsDir()); reason != "" {
		if e.IsDir() {
			path += "/…"
		}
		w.s.withhold(Finding{Path: path, Reason: reason})
		return nil
	}
	switch mode := e.Type(); {
	case mode.IsDir():
		return w.folder(w.below(p, path, real))
	case mode.IsRegular():
		return w.file(p, path, real, e)
	case mode&fs.ModeSymlink != 0:
		return w.link(p, path, real)
	case mode&fs.ModeIrregular != 0:
		w.s.warn(Finding{Path: path, Reason: "another repository (a submodule); its content is not delivered"})
	default:
		w.s.stop(Finding{Path: path, Reason: "neither a file nor a folder (a device or a pipe); take it out"})
	}
	return nil
}

// hidden asks for this path alone, its parents having been asked on the way.
func (w *walker) hidden(path string, dir bool) bool {
	hidden, _ := w.hide.patterns.Match(path, dir, w.hide.use)
	return hidden
}

// ruled asks for this path alone, too; above is its folder's rule. Whichever
// stands later in the list holds: so an exception follows what it is one of.
func (w *walker) ruled(above int, path string, dir bool) int {
	return max(above, w.policy.patterns.last(path, dir, w.policy.use))
}

// below is the folder real, in p or linked from there, delivered as path.
func (w *walker) below(p place, path, real string) place {
	return place{real, path, append(slices.Clone(p.above), p.real), w.ruled(p.rule, path, true)}
}

// listed is an entry whose folder's listing says what its Info says, but for
// the size: to know that may cost a look at the content.
type listed interface {
	Mode() fs.FileMode
	ContentID() string
}

func (w *walker) file(p place, path, real string, e fs.DirEntry) error {
	c := candidate{path: path, real: real, rule: w.ruled(p.rule, path, false)}
	var known bool
	var size int64
	if l, ok := e.(listed); ok && w.memo != nil {
		c.mode, c.id = l.Mode(), factID(path, l.ContentID())
		var f Fact
		f, known = w.memo.Get(c.id)
		size = f.Size
	}
	if !known {
		info, err := e.Info()
		if err != nil {
			return fmt.Errorf("read %s: %w", real, err)
		}
		c.mode, size = info.Mode(), info.Size()
		if named, ok := info.Sys().(interface{ ContentID() string }); ok && w.memo != nil {
			c.id = factID(path, named.ContentID())
		}
	}
	if size > bundle.MaxFileSize {
		w.s.stop(Finding{Path: path, Reason: fmt.Sprintf("larger than %s, the limit for one file; hide it", megabytes(bundle.MaxFileSize))})
		return nil
	}
	w.size += size
	w.found = append(w.found, c)
	switch {
	case len(w.found) > bundle.MaxFiles:
		w.ceiling(fmt.Sprintf("more than %d files; hide what students do not need", bundle.MaxFiles))
	case w.size > bundle.MaxBundleSize:
		w.ceiling(fmt.Sprintf("more than %s in all; hide what students do not need", megabytes(bundle.MaxBundleSize)))
	}
	return nil
}

func megabytes(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.3g GB", float64(n)/(1<<30))
	case n < 10<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d MB", n>>20)
}

// link delivers what a link points to, if that lies in the folder and is
// itself delivered.
func (w *walker) link(p place, path, real string) error {
	target, info, reason, err := resolve(w.fsys, real)
	if err != nil {
		return err
	}
	if reason == "" {
		reason = w.refused(p, target, info)
	}
	if reason != "" {
		w.s.hold(Finding{Path: path, Reason: reason})
		return nil
	}
	if !info.IsDir() {
		return w.file(p, path, target, fs.FileInfoToDirEntry(info))
	}
	if w.hidden(path, true) {
		return nil
	}
	return w.folder(w.below(p, path, target))
}

// refused says why a link to target is held back, "" where it is not.
func (w *walker) refused(p place, target string, info fs.FileInfo) string {
	switch {
	case info.IsDir() && (target == p.real || slices.Contains(p.above, target)):
		return "a link to a folder that it lies in; it would never end"
	case !info.IsDir() && !info.Mode().IsRegular():
		return "a link to something that is neither a file nor a folder"
	case w.s.Rules.hide.Hidden(target, info.IsDir()):
		return fmt.Sprintf("a link to %s, which is hidden", plainPath(target))
	}
	for name := range strings.SplitSeq(target, "/") {
		if bundle.CheckName(name) != nil || withheldReason(name, true) != "" {
			return fmt.Sprintf("a link to %s, which is not delivered", plainPath(target))
		}
	}
	return ""
}
