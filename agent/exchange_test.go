package agent

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"satchel/hook"
)

const hubCanary = "hub-canary-90cc1e"

// resumed is a home whose container was resumed: its ticket is over, its
// token of the hub is right. The service's answer to that token is a fake.
func resumed(t *testing.T) (w *world, h *home, shown func() int) {
	t.Helper()
	w = newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h = w.home("ana")
	h.s.Ticket = Secret(w.ticket("ana", -time.Hour))
	h.s.Jupyter.HubToken, h.s.HubAPI = hubCanary, "http://hub:8081/hub/api"
	n := 0
	w.behind(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/v1/exchange") {
				if strings.Contains(r.Header.Get("Authorization"), hubCanary) {
					t.Errorf("the hub's token went to %s", r.URL.Path)
				}
				next.ServeHTTP(rw, r)
				return
			}
			n++
			if r.Header.Get("Authorization") != "Bearer "+hubCanary {
				t.Errorf("shown: %q", r.Header)
			}
			rw.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(rw).Encode(hook.Admission{Format: 1, Ticket: w.ticket("ana", time.Hour)})
		})
	})
	return w, h, func() int { return n }
}

func TestAResumedContainerGetsATicketForTheHubsToken(t *testing.T) {
	_, h, shown := resumed(t)
	if out := h.sync(); out.Code != "" || !h.has("scala101/README.md", lesson["README.md"])() {
		t.Errorf("%+v, %q", out, h.said())
	}
	if shown() != 1 {
		t.Errorf("shown %d times", shown())
	}
	h.s.Ticket = "" // a site without a spawn hook
	if out := h.sync(); out.Code != "" || shown() != 2 {
		t.Errorf("without a ticket: %+v, shown %d times", out, shown())
	}
	h.s.Ticket = Secret(h.w.ticket("ana", time.Hour))
	if out := h.sync(); out.Code != "" || shown() != 2 {
		t.Errorf("with a good ticket: %+v, shown %d times", out, shown())
	}
}

func TestDoctorTakesATicketForTheHubsToken(t *testing.T) {
	_, h, _ := resumed(t)
	for _, c := range h.agent().checkService(t.Context()) {
		if !c.OK {
			t.Errorf("%+v", c)
		}
	}
}

// It is shown where it travels in plain anyway, or by https; else never.
func TestTheHubsTokenIsNotShownInPlainElsewhere(t *testing.T) {
	_, h, shown := resumed(t)
	for name, api := range map[string]string{"a hub by https": "https://hub/hub/api", "no hub": "", "odd": "HTTP//x"} {
		h.s.HubAPI = api
		if out := h.sync(); out.Code != CodeTicket || shown() != 0 {
			t.Errorf("%s: %+v, shown %d times", name, out, shown())
		}
	}
	h.s.HubAPI, h.s.Jupyter.HubToken = "http://hub:8081/hub/api", ""
	if out := h.sync(); out.Code != CodeTicket || shown() != 0 {
		t.Errorf("no token: %+v, shown %d times", out, shown())
	}
	if bureau(Settings{URL: "https://satchel/", Jupyter: Jupyter{HubToken: hubCanary}}, nil) == nil {
		t.Error("not by https either")
	}
}

// A service or a hub that is away is asked again as any question is; with the
// first answer the material comes.
func TestAnExchangeThatNobodyAnswersIsTriedAgain(t *testing.T) {
	w, h, _ := resumed(t)
	exchanges := w.wall
	for name, away := range map[string]http.HandlerFunc{
		"the service": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"the hub":     func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusServiceUnavailable) },
	} {
		w.behind(func(next http.Handler) http.Handler {
			rest := exchanges(next)
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/v1/exchange") {
					away(rw, r)
					return
				}
				rest.ServeHTTP(rw, r)
			})
		})
		a := h.agent()
		if out := a.Sync(t.Context(), SyncOptions{Mode: AtStart}); out.Code != CodeOffline || !out.Offline {
			t.Errorf("%s away: %+v", name, out)
		}
		w.behind(exchanges)
		if out := a.Sync(t.Context(), SyncOptions{Mode: AtStart}); out.Code != "" {
			t.Errorf("%s is back: %+v", name, out)
		}
		a.Close()
	}
}

// Where the hub is on this machine, so must be the service: in plain the token
// goes no further than it went. 10.255.255.1 is never dialled.
func TestTheHubsTokenStaysOnThisMachine(t *testing.T) {
	for api, want := range map[string]bool{"http://127.0.0.1:8081/hub/api": true, "http://localhost:8081/hub/api": true, "http://[::1]:8081/hub/api": true} {
		b := bureau(Settings{URL: "http://10.255.255.1:9", HubAPI: api, Patience: time.Second, Jupyter: Jupyter{HubToken: hubCanary}}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := b.Exchange(ctx)
		cancel()
		b.Close()
		if refused := err != nil && strings.Contains(err.Error(), "outside this network"); refused != want {
			t.Errorf("%s: %v", api, err)
		}
	}
}

// A hub that says no is asked once a minute, not at each request.
func TestTheHubsTokenIsShownOnceAMinute(t *testing.T) {
	w, h, _ := resumed(t)
	n := 0
	w.behind(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/v1/exchange") {
				n++
				rw.WriteHeader(http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(rw, r)
		})
	})
	a := h.agent()
	for range 3 {
		if out := a.Sync(t.Context(), SyncOptions{Mode: AtStart}); out.Code != CodeTicket {
			t.Errorf("%+v", out)
		}
	}
	if n != 1 {
		t.Errorf("shown %d times", n)
	}
	a.refused = time.Now().Add(-showAgain)
	a.Sync(t.Context(), SyncOptions{Mode: AtStart})
	if n != 2 {
		t.Errorf("a minute later: shown %d times", n)
	}
}
