package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"satchel/internal/strict"
)

// setDefaults fills what may be left out, and makes paths absolute.
func (c *Config) setDefaults() {
	text := func(v *string, or string) {
		if *v == "" {
			*v = or
		}
	}
	if c.Store.S3 == nil {
		text(&c.Store.Dir, "store")
	}
	// What depends on where a process runs, where the file leaves it to that.
	text(&c.PublicURL, os.Getenv("SATCHEL_PUBLIC_URL"))
	text(&c.SyncerURL, os.Getenv("SATCHEL_SYNCER_URL"))
	text(&c.Listen.Syncer, os.Getenv("SATCHEL_LISTEN_SYNCER"))
	text(&c.Listen.Webhooks, os.Getenv("SATCHEL_LISTEN_WEBHOOKS"))
	text(&c.Delivery, "service")
	text(&c.StateDir, "state")
	text(&c.ID, "satchel")
	text(&c.Listen.Students, ":8484")
	text(&c.Listen.Hub, "127.0.0.1:8485")
	text(&c.Listen.Control, filepath.Join(c.StateDir, "control.sock"))
	text(&c.Hub.Groups, "hub")
	text(&c.Privacy.Students, "names")
	text(&c.Secrets.PublicKeys, "secrets/signing.pub")
	text(&c.Secrets.Pseudonyms, "secrets/pseudonyms")
	list := func(v *[]string, or string) {
		if len(*v) == 0 {
			*v = []string{or}
		}
		for i, p := range *v {
			(*v)[i] = c.path(p)
		}
	}
	list(&c.Secrets.SigningKeys, "secrets/signing.pem")
	list(&c.Secrets.HookSecrets, "secrets/hook")
	list(&c.Secrets.TicketKeys, "secrets/ticket")
	list(&c.Secrets.Control, "secrets/control")
	for _, p := range []*string{&c.Store.Dir, &c.StateDir, &c.Listen.Control, &c.Secrets.PublicKeys, &c.Secrets.Pseudonyms, &c.Hub.TokenFile, &c.CAFile} {
		*p = c.path(*p)
	}
	c.URL, c.PublicURL = strings.TrimRight(c.URL, "/"), strings.TrimRight(c.PublicURL, "/")
	c.setNumbers()
}

func (c *Config) setNumbers() {
	number := func(v *int64, or int64) {
		if *v == 0 {
			*v = or
		}
	}
	number(&c.Cache.Size, 10e9)
	number(&c.Cache.FreeFloor, 1e9)
	if c.Limits.Streams == 0 {
		c.Limits.Streams = 4
	}
	if c.Privacy.Keep == 0 {
		c.Privacy.Keep = 180 * 24 * time.Hour
	}
}

var idForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// validate tells what is wrong, courses aside.
func (c *Config) validate() (ps strict.Problems) {
	check := func(field string, err error) {
		if err != nil {
			ps = append(ps, strict.Problem{Field: field, Reason: err.Error()})
		}
	}
	check("url", checkURL(c.URL, "where students' servers reach this service, for example http://satchel:8484"))
	if c.PublicURL != "" {
		check("public_url", checkURL(c.PublicURL, ""))
	}
	if !idForm.MatchString(c.ID) {
		check("id", fmt.Errorf("%q: only letters, digits, '-', '_' and '.', at most 64", strict.Cut(c.ID)))
	}
	check("listen.students", checkAddress(c.Listen.Students))
	check("listen.hub", checkAddress(c.Listen.Hub))
	if c.Listen.Students == c.Listen.Hub && !strings.HasSuffix(c.Listen.Hub, ":0") {
		check("listen.hub", errors.New("the same address as for students; they must not reach this one"))
	}
	if c.Listen.Syncer != "" {
		check("listen.syncer", checkAddress(c.Listen.Syncer))
	}
	if c.Listen.Webhooks != "" {
		check("listen.webhooks", checkAddress(c.Listen.Webhooks))
	}
	if c.SyncerURL != "" {
		check("syncer_url", checkURL(c.SyncerURL, ""))
	}
	check("store", c.Store.check())
	check("delivery", c.checkDelivery())
	if c.Hub.APIURL != "" {
		check("hub.api_url", checkURL(c.Hub.APIURL, ""))
		if c.Hub.TokenFile == "" {
			check("hub.token_file", errors.New("missing; the hub's API answers only with a token"))
		}
	}
	check("hub.groups", oneOf(c.Hub.Groups, "hub", "login"))
	check("privacy.students", oneOf(c.Privacy.Students, "names", "pseudonyms", "counts"))
	check("privacy.keep", between(c.Privacy.Keep, 24*time.Hour, 3660*24*time.Hour))
	if c.Cache.Size < 0 || c.Cache.Size < 10e6 {
		check("cache.size", errors.New("less than 10MB; a bundle would not fit"))
	}
	if c.Limits.Streams < 1 || c.Limits.Streams > 1000 {
		check("limits.streams", errors.New("not between 1 and 1000"))
	}
	return ps
}

