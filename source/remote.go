package source

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/crypto/ssh"
)

func (m *Mirror) remoteTip(ctx context.Context) (plumbing.Hash, error) {
	t, err := m.connect(ctx)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	defer t.Close()
	return m.branch(t.refs.heads)
}

// branch finds the tip of the branch among those that exist.
func (m *Mirror) branch(heads map[string]plumbing.Hash) (plumbing.Hash, error) {
	if tip, ok := heads[m.remote.Branch]; ok && !tip.IsZero() {
		return tip, nil
	}
	if len(heads) == 0 {
		return plumbing.ZeroHash, fault(Empty, nil, "the repository %s is empty; push a first commit to the branch %s", m.at, m.remote.Branch)
	}
	return plumbing.ZeroHash, fault(Branch, nil, "the repository %s has no branch %s; it has %s. Correct `branch`", m.at, m.remote.Branch,
		nearest(m.remote.Branch, slices.Collect(maps.Keys(heads))))
}

// connect opens a conversation with the first key that is let in. A host may
// accept a key and still not show the repository (it belongs to another one):
// then the next key gets its chance too.
func (m *Mirror) connect(ctx context.Context) (*talk, error) {
	if m.at.https {
		return m.connectWeb(ctx)
	}
	pins, by, keys, err := m.sshWay()
	if err != nil {
		return nil, err
	}
	var refused error
	for i, key := range keys {
		t, err := m.connectWith(ctx, by, pins, key)
		if err == nil {
			m.sayKey(i, key)
			return t, nil
		}
		if !is(err, DeployKey, Repository) {
			return nil, err
		}
		m.lg.Debug("deploy key not let in", "key", key.file, "fingerprint", key.fingerprint(), "error", err)
		if refused == nil || is(err, Repository) {
			refused = err
		}
	}
	if is(refused, DeployKey) {
		return nil, refusedKeys(m.at.hostName(), keys, errors.Unwrap(refused))
	}
	return nil, notShown(refused, keys)
}

// sayKey logs which key works, louder where it is not the first: then a
// rotation is under way, or one was forgotten.
func (m *Mirror) sayKey(i int, key deployKey) {
	m.mu.Lock()
	m.worked = describe([]deployKey{key})
	m.mu.Unlock()
	if i == 0 {
		m.lg.Debug("deploy key works", "key", key.file, "fingerprint", key.fingerprint())
		return
	}
	m.lg.Warn("an earlier deploy key was not let in; this one works", "key", key.file, "fingerprint", key.fingerprint())
}

// notShown adds what the key has to do with it: hosts say "not found" for a
// repository to which the key does not belong.
func notShown(err error, keys []deployKey) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	return fault(Repository, e.Err, "%s, and whether the deploy key %s is one of that repository's", e.Sentence, describe(keys))
}

// sshWay is how the host is reached, as it is configured now.
func (m *Mirror) sshWay() (*pins, *url.URL, []deployKey, error) {
	pins, err := readPins(m.remote.KnownHostsFile, m.at)
	if err != nil {
		return nil, nil, nil, err
	}
	keys, problems, err := readKeys(m.remote.KeyFiles)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, p := range problems {
		m.lg.Warn("deploy key left out", "error", p)
	}
	by, err := m.remote.proxy()
	return pins, by, keys, err
}

func (m *Mirror) connectWith(ctx context.Context, by *url.URL, pins *pins, key deployKey) (*talk, error) {
	l, err := m.logIn(ctx, by, pins, key)
	if err != nil {
		return nil, err
	}
	t, err := l.uploadPack(ctx, m.at)
	if err != nil {
		l.Close()
		return nil, err
	}
	return t, nil
}

func (m *Mirror) logIn(ctx context.Context, by *url.URL, pins *pins, key deployKey) (*link, error) {
	pins.refused = nil
	l, err := dialSSH(ctx, by, m.at, &ssh.ClientConfig{
		User: m.at.user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key.signer)},
		HostKeyCallback: pins.check, HostKeyAlgorithms: pins.algorithms,
		ClientVersion: "SSH-2.0-satchel",
	}, m.idle)
	if err != nil {
		return nil, loginFault(pins, key, err)
	}
	return l, nil
}

// loginFault says why a handshake ended.
func loginFault(pins *pins, key deployKey, err error) error {
	var none *ssh.AlgorithmNegotiationError
	switch {
	case pins.refused != nil:
		return pins.refused
	case errors.As(err, &none) && strings.Contains(err.Error(), "host key"):
		return pins.noCommonKind(err)
	case strings.Contains(err.Error(), "unable to authenticate"): // the library has no type for it
		return refusedKeys(pins.host, []deployKey{key}, err)
	}
	return err
}

