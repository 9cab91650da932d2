//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"satchel/bundle"
	"satchel/hook"
	"satchel/internal/s3server"
	"satchel/store"
)

// redirecting is a site with delivery: redirect. Students reach its S3 server
// through a proxy that records; front is where they reach the service.
type redirecting struct {
	*site
	s3 *proxy
	st *store.S3
	c  store.S3Config
}

// more is the rest of such a service's configuration.
const redirect = "delivery: redirect"

func newRedirecting(t *testing.T, front func(s3 string) string) *redirecting {
	t.Helper()
	s := &redirecting{site: newSite(t)}
	endpoint, access, secret := s3server.Start(t)
	s.c = s3server.Bucket(t, endpoint, access, secret)
	s.s3 = startProxy(t, strings.TrimPrefix(endpoint, "http://"))
	s.c.StudentsEndpoint = "http://" + s.s3.addr
	if front != nil {
		s.c.StudentsEndpoint = front(s.s3.addr)
	}
	var err error
	s.st, err = store.NewS3(t.Context(), s.c)
	must(t, err)
	s.store = fmt.Sprintf("{s3: {bucket: %s, endpoint: %q, region: us-east-1, students_endpoint: %q}}", s.c.Bucket, endpoint, s.c.StudentsEndpoint)
	s.env = []string{"AWS_ACCESS_KEY_ID=" + access, "AWS_SECRET_ACCESS_KEY=" + secret, "AWS_EC2_METADATA_DISABLED=true"}
	for i, name := range []string{"data/one.bin", "data/two.bin", "data/three.bin"} {
		s.repo.set(name, random(i, 3<<20))
	}
	s.repo.push("large")
	return s
}

func random(seed, n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), 7}).Read(b)
	return string(b)
}

// offer is what a student is offered who has nothing, and how many bytes came with it.
func (s *redirecting) offer(adm hook.Admission, urls bool) (c hook.CourseOffer, inside int) {
	s.t.Helper()
	client := hook.NewClient(hook.ClientOptions{URL: adm.URL, Ticket: func() string { return adm.Ticket }, URLs: func() bool { return urls }})
	defer client.Close()
	a, err := client.Sync(s.t.Context(), nil, nil, "")
	must(s.t, err)
	defer a.Close()
	for {
		_, _, r, err := a.Next()
		if err == io.EOF {
			return a.Offer.Courses[0], inside
		}
		must(s.t, err)
		n, err := io.Copy(io.Discard, r)
		must(s.t, err)
		inside += int(n)
	}
}

// index reads a stored bundle's.
func (s *redirecting) index(d bundle.Digest) *bundle.Index {
	s.t.Helper()
	r, _, err := s.st.Get(s.t.Context(), store.BundleKey("scala101", d))
	must(s.t, err)
	defer r.Close()
	x, err := bundle.ReadIndex(r)
	must(s.t, err)
	return x
}

var signatures = regexp.MustCompile(`X-Amz-Signature=([0-9a-f]{64})`)

