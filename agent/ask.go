package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"satchel/hook"
	"satchel/workdir"
)

// question asks the service, with a ticket of the running watch where this
// process has none.
func (p *pass) question(ctx context.Context, haves []hook.Have, etag string) (*hook.Answer, error) {
	if p.a.client == nil {
		return nil, errNoService
	}
	if err := p.a.borrow(ctx); err != nil {
		return nil, err
	}
	return p.a.insist(ctx, func() (*hook.Answer, error) { return p.ask(ctx, haves, etag) })
}

// insist asks once more with another ticket where the first was not taken.
func (a *Agent) insist(ctx context.Context, ask func() (*hook.Answer, error)) (*hook.Answer, error) {
	used := a.ticket.get()
	ans, err := ask()
	var e *hook.Error
	if !errors.As(err, &e) || e.Status != http.StatusUnauthorized {
		return ans, err
	}
	switch fresh := a.freshen(ctx, used); {
	case fresh == nil:
		return ask()
	case !errors.Is(fresh, errNoTicket):
		err = fresh // there may be one soon
	}
	return nil, err
}

// ask puts the question within its time.
func (p *pass) ask(ctx context.Context, haves []hook.Have, etag string) (*hook.Answer, error) {
	if p.o.Within <= 0 {
		return p.a.client.Sync(ctx, haves, p.a.keyIDs(), etag)
	}
	inner, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(p.o.Within, func() { cancel(hook.ErrSilent) })
	ans, err := p.a.client.Sync(inner, haves, p.a.keyIDs(), etag)
	if !late.Stop() && err == nil { // it came and went in one moment
		ans.Close()
		err = hook.ErrSilent
	}
	if err != nil {
		cancel(nil)
	}
	return ans, err // cancelling would end the download; it ends with ctx
}

var (
	errNoService = errors.New("no course server is set up here")
	errNoTicket  = errors.New("there is no ticket")
)

// borrow takes a ticket where this process has none. errNoTicket: there is none
// to be had; any other error: not now.
func (a *Agent) borrow(ctx context.Context) error {
	if a.ticket.get() == "" {
		return a.freshen(ctx, "")
	}
	return nil
}

// freshen takes another ticket than was used: the watch's, else one for the
// hub's token. Errors are those of borrow.
func (a *Agent) freshen(ctx context.Context, used string) error {
	if r, err := askWatch(ctx, a.s, askTicket); err == nil && r.Ticket != used && a.ticket.take(r.Ticket) {
		return nil
	}
	return a.exchange(ctx)
}

// young is a ticket whose groups are taken for today's.
const young = 5 * time.Minute

// regroup renews an older ticket where something is no longer given out by it,
// and asks anew with that (errAnew): another server of this student may have one
// that knows a group more, and the two would take turns. At a login the ticket
// is new, and there is no time.
func (p *pass) regroup(ctx context.Context, ans *hook.Answer) error {
	issued, _, ok := life(p.a.ticket.get())
	left := slices.ContainsFunc(ans.Offer.Courses, func(c hook.CourseOffer) bool { return len(c.Left) > 0 })
	if !left || !ok || ans.Date.Sub(issued) < young || p.o.Within > 0 {
		return nil
	}
	adm, err := p.a.client.Renew(ctx)
	if err != nil || !p.a.ticket.take(adm.Ticket) {
		p.lg.Info("ticket not renewed", "error", err)
		return nil
	}
	return fmt.Errorf("%w: by groups of today", errAnew)
}

func (a *Agent) keyIDs() (ids []string) {
	for _, k := range a.s.Keys {
		ids = append(ids, k.ID())
	}
	return ids
}

// haves says what is held, and the same as one text.
func (p *pass) haves() (haves []hook.Have, text string) {
	var lines []string
	for _, l := range p.inOrder() {
		st := l.dir.State()
		if p.o.All || p.anew[l.name] || st.Version == 0 {
			continue
		}
		h := hook.Have{Course: l.name, Version: st.Version, Fingerprint: st.Fingerprint}
		for id := range st.Manifests {
			h.Channels = append(h.Channels, id)
		}
		slices.Sort(h.Channels)
		haves = append(haves, h)
		lines = append(lines, h.String())
	}
	return haves, strings.Join(lines, "\n")
}

// take makes a verified version what a course is brought to, and what bytes are
// asked for: while the course is paused no others come.
func (p *pass) take(l *local, n *workdir.Newest) {
	l.newest = n
	h := hook.Have{Course: l.name, Version: n.Head.Version, Fingerprint: n.Head.Fingerprint()}
	h.Channels = slices.Sorted(maps.Keys(n.Manifests))
	p.a.claims.Store(l.name, h)
}

func (a *Agent) claim(course string) hook.Have {
	h, _ := a.claims.Load(course)
	have, _ := h.(hook.Have)
	return have
}

// headAge is how old a head may be before it is asked for anew.
const headAge = 24 * time.Hour

// etag is the last answer's, where it still says something: all of what it
// brought is in place, nothing was lost since, and its heads are fresh.
func (p *pass) etag(haves string) string {
	if haves == "" || haves != p.mem.Haves || p.mem.Asked.IsZero() {
		return ""
	}
	now := later(p.began, p.mem.Asked)
	for name, l := range p.courses {
		m := p.mem.Courses[name]
		st := l.dir.State()
		if st.Highest == 0 && st.Version == 0 || m != nil && m.Over {
			continue // no answer brings a head of it
		}
		if st.Version != st.Highest || m == nil || m.Checked.IsZero() || now.Sub(p.vouchedAt(l, m)).Abs() > headAge {
			return ""
		}
	}
	return p.mem.ETag
}
