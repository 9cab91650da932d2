package hookserver

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"satchel/bundle"
	"satchel/hook"
)

// mutations is how many tickets, and how many webhooks, are tried.
const mutations = 100_000

// ticketed are the requests that need a ticket, one of each route: at the root,
// and below the prefix.
func ticketed(t *testing.T, w *world) (all [2][]*http.Request) {
	t.Helper()
	free := []string{"/v1/exchange", "/webhooks/:course"}
	for _, r := range w.srv.student.(*gin.Engine).Routes() {
		if slices.ContainsFunc(free, func(p string) bool { return strings.HasSuffix(r.Path, p) }) {
			continue
		}
		path := strings.NewReplacer(":course", "scala101", ":digest", bundle.Sum(nil).String()).Replace(r.Path)
		req := httptest.NewRequest(r.Method, path, http.NoBody)
		req.Header.Set("Range", "bytes=0-9")
		i := 0
		if strings.HasPrefix(path, "/services/") {
			i = 1
		}
		all[i] = append(all[i], req)
	}
	if n := len(all[0]); n < 9 || n != len(all[1]) {
		t.Fatalf("%d routes, and %d", n, len(all[1]))
	}
	return all
}

// forger makes tickets that no service made.
type forger struct {
	*rand.Rand
	good    []string
	strange hook.TicketKeys // of another service
}

func newForger(t *testing.T, w *world) *forger {
	t.Helper()
	f := &forger{Rand: rand.New(rand.NewPCG(1, 2))}
	for _, user := range []string{"ana", "bob"} {
		f.good = append(f.good, w.student(user, "g").ticket)
	}
	k, err := hook.ParseTicketKey([]byte("a-key-of-another-service-0123456789"))
	if err != nil {
		t.Fatal(err)
	}
	f.strange = hook.TicketKeys{k}
	return f
}

// ticket changes some bytes of a good one, or its parts.
func (f *forger) ticket(now time.Time) string {
	text := f.good[f.IntN(2)]
	p := strings.Split(text, ".")
	switch f.IntN(8) {
	case 0: // one's payload with another's mac
		p[2], p[3] = strings.Split(f.good[0], ".")[2], strings.Split(f.good[1], ".")[3]
	case 1: // made by another service, said to be by this one
		text, _ = f.strange.Mint(hook.Ticket{Audience: "satchel", User: "ana", Issued: now.Unix(), Expires: now.Unix() + 1 + f.Int64N(9999), ID: "x", Login: now.Unix()})
		p = append([]string{"st1", p[1]}, strings.Split(text, ".")[2:]...)
	case 2: // parts that come twice, elsewhere or not at all
		i := f.IntN(4)
		p = slices.Insert(slices.Delete(p, i, i+1), f.IntN(4), p[f.IntN(3)])
	case 3:
		return text[:f.IntN(len(text))]
	default:
		for range 1 + f.IntN(3) {
			text = string(mutate(f.Rand, []byte(text)))
		}
		return text
	}
	return strings.Join(p, ".")
}

// TestMutatedTickets: of 100,000 tickets that somebody changed or made, each
// shown on each route, none is let in.
func TestMutatedTickets(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala101", all)
	w.publish("scala101", everyone(map[string]string{"a": "1"}))
	routes, f := ticketed(t, w), newForger(t, w)
	for n := 0; n < mutations; {
		text := f.ticket(w.now)
		if slices.Contains(f.good, text) {
			continue
		}
		n++
		for _, r := range routes[n%2] {
			r.Header["Authorization"] = []string{"Bearer " + text}
			out := &quiet{head: http.Header{}}
			if w.srv.Student().ServeHTTP(out, r); out.code != http.StatusUnauthorized {
				t.Fatalf("%s %s: %d for %q", r.Method, r.URL.Path, out.code, text)
			}
		}
	}
	if n := len(w.srv.guests.at); n > 0 {
		t.Errorf("%d guests", n)
	}
	t.Logf("%d tickets on %d routes", mutations, len(routes[0]))
	for _, r := range slices.Concat(routes[0], routes[1]) { // and with a good one each route is there
		r.Header["Authorization"] = []string{"Bearer " + f.good[0]}
		if out := (&quiet{head: http.Header{}}); strings.HasSuffix(r.URL.Path, "/sync") {
			if w.srv.Student().ServeHTTP(out, r); out.code != http.StatusOK {
				t.Errorf("%s %s: %d with a good ticket", r.Method, r.URL.Path, out.code)
			}
		}
	}
}

// quiet takes an answer and keeps its status.
type quiet struct {
	head http.Header
	code int
}

func (q *quiet) Header() http.Header         { return q.head }
func (q *quiet) WriteHeader(code int)        { q.code = code }
func (q *quiet) Write(p []byte) (int, error) { return io.Discard.Write(p) }

// TestMutatedWebhooks: of 100,000 deliveries that somebody changed, of each
// host's scheme as many, none is let in by the route.
func TestMutatedWebhooks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	h := newHooked(t)
	hosts := deliveries(h.now)
	each := (mutations + len(hosts) - 1) / len(hosts)
	for name, d := range hosts {
		h.is = Webhook{Host: d.host, Secrets: []string{d.secret}}
		for n := 0; n < each; {
			bad, same := d.changed(r, name)
			if same {
				continue
			}
			n++
			if w := h.send("scala101", bad); w.Code != http.StatusUnauthorized {
				t.Fatalf("%s: let in: %d, %q, %q", name, w.Code, bad.header, bad.body)
			}
		}
	}
	if len(h.hints) > 0 {
		t.Errorf("hints %q", h.hints)
	}
	t.Logf("%d webhooks of each of %d schemes", each, len(hosts))
}

// changed is d with another body or signature; same where it means the same.
func (d delivery) changed(r *rand.Rand, name string) (bad delivery, same bool) {
	signed := map[string]string{"github": "X-Hub-Signature-256", "gitea": "X-Gitea-Signature", "bitbucket": "X-Hub-Signature", "gitlab": "X-Gitlab-Token"}[d.host]
	if name == "GitLab, signed" {
		signed = "webhook-signature"
	}
	bad = delivery{d.host, d.body, map[string]string{}, d.secret}
	for k, v := range d.header {
		bad.header[k] = v
	}
	clear := name == "GitLab, the token in clear" // which covers no body
	if signed == "" || r.IntN(2) == 0 && !clear {
		bad.body = string(mutate(r, []byte(d.body)))
		return bad, bad.body == d.body
	}
	bad.header[signed] = string(mutate(r, []byte(d.header[signed])))
	return bad, equalMAC(bad.header[signed], d.header[signed])
}
