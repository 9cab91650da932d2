package course

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"satchel/bundle"
	"satchel/notebook"
)

// Fact is what is known of one content, whatever its path: found once, kept
// in a Memo. Its findings have no path.
type Fact struct {
	Digest   bundle.Digest `json:"digest"`
	Size     int64         `json:"size"`
	Form     bundle.Digest `json:"form,omitzero"` // of a notebook that Jupyter opens
	Stops    []Finding     `json:"stops,omitempty"`
	Held     []Finding     `json:"held,omitempty"`
	Warnings []Finding     `json:"warnings,omitempty"`
}

// Memo keeps facts by the id of their content. It may forget.
type Memo interface {
	Get(id string) (Fact, bool)
	Put(id string, f Fact)
}

// hugeOutputs is where outputs are worth a warning, in bytes.
const hugeOutputs = 5 << 20

// inspect looks into every candidate and takes those that pass.
func (s *Selection) inspect(ctx context.Context, found []candidate, memo Memo) error {
	for _, c := range found {
		if err := ctx.Err(); err != nil {
			return err
		}
		fact, err := s.fact(c, memo)
		var away unreadable
		switch {
		case errors.As(err, &away) && away.Unreadable() != "":
			s.Away = true
			s.stop(Finding{Path: c.path, Reason: away.Unreadable()})
			continue
		case err != nil:
			return fmt.Errorf("read %s: %w", c.real, err)
		}
		s.take(c, fact)
	}
	slices.SortFunc(s.Files, func(a, b bundle.File) int { return strings.Compare(a.Path, b.Path) })
	s.checkWhole()
	return nil
}

// unreadable is an error of an fs.FS whose content lies elsewhere, and cannot
// be had there: somebody can put that right, so it is that file's finding.
type unreadable interface{ Unreadable() string }

func (s *Selection) take(c candidate, fact Fact) {
	for _, kind := range []struct {
		list []Finding
		add  func(Finding)
	}{{fact.Stops, s.stop}, {fact.Held, s.hold}, {fact.Warnings, s.warn}} {
		for _, f := range kind.list {
			f.Path = c.path
			kind.add(f)
		}
	}
	if len(fact.Stops)+len(fact.Held) > 0 {
		return
	}
	mode := uint32(0o644)
	if c.mode&0o111 != 0 {
		mode = 0o755
	}
	s.Files = append(s.Files, bundle.File{Path: c.path, Mode: mode, Size: fact.Size, Digest: fact.Digest, Policy: s.Rules.policyOf(c.rule)})
	if !fact.Form.IsZero() {
		s.Forms[fact.Digest] = fact.Form
	}
	if c.real != c.path {
		s.from[c.path] = c.real
	}
}

// checkWhole asks the questions that bundle asks of a manifest, so that a
// refusal has words and does not come from deep inside.
func (s *Selection) checkWhole() {
	paths := make([]string, len(s.Files))
	text := int64(0)
	for i, f := range s.Files {
		paths[i] = f.Path
		text += int64(len(f.Path)) + 120
	}
	for _, err := range bundle.CheckTree(paths) {
		s.stop(Finding{Reason: err.Error()})
	}
	if text > bundle.MaxManifestSize {
		s.stop(Finding{Reason: "the list of all paths is too long; shorten names, or hide what students do not need"})
	}
}

// factID is a content's name in the memo. The same bytes may stand there
// twice: as a notebook and as any other file.
func factID(path, content string) string {
	if isNotebook(path) {
		return content + " notebook"
	}
	return content
}

func isNotebook(path string) bool { return strings.HasSuffix(path, ".ipynb") }

// fact asks the memo first.
func (s *Selection) fact(c candidate, memo Memo) (Fact, error) {
	if c.id != "" {
		if f, known := memo.Get(c.id); known {
			return f, nil
		}
	}
	file, err := s.fsys.Open(c.real)
	if err != nil {
		return Fact{}, err
	}
	defer file.Close()
	f, err := inspectContent(file, isNotebook(c.path))
	if err == nil && c.id != "" {
		memo.Put(c.id, f)
	}
	return f, err
}

// lfsPointer begins what stands in git for a file that lies in LFS.
var lfsPointer = regexp.MustCompile(`^version https://(git-lfs\.github\.com|hawser\.github\.com)/spec/v\d+\n`)

