package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"satchel/bundle"
)

// The command line and the running watch speak over a Unix socket that only
// the student can open: one line of the question, one JSON value as the
// answer. Any process of the student's can put each question, that for the
// ticket too: to the kernel they are all one user. So the ticket is worth no
// more than what that student may have, and a question costs little.

// question is what the command line may ask.
type question string

const (
	askTicket question = "ticket" // the newest ticket
	askNow    question = "now"    // look at once
	askHow    question = "how"    // how it goes
)

// reply is watch's answer.
type reply struct {
	Ticket string    `json:"ticket,omitempty"`
	PID    int       `json:"pid"`
	Since  time.Time `json:"since"`
	Asked  time.Time `json:"asked,omitzero"`
	Stream bool      `json:"stream"` // whether the service can reach us at once
	Code   string    `json:"code,omitempty"`
}

// nowEvery is how often a question may make watch ask the service.
const nowEvery = 5 * time.Second

const (
	socketPatience = 2 * time.Second
	maxReply       = 16 << 10
	maxCallers     = 8
)

// errNoWatch means: nobody listens.
var errNoWatch = errors.New("no watch runs here")

// askWatch puts one question to the watch of this root.
func askWatch(ctx context.Context, s Settings, q question) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, socketPatience)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", s.runtimeFile(".sock"))
	if err != nil {
		return reply{}, fmt.Errorf("%w: %w", errNoWatch, err)
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return reply{}, err
	}
	if !same(c) {
		return reply{}, fmt.Errorf("%w: the socket is somebody else's", errNoWatch)
	}
	if _, err := fmt.Fprintln(c, q); err != nil {
		return reply{}, err
	}
	data, err := io.ReadAll(io.LimitReader(c, maxReply))
	if err != nil {
		return reply{}, err
	}
	var r reply
	return r, bundle.DecodeStrict(data, maxReply, &r)
}

// same says whether the other end is a process of this user.
func same(c net.Conn) bool {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return false
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return false
	}
	var uid int
	var bad error
	if err := raw.Control(func(fd uintptr) { uid, bad = peerUID(int(fd)) }); err != nil || bad != nil {
		return false
	}
	return uid == os.Getuid()
}

// listen opens the socket. The caller holds the lock of this root, so one
// that lies there is a dead watch's.
func listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// serve answers until the listener is closed, and returns when every caller
// is gone.
func serve(l net.Listener, answer func(question) (reply, bool)) {
	var wg sync.WaitGroup
	defer wg.Wait()
	places := make(chan struct{}, maxCallers)
	for {
		places <- struct{}{} // whoever comes while none is free waits in the kernel
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // such as too many open files: that passes
			<-places
			time.Sleep(100 * time.Millisecond)
			continue
		}
		wg.Go(func() {
			defer func() { <-places }()
			defer c.Close()
			answerOne(c, answer)
		})
	}
}

func answerOne(c net.Conn, answer func(question) (reply, bool)) {
	if err := c.SetDeadline(time.Now().Add(socketPatience)); err != nil || !same(c) {
		return
	}
	line, err := bufio.NewReader(io.LimitReader(c, 64)).ReadString('\n')
	if err != nil {
		return
	}
	if r, ok := answer(question(strings.TrimSpace(line))); ok {
		_ = json.NewEncoder(c).Encode(r) // a caller that left is nobody's loss
	}
}
