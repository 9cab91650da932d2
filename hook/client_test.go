package hook

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"satchel/bundle"
)

// answering is a service that answers everything in one way.
func answering(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c := NewClient(ClientOptions{URL: srv.URL + "/services/satchel/", Ticket: func() string { return "the-ticket" }, Agent: "test/1", Idle: 5 * time.Second})
	t.Cleanup(c.Close)
	return c
}

func offerOf(t testing.TB, o *Offer, frames ...string) []byte {
	t.Helper()
	data, err := EncodeOffer(o)
	if err != nil {
		t.Fatal(err)
	}
	return append(data, strings.Join(frames, "")...)
}

// twoFrames is an offer with frames of 3 and 4 bytes.
func twoFrames() *Offer {
	frame := func(n int64) Offered {
		return Offered{Frame: bundle.Frame{Kind: bundle.Whole, Length: n, Size: n, Items: []bundle.Item{{Digest: bundle.Sum([]byte{byte(n)}), Size: n}}}}
	}
	return &Offer{Format: Format, Courses: []CourseOffer{{Course: "empty"}, {Course: "a", Frames: []Offered{frame(3)}}, {Course: "b", Frames: []Offered{frame(4)}}}}
}

func sendOffer(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", OfferType)
	w.Header().Set("ETag", `"tag"`)
	w.Write(body)
}

// TestNothingChangedIsNoAnswerToWhoNamedNothing: a 304 counts only where the
// request had an ETag; else a service that stands still would look well.
func TestNothingChangedIsNoAnswerToWhoNamedNothing(t *testing.T) {
	c := answering(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) })
	big := []Have{{Course: strings.Repeat("x", MaxHave), Version: 1}}
	for name, ask := range map[string]func() error{
		"sync":    func() error { _, err := c.Sync(t.Context(), nil, nil, ""); return err },
		"by POST": func() error { _, err := c.Sync(t.Context(), big, nil, ""); return err },
		"files":   func() error { _, err := c.Files(t.Context(), "scala", nil); return err },
		"receipt": func() error { return c.Receipt(t.Context(), Receipt{}) },
	} {
		var e *Error
		if err := ask(); !errors.As(err, &e) || e.Status != http.StatusNotModified || strings.Contains(e.Error(), "elsewhere") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if a, err := c.Sync(t.Context(), big, nil, `"tag"`); err != nil || !a.NotModified {
		t.Errorf("with an ETag: %v", err)
	}
}

