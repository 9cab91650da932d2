package syncer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"satchel/bundle"
	"satchel/course"
)

// HintRequest is what a hookserver says when a course's git host sent a
// webhook.
type HintRequest struct {
	Course string `json:"course"`
	Host   string `json:"host"`
}

// Hinted is Hint, by a git host's webhook.
func (s *Syncer) Hinted(name course.Name, host string) {
	if _, err := s.find(string(name)); err != nil {
		return
	}
	s.board.change(string(name), func(c *CourseStatus) { c.Webhook, c.WebhookFrom = s.o.Now(), host })
	s.Hint(name)
}

// Hints answers POST /hints, with a HintRequest, for whoever shows one of the
// secrets. It can do nothing else: it is the one thing of a syncer that other
// processes reach over the network.
func (s *Syncer) Hints(secrets func() []string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /hints", func(w http.ResponseWriter, r *http.Request) {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || !isOneOf(given, secrets()) {
			answer(w, http.StatusUnauthorized, problem{"the control secret is missing or wrong: compare secrets: control of syncer and hookserver", "control"})
			return
		}
		data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
		var req HintRequest
		if err == nil {
			err = bundle.DecodeStrict(data, maxRequest, &req)
		}
		if err != nil {
			answer(w, http.StatusBadRequest, problem{"the hint is not understood", "bad_request"})
			return
		}
		if _, err := s.find(req.Course); err != nil {
			answer(w, http.StatusNotFound, problem{err.Error(), "not_found"})
			return
		}
		s.Hinted(course.Name(req.Course), req.Host)
		answer(w, http.StatusOK, struct{}{})
	})
	return mux
}

// isOneOf compares without telling by time how much is the same.
func isOneOf(given string, secrets []string) bool {
	ok, sum := false, sha256.Sum256([]byte(given))
	for _, s := range secrets {
		want := sha256.Sum256([]byte(s))
		ok = s != "" && subtle.ConstantTimeCompare(sum[:], want[:]) == 1 || ok
	}
	return ok
}

var hintClient = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: maxRequest, ResponseHeaderTimeout: 10 * time.Second},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// SendHint passes a webhook on to the syncer at url, which is another process.
// No proxy is asked: the secret is for the syncer alone.
func SendHint(ctx context.Context, url, secret string, h HintRequest) error {
	body, err := json.Marshal(h)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(url, "/")+"/hints", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	req.Header.Set("Content-Type", "application/json")
	resp, err := hintClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxRequest))
	if err != nil || resp.StatusCode == http.StatusOK {
		return err
	}
	var p problem
	if json.Unmarshal(data, &p) != nil || p.Sentence == "" {
		return fmt.Errorf("%s answers with status %d, which no syncer does", url, resp.StatusCode)
	}
	return errors.New(p.Sentence)
}
