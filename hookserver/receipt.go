package hookserver

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"satchel/bundle"
	"satchel/hook"
	"satchel/internal/students"
)

// Limits of a receipt.
const (
	maxReceiptPaths = 100
	maxReceiptWord  = 256
	maxReceiptCode  = 32
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
	v, err := s.receiptView(c.Request.Context(), t, &r)
	if err != nil {
		return err
	}
	line := students.Line{
		Kind: students.KindReceipt, Time: s.o.Now(), User: t.User, Server: t.Server, Login: t.Login,
		Course: r.Course, Version: min(r.Version, v.known()), Agent: r.Agent, Image: r.Image, Code: r.Code,
		Added: r.Added, Changed: r.Changed, Removed: r.Removed, Waiting: r.Waiting,
		Merged: v.everNamed(r.Merged), Kept: v.everNamed(r.Kept), Failed: v.everNamed(r.Failed),
	}
	if s.guests.mayTell(t, line) {
		s.o.Students.Add(line)
	}
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return nil
}

// receiptView is the course of a receipt. Where the agent has more than is
// known here the store is looked at again first.
func (s *Server) receiptView(ctx context.Context, t hook.Ticket, r *hook.Receipt) (view, error) {
	v, err := s.enrolledView(ctx, t, r.Course)
	if err != nil || len(v.channels) == 0 || r.Version <= v.known() {
		return v, err
	}
	s.lib.refreshSoon(ctx, r.Course)
	return s.enrolledView(ctx, t, r.Course)
}

// known is the highest version that the course is known to have had. A
// receipt's version above it is kept as this one, in silence: a refusal would
// tell the version to who sees nothing of the course.
func (v *view) known() bundle.Version { return max(v.shelf.version(), v.shelf.proven) }

// everNamed gives those of some paths that the student's channels name or
// ever named. Others are left out in silence: this replica may be a version
// behind, and a receipt is no place for words of a student's own.
func (v *view) everNamed(paths []string) (out []string) {
	for _, p := range paths {
		if slices.ContainsFunc(v.channels, func(ch *channel) bool { return ch.everNamed(p) }) {
			out = append(out, p)
		}
	}
	return out
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
	for _, w := range []string{r.Course, r.Agent, r.Image} {
		if len(w) > maxReceiptWord || strings.ContainsFunc(w, unprintable) {
			return bad("a word of a receipt is at most %d printable bytes of ASCII", maxReceiptWord)
		}
	}
	if len(r.Code) > maxReceiptCode || strings.Trim(r.Code, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return bad("the code of a receipt is one word of at most %d small letters", maxReceiptCode)
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

// unprintable is what a terminal or a page could take for more than text.
func unprintable(r rune) bool { return r < ' ' || r > '~' }

// enrolled says whether a student is in a course by today's configuration.
func (s *Server) enrolled(t hook.Ticket, course string) bool {
	for _, c := range s.o.Courses() {
		if string(c.Name) == course {
			return c.Audience.Admits(t.User, t.Groups)
		}
	}
	return false
}
