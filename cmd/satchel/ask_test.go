package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// TestQuestionEndsWithCtrlC: a read from a terminal cannot be ended, so the
// question must not wait for it.
func TestQuestionEndsWithCtrlC(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	q := &asker{ctx: ctx, lines: make(chan string), out: &bytes.Buffer{}}
	interrupt()
	if _, err := q.ask("Well?", "x"); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("%v", err)
	}
	if yes, err := q.confirm("Sure?"); yes || err == nil {
		t.Errorf("%v, %v", yes, err)
	}
}

func TestAnswers(t *testing.T) {
	var out bytes.Buffer
	q := &asker{ctx: t.Context(), lines: readLines(strings.NewReader("\nscala\nYES\nno\n")), out: &out}
	for _, want := range []string{"preset", "scala"} {
		if got, err := q.ask("Name?", "preset"); err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	for _, want := range []bool{true, false} {
		if got, err := q.confirm("Sure?"); err != nil || got != want {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
	}
	if _, err := q.ask("Name?", "preset"); err == nil {
		t.Error("the end of the input was taken for an answer")
	}
	if got, err := (&asker{ctx: t.Context(), out: &out, quiet: true}).ask("Name?", "preset"); err != nil || got != "preset" {
		t.Errorf("with nobody there: %q, %v", got, err)
	}
}