// TestE2ERedirect: S3 itself sends a first login and an update; it hears
// nothing of ours, and its URLs are written down nowhere.
func TestE2ERedirect(t *testing.T) {
	s := newRedirecting(t, nil)
	v := s.configure("one", redirect).run("serve")
	v.ready(1)
	p := startProxy(t, v.students)
	ana := s.student("ana")
	login := func() hook.Admission {
		adm := v.login("ana")
		adm.URL = strings.Replace(adm.URL, v.students, p.addr, 1)
		return adm
	}
	adm := login()
	said := ana.sync(adm)
	equalFolder(t, s.site, ana)
	direct, byService := len(s.s3.bytes()), len(p.bytes())
	t.Logf("first login: %d bytes by S3, %d by the service", direct, byService)
	if direct < 9<<20 || byService > 200_000 {
		t.Errorf("first login: %d bytes by S3, %d by the service", direct, byService)
	}
	s.repo.set("data/four.bin", random(4, 1<<20))
	s.repo.set("lab1/small.md", "small\n")
	s.repo.push("second")
	v.publish()
	v.ready(2)
	said += ana.sync(login())
	equalFolder(t, s.site, ana)
	if got := len(s.s3.bytes()) - direct; got < 1<<20 || got > 2<<20 {
		t.Errorf("update: %d bytes by S3", got)
	}
	s.hearsNothing(adm)

	found := signatures.FindAllSubmatch(s.s3.bytes(), -1)
	if len(found) < 2 {
		t.Fatal("no URL was recorded")
	}
	seen := everything(t, ana, p, said, adm)
	seen["the service's log"] = []byte(v.output())
	secrets := s.secrets()
	delete(secrets, "AWS_ACCESS_KEY_ID") // stands in each signed URL: a name, no secret
	for place, data := range seen {
		for _, name := range leaks(secrets, data) {
			t.Errorf("%s is in %s", name, place)
		}
		for _, f := range found {
			if place != "the wire" && bytes.Contains(data, f[1]) {
				t.Errorf("a signature is in %s", place)
			}
		}
	}
}

// hearsNothing fails when anything of ours but what a URL was signed with
// reached S3.
func (s *redirecting) hearsNothing(adm hook.Admission) {
	s.t.Helper()
	heard, requests := s.s3.bytes(), 0
	if bytes.Contains(heard, []byte(adm.Ticket)) {
		s.t.Error("S3 heard the ticket")
	}
	for _, part := range bytes.Split(heard, []byte("GET /"+s.c.Bucket+"/"))[1:] {
		head, _, _ := bytes.Cut(part, []byte("\r\n\r\n"))
		for _, line := range strings.Split(string(head), "\r\n")[1:] {
			if name, _, _ := strings.Cut(line, ":"); !slices.Contains([]string{"Host", "Range", "If-Match", "If-Range"}, name) {
				s.t.Errorf("S3 heard %q", line)
			}
		}
		requests++
	}
	if requests == 0 {
		s.t.Error("S3 was asked nothing")
	}
}

// TestE2ERedirectCut: the line to S3 is cut, and the service goes on at the
// very byte.
func TestE2ERedirectCut(t *testing.T) {
	s := newRedirecting(t, nil)
	v := s.configure("one", redirect).run("serve")
	v.ready(1)
	s.s3.limit, s.s3.cut = rate.NewLimiter(4<<20, 256<<10), 700*time.Millisecond
	p := startProxy(t, v.students)
	ana := s.student("ana")
	adm := v.login("ana")
	adm.URL = strings.Replace(adm.URL, v.students, p.addr, 1)
	t.Logf("%s", ana.sync(adm))
	equalFolder(t, s.site, ana)
	s.s3.mu.Lock()
	cuts := s.s3.cuts
	s.s3.mu.Unlock()
	byS3, byService := len(s.s3.bytes()), len(p.bytes())
	t.Logf("%d cuts, %d bytes by S3, %d by the service", cuts, byS3, byService)
	if all := byS3 + byService; cuts < 1 || byS3 < 1<<20 || byService < 1<<20 || all < 9<<20 || all > 10<<20 {
		t.Errorf("%d cuts, %d bytes by S3, %d by the service", cuts, byS3, byService)
	}
}

