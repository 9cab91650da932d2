package hookserver

import (
	"context"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"satchel/hook"
)

// Limits bound what one ticket, and all together, may do. Zero values mean
// the defaults.
type Limits struct {
	Streams      int   // bodies at once for one student's server; 4
	EventStreams int   // event streams at once for one student's server; 2
	Listeners    int   // event streams in all; 20,000
	Connections  int   // on the students' listener; 30,000
	PerAddress   int   // of these from one address; 2,000, negative: no limit
	BytesPerHour int64 // sent to one student's server; 50 GB
	Requests     int   // a second for one student's server, 10 times that at once; 10
	Logins       int   // posted a second, in all; 500
	Memory       int64 // bytes for each of three caches; 32 MiB

	// Body is how long a request's body may take. 10 s.
	Body time.Duration
	// Stall is how long one chunk of an answer (256 KiB) may take: a slower
	// reader is cut off. 30 s.
	Stall time.Duration
	// Drain is how long running answers may take at shutdown. 10 s.
	Drain time.Duration
}

func (l *Limits) complete() {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.Streams, 4)
	set(&l.EventStreams, 2)
	set(&l.Listeners, 20_000)
	set(&l.Connections, 30_000)
	set(&l.PerAddress, 2000)
	set(&l.Requests, 10)
	set(&l.Logins, 500)
	if l.BytesPerHour == 0 {
		l.BytesPerHour = 50 << 30
	}
	if l.Memory == 0 {
		l.Memory = 32 << 20 // all three full, and what the collector has not seen yet: below 192 MB
	}
	if l.Body == 0 {
		l.Body = 10 * time.Second
	}
	if l.Stall == 0 {
		l.Stall = 30 * time.Second
	}
	if l.Drain == 0 {
		l.Drain = 10 * time.Second
	}
}

// Limits of requests, in bytes.
const (
	maxHeader   = 16 << 10
	maxQuery    = hook.MaxHave
	maxSyncBody = 1 << 20
	maxAskBody  = 1 << 20
	maxHeadBody = 2 << 20
	maxLogin    = 256 << 10
	answerTime  = 30 * time.Second // to write a small answer
)

// guest is one student's server, by the tuple, never by joined strings.
type guest struct{ user, server string }

// guestState is what a guest does now. It outlives renewals of the ticket.
type guestState struct {
	streams, events int
	requests        *rate.Limiter
	login           int64  // of which a first request was told
	keys            string // that the agent trusts, as last told
	loginPace       pace
	keysPace        pace
	receipts        map[string]*receipts // by course
	turn            chan struct{}        // taken while a frame is put together
	hour            int64                // Unix hour in which sent was counted
	sent            int64
	seen            time.Time
}

// guests counts for each student's server. Only a verified ticket makes an
// entry; one that was idle for a day is forgotten.
type guests struct {
	limits Limits
	now    func() time.Time
	mu     sync.Mutex
	at     map[guest]*guestState
	own    map[string]int     // servers of each user in at
	held   map[*receipts]bool // those that hold a line back
}

const (
	guestLife = 24 * time.Hour
	maxGuests = 500_000
	// maxServers of one user: a hub gives tokens for servers that do not exist.
	maxServers = 32
)

func newGuests(l Limits, now func() time.Time) *guests {
	return &guests{limits: l, now: now, at: map[guest]*guestState{}, own: map[string]int{}, held: map[*receipts]bool{}}
}

// enter counts a request.
func (g *guests) enter(t hook.Ticket) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	who := guest{t.User, t.Server}
	s := g.at[who]
	if s == nil {
		if len(g.at) >= maxGuests {
			return busy{"too many students at once; try again soon", time.Minute}
		}
		if g.own[t.User] >= maxServers {
			return busy{"too many servers of one user in a day", time.Hour}
		}
		g.own[t.User]++
		s = &guestState{
			requests: rate.NewLimiter(rate.Limit(g.limits.Requests), 10*g.limits.Requests),
			receipts: map[string]*receipts{}, turn: make(chan struct{}, 1),
		}
		g.at[who] = s
	}
	now := g.now()
	s.seen = now
	if !s.requests.AllowN(now, 1) {
		return busy{"too many requests with one ticket; try again soon", 5 * time.Second}
	}
	return nil
}

// turn waits until nothing is put together for this guest; the caller gives
// it back. Only while they have a stream: then they are not forgotten.
func (g *guests) turn(ctx context.Context, who guest) (back func(), err error) {
	g.mu.Lock()
	turn := g.at[who].turn
	g.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// news says whether this is the first request seen here of a login, or the
// first that tells these keys. Keys that change too often are told later.
func (g *guests) news(t hook.Ticket, keys []string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	s, told := g.at[guest{t.User, t.Server}], strings.Join(keys, " ")
	switch {
	case t.Login < s.login: // of a server that has made way for a newer one
		return false
	case t.Login > s.login: // of the hub's hook, or of an exchange, which students ask for
		if !s.loginPace.allows(g.now()) {
			return false
		}
	case told == "" || told == s.keys || !s.keysPace.allows(g.now()):
		return false
	}
	s.login, s.keys = max(s.login, t.Login), told
	return true
}

// stream takes one of the guest's streams; the caller gives it back.
func (g *guests) stream(t hook.Ticket, events bool) (back func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.at[guest{t.User, t.Server}]
	n, limit := &s.streams, g.limits.Streams
	if events {
		n, limit = &s.events, g.limits.EventStreams
	}
	if *n >= limit {
		return nil, busy{"too many downloads at once with one ticket; try again when one has ended", 2 * time.Second}
	}
	if hour := g.now().Unix() / 3600; s.hour == hour && s.sent > g.limits.BytesPerHour {
		return nil, busy{"too much was downloaded in this hour with one ticket", 10 * time.Minute}
	}
	*n++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		*n--
	}, nil
}

// count adds bytes that were sent.
func (g *guests) count(t hook.Ticket, n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.at[guest{t.User, t.Server}]; s != nil {
		if hour := g.now().Unix() / 3600; s.hour != hour {
			s.hour, s.sent = hour, 0
		}
		s.sent += n
	}
}

func (g *guests) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	old := g.now().Add(-guestLife)
	for who, s := range g.at {
		if s.streams+s.events == 0 && s.seen.Before(old) {
			delete(g.at, who)
			if g.own[who.user]--; g.own[who.user] <= 0 {
				delete(g.own, who.user)
			}
		}
	}
}

// loginLimits bound the hook's requests, and guesses at its secret.
type loginLimits struct{ all, wrong *rate.Limiter }

func newLoginLimits(l Limits) *loginLimits {
	return &loginLimits{
		all:   rate.NewLimiter(rate.Limit(l.Logins), 4*l.Logins),
		wrong: rate.NewLimiter(1, 20),
	}
}
