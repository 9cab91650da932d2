package hook

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"satchel/internal/roots"
)

func parseBase(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("%s=%.200q is no http or https address", EnvURL, text)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%s must hold only scheme, host, port and path", EnvURL)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u, nil
}

func newHTTP(o ClientOptions) (*http.Client, error) {
	t := &http.Transport{
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
		MaxConnsPerHost:        8,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        50 * time.Second, // below the service's own
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true, // also with roots of its own or a reach, which would else keep it to HTTP/1
	}
	if o.Reach != Anywhere {
		t.DialContext = (&net.Dialer{Timeout: 10 * time.Second, ControlContext: o.Reach.allow}).DialContext
	}
	if o.Proxy != "" {
		u, err := url.Parse(o.Proxy)
		if err != nil || u.Host == "" {
			return nil, errors.New("SATCHEL_PROXY is no address of a proxy, such as http://proxy:3128")
		}
		t.Proxy = http.ProxyURL(u)
	}
	if o.CAFile == "" {
		return &http.Client{Transport: t}, nil
	}
	rt, err := roots.Follow(o.CAFile, readRoots, t)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: rt}, nil
}

func readRoots(file string) (*x509.CertPool, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("SATCHEL_CA_FILE: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 4<<20))
	if err != nil {
		return nil, fmt.Errorf("SATCHEL_CA_FILE: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("SATCHEL_CA_FILE: %s holds no certificate", file)
	}
	return pool, nil
}
