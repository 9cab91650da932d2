package syncer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"

	"satchel/store"
)

// maxAnswer is the largest answer that a Client reads, in bytes.
const maxAnswer = 512 << 20

// Client asks a running syncer over its control socket.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient gives a Client for the socket. It connects with each question.
func NewClient(socket string) *Client {
	return &Client{socket, &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}}
}

// Publish asks for a pass now and waits for its end. A *Refusal says why
// nothing was published.
func (c *Client) Publish(ctx context.Context, r Request) (Outcome, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return Outcome{}, err
	}
	var out Outcome
	err = c.do(ctx, http.MethodPost, "/publish", body, &out)
	return out, err
}

// Do asks for a command (pause, resume, rollback) and waits for its end. A
// *Refusal says why it was not done.
func (c *Client) Do(ctx context.Context, what string, cmd Command) (Outcome, error) {
	body, err := json.Marshal(cmd)
	if err != nil {
		return Outcome{}, err
	}
	var out Outcome
	err = c.do(ctx, http.MethodPost, "/"+what, body, &out)
	return out, err
}

// Withdraw asks for a withdrawal, or for what it would take back.
func (c *Client) Withdraw(ctx context.Context, cmd Command) (Withdrawal, error) {
	body, err := json.Marshal(cmd)
	if err != nil {
		return Withdrawal{}, err
	}
	var out Withdrawal
	err = c.do(ctx, http.MethodPost, "/withdraw", body, &out)
	return out, err
}

// Status asks how the courses stand.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.do(ctx, http.MethodGet, "/status", nil, &s)
	return s, err
}

// Log asks for the newest n entries of a course's log, newest first. Entries
// that cannot be read are named in the error; the others are given all the
// same.
func (c *Client) Log(ctx context.Context, course string, n int) ([]store.Entry, error) {
	q := url.Values{"course": {course}, "n": {strconv.Itoa(n)}}
	var l Log
	err := c.do(ctx, http.MethodGet, "/log?"+q.Encode(), nil, &l)
	if err == nil && l.Error != "" {
		err = errors.New(l.Error)
	}
	return l.Entries, err
}

func (c *Client) do(ctx context.Context, method, path string, body []byte, v any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://syncer"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(method, path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return c.unreachable(method, path, err)
	}
	if len(data) > maxAnswer {
		return fmt.Errorf("the answer on %s is larger than %d bytes; ask for less", c.socket, maxAnswer)
	}
	if resp.StatusCode == http.StatusOK {
		return json.Unmarshal(data, v)
	}
	if resp.StatusCode == http.StatusConflict {
		refused := &Refusal{}
		if json.Unmarshal(data, refused) == nil && refused.Cause != "" {
			return refused
		}
	}
	var p problem
	if json.Unmarshal(data, &p) != nil || p.Sentence == "" {
		return fmt.Errorf("%s answers with status %d, which no syncer does; see what else uses that socket", c.socket, resp.StatusCode)
	}
	return errors.New(p.Sentence)
}

// unreachable says what to do where nobody answers.
func (c *Client) unreachable(method, path string, err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("no permission for %s: run this as the user that runs the service", c.socket)
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no syncer answers on %s: start it with `satchel serve`, or name its configuration with --config", c.socket)
	case path == "/withdraw": // which is in the log before it is done
		return fmt.Errorf("the syncer on %s ended before it answered (%v), so whether it was done is not known: say it once more without --yes, and it lists what is left to take back", c.socket, err)
	case method == http.MethodPost:
		return fmt.Errorf("the syncer on %s ended before it answered (%v), so whether it was done is not known: `satchel log COURSE` says so; else say it once more", c.socket, err)
	}
	return fmt.Errorf("the syncer on %s: %w", c.socket, err)
}
