package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

// metadata are the addresses at which clouds hand out what a machine may do.
var metadata = []string{"169.254.169.254:80", "[fd00:ec2::254]:80"}

// hubPort is where the service listens for the hub, unless it is told another.
const hubPort = "8485"

// knock is how long a wall may take to say no.
const knock = 2 * time.Second

// checkWalls tries what a student's server must not reach. It is not in the
// student's way; it is for whoever runs the site.
func (a *Agent) checkWalls(ctx context.Context) []Check {
	return []Check{a.checkMetadata(ctx), a.checkHubPort(ctx)}
}

// checkMetadata knocks at the cloud's addresses, all at once.
func (a *Agent) checkMetadata(ctx context.Context) Check {
	found := make([]string, len(a.metadata))
	var wg sync.WaitGroup
	for i, at := range a.metadata {
		wg.Go(func() { found[i] = reaches(ctx, at, "/latest/meta-data/") })
	}
	wg.Wait()
	var open []string
	for i, at := range a.metadata {
		if found[i] != "" {
			host, _, _ := net.SplitHostPort(at)
			open = append(open, host+" ("+found[i]+")")
		}
	}
	if len(open) == 0 {
		return Check{Name: "metadata", OK: true, Note: "the cloud's metadata address cannot be reached from here"}
	}
	return Check{
		Name: "metadata", Note: "the cloud's metadata address can be reached: " + strings.Join(open, ", ") + "; whoever works in this server may be given the machine's own rights",
		Do: "the administrator closes it for students' servers: iptables -I DOCKER-USER -d 169.254.0.0/16 -j REJECT, and on AWS a hop limit of 1 (docs/compose.md)",
	}
}

// reaches says how far a knock came; "" where nobody opened.
func reaches(ctx context.Context, at, path string) string {
	ctx, cancel := context.WithTimeout(ctx, knock)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", at)
	if err != nil {
		return ""
	}
	conn.Close()
	status, _, err := ask(ctx, at, path)
	if err != nil {
		return "a connection opens, and nothing answers"
	}
	return fmt.Sprintf("it answers with status %d", status)
}

// ask puts one plain question, by no proxy.
func ask(ctx context.Context, at, path string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+path, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := (&http.Transport{DisableKeepAlives: true, Proxy: nil}).RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode, string(data), err
}

// checkHubPort looks for the hub's side of the service at the host that this
// server knows.
func (a *Agent) checkHubPort(ctx context.Context) Check {
	c := Check{Name: "hub's port", OK: true}
	u, err := url.Parse(a.s.URL)
	if err != nil || u.Hostname() == "" {
		c.Note = "cannot tell: there is no address of the service"
		return c
	}
	addr, err := netip.ParseAddr(u.Hostname())
	here := u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
	return hubPortAt(ctx, net.JoinHostPort(u.Hostname(), a.hubPort), here)
}

// hubPortAt asks one address; here says that it is this machine's own.
func hubPortAt(ctx context.Context, at string, here bool) Check {
	c := Check{Name: "hub's port", OK: true}
	ctx, cancel := context.WithTimeout(ctx, knock)
	defer cancel()
	_, body, err := ask(ctx, at, "/readyz")
	if err != nil || !strings.HasPrefix(strings.TrimSpace(body), `{"courses":`) {
		c.Note = "the hub's side of the service does not answer at " + at
		if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
			c.Note += " (something else does)"
		}
		return c
	}
	if here {
		c.Note = "the service runs on this very machine, so its port for the hub can be reached (" + at + "): the hook secret alone keeps students out"
		return c
	}
	c.OK, c.Note = false, "the service's port for the hub can be reached at "+at+"; only the hub should"
	c.Do = "the administrator binds listen.hub to an address that students' servers do not reach (docs/configuration.md)"
	return c
}
