package hookserver

import (
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"satchel/hook"
	"satchel/internal/hub"
)

// postExchange answers POST /v1/exchange: a ticket for a server's own token of
// the hub. It is how a container that was resumed, and so has the environment
// of an older login, gets one; and a site without a spawn hook. The token is
// shown to the hub, and kept nowhere.
func (s *Server) postExchange(c *gin.Context) (err error) {
	result := "refused"
	defer func() { s.metrics.exchanges.WithLabelValues(result).Inc() }()
	if s.o.Hub == nil {
		return errNoExchange
	}
	token, ok := bearer(c.Request)
	if !ok || token == "" || len(token) > hub.MaxToken {
		return errHubToken
	}
	var empty struct{}
	if err := readJSON(c, 1<<10, &empty); err != nil {
		return err
	}
	p, err := s.owner(c.Request, token)
	if err != nil {
		return err
	}
	if err := checkLogin(hook.Login{User: p.User, Server: p.Server, Groups: p.Groups}); err != nil {
		return err
	}
	if err := s.guests.enter(hook.Ticket{User: p.User, Server: p.Server}); err != nil {
		return err
	}
	now := s.o.Now()
	a, err := s.admit(hook.Ticket{Audience: s.o.Audience, User: p.User, Server: p.Server, Groups: p.Groups, Login: now.Unix()}, now)
	if err != nil {
		return err
	}
	c.Set(known, true)
	result = "admitted"
	c.JSON(http.StatusOK, a)
	return nil
}

// owner asks the hub whose a token is. Each question is paid before it is asked,
// and paid back to whoever showed a right one, or got no answer and waited for
// it: who hangs up leaves the hub with the work.
func (s *Server) owner(r *http.Request, token string) (hub.Person, error) {
	from := s.strange.of(r)
	if !from.take(s.o.Now()) {
		return hub.Person{}, busy{"too many wrong tokens of the hub; try again soon", 30 * time.Second}
	}
	p, err := s.o.Hub.Owner(r.Context(), token)
	s.tellAway(err)
	if err == nil || errors.Is(err, hub.ErrAway) && r.Context().Err() == nil {
		from.giveBack()
	}
	return p, err
}

// tellAway logs that the hub does not answer, once a minute.
func (s *Server) tellAway(err error) {
	if errors.Is(err, hub.ErrAway) {
		s.hubAway.Do(func() { s.lg.Error("the hub's API cannot be asked", "err", err) })
	}
}

// Wrong tokens: so many at once, one more each so often, of one address; and
// where all students have one address (limits.per_address is negative), of all
// together.
const (
	wrongAtOnce, wrongEach       = 20, 3 * time.Second
	allWrongAtOnce, allWrongEach = 400, 50 * time.Millisecond
	maxStrangers                 = 10_000
)

// strangers count wrong tokens by address: each is a question to the hub.
type strangers struct {
	together *purse // nil: each address has its own
	mu       sync.Mutex
	at       map[string]*purse
}

func newStrangers(l Limits) *strangers {
	s := &strangers{at: map[string]*purse{}}
	if l.PerAddress < 0 {
		s.together = newPurse(allWrongAtOnce, allWrongEach)
	}
	return s
}

func (s *strangers) of(r *http.Request) *purse {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if s.together != nil || err != nil {
		return s.together
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.at[host]
	if p == nil {
		if len(s.at) >= maxStrangers {
			clear(s.at)
		}
		p = newPurse(wrongAtOnce, wrongEach)
		s.at[host] = p
	}
	return p
}

// purse holds what may be spent, filled again with time. Unlike a rate.Limiter
// it can be paid back. A nil one is never empty.
type purse struct {
	mu       sync.Mutex
	full     float64
	each     time.Duration
	left     float64
	filledAt time.Time
}

func newPurse(full float64, each time.Duration) *purse {
	return &purse{full: full, each: each, left: full}
}

func (p *purse) take(now time.Time) bool {
	if p == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := now.Sub(p.filledAt); d > 0 {
		p.left = min(p.full, p.left+float64(d)/float64(p.each))
		p.filledAt = now
	}
	if p.left < 1 {
		return false
	}
	p.left--
	return true
}

func (p *purse) giveBack() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = min(p.full, p.left+1)
}
