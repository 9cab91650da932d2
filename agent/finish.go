package agent

import (
	"context"
	"errors"
	"net/http"
	"time"

	"satchel/bundle"
	"satchel/hook"
)

// trouble says why the service's answer brought nothing.
func (p *pass) trouble(ctx context.Context, err error) {
	p.lg.Warn("not asked", "error", err)
	p.out.Offline = true
	p.mem.Error = Plain(err.Error())
	var e *hook.Error
	switch {
	case ctx.Err() != nil:
		p.out.Code = CodeStopped
	case errors.Is(err, errNoService):
		p.out.Code, p.out.Offline = CodeOffline, false
		p.say("", p.a.words.NoService())
	case errors.Is(err, errNoTicket):
		p.out.Code, p.out.Offline = CodeTicket, false
		p.say("", p.a.words.NoTicket())
	case errors.Is(err, bundle.ErrFormat):
		p.out.Code = CodeNewer
		p.say("", p.a.words.Newer())
	case errors.As(err, &e):
		p.answered(e)
	default:
		p.unreachable()
	}
	p.mem.Code = p.out.Code
}

// answered is an error that the service itself gave.
func (p *pass) answered(e *hook.Error) {
	p.out.RetryAfter = e.RetryAfter
	switch {
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden:
		p.out.Code = CodeTicket
		p.say("", p.a.words.TicketOver())
	case e.Status == http.StatusTooManyRequests, e.RetryAfter > 0 && e.RetryAfter < time.Hour:
		p.out.Code = CodeOffline
		p.say("", p.a.words.Busy())
	default:
		p.unreachable()
	}
}

// unreachable says what is here meanwhile.
func (p *pass) unreachable() {
	p.out.Code = CodeOffline
	if p.mem.Offline.IsZero() {
		p.mem.Offline = p.began
	}
	said := false
	for _, l := range p.inOrder() {
		if st := l.dir.State(); st.Version > 0 {
			p.say(l.name, p.words(l.name).Unreachable(st.Version, p.since(l.name)))
			said = true
		}
	}
	if !said {
		p.say("", p.a.words.Unreachable(0, time.Time{}))
	}
}

// since is the date of what a course has here.
func (p *pass) since(name string) time.Time {
	if m := p.mem.Courses[name]; m != nil && !m.Published.IsZero() {
		return m.Published.Local()
	}
	return p.began.Local()
}

// finish writes down what was done, places the page, and tells the service.
// None of it changes what the pass came to. A pass of a login is over before
// its page, for a notebook server takes longer to start than a page to write.
func (p *pass) finish(ctx context.Context) {
	if p.out.Code == "" || p.out.Code == CodeWaiting || p.out.Code == CodeNothing {
		p.mem.Code, p.mem.Error = "", ""
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWork)
	defer cancel()
	p.mem.Page = p.mem.Page || p.news
	if p.mem.Page && !p.o.Step {
		p.writeNews(ctx)
	}
	p.mem.Unsent = append(p.mem.Unsent, p.receipts...)
	err := p.mem.keep(p.root, false)
	p.over() // a login need not wait until the service is told, nor for what a power cut would take
	if p.mem.Page && p.o.Step {
		p.writeNews(ctx) // nor for the page: the memory has it, for whoever comes after us
	}
	if err == nil {
		p.forgetTold()
	}
	p.mem.Glance = p.glance()                        // the journals are as they stay
	if err := p.mem.keep(p.root, true); err != nil { // before the receipts: they may take a while
		p.lg.Warn("memory not written", "error", err)
	}
	if len(p.mem.Unsent) > 0 && !p.out.Offline && p.a.client != nil {
		p.tell(ctx)
	}
}

// forgetTold lets go of what the student can read by now.
func (p *pass) forgetTold() {
	for _, l := range p.inOrder() {
		if !l.told {
			continue
		}
		if err := l.dir.Told(); err != nil {
			p.lg.Warn("it will be told once more", "course", l.name, "error", err)
		}
	}
}

// tell sends what was not sent yet.
func (p *pass) tell(ctx context.Context) {
	for len(p.mem.Unsent) > 0 {
		r := p.mem.Unsent[0]
		err := p.a.client.Receipt(ctx, r)
		var e *hook.Error
		if err != nil && !(errors.As(err, &e) && e.Status >= 400 && e.Status < 500) {
			p.lg.Info("receipt not sent", "course", r.Course, "error", err)
			break
		}
		p.mem.Unsent = p.mem.Unsent[1:]
		if err == nil {
			p.mem.Sent = &r
		}
	}
	if err := p.mem.keep(p.root, true); err != nil {
		p.lg.Warn("memory not written", "error", err)
	}
}
