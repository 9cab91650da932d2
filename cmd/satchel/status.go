//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"satchel/bundle"
	"satchel/course"
	"satchel/internal/config"
	"satchel/internal/students"
	"satchel/store"
	"satchel/syncer"
)

// courseStatus is one course of "satchel status --json".
type courseStatus struct {
	syncer.CourseStatus
	Students      *students.Summary `json:"students,omitempty"`
	StudentsError string            `json:"students_error,omitempty"`
	// Proven is a version that a student's server proved to have, and that the
	// record is behind of: the store went backwards.
	Proven bundle.Version `json:"proven,omitempty"`
	trust
}

func (a *app) statusCommand() *cobra.Command {
	var user string
	c := &cobra.Command{
		Use: "status", GroupID: "course", Args: noArgs,
		Short: "How the courses stand: versions, errors, and who has what",
		Long: `Shows each course: the version, the last look at the repository, what is wrong,
and how many students' servers have which version. With --user: that student's
logins, first request and receipts. What students' servers do shows here within
some ten seconds. The exit code is 0 also when a course has an error.`,
		Example: "  satchel status\n  satchel status --user ana\n  satchel status --json",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, st, p, err := a.records(c.Context())
			if err != nil {
				return err
			}
			if user != "" {
				return a.studentShow(c.Context(), st, p, user)
			}
			return a.status(c.Context(), cfg, st)
		},
	}
	c.Flags().StringVar(&user, "user", "", "show one student")
	return c
}

func (a *app) status(ctx context.Context, cfg *config.Config, st store.Store) error {
	now := time.Now()
	courses, running := standing(ctx, cfg, st)
	if a.json {
		return a.printJSON(map[string]any{"syncer_running": running, "courses": courses})
	}
	if !running {
		a.printf("The syncer does not run here (nobody answers on %s): nothing new is published.\n", cfg.Listen.Control)
	}
	if len(courses) == 0 && len(cfg.Broken) == 0 {
		a.printf("No course yet: satchel course add URL\n")
	}
	for _, c := range courses {
		a.printCourse(c, now)
	}
	return nil
}

// standing asks the syncer, or where none runs reads the records.
func standing(ctx context.Context, cfg *config.Config, st store.Store) (out []courseStatus, running bool) {
	answer, err := syncer.NewClient(cfg.Listen.Control).Status(ctx)
	running = err == nil
	for _, c := range cfg.Courses { // one that has just started may not know them yet
		if !slices.ContainsFunc(answer.Courses, func(s syncer.CourseStatus) bool { return s.Course == string(c.Name) }) {
			answer.Courses = append(answer.Courses, syncer.CourseStatus{Course: string(c.Name)})
		}
	}
	out = []courseStatus{} // none is a list too
	for i := range answer.Courses {
		if c := &answer.Courses[i]; c.Version == 0 { // none, or the syncer has not looked yet
			readVersion(ctx, st, c)
		}
	}
	keys, _ := publicKeys(cfg) // where they cannot be read nothing counts as proven; doctor tells of it
	for _, c := range answer.Courses {
		s := courseStatus{CourseStatus: c}
		s.Proven, _ = syncer.Proven(ctx, st, c.Course, keys) // check tells what keeps that from being read
		if s.Students, err = students.Summarize(ctx, st, c.Course, time.Now()); err != nil {
			s.StudentsError = err.Error() // the course's own state is told all the same
		} else if r, _, err := store.ReadRecord(ctx, st, c.Course); err == nil {
			s.trust = trusted(r.Head, s.Students.Keys)
		}
		out = append(out, s)
	}
	return out, running
}

// readVersion takes what the store has of a course.
func readVersion(ctx context.Context, st store.Store, c *syncer.CourseStatus) {
	r, _, err := store.ReadRecord(ctx, st, c.Course)
	switch {
	case err == nil:
		c.Version, c.Commit = r.Version, r.Commit
	case !errors.Is(err, store.ErrNotFound) && c.Error == "":
		c.Error = err.Error()
	}
}

