// Package hookserver is the other end of a login: it knows who asks, which
// courses and channels they may see, and sends the bytes. It is the only home
// of gin, the only part of the service that students reach, and it writes
// nothing into the store but lines for package students, that it is there
// (present.go), and what proves that the store went backwards (proven.go).
//
// # What it promises
//
//   - A student is only ever sent frames of which every content is named by the
//     newest manifest of a channel that they may see now. Where a stored frame
//     mixes, another is put together (assemble.go).
//   - What is foreign and what is absent give the same answer.
//   - A course that cannot be read, is broken, or was made by a newer Satchel
//     never touches another; what was good stays (library.go).
//   - Every input, every stream and every memory has a limit (limits.go).
//   - No ticket and no secret is logged, and no name at level info.
//
// # How it knows
//
// A library (library.go) keeps of each course one edition: the newest record
// that it could check, with the indexes of its bundles. It looks for a newer
// one every few seconds by a conditional read. Requests are answered from
// memory; bytes come from the folder store, or through a checked disk cache
// (cache.go) from S3. Nothing depends on which replica is asked.
package hookserver

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"satchel/bundle"
	"satchel/course"
	"satchel/hook"
	"satchel/internal/hub"
	"satchel/internal/students"
	"satchel/store"
)

// Students takes the lines about logins, first requests and receipts.
// *students.Writer is one; Add must not block.
type Students interface{ Add(students.Line) }

// Hub knows who somebody is today. *hub.Hub is one; its errors are that
// package's.
type Hub interface {
	Owner(ctx context.Context, token string) (hub.Person, error)
	Groups(ctx context.Context, user string) ([]string, error)
}

// Options are what a Server needs. The functions are asked at each use, so
// that a reload needs no restart.
type Options struct {
	Store   store.Store
	Courses func() []course.Course // today's configuration

	TicketKeys  func() hook.TicketKeys
	HookSecrets func() [][]byte // those that may post logins
	PublicKeys  func() []bundle.PublicKey

	ID       string // of this process, for those who wait for it; "": nobody does
	Audience string // of tickets: the configured id; "" is "satchel"
	URL      string // where students reach this; its path is a prefix of the routes

	// CacheDir is for bundles read from S3; "" means that they are read from
	// the store each time. A folder store is never cached.
	CacheDir string
	Cache    CacheLimits

	// Redirect gives signed URLs of the store for large parts of what lies in
	// it (redirect.go), to agents that take them.
	Redirect bool

	Hub Hub // nil: renewals keep the groups of the login, nothing is exchanged

	// Webhook is a course's, false where it has none; Hint is told of one that
	// was let in, for whoever looks at the repository. Both may be nil.
	Webhook func(course string) (Webhook, bool)
	Hint    func(course, host string)

	// TakenBack is what a syncer with this process's folder knows to be taken
	// back, whatever the store says; nil: none is here.
	TakenBack func(course string) []bundle.Pair

	Limits   Limits
	Students Students       // nil: nothing is kept
	Silent   func() float64 // agents that did not run, for the metrics; nil: not told
	Now      func() time.Time

	Poll time.Duration // between looks at a record; 0 is 3s, of a folder 500ms
}

// Server answers students and the hub.
type Server struct {
	lg  *slog.Logger
	o   Options
	lib *library
	mix *assembler

	prepared  *lru[string, *prepared]
	preparing *flights[*prepared]
	guests    *guests
	events    *broadcast
	logins    *loginLimits
	strange   *strangers
	webhooks  *webhooks
	hubAway   rate.Sometimes // for the log
	links     *links
	unsigned  rate.Sometimes // for the log
	metrics   *metrics

	student, hub http.Handler

	draining  atomic.Bool
	drainOnce sync.Once
	drained   chan struct{} // closed by Drain: event streams end
}

// New makes a Server. It reads nothing yet: Run does, or the first request.
func New(lg *slog.Logger, o Options) (*Server, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, errors.New("url: not an address; give where students' servers reach the service, such as http://satchel:8484")
	}
	s := &Server{lg: lg, o: o, drained: make(chan struct{})}
	s.metrics = newMetrics(s)
	blobs, err := newBlobs(lg, o, s.metrics)
	if err != nil {
		return nil, err
	}
	s.events = newBroadcast()
	s.lib = newLibrary(lg, o, blobs, s.events.wakeAll)
	s.guests = newGuests(o.Limits, o.Now)
	s.mix = newAssembler(blobs, s.guests, o.Limits.Memory, s.metrics)
	s.links = newLinks(o)
	s.prepared = newLRU[string, *prepared](o.Limits.Memory)
	s.preparing = newFlights[*prepared]()
	s.logins = newLoginLimits(o.Limits)
	s.strange = newStrangers(o.Limits)
	s.webhooks = newWebhooks(o.Hint)
	s.hubAway.Interval, s.unsigned.Interval = time.Minute, time.Minute
	s.student = s.studentRoutes(strings.TrimRight(u.Path, "/"))
	s.hub = s.hubRoutes()
	return s, nil
}

func (o *Options) complete() error {
	switch {
	case o.Store == nil || o.Courses == nil:
		return errors.New("hookserver: no store or no courses given")
	case o.TicketKeys == nil || o.HookSecrets == nil || o.PublicKeys == nil:
		return errors.New("hookserver: no keys given")
	}
	_, folder := o.Store.(*store.Dir)
	if folder && o.Redirect {
		return errors.New("delivery: redirect needs store.s3: nobody but this service can read a folder of this machine")
	}
	if o.Audience == "" {
		o.Audience = "satchel"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Poll == 0 {
		o.Poll = 3 * time.Second
		if folder {
			o.Poll = 500 * time.Millisecond // a small file, on this disk
		}
	}
	if o.Students == nil {
		o.Students = nobody{}
	}
	o.Limits.complete()
	o.Cache.complete()
	return nil
}

// nobody keeps nothing.
type nobody struct{}

func (nobody) Add(students.Line) {}

// Student answers students' servers.
func (s *Server) Student() http.Handler { return s.student }

// Hub answers the hub's hook, health checks and metrics. Students must not
// reach it.
func (s *Server) Hub() http.Handler { return s.hub }

// Run looks for new versions until ctx is done.
func (s *Server) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { s.lib.prefetch(ctx) })
	wg.Go(func() { s.presence(ctx) })
	wg.Go(func() { s.lib.pulse.beat(ctx) })
	tick := time.NewTicker(s.o.Poll)
	defer tick.Stop()
	for {
		s.Refresh(ctx)
		s.lib.tellAllProven(ctx)
		s.tellHeld(false)
		s.guests.forget()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Refresh looks once at the record of each course. What goes wrong with one
// stands in Status and in the log.
func (s *Server) Refresh(ctx context.Context) { s.lib.refreshAll(ctx) }

// Status says what is served of each configured course.
func (s *Server) Status() []CourseStatus { return s.lib.status() }

// Drain makes the service unready and ends event streams; running answers go
// on. It may be called more than once.
func (s *Server) Drain() {
	s.drainOnce.Do(func() {
		s.draining.Store(true)
		close(s.drained)
	})
}
