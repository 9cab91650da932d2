package source

import (
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/ssh/knownhosts"
)

// address is where a repository is: a folder of this machine, or a path on a
// host that speaks SSH or HTTPS.
type address struct {
	local string // absolute folder, or ""
	https bool

	user, host string
	port       int
	path       string // as the server gets it
}

// IsLocal says whether url names a folder of this machine.
func IsLocal(url string) bool {
	a, err := parseAddress(url)
	return err == nil && a.local != ""
}

// dial is the address to connect to.
func (a address) dial() string { return net.JoinHostPort(a.host, strconv.Itoa(a.port)) }

// hostName is the host as known_hosts writes it: with its port where that is
// not 22 (or, for HTTPS, 443).
func (a address) hostName() string {
	if a.https {
		return strings.TrimSuffix(a.dial(), ":443")
	}
	return knownhosts.Normalize(a.dial())
}

// url is where an HTTPS host answers for the repository, without a user.
func (a address) url() string {
	return (&url.URL{Scheme: "https", Host: a.hostName(), Path: "/" + strings.Trim(a.path, "/")}).String()
}

// String is the address as a person would write it.
func (a address) String() string {
	switch {
	case a.local != "":
		return a.local
	case a.https:
		return a.url()
	case a.port != 22 || strings.HasPrefix(a.path, "/"):
		return "ssh://" + a.user + "@" + strings.TrimSuffix(a.dial(), ":22") + "/" + strings.TrimPrefix(a.path, "/")
	}
	return a.user + "@" + a.host + ":" + a.path
}

// parseAddress reads the forms of Remote.URL, and refuses all others with a
// sentence.
func parseAddress(raw string) (a address, err error) {
	switch {
	case raw == "":
		return a, fault(Repository, nil, "no repository is named; set `repository` to its SSH address, as in git@github.com:school/course.git")
	case len(raw) > 2048 || !utf8.ValidString(raw) || strings.ContainsFunc(raw, unicode.IsControl):
		return a, fault(Repository, nil, "%.60q cannot be the address of a repository: it is too long, or holds control characters", raw)
	case strings.HasPrefix(raw, "/"):
		return address{local: filepath.Clean(raw)}, nil
	case strings.Contains(raw, "://"):
		a, err = parseURL(raw)
	default:
		a, err = parseShort(raw)
	}
	if err == nil && a.local == "" {
		err = a.check(raw)
	}
	return a, err
}

func parseURL(raw string) (a address, err error) {
	u, err := url.Parse(raw)
	if err != nil {
		// Not err itself: it repeats the address, and with it a password.
		return a, fault(Repository, nil, "the repository's address cannot be read as a URL; write it as in git@github.com:school/course.git")
	}
	shown := u.Redacted()
	switch u.Scheme {
	case "file":
		if (u.Host != "" && u.Host != "localhost") || !strings.HasPrefix(u.Path, "/") {
			return a, fault(Repository, nil, "%s: a file:// address needs an absolute path, as in file:///srv/git/course.git", shown)
		}
		return address{local: filepath.Clean(u.Path)}, nil
	case "ssh", "https":
	case "http":
		return a, fault(Repository, nil, "%s: http:// is neither encrypted nor does the host prove who it is; use https://, or the SSH address (git@%s:…) with a deploy key", shown, u.Hostname())
	case "git":
		return a, fault(Repository, nil, "%s: git:// is neither encrypted nor authenticated; use the SSH address (git@%s:…) with a deploy key", shown, u.Hostname())
	default:
		return a, fault(Repository, nil, "%s: %s:// is not supported; use the SSH address, as in git@github.com:school/course.git", shown, u.Scheme)
	}
	if _, has := u.User.Password(); has {
		return a, fault(Repository, nil, "%s: the address holds a password; take it out, and use a deploy key (`deploy_key_file`) or a token (`token_file`)", shown)
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return a, fault(Repository, nil, "%s: a repository's address has no ? or # part; the branch is set by `branch`", shown)
	}
	a = address{https: u.Scheme == "https", user: u.User.Username(), host: u.Hostname(), port: 22, path: u.Path}
	if a.https {
		a.port = 443
	}
	if p := u.Port(); p != "" {
		if a.port, err = strconv.Atoi(p); err != nil || a.port < 1 || a.port > 65535 {
			return a, fault(Repository, nil, "%s: %s is no port", shown, p)
		}
	}
	if !a.https && strings.HasPrefix(a.path, "/~") { // somebody's home, as git reads it
		a.path = a.path[1:]
	}
	return a, nil
}

// parseShort reads [user@]host:path, as scp(1) writes it; [host]:path and
// [host:port]:path too.
func parseShort(raw string) (a address, err error) {
	user, rest, found := strings.Cut(raw, "@")
	if !found {
		user, rest = "", raw
	}
	a = address{user: user, port: 22}
	if strings.HasPrefix(rest, "[") {
		inner, after, closed := strings.Cut(rest[1:], "]")
		if !closed || !strings.HasPrefix(after, ":") {
			return a, notAnAddress(raw)
		}
		a.host, a.path = inner, after[1:]
		if host, port, err := net.SplitHostPort(inner); err == nil && net.ParseIP(inner) == nil {
			if a.port, err = strconv.Atoi(port); err != nil || a.port < 1 || a.port > 65535 {
				return a, notAnAddress(raw)
			}
			a.host = host
		}
		return a, nil
	}
	var colon bool
	a.host, a.path, colon = strings.Cut(rest, ":")
	// host::x is how git writes "run the helper called host".
	if !colon || strings.Contains(a.host, "/") || strings.HasPrefix(a.path, ":") {
		return a, notAnAddress(raw)
	}
	return a, nil
}

func notAnAddress(raw string) *Error {
	return fault(Repository, nil, "%q is no address of a repository; write an SSH address (git@github.com:school/course.git, or ssh://git@host:2222/course.git), or the absolute path of a folder", raw)
}

// check refuses what could mean something else to a server or a log than the
// name of a repository, and fills in the user.
func (a *address) check(raw string) error {
	if a.user == "" && !a.https {
		a.user = "git"
	}
	odd := func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune(`"'\$;&|<>(){}*?!#@,/`+"`", r)
	}
	switch {
	case a.host == "" || strings.HasPrefix(a.host, "-") || strings.ContainsFunc(a.host, odd):
		return notAnAddress(raw)
	case strings.HasPrefix(a.user, "-") || strings.ContainsFunc(a.user, odd):
		return notAnAddress(raw)
	case strings.Trim(a.path, "/") == "" || strings.HasPrefix(a.path, "-"):
		return fault(Repository, nil, "%q names a host, but no repository on it; write it as in git@github.com:school/course.git", raw)
	}
	return nil
}
