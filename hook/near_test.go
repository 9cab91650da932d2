package hook

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestOnlyNear(t *testing.T) {
	for address, near := range map[string]bool{
		"127.0.0.1:80": true, "[::1]:80": true, "10.1.2.3:8484": true, "172.18.0.4:8484": true, "192.168.1.1:1": true,
		"[fd00::1]:80": true, "100.64.0.9:80": true, "[::ffff:10.0.0.1]:80": true,
		"8.8.8.8:80": false, "[2001:db8::1]:80": false, "[::ffff:8.8.8.8]:80": false, "100.128.0.1:80": false,
		"169.254.169.254:80": false, "172.32.0.1:80": false, "name:80": false, "": false,
		"[fe80::1%eth0]:80": false, "[fd00::1%eth0]:80": true, "[fc00::7]:80": true, "[fec0::1]:80": false, "[::]:80": false,
		"[::ffff:169.254.169.254]:80": false, "[64:ff9b::10.0.0.1]:80": false, "[64:ff9b::169.254.169.254]:80": false, "[2002:a00:1::1]:80": false,
	} {
		if err := Near.allow(t.Context(), "tcp", address, nil); (err == nil) != near {
			t.Errorf("near: %s: %v", address, err)
		}
		here := address == "127.0.0.1:80" || address == "[::1]:80"
		if err := Here.allow(t.Context(), "tcp", address, nil); (err == nil) != here {
			t.Errorf("here: %s: %v", address, err)
		}
	}
}

// What an answer says of a store's address leads to no place where clouds hand
// out credentials, in whatever clothes that comes.
func TestNotWhereCredentialsAre(t *testing.T) {
	for address, may := range map[string]bool{
		"10.1.2.3:443": true, "[fd00::1]:443": true, "[2001:db8::1]:443": true, "[64:ff9b::8.8.8.8]:443": true, "[::1]:443": true, "127.0.0.1:1": true,
		"169.254.169.254:80": false, "[fe80::1%eth0]:80": false, "[::ffff:169.254.169.254]:80": false, "[64:ff9b::169.254.169.254]:80": false,
		"[64:ff9b:1::169.254.169.254]:80": false, "[2002:a9fe:a9fe::]:80": false, "[fd00:ec2::254]:80": false, "[fd20:ce::254]:80": false, "name:80": false,
	} {
		if err := Routed.allow(t.Context(), "tcp", address, nil); (err == nil) != may {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// An exchange that may only go near reaches this machine, and no address that
// is not of this network. 192.0.2.1 is for documentation: nothing is sent.
func TestExchangeStaysNear(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		_, _ = rw.Write([]byte(`{"format":1,"ticket":"st1.x"}`))
	}))
	defer web.Close()
	for url, want := range map[string]error{web.URL: nil, "http://192.0.2.1:9": errFar} {
		c := NewClient(ClientOptions{URL: url, Ticket: func() string { return "of-the-hub" }, Reach: Near, Idle: time.Second})
		a, err := c.Exchange(t.Context())
		c.Close()
		if !errors.Is(err, want) || (want == nil) != (a.Ticket == "st1.x") {
			t.Errorf("%s: %+v, %v", url, a, err)
		}
	}
}
