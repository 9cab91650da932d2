package agent

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"satchel/bundle"
	"satchel/hook"
	"satchel/internal/roots"
	"satchel/workdir"
)

// Check is one thing that doctor tried. Do says what to do where it is not
// well, in plain English: it is for whoever helps the student.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Stop bool   `json:"stop,omitempty"` // nothing works before this does
	Note string `json:"note"`
	Do   string `json:"do,omitempty"`
}

// Doctor tries what a sync needs, each for itself, and what a student's server
// must not reach. It changes nothing but for three files that it makes in
// .satchel and removes.
func (a *Agent) Doctor(ctx context.Context) []Check {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var out []Check
	out = append(out, a.checkKeys(), a.checkProxy(), a.checkWatch(ctx), a.checkJupyter(ctx))
	out = append(out, a.checkService(ctx)...)
	out = append(out, a.checkRoot(ctx)...)
	out = append(out, a.checkStart())
	return append(out, a.checkWalls(ctx)...)
}

// WriteChecks shows them, and gives the exit code.
func WriteChecks(out io.Writer, checks []Check, asJSON bool) int {
	code := 0
	for _, c := range checks {
		switch {
		case c.Stop:
			code = 1
		case !c.OK && code == 0:
			code = 3
		}
		if asJSON {
			continue
		}
		word := "ok  "
		if !c.OK {
			word = "NOT "
		}
		fmt.Fprintf(out, "%s %-12s %s\n", word, c.Name, Plain(c.Note))
		if c.Do != "" && !c.OK {
			fmt.Fprintf(out, "     %-12s %s\n", "", Plain(c.Do))
		}
	}
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		_ = enc.Encode(checks) // a closed pipe is nobody's loss
	}
	return code
}

func (a *Agent) checkKeys() Check {
	c := Check{Name: "keys", OK: len(a.s.Keys) > 0, Stop: len(a.s.Keys) == 0}
	if !c.OK {
		c.Note, c.Do = "no key is trusted here", "the hub's hook sets "+hook.EnvKeys+": start a new server; if that does not help, tell the administrator"
		return c
	}
	for i, k := range a.s.Keys {
		if i > 0 {
			c.Note += ", "
		}
		c.Note += k.ID()
	}
	return c
}

func (a *Agent) trusts(id string) bool {
	return slices.ContainsFunc(a.s.Keys, func(k bundle.PublicKey) bool { return k.ID() == id })
}

// checkProxy says by which way the service is asked.
func (a *Agent) checkProxy() Check {
	c := Check{Name: "proxy", OK: true, Note: "none: the service is asked straight"}
	if len(a.s.Unused) > 0 {
		c.Note += "; " + strings.Join(a.s.Unused, ", ") + " of the environment is not used (SATCHEL_PROXY would be)"
	}
	if a.s.Proxy == "" {
		return c
	}
	u, err := url.Parse(a.s.Proxy)
	if err != nil || u.Host == "" {
		return Check{Name: c.Name, Stop: true, Note: "SATCHEL_PROXY is no address of a proxy", Do: "write it as in http://proxy.school.org:3128"}
	}
	c.Note = "the service is asked through " + u.Host + " (SATCHEL_PROXY)"
	return c
}

// startFolder is where docker-stacks looks for what runs at a start.
const startFolder = "/usr/local/bin/before-notebook.d"

// checkStart looks for the hook that a server's start runs.
func (a *Agent) checkStart() Check {
	c := Check{Name: "start", OK: true}
	if info, err := os.Stat(a.startFolder); err != nil || !info.IsDir() {
		c.Note = "this image has no " + a.startFolder + ": its server is begun by satchel-agent run -- COMMAND, or nothing arrives at a start"
		return c
	}
	name := a.startFolder + "/50-satchel"
	info, err := os.Stat(name)
	switch {
	case err != nil:
		c.OK, c.Note = false, "no start hook: "+err.Error()
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		c.OK, c.Note = false, name+" is not a program that can be run"
	default:
		c.Note = name + " is in place"
	}
	if !c.OK {
		c.Do = "the administrator puts it into the image: ln -s ../satchel-agent " + name + " (docs/jupyterhub.md)"
	}
	return c
}

func (a *Agent) checkWatch(ctx context.Context) Check {
	c := Check{Name: "watch", OK: true}
	r, err := askWatch(ctx, a.s, askHow)
	switch {
	case err != nil:
		c.Note = "none runs here (one begins a few seconds after a login): new material arrives at the next login, or by: satchel-agent sync"
	case r.Stream:
		c.Note = fmt.Sprintf("runs as process %d since %s; the server can reach it at once", r.PID, r.Since.Local().Format("15:04"))
	default:
		c.Note = fmt.Sprintf("runs as process %d since %s; asks each minute", r.PID, r.Since.Local().Format("15:04"))
	}
	return c
}

