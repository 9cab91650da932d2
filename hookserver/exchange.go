package hookserver

import (
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/time/rate"

	"satchel/hook"
	"satchel/internal/hub"
)

// maxHubToken bounds what is shown as a hub's token, in bytes.
const maxHubToken = 512

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
	if !ok || token == "" || len(token) > maxHubToken {
		return errHubToken
	}
	var empty struct{}
	if err := readJSON(c, 1<<10, &empty); err != nil {
		return err
	}
	from := s.strange.of(c.Request)
	if from != nil && from.Tokens() < 1 {
		return busy{"too many wrong tokens from this address", 30 * time.Second}
	}
	p, err := s.o.Hub.Owner(c.Request.Context(), token)
	if err != nil {
		if from != nil && !errors.Is(err, hub.ErrAway) {
			from.Allow()
		}
		return err
	}
	if err := checkLogin(hook.Login{User: p.User, Server: p.Server, Groups: p.Groups}); err != nil {
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

// strangers count wrong tokens by address: each is a question to the hub.
type strangers struct {
	limit bool
	now   func() time.Time
	mu    sync.Mutex
	at    map[string]*rate.Limiter
}

const maxStrangers = 10_000

// newStrangers counts nothing where all students have one address.
func newStrangers(l Limits, now func() time.Time) *strangers {
	return &strangers{limit: l.PerAddress >= 0, now: now, at: map[string]*rate.Limiter{}}
}

// of gives the limiter of who asks, nil for none: 20 wrong tokens at once, one
// each three seconds.
func (s *strangers) of(r *http.Request) *rate.Limiter {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil || !s.limit {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.at[host]
	if l == nil {
		if len(s.at) >= maxStrangers {
			clear(s.at)
		}
		l = rate.NewLimiter(rate.Every(3*time.Second), 20)
		s.at[host] = l
	}
	return l
}
