package source

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// link is one SSH connection that gives up on a silent server, and ends with
// its context.
type link struct {
	host   string
	idle   time.Duration
	conn   net.Conn
	client *ssh.Client
	stop   func() bool // lets go of the context
	silent atomic.Bool // we hung up because of silence
}

// dialSSH connects and logs in. The handshake as a whole has the time of idle:
// a server that sends one byte now and then gets no more. by is the proxy, nil
// for none.
func dialSSH(ctx context.Context, by *url.URL, at address, config *ssh.ClientConfig, idle time.Duration) (*link, error) {
	conn, err := dial(ctx, by, at, idle)
	if err != nil {
		return nil, err
	}
	l := &link{host: at.hostName(), idle: idle, conn: conn}
	l.stop = context.AfterFunc(ctx, func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(idle))
	c, channels, requests, err := ssh.NewClientConn(promptWriter{conn, idle}, at.dial(), config)
	if err != nil {
		l.stop()
		conn.Close()
		return nil, l.explain(ctx, "the connection was being set up", err)
	}
	conn.SetDeadline(time.Time{})
	l.client = ssh.NewClient(c, channels, requests)
	return l, nil
}

// promptWriter gives each write a deadline. Reads have none: the SSH library
// always reads ahead, also while there is nothing to wait for (link.wait has
// the time for what we do wait for).
type promptWriter struct {
	net.Conn
	idle time.Duration
}

func (w promptWriter) Write(p []byte) (int, error) {
	w.SetWriteDeadline(time.Now().Add(w.idle))
	return w.Conn.Write(p)
}

// wait does something that waits for the server, and hangs up when that takes
// longer than idle.
func (l *link) wait(f func() error) error {
	timer := time.AfterFunc(l.idle, func() {
		l.silent.Store(true)
		l.conn.Close()
	})
	defer timer.Stop()
	return f()
}

func (l *link) quiet() bool { return l.silent.Load() }

// Close hangs up.
func (l *link) Close() error {
	l.stop()
	if l.client != nil {
		l.client.Close()
	}
	return l.conn.Close()
}

// explain turns an error of the connection into what happened: the context
// ended, the server was silent, or the connection broke.
func (l *link) explain(ctx context.Context, doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case l.silent.Load(), errors.Is(err, os.ErrDeadlineExceeded):
		return silentFault(l.host, l.idle, doing)
	}
	words := said(err.Error())
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		words = "it hung up"
	}
	return fault(Unreachable, err, "the connection to %s broke while %s (%s); it will be tried again", l.host, doing, words)
}

// unreachable is for a host to which there is no connection.
func unreachable(at address, err error) *Error {
	var dns *net.DNSError
	var op net.Error
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fault(Unreachable, err, "there is no host named %s; correct `repository`, or see whether this machine's DNS works", at.host)
	case errors.As(err, &op) && op.Timeout():
		return fault(Unreachable, err, "%s does not answer on port %d; it will be tried again. If this stays, see whether a firewall between lets SSH through", at.host, at.port)
	case strings.Contains(err.Error(), "refused"):
		return fault(Unreachable, err, "%s refuses connections on port %d; see whether its SSH server runs there", at.host, at.port)
	}
	return fault(Unreachable, err, "%s cannot be reached on port %d (%s); it will be tried again", at.host, at.port, said(err.Error()))
}
