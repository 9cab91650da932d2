package source

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"slices"
	"time"

	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"satchel/internal/small"
)

const maxKnownHosts = 1 << 20

// pins are what known_hosts says of one host.
type pins struct {
	file       string
	host       string
	check      ssh.HostKeyCallback
	algorithms []string
	refused    error // set when the host showed another key
}

// readPins reads the known_hosts file, and refuses one that says nothing of
// the host before a connection is made.
func readPins(file string, at address) (*pins, error) {
	if file == "" {
		return nil, fault(WrongHostKey, nil, "no known_hosts file is set, so %s cannot be told from an impostor; run `satchel course hostkey`, and name the file in `known_hosts_file`", at.hostName())
	}
	if _, err := small.ReadFile(file, maxKnownHosts); err != nil {
		hint := "see that the user that runs Satchel can read it"
		if errors.Is(err, os.ErrNotExist) {
			hint = "run `satchel course hostkey` to make it"
		}
		return nil, fault(WrongHostKey, err, "the host keys in %s cannot be read (%v); %s", file, err, hint)
	}
	db, err := gitssh.NewKnownHostsDb(file)
	if err != nil {
		return nil, fault(WrongHostKey, err, "the host keys cannot be read: %v; correct that line, or run `satchel course hostkey` to write it anew", err)
	}
	p := &pins{file: file, host: at.hostName()}
	// The algorithms must be those of the pinned keys: a client that asks for
	// another kind first is shown a key that is not pinned, and refuses it.
	p.algorithms = slices.DeleteFunc(db.HostKeyAlgorithms(at.dial()), func(a string) bool {
		return a == ssh.KeyAlgoRSA // SHA-1; the same key serves with SHA-2
	})
	if len(p.algorithms) == 0 {
		return nil, fault(WrongHostKey, nil, "%s holds no key of %s; run `satchel course hostkey`, and compare the fingerprint with the one that the host publishes", file, p.host)
	}
	known := db.HostKeyCallback()
	p.check = func(hostname string, remote net.Addr, key ssh.PublicKey) error {
		err := known(hostname, remote, key)
		if err != nil {
			p.refused = p.wrongKey(key, err)
		}
		return err
	}
	return p, nil
}

func (p *pins) wrongKey(key ssh.PublicKey, err error) *Error {
	var revoked *knownhosts.RevokedError
	if errors.As(err, &revoked) {
		return fault(WrongHostKey, err, "%s shows a host key (%s) that %s marks as revoked; nothing was sent to it. Ask who runs the host", p.host, ssh.FingerprintSHA256(key), p.file)
	}
	return fault(WrongHostKey, err, "the host key of %s (%s %s) is not the one in %s; nothing was sent to it. If the host announced a new key, run `satchel course hostkey` and compare the fingerprint; if not, somebody may be in between",
		p.host, key.Type(), ssh.FingerprintSHA256(key), p.file)
}

// noCommonKind is for a host that has no key of a kind that is pinned.
func (p *pins) noCommonKind(err error) *Error {
	return fault(WrongHostKey, err, "%s has no host key of a kind that %s holds (%v); if the host announced a new key, run `satchel course hostkey` and compare the fingerprint", p.host, p.file, p.algorithms)
}

// HostKey is one key that a host shows.
type HostKey struct {
	Line        string // for known_hosts
	Type        string // as in ssh-ed25519
	Fingerprint string // as in SHA256:…
}

// hostKeyKinds are asked for one at a time, the best first: a host shows only
// one key in a handshake.
var hostKeyKinds = [][]string{
	{ssh.KeyAlgoED25519},
	{ssh.KeyAlgoECDSA256},
	{ssh.KeyAlgoECDSA384},
	{ssh.KeyAlgoECDSA521},
	{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256},
}

// scanIdle is how long a host may say nothing while it is scanned.
const scanIdle = 10 * time.Second

// ScanHostKeys asks a repository's host for its keys, for a person to compare
// with what the host publishes: what is shown here may come from anybody in
// between. It logs in nowhere. The host is named as known_hosts names it; proxy
// is Remote.Proxy.
func ScanHostKeys(ctx context.Context, address, proxy string) (host string, keys []HostKey, err error) {
	at, err := parseAddress(address)
	if err != nil {
		return "", nil, err
	}
	by, err := parseProxy(proxy)
	if err != nil {
		return "", nil, err
	}
	if at.local != "" {
		return "", nil, fault(WrongHostKey, nil, "%s is a folder of this machine; it has no host key", at.local)
	}
	if at.https {
		return "", nil, fault(WrongHostKey, nil, "%s is asked over HTTPS; its certificate says who it is, and there is no host key to pin", at.hostName())
	}
	for _, kind := range hostKeyKinds {
		key, err := scan(ctx, by, at, kind)
		switch {
		case err != nil:
			return at.hostName(), nil, err
		case key != nil:
			keys = append(keys, HostKey{
				Line: knownhosts.Line([]string{at.hostName()}, key), Type: key.Type(), Fingerprint: ssh.FingerprintSHA256(key),
			})
		}
	}
	if len(keys) == 0 {
		return at.hostName(), nil, fault(WrongHostKey, nil, "%s shows no host key of a kind that is known here", at.hostName())
	}
	return at.hostName(), keys, nil
}

// errSeen ends a handshake when the key was seen.
var errSeen = errors.New("seen")

// scan gives the host's key of one kind, nil where it has none.
func scan(ctx context.Context, by *url.URL, at address, kind []string) (seen ssh.PublicKey, err error) {
	config := &ssh.ClientConfig{
		User: at.user, HostKeyAlgorithms: kind,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			seen = key
			return errSeen
		},
	}
	l, err := dialSSH(ctx, by, at, config, scanIdle)
	if err == nil {
		l.Close()
	}
	var none *ssh.AlgorithmNegotiationError
	if seen != nil || errors.As(err, &none) {
		return seen, nil
	}
	return nil, err
}
