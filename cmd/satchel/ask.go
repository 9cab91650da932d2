//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// asker puts questions to a person. Without a terminal (or with --yes) it
// takes the default of each question and says so.
type asker struct {
	ctx   context.Context // Ctrl-C ends a question; it lives as long as one command
	lines <-chan string   // closed at the end of the input
	out   io.Writer
	quiet bool // nobody is there to answer
}

func (a *app) asker(ctx context.Context, yes bool) *asker {
	q := &asker{ctx: ctx, out: a.out, quiet: yes || !isTerminal(a.in)}
	if !q.quiet {
		q.lines = readLines(a.in)
	}
	return q
}

// readLines reads in a goroutine of its own, for nothing else can end a read
// from a terminal. It ends with the process.
func readLines(r io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return lines
}

func isTerminal(r any) bool {
	f, ok := r.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// ask gives the answer, or preset where there is none.
func (q *asker) ask(question, preset string) (string, error) {
	if q.quiet {
		return preset, nil
	}
	if preset != "" {
		fmt.Fprintf(q.out, "%s [%s] ", question, preset)
	} else {
		fmt.Fprintf(q.out, "%s ", question)
	}
	select {
	case <-q.ctx.Done():
		return "", errors.New("interrupted; nothing more was written")
	case line, ok := <-q.lines:
		if !ok {
			return "", errors.New("no answer; nothing more was written. Without a terminal give the answers as flags (see --help)")
		}
		if line = strings.TrimSpace(line); line != "" {
			preset = line
		}
		return preset, nil
	}
}

// confirm asks for a yes; nobody there is a no.
func (q *asker) confirm(question string) (bool, error) {
	if q.quiet {
		return false, nil
	}
	answer, err := q.ask(question+" (yes/no)", "")
	return err == nil && (strings.EqualFold(answer, "yes") || strings.EqualFold(answer, "y")), err
}

// sure is nil once a person said yes to the question; else the error says what
// was not done and, where nobody can answer, how to do it all the same.
func (q *asker) sure(question, not string) error {
	if q.quiet {
		return errors.New(not + ": nobody is at a terminal to be asked; give --yes")
	}
	yes, err := q.confirm(question)
	if err == nil && !yes {
		err = errors.New(not)
	}
	return err
}
