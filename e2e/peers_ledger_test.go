//go:build e2e

package e2e

import (
	"maps"
	"slices"
	"strings"
)

// tree is a course's or a folder's files: path to content.
type tree map[string]string

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// What the student did with a path.
const (
	edited  = "edited"
	removed = "removed"
	own     = "own" // made a file where the course had none
)

// change is one place that the instructor changed in a file.
type change struct {
	unit, text string // where it was ("" nowhere, whole: all of it), what it says now
}

const whole = "*"

// ledger is what the script says was done: the facts that the folders are
// judged by afterwards. It is the same for all peers.
type ledger struct {
	now     tree   // what the instructor has
	pushed  []tree // and has pushed
	had     tree   // the newest at the last login
	touched map[string]string
	pieces  map[string][]string        // what the student wrote, by path
	units   map[string]map[string]bool // where in it
	changes map[string][]change
	parting map[string]string // moved by the instructor: from, to
	wrote   map[string]string // what the student wrote as a whole
}

func newLedger() *ledger {
	return &ledger{
		now: tree{}, had: tree{}, touched: map[string]string{}, pieces: map[string][]string{},
		units: map[string]map[string]bool{}, changes: map[string][]change{}, parting: map[string]string{}, wrote: map[string]string{},
	}
}

func (l *ledger) newest() tree {
	if len(l.pushed) == 0 {
		return tree{}
	}
	return l.pushed[len(l.pushed)-1]
}

// unit names the place in a file that holds text: a cell, or a line.
func unit(content, text string) string {
	if cells, ok := cellsOf(content); ok {
		for _, c := range cells {
			if strings.Contains(c.source, text) {
				return c.source
			}
		}
	}
	for line := range strings.SplitSeq(content, "\n") {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}

// instructorChanged notes that a says b now.
func (l *ledger) instructorChanged(path, a, b string) {
	if base, known := l.had[l.formerly(path)]; known {
		l.changes[path] = append(l.changes[path], change{unit(base, a), b})
	}
	l.now[path] = strings.Replace(l.now[path], a, b, 1)
}

func (l *ledger) instructorWrote(path, content string) {
	if _, known := l.had[path]; known {
		l.changes[path] = []change{{whole, content}}
	}
	l.now[path] = content
}

// clash says whether the student changed the same place.
func (l *ledger) clash(path string, c change) bool {
	units := l.units[l.formerly(path)]
	return units[c.unit] || c.unit == whole && len(units) > 0
}

// formerly is the name by which the student had a file.
func (l *ledger) formerly(path string) string {
	for from, to := range l.parting {
		if to == path {
			return from
		}
	}
	return path
}

func (l *ledger) instructorMoved(a, b string) {
	l.now[b] = l.now[a]
	delete(l.now, a)
	l.changes[b] = l.changes[a]
	l.parting[a] = b
}

// studentChanged notes that in path a was replaced by b.
func (l *ledger) studentChanged(path, a, b string) {
	l.touch(path)
	if l.units[path] == nil {
		l.units[path] = map[string]bool{}
	}
	l.units[path][unit(l.had[path], a)] = true
	for i, p := range l.pieces[path] {
		l.pieces[path][i] = strings.ReplaceAll(p, a, b)
	}
	l.pieces[path] = append(l.pieces[path], b)
}

// studentWrote notes a whole file: of one that the course has each new line
// counts, of any other the whole.
func (l *ledger) studentWrote(path, content string) {
	l.touch(path)
	l.pieces[path], l.wrote[path] = nil, content
	if l.touched[path] == own {
		l.pieces[path] = []string{content}
		return
	}
	l.units[path] = map[string]bool{}
	for line := range strings.SplitSeq(l.had[path], "\n") {
		if !strings.Contains("\n"+content, "\n"+line+"\n") {
			l.units[path][line] = true
		}
	}
	for line := range strings.Lines(content) {
		if !strings.Contains("\n"+l.had[path], "\n"+line) {
			l.pieces[path] = append(l.pieces[path], strings.TrimSuffix(line, "\n"))
		}
	}
}

func (l *ledger) touch(path string) {
	switch _, known := l.had[path]; {
	case l.touched[path] == own:
	case known && l.touched[path] != removed:
		l.touched[path] = edited
	default:
		l.touched[path] = own
	}
}

// studentRemoved notes what the student does not want any more.
func (l *ledger) studentRemoved(path string) {
	for _, p := range append(sortedNames(l.had), sortedNames(l.pieces)...) {
		if !within(p, path) {
			continue
		}
		delete(l.pieces, p)
		delete(l.units, p)
		delete(l.touched, p)
		if _, known := l.had[p]; known {
			l.touched[p] = removed
		}
	}
}

// startedOver: what is gone is wanted anew.
func (l *ledger) startedOver(path string) {
	l.studentRemoved(path)
	for p := range l.touched {
		if within(p, path) {
			delete(l.touched, p)
		}
	}
}

func (l *ledger) studentMoved(a, b string) {
	pieces := map[string][]string{}
	for p, list := range l.pieces {
		if within(p, a) {
			pieces[b+strings.TrimPrefix(p, a)] = list
		}
	}
	if _, file := l.had[a]; file && len(pieces) == 0 {
		pieces[b] = nil
	}
	l.studentRemoved(a)
	for p, list := range pieces {
		l.pieces[p], l.touched[p] = list, own
	}
}

func within(path, folder string) bool {
	return folder == "." || path == folder || strings.HasPrefix(path, folder+"/")
}