// TestE2ERedirectOfNoUse: the service sends what S3 does not, within a login's
// budget.
func TestE2ERedirectOfNoUse(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes the connection, nobody answers
	must(t, err)
	defer silent.Close()
	gone := fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
	for name, c := range map[string]struct {
		front   func(string) string
		prepare func(*redirecting, *service, hook.Admission) hook.Admission
		want    string // what S3 answered
	}{
		"nothing listens":   {front: func(string) string { return gone }},
		"a name of nothing": {front: func(string) string { return "http://s3.invalid:7070" }},
		"silent":            {front: func(string) string { return "http://" + silent.Addr().String() }},
		"hangs up":          {prepare: func(s *redirecting, _ *service, adm hook.Admission) hook.Admission { s.s3.refuse(true); return adm }},
		"expired":           {prepare: (*redirecting).expiring, want: "HTTP/1.1 403"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newRedirecting(t, c.front)
			v := s.configure("one", redirect).run("serve")
			v.ready(1)
			ana := s.student("ana")
			adm := v.login("ana")
			if offer, inside := s.offer(adm, true); len(offer.URLs) == 0 || inside > 200_000 {
				t.Fatalf("%d URLs, %d bytes beside: this test says nothing", len(offer.URLs), inside)
			}
			if c.prepare != nil {
				adm = c.prepare(s, v, adm)
			}
			began := time.Now()
			out := ana.sync(adm)
			took := time.Since(began)
			t.Logf("%.1f s: %s", took.Seconds(), out)
			equalFolder(t, s.site, ana)
			if took > 8*time.Second {
				t.Errorf("took %s", took)
			}
			if !bytes.Contains(s.s3.bytes(), []byte(c.want)) {
				t.Errorf("S3 did not answer %q", c.want)
			}
		})
	}
}

// expiring puts something between agent and service that makes each URL one
// that was good for a second, and no longer is.
func (s *redirecting) expiring(v *service, adm hook.Admission) hook.Admission {
	to, err := url.Parse(adm.URL)
	must(s.t, err)
	back := httputil.NewSingleHostReverseProxy(to)
	back.ModifyResponse = func(r *http.Response) error {
		if r.Header.Get("Content-Type") != hook.OfferType {
			return nil
		}
		o, err := hook.ReadOffer(r.Body)
		if err != nil {
			return err
		}
		for _, c := range o.Courses {
			for i := range c.URLs {
				if c.URLs[i].URL, err = s.expired(c.Course, c.URLs[i]); err != nil {
					return err
				}
			}
		}
		head, err := hook.EncodeOffer(o)
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(head), r.Body))
		r.ContentLength = -1
		r.Header.Del("Content-Length")
		return err
	}
	web := httptest.NewServer(back)
	s.t.Cleanup(web.Close)
	adm.URL = web.URL
	return adm
}

func (s *redirecting) expired(course string, sec hook.Section) (link string, err error) {
	part := sectionOf(sec)
	link, err = s.st.SignedURL(s.t.Context(), store.BundleKey(course, sec.Bundle), part, time.Second)
	for status := 0; err == nil && status != http.StatusForbidden; {
		status, _, err = ask(link, part.Header())
	}
	return link, err
}

func sectionOf(s hook.Section) store.Section {
	return store.Section{ETag: s.ETag, Offset: s.Offset, Length: s.Length}
}

