package hub

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"
)

// What JupyterHub says of a service's own token, and what in it is too much.
func TestWhatOurOwnTokenMayDo(t *testing.T) {
	f, h := newFake(t)
	says := func(status int, body string) {
		f.reply = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", "Sun, 22 Nov 2026 10:00:00 GMT")
			w.WriteHeader(status)
			w.Write([]byte(body))
		}
	}
	says(200, `{"kind":"service","name":"satchel","admin":false,"session_id":null,"scopes":["list:users","read:users:groups","read:users:name"]}`)
	o, err := h.Itself(t.Context())
	if err != nil || o.Name != "satchel" || len(o.Wide) > 0 || !o.Date.Equal(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v, %v", o, err)
	}
	if v, _ := f.last.Load("/hub/api/user"); v != "token ours" {
		t.Errorf("shown as %v", v)
	}
	says(200, `{"kind":"service","name":"satchel","scopes":["admin:users","read:users:name","servers"]}`)
	if o, err := h.Itself(t.Context()); err != nil || !slices.Equal(o.Wide, []string{"admin:users", "servers"}) {
		t.Errorf("%+v, %v", o, err)
	}
	says(403, `{}`)
	if _, err := h.Itself(t.Context()); !errors.Is(err, ErrUnknown) {
		t.Errorf("refused: %v", err)
	}
	says(200, `<html>`)
	if _, err := h.Itself(t.Context()); !errors.Is(err, ErrAway) {
		t.Errorf("nonsense: %v", err)
	}
}
