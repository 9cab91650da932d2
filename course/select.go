package course

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"satchel/bundle"
	"satchel/internal/strict"
)

// Finding is something that the instructor should know of a path. Line is 0
// where it says nothing.
type Finding struct {
	Path   string `json:"path,omitempty"`
	Line   int    `json:"line,omitempty"`
	Reason string `json:"reason"`
}

func (f Finding) String() string {
	switch {
	case f.Path == "" && f.Line == 0:
		return f.Reason
	case f.Line > 0:
		return fmt.Sprintf("%s:%d: %s", plainPath(f.Path), f.Line, f.Reason)
	}
	return fmt.Sprintf("%s: %s", plainPath(f.Path), f.Reason)
}

// plainPath quotes a path where it could spoil a line of a log.
func plainPath(p string) string {
	if q := fmt.Sprintf("%q", p); q != `"`+p+`"` {
		return q
	}
	return p
}

// maxFindings bounds each list of them.
const maxFindings = 500

// Selection is what a tree delivers, and what was found on the way. Where
// Stops is not empty nothing of it may be published.
type Selection struct {
	Rules *Rules
	Files []bundle.File                   // sorted by path
	Forms map[bundle.Digest]bundle.Digest // of the notebooks in Files, by content

	Stops    []Finding // each stops the whole publish
	Held     []Finding // files that are not delivered until they are mended
	Withheld []Finding // names that are never delivered
	Warnings []Finding

	// Away says that a content lies elsewhere (Git LFS) and could not be had:
	// the same commit may pass next time.
	Away bool

	fsys fs.FS
	from map[string]string // path delivered → path in fsys, where they differ
}

// FS opens delivered paths; a link gives what it points to.
func (s *Selection) FS() fs.FS { return s }

// Open implements fs.FS for Selection.FS.
func (s *Selection) Open(name string) (fs.File, error) {
	_, found := slices.BinarySearchFunc(s.Files, name, func(f bundle.File, n string) int { return cmp.Compare(f.Path, n) })
	if !found {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if real, ok := s.from[name]; ok {
		name = real
	}
	return s.fsys.Open(name)
}

// Notes is everything that was found, the gravest first: one line each, but
// for the names that are never delivered, which share one.
func (s *Selection) Notes() []string {
	var out []string
	tell := func(word string, list []Finding) {
		for _, f := range list {
			out = append(out, word+": "+f.String())
		}
	}
	tell("stops the publish", s.Stops)
	tell("held back", s.Held)
	out = append(out, s.withheldNotes()...)
	tell("warning", s.Warnings)
	return out
}

// maxNamed is how many names stand in one line.
const maxNamed = 5

func (s *Selection) withheldNotes() (out []string) {
	var mine, tools []Finding
	for _, f := range s.Withheld {
		switch {
		case f.Path == "": // "and more of these"
		case f.Reason == notReleased:
			mine = append(mine, f)
		default:
			tools = append(tools, f)
		}
	}
	cut := len(s.Withheld) > maxFindings
	if len(mine) > 0 {
		out = append(out, fmt.Sprintf("kept back as solutions or private: %s (a name like this %s)", names(mine, cut), notReleased))
	}
	if len(tools) > 0 {
		out = append(out, fmt.Sprintf("never delivered: %s (for git, Jupyter or Satchel)", names(tools, cut)))
	}
	return out
}

// names gives the first paths of list; cut says that list is not all.
func names(list []Finding, cut bool) string {
	var b strings.Builder
	for i, f := range list[:min(len(list), maxNamed)] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(plainPath(f.Path))
	}
	switch rest := len(list) - maxNamed; {
	case cut:
		b.WriteString(" and many more")
	case rest > 0:
		fmt.Fprintf(&b, " and %d more", rest)
	}
	return b.String()
}

// Select decides what fsys delivers: it reads RulesFile, walks the tree,
// follows links inside of it, and looks into every content that memo (nil:
// none) does not know yet. What is wrong with the tree stands in the
// Selection; the error is for what could not be read.
func Select(ctx context.Context, fsys fs.FS, memo Memo) (*Selection, error) {
	s := &Selection{Rules: &Rules{}, Forms: map[bundle.Digest]bundle.Digest{}, fsys: fsys, from: map[string]string{}}
	if err := s.readRules(); err != nil || len(s.Stops) > 0 {
		return s, err
	}
	w := newWalker(ctx, fsys, memo, s)
	if err := w.walk(); err != nil {
		return nil, err
	}
	if !w.tooMuch {
		if err := s.inspect(ctx, w.found, memo); err != nil {
			return nil, err
		}
		warnNames(s)
		if err := w.warnUnused(); err != nil {
			return nil, err
		}
	}
	if len(s.Files) == 0 && len(s.Stops) == 0 {
		s.stop(Finding{Reason: "nothing would be delivered: the folder is empty, or all of it is hidden, withheld or held back"})
	}
	return s, nil
}

func (s *Selection) stop(f Finding)     { add(&s.Stops, f) }
func (s *Selection) hold(f Finding)     { add(&s.Held, f) }
func (s *Selection) withhold(f Finding) { add(&s.Withheld, f) }
func (s *Selection) warn(f Finding)     { add(&s.Warnings, f) }

func add(list *[]Finding, f Finding) {
	switch n := len(*list); {
	case n < maxFindings:
		*list = append(*list, f)
	case n == maxFindings:
		*list = append(*list, Finding{Reason: "and more of these"})
	}
}

// misnamed are names that people give RulesFile by mistake. Without the right
// one nothing would be hidden.
var misnamed = []string{".satchel.yml", "satchel.yaml", "satchel.yml", ".satchel.yaml.txt"}

func (s *Selection) readRules() error {
	info, err := fs.Lstat(s.fsys, RulesFile)
	if errors.Is(err, fs.ErrNotExist) {
		return s.findMisnamed()
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", RulesFile, err)
	}
	if !info.Mode().IsRegular() {
		s.stop(Finding{Path: RulesFile, Reason: "must be a plain file, no link and no folder"})
		return nil
	}
	f, err := s.fsys.Open(RulesFile)
	if err != nil {
		return fmt.Errorf("read %s: %w", RulesFile, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRulesSize+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", RulesFile, err)
	}
	rules, err := ParseRules(data)
	for _, p := range strict.List(err) {
		line := p.Line
		p.Line = 0
		s.stop(Finding{Path: RulesFile, Line: line, Reason: p.String()})
	}
	if err == nil {
		s.Rules = rules
	}
	return nil
}

func (s *Selection) findMisnamed() error {
	entries, err := fs.ReadDir(s.fsys, ".")
	if err != nil {
		return fmt.Errorf("read the folder: %w", err)
	}
	for _, e := range entries {
		name := strings.ToLower(e.Name())
		if name == RulesFile || slices.Contains(misnamed, name) && !e.IsDir() {
			s.stop(Finding{Path: e.Name(), Reason: fmt.Sprintf("rename it to %s; under this name it would hide nothing", RulesFile)})
		}
	}
	return nil
}
