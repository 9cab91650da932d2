//go:build unix

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"satchel/agent"
	"satchel/hook"
	"satchel/internal/config"
	"satchel/internal/students"
	"satchel/store"
)

func (a *app) studentCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "student", GroupID: "course", Args: noArgs,
		Short: "What is kept about a student: show, export, forget; or a ticket to try with",
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		a.onStudent("show NAME", "Show all that is kept about a student", a.studentShow),
		a.onStudent("export NAME", "Write all that is kept about a student as JSON",
			func(ctx context.Context, st store.Store, p students.Privacy, name string) error {
				return students.Export(ctx, st, p, name, a.out)
			}),
		a.onStudent("forget NAME", "Forget a student: receipts and the current record",
			func(ctx context.Context, st store.Store, p students.Privacy, name string) error {
				if err := students.Forget(ctx, st, p, name, time.Now()); err != nil {
					return err
				}
				a.printf("Nothing is kept about %q. A new login begins a new record.\n", name)
				return nil
			}),
		a.studentTicketCommand(),
	)
	return c
}

// onStudent is a command on the records of one student.
func (a *app) onStudent(use, short string, do func(context.Context, store.Store, students.Privacy, string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Args: exactly("NAME"), Short: short,
		RunE: func(c *cobra.Command, args []string) error {
			_, st, p, err := a.records(c.Context())
			if err != nil {
				return err
			}
			return do(c.Context(), st, p, args[0])
		},
	}
}

// records opens what is kept about students, as it is now.
func (a *app) records(ctx context.Context) (*config.Config, store.Store, students.Privacy, error) {
	cfg, st, err := a.opened(ctx)
	if err != nil {
		return nil, nil, students.Privacy{}, err
	}
	p, err := privacy(cfg)
	if err == nil {
		a.foldNow(ctx, st, p)
	}
	return cfg, st, p, err
}

// foldNow brings the receipts that still wait into the records, so that an
// answer is seconds old, not a minute. Where this command may not write, the
// records are shown as they are.
func (a *app) foldNow(ctx context.Context, st store.Store, p students.Privacy) {
	if _, err := students.Fold(ctx, a.logger(), st, p, time.Now()); err != nil {
		a.logger().Debug("receipts not folded", "error", err)
	}
}

func (a *app) studentShow(ctx context.Context, st store.Store, p students.Privacy, name string) error {
	if a.json {
		return students.Export(ctx, st, p, name, a.out)
	}
	found, err := students.Find(ctx, st, p, name)
	if err != nil {
		return err
	}
	a.printStudents(name, found, time.Now())
	return nil
}

// printStudents shows the join of login, first request and receipts.
func (a *app) printStudents(name string, found []students.Student, now time.Time) {
	if len(found) == 0 {
		a.printf("Nothing is kept about %q.\n", name)
	}
	for _, s := range found {
		for _, v := range s.Servers {
			a.printf("%s, %s: login %s, first request %s%s\n", agent.Plain(s.User), agent.Plain(serverName(v.Server)), ago(now, v.Login.Time), ago(now, v.First.Time), didRun(&v, now))
			for _, c := range v.Courses {
				a.printf("  %s: version %d, %s (%d new, %d changed, %d removed, %d waiting)%s\n",
					agent.Plain(c.Course), c.Version, ago(now, c.Time), c.Added, c.Changed, c.Removed, c.Waiting, trouble(c))
			}
		}
	}
}

func serverName(s string) string {
	if s == "" {
		return "default server"
	}
	return fmt.Sprintf("server %q", s)
}

func didRun(v *students.Server, now time.Time) string {
	if v.State(now) == students.DidNotRun {
		return fmt.Sprintf("\n  THE AGENT DID NOT RUN (image %q): is it in this image, and is SATCHEL_URL in its environment?", v.Login.Image)
	}
	return ""
}

func trouble(c students.CourseReceipt) string {
	if c.Code == "" {
		return ""
	}
	return ", " + agent.Plain(c.Code)
}

func (a *app) studentTicketCommand() *cobra.Command {
	l := hook.Login{Groups: []string{}}
	c := &cobra.Command{
		Use: "ticket NAME", Args: exactly("NAME"),
		Short: "Log a student in by hand, and print the agent's variables for a shell",
		Long: `Does what the hub's hook does: asks the running hookserver for a ticket, and
prints the three variables that an agent needs. For trying an agent or an image;
the ticket lets its holder read that student's courses for 12 hours.`,
		Example: `  eval "$(satchel student ticket ana)"; satchel-agent sync`,
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := a.usable()
			if err != nil {
				return err
			}
			l.User = args[0]
			adm, err := logIn(c.Context(), hubURL(cfg), cfg.Secrets.HookSecrets[0], l)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(adm)
			}
			for _, v := range [][2]string{{hook.EnvURL, adm.URL}, {hook.EnvTicket, adm.Ticket}, {hook.EnvKeys, adm.Keys}} {
				a.printf("export %s='%s'\n", v[0], v[1])
			}
			return nil
		},
	}
	c.Flags().StringVar(&l.Server, "server", "", "the `name` of a named server")
	c.Flags().StringSliceVar(&l.Groups, "groups", nil, "the student's `groups` at the hub")
	return c
}

// hubURL is the hub's listener as this machine reaches it.
func hubURL(cfg *config.Config) string { return "http://" + reachable(cfg.Listen.Hub) }
