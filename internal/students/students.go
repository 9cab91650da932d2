// Package students owns what the service knows about students: from lines
// that hookservers write at a login, a first request and a receipt it keeps
// one current record for each student, server and course, and forgets it
// again.
//
//	receipts/<day>/<time>-<run>-<n>  a batch of lines (Writer), JSON lines under a header
//	students/<shard>                 the records of the students whose name's digest begins so
//	students/folded                  which batches were folded, and when; in mode counts the counts
//
// It promises: no history of logins (a newer line replaces an older one);
// folding a batch twice, in another order, or by two syncers at once gives the
// same records, and each count once; two different (user, server) never share
// a record, whatever their names are; what was forgotten does not come back
// from lines older than the moment it was forgotten.
//
// It does not decide who may look, and it does not print: whoever prints
// escapes control characters.
package students

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"satchel/bundle"
)

// Format is the format number of batches, shards and the ledger.
const Format = 1

// Written limits. Past one of them a line is refused or cut, never a crash.
const (
	MaxIdentity = 1 << 10   // bytes of a user's or a server's name
	MaxWord     = 256       // bytes of an image, agent, course or code
	MaxKeys     = 8         // keys of an agent
	MaxPaths    = 20        // paths kept of each list of a receipt
	MaxPathSum  = 4 << 10   // bytes of them together
	MaxLine     = 128 << 10 // bytes of one line's JSON
	MaxLines    = 10_000    // lines of a batch
	MaxBatch    = 8 << 20   // bytes of a batch
	MaxShard    = 64 << 20  // bytes of a shard
	MaxLedger   = 16 << 20  // bytes of the ledger
	MaxServers  = 16        // servers kept of one student, the latest
	MaxCourses  = 64        // courses kept of one server, the latest
)

// Silence is how long after a login without any request the agent counts as
// not having run.
const Silence = 15 * time.Minute

// skew is by how much the clocks of two hookservers may differ.
const skew = 5 * time.Second

// Kind is what a line tells of.
type Kind string

// The kinds of line.
const (
	KindLogin   Kind = "login"   // the spawn hook asked for a ticket
	KindRequest Kind = "request" // the first request with a ticket
	KindReceipt Kind = "receipt" // what a sync did to one course
)

// Line is one thing that a hookserver saw. User and Server are whose it was;
// the other fields stand where their kind has them.
type Line struct {
	Kind   Kind      `json:"kind"`
	Time   time.Time `json:"time"`
	User   string    `json:"user,omitempty"`
	Server string    `json:"server,omitempty"` // "" is the default server
	// Login is the ticket's login in Unix seconds, in a request: of several
	// requests with the same one the earliest is the first.
	Login   int64          `json:"login,omitempty"`
	Image   string         `json:"image,omitempty"`
	Course  string         `json:"course,omitempty"`
	Version bundle.Version `json:"version,omitempty"`
	Agent   string         `json:"agent,omitempty"`
	// Keys are the ids of the public keys that the agent trusts, in a request
	// or receipt; none: not told.
	Keys    []string `json:"keys,omitempty"`
	Code    string   `json:"code,omitempty"`
	Added   int      `json:"added,omitempty"`
	Changed int      `json:"changed,omitempty"`
	Removed int      `json:"removed,omitempty"`
	Waiting int      `json:"waiting,omitempty"`
	Merged  []string `json:"merged,omitempty"` // paths of the course
	Kept    []string `json:"kept,omitempty"`
	Failed  []string `json:"failed,omitempty"`
	Cut     int      `json:"cut,omitempty"` // paths that were too many to keep
}

// Student is all that is known of one student. User is their name or, in mode
// pseudonyms, "p-" and 32 hexadecimal digits. Servers are sorted by name.
type Student struct {
	User    string   `json:"user"`
	Servers []Server `json:"servers"`
}

// Server is one of a student's servers: the last login to it, the first
// request after that, and the last receipt of each course, sorted by course.
type Server struct {
	Server  string          `json:"server"`
	Login   LoginAt         `json:"login,omitzero"`
	First   RequestAt       `json:"first,omitzero"`
	Seen    time.Time       `json:"seen,omitzero"` // the last request or receipt
	Trust   TrustAt         `json:"trust,omitzero"`
	Courses []CourseReceipt `json:"courses,omitempty"`
}

// LoginAt is a login.
type LoginAt struct {
	Time  time.Time `json:"time"`
	Image string    `json:"image,omitempty"`
}

// RequestAt is the first request with the tickets of one login.
type RequestAt struct {
	Login int64     `json:"login"`
	Time  time.Time `json:"time"`
}

// TrustAt is which public keys the agent trusted when it last told. An agent
// that knows only a key which is to go would be cut off.
type TrustAt struct {
	Time time.Time `json:"time"`
	Keys []string  `json:"keys"` // sorted ids
}

// CourseReceipt is the last receipt of one course.
type CourseReceipt struct {
	Course  string         `json:"course"`
	Time    time.Time      `json:"time"`
	Version bundle.Version `json:"version"`
	Agent   string         `json:"agent,omitempty"`
	Image   string         `json:"image,omitempty"`
	Code    string         `json:"code,omitempty"`
	Added   int            `json:"added,omitempty"`
	Changed int            `json:"changed,omitempty"`
	Removed int            `json:"removed,omitempty"`
	Waiting int            `json:"waiting,omitempty"`
	Merged  []string       `json:"merged,omitempty"`
	Kept    []string       `json:"kept,omitempty"`
	Failed  []string       `json:"failed,omitempty"`
	Cut     int            `json:"cut,omitempty"`
}

