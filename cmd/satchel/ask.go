package main

import (
	"bufio"
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
	in    *bufio.Reader
	out   io.Writer
	quiet bool // nobody is there to answer
}

func (a *app) asker(yes bool) *asker {
	return &asker{in: bufio.NewReader(a.in), out: a.out, quiet: yes || !isTerminal(a.in)}
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
	line, err := q.in.ReadString('\n')
	if err != nil && line == "" {
		return "", errors.New("no answer; nothing was changed. Without a terminal give the answers as flags (see --help)")
	}
	if line = strings.TrimSpace(line); line == "" {
		return preset, nil
	}
	return line, nil
}

// confirm asks for a yes; nobody there is a no.
func (q *asker) confirm(question string) (bool, error) {
	if q.quiet {
		return false, nil
	}
	answer, err := q.ask(question+" (yes/no)", "")
	return err == nil && (strings.EqualFold(answer, "yes") || strings.EqualFold(answer, "y")), err
}
