package hookserver

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Deliveries as the hosts document and sign them. They are fakes by that
// documentation: no such host can run here.
//
//	GitHub       docs.github.com, "Validating webhook deliveries"
//	GitLab       docs.gitlab.com, "Webhooks": the secret token in clear, or a signing token (standardwebhooks.com)
//	Gitea        docs.gitea.com, "Webhooks"; Forgejo: forgejo.org/docs, the same under its own name too
//	Bitbucket    support.atlassian.com, "Manage webhooks": Cloud and Data Center sign alike

const (
	webhookSecret = "a-webhook-secret-0123456789abcdef"
	signingToken  = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
)

// delivery is one request of a host.
type delivery struct {
	host, body string
	header     map[string]string
	secret     string
}

func mac(secret, text string) []byte {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(text))
	return m.Sum(nil)
}

func hexMAC(secret, text string) string { return hex.EncodeToString(mac(secret, text)) }

// deliveries are one good push of each host, at that time.
func deliveries(now time.Time) map[string]delivery {
	body := `{"ref":"refs/heads/main","repository":{"full_name":"school/scala101"}}`
	at := strconv.FormatInt(now.Unix(), 10)
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(signingToken, "whsec_"))
	return map[string]delivery{
		"GitHub": {"github", body, map[string]string{
			"X-GitHub-Event": "push", "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958", "Content-Type": "application/json",
			"X-Hub-Signature": "sha1=of-no-interest", "X-Hub-Signature-256": "sha256=" + hexMAC(webhookSecret, body)}, webhookSecret},
		"GitLab, the token in clear": {"gitlab", body, map[string]string{
			"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": webhookSecret, "X-Gitlab-Event-UUID": "13792a34-cac6-4fda-95a8-c58e00a3954e"}, webhookSecret},
		"GitLab, signed": {"gitlab", body, map[string]string{
			"X-Gitlab-Event": "Push Hook", "webhook-id": "f5e5f430", "webhook-timestamp": at,
			"webhook-signature": "v1,bm9ib2R5J3Mgc2lnbmF0dXJlIG9mIDMyIGJ5dGVzISE= v1," + base64.StdEncoding.EncodeToString(mac(string(key), "f5e5f430."+at+"."+body))}, signingToken},
		"Gitea": {"gitea", body, map[string]string{
			"X-Gitea-Event": "push", "X-Gitea-Signature": hexMAC(webhookSecret, body), "X-GitHub-Event": "push"}, webhookSecret},
		"Forgejo": {"forgejo", body, map[string]string{
			"X-Forgejo-Event": "push", "X-Forgejo-Signature": hexMAC(webhookSecret, body), "X-Gitea-Signature": hexMAC(webhookSecret, body)}, webhookSecret},
		"Forgejo, by the old name": {"forgejo", body, map[string]string{
			"X-Gitea-Event": "push", "X-Gitea-Signature": hexMAC(webhookSecret, body)}, webhookSecret},
		"Bitbucket Cloud": {"bitbucket", body, map[string]string{
			"X-Event-Key": "repo:push", "X-Hub-Signature": "sha256=" + hexMAC(webhookSecret, body)}, webhookSecret},
		"Bitbucket Data Center": {"bitbucket", body, map[string]string{
			"X-Event-Key": "repo:refs_changed", "X-Hub-Signature": "sha256=" + hexMAC(webhookSecret, body)}, webhookSecret},
	}
}

// hooked is a service whose course scala101 has one webhook.
type hooked struct {
	*world
	is Webhook

	mu    sync.Mutex
	hints []string
	came  chan struct{}
}

func newHooked(t testing.TB) *hooked {
	h := &hooked{came: make(chan struct{}, 100)}
	h.world = newWorld(t, func(o *Options) {
		o.Webhook = func(course string) (Webhook, bool) { return h.is, course == "scala101" }
		o.Hint = func(course, host string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.hints = append(h.hints, course+" "+host)
			h.came <- struct{}{}
		}
	})
	return h
}

// send posts a delivery, below the prefix as through the hub's proxy.
func (h *hooked) send(course string, d delivery) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, "/services/satchel/webhooks/"+course, strings.NewReader(d.body))
	for k, v := range d.header {
		req.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.srv.Student().ServeHTTP(w, req)
	return w
}