// checkJupyter says whether the student's own server tells what is open. Not
// to know it is no trouble.
func (a *Agent) checkJupyter(ctx context.Context) Check {
	c := Check{Name: "documents", OK: true}
	d := a.s.Jupyter.documents(ctx, a.lg)
	switch {
	case d.silent:
		c.Note = "a Jupyter server runs here and does not answer; while that lasts, updates wait for the next start"
	case d.servers > 0:
		c.Note = fmt.Sprintf("the Jupyter server says what is open (%d now)", len(d.open))
	default:
		c.Note = "no Jupyter server here says what is open: a document counts as open when it has a checkpoint"
	}
	return c
}

// checkService asks once, and reads of the answer what it says of address,
// ticket, enrolment and clock.
func (a *Agent) checkService(ctx context.Context) []Check {
	c := Check{Name: "service", Note: a.s.URL}
	if a.client == nil {
		c.Stop, c.Do = true, hook.EnvURL+" is not set: the hub's hook sets it"
		return []Check{c}
	}
	_ = a.borrow(ctx) // checkTicket says it
	began := time.Now()
	ans, err := a.insist(ctx, func() (*hook.Answer, error) { return a.client.Sync(ctx, nil, a.keyIDs(), "") })
	took := time.Since(began).Round(time.Millisecond)
	var e *hook.Error
	switch {
	case err == nil:
		defer ans.Close()
		c.OK, c.Note = true, fmt.Sprintf("%s answered in %s", a.s.URL, took)
		out := append([]Check{c, a.checkTicket(nil, ans.Date), a.checkClock(ans.Date)}, a.checkStore(ctx, ans.Offer)...)
		return append(out, a.checkCourses(ans.Offer, later(a.now(), ans.Date))...)
	case errors.As(err, &e):
		c.OK, c.Note = e.Status >= 400 && e.Status < 500, fmt.Sprintf("%s answered %d in %s: %s", a.s.URL, e.Status, took, err)
		c.Stop, c.Do = !c.OK, "tell the administrator; the service's own log says more"
		return []Check{c, a.checkTicket(e, time.Time{})}
	}
	c.Stop, c.Note, c.Do = true, fmt.Sprintf("%s: %s (after %s)", a.s.URL, err, took), whatTo(err)
	return []Check{c}
}

// checkStore opens one of the signed URLs of an offer, where it has any.
func (a *Agent) checkStore(ctx context.Context, o *hook.Offer) []Check {
	i := slices.IndexFunc(o.Courses, func(co hook.CourseOffer) bool { return len(co.URLs) > 0 })
	if i < 0 {
		return nil
	}
	c := Check{Name: "store", Do: "the service sends the same bytes itself; the administrator sees in docs/configuration.md what delivery: redirect needs"}
	began := time.Now()
	r, err := a.client.Signed(ctx, o.Courses[i].URLs[0])
	took := time.Since(began).Round(time.Millisecond)
	if err != nil {
		c.Note = fmt.Sprintf("S3 does not send to this server: %s (after %s)", err, took)
		return []Check{c}
	}
	r.Close()
	c.OK, c.Note = true, fmt.Sprintf("S3 sends to this server; it answered in %s", took)
	return []Check{c}
}

// whatTo says what to do about an error of the network.
func whatTo(err error) string {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return "the name is not known here: is the address right, and the server in the same network?"
	case errors.Is(err, unix.ECONNREFUSED):
		return "nothing listens there: does the service run, and on this port?"
	case errors.Is(err, hook.ErrSilent), errors.Is(err, context.DeadlineExceeded):
		return "it does not answer: a firewall between, or a proxy that is needed (SATCHEL_PROXY)?"
	}
	var cert *tls.CertificateVerificationError
	switch {
	case roots.Missing(err):
		return "this image trusts no authority at all: the administrator installs ca-certificates in it, or puts the authority's certificate into a file and names that in SATCHEL_CA_FILE"
	case errors.As(err, &cert):
		return "nothing was sent there; where its authority is your institution's own, the administrator names that one's certificate in SATCHEL_CA_FILE"
	}
	return "look at the address; for a certificate of one's own set SATCHEL_CA_FILE"
}

