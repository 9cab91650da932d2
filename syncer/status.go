package syncer

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"satchel/bundle"
	"satchel/course"
	"satchel/store"
)

// Status is how the courses stand.
type Status struct {
	Courses []CourseStatus `json:"courses"`
}

// CourseStatus is how one course stands since this syncer was started.
type CourseStatus struct {
	Course    string          `json:"course"`
	Version   bundle.Version  `json:"version"` // 0: nothing was published, or it is not known yet
	Commit    string          `json:"commit,omitempty"`
	Published time.Time       `json:"published,omitzero"` // when that version was
	Tip       string          `json:"tip,omitempty"`      // where the branch was when last seen
	Checked   time.Time       `json:"checked,omitzero"`   // when a pass last ended well
	Tried     time.Time       `json:"tried,omitzero"`     // when a pass last ended
	Next      time.Time       `json:"next,omitzero"`      // when the loop looks again
	Syncing   bool            `json:"syncing,omitempty"`  // a pass is under way
	Pinned    bool            `json:"pinned,omitempty"`
	Pin       *store.Pin      `json:"pin,omitempty"`    // to which version, by whom
	Paused    *store.Decision `json:"paused,omitempty"` // by whom, and why
	// Webhook is when a git host's hint last came, and WebhookFrom which host.
	Webhook     time.Time `json:"webhook,omitzero"`
	WebhookFrom string    `json:"webhook_from,omitempty"`
	LetIn       string    `json:"let_in,omitempty"` // the key or token that the host accepted last
	Error       string    `json:"error,omitempty"`  // why the last pass did not end well, one sentence
	Cause       Cause     `json:"code,omitempty"`   // where it was refused
	// Findings are what stopped the last publish; Notes what it held back,
	// withheld or warned of. Both are of the commit that Error is about, and
	// Notes of the newest version where there is no Error.
	Findings []course.Finding `json:"findings,omitempty"`
	Notes    []string         `json:"notes,omitempty"`

	seen noted
}

// noted is what the last selection told, and of what.
type noted struct {
	look
	notes []string
}

// look is what decides a selection.
type look struct {
	commit string
	config bundle.Digest
}

// board holds the CourseStatus of each course.
type board struct {
	mu sync.Mutex
	by map[string]*CourseStatus
}

func (b *board) change(course string, f func(*CourseStatus)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.by == nil {
		b.by = map[string]*CourseStatus{}
	}
	if b.by[course] == nil {
		b.by[course] = &CourseStatus{Course: course}
	}
	f(b.by[course])
}

func (b *board) begin(course string) {
	b.change(course, func(s *CourseStatus) { s.Syncing = true })
}

// record takes over what a pass found.
func (b *board) record(p *pass, err error) {
	now := p.o.Now()
	b.change(p.out.Course, func(s *CourseStatus) {
		s.Syncing, s.Tried = false, now
		s.stands(p.rec)
		if p.rec != nil {
			s.Version, s.Commit = p.rec.Version, p.rec.Commit
		}
		if p.head != nil {
			s.Published = p.head.Published
		}
		s.Tip = cmp.Or(p.tip, s.Tip)
		if p.repo != nil {
			s.LetIn = p.repo.LetIn()
		}
		var r *Refusal
		if p.r.Rollback > 0 && errors.As(err, &r) {
			return // who asked was told; the course is as it was
		}
		s.Error, s.Cause, s.Findings = "", "", nil
		s.Notes = s.seen.after(p, err)
		switch {
		case err == nil:
			s.Checked = now
		case errors.As(err, &r):
			s.Error, s.Cause, s.Findings = r.Sentence, r.Cause, r.Findings
		default:
			s.Error = err.Error()
		}
	})
}

// decided takes over what a command changed.
func (b *board) decided(p *pass) {
	b.change(p.out.Course, func(s *CourseStatus) {
		s.stands(p.rec)
		if p.rec != nil {
			s.Version, s.Commit = p.rec.Version, p.rec.Commit
		}
		if p.head != nil {
			s.Published = p.head.Published
		}
	})
}

// stands takes over what people decided.
func (s *CourseStatus) stands(rec *store.Record) {
	if rec != nil {
		s.Paused, s.Pin = rec.Paused, rec.Pinned
		s.Pinned = rec.Pinned != nil
	}
}

// after takes over what a pass selected, and gives the notes that belong to
// what the pass saw: none where the last selection was of another commit.
func (n *noted) after(p *pass, err error) []string {
	now := look{p.tip, p.config}
	if p.selected {
		*n = noted{now, p.out.Notes}
	}
	newest := err == nil && p.rec != nil && n.look == look{p.rec.Commit, p.rec.Config} // pinned
	if n.look == now || newest {
		return n.notes
	}
	return nil
}

// plan notes when the loop looks again.
func (b *board) plan(name course.Name, next time.Time) {
	b.change(string(name), func(s *CourseStatus) { s.Next = next })
}

// keep forgets courses that are not configured any more, and shows those that
// are new.
func (b *board) keep(courses []course.Course) {
	names := map[string]bool{}
	for _, c := range courses {
		names[string(c.Name)] = true
		b.change(string(c.Name), func(*CourseStatus) {})
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.by, func(name string, _ *CourseStatus) bool { return !names[name] })
}

func (b *board) status() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := Status{Courses: []CourseStatus{}}
	for _, name := range slices.Sorted(maps.Keys(b.by)) {
		s.Courses = append(s.Courses, *b.by[name])
	}
	return s
}
