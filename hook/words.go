// Package hook owns the words that are spoken at a login, between the hub's
// spawn hook, the service and the agent: Ticket, Login, Offer, Receipt, and
// the client that asks. It holds no content and decides nothing.
//
// # The answer of GET /v1/sync
//
// 304, or a body of type OfferType:
//
//	length of the offer, big endian    4 bytes
//	offer                              zstd of JSON (Offer)
//	frames                             the bytes of every Offered frame, in
//	                                   the offer's order, but of those that
//	                                   lie behind URLs (CourseOffer.Elsewhere)
//
// URLs come only to who says that it takes them (urls=1 in the question).
//
// POST /v1/courses/{course}/files answers in the same form, with one
// CourseOffer that has frames only.
//
// A stream that breaks off is resumed by the frames' own addresses: a frame
// that lies in a bundle by GET …/bundles/{digest} with Range, any other
// content by POST …/files.
//
// These, and GET …/history, take have=HAVE with the version that the agent holds
// or was offered. While a course is paused they give of it what that version
// names, and nothing to whoever names none.
package hook

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"satchel/bundle"
)

// Format is the format number of everything in this package.
const Format = 1

// Limits of what is spoken.
const (
	MaxTicket      = 2 << 10  // bytes of a ticket
	MaxOffer       = 64 << 20 // bytes of an offer's JSON
	MaxPackedOffer = 32 << 20 // bytes of it on the wire
	MaxReceipt     = 64 << 10
	MaxHave        = 8 << 10 // bytes of the query; longer goes by POST
	MaxAsked       = 10_000  // digests in one POST …/files
	MaxSections    = 1000    // in one CourseOffer
)

// OfferType is the media type of an answer with an offer.
const OfferType = "application/vnd.satchel.offer"

// Environment variables that the spawn hook sets in a student's server.
const (
	EnvURL    = "SATCHEL_URL"    // where the service answers students
	EnvTicket = "SATCHEL_TICKET" // see Ticket
	EnvKeys   = "SATCHEL_KEYS"   // bundle.PublicKeys in their text form
)

// Login is what the hub's hook posts to /v1/logins.
type Login struct {
	Format int      `json:"format,omitempty"` // absent is 1
	User   string   `json:"user"`
	Server string   `json:"server"` // "" for the default server
	Groups []string `json:"groups"`
	Image  string   `json:"image,omitempty"` // of the server, for "the agent did not run"
}

// Admission answers a Login, a renewal and an exchange: what goes into the
// server's environment.
type Admission struct {
	Format  int       `json:"format"`
	Ticket  string    `json:"ticket"`
	Expires time.Time `json:"expires"`
	URL     string    `json:"url"`
	Keys    string    `json:"keys"`

	// Courses and Exchange are for the hub alone: what this student will get,
	// and whether POST /v1/exchange works here, without which a container that
	// is resumed has a ticket that is over. Both only answer a Login.
	Courses  []Ready `json:"courses,omitempty"`
	Exchange bool    `json:"exchange,omitempty"`
}

// Ready is a course that a student may have, and its newest version; 0 while
// nothing of it is released to them.
type Ready struct {
	Course  string         `json:"course"`
	Version bundle.Version `json:"version"`
}

// Have is what an agent says it holds of one course. Its text form is
// COURSE:VERSION:FINGERPRINT:ID,ID with the ids of the channels applied.
type Have struct {
	Course      string
	Version     bundle.Version
	Fingerprint string // bundle.Head.Fingerprint of the head applied
	Channels    []string
}

func (h Have) String() string {
	return fmt.Sprintf("%s:%d:%s:%s", h.Course, h.Version, h.Fingerprint, strings.Join(h.Channels, ","))
}

// ParseHave reads the text form.
func ParseHave(s string) (Have, error) {
	p := strings.Split(s, ":")
	if len(p) != 4 || p[0] == "" {
		return Have{}, fmt.Errorf("have %.80q is not COURSE:VERSION:FINGERPRINT:CHANNELS", s)
	}
	v, err := strconv.ParseInt(p[1], 10, 64)
	if err != nil || v < 0 || bundle.Version(v) > bundle.MaxVersion {
		return Have{}, fmt.Errorf("have %.80q: bad version", s)
	}
	h := Have{Course: p[0], Version: bundle.Version(v), Fingerprint: p[2]}
	if p[3] != "" {
		h.Channels = strings.Split(p[3], ",")
	}
	return h, nil
}