// inspectContent reads a content once, to its end.
func inspectContent(r io.Reader, isNotebook bool) (Fact, error) {
	sum, scan := sha256.New(), newScan()
	var f Fact
	head := &prefix{limit: 1024}
	whole := &prefix{limit: notebook.MaxSize + 1}
	to := []io.Writer{sum, scan, head}
	if isNotebook {
		to = append(to, whole)
	}
	n, err := io.Copy(io.MultiWriter(to...), io.LimitReader(r, bundle.MaxFileSize+1))
	switch {
	case err != nil:
		return f, err
	case n > bundle.MaxFileSize:
		return f, fmt.Errorf("longer than the limit of %s", megabytes(bundle.MaxFileSize))
	}
	f.Digest, f.Size = bundle.Digest(sum.Sum(nil)), n
	scan.finish()
	f.Stops, f.Held = scan.secrets, scan.conflict()
	if lfsPointer.Match(head.data) && n <= 1024 {
		f.Stops = append(f.Stops, Finding{Reason: "it is a pointer of Git LFS that is not understood (of another version, with an extension, or broken); commit the file itself (git lfs migrate export), or hide it"})
	}
	if isNotebook {
		inspectNotebook(&f, whole.data)
	}
	return f, nil
}

// prefix keeps the first bytes that are written to it.
type prefix struct {
	data  []byte
	limit int
}

func (p *prefix) Write(b []byte) (int, error) {
	p.data = append(p.data, b[:min(len(b), p.limit-len(p.data))]...)
	return len(b), nil
}

var (
	solutionMark = regexp.MustCompile(`(?m)^[ \t]*(?:#+|//+|--+|/\*+|%+|;+|<!--|\(\*)[ \t]*(?:BEGIN|END) (?:SOLUTION|HIDDEN TESTS)\b`)
	outputSecret = regexp.MustCompile(`(?i)(?:password|passwd|secret|token|api_?key|access_?key|bearer)["']?(?:\s*[=:]\s*|\s+)["']?([A-Za-z0-9+/_.~-]{16,})|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}`)
)

// inspectNotebook adds what only a notebook can have.
func inspectNotebook(f *Fact, data []byte) {
	leak := 0
	cells, err := notebook.Look(data, func(cell int, text string) {
		if leak == 0 && looksSecret(text) {
			leak = cell
		}
	})
	switch {
	case errors.Is(err, notebook.ErrTooLarge):
		f.Warnings = append(f.Warnings, Finding{Reason: "larger than 20 MB: it is not checked, and a student's changes in it are not merged. Clear its outputs"})
		return
	case err != nil && len(f.Held) > 0: // conflict markers are the reason
		return
	case err != nil:
		f.Held = append(f.Held, Finding{Reason: "no Jupyter opens this notebook: " + err.Error()})
		return
	}
	if form, err := notebook.Form(data); err == nil {
		f.Form = form
	}
	outputs := 0
	for _, c := range cells {
		outputs += c.Outputs
		if reason := heldCell(c); reason != "" && len(f.Held) < maxPerContent {
			f.Held = append(f.Held, Finding{Reason: fmt.Sprintf("cell %d %s", c.Number, reason)})
		}
	}
	if outputs > hugeOutputs {
		f.Warnings = append(f.Warnings, Finding{Reason: fmt.Sprintf("%s of outputs; clear those that nobody needs", megabytes(int64(outputs)))})
	}
	if leak > 0 {
		f.Warnings = append(f.Warnings, Finding{Reason: fmt.Sprintf("the output of cell %d holds what looks like a password or token; clear it if it is one", leak)})
	}
}

// looksSecret is a guess, which is why it only warns.
func looksSecret(text string) bool {
	for _, m := range outputSecret.FindAllStringSubmatch(text, 20) {
		if m[1] == "" || plausible([]byte(m[1])) && strings.ContainsAny(m[1], "0123456789") {
			return true
		}
	}
	return false
}

// heldCell says why a notebook with this cell is not delivered.
func heldCell(c notebook.Cell) string {
	isSolution := func(tag string) bool {
		return strings.EqualFold(tag, "solution") || strings.EqualFold(tag, "solutions")
	}
	switch {
	case hasConflict(c.Source):
		return "holds conflict markers (<<<<<<<); finish the merge"
	case solutionMark.MatchString(c.Source):
		return "is marked as a solution (BEGIN SOLUTION); take it out, or the mark"
	case slices.ContainsFunc(c.Tags, isSolution):
		return "has the tag \"solution\"; take it out, or the tag"
	}
	return ""
}

func hasConflict(source string) bool {
	if !strings.Contains(source, "<<<<<<< ") {
		return false
	}
	scan := newScan()
	scan.Write([]byte(source))
	scan.finish()
	return scan.conflicts > 0
}

// Shrinks counts the files of old that are gone in new: whose path is not
// there, and whose content is at no other path either. Too many is more than
// half of them.
func Shrinks(old, new []bundle.File) (gone, of int, tooMany bool) {
	paths, contents := map[string]bool{}, map[bundle.Digest]bool{}
	for _, f := range new {
		paths[f.Path], contents[f.Digest] = true, true
	}
	for _, f := range old {
		if !paths[f.Path] && !contents[f.Digest] {
			gone++
		}
	}
	return gone, len(old), 2*gone > len(old)
}