// State says whether the agent of a server answered to its last login.
type State string

// The states of a server.
const (
	Starting  State = "starting"          // the login is younger than Silence, no request yet
	Ran       State = "ran"               // there was a request after the login
	DidNotRun State = "agent did not run" // there was none
)

// State is derived by (user, server), whatever ticket the request had: a
// resumed container asks with an old one.
func (s *Server) State(now time.Time) State {
	switch {
	case s.Login.Time.IsZero() || s.after(s.Seen):
		return Ran
	case now.Sub(s.Login.Time) < Silence:
		return Starting
	}
	return DidNotRun
}

// FirstRequest is the first known request after the last login, zero where
// there is none.
func (s *Server) FirstRequest() time.Time {
	switch {
	case s.after(s.First.Time):
		return s.First.Time
	case s.after(s.Seen):
		return s.Seen
	}
	return time.Time{}
}

func (s *Server) after(t time.Time) bool {
	return !t.IsZero() && !t.Before(s.Login.Time.Add(-skew))
}

// Last is the time of the latest line about s.
func (s *Server) Last() time.Time { return later(s.Login.Time, s.Seen) }

// Last is the time of the latest line about the student.
func (s *Student) Last() (t time.Time) {
	for i := range s.Servers {
		t = later(t, s.Servers[i].Last())
	}
	return t
}

// take brings one line in. It is a join: any order, any number of times, gives
// the same (each part keeps a maximum, ties broken by content).
func (s *Student) take(l Line) {
	i, found := slices.BinarySearchFunc(s.Servers, l.Server, func(v Server, name string) int {
		return cmp.Compare(v.Server, name)
	})
	if !found {
		s.Servers = slices.Insert(s.Servers, i, Server{Server: l.Server})
	}
	v := &s.Servers[i]
	v.takeTrust(l)
	switch l.Kind {
	case KindLogin:
		if c := l.Time.Compare(v.Login.Time); c > 0 || c == 0 && l.Image > v.Login.Image {
			v.Login = LoginAt{Time: l.Time, Image: l.Image}
		}
	case KindRequest:
		v.Seen = later(v.Seen, l.Time)
		c := cmp.Compare(l.Login, v.First.Login)
		if v.First.Time.IsZero() || c > 0 || c == 0 && l.Time.Before(v.First.Time) {
			v.First = RequestAt{Login: l.Login, Time: l.Time}
		}
	case KindReceipt:
		v.Seen = later(v.Seen, l.Time)
		v.takeReceipt(l)
	}
}

func (s *Server) takeTrust(l Line) {
	c := l.Time.Compare(s.Trust.Time)
	if len(l.Keys) > 0 && (c > 0 || c == 0 && slices.Compare(l.Keys, s.Trust.Keys) > 0) {
		s.Trust = TrustAt{Time: l.Time, Keys: l.Keys}
	}
}

func (s *Server) takeReceipt(l Line) {
	r := CourseReceipt{
		Course: l.Course, Time: l.Time, Version: l.Version, Agent: l.Agent, Image: l.Image, Code: l.Code,
		Added: l.Added, Changed: l.Changed, Removed: l.Removed, Waiting: l.Waiting,
		Merged: l.Merged, Kept: l.Kept, Failed: l.Failed, Cut: l.Cut,
	}
	i, found := slices.BinarySearchFunc(s.Courses, l.Course, func(c CourseReceipt, name string) int {
		return cmp.Compare(c.Course, name)
	})
	switch {
	case !found:
		s.Courses = slices.Insert(s.Courses, i, r)
	case r.wins(s.Courses[i]):
		s.Courses[i] = r
	}
}

// wins says whether r replaces old: it is later or, at the same moment, the
// greater by its text, so that the order of folding decides nothing.
func (r CourseReceipt) wins(old CourseReceipt) bool {
	if c := r.Time.Compare(old.Time); c != 0 {
		return c > 0
	}
	a, _ := json.Marshal(r)
	b, _ := json.Marshal(old)
	return string(a) > string(b)
}

// forgetBefore drops what is older than cutoff, and what is past the limits.
// Nothing is left of a student when Servers is empty.
func (s *Student) forgetBefore(cutoff time.Time) {
	for i := range s.Servers {
		v := &s.Servers[i]
		v.Courses = slices.DeleteFunc(v.Courses, func(c CourseReceipt) bool { return c.Time.Before(cutoff) })
		v.Courses = latest(v.Courses, MaxCourses, func(c CourseReceipt) time.Time { return c.Time })
		if v.Login.Time.Before(cutoff) {
			v.Login = LoginAt{}
		}
		if v.First.Time.Before(cutoff) {
			v.First = RequestAt{}
		}
		if v.Trust.Time.Before(cutoff) {
			v.Trust = TrustAt{}
		}
	}
	s.Servers = slices.DeleteFunc(s.Servers, func(v Server) bool { return v.Last().Before(cutoff) })
	s.Servers = latest(s.Servers, MaxServers, func(v Server) time.Time { return v.Last() })
}

// latest keeps the n elements with the latest times, in their order.
func latest[T any](list []T, n int, at func(T) time.Time) []T {
	if len(list) <= n {
		return list
	}
	byTime := make([]int, len(list))
	for i := range byTime {
		byTime[i] = i
	}
	slices.SortStableFunc(byTime, func(a, b int) int { return at(list[b]).Compare(at(list[a])) })
	kept := byTime[:n]
	slices.Sort(kept)
	out := make([]T, 0, n)
	for _, i := range kept {
		out = append(out, list[i])
	}
	return out
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
