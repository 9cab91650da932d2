package agent

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"satchel/bundle"
	"satchel/store"
)

// found is the one check of this name.
func (h *home) found(name string) Check {
	h.t.Helper()
	var out []Check
	for _, c := range h.agent().Doctor(h.t.Context()) {
		if c.Name == name {
			out = append(out, c)
		}
	}
	if len(out) != 1 || !out[0].OK && out[0].Do == "" {
		h.t.Fatalf("%s: %+v", name, out)
	}
	return out[0]
}

func doctored(t *testing.T) (*world, *home) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	return w, w.home("ana")
}

// The cloud's addresses are played by listeners of this machine. (In a network
// namespace they are what they are: e2e.)
func TestDoctorKnocksAtTheMetadataAddress(t *testing.T) {
	_, h := doctored(t)
	imds := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer imds.Close()
	mute, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes the connection, and nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	closed := "127.0.0.1:1"
	for name, c := range map[string]struct {
		at   []string
		says string // "": it is well
	}{
		"closed":             {[]string{closed, closed}, ""},
		"it answers":         {[]string{closed, imds.Listener.Addr().String()}, "it answers with status 401"},
		"a connection opens": {[]string{mute.Addr().String(), closed}, "nothing answers"},
	} {
		h.metadata = c.at
		got := h.found("metadata")
		if got.OK != (c.says == "") || !strings.Contains(got.Note, c.says) || !got.OK && !strings.Contains(got.Do, "169.254.0.0/16") {
			t.Errorf("%s: %+v", name, got)
		}
		if code := WriteChecks(&strings.Builder{}, h.agent().Doctor(t.Context()), false); code != 0 && code != 3 || (code == 3) == got.OK {
			t.Errorf("%s: exit %d", name, code)
		}
	}
}

func TestDoctorLooksForTheHubsPort(t *testing.T) {
	w, h := doctored(t)
	back := httptest.NewServer(w.srv.Hub())
	defer back.Close()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	for name, c := range map[string]struct {
		at   string
		here bool
		well bool
		says string
	}{
		"nobody":       {"127.0.0.1:1", false, true, "does not answer"},
		"another":      {other.Listener.Addr().String(), false, true, "something else does"},
		"the hub's":    {back.Listener.Addr().String(), false, false, "only the hub should"},
		"this machine": {back.Listener.Addr().String(), true, true, "the hook secret alone"},
	} {
		got := hubPortAt(t.Context(), c.at, c.here)
		if got.OK != c.well || !strings.Contains(got.Note, c.says) || !got.OK && got.Do == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	_, h.hubPort, _ = net.SplitHostPort(back.Listener.Addr().String())
	if got := h.found("hub's port"); !got.OK || !strings.Contains(got.Note, "the hook secret alone") {
		t.Errorf("%+v", got)
	}
}

func TestDoctorLooksForTheStartHook(t *testing.T) {
	_, h := doctored(t)
	if c := h.found("start"); !c.OK || !strings.Contains(c.Note, "satchel-agent run") {
		t.Errorf("no folder: %+v", c)
	}
	h.start = t.TempDir()
	hook := filepath.Join(h.start, "50-satchel")
	if c := h.found("start"); c.OK || !strings.Contains(c.Do, "ln -s ../satchel-agent") {
		t.Errorf("no hook: %+v", c)
	}
	if err := os.WriteFile(hook, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if c := h.found("start"); c.OK || !strings.Contains(c.Note, "not a program") {
		t.Errorf("not to be run: %+v", c)
	}
	if err := os.Chmod(hook, 0o755); err != nil {
		t.Fatal(err)
	}
	if c := h.found("start"); !c.OK {
		t.Errorf("in place: %+v", c)
	}
}

func TestDoctorSaysWhichProxyIsUsed(t *testing.T) {
	_, h := doctored(t)
	h.s.Unused = []string{"HTTPS_PROXY"}
	if c := h.found("proxy"); !c.OK || !strings.Contains(c.Note, "HTTPS_PROXY of the environment is not used") {
		t.Errorf("%+v", c)
	}
	h.s.Proxy = "http://ana:secret@proxy.school.test:3128"
	if c := h.agent().checkProxy(); !c.OK || !strings.Contains(c.Note, "through proxy.school.test:3128") || strings.Contains(c.Note, "secret") {
		t.Errorf("%+v", c)
	}
	h.s.Proxy = "proxy"
	if c := h.agent().checkProxy(); c.OK || !c.Stop || c.Do == "" {
		t.Errorf("%+v", c)
	}
}

// While keys are changed over a server from before works, and doctor says that
// it will not for ever.
func TestDoctorSaysWhichKeySigns(t *testing.T) {
	w, h := doctored(t)
	next, err := bundle.NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	p := w.state["scala101"]
	r := *p.record
	r.Head = w.sign(p.head, next, w.key)
	if p.etag, err = store.SwapRecord(t.Context(), w.dir, &r, p.etag); err != nil {
		t.Fatal(err)
	}
	w.srv.Refresh(t.Context())
	if c := h.found("course"); c.OK || !strings.Contains(c.Note, next.Public().ID()) || c.Stop {
		t.Errorf("the key from before: %+v", c)
	}
	h.s.Keys = append(h.s.Keys, next.Public())
	if c := h.found("course"); !c.OK {
		t.Errorf("both keys: %+v", c)
	}
}

func TestDoctorTriesLocks(t *testing.T) {
	_, h := doctored(t)
	if c := h.found("locks"); !c.OK {
		t.Errorf("%+v", c)
	}
	if c := checkLocks(filepath.Join(h.root, "absent")); c.OK || c.Do == "" {
		t.Errorf("%+v", c)
	}
}
