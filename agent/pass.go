package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
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
	// Within bounds the question, until its answer begins; the download that
	// follows may take longer. Zero: as long as the service is patient.
	Within time.Duration
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
}

// Sync makes one pass: ask, verify, fetch, place, tell. What went wrong is
// said in sentences (Options.Show) and in the outcome.
func (a *Agent) Sync(ctx context.Context, o SyncOptions) Outcome {
	p := a.newPass(o)
	p.run(ctx)
	a.said = p.said
	a.show(Event{Kind: Finished, Code: p.out.Code, At: a.now()})
	return p.out
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
	out      Outcome
	said     map[string]bool // sentences
	receipts []hook.Receipt  // to be sent
	news     bool            // whether there is something for the page
}

// local is one course on this side.
type local struct {
	name   string
	dir    *workdir.Course
	newest *workdir.Newest // verified; nil: nothing new was offered
	plan   *workdir.Plan
	haul   *haul
	early  *workdir.Result // of what was placed before all had arrived
	placed bool            // that was tried
	bad    error           // nothing of it is taken in this pass
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
	p.finish(ctx)
}

// open takes the folder and what is remembered of it.
func (p *pass) open(ctx context.Context) (err error) {
	if p.home, err = workdir.Open(ctx, p.lg, p.a.s.Root, p.began); err != nil {
		return err
	}
	if p.root, err = os.OpenRoot(p.a.s.Root); err == nil {
		p.mem, err = recall(p.lg, p.root)
	}
	if err != nil {
		p.close()
		return err
	}
	return p.openCourses()
}

// maxCourses bounds how many courses of one home are looked at.
const maxCourses = 200