// ask gets a URL with these headers.
func ask(link string, header http.Header) (status int, body []byte, err error) {
	req, err := http.NewRequest(http.MethodGet, link, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// mixed is a site where a file of the full bundle is superseded, and what a
// student who has nothing is offered there.
func mixed(t *testing.T) (*redirecting, *service, hook.CourseOffer) {
	s := newRedirecting(t, nil)
	v := s.configure("one", redirect).run("serve")
	v.ready(1)
	s.repo.set("data/three.bin", random(9, 3<<20)) // between the others, so that a run ends before it
	s.repo.push("a file of the full bundle is superseded")
	v.publish()
	v.ready(2)
	offer, _ := s.offer(v.login("eva"), true)
	return s, v, offer
}

// TestE2ERedirectMixed: also of a bundle with former contents S3 sends what a
// student may have, which is nearly all.
func TestE2ERedirectMixed(t *testing.T) {
	s, v, _ := mixed(t)
	p := startProxy(t, v.students)
	eva := s.student("eva")
	adm := v.login("eva")
	adm.URL = strings.Replace(adm.URL, v.students, p.addr, 1)
	before := len(s.s3.bytes())
	eva.sync(adm)
	equalFolder(t, s.site, eva)
	direct, byService := len(s.s3.bytes())-before, len(p.bytes())
	t.Logf("%d bytes by S3, %d by the service", direct, byService)
	if direct < 9<<20 || direct > 10<<20 || byService > 200_000 {
		t.Errorf("%d bytes by S3, %d by the service", direct, byService)
	}
	s.hearsNothing(adm)
}

// TestE2ERedirectOpensNothingElse: by the URLs of an offer nothing is read but
// what was offered, whatever is asked for; and that is nothing superseded.
func TestE2ERedirectOpensNothingElse(t *testing.T) {
	s, _, offer := mixed(t)
	old, full := random(2, 3<<20), 0
	for _, sec := range offer.URLs {
		x, good := s.index(sec.Bundle), sectionOf(sec).Header()
		if x.From == 0 {
			full++
		}
		if status, body, err := ask(sec.URL, good); err != nil || status != http.StatusPartialContent || int64(len(body)) != sec.Length || bytes.Contains(body, []byte(old[100:200])) {
			t.Errorf("as it was signed: %d, %d bytes, %v", status, len(body), err)
		}
		for name, header := range map[string]http.Header{
			"no header":         {},
			"no range":          {"If-Match": good["If-Match"], "If-Range": good["If-Range"]},
			"a byte more":       with(good, "Range", fmt.Sprintf("bytes=%d-%d", sec.Offset, sec.End())),
			"from the index on": with(good, "Range", fmt.Sprintf("bytes=0-%d", sec.End()-1)),
			"to the end":        with(good, "Range", fmt.Sprintf("bytes=%d-", sec.Offset)),
			"all":               with(good, "Range", "bytes=0-"),
			"beside":            with(good, "Range", good.Get("Range"), "bytes=0-"),
			"before":            with(good, "Range", "bytes=0-", good.Get("Range")),
			"If-Range":          with(good, "If-Range", `"another"`),
			"If-Range beside":   with(good, "If-Range", sec.ETag, `"another"`),
			"no If-Range":       with(good, "If-Range"),
			"If-Match":          with(good, "If-Match", "*"),
		} {
			if status, body, err := ask(sec.URL, header); err != nil || status != http.StatusForbidden {
				t.Errorf("%s: %d, %d bytes, %v", name, status, len(body), err)
			}
		}
		for _, f := range x.Frames {
			there := with(good, "Range", fmt.Sprintf("bytes=%d-%d", f.Offset, f.Offset+f.Length-1))
			if status, _, err := ask(sec.URL, there); err != nil || status != http.StatusForbidden && there.Get("Range") != good.Get("Range") {
				t.Errorf("the frame at %d: %d, %v", f.Offset, status, err)
			}
		}
	}
	if full == 0 || full == len(offer.URLs) {
		t.Errorf("%d of %d URLs are of the full bundle", full, len(offer.URLs))
	}
}

// with is h with other values of one header.
func with(h http.Header, name string, values ...string) http.Header {
	h = h.Clone()
	if h[name] = values; len(values) == 0 {
		delete(h, name)
	}
	return h
}

// TestE2ERedirectAgentOfBefore: who says nothing of URLs gets the bytes.
func TestE2ERedirectAgentOfBefore(t *testing.T) {
	s := newRedirecting(t, nil)
	v := s.configure("one", redirect).run("serve")
	v.ready(1)
	if offer, inside := s.offer(v.login("old"), false); inside < 9<<20 || offer.URLs != nil {
		t.Errorf("%d bytes, URLs %v", inside, offer.URLs)
	}
	if offer, inside := s.offer(v.login("new"), true); inside > 200_000 || len(offer.URLs) != 1 {
		t.Errorf("%d bytes, URLs %v", inside, offer.URLs)
	}
}
