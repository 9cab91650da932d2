package agent

import (
	"cmp"
	"context"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"satchel/workdir"
)

// savedWithin is how long a marker of Jupyter's is believed: a server that
// died in the middle of saving leaves it for ever.
const savedWithin = 2 * time.Minute

// freshFor is how long an answer of the student's Jupyter servers holds, and
// a plan that rests on it.
const freshFor = 5 * time.Second

// how is what this pass may do to the files of a course.
func (p *pass) how(ctx context.Context, l *local) workdir.How {
	folder := sync.OnceValue(func() string { return cmp.Or(l.dir.State().Folder, l.newest.Head.Settings.Folder) })
	l.planned = time.Now()
	return workdir.How{Mode: p.o.Mode, Since: p.o.Since, All: p.o.All, Step: p.o.Step && !p.o.Walk, Open: func(path string) bool {
		why := p.inHand(ctx, filepath.Join(folder(), path))
		if why != "" {
			p.lg.Debug("in the student's hand", "course", l.name, "path", path, "reason", why)
		}
		return why != ""
	}}
}

// inHand says by what a file is known to be in the student's hand now, ""
// where by nothing. It is asked only of files that would be changed. path is
// below the root.
//
// One that is just being saved waits for that even at a start. A document that
// is open waits for the end of the session: it has a session on one of the
// student's Jupyter servers, or a checkpoint, which JupyterLab makes of each
// document that it opens, and never takes away. So in the late pass of a start
// only checkpoints count that were made since. Where no server can be asked,
// checkpoints are what is left, and the file's own time (workdir); where one
// should answer and is silent, every file may be open.
func (p *pass) inHand(ctx context.Context, path string) (why string) {
	switch {
	case p.changedAfter(savingName(path), p.a.now().Add(-savedWithin)):
		return "it is being saved"
	case p.starts():
		return ""
	case p.changedAfter(checkpointName(path), p.o.Since):
		return "it has a checkpoint"
	}
	d := p.documents(ctx)
	switch {
	case d.open[p.placeOf(path)]:
		return "it has a session"
	case d.silent:
		return "a Jupyter server does not answer"
	}
	return ""
}

// savingName is where Jupyter keeps the bytes of before while it saves: it
// writes into the file itself.
func savingName(path string) string {
	dir, name := filepath.Split(path)
	return dir + ".~" + name
}

// checkpointName is where Jupyter keeps the one checkpoint of a document. What
// it takes for the ending, Python's splitext says: leading dots begin none.
func checkpointName(path string) string {
	dir, name := filepath.Split(path)
	ext := filepath.Ext(name)
	stem := strings.TrimSuffix(name, ext)
	if strings.Trim(stem, ".") == "" {
		stem, ext = name, ""
	}
	return dir + ".ipynb_checkpoints/" + stem + "-checkpoint" + ext
}

// changedAfter says that a file is there and was put there, or written, after
// a time; zero: ever. The time of modification will not do: Jupyter copies it.
func (p *pass) changedAfter(path string, t time.Time) bool {
	info, err := p.root.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && (t.IsZero() || changedAt(st).After(t))
}

// place is a name in a folder, whatever that folder is called on the way to
// it: through links, or mounted twice.
type place struct {
	dev, ino uint64
	name     string
}

func placeIn(dir fs.FileInfo, err error, name string) place {
	if err == nil {
		if st, ok := dir.Sys().(*syscall.Stat_t); ok {
			return place{uint64(st.Dev), st.Ino, name}
		}
	}
	return place{}
}

func (p *pass) placeOf(path string) place {
	info, err := p.root.Stat(filepath.Dir(path))
	return placeIn(info, err, filepath.Base(path))
}

// documents asks the student's Jupyter servers, where no answer is at hand.
func (p *pass) documents(ctx context.Context) documents {
	if p.docs.asked.IsZero() || time.Since(p.docs.asked) > p.a.fresh {
		p.docs = p.a.s.Jupyter.documents(ctx, p.lg)
	}
	return p.docs
}

// again plans once more what was planned so long ago that the student may
// have opened something since: a download may take minutes.
func (p *pass) again(ctx context.Context) {
	if ctx.Err() != nil || p.starts() {
		return
	}
	for _, l := range p.inOrder() {
		if l.plan == nil || l.bad != nil || time.Since(l.planned) < p.a.fresh {
			continue
		}
		if err := p.planOne(ctx, l); err != nil {
			p.failed(l, err)
		}
	}
}