func oneOf(word string, known ...string) error {
	for _, k := range known {
		if word == k {
			return nil
		}
	}
	if near := strict.Nearest(word, known); near != "" {
		return fmt.Errorf("%q is not known; did you mean %q?", strict.Cut(word), near)
	}
	return fmt.Errorf("%q is not known; known are %s", strict.Cut(word), strings.Join(known, ", "))
}

func between(d, least, most time.Duration) error {
	if d < least || d > most {
		return fmt.Errorf("not between %dd and %dd", least/(24*time.Hour), most/(24*time.Hour))
	}
	return nil
}

// checkURL accepts http and https with a host, perhaps a path.
func checkURL(s, missing string) error {
	u, err := url.Parse(s)
	switch {
	case s == "":
		return errors.New("missing; " + missing)
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return fmt.Errorf("%q is no address that begins with http:// or https://", strict.Cut(s))
	case u.User != nil:
		return errors.New("a name or password stands in the address; secrets stand only in files")
	case u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(s, "?") || strings.HasSuffix(s, "#"):
		return errors.New("an address without ? and # is needed")
	case u.Port() != "" && !validPort(u.Port()):
		return fmt.Errorf("%q is no port", u.Port())
	}
	return nil
}

// checkAddress accepts host:port; an empty host is every address of this
// machine, port 0 any free one.
func checkAddress(s string) error {
	host, port, err := net.SplitHostPort(s)
	switch {
	case err != nil:
		return fmt.Errorf("%q is no address; write host:port, for example 127.0.0.1:8485", strict.Cut(s))
	case port != "0" && !validPort(port):
		return fmt.Errorf("%q is no port", strict.Cut(port))
	case strings.ContainsAny(host, " /@"):
		return fmt.Errorf("%q is no host", strict.Cut(host))
	}
	if strings.Contains(host, ":") {
		if _, err := netip.ParseAddr(host); err != nil {
			return fmt.Errorf("%q is no host", strict.Cut(host))
		}
	}
	return nil
}

func validPort(p string) bool {
	n, err := strconv.ParseUint(p, 10, 16)
	return err == nil && n > 0
}

// checkDelivery refuses signed URLs of a store that has none.
func (c *Config) checkDelivery() error {
	if c.Delivery == "redirect" && c.Store.S3 == nil {
		return errors.New("redirect needs store.s3: nobody but this service can read a folder of this machine")
	}
	return oneOf(c.Delivery, "service", "redirect")
}

var bucketForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

func (s *Store) check() error {
	if s.S3 == nil {
		return nil
	}
	b := s.S3
	switch {
	case s.Dir != "":
		return errors.New("a folder and a bucket; keep one of them")
	case !bucketForm.MatchString(b.Bucket):
		return fmt.Errorf("s3: %q is no name of a bucket", strict.Cut(b.Bucket))
	case strings.HasPrefix(b.Prefix, "/") || strings.Contains(b.Prefix, "..") || strings.Contains(b.Prefix, "//"):
		return fmt.Errorf("s3: prefix %q: write names with single slashes between, none in front", strict.Cut(b.Prefix))
	}
	for _, e := range []struct{ key, url string }{{"endpoint", b.Endpoint}, {"students_endpoint", b.StudentsEndpoint}} {
		if e.url == "" {
			continue
		}
		if err := checkURL(e.url, ""); err != nil {
			return fmt.Errorf("s3: %s: %w", e.key, err)
		}
	}
	return nil
}
