package hookserver

import (
	"errors"
	"fmt"
	"time"

	"satchel/bundle"
)

// CourseStatus is what is served of one course. Sentence says what is wrong
// with it, "" when nothing is.
type CourseStatus struct {
	Course    string         `json:"course"`
	Version   bundle.Version `json:"version"`
	Published time.Time      `json:"published,omitzero"`
	Checked   time.Time      `json:"checked,omitzero"`
	Paused    bool           `json:"paused,omitempty"`
	Sentence  string         `json:"sentence,omitempty"`
	Since     time.Time      `json:"since,omitzero"`
	// Proven is a version above Version that a student's server proved to have
	// had: the store went backwards.
	Proven bundle.Version `json:"proven,omitempty"`
	// Code and Note are of what students' servers say and nobody proved.
	Code string `json:"code,omitempty"`
	Note string `json:"note,omitempty"`
}

// CodeForeignHead: a student's server showed a head that none of today's keys
// signed.
const CodeForeignHead = "foreign_head"

// begin writes down that a look begins, and gives what was known before it.
func (l *library) begin(name string) shelf {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.shelf(name)
	s.begun++
	return *s
}

// note writes down how a look ended, and says so once when that changes.
func (l *library) note(name string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.shelf(name)
	s.looked = l.now()
	if err == nil || errors.Is(err, errBackwards) {
		s.good = s.begun // looks at one course follow each other
	}
	switch {
	case err == nil:
		if s.err != nil {
			l.lg.Info("course is read again", "course", name)
		}
		s.err, s.known = nil, true
	default:
		if s.err == nil || s.err.Error() != err.Error() {
			l.lg.Error("course cannot be read; what was served stays", "course", name, "version", s.version(), "err", err)
		}
		if s.err == nil {
			s.since = s.looked
		}
		s.err = err
	}
}

func (l *library) status() []CourseStatus {
	var out []CourseStatus
	for _, c := range l.courses() {
		s := l.peek(string(c.Name))
		st := CourseStatus{Course: string(c.Name), Version: s.version(), Proven: s.proven}
		if ed := s.edition; ed != nil {
			st.Published, st.Checked, st.Paused = ed.head.Published, ed.head.Checked, ed.record.Paused != nil
		}
		switch {
		case s.err != nil:
			st.Sentence, st.Since = s.err.Error(), s.since
		case s.proven > 0:
			st.Sentence = fmt.Sprintf("students hold version %d, and the record has %d: %v", s.proven, s.version(), errOlder)
		}
		if s.isForeign(l.now()) {
			st.Code, st.Note = CodeForeignHead, ForeignSentence
		}
		out = append(out, st)
	}
	return out
}
