package hookserver

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"satchel/hook"
	"satchel/internal/students"
)

// Limits of what the hub says of a student.
const (
	maxUserName  = 255 // bytes of a user's, server's or group's name
	maxGroupList = 2000
	readyTime    = 300 * time.Millisecond // for the line on the spawn page
)

// postLogin answers POST /v1/logins, by the hub's hook.
func (s *Server) postLogin(c *gin.Context) error {
	result := "refused"
	defer func() { s.metrics.logins.WithLabelValues(result).Inc() }()
	given, ok := bearer(c.Request)
	if !ok || !sameSecret(given, s.o.HookSecrets()) {
		if !s.logins.wrong.Allow() {
			return busy{"too many requests with a wrong hook secret", 10 * time.Second}
		}
		s.lg.Warn("a login came with a wrong hook secret: compare secrets: hook_secrets with the hub's")
		return errSecret
	}
	c.Set(known, true)
	if !s.logins.all.Allow() {
		return busy{"too many logins at once", time.Second}
	}
	var l hook.Login
	if err := readJSON(c, maxLogin, &l); err != nil {
		return err
	}
	if err := checkLogin(l); err != nil {
		return err
	}
	now := s.o.Now()
	t := hook.Ticket{Audience: s.o.Audience, User: l.User, Server: l.Server, Groups: l.Groups, Login: now.Unix()}
	a, err := s.admit(t, now)
	if err != nil {
		return err
	}
	a.Courses, a.Exchange = s.ready(c.Request.Context(), t), s.o.Hub != nil
	result = "admitted"
	s.o.Students.Add(students.Line{Kind: students.KindLogin, Time: now, User: l.User, Server: l.Server, Image: l.Image})
	c.JSON(http.StatusOK, a)
	return nil
}

func checkLogin(l hook.Login) error {
	if l.Format < 0 || l.User == "" || len(l.Groups) > maxGroupList {
		return bad("a login names a user and at most %d groups", maxGroupList)
	}
	for _, name := range append([]string{l.User, l.Server, l.Image}, l.Groups...) {
		if len(name) > maxUserName || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
			return bad("a name is at most %d bytes of UTF-8", maxUserName)
		}
	}
	return nil
}

// ready is what this student will get, as far as it is known now: a login
// waits for no store.
func (s *Server) ready(ctx context.Context, t hook.Ticket) []hook.Ready {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	var out []hook.Ready
	for _, v := range s.views(ctx, t) {
		out = append(out, hook.Ready{Course: v.course, Version: v.version()})
	}
	return out
}

// postRenew answers POST /v1/renew: a fresh ticket with today's groups, or
// the present one's where no hub is known, until 7 days after the login.
func (s *Server) postRenew(c *gin.Context, t hook.Ticket) error {
	var empty struct{}
	if err := readJSON(c, 1<<10, &empty); err != nil {
		return err
	}
	if s.o.Hub != nil {
		groups, err := s.o.Hub.Groups(c.Request.Context(), t.User)
		s.tellAway(err)
		if err != nil {
			return err
		}
		t.Groups = groups
	}
	a, err := s.admit(t, s.o.Now())
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, a)
	return nil
}

// admit mints a ticket like t, from now on.
func (s *Server) admit(t hook.Ticket, now time.Time) (hook.Admission, error) {
	end := time.Unix(t.Login, 0).Add(hook.LoginLife)
	expires := now.Add(hook.TicketLife)
	if expires.After(end) {
		expires = end
	}
	id := make([]byte, 12)
	_, _ = rand.Read(id) // never an error
	t.Issued, t.Expires, t.ID = max(now.Unix(), t.Login), expires.Unix(), hex.EncodeToString(id)
	if t.Expires <= t.Issued {
		return hook.Admission{}, hook.ErrExpired
	}
	text, err := s.mint(t)
	if err != nil {
		return hook.Admission{}, err
	}
	a := hook.Admission{Format: hook.Format, Ticket: text, Expires: time.Unix(t.Expires, 0).UTC(), URL: s.o.URL}
	for i, k := range s.o.PublicKeys() {
		if i > 0 {
			a.Keys += " "
		}
		a.Keys += k.String()
	}
	return a, nil
}

// mint cuts the groups to those that some course names when they do not all
// fit, and then to as many as fit, loudly.
func (s *Server) mint(t hook.Ticket) (string, error) {
	t.Groups = slices.Compact(slices.Sorted(slices.Values(t.Groups)))
	keys := s.o.TicketKeys()
	text, err := keys.Mint(t)
	if !errors.Is(err, hook.ErrTicketTooLarge) {
		return text, err
	}
	named := s.namedGroups()
	t.Groups = slices.DeleteFunc(t.Groups, func(g string) bool { return !named[g] })
	for {
		text, err = keys.Mint(t)
		if !errors.Is(err, hook.ErrTicketTooLarge) || len(t.Groups) == 0 {
			break
		}
		s.lg.Error("a student is in more groups of courses than fit into a ticket; one is left out", "group", t.Groups[len(t.Groups)-1])
		t.Groups = t.Groups[:len(t.Groups)-1]
	}
	if err != nil {
		return "", fmt.Errorf("login: %w", err)
	}
	return text, nil
}

// namedGroups are the groups by which anybody is let in anywhere.
func (s *Server) namedGroups() map[string]bool {
	named := map[string]bool{}
	for _, c := range s.o.Courses() {
		for _, g := range c.Audience.Groups {
			named[g] = true
		}
		if ed := s.lib.peek(string(c.Name)).edition; ed != nil {
			for _, ch := range ed.channels {
				for _, g := range ch.Groups {
					named[g] = true
				}
			}
		}
	}
	return named
}

// getHealth says that the process answers.
func (s *Server) getHealth(c *gin.Context) error {
	c.String(http.StatusOK, "ok\n")
	return nil
}

// getReady says whether logins should be sent here: not while it drains, and
// not before something is known of some course.
func (s *Server) getReady(c *gin.Context) error {
	if s.draining.Load() {
		return errDraining
	}
	courses := s.Status()
	ready := len(courses) == 0
	for _, st := range courses {
		v := view{shelf: s.lib.peek(st.Course)}
		ready = ready || !v.cold()
	}
	code := http.StatusOK
	if !ready {
		code = http.StatusServiceUnavailable
	}
	c.JSON(code, gin.H{"courses": courses})
	return nil
}
