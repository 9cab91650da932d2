package hookserver

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/time/rate"
)

// A webhook is a git host's word that there may be something new. Who sent it
// is checked by the host's own signature over the bytes as they came, by the
// scheme that is configured (never by one that the sender chooses); then the
// repository is looked at, as at each poll. Nothing that stands in it is read,
// so one that is replayed costs a look, and many cost one every few seconds.

// Webhook is a course's, as it is configured.
type Webhook struct {
	Host    string   // github, gitlab, gitea, forgejo, bitbucket
	Secrets []string // any of them signs; two while one replaces the other
}

// Limits of webhooks.
const (
	maxWebhook      = 25 << 20        // bytes, as GitHub's largest; they are hashed as they come, and not kept
	maxWebhooks     = 16              // read at once
	hintGap         = 5 * time.Second // between looks at one course because of webhooks
	maxSignatures   = 8               // in one header
	webhookLeeway   = 5 * time.Minute // of a signed timestamp
	webhookBodyTime = 20 * time.Second
)

// webhooks is what the route holds.
type webhooks struct {
	places chan struct{}
	wrong  *rate.Limiter
	hint   func(course, host string)
	nobody string // a secret that nobody has

	mu    sync.Mutex
	paced map[string]*paced // by course
}

// paced are one course's hints: one at once, then one in a while.
type paced struct {
	last    time.Time
	pending bool
}

func newWebhooks(hint func(course, host string)) *webhooks {
	if hint == nil {
		hint = func(string, string) {}
	}
	return &webhooks{places: make(chan struct{}, maxWebhooks), wrong: rate.NewLimiter(5, 50), hint: hint, nobody: rand.Text(), paced: map[string]*paced{}}
}

// postWebhook answers POST /webhooks/{course}. A course that is not there, one
// without a webhook and a wrong signature give the same answer.
func (s *Server) postWebhook(c *gin.Context) error {
	select {
	case s.webhooks.places <- struct{}{}:
		defer func() { <-s.webhooks.places }()
	default:
		return busy{"too many webhooks at once; the repository is looked at all the same", time.Minute}
	}
	course := c.Param("course")
	w, ok := Webhook{}, false
	if s.o.Webhook != nil {
		w, ok = s.o.Webhook(course)
	}
	if !ok {
		w = Webhook{Host: "github", Secrets: []string{s.webhooks.nobody}} // takes as long
	}
	_ = http.NewResponseController(c.Writer).SetReadDeadline(time.Now().Add(webhookBodyTime))
	valid, err := w.verify(c.Request.Header, http.MaxBytesReader(c.Writer, c.Request.Body, maxWebhook), s.o.Now())
	switch {
	case err != nil:
		return tooLarge{maxWebhook}
	case !ok || !valid:
		if s.webhooks.wrong.Allow() {
			s.lg.Warn("a webhook was not let in: its signature is not by the secret of that course's configuration", "course", quoted(course))
		}
		return errWebhook
	}
	c.Set(known, true)
	look := w.isPush(c.Request.Header)
	if look {
		s.webhooks.pass(course, w.Host)
	}
	s.lg.Debug("webhook", "course", course, "host", w.Host, "push", look)
	c.JSON(http.StatusAccepted, gin.H{"look": look})
	return nil
}

// pass hands a hint on: at once where the last was a while ago, else when that
// while is over, however many come.
func (h *webhooks) pass(course, host string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.paced[course]
	if p == nil {
		p = &paced{}
		h.paced[course] = p // of a configured course, so there are few
	}
	wait := hintGap - time.Since(p.last)
	switch {
	case p.pending:
	case wait <= 0:
		p.last = time.Now()
		go h.hint(course, host)
	default:
		p.pending = true
		time.AfterFunc(wait, func() {
			h.mu.Lock()
			p.pending, p.last = false, time.Now()
			h.mu.Unlock()
			h.hint(course, host)
		})
	}
}

// claim is by what a request says that it is the host's.
type claim struct {
	token  string   // the secret itself, in clear
	before string   // is signed before the body
	macs   [][]byte // of HMAC-SHA256
}