func TestWebhooks(t *testing.T) {
	for name, d := range deliveries(time.Date(2026, 9, 1, 9, 0, 0, 0, time.UTC)) {
		t.Run(name, func(t *testing.T) {
			h := newHooked(t)
			h.is = Webhook{Host: d.host, Secrets: []string{"the-one-that-comes-next-0123456789", d.secret}}
			if w := h.send("scala101", d); w.Code != http.StatusAccepted {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			<-h.came
			if want := "scala101 " + d.host; h.hints[0] != want {
				t.Errorf("hint %q", h.hints)
			}
			for what, change := range map[string]func(*delivery){
				"another body":    func(d *delivery) { d.body += " " },
				"no header":       func(d *delivery) { d.header = nil },
				"another secret":  func(*delivery) { h.is.Secrets = []string{"another-secret-0123456789abcdef00"} },
				"no secret":       func(*delivery) { h.is.Secrets = nil },
				"an empty secret": func(*delivery) { h.is.Secrets = []string{""} },
				"another scheme": func(*delivery) {
					h.is.Host = map[string]string{"github": "gitea"}[d.host]
					h.is.Secrets = []string{d.secret}
				},
				"no scheme at all":  func(*delivery) { h.is.Host = "" },
				"a day after":       func(*delivery) { h.srv.o.Now = func() time.Time { return h.now.Add(24 * time.Hour) } },
				"two such headers":  nil,
				"of another course": nil,
			} {
				h.is = Webhook{Host: d.host, Secrets: []string{d.secret}}
				h.srv.o.Now = h.clock
				bad := d
				if change != nil {
					change(&bad)
				}
				course := "scala101"
				switch {
				case what == "another body" && name == "GitLab, the token in clear", what == "a day after" && name != "GitLab, signed":
					continue // which that scheme cannot tell
				case what == "of another course":
					course = "other"
				}
				w := h.send(course, bad)
				if what == "two such headers" {
					req := httptest.NewRequest(http.MethodPost, "/webhooks/scala101", strings.NewReader(d.body))
					for k, v := range d.header {
						req.Header.Add(k, "x")
						req.Header.Add(k, v)
					}
					w = httptest.NewRecorder()
					h.srv.Student().ServeHTTP(w, req)
				}
				if w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), "webhook secret") {
					t.Errorf("%s: %d %s", what, w.Code, w.Body)
				}
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			if len(h.hints) != 1 {
				t.Errorf("hints %q", h.hints)
			}
		})
	}
}

