//go:build e2e

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// siteName is the host name of the town, which the test's own DNS leads here.
const siteName = "hub.satchel.test"

// authority is pebble, a small ACME authority for tests. It looks whether who
// asks for a certificate has the name, by HTTP or TLS, as Let's Encrypt does.
type authority struct {
	directory string         // as Caddy reaches it
	caFile    string         // whom Caddy must trust to talk to it
	roots     *x509.CertPool // who signs its certificates
}

func (w *town) authority() *authority {
	w.t.Helper()
	dir := filepath.Join(w.dir, "pebble")
	must(w.t, os.MkdirAll(dir, 0o755))
	gateway := w.gateway(project + "_front")
	caFile, cert, key := ownCertificate(w, dir, gateway)
	port := func(setting string) int {
		_, p, err := net.SplitHostPort(w.settingOf(setting))
		must(w.t, err)
		var n int
		fmt.Sscan(p, &n)
		return n
	}
	acme, management, dns := freePort(w.t), freePort(w.t), freePort(w.t)
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": fmt.Sprintf("%s:%d", gateway, acme), "managementListenAddress": fmt.Sprintf("127.0.0.1:%d", management),
		"certificate": cert, "privateKey": key, "httpPort": port("SATCHEL_HTTP"), "tlsPort": port("SATCHEL_HTTPS"),
		"profiles": map[string]any{"default": map[string]any{"description": "test", "validityPeriod": 86400}},
	}})
	must(w.t, err)
	write(w.t, filepath.Join(dir, "config.json"), string(config))
	tools := os.Getenv("SATCHEL_TOOLS")
	start(w.t, dir, nil, filepath.Join(tools, "pebble-challtestsrv"), "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "",
		"-dnsserver", fmt.Sprintf("127.0.0.1:%d", dns), "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-management", fmt.Sprintf("127.0.0.1:%d", freePort(w.t)))
	eventually(w.t, 10*time.Second, "the test's DNS", func() error {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", dns))
		if err == nil {
			c.Close()
		}
		return err
	})
	start(w.t, dir, []string{"PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0"}, filepath.Join(tools, "pebble"),
		"-config", filepath.Join(dir, "config.json"), "-dnsserver", fmt.Sprintf("127.0.0.1:%d", dns))
	a := &authority{directory: fmt.Sprintf("https://%s:%d/dir", gateway, acme), caFile: caFile, roots: x509.NewCertPool()}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(readFile(w.t, caFile)))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	eventually(w.t, 20*time.Second, "pebble", func() error {
		resp, err := client.Get(fmt.Sprintf("https://127.0.0.1:%d/roots/0", management))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err == nil && !a.roots.AppendCertsFromPEM(text) {
			err = fmt.Errorf("no root in %q", text)
		}
		return err
	})
	return a
}

// ownCertificate makes one for pebble's own address.
func ownCertificate(w *town, dir, gateway string) (caFile, certFile, keyFile string) {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(w.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the test's pebble"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.ParseIP(gateway), net.ParseIP("127.0.0.1")},
		IsCA:        true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(w.t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(w.t, err)
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(w.t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(w.t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	return certFile, certFile, keyFile
}

// cookies notes what a browser is told to keep.
type cookies struct {
	next http.RoundTripper
	mu   sync.Mutex
	seen []*http.Cookie
}

func (c *cookies) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	if err == nil {
		c.mu.Lock()
		c.seen = append(c.seen, resp.Cookies()...)
		c.mu.Unlock()
	}
	return resp, err
}

// https changes the site to a host name, as an administrator would, with the
// test's authority in Let's Encrypt's place.
func (w *town) https() string {
	a := w.authority()
	w.setting("SATCHEL_SITE="+siteName, "SATCHEL_ACME_CA="+a.directory, "SATCHEL_REMOVE=yes")
	override := filepath.Join(w.dir, "authority.yml")
	write(w.t, override, "services:\n  https:\n    environment: {SSL_CERT_FILE: /authority.pem}\n    volumes: ['"+a.caFile+":/authority.pem:ro']\n")
	w.compose("-f", "docker-compose.yml", "-f", override, "up", "-d", "--no-build", "--no-deps", "https", "hub")
	w.healthy(w.service("hub"))
	began := time.Now()
	seen := &cookies{next: w.leadsHere(a)}
	ana := (&hub{t: w.t, url: "https://" + siteName}).person("ana")
	ana.client.Transport = seen
	eventually(w.t, time.Minute, "a certificate", func() error {
		got, err := ana.try(http.MethodGet, "/hub/login", nil)
		if err == nil && got.code != http.StatusOK {
			err = fmt.Errorf("%d", got.code)
		}
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, tail(w.logs(w.service("https")), 1500))
		}
		return err
	})
	took := time.Since(began)
	if got := w.loginWith(ana, hubPassword); got != http.StatusFound {
		w.t.Fatalf("login over https: %d", got)
	}
	w.stop(ana) // the server of plain HTTP
	ana.spawn("")
	if got := ana.follow("/user/ana/lab"); got.code != http.StatusOK || !strings.HasPrefix(got.location, "https://"+siteName+"/user/ana/lab") {
		w.t.Errorf("%s: %d", got.location, got.code)
	}
	plain := (&hub{t: w.t, url: "http://" + siteName}).person("ana")
	plain.client.Transport = w.leadsHere(a)
	if got := plain.do(http.MethodPost, "/hub/login?x=1", url.Values{}); got.code != http.StatusPermanentRedirect || got.location != "https://"+siteName+"/hub/login?x=1" {
		w.t.Errorf("http leads to %d %s", got.code, got.location)
	}
	if len(seen.seen) < 4 {
		w.t.Errorf("only %d cookies", len(seen.seen))
	}
	for _, c := range seen.seen {
		if c.MaxAge >= 0 && c.Value != "" && !c.Secure {
			w.t.Errorf("the cookie %s (%s) is not Secure", c.Name, c.Path)
		}
	}
	return fmt.Sprintf("certificate after %.1f s, %d cookies", took.Seconds(), len(seen.seen))
}

// leadsHere is a browser's network in which the site's name is this machine.
func (w *town) leadsHere(a *authority) http.RoundTripper {
	to := map[string]string{siteName + ":80": w.settingOf("SATCHEL_HTTP"), siteName + ":443": w.settingOf("SATCHEL_HTTPS")}
	return &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: a.roots},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, to[addr])
		},
	}
}
