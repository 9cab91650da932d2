package hookserver

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"satchel/hook"
)

// The service speaks no TLS itself. Behind a proxy that does, all that an
// agent asks goes over one connection of HTTP/2: answers, ranges, the stream.
func TestBehindAProxyThatSpeaksHTTP2(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"a.md": "a", "big.bin": noise(400_000, 1)}))
	behind, err := url.Parse(w.web.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(behind)
	var other atomic.Int64 // requests of another protocol
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			other.Add(1)
		}
		proxy.ServeHTTP(rw, r)
	}))
	front.EnableHTTP2 = true
	front.StartTLS()
	t.Cleanup(func() {
		front.CloseClientConnections()
		front.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	s := w.student("ana")
	s.client = hook.NewClient(hook.ClientOptions{URL: front.URL, Ticket: func() string { return s.ticket }, HTTP: front.Client()})

	heard := make(chan hook.Event, 10)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.client.Events(ctx, func(e hook.Event) error {
			heard <- e
			return nil
		})
	}()
	if e := <-heard; e.Kind != hook.EventHello {
		t.Errorf("first heard %q", e.Kind)
	}
	s.sync()
	w.publish("scala", everyone(map[string]string{"a.md": "b", "big.bin": noise(400_000, 1)}))
	if e := <-heard; e.Kind != hook.EventChanged {
		t.Errorf("then heard %q", e.Kind)
	}
	s.sync()
	s.wantTree("scala", map[string]string{"a.md": "b", "big.bin": noise(400_000, 1)})
	stop()
	<-ended
	if n := other.Load(); n > 0 {
		t.Errorf("%d requests did not speak HTTP/2", n)
	}
}
