package roots

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"sync"
	"time"
)

// Follow is t with the authorities that read finds in file, looked at before
// each request: a process that runs for a week must live through the change of
// an authority. With a file that cannot be read any more, or holds none, the
// former ones stay. t itself is not used, and must not be changed afterwards.
func Follow(file string, read func(file string) (*x509.CertPool, error), t *http.Transport) (http.RoundTripper, error) {
	f := &follower{file: file, read: read, like: t}
	return f, f.look()
}

type follower struct {
	file string
	read func(file string) (*x509.CertPool, error)
	like *http.Transport

	mu   sync.Mutex
	seen print
	now  *http.Transport
}

// print changes with a file.
type print struct {
	at   time.Time
	size int64
}

func (f *follower) RoundTrip(r *http.Request) (*http.Response, error) {
	_ = f.look() // the former authorities stay
	f.mu.Lock()
	t := f.now
	f.mu.Unlock()
	return t.RoundTrip(r)
}

// CloseIdleConnections is what http.Client looks for.
func (f *follower) CloseIdleConnections() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now.CloseIdleConnections()
}

// look makes a new transport where the file changed. Requests under way end on
// the former one's connections.
func (f *follower) look() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var seen print
	info, err := os.Stat(f.file)
	if err == nil {
		seen = print{info.ModTime(), info.Size()}
	}
	if f.now != nil && (err != nil || seen == f.seen) {
		return err
	}
	pool, err := f.read(f.file)
	if err != nil {
		return err // and tried again at the next request: it may be half written
	}
	t := f.like.Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	if f.now != nil {
		f.now.CloseIdleConnections()
	}
	f.now, f.seen = t, seen
	return nil
}
