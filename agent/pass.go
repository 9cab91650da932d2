package agent

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"slices"
	"time"

	"satchel/bundle"
	"satchel/hook"
	"satchel/workdir"
)

// AtStart and InSession are the rights of a pass: see workdir.Mode.
const (
	AtStart   = workdir.Start
	InSession = workdir.Session
)

// SyncOptions say what one pass may do.
type SyncOptions struct {
	Mode workdir.Mode
	Walk bool // look at every file, also where nothing is new
	All  bool // ask for everything as if nothing was held
	Step bool // look only at what is new: a pass that walks follows
	// Within bounds the question, until its answer begins; the download that
	// follows may take longer. Zero: as long as the service is patient.
	Within time.Duration
	// Answer is one with an offer that was had already, to be used in the
	// place of the first question. nil: there is none.
	Answer *hook.Answer
	// Continues is the Outcome.Pass of the pass that this one completes: for
	// the student they are one, which undo takes back. "": of none.
	Continues string
	// Since is for the rights of a start while a session runs: a file that
	// changed after it waits. Zero: none waits.
	Since time.Time
}

// Codes of an Outcome that did not do all.
const (
	CodeNothing    = "nothing"    // no course, or nothing released
	CodeWaiting    = "waiting"    // some paths wait for open documents
	CodeInPart     = "in_part"    // some paths could not be written, or have not arrived
	CodeLocked     = "locked"     // another update is running
	CodeOffline    = "offline"    // the service gave no answer
	CodeTicket     = "ticket"     // it does not take the ticket
	CodeUnverified = "unverified" // what came was not what a trusted key signed
	CodeNewer      = "newer"      // a newer format than this agent's
	CodeFolder     = "folder"     // the root cannot be used
	CodeStopped    = "stopped"    // the context ended before
)

// Outcome is what a pass came to.
type Outcome struct {
	Code       string        // "": everything is in place
	Offline    bool          // to be tried again soon: the service gave no good answer
	RetryAfter time.Duration // what it asked for
	Date       time.Time     // its clock at the answer
	Pass       string        // names the pass, for one that continues it
}

// Sync makes one pass: ask, verify, fetch, place, tell. What went wrong is
// said in sentences (Options.Show) and in the outcome.
func (a *Agent) Sync(ctx context.Context, o SyncOptions) Outcome {
	p := a.newPass(o)
	p.run(ctx)
	if p.o.Answer != nil { // it was not used
		p.o.Answer.Close()
	}
	p.over()
	return p.out
}

// over says, once, that the pass is over for whoever waits for it.
func (p *pass) over() {
	if p.ended {
		return
	}
	p.ended = true
	p.a.said = p.said
	p.a.show(Event{Kind: Finished, Code: p.out.Code, At: p.a.now()})
}

func (a *Agent) newPass(o SyncOptions) *pass {
	return &pass{a: a, lg: a.lg, o: o, courses: map[string]*local{}, anew: map[string]bool{}, said: map[string]bool{}, began: a.now(), started: time.Now()}
}

// pass is one run of Sync.
type pass struct {
	a        *Agent
	lg       *slog.Logger
	o        SyncOptions
	began    time.Time // as the agent's clock says, for what is written down
	started  time.Time // for measuring
	home     *workdir.Home
	root     *os.Root
	mem      *memory
	courses  map[string]*local
	anew     map[string]bool // courses of which nothing is claimed, for what we hold did not fit
	handed   bool            // the answer was had before this pass held the lock
	offered  int             // courses that the answer named
	out      Outcome
	said     map[string]bool // sentences
	receipts []hook.Receipt  // to be sent
	news     bool            // whether there is something for the page
	ended    bool            // said that it is over
	docs     documents       // the latest answer of the student's Jupyter servers
}

// local is one course on this side.
type local struct {
	name    string
	dir     *workdir.Course
	newest  *workdir.Newest // verified; nil: nothing new was offered
	plan    *workdir.Plan
	planned time.Time // when
	haul    *haul
	early   *workdir.Result // of what was placed before all had arrived
	placed  bool            // that was tried
	told    bool            // what was done is said, and on the page
	bad     error           // nothing of it is taken in this pass
	// overtaken is a version that was seen here and counts no more, for only a
	// key signed it that was dropped.
	overtaken bundle.Version
}