func (a *app) printCourse(c courseStatus, now time.Time) {
	if c.Version == 0 {
		a.printf("%s: nothing published yet\n", c.Course)
	} else {
		a.printf("%s: version %d of commit %.10s\n", c.Course, c.Version, c.Commit)
	}
	if !c.Checked.IsZero() {
		a.printf("  checked:  %s; next %s\n", ago(now, c.Checked), ago(now, c.Next))
	}
	if d := c.Paused; d != nil {
		a.printf("  PAUSED    by %s %s%s: students are given nothing new until \"satchel resume %s\"%s\n", d.Who, ago(now, d.Time), because(d.Why), c.Course, andPinned(c.Pin))
	}
	if p := c.Pin; p != nil {
		a.printf("  PINNED    rolled back to version %d by %s %s%s: ", p.Version, p.Who, ago(now, p.Time), because(p.Why))
		if c.Tip != "" && c.Tip != p.Tip {
			a.printf("commit %.10s waits for \"satchel publish %s\"\n", c.Tip, c.Course)
		} else {
			a.printf("newer commits will wait for \"satchel publish %s\"; \"satchel resume %s\" goes back to the newest\n", c.Course, c.Course)
		}
	}
	if c.LetIn != "" {
		a.printf("  let in:   %s\n", c.LetIn)
	}
	if !c.Webhook.IsZero() {
		a.printf("  webhook:  %s, by %s\n", ago(now, c.Webhook), c.WebhookFrom)
	}
	if c.Error != "" {
		a.printf("  error:    %s\n", c.Error)
	}
	if c.Proven > 0 {
		a.printf("  STORE IS OLDER than what students hold (version %d): bring its newest backup back, or \"satchel check %s --repair\"\n", c.Proven, c.Course)
	}
	for _, n := range c.Notes {
		a.printf("  note:     %s\n", n)
	}
	if c.StudentsError != "" {
		a.printf("  students: not known now: %s\n", c.StudentsError)
	}
	if c.Students != nil && c.Students.Servers > 0 {
		a.printf("  students: %s", plural(c.Students.Servers, "server"))
		for _, v := range c.Students.Versions {
			a.printf("; version %d: %d", v.Version, v.N)
		}
		a.printf("\n")
	}
	a.printTrust(c.trust)
	if c.Students != nil && c.Students.DidNotRun > 0 {
		a.printf("  THE AGENT DID NOT RUN after %s", plural(c.Students.DidNotRun, "login"))
		for _, i := range c.Students.Images {
			a.printf("; image %q: %d", i.Image, i.N)
		}
		a.printf("\n")
	}
}

// because is a reason, as it follows what was done.
// andPinned says what else a resume ends.
func andPinned(p *store.Pin) string {
	if p == nil {
		return ""
	}
	return ", which ends the rollback too"
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return " (" + why + ")"
}

func (a *app) logCommand() *cobra.Command {
	n := 20
	c := &cobra.Command{
		Use: "log COURSE", GroupID: "course", Args: exactly("COURSE"),
		Short:   "What happened to a course: publishes, refusals, commands",
		Example: "  satchel log scala101\n  satchel log scala101 -n 100 --json",
		RunE: func(c *cobra.Command, args []string) error {
			cfg, st, err := a.opened(c.Context())
			if err != nil {
				return err
			}
			entries, err := store.Entries(c.Context(), st, args[0], n)
			if a.json && entries != nil {
				return errors.Join(a.printJSON(entries), err)
			}
			for _, e := range entries {
				a.printEntry(e)
			}
			if len(entries) == 0 && err == nil {
				if !slices.ContainsFunc(cfg.Courses, func(c course.Course) bool { return string(c.Name) == args[0] }) {
					return unknownCourse(cfg, args[0])
				}
				if a.json {
					return a.printJSON([]store.Entry{})
				}
				a.printf("Nothing happened to %q yet.\n", args[0])
			}
			return err
		},
	}
	c.Flags().IntVarP(&n, "number", "n", n, "how many, newest first")
	return c
}

func (a *app) printEntry(e store.Entry) {
	a.printf("%s  %-8s", e.Time.Local().Format("2006-01-02 15:04:05"), e.Action)
	if e.Version > 0 {
		a.printf("  version %d", e.Version)
	}
	if e.Commit != "" {
		a.printf("  commit %.10s", e.Commit)
	}
	if e.Size > 0 {
		a.printf("  %.1f kB", float64(e.Size)/1e3)
	}
	a.printf("  by %s\n", e.Who)
	if e.Why != "" {
		a.printf("    %s\n", e.Why)
	}
	for _, n := range e.Notes {
		a.printf("    note: %s\n", n)
	}
}

// reachable is an address of this machine for a listener's address.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost" // of whichever family there is
	}
	return net.JoinHostPort(host, fmt.Sprint(port))
}