// openCourses opens what an earlier pass left here.
func (p *pass) openCourses() error {
	dir, err := p.root.Open(".satchel")
	if err != nil {
		return err
	}
	defer dir.Close()
	entries, err := dir.ReadDir(maxCourses)
	if err != nil && err != io.EOF {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if _, err := p.local(e.Name()); err != nil {
			p.lg.Warn("course not readable", "course", e.Name(), "error", err)
		}
	}
	return nil
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

// local opens a course once.
func (p *pass) local(name string) (*local, error) {
	if l := p.courses[name]; l != nil {
		return l, nil
	}
	dir, err := p.home.Course(name)
	if err != nil {
		return nil, err
	}
	l := &local{name: name, dir: dir}
	p.courses[name] = l
	return l, nil
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
	haves, text := p.haves()
	ans, err := p.question(ctx, haves, p.etag(text))
	if err != nil {
		return errors.Join(err, p.withoutService(ctx))
	}
	defer ans.Close()
	p.out.Date = ans.Date
	p.mem.Asked, p.mem.Offline = ans.Date, time.Time{}
	if ans.NotModified {
		return p.nothingNew(ctx)
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
	}
	return nil
}

// question asks the service, with a ticket of the running watch where this
// process has none.
func (p *pass) question(ctx context.Context, haves []hook.Have, etag string) (*hook.Answer, error) {
	p.a.borrow(ctx)
	if p.a.client == nil {
		return nil, errNoService
	}
	used := p.a.ticket.get()
	if used == "" {
		return nil, errNoTicket
	}
	ans, err := p.ask(ctx, haves, etag)
	var e *hook.Error
	if errors.As(err, &e) && e.Status == http.StatusUnauthorized && p.a.freshen(ctx, used) {
		return p.ask(ctx, haves, etag)
	}
	return ans, err
}

// ask puts the question within its time.
func (p *pass) ask(ctx context.Context, haves []hook.Have, etag string) (*hook.Answer, error) {
	if p.o.Within <= 0 {
		return p.a.client.Sync(ctx, haves, p.a.keyIDs(), etag)
	}
	inner, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(p.o.Within, func() { cancel(hook.ErrSilent) })
	ans, err := p.a.client.Sync(inner, haves, p.a.keyIDs(), etag)
	if !late.Stop() && err == nil { // it came and went in one moment
		ans.Close()
		err = hook.ErrSilent
	}
	if err != nil {
		cancel(nil)
	}
	return ans, err // cancelling would end the download; it ends with ctx
}

var (
	errNoService = errors.New("no course server is set up here")
	errNoTicket  = errors.New("there is no ticket")
)

// borrow takes the watch's ticket where this process has none.
func (a *Agent) borrow(ctx context.Context) {
	if a.ticket.get() == "" {
		a.freshen(ctx, "")
	}
}

// freshen takes the watch's ticket if that is another than was used.
func (a *Agent) freshen(ctx context.Context, used string) bool {
	if r, err := askWatch(ctx, a.s, askTicket); err == nil && r.Ticket != used && len(r.Ticket) <= hook.MaxTicket {
		a.ticket.set(r.Ticket)
		return true
	}
	return false
}

func (a *Agent) keyIDs() (ids []string) {
	for _, k := range a.s.Keys {
		ids = append(ids, k.ID())
	}
	return ids
}

// haves says what is held, and the same as one text.
func (p *pass) haves() (haves []hook.Have, text string) {
	var lines []string
	for _, l := range p.inOrder() {
		st := l.dir.State()
		if p.o.All || p.anew[l.name] || st.Version == 0 {
			continue
		}
		h := hook.Have{Course: l.name, Version: st.Version, Fingerprint: st.Fingerprint}
		for id := range st.Manifests {
			h.Channels = append(h.Channels, id)
		}
		slices.Sort(h.Channels)
		haves = append(haves, h)
		lines = append(lines, h.String())
	}
	return haves, strings.Join(lines, "\n")
}

// headAge is how old a head may be before it is asked for anew.
const headAge = 24 * time.Hour

// etag is the last answer's, where it still says something: all of what it
// brought is in place, nothing was lost since, and its heads are fresh.
func (p *pass) etag(haves string) string {
	if haves == "" || haves != p.mem.Haves || p.mem.Asked.IsZero() {
		return ""
	}
	for name, l := range p.courses {
		m := p.mem.Courses[name]
		st := l.dir.State()
		if st.Version == 0 || st.Version != st.Highest || m == nil || m.Checked.IsZero() || p.began.Sub(m.Checked) > headAge {
			return ""
		}
	}
	return p.mem.ETag
}

// consider verifies what was offered of each course.
func (p *pass) consider(ctx context.Context, o *hook.Offer) error {
	if len(o.Courses) == 0 {
		p.out.Code = CodeNothing
		p.say("", p.a.words.NoCourse(o.Groups))
	}
	for _, l := range p.courses { // of an answer before this one nothing counts
		l.newest, l.plan, l.haul, l.bad = nil, nil, nil, nil
	}
	for _, co := range o.Courses {
		if err := p.considerOne(ctx, co); err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) considerOne(ctx context.Context, co hook.CourseOffer) error {
	l, err := p.local(co.Course)
	if err != nil {
		p.refuse(co.Course, err)
		return nil
	}
	st := l.dir.State()
	if co.Prove && st.Envelope != nil {
		if err := p.a.client.Prove(ctx, co.Course, *st.Envelope); err != nil {
			p.lg.Info("head not shown to the service", "course", co.Course, "error", err)
		}
	}
	if co.Head == nil {
		p.withoutHead(co, st)
		return nil
	}
	m := p.mem.of(co.Course)
	newest, err := verify(co, st, p.a.s.Keys)
	if errors.Is(err, errUnkept) {
		if p.anew[co.Course] {
			err = fmt.Errorf("%w: %w", bundle.ErrCorrupt, err)
		} else {
			p.anew[co.Course] = true
			return err
		}
	}
	if err != nil {
		p.refuse(co.Course, err)
		return nil
	}
	head := newest.Head
	m.Version, m.Language = head.Version, head.Settings.Language
	m.Checked, m.Published = head.Checked, head.Published
	l.newest = &newest
	return nil
}

// withoutHead is a course that gives nothing out to this student now.
func (p *pass) withoutHead(co hook.CourseOffer, st workdir.State) {
	switch {
	case st.Version > 0:
	case co.State == hook.StatePaused:
		p.out.Code = CodeNothing
		p.say(co.Course, p.a.words.Paused(co.Course))
	default:
		p.out.Code = CodeNothing
		p.say(co.Course, p.a.words.Empty(co.Course))
	}
}

// refuse says that nothing of a course was taken, and why.
func (p *pass) refuse(course string, err error) {
	p.lg.Error("refused", "course", course, "error", err)
	w := p.words(course)
	switch {
	case errors.Is(err, bundle.ErrFormat):
		p.out.Code = CodeNewer
		p.say(course, w.Newer())
	case errors.Is(err, bundle.ErrSignature):
		p.out.Code = CodeUnverified
		p.say(course, w.Unverified())
		p.say(course, w.KeyChanged())
	default:
		p.out.Code = CodeUnverified
		p.say(course, w.Unverified())
	}
	p.mem.Code, p.mem.Error = p.out.Code, Plain(err.Error())
	if l := p.courses[course]; l != nil {
		l.newest, l.bad = nil, err
	}
}

// words are in the course's language.
func (p *pass) words(course string) Words {
	if m := p.mem.Courses[course]; m != nil {
		return WordsFor(m.Language, p.a.s.Language)
	}
	return p.a.words
}
