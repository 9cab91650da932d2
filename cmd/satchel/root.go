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
	"strings"

	"github.com/spf13/cobra"

	"satchel/internal/config"
	"satchel/internal/release"
)

// Exit codes, as the help tells them.
const (
	exitOK      = 0
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3 // a publish was refused: the last good version stays
)

// app is what every command needs: where it reads and writes, and the flags
// that all share.
type app struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) string

	configFile string
	json       bool
	verbose    bool
}

// errUsage marks mistakes in what was typed; errRefused a refused publish.
var (
	errUsage   = errors.New("usage")
	errRefused = errors.New("refused")
)

// run is the whole program but for the process: tests call it too.
func run(ctx context.Context, args []string, env func(string) string, in io.Reader, out, errw io.Writer) int {
	a := &app{in: in, out: out, err: errw, env: env}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errw)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errUsage):
		fmt.Fprintf(errw, "satchel: %s\n", strings.TrimSuffix(err.Error(), ": "+errUsage.Error()))
		return exitUsage
	case errors.Is(err, errRefused):
		fmt.Fprintf(errw, "satchel: %v\n", err)
		return exitRefused
	}
	fmt.Fprintf(errw, "satchel: %v\n", err)
	return exitFailed
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "satchel",
		Short: "Brings the newest course material into every student's JupyterHub work folder",
		Long: `Satchel watches private course repositories, publishes them as signed bundles,
and hands each student's server what that student may have.

Start here:
  satchel try                       see the whole thing on this machine, no account needed
  satchel init                      make satchel.yaml and its secrets in this folder
  satchel course add URL            add a course: makes the deploy key to paste
  satchel serve                     run it

Exit codes: 0 done · 1 it did not work (the message says what to do) ·
2 a mistake in what was typed · 3 a publish was refused, the last good version stays.`,
		Version:       release.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.PersistentFlags().StringVarP(&a.configFile, "config", "c", "", "the configuration `file` (default: $SATCHEL_CONFIG, ./satchel.yaml, /etc/satchel/satchel.yaml)")
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON for scripts")
	root.PersistentFlags().BoolVarP(&a.verbose, "verbose", "v", false, "log more")
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", err, errUsage) })
	root.AddGroup(
		&cobra.Group{ID: "start", Title: "Start:"},
		&cobra.Group{ID: "run", Title: "Run the service:"},
		&cobra.Group{ID: "course", Title: "Look after courses:"},
	)
	root.AddCommand(a.lintCommand(), a.docsCommand(), a.versionCommand())
	root.AddCommand(a.systemCommands()...)
	return root
}

// versionCommand says what --version says.
func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Args: noArgs,
		Short: "Say which version this is",
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return a.printJSON(map[string]string{"version": release.Version})
			}
			a.printf("satchel version %s\n", release.Version)
			return nil
		},
	}
}

// noArgs refuses any argument as a usage mistake, with the nearest command.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	what := fmt.Sprintf("%q is no command of %q", args[0], c.CommandPath())
	if !c.HasSubCommands() {
		what = fmt.Sprintf("%q takes no argument, and %q was given", c.CommandPath(), args[0])
	} else if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		what += fmt.Sprintf("; did you mean %q?", near[0])
	}
	return fmt.Errorf("%s; see %q: %w", what, c.CommandPath()+" --help", errUsage)
}

// exactly is cobra.ExactArgs as a usage mistake that names what is missing.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		return fmt.Errorf("%q takes %s; see %q: %w", c.CommandPath(), strings.Join(names, " and "), c.CommandPath()+" --help", errUsage)
	}
}

// config finds and loads the configuration, without a mistake in it.
func (a *app) config() (*config.Config, error) {
	file, err := a.configPath()
	if err != nil {
		return nil, err
	}
	return config.Load(file)
}

// configPath is the file that commands read.
func (a *app) configPath() (string, error) {
	if a.configFile != "" {
		return filepath.Abs(a.configFile)
	}
	if f := a.env("SATCHEL_CONFIG"); f != "" {
		return filepath.Abs(f)
	}
	for _, f := range []string{"satchel.yaml", "/etc/satchel/satchel.yaml"} {
		if _, err := os.Stat(f); err == nil {
			return filepath.Abs(f)
		}
	}
	return "", errors.New("there is no satchel.yaml here, nor /etc/satchel/satchel.yaml: make one with \"satchel init\", or name yours with --config")
}

// logger writes JSON lines to standard error.
func (a *app) logger() *slog.Logger {
	level := slog.LevelInfo
	if a.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewJSONHandler(a.err, &slog.HandlerOptions{Level: level}))
}

// printJSON writes v, indented.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.out, format, args...) }
