package source

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"golang.org/x/crypto/ssh"
)

// Writing is whether a host lets a key or token push.
type Writing string

// What a host does where a push begins.
const (
	Refused Writing = "refused" // it lets it read alone
	LetIn   Writing = "let_in"  // it would take a push
	// Unknown is a plain SSH server: it begins for whoever may log in, and
	// whether the repository's files can be written shows only later.
	Unknown Writing = "unknown"
)

// WriteCheck is one key or token, and what the host does when it would push.
type WriteCheck struct {
	By      string // the key or token, by its file
	Writing Writing
	Words   string // the host's, or why it cannot be told
}

// CheckWriting tries, for each key or token that the host lets in, whether it
// may push: it begins a push, reads what the host says first, and hangs up.
// Nothing is sent. Nothing comes back for a repository of this machine.
func (m *Mirror) CheckWriting(ctx context.Context) ([]WriteCheck, error) {
	switch {
	case m.at.local != "":
		return nil, nil
	case m.at.https:
		return m.webWriting(ctx)
	}
	return m.sshWriting(ctx)
}

func (m *Mirror) sshWriting(ctx context.Context) (all []WriteCheck, err error) {
	pins, by, keys, err := m.sshWay()
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		l, err := m.logIn(ctx, by, pins, key)
		if is(err, DeployKey) {
			continue // it can do nothing there
		}
		if err != nil {
			return all, err
		}
		c, err := l.receivePack(ctx, m.at)
		l.Close()
		if err != nil {
			return all, err
		}
		c.By = "the deploy key " + describe([]deployKey{key})
		all = append(all, c)
	}
	return all, nil
}

// maxFirst is how much is read of what a host says first.
const maxFirst = 64 << 10

// receivePack begins a push and reads the host's first packet.
func (l *link) receivePack(ctx context.Context, at address) (c WriteCheck, err error) {
	s := &session{link: l}
	words := &firstWords{}
	var first []byte
	var came bool
	err = l.wait(func() (err error) {
		if s.ssh, err = l.client.NewSession(); err != nil {
			return err
		}
		s.ssh.Stderr = words
		if s.in, err = s.ssh.StdinPipe(); err != nil {
			return err
		}
		out, err := s.ssh.StdoutPipe()
		if err != nil {
			return err
		}
		if err := s.ssh.Start("git-receive-pack " + quote(at.path)); err != nil {
			return err
		}
		packets := pktline.NewScanner(io.LimitReader(out, maxFirst))
		came = packets.Scan()
		first = packets.Bytes()
		return packets.Err()
	})
	var denied *ssh.ExitError
	switch {
	case came:
		defer s.ssh.Close()
		return l.judge(string(first)), nil
	case s.ssh != nil && !l.quiet() && ctx.Err() == nil && errors.As(l.wait(s.ssh.Wait), &denied):
		return WriteCheck{Writing: Refused, Words: said(words.String())}, nil
	case err == nil:
		err = io.ErrUnexpectedEOF
	}
	return c, l.explain(ctx, "a push was begun, to see whether it is refused", err)
}

// judge reads what a host says first in a push.
func (l *link) judge(first string) WriteCheck {
	if words, no := strings.CutPrefix(first, "ERR "); no {
		return WriteCheck{Writing: Refused, Words: said(words)}
	}
	if !strings.Contains(first, "report-status") { // which every git-receive-pack offers
		return WriteCheck{Writing: Refused, Words: "it begins something else, whatever is asked of it"}
	}
	server := string(l.client.ServerVersion())
	if strings.Contains(server, "OpenSSH") {
		return WriteCheck{Writing: Unknown, Words: "an OpenSSH server begins a push for whoever may log in"}
	}
	return WriteCheck{Writing: LetIn, Words: said(server)}
}

func (m *Mirror) webWriting(ctx context.Context) (all []WriteCheck, err error) {
	client, err := m.client()
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	logins, err := m.logins(ctx, client)
	if err != nil {
		return nil, err
	}
	for _, l := range logins {
		c, err := m.webReceivePack(ctx, client, l)
		if err != nil {
			return all, err
		}
		all = append(all, c)
	}
	return all, nil
}

// webReceivePack asks how a push would begin (gitprotocol-http(5)).
func (m *Mirror) webReceivePack(ctx context.Context, client *http.Client, l login) (WriteCheck, error) {
	w := m.webOf(ctx, client, l)
	defer w.hangUp()
	c := WriteCheck{By: l.name, Writing: LetIn}
	_, err := w.request(http.MethodGet, "/info/refs?service=git-receive-pack", "", nil, "application/x-git-receive-pack-advertisement")
	if w.body != nil {
		w.body.Close()
	}
	switch {
	case err == nil:
	case w.status == http.StatusUnauthorized, w.status == http.StatusForbidden:
		c.Writing, c.Words = Refused, http.StatusText(w.status)
	case w.status != 0:
		c.Writing, c.Words = Unknown, "it answers "+http.StatusText(w.status)
	default:
		return c, w.explain(ctx, "a push was begun, to see whether it is refused", err)
	}
	return c, nil
}
