package syncer

import (
	"fmt"
	"strings"
	"time"

	"satchel/bundle"
	"satchel/course"
)

// Request says who asks for a pass, and what they decided.
type Request struct {
	Course string `json:"course"`
	// Who is the person; "" is the loop.
	Who string `json:"who"`
	// ConfirmShrink lets the commit at the branch's tip through although more
	// than half of the files are gone.
	ConfirmShrink bool `json:"confirm_shrink,omitempty"`
	// Take makes this syncer's configuration the one that counts again after
	// another's superseded it.
	Take bool `json:"take_configuration,omitempty"`
	// Rollback is the version whose content is published as a new one, and to
	// which the course is pinned; 0: none. Why is the reason.
	Rollback bundle.Version `json:"rollback,omitempty"`
	Why      string         `json:"why,omitempty"`
	// Repair publishes the repository's newest as a version above all that are
	// known, with full bundles alone: whatever the store has lost. Above is one
	// that somebody has, though the store does not know it.
	Repair bool           `json:"repair,omitempty"`
	Above  bundle.Version `json:"above,omitempty"`
}

// Outcome is what one pass did.
type Outcome struct {
	Course    string         `json:"course"`
	Version   bundle.Version `json:"version"` // the newest now; 0: nothing was published yet
	Commit    string         `json:"commit"`  // what the newest version was made of
	Tip       string         `json:"tip"`     // where the branch is
	Published bool           `json:"published"`
	Signed    bool           `json:"signed,omitempty"`  // the head was signed anew, without a new version
	Pinned    bool           `json:"pinned,omitempty"`  // newer commits wait
	Decided   bool           `json:"decided,omitempty"` // the command changed something; else it stood so already
	Added     int            `json:"added"`
	Changed   int            `json:"changed"`
	Removed   int            `json:"removed"`
	Notes     []string       `json:"notes,omitempty"` // what was held back, withheld or warned of
	Stats     Stats          `json:"stats"`

	fullIsDue bool // of some channel: for the loop
}

// Stats is what a pass cost.
type Stats struct {
	Steps     []Step `json:"steps"`
	FilesRead int    `json:"files_read"` // contents opened in the repository
	BytesRead int64  `json:"bytes_read"` // of them
	Objects   int    `json:"objects"`    // written to the store
	Written   int64  `json:"written"`    // bytes of them
	Tries     int    `json:"tries"`      // 1, and one more for each lost swap
}

// Step is one step of a pass. Several tries add up.
type Step struct {
	Name string        `json:"name"` // read, list, fetch, select, compose, build, put, swap
	Took time.Duration `json:"took"` // nanoseconds
}

func (s *Stats) add(name string, took time.Duration) {
	for i := range s.Steps {
		if s.Steps[i].Name == name {
			s.Steps[i].Took += took
			return
		}
	}
	s.Steps = append(s.Steps, Step{name, took})
}

// Took is how long the step took; 0 when there was none.
func (s *Stats) Took(name string) time.Duration {
	for _, st := range s.Steps {
		if st.Name == name {
			return st.Took
		}
	}
	return 0
}

// Cause says why a publish was refused, in one word.
type Cause string

// The causes.
const (
	Content       Cause = "content"       // a path, the rules, a size: Findings says which
	Empty         Cause = "empty"         // no file is left to deliver
	Shrink        Cause = "shrink"        // more than half of the files are gone
	Gone          Cause = "gone"          // the branch or the folder is not there
	Clock         Cause = "clock"         // this machine's time cannot be right
	Configuration Cause = "configuration" // superseded by another syncer's
	Lost          Cause = "lost"          // the store has lost the course's record
	Unsigned      Cause = "unsigned"      // none of today's keys signed what is in the store
	Unclear       Cause = "unclear"       // what a command is about is not what was confirmed, or may be two things
)

// Refusal means: this publish was refused, and will be until somebody does
// what Sentence says. The last good version stays.
type Refusal struct {
	Cause    Cause            `json:"code"`
	Sentence string           `json:"error"`
	Findings []course.Finding `json:"findings,omitempty"` // all of them
	Commit   string           `json:"commit,omitempty"`

	passing bool // the commit alone is not its cause: it is tried again
}

func (r *Refusal) Error() string {
	var b strings.Builder
	b.WriteString(r.Sentence)
	for i, f := range r.Findings {
		if i == 20 {
			fmt.Fprintf(&b, "; and %d more", len(r.Findings)-i)
			break
		}
		b.WriteString("; " + f.String())
	}
	return b.String()
}

func refuse(cause Cause, format string, args ...any) *Refusal {
	return &Refusal{Cause: cause, Sentence: fmt.Sprintf(format, args...)}
}