// claimOf reads the headers that a host documents, and no others.
func (w Webhook) claimOf(h http.Header, now time.Time) (c claim) {
	switch w.Host {
	case "github":
		c.macs = hexMACs(h["X-Hub-Signature-256"], "sha256=")
	case "gitlab":
		c.token = one(h["X-Gitlab-Token"])
		if at, err := strconv.ParseInt(one(h["Webhook-Timestamp"]), 10, 64); err == nil && now.Sub(time.Unix(at, 0)).Abs() <= webhookLeeway {
			c.before = one(h["Webhook-Id"]) + "." + one(h["Webhook-Timestamp"]) + "."
			c.macs = standardMACs(one(h["Webhook-Signature"]))
		}
	case "gitea":
		c.macs = hexMACs(h["X-Gitea-Signature"], "")
	case "forgejo":
		c.macs = append(hexMACs(h["X-Forgejo-Signature"], ""), hexMACs(h["X-Gitea-Signature"], "")...)
	case "bitbucket":
		c.macs = hexMACs(h["X-Hub-Signature"], "sha256=")
	}
	return c
}

// one is a header's only value, "" where it has none or several.
func one(values []string) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}

func hexMACs(values []string, prefix string) [][]byte {
	text, ok := strings.CutPrefix(one(values), prefix)
	mac, err := hex.DecodeString(text)
	if !ok || err != nil || len(mac) != sha256.Size {
		return nil
	}
	return [][]byte{mac}
}

// standardMACs reads "v1,BASE64 v1,BASE64" (standardwebhooks.com).
func standardMACs(text string) (macs [][]byte) {
	for _, word := range strings.SplitN(text, " ", maxSignatures+1) {
		value, ok := strings.CutPrefix(word, "v1,")
		mac, err := base64.StdEncoding.DecodeString(value)
		if ok && err == nil && len(mac) == sha256.Size && len(macs) < maxSignatures {
			macs = append(macs, mac)
		}
	}
	return macs
}

// verify reads the body once, to its end, and says whether one of the secrets
// signed it. An error is of the body: too large, or cut off.
func (w Webhook) verify(h http.Header, body io.Reader, now time.Time) (bool, error) {
	c := w.claimOf(h, now)
	type signer struct {
		secret string
		mac    hash.Hash
	}
	var all []signer
	to := []io.Writer{io.Discard}
	for _, secret := range w.Secrets {
		if secret == "" {
			continue
		}
		m := hmac.New(sha256.New, w.key(secret))
		_, _ = io.WriteString(m, c.before)
		all, to = append(all, signer{secret, m}), append(to, m)
	}
	if _, err := io.Copy(io.MultiWriter(to...), body); err != nil {
		return false, err
	}
	ok := false
	for _, s := range all {
		sum := s.mac.Sum(nil)
		for _, mac := range c.macs {
			ok = hmac.Equal(sum, mac) || ok
		}
		ok = c.token != "" && sameSecret(c.token, [][]byte{[]byte(s.secret)}) || ok
	}
	return ok, nil
}

// key is what signs: of the form whsec_BASE64 the bytes (standardwebhooks.com).
func (w Webhook) key(secret string) []byte {
	if text, ok := strings.CutPrefix(secret, "whsec_"); ok && w.Host == "gitlab" {
		if key, err := base64.StdEncoding.DecodeString(text); err == nil {
			return key
		}
	}
	return []byte(secret)
}

// isPush says whether something may be new: other events are answered, and
// mean nothing. No signature covers this; it decides about a look, no more.
func (w Webhook) isPush(h http.Header) bool {
	switch w.Host {
	case "github":
		return one(h["X-Github-Event"]) == "push"
	case "gitlab":
		return strings.HasSuffix(one(h["X-Gitlab-Event"]), "Push Hook") || one(h["X-Gitlab-Event"]) == "System Hook"
	case "gitea", "forgejo":
		return one(h["X-Gitea-Event"]) == "push" || one(h["X-Forgejo-Event"]) == "push"
	case "bitbucket":
		return one(h["X-Event-Key"]) == "repo:push" || one(h["X-Event-Key"]) == "repo:refs_changed"
	}
	return false
}
