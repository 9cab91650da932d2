// Package agent is the student's side: it asks the service what is new,
// downloads it, verifies it, and hands it to workdir, which owns the folder.
// It owns the time that this may take, the sentences that a student reads
// (sentences.go is their catalogue), watch mode, and what is told to the
// service afterwards.
//
// It promises: nothing is handed over that a trusted key did not sign for this
// course, and never a version below the newest one seen; a login never waits
// longer than its budget and never fails; the ticket is never written down.
// It does not decide what happens to a file (workdir), nor what a student may
// have (the service).
//
// One pass, in the order of the files: pass.go leads it, ask.go asks,
// consider.go and verify.go check what was offered, fetch.go and resume.go
// bring the bytes (elsewhere.go those that S3 sends itself), settle.go has them placed (documents.go says what the
// student has open, jupyter.go asks their server), late.go looks again at what
// was replaced, report.go makes sentences of it, finish.go writes down what
// was done and tells the service. login.go is what a login waits for, watch.go
// what stays.
package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"satchel/bundle"
	"satchel/hook"
	"satchel/internal/release"
)

// Settings are all that an agent is told from outside.
type Settings struct {
	Root     string // the folder in which the courses' folders are
	URL      string // where the service answers; "" where there is none
	Ticket   Secret // the hub's hook set it; may be "" where a watch runs
	Keys     []bundle.PublicKey
	Language string        // as LANG has it
	Image    string        // name of the container's image, for the receipt
	Proxy    string        // URL of a proxy; "" for none, whatever HTTP_PROXY says
	Unused   []string      // names of variables that set a proxy for others, for doctor
	CAFile   string        // certificates to trust in the place of the system's, read again when it changes
	Runtime  string        // private folder of this container, for the watch's socket
	Jupyter  Jupyter       // the student's own servers, asked what is open
	HubAPI   string        // where the hub answers this server; see exchange.go
	Budget   time.Duration // of the foreground; 0: 8 s
	Patience time.Duration // how long a question may stay without a byte; 0: 20 s
	Away     time.Duration // the same for the store itself, where shorter; 0: 2 s
}

// Secret prints as [hidden].
type Secret string

func (Secret) String() string               { return "[hidden]" }
func (Secret) GoString() string             { return "[hidden]" }
func (Secret) MarshalText() ([]byte, error) { return nil, errors.New("a secret is not written") }
func (Secret) LogValue() slog.Value         { return slog.StringValue("[hidden]") }

// Budget is how long a login waits at most.
const Budget = 8 * time.Second

// Agent does the work for one root. Its methods may be called from one
// goroutine at a time, but for Ticket.
type Agent struct {
	lg      *slog.Logger
	s       Settings
	words   Words
	ticket  *ticketBox
	client  *hook.Client
	show    func(Event)
	now     func() time.Time
	wait    backoff
	said    map[string]bool      // by the last pass
	early   time.Duration        // when, in a long download, what has arrived is placed without waiting for the rest
	fresh   time.Duration        // see freshFor
	looked  map[string]time.Time // by course, at what was replaced there
	bureau  *hook.Client         // takes the hub's token for a ticket; nil: none does
	refused time.Time            // when it was last refused
	patrol  time.Duration        // see outlive
	calm    time.Duration        // see the constant
	// What doctor tries: see the constants.
	metadata             []string
	hubPort, startFolder string
	shut                 atomic.Int64 // until when (Unix) no signed URL is asked; see elsewhere.go
	claims               sync.Map     // by course, the hook.Have for which bytes are asked
}

// agentVersion is what the service is told of this program.
var agentVersion = release.Version

// Options are what a program may choose, not a person.
type Options struct {
	Show func(Event)      // gets every event; nil: nobody looks
	Now  func() time.Time // nil: time.Now
	HTTP *http.Client     // in the place of the client that Settings ask for
}

// New makes an agent; it does nothing yet. An error is a setting's.
func New(lg *slog.Logger, s Settings, o Options) (*Agent, error) {
	if s.Budget <= 0 {
		s.Budget = Budget
	}
	if s.Patience <= 0 {
		s.Patience = 20 * time.Second
	}
	a := &Agent{lg: lg, s: s, words: WordsFor(s.Language), show: o.Show, now: o.Now, wait: defaultBackoff, early: s.Budget / 2, fresh: freshFor, patrol: 10 * time.Second, calm: calm, looked: map[string]time.Time{},
		metadata: metadata, hubPort: hubPort, startFolder: startFolder,
	}
	if a.show == nil {
		a.show = func(Event) {}
	}
	if a.now == nil {
		a.now = time.Now
	}
	a.ticket = &ticketBox{value: string(s.Ticket)}
	if s.URL == "" {
		return a, nil
	}
	if err := CheckURL(s.URL); err != nil {
		return nil, err
	}
	a.client = hook.NewClient(hook.ClientOptions{
		URL: s.URL, Ticket: a.ticket.get, Agent: "satchel-agent/" + agentVersion,
		Proxy: s.Proxy, CAFile: s.CAFile, Idle: s.Patience, Away: s.Away, HTTP: o.HTTP, URLs: a.takesURLs, Holds: a.claim,
	})
	a.bureau = bureau(s, o.HTTP)
	return a, nil
}

// Close lets go of what the agent holds.
func (a *Agent) Close() {
	for _, c := range []*hook.Client{a.client, a.bureau} {
		if c != nil {
			c.Close()
		}
	}
}

// CheckURL refuses what cannot be the service's address.
func CheckURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return &SettingError{Name: hook.EnvURL, Reason: "not an address that begins with http:// or https://"}
	}
	return nil
}

// SettingError is a variable that is set wrongly. It never holds the value.
type SettingError struct{ Name, Reason string }

func (e *SettingError) Error() string { return fmt.Sprintf("%s: %s", e.Name, e.Reason) }

// DefaultRoot is ~/work where that exists, else ~.
func DefaultRoot(home string) string {
	if home == "" {
		return ""
	}
	if _, err := os.Lstat(home + "/work"); err == nil {
		return home + "/work"
	}
	return home
}

// backoff is how long to wait between tries: from first, doubled, to most.
type backoff struct{ first, most time.Duration }

var defaultBackoff = backoff{first: time.Second, most: 5 * time.Minute}

// after gives the wait after so many failures in a row (from 1), jittered by
// half so that many agents do not come back together.
func (b backoff) after(failures int) time.Duration {
	d := b.first << min(max(failures-1, 0), 20)
	if d > b.most || d <= 0 {
		d = b.most
	}
	return d/2 + rand.N(d/2+1)
}
