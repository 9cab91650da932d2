package hookserver

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"satchel/bundle"
	"satchel/hook"
	"satchel/internal/students"
)

// Limits of a receipt.
const (
	maxReceiptPaths = 100
	maxReceiptWord  = 256
)

// postReceipt answers POST /v1/receipts.
func (s *Server) postReceipt(c *gin.Context, t hook.Ticket) error {
	var r hook.Receipt
	if err := readJSON(c, hook.MaxReceipt, &r); err != nil {
		return err
	}
	if err := checkReceipt(&r); err != nil {
		return err
	}
	if !s.enrolled(t, r.Course) {
		return errNotFound
	}
	s.o.Students.Add(students.Line{
		Kind: students.KindReceipt, Time: s.o.Now(), User: t.User, Server: t.Server, Login: t.Login,
		Course: r.Course, Version: r.Version, Agent: r.Agent, Image: r.Image, Code: r.Code,
		Added: r.Added, Changed: r.Changed, Removed: r.Removed, Waiting: r.Waiting,
		Merged: r.Merged, Kept: r.Kept, Failed: r.Failed,
	})
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return nil
}

func checkReceipt(r *hook.Receipt) error {
	counts := []int{r.Added, r.Changed, r.Removed, r.Waiting}
	for _, n := range counts {
		if n < 0 || n > bundle.MaxFiles {
			return bad("a receipt counts from 0 to %d", bundle.MaxFiles)
		}
	}
	if r.Format != hook.Format || r.Version < 0 || r.Version > bundle.MaxVersion {
		return bad("a receipt has format %d and a version", hook.Format)
	}
	for _, w := range []string{r.Course, r.Agent, r.Image, r.Code} {
		if len(w) > maxReceiptWord {
			return bad("a word of a receipt is at most %d bytes", maxReceiptWord)
		}
	}
	for _, list := range [][]string{r.Merged, r.Kept, r.Failed} {
		if len(list) > maxReceiptPaths {
			return bad("a receipt lists at most %d paths of a kind", maxReceiptPaths)
		}
		for _, p := range list {
			if bundle.CheckPath(p) != nil {
				return bad("a receipt names only paths of the course")
			}
		}
	}
	return nil
}

// enrolled says whether a student is in a course by today's configuration.
func (s *Server) enrolled(t hook.Ticket, course string) bool {
	for _, c := range s.o.Courses() {
		if string(c.Name) == course {
			return c.Audience.Admits(t.User, t.Groups)
		}
	}
	return false
}

// postHead answers POST /v1/heads: an agent shows the head it holds, which is
// newer than the record. Only a valid signature counts.
func (s *Server) postHead(c *gin.Context, t hook.Ticket) error {
	var p hook.Proof
	if err := readJSON(c, maxHeadBody, &p); err != nil {
		return err
	}
	if !s.enrolled(t, p.Course) {
		return errNotFound
	}
	if p.Head == nil || p.Format != hook.Format {
		return bad("a proof has format %d and a head", hook.Format)
	}
	h, err := p.Head.Open(s.o.PublicKeys())
	switch {
	case errors.Is(err, bundle.ErrSignature):
		return bad("the head is not signed by a key of this service")
	case err != nil, h.Course != p.Course:
		return bad("it is no head of this course")
	}
	s.lib.refreshSoon(c.Request.Context(), p.Course)
	sh := s.lib.peek(p.Course)
	if h.Version > sh.version() || h.Version == sh.version() && h.Fingerprint() != sh.edition.head.Fingerprint() {
		s.lib.prove(p.Course, h.Version)
	}
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return nil
}
