package hookserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"satchel/bundle"
	"satchel/hook"
	"satchel/internal/hub"
	"satchel/store"
)

var (
	errNotFound   = errors.New("there is nothing here for you")
	errPanic      = errors.New("a fault of the service")
	errHubToken   = errors.New("no token of the hub came with the request")
	errNoExchange = errors.New("this service takes no token of the hub: its hub.api_url is not set, or the groups come from logins alone")
	errWebhook    = errors.New("the signature is not by this course's webhook secret (or none is configured here): compare both ends")
	errSecret     = errors.New("the hook secret is missing or wrong")
)

// badRequest is a request that is not understood; its text goes to the asker.
type badRequest struct{ sentence string }

func (b badRequest) Error() string { return b.sentence }

func bad(format string, args ...any) error { return badRequest{fmt.Sprintf(format, args...)} }

// tooLarge is an input over its limit.
type tooLarge struct{ limit int64 }

func (t tooLarge) Error() string { return fmt.Sprintf("the request is larger than %d bytes", t.limit) }

// busy is a limit that time cures.
type busy struct {
	sentence string
	after    time.Duration
}

func (b busy) Error() string { return b.sentence }

// answer is an error as the asker sees it.
type answer struct {
	status  int
	problem hook.Problem
	after   time.Duration
	loud    bool // worth a line in the log
}

// answerOf is the one place where an error becomes a status and a sentence.
// Nothing of an unknown error is told.
func answerOf(err error) answer {
	var (
		b     badRequest
		large tooLarge
		wait  busy
		wide  *hub.TooWide
	)
	switch {
	case errors.Is(err, hook.ErrExpired):
		return say(http.StatusUnauthorized, hook.CodeExpired, "the ticket's time is over: log in again")
	case errors.Is(err, hook.ErrTicket):
		return say(http.StatusUnauthorized, hook.CodeTicket, "no ticket of this service came with the request: log in again")
	case errors.Is(err, errSecret):
		return say(http.StatusUnauthorized, hook.CodeTicket, errSecret.Error())
	case errors.Is(err, errWebhook):
		return say(http.StatusUnauthorized, hook.CodeTicket, errWebhook.Error())
	case errors.Is(err, errHubToken), errors.Is(err, hub.ErrUnknown), errors.As(err, &wide):
		return say(http.StatusUnauthorized, hook.CodeTicket, err.Error())
	case errors.Is(err, errNoExchange):
		return say(http.StatusNotFound, hook.CodeNoExchange, errNoExchange.Error())
	case errors.Is(err, hub.ErrAway):
		a := say(http.StatusServiceUnavailable, hook.CodeUnavailable, "the hub does not answer the course server now; ask again soon")
		a.after = retryStore // logged by whoever asked, not for each who waits
		return a
	case errors.Is(err, errNotFound), errors.Is(err, errTakenBack):
		return say(http.StatusNotFound, hook.CodeNotFound, errNotFound.Error())
	case errors.As(err, &large):
		return say(http.StatusRequestEntityTooLarge, hook.CodeTooLarge, large.Error())
	case errors.Is(err, hook.ErrTicketTooLarge):
		return say(http.StatusBadRequest, hook.CodeBadRequest, "the names of this student and server are too long for a ticket")
	case errors.As(err, &b):
		return say(http.StatusBadRequest, hook.CodeBadRequest, b.sentence)
	case errors.As(err, &wait):
		a := say(http.StatusTooManyRequests, hook.CodeBusy, wait.sentence)
		a.after = wait.after
		return a
	case errors.Is(err, errDraining):
		return say(http.StatusServiceUnavailable, hook.CodeUnavailable, errDraining.Error())
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		a := say(http.StatusServiceUnavailable, hook.CodeUnavailable, "the course's store does not answer now; what is there stays, ask again soon")
		a.after, a.loud = retryStore, errors.Is(err, store.ErrUnavailable)
		return a
	case errors.Is(err, bundle.ErrCorrupt), errors.Is(err, bundle.ErrFormat), errors.Is(err, bundle.ErrSignature), errors.Is(err, store.ErrNotFound), errors.Is(err, errOwed):
		a := say(http.StatusServiceUnavailable, hook.CodeUnavailable, "the course cannot be read now; the administrator sees why in the service's log")
		a.after, a.loud = time.Minute, true
		return a
	}
	a := say(http.StatusInternalServerError, hook.CodeInternal, "a fault of the service; the administrator sees it in its log")
	a.loud = true
	return a
}

const retryStore = 10 * time.Second

func say(status int, code, sentence string) answer {
	return answer{status: status, problem: hook.Problem{Sentence: sentence, Code: code}}
}

// safely makes an error of a panic: what a store holds must not end the
// service.
func safely(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanic, p)
		}
	}()
	return f()
}
