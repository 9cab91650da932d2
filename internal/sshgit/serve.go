package sshgit

import (
	"context"
	"errors"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
)

// accept takes connections until the listener is closed.
func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed) || s.ctx.Err() != nil:
			if conn != nil {
				conn.Close()
			}
			return
		case err != nil: // out of descriptors, most likely: not a reason to spin
			s.lg.Warn("accept", "error", err)
			select {
			case <-s.ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		select {
		case s.slots <- struct{}{}:
			s.wg.Go(func() { defer func() { <-s.slots }(); s.serve(conn) })
		default:
			conn.Close()
		}
	}
}

// serve handles one connection until it ends.
func (s *Server) serve(conn net.Conn) {
	ctx, cancel := context.WithTimeout(s.ctx, maxLife)
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	if s.silent(Accepted, nil) {
		return
	}
	conn.SetDeadline(time.Now().Add(handshakeTimeout))
	client, channels, requests, err := ssh.NewServerConn(conn, s.config)
	if err != nil {
		s.lg.Debug("handshake", "error", err)
		return
	}
	defer client.Close()
	conn.SetDeadline(time.Time{})
	gone := make(chan struct{})
	s.wg.Go(func() { client.Wait(); cancel(); close(gone) })
	s.wg.Go(func() { ssh.DiscardRequests(requests) })
	if s.silent(LoggedIn, gone) {
		return
	}
	s.sessions(ctx, client, channels)
}

// sessions answers channels, each with at most one command.
func (s *Server) sessions(ctx context.Context, client *ssh.ServerConn, channels <-chan ssh.NewChannel) {
	slots := make(chan struct{}, maxCommands)
	for asked := range channels {
		if asked.ChannelType() != "session" {
			asked.Reject(ssh.UnknownChannelType, "only git commands are served here")
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			asked.Reject(ssh.ResourceShortage, "too many commands at once")
			continue
		}
		channel, requests, err := asked.Accept()
		if err != nil {
			<-slots
			continue
		}
		s.wg.Go(func() {
			defer func() { <-slots }()
			defer channel.Close()
			s.session(ctx, client, channel, requests)
		})
	}
}

// session waits for the one command of a session and runs it. A terminal, a
// subsystem or a shell is refused.
func (s *Server) session(ctx context.Context, client *ssh.ServerConn, channel ssh.Channel, requests <-chan *ssh.Request) {
	protocol := ""
	for r := range requests {
		switch r.Type {
		case "env":
			var env struct{ Name, Value string }
			ok := ssh.Unmarshal(r.Payload, &env) == nil && env.Name == "GIT_PROTOCOL" && knownProtocol(env.Value)
			if ok {
				protocol = env.Value
			}
			r.Reply(ok, nil)
		case "exec":
			var exec struct{ Command string }
			if err := ssh.Unmarshal(r.Payload, &exec); err != nil {
				r.Reply(false, nil)
				return
			}
			r.Reply(true, nil)
			s.wg.Go(func() { ssh.DiscardRequests(requests) })
			status := s.run(ctx, call{
				line: exec.Command, protocol: protocol, channel: channel,
				key: client.Permissions.Extensions["key"],
			})
			channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
			return
		default:
			r.Reply(false, nil)
		}
	}
}

func knownProtocol(v string) bool {
	return v == "version=0" || v == "version=1" || v == "version=2"
}