// Offer is what a student may have now, all courses together.
type Offer struct {
	Format  int           `json:"format"`
	Now     time.Time     `json:"now"`
	Courses []CourseOffer `json:"courses"`
	Groups  []string      `json:"groups,omitempty"` // the ticket's, for "no course is assigned to you"
}

// CourseOffer leads from what the agent has to the newest of one course.
// Head is nil when nothing was released to this student yet, or (State
// "paused") nothing new is given out now.
type CourseOffer struct {
	Course   string           `json:"course"`
	State    string           `json:"state,omitempty"` // StatePaused, StateEmpty, StateAway
	Head     *bundle.Envelope `json:"head,omitempty"`
	Channels []ChannelOffer   `json:"channels,omitempty"`
	Left     []string         `json:"left,omitempty"` // channel ids that are no longer this student's
	Frames   []Offered        `json:"frames,omitempty"`
	// URLs are signed ones of sections of bundles, in the order of bundle and
	// offset, none over another, good for some minutes (delivery: redirect).
	// The bytes of a frame of which all lies in them are not in the answer:
	// they are had there (Client.Signed), or by GET …/bundles.
	URLs []Section `json:"urls,omitempty"`
	// Prove asks for the signed head that the agent holds (POST /v1/heads):
	// it claims a newer version than the service knows.
	Prove bool `json:"prove,omitempty"`
}

// States of a CourseOffer.
const (
	StatePaused = "paused" // the course is paused: who has something keeps it, who has nothing waits
	StateEmpty  = "empty"  // nothing has been released yet
	StateAway   = "away"   // the service cannot read this course now: what is there stays, ask again
)

// ChannelOffer leads to the newest manifest of one channel: from the manifest
// with digest Base (zero: from nothing).
type ChannelOffer struct {
	ID      string         `json:"id"`
	Base    bundle.Digest  `json:"base,omitzero"`
	Changes bundle.Changes `json:"changes"`
}

// Offered is one frame of the answer. Bundle is the bundle in which it lies
// at its Offset; zero for one that was put together for this answer.
type Offered struct {
	bundle.Frame
	Bundle bundle.Digest `json:"bundle,omitzero"`
}

// Ask is the body of POST /v1/courses/{course}/files.
type Ask struct {
	Format  int             `json:"format,omitempty"` // absent is 1
	Digests []bundle.Digest `json:"digests"`
	URLs    bool            `json:"urls,omitempty"` // the asker takes URLs (CourseOffer.URLs)
}

// Proof is the body of POST /v1/heads: the head that an agent holds.
type Proof struct {
	Format int              `json:"format"`
	Course string           `json:"course"`
	Head   *bundle.Envelope `json:"head"`
}

// Receipt says what a sync did to one course's folder. It never holds the
// name, size or digest of a file of the student's own.
type Receipt struct {
	Format  int            `json:"format"`
	Course  string         `json:"course"`
	Version bundle.Version `json:"version"`
	Agent   string         `json:"agent"`           // the agent's version
	Image   string         `json:"image,omitempty"` // JUPYTER_IMAGE
	Added   int            `json:"added"`
	Changed int            `json:"changed"`
	Removed int            `json:"removed"`
	Waiting int            `json:"waiting"`
	Merged  []string       `json:"merged,omitempty"` // paths of the course
	Kept    []string       `json:"kept,omitempty"`   // paths of the course where the student's file stayed
	Failed  []string       `json:"failed,omitempty"` // paths of the course that could not be written
	Code    string         `json:"code,omitempty"`   // why nothing could be done, one word
}

// Problem is the body of every error answer.
type Problem struct {
	Sentence string `json:"error"`
	Code     string `json:"code"`
}

// Codes of a Problem.
const (
	CodeTicket      = "ticket"      // no, a wrong or a foreign ticket
	CodeExpired     = "expired"     // the ticket's time is over
	CodeNotFound    = "not_found"   // absent, or not this student's: the same answer
	CodeTooLarge    = "too_large"   // a header, query or body over its limit
	CodeBadRequest  = "bad_request" // not understood
	CodeBusy        = "busy"        // too many streams; Retry-After says when
	CodeUnavailable = "unavailable" // the store is away and the cache cold; Retry-After
	CodeNoExchange  = "no_exchange" // this service takes no hub's token
	CodeInternal    = "internal"    // a fault of the service
)