func TestSyncAsks(t *testing.T) {
	var got *http.Request
	var body []byte
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		if r.Header.Get("If-None-Match") == `"tag"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		sendOffer(w, offerOf(t, twoFrames(), "abc", "defg"))
	})
	have := []Have{{Course: "scala", Version: 3, Fingerprint: "00ff", Channels: []string{"x", "y"}}}
	a, err := c.Sync(t.Context(), have, []string{"k1", "k2"}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if got.Method != "GET" || got.URL.Path != "/services/satchel/v1/sync" || got.URL.RawQuery != "have=scala%3A3%3A00ff%3Ax%2Cy&keys=k1&keys=k2" {
		t.Errorf("%s %s", got.Method, got.URL)
	}
	if got.Header.Get("Authorization") != "Bearer the-ticket" || got.UserAgent() != "test/1" || got.Header.Get("Accept-Encoding") != "" {
		t.Errorf("%v", got.Header)
	}
	if a.ETag != `"tag"` || a.NotModified || time.Since(a.Date).Abs() > time.Minute {
		t.Errorf("%+v", a)
	}
	for _, want := range []string{"a abc", "b defg"} {
		course, f, r, err := a.Next()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if got := course + " " + string(data); got != want || err != nil || f.Length != int64(len(data)) {
			t.Errorf("%s, %v", got, err)
		}
	}
	for range 2 {
		if _, _, _, err := a.Next(); err != io.EOF {
			t.Errorf("after the last: %v", err)
		}
	}

	b, err := c.Sync(t.Context(), have, nil, `"tag"`)
	if err != nil || !b.NotModified || b.Offer != nil {
		t.Errorf("%+v %v", b, err)
	}
	b.Close()

	for i := range 200 {
		have = append(have, Have{Course: fmt.Sprint("course-", i), Version: 1, Fingerprint: strings.Repeat("0", 32)})
	}
	if a, err = c.Sync(t.Context(), have, nil, ""); err != nil {
		t.Fatal(err)
	}
	a.Close()
	if got.Method != "POST" || got.URL.RawQuery != "" || len(body) < MaxHave {
		t.Errorf("%s %s with %d bytes", got.Method, got.URL, len(body))
	}
}

// A frame that is not read is passed over.
func TestNextPassesOver(t *testing.T) {
	c := answering(t, func(w http.ResponseWriter, r *http.Request) { sendOffer(w, offerOf(t, twoFrames(), "abc", "defg")) })
	a, err := c.Sync(t.Context(), nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	a.Next()
	_, _, r, err := a.Next()
	if err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(r); string(data) != "defg" || err != nil {
		t.Errorf("%q %v", data, err)
	}
}

// What a broken or hostile service may answer: each an error, none a hang or
// a whole answer.
func TestBadAnswers(t *testing.T) {
	good := offerOf(t, twoFrames(), "abc", "defg")
	huge := binary.BigEndian.AppendUint32(nil, MaxPackedOffer+1)
	var bomb bytes.Buffer
	if err := bundle.Compress(&bomb, io.LimitReader(zeros{}, MaxOffer+1)); err != nil {
		t.Fatal(err)
	}
	newer := offerOf(t, &Offer{Format: Format + 1})
	absurd := twoFrames()
	absurd.Courses[1].Frames[0].Length = -1
	for name, c := range map[string]struct {
		body []byte
		kind string
		want error
	}{
		"captive portal":   {[]byte("<html>please log in"), "text/html", bundle.ErrCorrupt},
		"no type":          {good, "", bundle.ErrCorrupt},
		"empty":            {nil, OfferType, io.ErrUnexpectedEOF},
		"cut in the offer": {good[:20], OfferType, nil},
		"cut in a frame":   {good[:len(good)-2], OfferType, io.ErrUnexpectedEOF},
		"cut before one":   {good[:len(good)-4], OfferType, io.ErrUnexpectedEOF},
		"goes on":          {append(bytes.Clone(good), 'x'), OfferType, bundle.ErrCorrupt},
		"a huge offer":     {huge, OfferType, bundle.ErrCorrupt},
		"a bomb":           {append(binary.BigEndian.AppendUint32(nil, uint32(bomb.Len())), bomb.Bytes()...), OfferType, bundle.ErrCorrupt},
		"garbage":          {append(binary.BigEndian.AppendUint32(nil, 5), "12345"...), OfferType, bundle.ErrCorrupt},
		"newer":            {newer, OfferType, bundle.ErrFormat},
		"a frame of -1":    {offerOf(t, absurd), OfferType, bundle.ErrCorrupt},
	} {
		client := answering(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = []string{c.kind}
			w.Write(c.body)
		})
		err := readAll(t.Context(), client)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || errors.Is(err, io.EOF) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// readAll syncs and reads every frame.
func readAll(ctx context.Context, c *Client) error {
	a, err := c.Sync(ctx, nil, nil, "")
	if err != nil {
		return err
	}
	defer a.Close()
	for {
		_, _, r, err := a.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if err != nil {
			return err
		}
	}
}

func TestErrorsAreTyped(t *testing.T) {
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/services/satchel/v1/renew":
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.WriteHeader(401)
			json.NewEncoder(w).Encode(Problem{Sentence: "the ticket's time is over", Code: CodeExpired})
		case "/services/satchel/v1/receipts":
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(503)
			io.WriteString(w, "<html>bad gateway")
		}
	})
	var e *Error
	if _, err := c.Renew(t.Context()); !errors.As(err, &e) || e.Status != 401 || e.Problem.Code != CodeExpired || err.Error() != "the ticket's time is over" {
		t.Errorf("%+v", err)
	}
	if err := c.Receipt(t.Context(), Receipt{}); !errors.As(err, &e) || e.Status != 503 || e.RetryAfter != 7*time.Second || e.Problem.Code != "" {
		t.Errorf("%+v", err)
	}
}

// The ticket follows no redirect, to this host or another.
func TestRedirectIsNotFollowed(t *testing.T) {
	var visits atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		c := answering(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, status) })
		var e *Error
		if _, err := c.Renew(t.Context()); !errors.As(err, &e) || e.Status != status || !strings.Contains(err.Error(), EnvURL) {
			t.Errorf("%d: %v", status, err)
		}
	}
	if visits.Load() > 0 {
		t.Error("the other host was asked")
	}
}

// Only SATCHEL_PROXY is a proxy: the ticket does not go to the campus one.
func TestProxyOnlyWhenGiven(t *testing.T) {
	var visits atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visits.Add(1)
		if r.Host != "satchel.invalid" {
			t.Errorf("asked for %s", r.Host)
		}
		w.WriteHeader(204)
	}))
	defer proxy.Close()
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	c := NewClient(ClientOptions{URL: "http://satchel.invalid", Idle: time.Second})
	if err := c.Receipt(t.Context(), Receipt{}); err == nil || visits.Load() > 0 {
		t.Errorf("went through the environment's proxy: %v", err)
	}
	c = NewClient(ClientOptions{URL: "http://satchel.invalid", Proxy: proxy.URL})
	defer c.Close()
	if err := c.Receipt(t.Context(), Receipt{}); err != nil || visits.Load() != 1 {
		t.Errorf("%v", err)
	}
}

func TestCAFile(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	with := NewClient(ClientOptions{URL: srv.URL, CAFile: file})
	defer with.Close()
	if err := with.Receipt(t.Context(), Receipt{}); err != nil {
		t.Error(err)
	}
	without := NewClient(ClientOptions{URL: srv.URL})
	defer without.Close()
	if err := without.Receipt(t.Context(), Receipt{}); err == nil {
		t.Error("a certificate of nobody was trusted")
	}
}

func TestFaultsOfOptions(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]ClientOptions{
		"no address":     {},
		"other scheme":   {URL: "ftp://x"},
		"no scheme":      {URL: "satchel:8484"},
		"user in it":     {URL: "http://u:p@x"},
		"query in it":    {URL: "http://x?ticket=1"},
		"proxy":          {URL: "http://x", Proxy: "nonsense"},
		"no CA file":     {URL: "http://x", CAFile: "/does/not/exist"},
		"empty CA file":  {URL: "http://x", CAFile: empty},
		"control in URL": {URL: "http://x/\n"},
	} {
		err := NewClient(o).Receipt(t.Context(), Receipt{})
		if err == nil || !strings.Contains(err.Error(), "SATCHEL_") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Silence before the answer and within it ends in ErrSilent; a slow answer
// that goes on does not.
func TestSilence(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	body := offerOf(t, twoFrames(), "abc", "defg")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		how := r.URL.Query().Get("have")
		if strings.HasPrefix(how, "mute") {
			<-release
			return
		}
		w.Header().Set("Content-Type", OfferType)
		for i := range body {
			w.Write(body[i : i+1])
			w.(http.Flusher).Flush()
			if strings.HasPrefix(how, "half") && i == len(body)-3 {
				<-release
				return
			}
			if i%20 == 0 {
				time.Sleep(40 * time.Millisecond)
			}
		}
	}))
	t.Cleanup(srv.Close)
	c := NewClient(ClientOptions{URL: srv.URL, Idle: 200 * time.Millisecond})
	t.Cleanup(c.Close)
	for how, want := range map[string]error{"mute": ErrSilent, "half": ErrSilent, "slow": nil} {
		a, err := c.Sync(t.Context(), []Have{{Course: how}}, nil, "")
		for err == nil {
			var r io.Reader
			if _, _, r, err = a.Next(); err == nil {
				_, err = io.Copy(io.Discard, r)
			}
		}
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			err = nil
		}
		if a != nil {
			a.Close()
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", how, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Renew(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, ErrSilent) {
		t.Errorf("cancelled by the caller: %v", err)
	}
}

// A reader that pauses is not silence of the service.
func TestSlowReaderIsNotSilence(t *testing.T) {
	big := twoFrames()
	big.Courses[1].Frames[0].Length = 8 << 20 // more than lies in buffers
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		sendOffer(w, offerOf(t, big, strings.Repeat("a", 8<<20), "defg"))
	})
	c.o.Idle = time.Second
	a, err := c.Sync(t.Context(), nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	time.Sleep(1500 * time.Millisecond) // the agent writes to a slow disk
	if _, _, r, err := a.Next(); err != nil {
		t.Error(err)
	} else if n, err := io.Copy(io.Discard, r); n != 8<<20 || err != nil {
		t.Errorf("%d %v", n, err)
	}
}

func TestRange(t *testing.T) {
	content := "0123456789"
	answer := func(status int, contentRange, body string) *Client {
		return answering(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "bytes=2-5" {
				t.Errorf("asked %q", r.Header.Get("Range"))
			}
			w.Header().Set("Content-Range", contentRange)
			w.WriteHeader(status)
			io.WriteString(w, body)
		})
	}
	for name, c := range map[string]struct {
		client *Client
		want   string
		ok     bool
	}{
		"right":        {answer(206, "bytes 2-5/10", content[2:6]), "2345", true},
		"more":         {answer(206, "bytes 2-5/10", content[2:]), "2345", true},
		"fewer":        {answer(206, "bytes 2-5/10", content[2:4]), "", false},
		"the whole":    {answer(200, "", content), "", false},
		"another":      {answer(206, "bytes 0-3/10", content[:4]), "", false},
		"begins equal": {answer(206, "bytes 2-55/100", content), "", false},
	} {
		r, err := c.client.Range(t.Context(), "scala", bundle.Sum(nil), 2, 4)
		var data []byte
		if err == nil {
			data, err = io.ReadAll(r)
			r.Close()
		}
		if c.ok && (err != nil || string(data) != c.want) || !c.ok && err == nil {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
}

// No error names the ticket or an address with something secret in it.
func TestErrorsNameNoTicket(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	c := NewClient(ClientOptions{URL: "http://" + addr, Ticket: func() string { return "the-ticket" }})
	err = c.Receipt(t.Context(), Receipt{})
	if err == nil || strings.Contains(err.Error(), "the-ticket") || strings.Contains(err.Error(), "/v1/") {
		t.Errorf("%v", err)
	}
	bad := NewClient(ClientOptions{URL: "http://" + addr, Ticket: func() string { return "the-\nticket" }})
	if err := bad.Receipt(t.Context(), Receipt{}); err == nil || strings.Contains(err.Error(), "ticket") && strings.Contains(err.Error(), "the-") {
		t.Errorf("%v", err)
	}
}

func TestEvents(t *testing.T) {
	stream := ": a comment\n\nevent: hello\ndata: {\"listeners\":3}\n\n" +
		"event: changed\ndata: {\"course\":\"scala\",\"version\":4,\"listeners\":3}\n\n: beat\n\ndata: {}\n\nevent: later\ndata: {\"more\":1}\n\nevent: cut"
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", EventsType)
		io.WriteString(w, stream)
	})
	var got []string
	err := c.Events(t.Context(), func(e Event) error {
		got = append(got, fmt.Sprint(e.Kind, e.Course, e.Version, e.Listeners))
		return nil
	})
	if want := "[hello0 3 changedscala4 3 later0 0]"; !errors.Is(err, io.EOF) || strings.Join(strings.Fields(fmt.Sprint(got)), " ") != want {
		t.Errorf("%v %v", got, err)
	}
	stop := errors.New("stop")
	if err := c.Events(t.Context(), func(Event) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
	long := ReadEvents(strings.NewReader("data: "+strings.Repeat("x", 1<<20)), func(Event) error { return nil })
	if long == nil || errors.Is(long, io.EOF) {
		t.Errorf("a line of 1 MiB: %v", long)
	}
}

func FuzzReadEvents(f *testing.F) {
	f.Add("event: hello\ndata: {\"listeners\":3}\n\n")
	f.Fuzz(func(t *testing.T, s string) {
		n := 0
		if err := ReadEvents(strings.NewReader(s), func(Event) error { n++; return nil }); err == nil {
			t.Error("no end")
		}
		if n > strings.Count(s, "event") {
			t.Errorf("%d events", n)
		}
	})
}

func FuzzReadOffer(f *testing.F) {
	f.Add(offerOf(f, twoFrames()))
	f.Add([]byte{0, 0, 0, 0})
	urls, err := os.ReadFile("testdata/golden/v1/offer-urls.bin")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(urls)
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := ReadOffer(bytes.NewReader(data))
		if err == nil && o.Format != Format {
			t.Errorf("%+v", o)
		}
		if err != nil {
			return
		}
		for i := range o.Courses {
			for j := range o.Courses[i].Frames {
				wantCovered(t, &o.Courses[i], &o.Courses[i].Frames[j])
			}
		}
	})
}

// wantCovered fails where Covering is not what it says, judged byte by byte.
func wantCovered(t *testing.T, c *CourseOffer, f *Offered) {
	t.Helper()
	if f.Length > 1<<12 {
		return
	}
	all := f.Length > 0 && !f.Bundle.IsZero()
	for at := f.Offset; at < f.Offset+f.Length && all; at++ {
		all = slices.ContainsFunc(c.URLs, func(s Section) bool { return s.Bundle == f.Bundle && s.Offset <= at && at < s.End() })
	}
	got := c.Covering(f)
	if (got != nil) != all {
		t.Errorf("%+v in %+v: %+v", f, c.URLs, got)
	}
	for i := range got {
		if s := got[i]; s.Bundle != f.Bundle || s.End() <= f.Offset || s.Offset >= f.Offset+f.Length || i > 0 && got[i-1].End() != s.Offset {
			t.Errorf("%+v in %+v: %+v", f, c.URLs, got)
		}
	}
}

// FuzzCovering: any list that is accepted, any frame.
func FuzzCovering(f *testing.F) {
	f.Add([]byte{1, 10, 20, 1, 20, 40, 2, 0, 15}, byte(1), byte(12), byte(9))
	f.Fuzz(func(t *testing.T, list []byte, in, from, n byte) {
		var c CourseOffer
		for ; len(list) >= 3; list = list[3:] {
			c.URLs = append(c.URLs, Section{Bundle: bundle.Digest{list[0]}, Offset: int64(list[1]), Length: int64(int8(list[2]))})
		}
		if SortSections(c.URLs); checkSections(c.URLs) == nil {
			wantCovered(t, &c, &Offered{Bundle: bundle.Digest{in}, Frame: bundle.Frame{Offset: int64(from), Length: int64(n)}})
		}
	})
}

func FuzzParseHave(f *testing.F) {
	f.Add("scala:3:00ff:a,b")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ParseHave(s)
		if err != nil {
			return
		}
		again, err := ParseHave(h.String())
		if err != nil || again.String() != h.String() {
			t.Errorf("%q: %q, %v", s, again, err)
		}
	})
}

// FuzzTakeOver: what one process hands to another is read as an answer of the
// service is.
func FuzzTakeOver(f *testing.F) {
	line := []byte("{\"etag\":\"x\",\"date\":\"2026-09-01T09:00:00Z\"}\n")
	f.Add(append(line, offerOf(f, twoFrames())...))
	f.Add([]byte("{}\n"))
	f.Add(bytes.Repeat([]byte("x"), 5000))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := TakeOver(io.NopCloser(bytes.NewReader(data)))
		if err != nil {
			return
		}
		defer a.Close()
		for n := 0; ; n++ {
			_, f, r, err := a.Next()
			if err != nil {
				break
			}
			if got, _ := io.Copy(io.Discard, r); got > f.Length || n > len(data) {
				t.Fatalf("frame %d of %d bytes gave %d", n, f.Length, got)
			}
		}
	})
}

// FuzzAnswers: what stands in the service's place may answer anything to a
// question for JSON, with any status.
func FuzzAnswers(f *testing.F) {
	f.Add(200, "application/json", "", []byte(`{"format":1,"ticket":"st1.a.b.c"}`))
	f.Add(429, "application/json", "60", []byte(`{"code":"busy","sentence":"later"}`))
	f.Add(302, "text/html", "-1", []byte(`<html>`))
	f.Add(304, "", "99999999999999999999", []byte{})
	f.Fuzz(func(t *testing.T, code int, kind, after string, body []byte) {
		web := &http.Client{Transport: canned{code, kind, after, body}}
		c := NewClient(ClientOptions{URL: "http://127.0.0.1:1", Ticket: func() string { return "t" }, HTTP: web})
		defer c.Close()
		_, err := c.Renew(t.Context())
		var e *Error
		switch {
		case err == nil && (code < 200 || code > 299):
			t.Errorf("%d was taken", code)
		case errors.As(err, &e) && (e.RetryAfter < 0 || e.RetryAfter > 24*time.Hour || e.Status != code):
			t.Errorf("%+v", e)
		}
		if a, err := c.Sync(t.Context(), nil, nil, "x"); err == nil {
			a.Close()
		}
	})
}

type canned struct {
	code        int
	kind, after string
	body        []byte
}

func (c canned) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: c.code, Body: io.NopCloser(bytes.NewReader(c.body)),
		Header: http.Header{"Content-Type": {c.kind}, "Retry-After": {c.after}},
	}, nil
}