// GitHub's documentation has one signature to compare with.
func TestGitHubsOwnExample(t *testing.T) {
	w := Webhook{Host: "github", Secrets: []string{"It's a Secret to Everybody"}}
	h := http.Header{"X-Hub-Signature-256": {"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}}
	if ok, err := w.verify(h, strings.NewReader("Hello, World!"), time.Now()); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
}

// A push that is sent a thousand times, by whomever, is a look at once and one
// in a while, however long the sending takes.
func TestAStormOfWebhooks(t *testing.T) {
	h := newHooked(t)
	d := deliveries(h.now)["GitHub"]
	h.is = Webhook{Host: d.host, Secrets: []string{d.secret}}
	began := time.Now()
	for range 1000 {
		if w := h.send("scala101", d); w.Code != http.StatusAccepted {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	<-h.came
	h.mu.Lock()
	defer h.mu.Unlock()
	if most := 1 + int(time.Since(began)/hintGap); len(h.hints) > most {
		t.Errorf("%d looks, where %d are many", len(h.hints), most)
	}
}

// However many come, there is one look at once and one when a while is over.
func TestHintsArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks atomic.Int64
		h := newWebhooks(func(string, string) { looks.Add(1) })
		for range 1000 {
			h.pass("scala101", "github")
		}
		synctest.Wait()
		if n := looks.Load(); n != 1 {
			t.Errorf("%d looks at once", n)
		}
		time.Sleep(10 * hintGap)
		synctest.Wait()
		if n := looks.Load(); n != 2 {
			t.Errorf("%d looks in all", n)
		}
		h.pass("scala101", "github")
		synctest.Wait()
		if n := looks.Load(); n != 3 {
			t.Errorf("%d looks: one that comes later is heard at once", n)
		}
	})
}

// Deep JSON, none at all, or a body that never ends: nothing of it is read.
func TestWebhookBodies(t *testing.T) {
	h := newHooked(t)
	h.is = Webhook{Host: "github", Secrets: []string{webhookSecret}}
	for name, body := range map[string]string{
		"deep": strings.Repeat("[", 1<<20), "empty": "", "binary": "\x00\xff", "form": "payload=%7B%7D",
	} {
		d := delivery{"github", body, map[string]string{"X-GitHub-Event": "ping", "X-Hub-Signature-256": "sha256=" + hexMAC(webhookSecret, body)}, webhookSecret}
		if w := h.send("scala101", d); w.Code != http.StatusAccepted || !strings.Contains(w.Body.String(), "false") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	req := httptest.NewRequest(http.MethodPost, "/webhooks/scala101", &endless{})
	req.ContentLength = -1
	w := httptest.NewRecorder()
	h.srv.Student().ServeHTTP(w, req)
	if w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.hints) > 0 {
		t.Errorf("a ping is a look: %q", h.hints)
	}
}

type endless struct{}

func (*endless) Read(p []byte) (int, error) { return len(p), nil }

// equalMAC says whether two texts say the same: hexadecimal digits may be
// large, and base64 has bits that mean nothing.
func equalMAC(a, b string) bool {
	return strings.EqualFold(a, b) || len(standardMACs(a)) > 0 && bytes.Equal(standardMACs(a)[len(standardMACs(a))-1], standardMACs(b)[len(standardMACs(b))-1])
}

// mutate changes, adds or removes one byte.
func mutate(r *rand.Rand, b []byte) []byte {
	out := bytes.Clone(b)
	if len(out) == 0 {
		return []byte{byte(r.UintN(256))}
	}
	switch i := r.IntN(len(out)); r.IntN(3) {
	case 0:
		out[i] ^= byte(1 + r.UintN(255))
	case 1:
		out = append(out[:i], out[i+1:]...)
	default:
		out = append(out[:i], append([]byte{byte(r.UintN(256))}, out[i:]...)...)
	}
	return out
}

func FuzzWebhook(f *testing.F) {
	now := time.Date(2026, 9, 1, 9, 0, 0, 0, time.UTC)
	for _, d := range deliveries(now) {
		f.Add(d.host, d.header["webhook-signature"]+d.header["X-Hub-Signature-256"]+d.header["X-Gitea-Signature"], d.header["webhook-timestamp"], d.body)
	}
	f.Fuzz(func(t *testing.T, host, signature, at, body string) {
		w := Webhook{Host: host, Secrets: []string{"a-secret-that-no-fuzzer-can-know-" + t.Name()}}
		h := http.Header{
			"X-Hub-Signature-256": {signature}, "X-Hub-Signature": {signature}, "X-Gitea-Signature": {signature}, "X-Forgejo-Signature": {signature},
			"X-Gitlab-Token": {signature}, "Webhook-Signature": {signature}, "Webhook-Id": {at}, "Webhook-Timestamp": {at},
		}
		if ok, err := w.verify(h, strings.NewReader(body), now); ok || err != nil {
			t.Errorf("%v, %v", ok, err)
		}
	})
}

// The listener for webhooks alone, which a proxy shows to the world, answers
// nothing else.
func TestWebhooksHaveAListenerOfTheirOwn(t *testing.T) {
	h := newHooked(t)
	d := deliveries(time.Now())["GitHub"]
	h.is = Webhook{Host: d.host, Secrets: []string{d.secret}}
	side := h.srv.webhookRoutes()
	ask := func(method, path string, header map[string]string) int {
		req := httptest.NewRequest(method, path, strings.NewReader(d.body))
		for k, v := range header {
			req.Header.Set(k, v)
		}
		w := httptest.NewRecorder()
		side.ServeHTTP(w, req)
		return w.Code
	}
	if code := ask(http.MethodPost, "/webhooks/scala101", d.header); code != http.StatusAccepted {
		t.Fatal(code)
	}
	<-h.came
	if code := ask(http.MethodPost, "/webhooks/scala101", nil); code != http.StatusUnauthorized {
		t.Errorf("unsigned: %d", code)
	}
	for _, r := range []string{"GET /v1/sync", "GET /v1/events", "POST /v1/exchange", "POST /v1/heads", "POST /v1/logins", "GET /readyz", "GET /metrics", "GET /webhooks/scala101"} {
		method, path, _ := strings.Cut(r, " ")
		if code := ask(method, path, d.header); code != http.StatusNotFound {
			t.Errorf("%s: %d", r, code)
		}
	}
}
