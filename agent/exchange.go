package agent

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"satchel/hook"
)

// showAgain is how long after it was refused the hub's token is shown again.
const showAgain = time.Minute

// bureau is the client that shows the token which the hub gave this server: a
// container that was resumed has the ticket of an older login, but this token
// is right as long as its server runs. Who has it can use that server, so it
// goes by https, or no further than it travels in plain anyway to the hub: on
// this machine, or within a private network; never through a proxy. nil where
// it may not go.
func bureau(s Settings, web *http.Client) *hook.Client {
	u, err := url.Parse(s.URL)
	if err != nil || s.Jupyter.HubToken == "" {
		return nil
	}
	reach := hook.Anywhere
	if u.Scheme == "http" {
		hub, err := url.Parse(s.HubAPI)
		if err != nil || hub.Scheme != "http" {
			return nil
		}
		reach = hook.Near
		if a, err := netip.ParseAddr(hub.Hostname()); hub.Hostname() == "localhost" || err == nil && a.IsLoopback() {
			reach = hook.Here
		}
	}
	return hook.NewClient(hook.ClientOptions{
		URL: s.URL, Ticket: func() string { return string(s.Jupyter.HubToken) }, Agent: "satchel-agent/" + agentVersion,
		CAFile: s.CAFile, Idle: s.Patience, Reach: reach, HTTP: web,
	})
}

// exchange gets a ticket for the hub's token. One that was refused is not shown
// again for a minute, for each is a question to the hub; where nobody answered
// it is worth another try, as any question is. Errors are those of borrow.
func (a *Agent) exchange(ctx context.Context) error {
	if a.bureau == nil || time.Since(a.refused) < showAgain {
		return errNoTicket
	}
	ctx, cancel := context.WithTimeout(ctx, a.s.Budget)
	defer cancel()
	adm, err := a.bureau.Exchange(ctx)
	var e *hook.Error
	switch {
	case err == nil && a.ticket.take(adm.Ticket):
		a.lg.Info("a fresh ticket for the hub's token")
		return nil
	case err == nil || errors.As(err, &e) && e.Status < http.StatusInternalServerError:
		a.lg.Info("the hub's token brought no ticket", "error", err)
		a.refused = time.Now()
		return errNoTicket
	}
	return err
}
