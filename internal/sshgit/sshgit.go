// Package sshgit owns a small SSH server that serves git repositories: for
// `satchel try`, and for tests. It is a real SSH server (golang.org/x/crypto)
// that runs the machine's real git, so a client cannot tell it from a git
// host; go-git's own server side knows no shallow clones and fails after a
// force-push.
//
// It promises to run nothing but `git upload-pack` (and `git receive-pack`
// where Options.AllowPush says so) on the repositories it was given, for the
// keys it was given; to listen on loopback unless told otherwise; to bound
// connections, commands and waiting; and to have ended every process that it
// started when Close returns. It is no git host: it keeps no accounts and no
// permissions per branch.
package sshgit

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"satchel/internal/listen"
)

const (
	maxConnections   = 32               // at once; more are closed at once
	maxCommands      = 8                // at once on one connection
	handshakeTimeout = 20 * time.Second // for a client that says nothing
	maxLife          = time.Hour        // of one connection
)

// Options says what is served, and to whom.
type Options struct {
	// Repos maps the path that a client names ("/school/scala101.git") to a
	// repository's folder.
	Repos map[string]string
	// Keys may read every repository, and push where AllowPush is set.
	Keys []ssh.PublicKey
	// AllowPush lets the keys push. Hooks of the repository never run.
	AllowPush bool
	// Addr is where to listen; "" is a free port on loopback.
	Addr string
	// HostKeys are shown to clients; none means a new ed25519 key.
	HostKeys []ssh.Signer

	// May is asked, where set, whether a key that logged in may use a
	// repository, as hosts do whose deploy keys belong to one repository each.
	May func(key ssh.PublicKey, repo string) bool
	// LFS answers `git-lfs-authenticate PATH download` for a repository, where
	// set. For tests of clients.
	LFS func(repo string) string
	// Silent is asked, where set, at each Stage whether the server goes silent
	// there: it keeps the connection and says nothing more. For tests of
	// clients. It must be safe for concurrent use.
	Silent func(Stage) bool
}

// Stage is a moment at which Options.Silent can stop the talk.
type Stage string

// The stages, in the order of a fetch.
const (
	Accepted Stage = "accepted"  // TCP is open, no SSH greeting sent
	LoggedIn Stage = "logged in" // the handshake is over, no command answered
	Asked    Stage = "asked"     // the command runs, not one byte of it was sent
	InPack   Stage = "in pack"   // some of the pack was sent
)

// Server is a running server. Close ends it.
type Server struct {
	lg       *slog.Logger
	o        Options
	git      string
	listener net.Listener
	config   *ssh.ServerConfig
	hostKeys []ssh.Signer
	slots    chan struct{}

	ctx    context.Context // ends with Close; not a caller's
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// Start listens and serves until Close.
func Start(lg *slog.Logger, o Options) (*Server, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("serve repositories over SSH: git is not installed on this machine: %w", err)
	}
	s := &Server{lg: lg, o: o, git: git, hostKeys: o.HostKeys, slots: make(chan struct{}, maxConnections)}
	if len(s.hostKeys) == 0 {
		key, err := newHostKey()
		if err != nil {
			return nil, err
		}
		s.hostKeys = []ssh.Signer{key}
	}
	s.config = &ssh.ServerConfig{PublicKeyCallback: s.login, ServerVersion: "SSH-2.0-satchel"}
	for _, key := range s.hostKeys {
		s.config.AddHostKey(key)
	}
	open := listen.Here
	if o.Addr != "" {
		open = func() (net.Listener, error) { return net.Listen("tcp", o.Addr) }
	}
	if s.listener, err = open(); err != nil {
		return nil, fmt.Errorf("serve repositories over SSH: %w", err)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wg.Go(s.accept)
	return s, nil
}

func newHostKey() (ssh.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a host key: %w", err)
	}
	return ssh.NewSignerFromKey(key)
}

// Addr is the address it listens on, as host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is how a client names the repository at that path.
func (s *Server) URL(repo string) string {
	return "ssh://git@" + s.Addr() + "/" + strings.TrimPrefix(repo, "/")
}

// KnownHostsLine is what belongs into a client's known_hosts: a line for each
// host key, without a last newline.
func (s *Server) KnownHostsLine() string {
	var lines []string
	for _, key := range s.hostKeys {
		lines = append(lines, knownhosts.Line([]string{knownhosts.Normalize(s.Addr())}, key.PublicKey()))
	}
	return strings.Join(lines, "\n")
}

// Close stops listening, cuts every connection, ends every git that it
// started, and returns when all of that is done.
func (s *Server) Close() error {
	s.cancel()
	err := s.listener.Close()
	s.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// login accepts the keys of the options and remembers which one it was.
func (s *Server) login(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	for _, known := range s.o.Keys {
		if string(known.Marshal()) == string(key.Marshal()) {
			return &ssh.Permissions{Extensions: map[string]string{"key": string(key.Marshal())}}, nil
		}
	}
	return nil, fmt.Errorf("unknown key %s", ssh.FingerprintSHA256(key))
}

// silent says whether the server goes silent at this stage, and if so waits
// until the server or the connection (gone) ends.
func (s *Server) silent(at Stage, gone <-chan struct{}) bool {
	if s.o.Silent == nil || !s.o.Silent(at) {
		return false
	}
	s.lg.Debug("silent", "stage", string(at))
	select {
	case <-s.ctx.Done():
	case <-gone:
	}
	return true
}
