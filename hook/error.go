package hook

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"satchel/bundle"
)

const maxProblem = 64 << 10 // bytes of an error answer

// Error is an answer that is neither success nor a 304 that was asked for.
type Error struct {
	Status     int
	Problem    Problem
	RetryAfter time.Duration // 0 when the service named none
}

func (e *Error) Error() string {
	if e.Problem.Sentence == "" {
		return fmt.Sprintf("the service answered %d %s", e.Status, http.StatusText(e.Status))
	}
	return e.Problem.Sentence
}

// withoutURL drops the address from a client error: it names the request, of
// which nothing belongs in a sentence.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func readError(resp *http.Response) error {
	e := &Error{Status: resp.StatusCode}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 && s < 86400 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	if resp.StatusCode == http.StatusNotModified {
		e.Problem = Problem{Code: CodeBadRequest, Sentence: "the service says that nothing changed (304), though it was not told what is here"}
		return e
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		e.Problem = Problem{Code: CodeBadRequest, Sentence: fmt.Sprintf("the service's address leads elsewhere (%d): set %s to the final one", resp.StatusCode, EnvURL)}
		return e
	}
	if wantType(resp, "application/json") == nil {
		data, _ := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
		if json.Unmarshal(data, &e.Problem) != nil {
			e.Problem = Problem{}
		}
	}
	return e
}

// wantType refuses what a captive portal or a proxy's error page answers.
func wantType(resp *http.Response, want string) error {
	got, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if got != want {
		return fmt.Errorf("%w: the service answered %d with %.80q instead of %s", bundle.ErrCorrupt, resp.StatusCode, got, want)
	}
	return nil
}
