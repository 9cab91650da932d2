package hookserver

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"satchel/bundle"
	"satchel/hook"
	"satchel/internal/students"
)

const (
	routeSync = "sync"
	known     = "known" // set in the context of a request that came with a valid ticket or secret
)

var release = sync.OnceFunc(func() { gin.SetMode(gin.ReleaseMode) })

// newEngine makes a gin engine that trusts no proxy, rewrites no path and
// logs nothing by itself.
func (s *Server) newEngine() *gin.Engine {
	release()
	e := gin.New()
	_ = e.SetTrustedProxies(nil) // only a wrong list is an error
	e.ForwardedByClientIP = false
	e.RedirectTrailingSlash = false
	e.RedirectFixedPath = false
	e.HandleMethodNotAllowed = false
	e.Use(s.guard)
	e.NoRoute(s.plain("none", func(*gin.Context) error { return errNotFound }))
	return e
}

// studentRoutes are at the root and below the prefix of the configured URL.
func (s *Server) studentRoutes(prefix string) http.Handler {
	e := s.newEngine()
	groups := []gin.IRouter{e}
	if prefix != "" {
		groups = append(groups, e.Group(prefix))
	}
	for _, r := range groups {
		r.GET("/v1/sync", s.authed(routeSync, s.getSync))
		r.POST("/v1/sync", s.authed(routeSync, s.getSync))
		r.GET("/v1/courses/:course/bundles/:digest", s.authed("bundle", s.getBundle))
		r.POST("/v1/courses/:course/files", s.authed("files", s.postFiles))
		r.GET("/v1/courses/:course/history", s.authed("history", s.getHistory))
		r.GET("/v1/events", s.authed("events", s.getEvents))
		r.POST("/v1/receipts", s.authed("receipt", s.postReceipt))
		r.POST("/v1/renew", s.authed("renew", s.postRenew))
		r.POST("/v1/exchange", s.plain("exchange", s.postExchange))
		r.POST("/v1/heads", s.authed("head", s.postHead))
		r.POST("/webhooks/:course", s.plain("webhook", s.postWebhook))
	}
	return e
}

// webhookRoutes are for a listener that git hosts reach through a proxy, and
// that answers nothing else.
func (s *Server) webhookRoutes() http.Handler {
	e := s.newEngine()
	e.POST("/webhooks/:course", s.plain("webhook", s.postWebhook))
	return e
}

func (s *Server) hubRoutes() http.Handler {
	e := s.newEngine()
	e.POST("/v1/logins", s.plain("login", s.postLogin))
	e.GET("/healthz", s.plain("health", s.getHealth))
	e.GET("/readyz", s.plain("ready", s.getReady))
	e.GET("/metrics", gin.WrapH(s.metrics.handler()))
	return e
}

// guard ends a handler's panic in one answer, and bounds small answers.
func (s *Server) guard(c *gin.Context) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(p)
		}
		s.lg.Error("panic", "err", fmt.Sprint(p), "stack", string(debug.Stack()))
		if c.Writer.Written() {
			panic(http.ErrAbortHandler)
		}
		s.fail(c, errPanic)
	}()
	h := c.Writer.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	control := http.NewResponseController(c.Writer) // recorders of tests have no deadlines
	_ = control.SetWriteDeadline(time.Now().Add(answerTime))
	if c.Request.ContentLength != 0 {
		// Also for a body that no route reads: net/http does, after the answer.
		_ = control.SetReadDeadline(time.Now().Add(s.o.Limits.Body))
	}
	if headerBytes(c.Request) > maxHeader {
		s.fail(c, tooLarge{maxHeader})
		c.Abort()
		return
	}
	c.Next()
}

// headerBytes is about the size of a request's head: net/http bounds it too,
// a little above.
func headerBytes(r *http.Request) int {
	n := len(r.RequestURI)
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v) + 4
		}
	}
	return n
}

