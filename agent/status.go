package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"satchel/bundle"
	"satchel/hook"
	"satchel/workdir"
)

// Status is what `status` shows. It needs no network and takes no lock.
type Status struct {
	Root    string         `json:"root"`
	Courses []CourseStatus `json:"courses"`
	Kept    int64          `json:"kept"` // bytes in .satchel
	Asked   time.Time      `json:"asked,omitzero"`
	Offline time.Time      `json:"offline,omitzero"` // since when the service does not answer
	Code    string         `json:"code,omitempty"`   // what the last pass came to
	Error   string         `json:"error,omitempty"`
	Watch   int            `json:"watch,omitempty"` // process id of the running watch
	Log     string         `json:"log"`
	Sent    *hook.Receipt  `json:"sent,omitempty"`

	words  Words
	logged bool // the log is there
}

// CourseStatus is one course of a Status.
type CourseStatus struct {
	Course    string         `json:"course"`
	Version   bundle.Version `json:"version"`           // 0: nothing is complete yet
	Newest    bundle.Version `json:"newest"`            // that was heard of
	Arriving  bundle.Version `json:"arriving,omitzero"` // of which something is here, and something is missing
	Folder    string         `json:"folder"`
	Published time.Time      `json:"published,omitzero"`
	Since     time.Time      `json:"since,omitzero"` // when something of it last changed here
	Waiting   []string       `json:"waiting,omitempty"`
	Failed    []string       `json:"failed,omitempty"`
	Held      []string       `json:"held,omitempty"`   // taken back by undo, until the course changes them
	Undo      bool           `json:"undo,omitempty"`   // the last update can be taken back, or be done again
	Theirs    int64          `json:"kept_course"`      // bytes of the course's that are kept to merge and to undo
	Mine      int64          `json:"kept_student"`     // bytes of the student's that made way
	Checked   time.Time      `json:"checked,omitzero"` // when the newest head that was verified was signed
	Stale     bool           `json:"stale,omitempty"`  // that is long ago
	Paused    bool           `json:"paused,omitempty"` // the last answer said that nothing new is given out
}

// Status reads what is known of this home.
func (a *Agent) Status(ctx context.Context) (*Status, error) {
	st := &Status{Root: a.s.Root, Log: filepath.Join(a.s.Root, LogFile), Courses: []CourseStatus{}, words: a.words}
	home, err := workdir.Look(a.lg, a.s.Root, a.now())
	if err != nil {
		return nil, err
	}
	p := &pass{a: a, lg: a.lg, home: home, courses: map[string]*local{}}
	defer p.close()
	if p.root, err = os.OpenRoot(a.s.Root); err != nil {
		return nil, err
	}
	if p.mem, err = recall(a.lg, p.root); err != nil {
		return nil, err
	}
	if _, err := p.root.Lstat(".satchel"); err == nil {
		if err := p.openCourses(ctx); err != nil {
			return nil, err
		}
	}
	for name, l := range p.courses {
		st.Courses = append(st.Courses, p.courseStatus(name, l))
	}
	slices.SortFunc(st.Courses, func(a, b CourseStatus) int { return compareText(a.Course, b.Course) })
	st.Asked, st.Offline, st.Code, st.Error, st.Sent = p.mem.Asked, p.mem.Offline, p.mem.Code, p.mem.Error, p.mem.Sent
	_, err = p.root.Lstat(LogFile)
	st.logged = err == nil
	st.Kept = sizeOf(p.root, ".satchel")
	if r, err := askWatch(ctx, a.s, askHow); err == nil {
		st.Watch = r.PID
	}
	return st, nil
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (p *pass) courseStatus(name string, l *local) CourseStatus {
	s := l.dir.State()
	c := CourseStatus{Course: name, Version: s.Version, Newest: s.Highest, Folder: s.Folder, Waiting: s.Waiting}
	if s.Latest.Version > s.Version {
		c.Arriving = s.Latest.Version
	}
	c.Held, c.Undo = named(l.dir.Held()), l.dir.LastPass().ID != ""
	c.Theirs, c.Mine = l.dir.Usage()
	if m := p.mem.Courses[name]; m != nil {
		c.Since, c.Published, c.Failed, c.Checked = m.Updated, m.Published, m.Failed, p.vouchedAt(l, m)
		c.Stale = !m.Over && !c.Checked.IsZero() && later(p.a.now(), p.mem.Asked).Sub(c.Checked) > staleAfter
		c.Paused = m.Paused
	}
	return c
}

// kept says how much Satchel keeps, and what of it is the student's.
func (s *Status) kept(out io.Writer) {
	mine := int64(0)
	for _, c := range s.Courses {
		mine += c.Mine
	}
	fmt.Fprintln(out, s.words.KeptHere(s.Kept))
	if mine > 0 {
		fmt.Fprintln(out, s.words.KeptMine(mine, filepath.Join(s.Root, ".satchel")))
	}
}

// maxCounted bounds how many files are looked at for the size.
const maxCounted = 500_000

// sizeOf adds up what lies below a folder.
func sizeOf(root *os.Root, dir string) (n int64) {
	count := 0
	_ = fs.WalkDir(root.FS(), dir, func(_ string, d fs.DirEntry, err error) error {
		if count++; count > maxCounted {
			return fs.SkipAll
		}
		if err != nil {
			return nil // it counts as nothing
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return nil
	})
	return n
}

// WriteJSON shows it as JSON.
func (s *Status) WriteJSON(out io.Writer) {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	_ = enc.Encode(s) // a closed pipe is nobody's loss
}

// WriteSent shows the last receipt as it was sent.
func (s *Status) WriteSent(out io.Writer) {
	if s.Sent == nil {
		fmt.Fprintln(out, s.words.NothingSent())
		return
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	_ = enc.Encode(s.Sent)
}

// WriteText shows it to a student.
func (s *Status) WriteText(out io.Writer) {
	w := s.words
	if len(s.Courses) == 0 {
		fmt.Fprintln(out, w.NothingHere(s.Root))
	}
	for _, c := range s.Courses {
		if folder := filepath.Join(s.Root, c.Folder); c.Arriving > 0 {
			fmt.Fprintln(out, w.HaveInPart(c.Course, c.Arriving, folder))
		} else {
			fmt.Fprintln(out, w.Have(c.Course, c.Version, folder, c.Since))
		}
		if c.Paused && c.Version > 0 {
			fmt.Fprintln(out, "  "+w.PausedHere(c.Course, c.Version))
		}
		if c.Stale {
			fmt.Fprintln(out, "  "+w.Stale(c.Course, c.Checked.Local()))
		}
		if len(c.Waiting) > 0 {
			fmt.Fprintln(out, "  "+w.Waiting(c.Waiting))
		}
		for _, f := range c.Failed {
			fmt.Fprintln(out, "  "+w.NotYet(f))
		}
		if len(c.Held) > 0 {
			fmt.Fprintln(out, "  "+w.HeldBack(c.Held))
		}
		if c.Undo {
			fmt.Fprintln(out, "  "+w.CanUndo())
		}
	}
	s.kept(out)
	if !s.Offline.IsZero() {
		fmt.Fprintln(out, w.OfflineSince(s.Offline.Local()))
	}
	if s.Error != "" {
		fmt.Fprintln(out, w.LastTrouble(s.Error))
	}
	if s.logged {
		fmt.Fprintln(out, w.LogIs(s.Log))
	} else {
		fmt.Fprintln(out, w.NoLog(s.Log))
	}
}
