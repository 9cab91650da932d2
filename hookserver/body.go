package hookserver

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"satchel/hook"
)

// chunk is how much a reader must take within Limits.Stall.
const chunk = 256 << 10

var (
	errLargeOffer = errors.New("the offer is larger than an agent reads")
	errLength     = errors.New("a frame has not the length that was announced")
)

// body writes an answer with a lower bound on speed: each chunk has its own
// deadline, so a slow reader is cut off and a long download is not.
type body struct {
	s       *Server
	ticket  hook.Ticket
	w       http.ResponseWriter // the server's own, below gin's
	control *http.ResponseController
	sent    int64
	watch   func() error // asked before each chunk; nil: nothing is
}

// newBody begins an answer whose headers are set. gin's writer hides the
// server's ReadFrom, so writes go below it: a file is then sent by sendfile.
func (s *Server) newBody(c *gin.Context, t hook.Ticket) *body {
	c.Writer.WriteHeaderNow()
	var w http.ResponseWriter = c.Writer
	if u, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
		w = u.Unwrap()
	}
	return &body{s: s, ticket: t, w: w, control: http.NewResponseController(w)}
}

// close counts what was sent.
func (b *body) close() { b.s.guests.count(b.ticket, b.sent) }

func (b *body) extend() error {
	if b.watch != nil {
		if err := b.watch(); err != nil {
			return err
		}
	}
	_ = b.control.SetWriteDeadline(time.Now().Add(b.s.o.Limits.Stall)) // recorders of tests have none
	return nil
}

// Write passes p on in chunks.
func (b *body) Write(p []byte) (done int, err error) {
	for len(p) > 0 && err == nil {
		if err = b.extend(); err != nil {
			break
		}
		var n int
		n, err = b.w.Write(p[:min(len(p), chunk)])
		done, p = done+n, p[n:]
	}
	b.sent += int64(done)
	return done, err
}

// elsewhere counts bytes that are had by a signed URL: for limits, they were sent.
func (b *body) elsewhere(n int64) {
	b.sent += n
	b.s.metrics.bytes.WithLabelValues("redirected").Add(float64(n))
}

func (b *body) bytes(kind string, data []byte) error {
	n, err := b.Write(data)
	b.s.metrics.bytes.WithLabelValues(kind).Add(float64(n))
	return err
}

// fill lets write send exactly n bytes.
func (b *body) fill(kind string, n int64, write func(*body) error) error {
	before := b.sent
	err := write(b)
	b.s.metrics.bytes.WithLabelValues(kind).Add(float64(b.sent - before))
	if err == nil && b.sent-before != n {
		err = fmt.Errorf("%w: %d bytes instead of %d", errLength, b.sent-before, n)
	}
	return err
}

// copy sends exactly n bytes of r, from file to socket where both are.
func (b *body) copy(kind string, r io.Reader, n int64) error {
	if f, ok := r.(*fileSection); ok {
		r = f.file
	}
	for left := n; left > 0; {
		if err := b.extend(); err != nil {
			return err
		}
		sent, err := io.CopyN(b.w, r, min(left, chunk))
		left -= sent
		b.sent += sent
		b.s.metrics.bytes.WithLabelValues(kind).Add(float64(sent))
		if err != nil {
			return err
		}
	}
	return nil
}