// remoteAt finds the commit in the mirror, or fetches it. What is damaged is
// replaced by a fresh clone.
func (m *Mirror) remoteAt(ctx context.Context, want plumbing.Hash) (*Tree, error) {
	unlock, err := m.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	c := m.newestClone()
	if c != nil {
		tree, err := m.read(c, want)
		if err == nil || is(err, Folder) {
			return tree, err
		}
		if errors.Is(err, errAbsent) {
			tree, err = m.update(ctx, c, want)
		}
		if !is(err, Broken) {
			return tree, err
		}
		m.lg.Warn("the mirror is damaged; it is cloned anew", "clone", c.dir, "error", errors.Unwrap(err))
	}
	fresh, err := m.freshClone(ctx)
	if is(err, Disk) && c != nil { // a damaged clone may make room
		m.sweep(nil)
		fresh, err = m.freshClone(ctx)
	}
	if err != nil {
		return nil, err
	}
	return m.readFetched(fresh, want)
}

// update fetches what is new into a clone, or clones anew where the clone is
// worn: nothing collects garbage in it.
func (m *Mirror) update(ctx context.Context, c *clone, want plumbing.Hash) (*Tree, error) {
	if c.worn() {
		m.lg.Info("the mirror has grown; it is cloned anew", "clone", c.dir)
		fresh, err := m.freshClone(ctx)
		if err == nil {
			return m.readFetched(fresh, want)
		}
		if !is(err, Disk) {
			return nil, err
		}
		m.lg.Warn("no room for a fresh clone; the old one serves on", "error", err)
	}
	if err := m.fetch(ctx, c); err != nil {
		return nil, err
	}
	m.sweep(c)
	return m.readFetched(c, want)
}

// readFetched reads after a fetch: a commit that is not here now is no longer
// on the branch.
func (m *Mirror) readFetched(c *clone, want plumbing.Hash) (*Tree, error) {
	tree, err := m.read(c, want)
	if errors.Is(err, errAbsent) {
		return nil, ErrMoved
	}
	return tree, err
}

// freshClone makes a new clone beside the others, and then lets those go that
// nobody reads any more.
func (m *Mirror) freshClone(ctx context.Context) (*clone, error) {
	c, err := m.newClone()
	if err != nil {
		return nil, m.diskOr(err)
	}
	if err := m.fetch(ctx, c); err != nil {
		c.remove()
		return nil, err
	}
	m.sweep(c)
	return c, nil
}

// fetch brings the branch's tip and all that it needs into the clone.
func (m *Mirror) fetch(ctx context.Context, c *clone) error {
	start := time.Now()
	t, err := m.connect(ctx)
	if err != nil {
		return err
	}
	defer t.Close()
	tip, err := m.branch(t.refs.heads)
	if err != nil {
		return err
	}
	haves, err := c.haves()
	if err != nil {
		return m.broken(err)
	}
	before := t.raw.n
	pack, err := t.pack(tip, haves)
	if err == nil {
		err = c.take(pack, tip)
	}
	if err != nil {
		return m.fetchFault(ctx, t, err)
	}
	m.lg.Info("fetched", "commit", tip.String(), "bytes", t.raw.n-before, "seconds", time.Since(start).Seconds(), "whole", len(haves) == 0)
	return nil
}

// fetchFault says why a fetch ended: by the wire, by our disk, or by what was
// sent.
func (m *Mirror) fetchFault(ctx context.Context, t *talk, err error) error {
	var disk *Error
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case t.wire.quiet():
		return t.wire.explain(ctx, "sending the repository", err)
	case errors.As(m.diskOr(err), &disk):
		return disk
	}
	words := serverSaid(err)
	if words == "" && t.raw.err != nil {
		words = t.words.String()
	}
	switch {
	case words != "":
		return fault(Unreachable, err, "%s stopped sending the repository (it says: %s); it will be tried again", m.at.hostName(), said(words))
	case t.raw.err != nil:
		return t.wire.explain(ctx, "the repository was being sent", t.raw.err)
	}
	return m.broken(err)
}

// diskOr is an *Error where err is one of the disk, else err.
func (m *Mirror) diskOr(err error) error {
	if e := diskFault(m.dir, err); e != nil {
		return e
	}
	return err
}

// broken is for bytes that are no whole repository.
func (m *Mirror) broken(err error) *Error {
	return fault(Broken, err, "what %s sent is not a whole repository (%s); it will be fetched anew. If this stays, run `git fsck` in the repository itself", m.at.hostName(), said(err.Error()))
}
