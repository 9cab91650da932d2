package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"

	"satchel/bundle"
	"satchel/internal/lines"
	"satchel/notebook"
	"satchel/workdir"
)

// diffContext is how many equal lines stand round a difference.
const diffContext = 3

// maxDiff bounds the two files that are compared, in bytes each.
const maxDiff = notebook.MaxSize

// Diff writes to out how a file of the student's differs from the course's
// newest version, a notebook by its cells. file is as in Restore.
func (a *Agent) Diff(ctx context.Context, out io.Writer, wd, file string) Outcome {
	p := a.newPass(SyncOptions{Mode: workdir.Start})
	if err := p.open(ctx); err != nil {
		p.cannotOpen(err)
		return p.out
	}
	defer p.close()
	l, name := p.locate(wd, file, "diff")
	if l == nil {
		return p.out
	}
	theirs, err := p.newestOf(ctx, l, name)
	if err != nil {
		p.notRestored(l, name, err)
		return p.out
	}
	mine, err := l.dir.Mine(name, maxDiff)
	if err != nil {
		p.out.Code = CodeInPart
		p.lg.Info("not shown", "course", l.name, "path", name, "error", err)
		if errors.Is(err, fs.ErrNotExist) {
			p.say(l.name, p.words(l.name).NotHere(name, inShell(file)))
		} else {
			p.say(l.name, p.words(l.name).NotShown(name))
		}
		return p.out
	}
	d := differ{out: out, w: p.words(l.name), path: name, version: l.dir.State().Latest.Version}
	d.show(theirs, mine)
	return p.out
}

// newestOf gives the course's bytes of a path, fetched where they are not
// here.
func (p *pass) newestOf(ctx context.Context, l *local, name string) ([]byte, error) {
	if p.fromState(l); l.newest == nil {
		return nil, errNoService
	}
	plan, err := l.dir.PlanRead(ctx, *l.newest, name)
	if err != nil {
		return nil, err
	}
	if wanted := plan.Wanted(); len(wanted) > 0 {
		if err := p.fetchSome(ctx, l, wanted); err != nil {
			return nil, err
		}
	}
	return plan.Theirs(maxDiff)
}

// differ writes the differences of one file.
type differ struct {
	out     io.Writer
	w       Words
	path    string
	version bundle.Version
}

func (d *differ) show(theirs, mine []byte) {
	if bytes.Equal(theirs, mine) {
		fmt.Fprintln(d.out, d.w.NoDifference(Plain(d.path), d.version))
		return
	}
	if strings.EqualFold(path.Ext(d.path), ".ipynb") {
		if changes, err := notebook.Diff(theirs, mine); err == nil {
			d.cells(changes)
			return
		}
	}
	if !isText(theirs) || !isText(mine) {
		d.unshown()
		return
	}
	fmt.Fprintln(d.out, d.w.Differs(Plain(d.path), d.version))
	d.hunks(string(theirs), string(mine))
}

func isText(data []byte) bool { return utf8.Valid(data) && bytes.IndexByte(data, 0) < 0 }

func (d *differ) unshown() { fmt.Fprintln(d.out, d.w.DiffersUnshown(Plain(d.path), d.version)) }

func (d *differ) cells(changes []notebook.Change) {
	if len(changes) == 0 {
		d.unshown()
		return
	}
	fmt.Fprintln(d.out, d.w.Differs(Plain(d.path), d.version))
	for _, c := range changes {
		fmt.Fprintln(d.out)
		switch c.Kind {
		case "added":
			fmt.Fprintln(d.out, d.w.OnlyYours(d.w.cell(c.New)))
		case "removed":
			fmt.Fprintln(d.out, d.w.OnlyCourses(d.w.cell(c.Old)))
		case "moved":
			fmt.Fprintln(d.out, d.w.CellMoved(d.w.cell(c.New)))
			continue
		default:
			fmt.Fprintln(d.out, d.w.CellChanged(d.w.cell(c.New)))
		}
		d.hunks(c.OldSource, c.NewSource)
	}
}

// hunks writes a unified diff without its two lines of names; what could move
// the cursor of a terminal is made visible.
func (d *differ) hunks(old, new string) {
	n := 0
	for l := range strings.Lines(lines.Unified("", "", []byte(old), []byte(new), diffContext)) {
		if n++; n > 2 {
			fmt.Fprintln(d.out, "  "+visible(strings.TrimRight(l, "\r\n")))
		}
	}
}

// visible keeps tabs, and shows other control characters as Plain does.
func visible(l string) string {
	parts := strings.Split(l, "\t")
	for i, s := range parts {
		parts[i] = Plain(s)
	}
	return strings.Join(parts, "\t")
}
