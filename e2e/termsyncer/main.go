// Command termsyncer is the syncer of a simulated term: a process of its own,
// so that its time and memory are nobody else's, with a clock that is told by
// each order.
//
//	termsyncer CONFIG    reads orders, a line of JSON each, and answers each by one
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"satchel/bundle"
	"satchel/internal/config"
	"satchel/internal/students"
	"satchel/store"
	"satchel/syncer"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "termsyncer:", err)
		os.Exit(1)
	}
}

// order says what is to be done, and what time it is.
type order struct {
	What   string    `json:"what"` // look: a pass, and a full bundle where one is due; prune; fold
	Course string    `json:"course,omitempty"`
	At     time.Time `json:"at"`
}

// answer says what came of it. CPU is its processor time, seconds.
type answer struct {
	Outcome syncer.Outcome `json:"outcome"`
	Full    bool           `json:"full,omitempty"`
	Pruned  int            `json:"pruned,omitempty"`
	Lines   int            `json:"lines,omitempty"`
	CPU     float64        `json:"cpu"`
	Error   string         `json:"error,omitempty"`
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("name the configuration")
	}
	w, err := newWork(args[0])
	if err != nil {
		return err
	}
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := answers.Encode(w.measured(o)); err != nil {
			return err
		}
	}
}

// work is the syncer with all that it needs.
type work struct {
	lg     *slog.Logger
	cfg    *config.Config
	st     store.Store
	syncer *syncer.Syncer
	now    time.Time
}

func newWork(file string) (*work, error) {
	w := &work{lg: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	var err error
	if w.cfg, err = config.Load(file); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(w.cfg.Secrets.SigningKeys[0])
	if err != nil {
		return nil, err
	}
	key, err := bundle.ParseSigningKey(data)
	if err != nil {
		return nil, err
	}
	if w.st, err = store.NewDir(w.cfg.Store.Dir); err != nil {
		return nil, err
	}
	w.syncer = syncer.New(w.lg, w.st, syncer.Options{
		StateDir: filepath.Join(w.cfg.StateDir, "syncer"), Now: w.clock,
		Keys: func() []bundle.SigningKey { return []bundle.SigningKey{key} },
	})
	return w, nil
}

// clock gives no time twice: entries of the log sort by it.
func (w *work) clock() time.Time {
	w.now = w.now.Add(time.Millisecond)
	return w.now
}

func (w *work) measured(o order) (a answer) {
	w.now = o.At
	before := spent()
	if err := w.do(context.Background(), o, &a); err != nil {
		a.Error = err.Error()
	}
	a.CPU = (spent() - before).Seconds()
	return a
}

func (w *work) do(ctx context.Context, o order, a *answer) (err error) {
	switch o.What {
	case "look":
		return w.look(ctx, o.Course, a)
	case "prune":
		for _, c := range w.cfg.Courses {
			n, err := store.Prune(ctx, w.lg, w.st, string(c.Name), o.At)
			if a.Pruned += n; err != nil {
				return err
			}
		}
		return nil
	case "fold":
		return w.fold(ctx, a)
	}
	return fmt.Errorf("%q is no order", o.What)
}

// look is a pass, and what the loop does after one.
func (w *work) look(ctx context.Context, name string, a *answer) (err error) {
	for i := range w.cfg.Courses {
		c := &w.cfg.Courses[i]
		if string(c.Name) != name {
			continue
		}
		a.Outcome, err = w.syncer.Sync(ctx, c, syncer.Request{Course: name})
		if err == nil && a.Outcome.Published {
			a.Full, err = w.syncer.Compact(ctx, c)
		}
		return err
	}
	return fmt.Errorf("there is no course %s", name)
}

// fold goes by the real time, as the lines do that the hookserver wrote.
func (w *work) fold(ctx context.Context, a *answer) error {
	secret, err := config.ReadSecret(w.cfg.Secrets.Pseudonyms)
	if err != nil {
		return err
	}
	p := students.Privacy{Mode: w.cfg.Privacy.Students, Keep: w.cfg.Privacy.Keep, Key: []byte(secret.Reveal())}
	r, err := students.Fold(ctx, w.lg, w.st, p, time.Now())
	a.Lines = r.Lines
	return err
}

// spent is this process's processor time.
func spent() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it cannot be
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