func (a *Agent) checkTicket(e *hook.Error, server time.Time) Check {
	c := Check{Name: "ticket", OK: true, Note: "taken by the service"}
	switch {
	case a.ticket.get() == "":
		c.OK, c.Stop, c.Note = false, true, "there is none"
		c.Do = "stop this server at the hub and start it again; a terminal may have none when no watch runs"
	case e != nil && (e.Status == 401 || e.Status == 403):
		c.OK, c.Stop, c.Note = false, true, e.Problem.Sentence
		c.Do = "stop this server at the hub and start it again"
	case e != nil:
		c.OK, c.Note = false, "cannot tell"
	default:
		if _, until, ok := life(a.ticket.get()); ok && !server.IsZero() {
			c.Note += fmt.Sprintf(", until %s (in %s)", until.Local().Format("2 Jan 15:04"), until.Sub(server).Round(time.Minute))
		}
	}
	return c
}

// maxSkew is how far this clock may be off before it is said.
const maxSkew = 2 * time.Minute

func (a *Agent) checkClock(server time.Time) Check {
	c := Check{Name: "clock", OK: true, Note: "cannot tell: the service sent no time"}
	if server.IsZero() {
		return c
	}
	skew := a.now().Sub(server).Round(time.Second)
	c.OK, c.Note = skew.Abs() <= maxSkew, fmt.Sprintf("%s off the service's", skew)
	switch {
	case skew.Abs() > skewed:
		c.Note = "the clocks differ by more than a day: " + c.Note
		c.Do = "one of them is wrong, or somebody repeats old answers; how old the material is cannot be told. Tell the administrator"
	case !c.OK:
		c.Do = "dates in sentences may be wrong; nothing else depends on it. Tell the administrator"
	}
	return c
}

func (a *Agent) checkCourses(o *hook.Offer, now time.Time) []Check {
	if o == nil {
		return nil
	}
	if len(o.Courses) == 0 {
		return []Check{{Name: "course", Note: a.words.NoCourse(o.Groups), Do: "the instructor puts you on the course's list or into its group"}}
	}
	if len(o.Courses) > maxCourses {
		return []Check{{Name: "course", Stop: true, Note: fmt.Sprintf("%s: %d", errMany, len(o.Courses)), Do: "this is not how the service answers: tell the administrator"}}
	}
	var out []Check
	for _, co := range o.Courses {
		out = append(out, a.checkCourse(co, now))
	}
	return out
}

func (a *Agent) checkCourse(co hook.CourseOffer, now time.Time) Check {
	c := Check{Name: "course", Note: co.Course, OK: true}
	if co.Head == nil {
		if co.State == hook.StateAway {
			c.OK, c.Note, c.Do = false, co.Course+": the service cannot read it now", "it is tried again by itself; if it lasts, the service's own log says more"
		}
		return c
	}
	head, err := signed(co, a.s.Keys)
	if err != nil {
		c.OK, c.Stop, c.Note = false, true, co.Course+": "+err.Error()
		c.Do = "start a new server; if that does not help, tell your teacher"
		return c
	}
	c.Note = fmt.Sprintf("%s version %d of %s", co.Course, head.Version, head.Published.Local().Format("2 Jan 15:04"))
	if newest := co.Head.Signatures[0].KeyID; !a.trusts(newest) {
		c.OK, c.Note = false, c.Note+", signed by the key "+newest+" too, which is not trusted here"
		c.Do = "start a new server: this one knows only the key from before, which is let go some day"
	}
	if now.Sub(head.Checked) > staleAfter {
		c.OK, c.Note = false, c.Note+", not confirmed since "+head.Checked.Local().Format("2 Jan 2006")
		c.Do = "the publishing half of the service signs anew each day: tell the administrator"
	}
	return c
}

func (a *Agent) checkRoot(ctx context.Context) []Check {
	c := Check{Name: "folder", Note: a.s.Root}
	home, err := workdir.Open(ctx, a.lg, a.s.Root, a.now())
	switch {
	case errors.Is(err, workdir.ErrLocked):
		c.OK, c.Note = true, a.s.Root+": another update is running just now; the rest was not tried"
		return []Check{c}
	case err != nil:
		c.Stop, c.Note, c.Do = true, err.Error(), "make it a folder that this user can write, or set SATCHEL_ROOT"
		return []Check{c}
	}
	defer home.Close()
	c.OK, c.Note = true, a.s.Root+" can be written"
	return []Check{c, checkSpace(a.s.Root), checkExchange(a.s.Root), checkLocks(a.s.Root)}
}
