package source

import (
	"context"
	"errors"
	"io"

	"golang.org/x/crypto/ssh"
)

// session is git-upload-pack on an SSH host: a wire.
type session struct {
	*link
	ssh *ssh.Session
	in  io.WriteCloser
}

// uploadPack starts the conversation and reads the branches. Whoever gets an
// error has nothing to close but the link.
func (l *link) uploadPack(ctx context.Context, at address) (*talk, error) {
	s := &session{link: l}
	words := &firstWords{}
	var out io.Reader
	err := l.wait(func() (err error) {
		if s.ssh, err = l.client.NewSession(); err != nil {
			return err
		}
		s.ssh.Stderr = words
		if s.in, err = s.ssh.StdinPipe(); err != nil {
			return err
		}
		if out, err = s.ssh.StdoutPipe(); err != nil {
			return err
		}
		return s.ssh.Start("git-upload-pack " + quote(at.path))
	})
	if err != nil {
		return nil, l.explain(ctx, "the repository was being asked for", err)
	}
	t := newTalk(s, words, out)
	if t.refs, err = readRefs(t.out); err != nil {
		return nil, t.noRefs(ctx, at, err)
	}
	return t, nil
}

func (s *session) ask(request []byte) (next io.Reader, err error) {
	return nil, s.wait(func() error {
		_, err := s.in.Write(request)
		return err
	})
}

func (s *session) last() (cut bool) {
	s.in.Close()
	var missing *ssh.ExitMissingError
	return errors.As(s.wait(s.ssh.Wait), &missing)
}

func (s *session) Close() error {
	s.ssh.Close()
	return s.link.Close()
}