func (p *pass) run(ctx context.Context) {
	if len(p.a.s.Keys) == 0 {
		p.say("", p.a.words.NoKeys())
		p.out.Code = CodeUnverified
		return
	}
	if err := p.open(ctx); err != nil {
		p.cannotOpen(err)
		return
	}
	defer p.close()
	for tries := 0; ; tries++ {
		err := p.once(ctx)
		if errors.Is(err, errAnew) || errors.Is(err, errUnkept) {
			p.lg.Info("asking anew", "reason", err)
			if tries < 3 {
				continue
			}
		}
		if err != nil {
			p.trouble(ctx, err)
		}
		break
	}
	p.lateInAll(ctx)
	p.unconfirmed()
	p.finish(ctx)
}

// open takes the folder and what is remembered of it.
func (p *pass) open(ctx context.Context) (err error) {
	if p.home, err = workdir.Open(ctx, p.lg, p.a.s.Root, p.began); err != nil {
		return err
	}
	p.out.Pass = p.home.Pass(p.o.Continues)
	if p.root, err = os.OpenRoot(p.a.s.Root); err == nil {
		p.mem, err = recall(p.lg, p.root)
	}
	if err != nil {
		p.close()
		return err
	}
	return p.openCourses(ctx)
}

func (p *pass) close() {
	for _, l := range p.courses {
		l.dir.Close()
	}
	if p.root != nil {
		p.root.Close()
	}
	p.home.Close()
}

// inOrder gives the courses by name.
func (p *pass) inOrder() (out []*local) {
	for _, name := range slices.Sorted(maps.Keys(p.courses)) {
		out = append(out, p.courses[name])
	}
	return out
}

// cannotOpen says why nothing can be done in the root.
func (p *pass) cannotOpen(err error) {
	w, root := p.a.words, p.a.s.Root
	p.out.Code = CodeFolder
	switch {
	case errors.Is(err, workdir.ErrLocked):
		p.out.Code = CodeLocked
		p.say("", w.Locked())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		p.out.Code = CodeStopped
	case errors.Is(err, workdir.ErrLink):
		p.say("", w.RootLink(root))
	case errors.Is(err, workdir.ErrReadOnly):
		p.say("", w.RootReadOnly(root))
	case errors.Is(err, bundle.ErrFormat):
		p.out.Code = CodeNewer
		p.say("", w.StateNewer(root))
	default:
		p.say("", w.RootBroken(root, err.Error()))
	}
	p.lg.Warn("folder not usable", "root", root, "error", err)
}

// once asks and does what follows from the answer. errAnew and errUnkept ask
// for another time.
func (p *pass) once(ctx context.Context) error {
	p.out.Code, p.out.Offline = "", false // of a try before this one
	haves, text := p.haves()
	var err error
	etag := p.etag(text)
	ans := p.o.Answer
	p.handed = ans != nil
	if p.o.Answer = nil; ans == nil {
		ans, err = p.question(ctx, haves, etag)
	}
	if err != nil {
		return errors.Join(err, p.withoutService(ctx))
	}
	defer ans.Close()
	p.out.Date = ans.Date
	p.mem.Asked, p.mem.Offline = ans.Date, time.Time{}
	p.clocks()
	if ans.NotModified {
		return p.nothingNew(ctx)
	}
	if err := p.regroup(ctx, ans); err != nil {
		return err
	}
	if err := p.consider(ctx, ans.Offer); err != nil {
		return err
	}
	if err := p.settle(ctx, ans); err != nil {
		return err
	}
	if p.out.Code == "" || p.out.Code == CodeWaiting || p.out.Code == CodeNothing {
		_, p.mem.Haves = p.haves()
		p.mem.ETag = ans.ETag
		if slices.ContainsFunc(ans.Offer.Courses, func(c hook.CourseOffer) bool { return c.Prove }) {
			p.mem.ETag = "" // it stands for what the service has, and more is held here
		}
	}
	return nil
}
