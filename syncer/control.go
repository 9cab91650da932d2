package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"satchel/bundle"
	"satchel/course"
	"satchel/store"
)

const (
	maxRequest = 16 << 10
	logDefault = 20
	logMost    = 100_000
)

// Log is the answer of GET /log, newest first.
type Log struct {
	Entries []store.Entry `json:"entries"`
	// Error names entries that could not be read.
	Error string `json:"error,omitempty"`
}

// Control answers commands. Whoever can reach it may publish: it belongs on a
// socket of mode 0600, or behind a secret.
//
//	POST /publish   Request; answers Outcome, or with 409 a Refusal
//	POST /pause     Command; answers Outcome
//	POST /resume    Command; answers Outcome, or with 409 a Refusal
//	POST /rollback  Command with a version; answers Outcome, or with 409 a Refusal
//	POST /repair    Command; answers Outcome, or with 409 a Refusal
//	POST /withdraw  Command with a path or version; answers Withdrawal, or with 409 a Refusal.
//	                Without confirm it lists; confirm with that list's digest takes back just that
//	GET  /status    answers Status
//	GET  /log       ?course=NAME&n=20; answers Log
//
// Every other error is {"error": sentence, "code": word}.
func (s *Syncer) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /publish", s.publishCommand)
	mux.HandleFunc("POST /pause", s.command(s.Pause))
	mux.HandleFunc("POST /resume", s.command(s.Resume))
	mux.HandleFunc("POST /rollback", s.command(s.Rollback))
	mux.HandleFunc("POST /repair", s.command(s.Repair))
	mux.HandleFunc("POST /withdraw", s.withdrawCommand)
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, s.board.status()) })
	mux.HandleFunc("GET /log", s.logCommand)
	return mux
}

// problem is the body of an error.
type problem struct {
	Sentence string `json:"error"`
	Code     string `json:"code"`
}

func answer(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		status, data = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written","code":"internal"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(data)
}

// publishCommand makes a pass for the person who asks, who waits for it.
func (s *Syncer) publishCommand(w http.ResponseWriter, r *http.Request) {
	req, err := readRequest(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		answer(w, http.StatusBadRequest, problem{err.Error(), "bad_request"})
		return
	}
	c, err := s.find(req.Course)
	if err != nil {
		answer(w, http.StatusNotFound, problem{err.Error(), "not_found"})
		return
	}
	var out Outcome
	err = careful(s.lg, func() (err error) { out, err = s.Sync(r.Context(), c, req); return err })
	s.outcome(w, r, c.Name, req.Who, out, err)
}

// command does what a person decided, and waits for its end.
func (s *Syncer) command(do func(context.Context, *course.Course, Command) (Outcome, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if cmd, c := s.readCommand(w, r); c != nil {
			var out Outcome
			err := careful(s.lg, func() (err error) { out, err = do(r.Context(), c, cmd); return err })
			s.outcome(w, r, c.Name, cmd.Who, out, err)
		}
	}
}

func (s *Syncer) withdrawCommand(w http.ResponseWriter, r *http.Request) {
	if cmd, c := s.readCommand(w, r); c != nil {
		var out Withdrawal
		err := careful(s.lg, func() (err error) { out, err = s.Withdraw(r.Context(), c, cmd); return err })
		s.outcome(w, r, c.Name, cmd.Who, out, err)
	}
}

// readCommand reads a command and its course; nil where it was answered
// already.
func (s *Syncer) readCommand(w http.ResponseWriter, r *http.Request) (cmd Command, c *course.Course) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err == nil {
		err = bundle.DecodeStrict(data, maxRequest, &cmd)
	}
	if err == nil {
		err = cmd.check()
	}
	if err != nil {
		answer(w, http.StatusBadRequest, problem{fmt.Sprintf("the command is not understood: %v", err), "bad_request"})
		return cmd, nil
	}
	if c, err = s.find(cmd.Course); err != nil {
		answer(w, http.StatusNotFound, problem{err.Error(), "not_found"})
		return cmd, nil
	}
	return cmd, c
}

// outcome answers what came of a pass or a command.
func (s *Syncer) outcome(w http.ResponseWriter, r *http.Request, name course.Name, who string, out any, err error) {
	var refused *Refusal
	switch {
	case err == nil:
		if l := s.running(); l != nil {
			l.said.Delete(name)
		}
		answer(w, http.StatusOK, out)
	case errors.As(err, &refused):
		if l := s.running(); l != nil {
			l.say(r.Context(), name, "refused", err, "who", who)
		}
		answer(w, http.StatusConflict, refused)
	default:
		s.lg.Warn("not done", "course", name, "who", who, "error", err)
		answer(w, http.StatusBadGateway, problem{err.Error(), "unavailable"})
	}
}

func readRequest(body io.Reader) (Request, error) {
	data, err := io.ReadAll(body)
	if err != nil {
		return Request{}, fmt.Errorf("the request is larger than %d bytes, or broke off", maxRequest)
	}
	var req Request
	if err := bundle.DecodeStrict(data, maxRequest, &req); err != nil {
		return Request{}, fmt.Errorf("the request is not understood: %w", err)
	}
	if req.Who = strings.ToValidUTF8(strings.TrimSpace(req.Who), "?"); req.Who == "" || len(req.Who) > 200 {
		return Request{}, errors.New("the request must say who asks, in at most 200 bytes")
	}
	return req, nil
}

// find gives a configured course.
func (s *Syncer) find(name string) (*course.Course, error) {
	s.mu.Lock()
	courses := s.courses
	s.mu.Unlock()
	var all []course.Course
	if courses != nil {
		all = courses()
	}
	i := slices.IndexFunc(all, func(c course.Course) bool { return string(c.Name) == name })
	if i >= 0 {
		return &all[i], nil
	}
	names := []string{"none"}
	if len(all) > 0 {
		names = nil
	}
	for _, c := range all {
		names = append(names, string(c.Name))
	}
	return nil, fmt.Errorf("no course %.80q is configured here; there is: %s", name, strings.Join(names, ", "))
}

func (s *Syncer) logCommand(w http.ResponseWriter, r *http.Request) {
	n := logDefault
	if text := r.URL.Query().Get("n"); text != "" {
		v, err := strconv.Atoi(text)
		if err != nil || v < 1 {
			answer(w, http.StatusBadRequest, problem{fmt.Sprintf("n must be a number from 1 to %d", logMost), "bad_request"})
			return
		}
		n = min(v, logMost)
	}
	c, err := s.find(r.URL.Query().Get("course"))
	if err != nil {
		answer(w, http.StatusNotFound, problem{err.Error(), "not_found"})
		return
	}
	entries, err := store.Entries(r.Context(), s.st, string(c.Name), n)
	l := Log{Entries: entries}
	if l.Entries == nil {
		l.Entries = []store.Entry{}
	}
	if err != nil {
		if len(entries) == 0 {
			answer(w, http.StatusBadGateway, problem{err.Error(), "unavailable"})
			return
		}
		l.Error = err.Error()
	}
	answer(w, http.StatusOK, l)
}