// plain runs a handler and answers its error.
func (s *Server) plain(route string, f func(*gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		began := time.Now()
		defer func() {
			s.metrics.requests.WithLabelValues(route, strconv.Itoa(c.Writer.Status())).Inc()
			s.lg.Debug("request", "route", route, "status", c.Writer.Status(), "took", time.Since(began).Round(time.Millisecond))
		}()
		err := f(c)
		switch {
		case err == nil:
		case c.Writer.Written():
			// Too late for a status: the asker sees a body that is cut off.
			s.lg.Debug("answer broken off", "route", route, "err", err)
			panic(http.ErrAbortHandler)
		default:
			s.fail(c, err)
		}
	}
}

// authed runs a handler for a student with a valid ticket.
func (s *Server) authed(route string, f func(*gin.Context, hook.Ticket) error) gin.HandlerFunc {
	return s.plain(route, func(c *gin.Context) error {
		t, err := s.ticket(c.Request)
		if err != nil {
			return err
		}
		c.Set(known, true)
		if err := s.guests.enter(t); err != nil {
			return err
		}
		if route != routeSync { // which tells more itself
			s.tellRequest(t, nil)
		}
		s.lg.Debug("student", "route", route, "user", quoted(t.User), "server", quoted(t.Server))
		return f(c, t)
	})
}

// tellRequest writes down the first request of a login, and the keys that the
// agent trusts.
func (s *Server) tellRequest(t hook.Ticket, keys []string) {
	if s.guests.news(t, keys) {
		s.o.Students.Add(students.Line{Kind: students.KindRequest, Time: s.o.Now(), User: t.User, Server: t.Server, Login: t.Login, Keys: keys})
	}
}

// ticket verifies the request's ticket.
func (s *Server) ticket(r *http.Request) (hook.Ticket, error) {
	token, ok := bearer(r)
	if !ok {
		return hook.Ticket{}, hook.ErrTicket
	}
	return s.o.TicketKeys().Verify(s.o.Audience, token, s.o.Now())
}

// bearer gives the one bearer token of a request.
func bearer(r *http.Request) (string, bool) {
	h := r.Header["Authorization"]
	if len(h) != 1 {
		return "", false
	}
	return strings.CutPrefix(h[0], "Bearer ")
}

// sameSecret compares without telling by time how much is the same.
func sameSecret(given string, secrets [][]byte) bool {
	ok := false
	sum := sha256.Sum256([]byte(given))
	for _, want := range secrets {
		w := sha256.Sum256(want)
		if subtle.ConstantTimeCompare(sum[:], w[:]) == 1 && len(want) > 0 {
			ok = true
		}
	}
	return ok
}

// fail answers an error.
func (s *Server) fail(c *gin.Context, err error) {
	a := answerOf(err)
	if a.loud {
		s.lg.Error("answered with an error", "status", a.status, "err", err)
	}
	if a.after > 0 {
		c.Header("Retry-After", strconv.Itoa(int(a.after/time.Second)))
	}
	h := c.Writer.Header()
	h.Del("ETag")
	h.Del("Content-Length")
	if !c.GetBool(known) {
		// A place on the listener is for those who have a ticket.
		h.Set("Connection", "close")
	}
	c.JSON(a.status, a.problem)
}

// readBody reads at most limit bytes, within Limits.Body (see guard).
func readBody(c *gin.Context, limit int64) ([]byte, error) {
	if c.Request.ContentLength > limit {
		return nil, tooLarge{limit}
	}
	data, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, limit))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, tooLarge{limit}
	case err != nil:
		return nil, bad("the body was cut off")
	}
	// A deadline that passes later would end the request's context.
	_ = http.NewResponseController(c.Writer).SetReadDeadline(time.Time{})
	return data, nil
}

// readJSON reads one JSON value. Fields that this service does not know are
// passed over, and kept nowhere: images may run ahead of the service.
func readJSON(c *gin.Context, limit int64, v any) error {
	data, err := readBody(c, limit)
	if err != nil {
		return err
	}
	if bundle.FormatOf(data) > hook.Format {
		return bad("made by a newer Satchel than this service")
	}
	if err := bundle.DecodeLenient(data, int(limit), v); err != nil {
		return bad("the body is not the JSON that belongs here")
	}
	return nil
}

// quoted makes a name safe for a log: capped, control characters escaped.
func quoted(name string) slog.Value {
	const most = 64
	if len(name) > most {
		name = name[:most] + "…"
	}
	return slog.StringValue(strconv.QuoteToASCII(name))
}
